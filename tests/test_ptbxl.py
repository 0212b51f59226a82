import numpy as np
import pandas as pd
import pytest

import tiny_sets
from biosignals.data import ptbxl


@pytest.fixture
def root(tmp_path):
    tiny_sets.write_ptbxl(tmp_path / "ptb-xl", records=8)
    return tmp_path / "ptb-xl"


@pytest.fixture
def load(root, tmp_path):
    return lambda **options: ptbxl.load(root, cache=tmp_path / "cache", **options)


def change_database(root, **columns):
    """Sets a value of ecg_id 3 in each of the columns."""
    table = pd.read_csv(root / ptbxl.DATABASE, index_col="ecg_id")
    for name, value in columns.items():
        table[name] = table[name].astype(object)
        table.loc[3, name] = value
    table.to_csv(root / ptbxl.DATABASE)


def the_only_exclusion(recordings):
    """Record, file and reason of the one recording left out; the other seven must be there."""
    assert recordings.table.index.tolist() == [1, 2, 4, 5, 6, 7, 8] and len(recordings) == 7
    for position, record in enumerate(recordings.table.index):
        assert np.array_equal(recordings.signals[position], tiny_sets.noise(record, 12, 1000).T)
    (row,) = recordings.excluded.itertuples(index=False)
    assert list(recordings.excluded.columns) == ["record", "file", "reason"] and row.record == 3
    return row


def test_signals_are_those_of_the_files(load):
    recordings = load()
    assert recordings.channels == ptbxl.LEADS and recordings.sampling_rate == 100
    assert recordings.signals.shape == (8, 12, 1000) and recordings.signals.dtype == np.int16
    for position, record in enumerate(recordings.table.index):
        assert np.array_equal(recordings.signals[position], tiny_sets.noise(record, 12, 1000).T)
    assert np.allclose(recordings.physical([0]), tiny_sets.noise(1, 12, 1000).T / 1000)
    assert recordings.excluded.empty


def test_the_table_says_who_what_and_which_fold(load):
    table = load().table
    assert table.index.name == "ecg_id" and set(ptbxl.TEXT_COLUMNS + ptbxl.NUMBER_COLUMNS) <= set(table)
    assert table["subject"].tolist() == [700, 700, 701, 701, 702, 702, 703, 703]
    assert table["fold"].tolist() == [1, 1, 2, 2, 3, 3, 4, 4]
    assert table["sex"].tolist() == ["male", "female"] * 4
    assert (
        table["age"].tolist() == [40, 90, 42, 43, 44, 45, 46, 47]
        and table["over_89"].tolist() == [False, True] + [False] * 6
    )
    assert (table["samples"] == 1000).all()
    assert table.loc[1, "report"] == 'sinus rhythm, normal "ecg"\nsecond line'


def test_superclasses_come_from_diagnostic_statements_of_any_likelihood(load):
    labels = load().table[[*ptbxl.SUPERCLASSES, "AFIB"]]
    assert labels.dtypes.map(pd.api.types.is_bool_dtype).all()
    assert [[name for name in labels if row[name]] for _, row in labels.head(4).iterrows()] == [
        ["NORM"],
        ["MI", "AFIB"],
        ["CD", "HYP"],
        [],  # no superclass: it stays in the table
    ]


def test_statements_have_a_column_for_each_of_the_71_codes(load):
    statements = ptbxl.statements(load().table)
    assert statements.shape == (8, 71) and statements.to_numpy().dtype == bool
    assert statements.loc[2, ["IMI", "AFIB"]].all() and statements.loc[2].sum() == 2


def test_records_are_those_asked_for_in_that_order(load):
    assert load(records=[5, 2, 5]).table.index.tolist() == [5, 2]
    with pytest.raises(ValueError, match="ptbxl_database.csv lacks 2 records asked for: 77, 99"):
        load(records=[1, 99, 77])


def test_leads_in_another_order_are_put_right(tmp_path):
    shuffled = np.random.default_rng(0).permutation(12)
    names = [ptbxl.LEADS[i].replace("AV", "aV") for i in shuffled]
    tiny_sets.write_ptbxl(tmp_path / "set", records=2, names=names)
    signals = ptbxl.load(tmp_path / "set", cache=tmp_path / "cache").signals
    assert np.array_equal(signals[0][shuffled], tiny_sets.noise(1, 12, 1000).T)


def test_some_leads_come_in_the_order_asked_for(load):
    recordings = load(leads=("V2", "I"))
    assert recordings.channels == ("V2", "I")
    assert np.array_equal(recordings.signals[0], tiny_sets.noise(1, 12, 1000).T[[7, 0]])


def test_500_hz_records_are_read_from_their_own_files(tmp_path):
    tiny_sets.write_ptbxl(tmp_path / "set", records=2, sampling_rate=500)
    recordings = ptbxl.load(tmp_path / "set", 500, cache=tmp_path / "cache")
    assert recordings.signals.shape == (2, 12, 5000) and recordings.sampling_rate == 500
    assert np.array_equal(recordings.signals[1], tiny_sets.noise(2, 12, 5000).T)


@pytest.mark.parametrize(
    "columns, reason",
    [
        ({"scp_codes": "{'NORM': 100.0, 'XYZ': 0.0}"}, "unknown SCP code XYZ in ptbxl_database.csv"),
        (
            {"scp_codes": "__import__('os').getcwd()"},
            "scp_codes is not a list of codes in ptbxl_database.csv",
        ),
        ({"scp_codes": "['NORM']"}, "scp_codes is not a list of codes"),
        ({"scp_codes": np.nan}, "scp_codes is not a list of codes"),
        ({"scp_codes": "{'NORM': " + "[" * 6000 + "}"}, "scp_codes is not a list of codes"),
        ({"scp_codes": "{'NORM': 1, " + " " * 20000 + "}"}, "scp_codes is not a list of codes"),
        ({"filename_lr": "../../etc/passwd"}, "file name .* leads out of the folder: refused"),
        ({"filename_lr": "/etc/passwd"}, "leads out of the folder: refused"),
        ({"filename_lr": np.nan}, "file name .* is missing"),
        ({"filename_lr": "records100/00000/none"}, "none.hea cannot be read .*download"),
        ({"filename_lr": "records100/00000/00009_lr"}, "gives record 3 the file records100/00000/00009_lr"),
        ({"filename_lr": "records100/00000/00005_lr"}, "gives record 3 the file .*00005_lr: get .* again"),
        ({"patient_id": np.nan}, "no patient_id"),
        ({"strat_fold": 11}, "strat_fold is not 1 to 10"),
        ({"strat_fold": np.nan}, "strat_fold is not 1 to 10"),
        ({"strat_fold": 2.5}, "strat_fold is not 1 to 10"),
        ({"patient_id": 701.5}, "patient_id is 701.5 in ptbxl_database.csv: correct it"),
        ({"patient_id": "1e999"}, "patient_id is 1e999"),
        ({"age": -5}, "age is -5.0 in ptbxl_database.csv: correct it"),
        ({"age": 140}, "age is 140.0"),
        ({"age": "old"}, "age is old in"),
        ({"weight": "1e999"}, "weight is 1e999 in"),
        ({"sex": "NaN NaN"}, "sex is NaN NaN in"),
        ({"validated_by_human": "perhaps"}, "validated_by_human is perhaps in"),
    ],
)
def test_a_record_with_a_faulty_row_is_left_out_and_listed(root, load, columns, reason):
    change_database(root, **columns)
    row = the_only_exclusion(load())
    assert pd.Series([row.reason]).str.contains(reason).item(), row.reason


def test_a_table_whose_header_lost_a_name_is_refused(root, load):
    # pandas would give the columns before the lost name the values of their neighbours.
    path = root / ptbxl.DATABASE
    path.write_text(path.read_text().replace(",nurse,site,", ",nurse site,", 1))
    with pytest.raises(
        ValueError, match=r"ptbxl_database.csv has rows with more cells than its header.*again"
    ):
        ptbxl.read_database(root)


def replace_record(root, counts, sampling_rate=100, names=ptbxl.LEADS):
    tiny_sets.write_record(root / "records100/00000/00003_lr", counts, sampling_rate, names)


def cut_record(root):
    path = root / "records100/00000/00003_lr.dat"
    path.write_bytes(path.read_bytes()[:-1])


def with_invalid(share):
    counts = tiny_sets.noise(3, 12, 1000)
    counts[: round(1000 * share), 4] = -32768
    return counts


@pytest.mark.parametrize(
    "damage, reason",
    [
        (
            lambda root: cut_record(root),
            "00003_lr.dat is cut short .23999 bytes, its header says 24000.: download the set again",
        ),
        (lambda root: replace_record(root, tiny_sets.noise(3, 12, 999)), "999 samples long, expected 1000"),
        (
            lambda root: replace_record(root, tiny_sets.noise(3, 12, 1000), 250),
            "sampled at 250 Hz, expected 100 Hz",
        ),
        (
            lambda root: replace_record(root, tiny_sets.noise(3, 11, 1000), names=ptbxl.LEADS[:11]),
            "no lead V6; it holds I, II,",
        ),
        (lambda root: replace_record(root, with_invalid(1)), "lead AVL misses 100% of its samples"),
        (lambda root: replace_record(root, with_invalid(0.2)), "lead AVL misses 20% of its samples"),
    ],
)
def test_a_damaged_record_is_left_out_and_listed(root, load, damage, reason):
    damage(root)
    row = the_only_exclusion(load())
    assert row.file == "records100/00000/00003_lr" and pd.Series([row.reason]).str.contains(reason).item(), (
        row.reason
    )


def test_a_few_missing_samples_are_filled_and_counted(root, load):
    replace_record(root, with_invalid(0.05))
    recordings = load()
    assert recordings.table["invalid_samples"].tolist() == [0, 0, 50, 0, 0, 0, 0, 0]
    assert (recordings.signals[2, 4, :50] == tiny_sets.noise(3, 12, 1000)[50, 4]).all()


def test_flat_and_saturated_leads_are_kept_and_counted(root, load):
    counts = tiny_sets.noise(3, 12, 1000)
    counts[200:300, 0] = counts[:, 1] = 7
    counts[400:420, 2] = 9000
    replace_record(root, counts)
    table = load().table
    assert table["flat_leads"].tolist() == [0, 0, 2, 0, 0, 0, 0, 0]
    assert table["saturated_leads"].tolist() == [0, 0, 1, 0, 0, 0, 0, 0]


def test_a_set_that_lacks_the_leads_says_which_it_has(tmp_path):
    tiny_sets.write_ptbxl(tmp_path / "set", records=4, sampling_rate=500, names=("I",))
    tiny_sets.write_record(
        tmp_path / "set/records500/00000/00001_hr", tiny_sets.noise(1, 12, 5000), 500, ptbxl.LEADS
    )
    with pytest.raises(ValueError, match="3 of 4 recordings at 500 Hz .* most hold only I .*leads=.'I',"):
        ptbxl.load(tmp_path / "set", 500, cache=tmp_path / "cache")
    assert len(ptbxl.load(tmp_path / "set", 500, leads=("I",), cache=tmp_path / "cache")) == 4
    assert len(ptbxl.load(tmp_path / "set", 500, records=[1], cache=tmp_path / "cache")) == 1


@pytest.mark.parametrize("name", [ptbxl.DATABASE, ptbxl.STATEMENTS])
def test_a_missing_table_is_named_with_its_remedy(root, load, name):
    (root / name).unlink()
    with pytest.raises(FileNotFoundError, match=f'{name} is not in .*ptb-xl: .*make data SETS="ptb-xl"'):
        load()


def test_a_missing_folder_is_named_with_its_remedy(root, load, tmp_path):
    with pytest.raises(FileNotFoundError, match="folder .*nowhere does not exist: .*make data"):
        ptbxl.load(tmp_path / "nowhere", cache=tmp_path / "cache")
    with pytest.raises(FileNotFoundError, match="holds no records500"):
        load(sampling_rate=500)


@pytest.mark.parametrize(
    "name, column", [(ptbxl.DATABASE, "strat_fold"), (ptbxl.STATEMENTS, "diagnostic_class")]
)
def test_a_missing_column_is_named(root, load, name, column):
    pd.read_csv(root / name).drop(columns=column).to_csv(root / name, index=False)
    with pytest.raises(ValueError, match=f"{name} lacks the column {column}: .*make data"):
        load()


def test_the_other_rows_keep_their_numbers_and_truth_values(root, load):
    before = load().table.drop(index=3)
    change_database(root, age="old", second_opinion="perhaps")
    pd.testing.assert_frame_equal(load().table, before, check_dtype=False)
    assert load().table["second_opinion"].dtype == bool and load().table["age"].dtype.kind == "f"


def test_a_record_without_a_number_to_name_it_is_refused(root, load):
    table = pd.read_csv(root / ptbxl.DATABASE, dtype={"ecg_id": object})
    table.loc[2, "ecg_id"] = "three"
    table.to_csv(root / ptbxl.DATABASE, index=False)
    with pytest.raises(ValueError, match="column ecg_id of .* must hold whole numbers only"):
        load()


def test_a_record_listed_twice_is_refused(root, load):
    table = pd.read_csv(root / ptbxl.DATABASE)
    pd.concat([table, table.tail(1)]).to_csv(root / ptbxl.DATABASE, index=False)
    with pytest.raises(ValueError, match="lists ecg_id 8 twice"):
        load()


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b'"never closed'])
def test_a_database_that_is_no_csv_is_refused(root, load, content):
    (root / ptbxl.DATABASE).write_bytes(content)
    with pytest.raises(ValueError, match=f"{ptbxl.DATABASE} (cannot be read|lacks)"):
        load()


def test_a_set_without_any_usable_record_says_why(root, load):
    for path in root.glob("records100/*/*.dat"):
        path.unlink()
    with pytest.raises(
        ValueError, match="no recording of ptb-xl .* can be used: 1 x 0000._lr.dat cannot be read"
    ):
        load()
    with pytest.raises(ValueError, match="none is asked for or listed"):
        load(records=[])


def test_a_database_without_rows_is_refused(root, load):
    pd.read_csv(root / ptbxl.DATABASE).head(0).to_csv(root / ptbxl.DATABASE, index=False)
    with pytest.raises(ValueError, match="none is asked for or listed"):
        load()


@pytest.mark.parametrize(
    "options", [{"sampling_rate": 250}, {"leads": ("I", "V7")}, {"leads": ()}, {"leads": ("I", "I")}]
)
def test_what_the_set_never_had_is_refused(load, options):
    with pytest.raises(ValueError, match="250 Hz|leads must be"):
        load(**options)


def test_likelihoods_are_the_largest_stated_of_a_class_and_certain_where_left_open():
    statements = pd.DataFrame(
        {"diagnostic": [1, 1, 1, np.nan], "diagnostic_class": ["MI", "MI", "CD", np.nan]},
        index=["IMI", "ASMI", "LAFB", "SR"],
    )
    texts = ["{'IMI': 15.0, 'ASMI': 50.0, 'SR': 0.0}", "{'LAFB': 0.0, 'IMI': 100.0}", "{'SR': 0.0}"]
    table = pd.DataFrame({"scp_codes": texts}, index=[7, 8, 9])
    found = ptbxl.likelihoods(table, statements)
    assert list(found) == list(ptbxl.SUPERCLASSES) and list(found.index) == [7, 8, 9]
    assert found.loc[7, ["MI", "CD"]].tolist() == [0.5, 0] and found.loc[8, ["MI", "CD"]].tolist() == [1, 1]
    assert not found.loc[9].any()


def test_groups_are_of_people_recorders_and_noise(load):
    recordings = load()
    found = ptbxl.groups(recordings, devices=2)
    assert list(found) == ["sex", "age", "device", "noise"] and found.index.equals(recordings.table.index)
    assert found.device.nunique() <= 2 and not found.device.str.contains(" ").any()
    sizes = found.noise.value_counts()
    assert set(sizes.index) == {"low", "medium", "high"} and sizes.max() - sizes.min() <= 1
    old = recordings.table.age >= 75
    assert ((found.age == "from-75") == old).all()
