from pathlib import Path

import numpy as np
import pytest

import tiny_sets
from biosignals.data import rhythms, waveforms
from biosignals.data.annotation_files import Annotations
from biosignals.data.rhythms import RhythmRecording


def recording(beats=(50, 150, 260, 1600, 1700), episodes=((0.0, 2.0, "N"), (2.0, 20.0, "AFIB")), **others):
    about = {"subject": "7", "name": "one", "path": Path("one"), "sampling_rate": 100.0, "samples": 2000}
    types = np.array(["N"] * len(beats), dtype=object)
    return RhythmRecording(
        **about | others, beats=np.array(beats, dtype=np.int64), types=types, episodes=episodes
    )


def marks(*rows):
    samples, symbols, notes = zip(*rows) if rows else ((), (), ())
    return Annotations(np.array(samples, dtype=np.int64), symbols, notes, None)


def test_episodes_go_from_one_change_to_the_next():
    changes = marks((100, "+", "(AFIB"), (150, "N", "(N"), (300, "+", "(N"), (301, "+", "noise"))
    assert rhythms.episodes_of(changes, 100, 1000, "N") == ((0, 1, "N"), (1, 3, "AFIB"), (3, 10, "N"))
    assert rhythms.episodes_of(marks(), 100, 1000) == ((0, 10, ""),)
    at_both_ends = marks((0, "+", "(AFIB"), (1000, "+", "(N"))
    assert rhythms.episodes_of(at_both_ends, 100, 1000, "N") == ((0, 10, "AFIB"),)


def test_beats_are_told_from_other_marks():
    where, types = rhythms.beats_of(
        marks((5, "N", ""), (7, "+", "(N"), (9, "V", ""), (11, "~", ""), (12, "a", ""))
    )
    assert where.tolist() == [5, 9, 12] and types.tolist() == ["N", "V", "a"]


def test_each_beat_has_its_interval_and_rhythm():
    table = rhythms.beats([recording(), recording(beats=(199, 200), name="two", subject="8")])
    assert table["recording"].tolist() == ["one"] * 5 + ["two"] * 2 and set(table["subject"]) == {"7", "8"}
    assert table["time"].tolist() == [0.5, 1.5, 2.6, 16, 17, 1.99, 2]
    # The third interval of 13.4 s is a gap, and a recording's first beat has none before it.
    np.testing.assert_allclose(table["rr"], [np.nan, 1, 1.1, np.nan, 1, np.nan, 0.01])
    assert table["rhythm"].tolist() == ["N", "N", "AFIB", "AFIB", "AFIB", "N", "AFIB"]


def test_windows_have_the_share_of_each_rhythm_and_their_intervals():
    table, intervals = rhythms.windows([recording()], seconds=4, step=4)
    assert table["start"].tolist() == [0, 4, 8, 12, 16]
    assert table["afib_share"].tolist() == [0.5, 1, 1, 1, 1] and table["AFIB"].all()
    assert table["intervals"].tolist() == [2, 0, 0, 0, 1]
    np.testing.assert_allclose(intervals, [[1, 1.1], [0, 0], [0, 0], [0, 0], [1, 0]], rtol=1e-6)
    shorter, _ = rhythms.windows([recording()], seconds=3, step=3)
    assert shorter["AFIB"].tolist() == [False, True, True, True, True, True]
    flutter, _ = rhythms.windows([recording(episodes=((0, 1, "J"), (1, 20, "AFL")))], 10, 10)
    assert flutter["rhythm"].tolist() == ["AFL", "AFL"] and flutter["afl_share"].tolist() == [0.9, 1]
    assert not flutter["AFIB"].any()


def test_windows_that_no_recording_can_fill_are_refused():
    with pytest.raises(ValueError, match="no recording lasts 30 s"):
        rhythms.windows([recording()])
    with pytest.raises(ValueError, match="shorter than a sample"):
        rhythms.windows([recording()], seconds=0, step=10)


def test_collect_cuts_signals_of_other_formats_too(tmp_path):
    counts = tiny_sets.noise(0, 2, 5050)
    tiny_sets.write_record(tmp_path / "04015", counts, 250, ("ECG1", "ECG2"), gain=200, fmt="212")
    one = recording(path=tmp_path / "04015", name="04015", sampling_rate=250.0, samples=5050)
    collected = rhythms.collect("afdb", [one], 10, 5, ("ECG2",), tmp_path / "cache")
    assert collected.table.index.tolist() == ["04015@0", "04015@5", "04015@10"]
    assert (collected.sampling_rate, collected.channels, collected.unit) == (250, ("ECG2",), "mV")
    for i, start in enumerate((0, 1250, 2500)):
        np.testing.assert_allclose(
            collected.physical([i])[0, 0], counts[start : start + 2500, 1] / 200, atol=6e-4
        )


def test_recordings_without_signals_or_too_short_are_listed(tmp_path):
    for name, samples in (("a", 400), ("b", 2000)):
        tiny_sets.write_record(tmp_path / name, tiny_sets.noise(1, 1, samples), 100, ("I",))
    some = [
        recording(path=tmp_path / name, name=name, samples=samples)
        for name, samples in (("a", 400), ("b", 2000), ("c", 2000))
    ]
    collected = rhythms.collect("cpsc2021", some, 10, 10, ("I",), tmp_path / "cache")
    assert collected.table["recording"].tolist() == ["b", "b"]
    assert collected.excluded["record"].tolist() == ["a", "c"]
    assert (
        collected.excluded["reason"].str.contains("lasts 4 s, less than a window|c.hea cannot be read").all()
    )
    with pytest.raises(ValueError, match="no recording of cpsc2021 .* 1 x lasts 4 s"):
        rhythms.collect("cpsc2021", some[:1], 10, 10, ("I",), tmp_path / "cache")
    with pytest.raises(ValueError, match=r"one sampling rate .* \[100.0, 200.0\]"):
        rhythms.collect("cpsc2021", [some[1], recording(sampling_rate=200.0)], 10, 10, ("I",), tmp_path)


def test_a_changed_annotation_file_makes_the_windows_again(tmp_path):
    tiny_sets.write_record(tmp_path / "b", tiny_sets.noise(1, 1, 2000), 100, ("I",))
    (tmp_path / "b.atr").write_bytes(b"\0\0")
    one = recording(path=tmp_path / "b", name="b")
    assert rhythms.collect("x", [one], 10, 10, ("I",), tmp_path / "cache").table["AFIB"].tolist() == [
        True,
        True,
    ]
    (tmp_path / "b.atr").write_bytes(b"\x01\x04\0\0")
    other = recording(path=tmp_path / "b", name="b", episodes=((0.0, 20.0, "N"),))
    assert not rhythms.collect("x", [other], 10, 10, ("I",), tmp_path / "cache").table["AFIB"].any()


def test_nothing_is_kept_of_a_set_that_changes_while_it_is_read(tmp_path, monkeypatch):
    tiny_sets.write_record(tmp_path / "b", tiny_sets.noise(1, 1, 2000), 100, ("I",))
    (tmp_path / "b.atr").write_bytes(b"\0\0")
    cut = rhythms._cut

    def cut_and_change(*arguments):
        (tmp_path / "b.atr").write_bytes(b"\x01\x04\0\0")
        return cut(*arguments)

    monkeypatch.setattr(rhythms, "_cut", cut_and_change)
    with pytest.raises(waveforms.StorageError, match="b.atr changed or went away while the set was read"):
        rhythms.collect("x", [recording(path=tmp_path / "b", name="b")], 10, 10, ("I",), tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("x-windows-*"))
