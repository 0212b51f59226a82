import errno
import os

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biosignals.data import sph, waveforms

CODES = ["1", "22;23", "50+346", "106;50"]
LENGTHS = [5000, 5200, 6000, 5000]


def signals(record):
    """What the file of `record` holds: (12, N) in mV, float16."""
    rng = np.random.default_rng(record)
    return rng.uniform(-2, 2, (12, LENGTHS[record])).astype(np.float16)


def write_h5(path, data, name="ecg"):
    with h5py.File(path, "w") as file:
        file.create_dataset(name, data=data)


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "sph"
    (root / "records").mkdir(parents=True)
    names = [f"A{i:05d}" for i in range(1, 5)]
    for record, name in enumerate(names):
        write_h5(root / f"records/{name}.h5", signals(record))
    table = pd.DataFrame(
        {"ECG_ID": names, "AHA_Code": CODES, "Patient_ID": ["S00001", "S00002", "S00002", "S00003"]}
    )
    table = table.assign(Age=[55, "", 70, 31], Sex=["M", "F", "F", ""], N=LENGTHS, Date="2020-03-04")
    table.to_csv(root / "metadata.csv", index=False)
    codes = pd.DataFrame({"Code": [1, 22, 23, 50, 106], "Description": "something"})
    codes.to_csv(root / "code.csv", index=False)
    return root


@pytest.fixture
def load(root, tmp_path):
    return lambda **options: sph.load(root, cache=tmp_path / "cache", **options)


def test_signals_are_those_of_the_files_in_microvolts(load):
    recordings = load()
    assert recordings.channels == sph.LEADS and recordings.sampling_rate == 500 and recordings.unit == "mV"
    assert recordings.signals.shape == (4, 12, 6000) and recordings.signals.dtype == np.int16
    assert recordings.table["samples"].tolist() == LENGTHS
    for record, length in enumerate(LENGTHS):
        found, expected = recordings.physical([record])[0], signals(record).astype(np.float64)
        assert np.abs(found[:, :length] - expected).max() < 0.00051
        assert not found[:, length:].any()


def test_the_table_knows_patient_age_sex_and_fibrillation(load):
    table = load().table
    assert table.index.tolist() == ["A00001", "A00002", "A00003", "A00004"]
    assert table["subject"].tolist() == ["S00001", "S00002", "S00002", "S00003"]
    assert table["AFIB"].tolist() == [False, False, True, True] and table["codes"].tolist() == CODES
    assert table["age"].isna().tolist() == [False, True, False, False] and table["age"].iloc[2] == 70
    assert table["sex"].iloc[:3].tolist() == ["male", "female", "female"] and pd.isna(table["sex"].iloc[3])


def test_what_the_cache_gives_back_is_what_was_read(load):
    first, second = load(), load()
    pd.testing.assert_frame_equal(first.table, second.table)
    assert np.array_equal(first.signals, second.signals)


def test_leads_and_records_are_those_asked_for_in_their_order(load):
    recordings = load(records=["A00003", "A00001"], leads=["V6", "I"])
    assert recordings.table.index.tolist() == ["A00003", "A00001"] and recordings.channels == ("V6", "I")
    assert np.abs(recordings.physical([0])[0] - signals(2)[[11, 0]]).max() < 0.00051
    with pytest.raises(ValueError, match="metadata.csv lacks 1 records asked for: A99999"):
        load(records=["A99999"])
    for leads in ([], ["X"], ["I", "I"]):
        with pytest.raises(ValueError, match="leads must be some of"):
            load(leads=leads)


def test_the_sum_of_large_values_does_not_overflow(root, load):
    data = signals(1)
    data[0] = np.float16(30)  # 5,200 of these are more than float16 holds
    write_h5(root / "records/A00002.h5", data)
    assert (load().signals[1, 0, :5200] == 30_000).all()


def test_a_short_gap_is_filled_and_counted(root, load):
    data = signals(1)
    data[3, 100:110], data[4, 7] = np.nan, np.inf
    write_h5(root / "records/A00002.h5", data)
    recordings = load()
    assert recordings.table["invalid_samples"].tolist() == [0, 11, 0, 0]
    expected = np.interp(np.arange(100, 110), [99, 110], data[3, [99, 110]].astype(float))
    assert np.abs(recordings.physical([1])[0, 3, 100:110] - expected).max() < 0.002


def edit(root, old, new, file="metadata.csv"):
    path = root / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def write_external(root):
    write_h5(root / "other.h5", signals(1))
    with h5py.File(root / "records/A00002.h5", "w") as file:
        file["ecg"] = h5py.ExternalLink("../other.h5", "ecg")


def write_raw_outside(root):
    (root / "raw").write_bytes(signals(1).tobytes())
    with h5py.File(root / "records/A00002.h5", "w") as file:
        file.create_dataset("ecg", (12, 5200), "f2", external=[(str(root / "raw"), 0, 12 * 5200 * 2)])


def cut(root):
    path = root / "records/A00002.h5"
    path.write_bytes(path.read_bytes()[:-1000])


def rewrite(data, name="ecg"):
    return lambda root: write_h5(root / "records/A00002.h5", data, name)


@pytest.mark.parametrize(
    "damage, reason",
    [
        (rewrite(signals(1), "ppg"), "A00002.h5 has no dataset ecg"),
        (rewrite(signals(1)[:8]), r"A00002.h5 holds float16 \(8, 5200\), expected float16 \(12, 5200\)"),
        (rewrite(signals(1).T), r"expected float16 \(12, 5200\)"),
        (rewrite(signals(1)[:, :5100]), r"A00002.h5 holds float16 \(12, 5100\)"),
        (rewrite(np.full((12, 5200), np.nan, np.float16)), "misses 100% of its samples"),
        (rewrite(np.full((12, 5200), b"text")), "A00002.h5 holds"),
        (write_external, "has no dataset ecg of its own"),
        (write_raw_outside, "has no dataset ecg of its own"),
        (cut, "A00002.h5 cannot be read"),
        (lambda root: (root / "records/A00002.h5").write_bytes(b""), "A00002.h5 cannot be read"),
        (lambda root: (root / "records/A00002.h5").unlink(), "A00002.h5 cannot be read"),
        (lambda root: edit(root, "22;23", "22;99"), "unknown AHA code '99' in metadata.csv"),
        (lambda root: edit(root, "22;23", ""), "unknown AHA code ''"),
        (lambda root: edit(root, "A00002", "../A00002"), "ECG_ID is no file name"),
        (lambda root: edit(root, "5200", "-1"), "N in metadata.csv is not 1 to 60000"),
        (lambda root: edit(root, "5200", "99999999"), "N in metadata.csv is not 1 to 60000"),
        (lambda root: edit(root, "22;23,S00002", "22;23,"), "no Patient_ID"),
        (lambda root: edit(root, "S00002,,F", "S00002,-5,F"), "Age in metadata.csv is not 0 to 120"),
        (lambda root: edit(root, "S00002,,F", "S00002,1e999,F"), "Age in metadata.csv is not 0 to 120"),
        (rewrite(np.full((12, 5200), 1000, np.float16)), "beyond 32 mV for 100% .*unit is wrong"),
    ],
)
def test_a_damaged_record_is_left_out_and_listed(root, load, damage, reason):
    damage(root)
    recordings = load()
    assert recordings.table.index.tolist() == ["A00001", "A00003", "A00004"]
    (row,) = recordings.excluded.itertuples(index=False)
    assert row.record.endswith("A00002") and row.file.endswith("A00002")
    assert pd.Series([row.reason]).str.contains(reason).item(), row.reason


@settings(max_examples=40, derandomize=True)
@given(content=st.binary(max_size=2000), at=st.integers(0, 4000))
def test_a_file_with_other_bytes_in_it_is_read_or_refused_but_never_crashes(tmp_path_factory, content, at):
    path = tmp_path_factory.mktemp("h5") / "A00001.h5"
    write_h5(path, np.zeros((12, 50), np.float16))
    whole = path.read_bytes()
    path.write_bytes(whole[:at] + content + whole[at + len(content) :])
    try:
        counts = sph.read(str(path.with_suffix("")), list(range(12)), {"A00001": 50})
    except waveforms.Unreadable as error:
        assert "A00001.h5" in str(error)
    else:
        assert counts.shape == (12, 50) and counts.dtype == np.int16


@settings(max_examples=50)
@given(st.text(max_size=30))
def test_statements_never_fail(text):
    assert all("+" not in statement and ";" not in statement for statement in sph._statements(text))


def test_modifiers_are_no_statements():
    assert sph._statements("50+346;106 ; 1") == ["50", "106", "1"]


def test_missing_files_are_named_with_their_remedy(root, load, tmp_path):
    with pytest.raises(FileNotFoundError, match="none does not exist: .*make data"):
        sph.load(tmp_path / "none", cache=tmp_path / "cache")
    (root / "metadata.csv").rename(root / "METADATA.CSV")
    with pytest.raises(FileNotFoundError, match="metadata.csv is not in .*, but METADATA.CSV is: name it"):
        load()


def test_ids_may_be_names_of_files_and_the_list_of_statements_need_not_be_there(root, load):
    expected = load().table
    for record in expected.index:
        edit(root, record, f"{record}.h5")
    (root / "code.csv").unlink()
    pd.testing.assert_frame_equal(load().table, expected)


@pytest.mark.parametrize("column", sph.COLUMNS)
def test_a_missing_column_is_named(root, load, column):
    edit(root, column, "other")
    with pytest.raises(ValueError, match=f"metadata.csv lacks the column {column}"):
        load()


def test_a_record_listed_twice_is_refused(root, load):
    edit(root, "A00002", "A00001")
    with pytest.raises(ValueError, match="lists record A00001 twice"):
        load()


def test_a_failing_disk_aborts(root, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(sph.h5py, "File", fail)
    with pytest.raises(OSError, match="Input/output error"):
        sph.load(root, cache=tmp_path / "cache")


def test_a_recording_of_official_length_is_read_whole(root, load, monkeypatch):
    monkeypatch.setattr("test_sph.LENGTHS", [5000, 28_000, 6000, 5000])
    edit(root, ",5200,", ",28000,")
    write_h5(root / "records/A00002.h5", signals(1))
    recordings = load()
    assert recordings.signals.shape == (4, 12, 28_000) and recordings.table["samples"].iloc[1] == 28_000
    assert np.abs(recordings.physical([1])[0] - signals(1).astype(np.float64)).max() < 0.00051
