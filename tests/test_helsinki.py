import errno
import os

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biosignals.data import edf, eeg, helsinki
from biosignals.signals import windows
from test_chbmit import lengthen
from test_eeg import noise, write_edf

LABELS = [f"EEG {name}-Ref" for name in helsinki.CHANNELS]


def write_annotations(root, expert, columns):
    """columns: neonate > its seconds; shorter ones leave their cells empty at the end, as in the release."""
    table = pd.DataFrame({number: pd.Series(values, dtype="Int64") for number, values in columns.items()})
    table.to_csv(root / f"annotations_2017_{expert}.csv", index=False)


@pytest.fixture
def root(tmp_path):
    signals = noise(21, 12, 256)
    write_edf(tmp_path / "eeg1.edf", signals, 256, [*LABELS, "ECG", "Resp"])
    write_edf(tmp_path / "eeg3.edf", signals[::-1, : 8 * 256], 256, ["Resp", "ECG", *LABELS[::-1]])
    one, three = [0] * 3 + [1] * 5 + [0] * 4, [0] * 8
    for expert, first in [("A", one), ("B", [0] * 5 + [1] * 7), ("C", [0] * 12)]:
        write_annotations(tmp_path, expert, {1: first, 2: [], 3: three})
    return tmp_path


def test_recordings_have_their_channels_in_one_order(root):
    (one, three), excluded = helsinki.find(root)
    assert excluded.empty and (one.subject, three.subject) == ("eeg1", "eeg3")
    assert one.channels == helsinki.CHANNELS and (one.seconds, three.seconds) == (12, 8)
    np.testing.assert_allclose(eeg.read(one, 0, 2048), noise(21, 12, 256)[:19, :2048], atol=0.01)
    np.testing.assert_array_equal(eeg.read(one, 0, 2048), eeg.read(three, 0, 2048))


def test_seizures_are_those_of_the_majority(root):
    (one, three), _ = helsinki.find(root)
    assert one.seizures == ((5, 8),) and three.seizures == ()


def test_annotations_are_a_column_for_each_neonate(root):
    tables = helsinki.annotations(root)
    assert list(tables) == ["A", "B", "C"]
    assert tables["A"].shape == (12, 3) and tables["A"].columns.tolist() == [1, 2, 3]
    assert tables["A"][1].tolist() == [0] * 3 + [1] * 5 + [0] * 4
    assert tables["A"][3].notna().sum() == 8 and tables["A"][2].isna().all()


SECONDS = st.lists(st.lists(st.integers(0, 1), max_size=30), min_size=1, max_size=5).filter(any)


@settings(max_examples=25)
@given(columns=st.tuples(SECONDS, SECONDS, SECONDS))
def test_any_annotations_round_trip_and_are_counted_second_by_second(tmp_path_factory, columns):
    root = tmp_path_factory.mktemp("annotations")
    most = max(map(len, columns))
    columns = [[*one, *[[]] * (most - len(one))] for one in columns]
    for expert, values in zip("ABC", columns, strict=True):
        write_annotations(root, expert, dict(enumerate(values, 1)))
    tables = helsinki.annotations(root)
    for table, values in zip(tables.values(), columns, strict=True):
        assert [table[number].dropna().tolist() for number in range(1, most + 1)] == values
    votes = helsinki._majority(tables)
    for number, (a, b, c) in enumerate(zip(*columns, strict=True), 1):
        assert votes[number].dropna().tolist() == [x + y + z >= 2 for x, y, z in zip(a, b, c, strict=False)]
        runs = windows.runs(votes[number].to_numpy() == 1)
        within = [second for start, end in runs for second in range(start, end)]
        assert within == np.flatnonzero(votes[number] == 1).tolist()


def test_windows_have_the_share_of_each_expert(root, tmp_path):
    windows = helsinki.load(root, seconds=4, step=4, cache=tmp_path / "cache")
    assert windows.signals.shape == (5, 19, 256) and windows.sampling_rate == 64
    table = windows.table
    assert table["recording"].tolist() == ["eeg1"] * 3 + ["eeg3"] * 2
    assert table["A"].tolist() == [0.25, 1, 0, 0, 0]
    assert table["B"].tolist() == [0, 0.75, 1, 0, 0]
    assert table["C"].tolist() == [0] * 5
    assert table["majority"].tolist() == [0, 0.75, 0, 0, 0]
    assert table["seizure"].tolist() == [False, True, False, False, False]


def change(root, number, seconds):
    for expert in "ABC":
        table = pd.read_csv(root / f"annotations_2017_{expert}.csv").astype("Int64")
        columns = {int(name): column.dropna().tolist() for name, column in table.items()}
        write_annotations(root, expert, columns | {number: seconds})


@pytest.mark.parametrize(
    "damage, reason",
    [
        (lambda root: (root / "eeg1.edf").unlink(), "annotated but not there: .*make data"),
        (
            lambda root: write_edf(root / "eeg1.edf", noise(18, 12, 256), 256, LABELS[1:]),
            "no channel Fp1; it",
        ),
        (
            lambda root: write_edf(root / "eeg1.edf", noise(19, 12, 200), 200, LABELS),
            "at 200 Hz, expected 256",
        ),
        (
            lambda root: change(root, 1, [0] * 10),
            "lasts 12 s, but its annotations end after 10 s: .*make data",
        ),
        (
            lambda root: change(root, 1, [0] * 12 + [1]),
            "lasts 12 s, but a seizure is annotated from 12 to 13 s",
        ),
        (lambda root: change(root, 1, []), "eeg1.edf has no annotations"),
    ],
)
def test_a_neonate_that_cannot_be_used_is_left_out_and_listed(root, tmp_path, damage, reason):
    damage(root)
    windows = helsinki.load(root, seconds=4, step=4, cache=tmp_path / "cache")
    assert windows.table["recording"].unique().tolist() == ["eeg3"]
    assert windows.excluded["record"].tolist() == ["eeg1"]
    assert windows.excluded["reason"].str.contains(reason).all(), windows.excluded["reason"].item()


def test_a_constant_recording_is_left_out_and_listed(root, tmp_path):
    write_edf(root / "eeg3.edf", np.full((19, 8 * 256), -3.0), 256, LABELS)
    windows = helsinki.load(root, seconds=4, step=4, cache=tmp_path / "cache")
    assert windows.table["recording"].unique().tolist() == ["eeg1"]
    assert "does not change at all" in windows.excluded["reason"].item()


def test_annotations_a_second_short_end_the_recording(root):
    change(root, 1, [0] * 11)
    assert helsinki.find(root)[0][0].seconds == 11


@pytest.mark.parametrize(
    "content",
    [
        "",
        "1,2\n",
        "a,b\n0,1\n",
        "1,2\n0,2\n",
        "1,2\n0,x\n",
        "1\n0\n\n1\n",
        "0,1\n0,1\n",
        '"open',
        "1,01\n0,0\n",
        "1,2,3\n0,0,0,0\n0,1,0,0\n",
        "1,2,3\n0,0,0,0,0\n0,1,0,0,0\n",
    ],
)
def test_annotations_that_are_no_such_table_are_refused(root, content):
    (root / "annotations_2017_B.csv").write_text(content)
    with pytest.raises(ValueError, match=r"annotations_2017_B.csv (cannot be read|has) .*make data"):
        helsinki.find(root)


def test_missing_files_are_named_with_their_remedy(root, tmp_path_factory):
    with pytest.raises(FileNotFoundError, match="annotations_2017_A.csv does not exist: .*make data"):
        helsinki.find(tmp_path_factory.mktemp("empty"))
    write_annotations(root, "C", {1: [0] * 12})
    with pytest.raises(ValueError, match="annotations_2017_C.csv and .*_A.csv in .* name other neonates"):
        helsinki.find(root)
    write_annotations(root, "C", {1: [0] * 12, 2: [], 3: [0] * 8})
    for path in root.glob("*.edf"):
        path.unlink()
    with pytest.raises(ValueError, match="no recording of helsinki in .*2 left out.*make data"):
        helsinki.find(root)


def test_the_average_reference_drops_what_all_channels_share():
    x = noise(19, 2)[None]
    x -= x.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(helsinki.average_reference(x + np.sin(np.arange(64))), x, atol=1e-9)


def test_a_failing_disk_aborts(root, monkeypatch):
    def fail(*_, **__):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(edf, "open", fail, raising=False)
    with pytest.raises(OSError, match="Input/output error"):
        helsinki.find(root)


def test_seventy_four_minutes_are_read_whole(tmp_path):
    write_edf(tmp_path / "eeg1.edf", noise(21, 4, 256), 256, [*LABELS, "ECG", "Resp"])
    lengthen(tmp_path / "eeg1.edf", 4440)
    for expert in "ABC":
        write_annotations(tmp_path, expert, {1: [0] * 4000 + [1] * 100 + [0] * 340})
    windows = helsinki.load(tmp_path, cache=tmp_path / "cache")
    assert windows.signals.shape == (444, 19, 640) and windows.excluded.empty
    assert windows.table["start"].iloc[-1] == 4430 and windows.table["seizure"].sum() == 10
    assert windows.signals[0].any() and not windows.signals[1:].any()


def test_the_list_that_the_release_calls_fixed_is_the_one_that_counts(root):
    expected = helsinki.annotations(root)["A"]
    (root / "annotations_2017_A.csv").rename(root / "annotations_2017_A_fixed.csv")
    pd.testing.assert_frame_equal(helsinki.annotations(root)["A"], expected)
    write_annotations(root, "A", {1: [1] * 12, 2: [], 3: [1] * 8})
    pd.testing.assert_frame_equal(helsinki.annotations(root)["A"], expected)


@pytest.mark.parametrize("label", ["ECG", "ECG EKG-Ref", "EKG"])
def test_the_heart_rate_is_that_of_the_ecg_around_each_window(tmp_path, label):
    times = np.arange(20 * 256) / 256
    beats = np.exp(-(((times + 0.25) % 0.5 - 0.25) ** 2) / 0.0002)  # 120 a minute
    signals = noise(21, 20, 256)
    signals[19] = 300 * beats
    write_edf(tmp_path / "eeg1.edf", signals, 256, [*LABELS, label, "Resp"])
    write_edf(tmp_path / "eeg2.edf", noise(20, 20, 256), 256, [*LABELS, "Resp"])
    for expert in "ABC":
        write_annotations(tmp_path, expert, {1: [0] * 20, 2: [1] * 20})
    found = helsinki.load(tmp_path, 4, 4, cache=tmp_path / "cache")
    rates = helsinki.heart_rates(tmp_path, found)
    with_ecg = (found.table.recording == "eeg1").to_numpy()
    assert rates.shape == (10, 3) and rates.dtype == np.float32
    np.testing.assert_allclose(rates[with_ecg, 0], 0.5, atol=0.01)
    np.testing.assert_allclose(rates[with_ecg, 1:], 0, atol=0.02)
    assert not rates[~with_ecg].any()
