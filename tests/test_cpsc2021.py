import errno
import os
import re
from pathlib import Path

import numpy as np
import pytest
import wfdb

import tiny_sets
from biosignals.data import cpsc2021, splits, waveforms

SAMPLES = 240_000  # twenty minutes, as a record of the set lasts on average
CHANGES = {3132: "(AFIB", 5639: "(N", 8000: "(AFL", SAMPLES: "(N"}


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "cpsc2021"
    tiny_sets.write_cpsc2021(root / "Training_set_I", "data_0_2", SAMPLES, CHANGES, "paroxysmal")
    tiny_sets.write_cpsc2021(root / "Training_set_II", "data_10_1", 6100)
    tiny_sets.write_cpsc2021(
        root / "Training_set_II", "data_9_1", 4000, {0: "(AFIB", 3999: "(N"}, "persistent"
    )
    return root


@pytest.fixture
def load(root, tmp_path):
    return lambda **options: cpsc2021.load(root, cache=tmp_path / "cache", **options)


def test_a_whole_record_has_wfdbs_beats_and_episodes(root):
    recordings, excluded = cpsc2021.find(root)
    assert excluded.empty and [one.name for one in recordings] == ["data_0_2", "data_9_1", "data_10_1"]
    assert [one.subject for one in recordings] == ["0", "9", "10"]
    long = recordings[0]
    marks = wfdb.rdann(str(root / "Training_set_I/data_0_2"), "atr")
    expected = marks.sample[np.array(marks.symbol) == "N"]
    np.testing.assert_array_equal(long.beats, expected)
    assert len(expected) == 1600 and (long.samples, long.sampling_rate, long.seconds) == (SAMPLES, 200, 1200)
    assert long.episodes == ((0, 15.66, "N"), (15.66, 28.195, "AFIB"), (28.195, 40, "N"), (40, 1200, "AFL"))
    assert [one.diagnosis.split()[0] for one in recordings] == ["paroxysmal", "persistent", "non"]
    assert recordings[2].episodes == ((0, 30.5, "N"),)


def test_windows_are_wfdbs_signals_with_their_label(root, load):
    recordings = load(leads=("II", "I"))
    assert recordings.signals.shape == (120 + 2 + 3, 2, 2000) and recordings.channels == ("II", "I")
    assert (recordings.unit, recordings.sampling_rate) == ("mV", 200) and recordings.excluded.empty
    expected, about = wfdb.rdsamp(str(root / "Training_set_I/data_0_2"))
    assert about["sig_name"] == ["I", "II"]
    whole = np.concatenate(recordings.physical(np.arange(120)), axis=1)
    np.testing.assert_allclose(whole, expected.T[::-1], atol=5.1e-4)
    table = recordings.table
    assert table.index[:2].tolist() == ["data_0_2@0", "data_0_2@10"]
    own = table[table["recording"] == "data_0_2"]
    np.testing.assert_allclose(own["afib_share"].iloc[:5], [0, 0.434, 0.8195, 0, 0])
    assert np.flatnonzero(own["AFIB"]).tolist() == [2] and own["afl_share"].iloc[4:].tolist() == [1] * 116
    assert table.groupby("recording")["AFIB"].all().to_dict() == {
        "data_0_2": False,
        "data_10_1": False,
        "data_9_1": True,
    }
    assert (table["samples"] == 2000).all() and not table["flat_leads"].any()


def test_windows_and_records_are_those_asked_for(load):
    recordings = load(seconds=20.48, step=5, records=["data_9_1", "data_10_1"])
    assert recordings.signals.shape == (3, 1, 4096)
    assert recordings.table["start"].tolist() == [0, 5, 10]
    assert recordings.excluded["record"].tolist() == ["data_9_1"]  # it lasts 20 s
    with pytest.raises(ValueError, match="lacks 1 records asked for: data_1_1"):
        load(records=["data_1_1"])
    with pytest.raises(ValueError, match="leads must be some of I, II"):
        load(leads=("V1",))


def test_a_patient_stays_on_one_side_of_every_split(root, load):
    for number in range(3, 33):
        tiny_sets.write_cpsc2021(root, f"data_{number // 3 + 20}_{number % 3}", 2000)
    table = load().table
    folds = splits.assign_folds(table["subject"], test=0.2, seed=0)
    splits.check_disjoint(table, np.flatnonzero(folds == 10), np.flatnonzero(folds < 10))
    assert table.groupby("subject")["recording"].nunique().max() == 3
    with pytest.raises(ValueError, match="must stay together"):
        splits.check_disjoint(table, np.arange(60), np.arange(60, len(table)))


def edit(root, old, new):
    path = root / "Training_set_II/data_10_1.hea"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def cut(root, extension, size):
    path = root / f"Training_set_II/data_10_1.{extension}"
    path.write_bytes(path.read_bytes()[:size])


def remove(root, extension):
    (root / f"Training_set_II/data_10_1.{extension}").unlink()


def mark(root, *marks):
    tiny_sets.write_annotations(root / "Training_set_II/data_10_1.atr", *zip(*marks))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda root: remove(root, "hea"), "data_10_1.hea cannot be read .No such file"),
        (lambda root: remove(root, "atr"), "data_10_1.atr cannot be read .No such file"),
        (lambda root: remove(root, "dat"), "data_10_1.dat cannot be read .No such file"),
        (lambda root: cut(root, "dat", -2), "data_10_1.dat is cut short"),
        (lambda root: cut(root, "atr", -2), "data_10_1.atr is cut short"),
        (lambda root: edit(root, "30383.487698624056", "1e999"), "by its gain a count is 0 uV"),
        (lambda root: edit(root, "30383.487698624056", "1e-300"), "by its gain a count is 1e.303 uV"),
        (
            lambda root: edit(root, " 200 6100", " 250 6100"),
            "says 6100 samples at 250 Hz, expected some at 200 Hz",
        ),
        (lambda root: edit(root, " 200 6100", " 200 0"), "says 0 samples at 200 Hz"),
        (lambda root: edit(root, " 200 6100", " 200 99999999999"), "announces 99999999999 samples"),
        (lambda root: edit(root, " I\n", " V1\n"), "no lead I; it holds V1, II"),
        (lambda root: mark(root, (6101, "N")), "annotation at sample 6101, but its recording ends at 6100"),
        (
            lambda root: mark(root, (50, "+", "(AFIB")),
            "header says non atrial fibrillation, its annotations mark AFIB",
        ),
        (
            lambda root: tiny_sets.write_cpsc2021(root / "a", "data_10_1", 6100),
            "a record of this name is in another folder",
        ),
    ],
)
def test_a_damaged_record_is_left_out_and_listed(root, load, damage, reason):
    damage(root)
    recordings = load()
    (row,) = recordings.excluded.itertuples(index=False)
    assert row.record == "data_10_1" and row.file in ("Training_set_II/data_10_1", "a/data_10_1")
    assert re.search(reason, row.reason), row.reason


def test_a_failing_disk_aborts(root, load, monkeypatch):
    def fail(path, *_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(waveforms.os, "read", fail)
    with pytest.raises(OSError, match="Input/output error"):
        load()


def test_missing_folders_and_records_are_named_with_their_remedy(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist: .*make data"):
        cpsc2021.find(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="no records data_0_1, .*make data"):
        cpsc2021.find(tmp_path)
    Path(tmp_path / "data_0_1.hea").write_text("")
    with pytest.raises(ValueError, match="no recording of cpsc2021 .* can be used: 1 x header is damaged"):
        cpsc2021.find(tmp_path)
