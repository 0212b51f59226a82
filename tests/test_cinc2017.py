import numpy as np
import pandas as pd
import pytest
import scipy.io

import tiny_sets
from biosignals.data import cinc2017


@pytest.fixture
def root(tmp_path):
    tiny_sets.write_cinc2017(tmp_path / "cinc2017")
    return tmp_path / "cinc2017"


@pytest.fixture
def load(root, tmp_path):
    return lambda **options: cinc2017.load(root, cache=tmp_path / "cache", **options)


def test_signals_are_those_of_the_mat_files(root, load):
    recordings = load()
    assert recordings.channels == ("I",) and recordings.sampling_rate == 300 and recordings.unit == "mV"
    assert recordings.signals.shape == (4, 1, 4000) and recordings.signals.dtype == np.int16
    for signal, (record, row) in zip(recordings.signals[:, 0], recordings.table.iterrows(), strict=True):
        values = scipy.io.loadmat(root / "training2017" / f"{record}.mat")["val"][0]
        assert row["samples"] == len(values)
        assert np.array_equal(signal[: len(values)], values) and not signal[len(values) :].any()


def test_the_table_has_labels_and_unknown_subjects(load):
    table = load().table
    assert table.index.tolist() == ["A00001", "A00002", "A00003", "A00004"]
    assert table["label"].tolist() == list("NAO~") and table["AFIB"].tolist() == [False, True, False, False]
    assert table["subject"].isna().all() and table["samples"].tolist() == [3000, 2700, 4000, 3000]


def test_padding_is_no_flat_lead_but_a_second_without_change_is(root, load):
    counts = tiny_sets.noise(1, 1, 2700)[:, 0]
    counts[500:800] = 12
    tiny_sets.write_mat(root / "training2017/A00002", counts)
    assert load().table["flat_leads"].tolist() == [0, 1, 0, 0]


def test_records_are_those_asked_for(load):
    assert load(records=["A00003", "A00001"]).table.index.tolist() == ["A00003", "A00001"]
    with pytest.raises(ValueError, match="REFERENCE.csv lacks 1 records asked for: A99999"):
        load(records=["A99999"])


def edit_reference(root, old, new):
    path = root / "training2017/REFERENCE.csv"
    path.write_text(path.read_text().replace(old, new))


def edit_header(root, old, new):
    path = root / "training2017/A00002.hea"
    path.write_bytes(path.read_bytes().replace(old, new))


def cut_mat(root):
    path = root / "training2017/A00002.mat"
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    "damage, reason",
    [
        (cut_mat, r"A00002.mat is cut short \(5423 bytes, its header says 5424\): download the set again"),
        (lambda root: (root / "training2017/A00002.mat").unlink(), "A00002.mat cannot be read .*download"),
        (lambda root: (root / "training2017/A00002.hea").unlink(), "A00002.hea cannot be read .*download"),
        (
            lambda root: (root / "training2017/A00002.mat").rename(root / "training2017/A00002.MAT"),
            "A00002.mat is not there, but A00002.MAT is: name it as published",
        ),
        (lambda root: edit_reference(root, "A00002,A", "A00002,B"), "unknown label 'B' in REFERENCE.csv"),
        (lambda root: edit_reference(root, "A00002", "../A00002"), "record name is no file name"),
        (lambda root: edit_header(root, b"1 300 2700", b"1 250 2700"), "sampled at 250 Hz, expected 300 Hz"),
        (
            lambda root: edit_header(root, b"1 300 2700", b"1 300 99999"),
            "99999 samples long, expected 1 to 36000",
        ),
        (lambda root: edit_header(root, b"ECG", b"PPG"), "no lead ECG; it holds PPG"),
        (lambda root: edit_header(root, b"A00002.mat", b"../x.mat"), "file outside of its folder"),
    ],
)
def test_a_damaged_record_is_left_out_and_listed(root, load, damage, reason):
    damage(root)
    recordings = load()
    assert recordings.table.index.tolist() == ["A00001", "A00003", "A00004"]
    (row,) = recordings.excluded.itertuples(index=False)
    assert row.record.endswith("A00002") and row.file.endswith("A00002")
    assert pd.Series([row.reason]).str.contains(reason).item(), row.reason


def test_missing_folder_and_reference_are_named_with_their_remedy(root, load, tmp_path):
    with pytest.raises(FileNotFoundError, match="training2017 does not exist: .*make data"):
        cinc2017.load(tmp_path, cache=tmp_path / "cache")
    (root / "training2017/REFERENCE.csv").unlink()
    with pytest.raises(FileNotFoundError, match="REFERENCE.csv is not in .*make data"):
        load()


@pytest.mark.parametrize("content", ["", "A00001\nA00002\n", "A00001,N\nA00001,A\n", '"open'])
def test_a_reference_that_is_no_list_of_labels_is_refused(root, load, content):
    (root / "training2017/REFERENCE.csv").write_text(content)
    with pytest.raises(ValueError, match="REFERENCE.csv (is not a list|cannot be read)"):
        load()


def test_records_set_aside_are_only_read_when_named(tmp_path):
    names = tiny_sets.write_cinc2017(tmp_path)
    (tmp_path / cinc2017.SET_ASIDE).write_text(f"{names[1]}\nA99999\n")
    others = cinc2017.load(tmp_path, cache=tmp_path / "cache")
    assert list(others.table.index) == [names[0], *names[2:]]
    assert list(cinc2017.load(tmp_path, records=[names[1]], cache=tmp_path / "cache").table.index) == [
        names[1]
    ]


FINAL = "A00001,A\nA00002,~\nA00003,O\nA00004,N\n"


def test_the_final_labels_win_over_the_older_ones_and_the_table_says_which(root, load):
    older = load().table
    assert older["label"].tolist() == list("NAO~") and set(older["label_file"]) == {"REFERENCE.csv"}
    (root / "REFERENCE-v3.csv").write_text(FINAL)
    final = load().table  # what was kept of the older labels is made again
    assert final["label"].tolist() == list("A~ON") and set(final["label_file"]) == {"REFERENCE-v3.csv"}
    assert final["AFIB"].tolist() == [True, False, False, False]
    assert cinc2017.read_reference(root).to_dict() == dict(zip(final.index, "A~ON"))


def test_final_labels_that_are_none_are_refused_not_passed_over(root, load):
    (root / "REFERENCE-v3.csv").write_text("A00001\nA00002\n")
    with pytest.raises(ValueError, match="REFERENCE-v3.csv is not a list"):
        load()
    (root / "REFERENCE-v3.csv").write_text(FINAL.replace("A00002,~", "A00002,B"))
    recordings = load()
    assert recordings.excluded["reason"].tolist() == [
        "unknown label 'B' in REFERENCE-v3.csv: expected N A O ~"
    ]
    with pytest.raises(ValueError, match="REFERENCE-v3.csv lacks 1 records asked for: A99999"):
        load(records=["A99999"])


def test_the_older_list_need_not_be_there(root, load):
    (root / "training2017/REFERENCE.csv").rename(root / "REFERENCE-v3.csv")
    assert load().table["label"].tolist() == list("NAO~")


def test_files_may_lie_in_folders_as_they_are_published_one_by_one(root, load):
    expected = load()
    (root / "training2017/REFERENCE.csv").rename(root / "REFERENCE-v3.csv")
    nested = root / "training/A00"
    nested.parent.mkdir()
    (root / "training2017").rename(nested)
    found = load()
    np.testing.assert_array_equal(found.signals, expected.signals)
    assert cinc2017.complete(root) == list(found.table.index)
    (nested / "A00002.mat").unlink()
    assert load().excluded["file"].tolist() == ["training/A00/A00002"]


def test_the_longest_recording_is_read_whole(tmp_path):
    tiny_sets.write_cinc2017(tmp_path, [2714, 18_286], "NA")
    recordings = cinc2017.load(tmp_path, cache=tmp_path / "cache")
    assert recordings.signals.shape == (2, 1, 18_286)
    assert np.array_equal(recordings.signals[1, 0], tiny_sets.noise(1, 1, 18_286)[:, 0])
