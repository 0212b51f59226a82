import dataclasses
import os
from unittest import mock

import edfio
import numpy as np
import pytest
import scipy.signal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from biosignals.data import eeg
from biosignals.data.waveforms import Unreadable
from biosignals.signals.windows import prepare

RATE = 32
SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)


def write_edf(path, signals, rate, labels, unit="uV", low=-400.0, high=400.0):
    """Writes (channels, samples) in `unit` as an EDF file of one-second data records."""
    span = {"physical_range": (low, high), "physical_dimension": unit}
    signals = [
        edfio.EdfSignal(x, rate, label=label, **span) for x, label in zip(signals, labels, strict=True)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    edfio.Edf(signals, data_record_duration=1).write(path)


def noise(channels, seconds, rate=RATE, seed=0):
    return np.random.default_rng(seed).normal(0, 40, (channels, seconds * rate)).clip(-400, 400)


@pytest.fixture
def made(tmp_path):
    """Writes a recording of noise and opens it; returns recording and signals."""

    def make(name="r1", seconds=60, labels=("A", "B"), seizures=(), **options):
        signals = noise(len(labels), seconds, seed=len(name))
        write_edf(tmp_path / f"{name}.edf", signals, RATE, labels, **options)
        return eeg.open_recording(tmp_path / f"{name}.edf", "s1", name, labels, RATE, seizures), signals

    return make


def test_a_recording_is_known_by_its_header(made):
    recording, _ = made(seconds=60, seizures=[(40, 50), (3, 9.5)])
    assert (recording.samples, recording.seconds, recording.channels) == (60 * RATE, 60, ("A", "B"))
    assert recording.seizures == ((3.0, 9.5), (40.0, 50.0))


@SHARED
@given(data=st.data())
def test_any_stretch_is_that_of_the_signals(made, data):
    recording, signals = made(seconds=5)
    start = data.draw(st.integers(0, recording.samples - 1))
    stop = data.draw(st.integers(start + 1, recording.samples))
    stretch = eeg.read(recording, start, stop)
    assert stretch.dtype == np.float32
    np.testing.assert_allclose(stretch, signals[:, start:stop], atol=0.01)  # one count is 0.012 uV


@pytest.mark.parametrize("start, stop", [(-1, 5), (5, 5), (0, 60 * RATE + 1)])
def test_a_stretch_outside_of_the_recording_is_refused(made, start, stop):
    recording, _ = made()
    with pytest.raises(IndexError, match="are not in r1"):
        eeg.read(recording, start, stop)


@pytest.mark.parametrize("unit, microvolts", [("uV", 1), ("mV", 1e3), ("V", 1e6)])
def test_signals_are_in_microvolts_whatever_the_file_holds(made, unit, microvolts):
    recording, signals = made(seconds=2, unit=unit)
    np.testing.assert_allclose(eeg.read(recording, 0, 64), signals * microvolts, atol=0.01 * microvolts)


@SHARED
@given(order=st.permutations(["FP1-F7", "T8-P8", "T8-P8", "-", "-", "--0", "ECG", "EEG Cz-Ref"]))
def test_channels_are_found_in_any_order_among_others(tmp_path, order):
    signals = noise(len(order), 2)
    write_edf(tmp_path / "r.edf", signals, RATE, order)
    wanted = ("T8-P8-1", "Cz", "T8-P8", "FP1-F7")
    found = eeg.read(eeg.open_recording(tmp_path / "r.edf", "s", "r", wanted, RATE), 0, 64)
    first = order.index("T8-P8")
    rows = [order.index("T8-P8", first + 1), order.index("EEG Cz-Ref"), first, order.index("FP1-F7")]
    np.testing.assert_allclose(found, signals[rows], atol=0.01)


def test_repeats_numbered_by_the_writing_program_are_the_same(tmp_path):
    signals = noise(2, 2)
    write_edf(tmp_path / "r.edf", signals, RATE, ["T8-P8-0", "T8-P8-1"])
    recording = eeg.open_recording(tmp_path / "r.edf", "s", "r", ["T8-P8-1", "T8-P8"], RATE)
    np.testing.assert_allclose(eeg.read(recording, 0, 64), signals[::-1], atol=0.01)


def edit(path, start, value):
    content = bytearray(path.read_bytes())
    content[start : start + len(value)] = value
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage, reason",
    [
        (lambda path: path.unlink(), r"r1.edf cannot be read \(No such file .*download"),
        (
            lambda path: path.write_bytes(path.read_bytes()[:-1]),
            r"is cut short \(59 .* header says 60\): download",
        ),
        (
            lambda path: path.write_bytes(path.read_bytes()[:768]),
            "is (damaged|cut short .0 data records).*download",
        ),
        (lambda path: path.write_bytes(path.read_bytes()[:700]), "r1.edf is (damaged|cut short) .*download"),
        (lambda path: path.write_bytes(b"no EDF"), "is no EDF file: download"),
        (lambda path: edit(path, 252, b"9999"), "is damaged .9999 signals"),
        (lambda path: edit(path, 252, b"-3  "), "is damaged .-3 signals"),
        (lambda path: edit(path, 244, b"0       "), "gives its data records a duration of 0: download"),
        (lambda path: edit(path, 244, b"2       "), "is sampled at 16 Hz, expected 32 Hz: leave it out"),
        (lambda path: edit(path, 192, b"EDF+D"), "may have gaps in time .EDF.D without times"),
        (lambda path: edit(path, 256, b"C   "), "has no channel A; it holds C, B: leave it out or"),
        (lambda path: edit(path, 256 + 2 * 96, b"degC"), "gives A in 'degC', expected uV"),
        (lambda path: edit(path, 256 + 2 * 104, b"nan     "), "has no usable scale for A"),
        (lambda path: edit(path, 256 + 2 * 104, b"400.0   "), "has no usable scale for A"),
        (lambda path: edit(path, 256 + 2 * 104, b"        "), "has no usable scale for A"),
    ],
)
def test_a_damaged_file_is_refused_by_name_with_its_remedy(made, damage, reason):
    recording, _ = made()
    damage(recording.path)
    with pytest.raises(Unreadable, match=reason):
        eeg.open_recording(recording.path, "s1", "r1", recording.channels, RATE)


@pytest.mark.parametrize(
    "unit", [b"uV", b"uv", b"UV", b"\xb5V", "\u00b5V".encode(), "\u03bcV".encode(), b"uV\0\0\0\0\0\0"]
)
def test_microvolts_are_written_in_many_ways(made, unit):
    recording, signals = made(seconds=2)
    edit(recording.path, 256 + 2 * 96, unit.ljust(8))
    found = eeg.open_recording(recording.path, "s1", "r1", recording.channels, RATE)
    np.testing.assert_allclose(eeg.read(found, 0, 64), signals, atol=0.01)


@pytest.mark.parametrize("records", [b"-1      ", b"7       "])
def test_a_file_that_its_recorder_did_not_close_is_as_long_as_it_is(made, records):
    recording, signals = made(seconds=12)
    edit(recording.path, 236, records)
    found = eeg.open_recording(recording.path, "s1", "r1", recording.channels, RATE, [(8, 11)])
    assert found.seconds == 12
    np.testing.assert_allclose(eeg.read(found, 0, 12 * RATE), signals, atol=0.01)


def test_recordings_of_24_bits_are_read(tmp_path):
    signals = noise(2, 4)
    span = {"physical_range": (-400, 400), "physical_dimension": "uV"}
    bdf = [edfio.BdfSignal(x, RATE, label=label, **span) for x, label in zip(signals, "AB", strict=True)]
    edfio.Bdf(bdf, data_record_duration=1).write(tmp_path / "r.bdf")
    found = eeg.open_recording(tmp_path / "r.bdf", "s", "r", "BA", RATE)
    np.testing.assert_allclose(eeg.read(found, 30, 70), signals[::-1, 30:70], atol=1e-4)


def test_a_name_that_several_channels_answer_to_is_ambiguous(tmp_path):
    write_edf(tmp_path / "r.edf", noise(3, 2), RATE, ["T8-P8", "T8-P8", "T8-P8-1"])
    with pytest.raises(Unreadable, match="several channels that may be T8-P8-1"):
        eeg.open_recording(tmp_path / "r.edf", "s", "r", ["T8-P8", "T8-P8-1"], RATE)
    assert eeg.open_recording(tmp_path / "r.edf", "s", "r", ["T8-P8"], RATE).channels == ("T8-P8",)


@pytest.mark.parametrize("kind", [b"EDF+C", b"EDF+D"])
def test_gaps_are_told_by_the_times_of_the_data_records(tmp_path, kind):
    span = {"physical_range": (-400, 400), "physical_dimension": "uV"}
    signals = [edfio.EdfSignal(noise(1, 12)[0], RATE, label="A", **span)]
    edfio.Edf(signals, data_record_duration=1, annotations=[]).write(tmp_path / "r.edf")
    edit(tmp_path / "r.edf", 192, kind)
    assert eeg.open_recording(tmp_path / "r.edf", "s", "r", "A", RATE).seconds == 12
    content = (tmp_path / "r.edf").read_bytes()
    (tmp_path / "r.edf").write_bytes(content.replace(b"+11\x14", b"+99\x14"))
    with pytest.raises(
        Unreadable, match="r.edf has gaps in time .data record 12 starts at 99 s, not at 11 s"
    ):
        eeg.open_recording(tmp_path / "r.edf", "s", "r", "A", RATE)


ABSURD = ["1e999", "-1e999", "nan", "inf", "-1", "0", "1e-999", "1e300", "99999999", "\0", "", "1e400", "+-5"]


def test_whatever_number_a_header_gives_it_is_refused_or_makes_sense(made):
    recording, _ = made(seconds=3)
    content = recording.path.read_bytes()
    fields = [(184, 8), (236, 8), (244, 8), (252, 4)]
    fields += [
        (256 + 2 * start + 8 * signal, 8) for start in (96, 104, 112, 120, 128, 216) for signal in (0, 1)
    ]
    for start, length in fields:
        for absurd in ABSURD:
            recording.path.write_bytes(content)
            edit(recording.path, start, absurd[:length].ljust(length).encode())
            try:
                found = eeg.open_recording(recording.path, "s1", "r1", recording.channels, RATE)
            except Unreadable as error:
                assert "r1.edf" in str(error)
            else:
                assert np.isfinite(eeg.read(found, 0, found.samples)).all(), (start, absurd)


def test_a_file_cut_short_after_it_was_opened_is_not_read(made):
    recording, _ = made()
    recording.path.write_bytes(recording.path.read_bytes()[:-1])
    with pytest.raises(Unreadable, match="cut short"):
        eeg.read(recording, 0, 5)
    write_edf(recording.path, noise(2, 30), RATE, "AB")
    with pytest.raises(Unreadable, match="has changed since"):
        eeg.read(recording, 0, 5)


@pytest.mark.parametrize("seizure", [(50, 61), (-1, 5), (9, 9), (70, 80), (float("nan"), 5)])
def test_a_seizure_outside_of_the_recording_is_refused(made, seizure):
    with pytest.raises(
        Unreadable, match="r1.edf lasts 60 s, but a seizure is annotated from .*do not belong"
    ):
        made(seizures=[seizure])


@SHARED
@given(batch=st.integers(1, 30), step=st.sampled_from([1, 2.5, 4, 7]), rate=st.sampled_from([None, 16, 24]))
def test_windows_are_the_same_alone_and_in_any_batch(made, batch, step, rate):
    recording, _ = made(seconds=30)
    with mock.patch.object(eeg, "BATCH", batch):
        found = list(eeg.windows(recording, 4, step, rate))
    assert max(len(starts) for starts, _ in found) <= batch
    starts = np.concatenate([starts for starts, _ in found])
    windows = np.concatenate([x for _, x in found])
    np.testing.assert_allclose(starts, np.arange(0, 26.1, step))
    for start, window in zip(starts, windows, strict=True):
        stretch = eeg.read(recording, round(start * RATE), round((start + 4) * RATE))
        np.testing.assert_array_equal(window, prepare(stretch, RATE, rate or RATE))


def test_prepared_windows_are_resampled_and_without_mean():
    x = noise(3, 4).reshape(1, 3, -1) + 50
    slow = prepare(x, RATE, 8)
    expected = scipy.signal.resample_poly(x, 1, 4, axis=-1, padtype="line")
    assert slow.shape == (1, 3, 32) and slow.dtype == np.float32
    np.testing.assert_allclose(slow, expected - expected.mean(-1, keepdims=True), atol=1e-3)
    np.testing.assert_allclose(slow.mean(-1), 0, atol=1e-5)


def test_only_the_chosen_windows_are_made(made, monkeypatch):
    recording, _ = made()
    every = np.concatenate([x for _, x in eeg.windows(recording, 4, 2)])
    chosen = np.arange(29) % 7 == 3
    monkeypatch.setattr(eeg, "BATCH", 5)
    found = list(eeg.windows(recording, 4, 2, chosen=chosen))
    assert np.concatenate([starts for starts, _ in found]).tolist() == [6, 20, 34, 48]
    np.testing.assert_array_equal(np.concatenate([x for _, x in found]), every[chosen])
    with pytest.raises(ValueError, match="3 choices do not fit the 29 windows"):
        next(eeg.windows(recording, 4, 2, chosen=[True] * 3))


def test_windows_that_do_not_fit_are_refused(made):
    recording, _ = made(seconds=3)
    with pytest.raises(Unreadable, match="lasts 3 s, less than a window of 4 s"):
        next(eeg.windows(recording, 4, 1))
    with pytest.raises(ValueError, match="0.01 s is no whole number of samples at 32 Hz"):
        next(eeg.windows(recording, 1, 0.01))


@given(
    starts=st.lists(st.integers(0, 100), max_size=20),
    seconds=st.integers(1, 20),
    seizures=st.lists(st.tuples(st.integers(0, 90), st.integers(1, 30)), max_size=3),
)
def test_a_window_is_a_seizure_where_it_shares_time_with_one(starts, seconds, seizures):
    seizures = [(start, start + length) for start, length in seizures]
    within = {second for start, end in seizures for second in range(start, end)}
    expected = [bool(within & set(range(start, start + seconds))) for start in starts]
    assert eeg.is_seizure(np.array(starts), seconds, seizures).tolist() == expected


@pytest.fixture
def collect(tmp_path):
    return lambda recordings, **options: eeg.collect(
        "set", recordings, seconds=4, step=2, sampling_rate=16, cache=tmp_path / "cache", **options
    )


def test_collected_windows_are_those_of_the_recordings(made, collect):
    one, two = made("one", seizures=[(10, 15)])[0], made("second", seconds=20)[0]
    two = dataclasses.replace(two, subject="s2")
    collected = collect([one, two])
    expected = np.concatenate([x for recording in (one, two) for _, x in eeg.windows(recording, 4, 2, 16)])
    assert collected.signals.shape == (29 + 9, 2, 64) and isinstance(collected.signals, np.memmap)
    assert (collected.unit, collected.sampling_rate, collected.channels) == ("uV", 16, ("A", "B"))
    np.testing.assert_allclose(collected.physical(), expected, atol=0.101)
    table = collected.table
    assert table["subject"].tolist() == ["s1"] * 29 + ["s2"] * 9
    assert table["recording"].tolist() == ["one"] * 29 + ["second"] * 9
    assert table["start"].tolist() == [*range(0, 58, 2), *range(0, 18, 2)]
    assert table["start"][table["seizure"]].tolist() == [8, 10, 12, 14]
    assert (table["samples"] == 64).all() and table.index.is_unique and table.index[1] == "one@2"


def test_background_is_drawn_and_no_seizure_is_lost(made, collect):
    one, two = made("one", seconds=200, seizures=[(100, 120)])[0], made("second", seconds=200)[0]
    part = collect([one, two], background=0.3, seed=1)
    assert part.table["seizure"].sum() == 11
    assert 0.15 < (~part.table["seizure"]).sum() / 187 < 0.45
    alone = collect([two], background=0.3, seed=1)
    assert alone.table.index.tolist() == part.table.index[part.table["recording"] == "second"].tolist()
    np.testing.assert_array_equal(alone.signals, part.signals[part.table["recording"] == "second"])
    other = collect([two], background=0.3, seed=2)
    assert other.table.index.tolist() != alone.table.index.tolist()
    assert collect([one, two], background=0).table["seizure"].all()


def test_far_beyond_the_range_is_cut_off_not_turned_over(tmp_path, collect):
    x = np.where(np.arange(20 * RATE) % 64 < 32, 20_000.0, -20_000.0)
    write_edf(tmp_path / "r.edf", [x, x / 100], RATE, "AB", low=-30_000, high=30_000)
    found = collect([eeg.open_recording(tmp_path / "r.edf", "s", "r", "AB", RATE)]).physical()
    assert found.max() == pytest.approx(6553.4) and found.min() == pytest.approx(-6553.4)
    assert (np.sign(found[:, 0]) == np.sign(found[:, 1]))[..., 8:24].all()


def test_the_cache_opens_again_and_notices_changes(made, collect, monkeypatch):
    recording, _ = made(seizures=[(10, 15)])
    first = collect([recording])
    with monkeypatch.context() as patch:
        patch.setattr(eeg, "read", None)  # so that it cannot be made again
        again = collect([recording])
    np.testing.assert_array_equal(first.signals, again.signals)
    assert first.table.equals(again.table) and again.excluded.empty
    write_edf(recording.path, noise(2, 60, seed=9), RATE, "AB")
    os.utime(recording.path, ns=(1, 1))
    assert not np.array_equal(collect([recording]).signals, first.signals)
    moved = dataclasses.replace(recording, seizures=((30.0, 35.0),))
    assert collect([moved]).table["seizure"].tolist() != first.table["seizure"].tolist()


def test_a_recording_that_cannot_be_used_is_left_out_and_listed(made, collect, tmp_path):
    good, gone, short = made("good")[0], made("gone")[0], made("short", seconds=3)[0]
    write_edf(tmp_path / "flat.edf", np.full((2, 60 * RATE), 7.0), RATE, "AB")
    flat = eeg.open_recording(tmp_path / "flat.edf", "s2", "flat", "AB", RATE)
    gone.path.unlink()
    collected = collect([gone, flat, good, short])
    assert collected.table["recording"].unique().tolist() == ["good"] and len(collected.signals) == 29
    np.testing.assert_array_equal(collected.signals, collect([good]).signals)
    reasons = collected.excluded.set_index("record")["reason"]
    assert reasons.index.tolist() == ["gone", "flat", "short"]
    assert "cannot be read" in reasons["gone"] and "does not change at all" in reasons["flat"]
    assert "less than a window" in reasons["short"]
    assert collected.excluded["file"].tolist() == ["gone.edf", "flat.edf", "short.edf"]


def test_a_file_that_ends_while_it_is_read_leaves_nothing_behind(made, collect, monkeypatch):
    bad, good = made("bad", seconds=400)[0], made("good")[0]
    read = eeg.read

    def fails_late(recording, start, stop):
        if recording.name == "bad" and start > 0:
            raise Unreadable("disk failed")
        return read(recording, start, stop)

    monkeypatch.setattr(eeg, "read", fails_late)
    collected = collect([bad, good])
    assert collected.table["recording"].unique().tolist() == ["good"]
    np.testing.assert_array_equal(collected.signals, collect([good]).signals)


def test_nothing_left_and_unlike_recordings_are_refused(made, collect):
    recording, other = made("one")[0], made("other", labels=("A", "C"))[0]
    with pytest.raises(ValueError, match="no recording of set"):
        collect([])
    with pytest.raises(ValueError, match="one and other differ in channels"):
        collect([recording, other])
    with pytest.raises(ValueError, match="one stands more than once"):
        collect([recording, recording])
    with pytest.raises(ValueError, match="no window of set in .* can be used: none is asked for"):
        collect([recording], background=0)
    recording.path.unlink()
    with pytest.raises(ValueError, match="no window of set in .* can be used: 1 x .*cannot be read"):
        collect([recording])
