from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from biosignals.caching import Cache
from biosignals.data import preparation
from biosignals.data.recordings import Recordings
from biosignals.signals import scalogram
from biosignals.signals.images import record_image


def recordings(lengths=(300, 250, 90), rate=100.0):
    rng = np.random.default_rng(0)
    signals = np.zeros((len(lengths), 1, max(lengths)), np.int16)
    for row, length in zip(signals, lengths, strict=True):
        row[:, :length] = rng.integers(-900, 900, length)
    table = pd.DataFrame(
        {"subject": range(len(lengths)), "samples": lengths}, index=list("abcdef")[: len(lengths)]
    )
    return Recordings("cinc2017", signals, 0.001, "mV", rate, ("I",), table)


def test_a_slow_wave_survives_resampling():
    time = np.arange(5000) / 500
    wave = (1000 * np.sin(2 * np.pi * 3 * time)).astype(np.int16)[None, None]
    table = pd.DataFrame({"subject": [1], "samples": [5000]})
    found = preparation.resample(Recordings("ptb-xl", wave, 0.001, "mV", 500.0, ("I",), table), 125)
    expected = np.sin(2 * np.pi * 3 * np.arange(1250) / 125)
    assert found.sampling_rate == 125 and found.table.samples[0] == 1250
    np.testing.assert_allclose(found.physical()[0, 0, 50:-50], expected[50:-50], atol=0.01)


def test_windows_are_pieces_of_their_recording_and_reach_its_end():
    source = recordings()
    found = preparation.cut_windows(source, 1.0, 0.5)
    assert found.signals.shape[1:] == (1, 100) and list(found.table.recording.unique()) == ["a", "b", "c"]
    for window, (_, row) in zip(found.signals, found.table.iterrows(), strict=True):
        start, own = round(row.start * 100), "abc".index(row.recording)
        piece = source.signals[own, :, start : start + row.samples]
        np.testing.assert_array_equal(window[:, : row.samples], piece)
        assert not window[:, row.samples :].any()
    ends = found.table.groupby("recording").apply(
        lambda t: (t.start * 100 + t.samples).max(), include_groups=False
    )
    assert list(ends) == [300, 250, 90]


def test_a_short_recording_may_fill_its_window_by_itself():
    source = recordings()
    found = preparation.cut_windows(source, 2.0, 1.0, repeat=True)
    own = source.signals[2, :, :90]
    short = found.signals[(found.table.recording == "c").to_numpy()]
    np.testing.assert_array_equal(short[0], np.concatenate([own, own, own[:, :20]], axis=1))
    zeros = preparation.cut_windows(source, 2.0, 1.0)
    whole = (found.table.samples == 200).to_numpy()
    np.testing.assert_array_equal(found.signals[whole], zeros.signals[whole])


@given(st.integers(1, 500), st.integers(1, 200), st.integers(1, 200))
def test_windows_cover_every_sample_when_they_touch(samples, length, step):
    starts = preparation.window_starts(samples, length, min(step, length))
    covered = np.zeros(samples, bool)
    for start in starts:
        covered[start : start + length] = True
    assert covered.all() and starts[-1] == max(samples - length, 0) and (np.diff(starts) > 0).all()


def test_means_come_back_in_the_recordings_order():
    windows = preparation.cut_windows(recordings(), 1.0, 0.5)
    values = np.stack(
        [windows.table.recording.map({"a": 1.0, "b": 2.0, "c": 3.0}), np.arange(len(windows))], axis=1
    )
    means = preparation.mean_per_recording(values, windows)
    np.testing.assert_allclose(means[:, 0], [1, 2, 3])
    expected = pd.Series(values[:, 1]).groupby(windows.table.recording).mean()
    np.testing.assert_allclose(means[:, 1], expected)


def test_features_are_the_same_however_many_records_are_read_at_a_time(monkeypatch):
    source = recordings((300, 250, 90, 10, 120))

    def describe(signals, sampling_rate):
        assert len(signals) <= 2 and sampling_rate == source.sampling_rate
        return pd.DataFrame({"mean": signals.mean((1, 2)), "highest": signals.max((1, 2))})

    monkeypatch.setattr(preparation, "BLOCK", 2)
    found = preparation.extract_features(source, describe)
    whole = source.physical()
    np.testing.assert_allclose(found, np.stack([whole.mean((1, 2)), whole.max((1, 2))], axis=1), rtol=1e-6)


def test_features_are_computed_once_and_only_of_what_is_a_recordings_own(tmp_path, monkeypatch):
    def energy(signals, sampling_rate, lengths, power):
        return [[(row[0, :own] ** power).sum()] for row, own in zip(signals, lengths, strict=True)]

    def extract(power):
        return preparation.extract_features(source, energy, Cache(tmp_path), padded=True, power=power)

    source = recordings((300, 250, 90))
    found = extract(2)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:, 0], np.square(source.physical()).sum((1, 2)), rtol=1e-5)
    monkeypatch.setattr(Recordings, "physical", None)  # nothing can be computed from here on
    assert np.array_equal(extract(2), found)
    with pytest.raises(TypeError, match="not callable"):
        extract(3)


def test_only_whole_counts_are_resampled():
    source = recordings()
    floats = Recordings("x", source.physical(), 1.0, "mV", 100.0, ("I",), source.table)
    with pytest.raises(ValueError, match="int16"):
        preparation.resample(floats, 50)


def test_records_become_pictures_with_their_rows_as_channels():
    rng = np.random.default_rng(0)
    signals = (1000 * rng.normal(size=(5, 12, 100))).astype(np.int16)
    table = pd.DataFrame({"subject": range(5), "samples": 100, "fold": 1}, index=list("abcde"))
    leads = tuple(f"lead {i}" for i in range(12))
    source = Recordings("ptb-xl", signals, 0.001, "mV", 100.0, leads, table)
    found = preparation.record_images(source, height=20, width=24)
    assert found.signals.shape == (5, 20, 24) and found.signals.dtype == np.int16
    assert (
        found.sampling_rate == 20
        and set(found.table.samples) == {24}
        and list(found.table.index) == list("abcde")
    )
    np.testing.assert_allclose(found.physical(), record_image(source.physical(), 20, 24), atol=0.0006)
    across = preparation.record_images(source, height=24, width=20, time_across=True)
    assert np.array_equal(across.signals, found.signals.swapaxes(1, 2)) and across.sampling_rate == 20


def test_records_become_pages_of_paper_whose_scans_differ_from_each_other_alone():
    signals = np.tile((1000 * np.sin(np.arange(400) / 5)).astype(np.int16), (70, 12, 1))
    table = pd.DataFrame({"subject": range(70), "samples": 400, "fold": 1})
    source = Recordings("ptb-xl", signals, 0.001, "mV", 100.0, tuple(map(str, range(12))), table)
    pages, scans = (preparation.paper_images(source, 24, 40, scanned) for scanned in (False, True))
    assert pages.signals.shape == (70, 24, 40) and pages.physical().max() == 1
    assert (pages.signals == pages.signals[0]).all()
    assert not (scans.signals[0] == scans.signals[64]).all()  # of the next batch
    assert np.array_equal(scans.signals, preparation.paper_images(source, 24, 40, True).signals)


def two_leads(lengths=(300, 250, 200), rate=100.0):
    source = recordings(lengths, rate)
    signals = np.concatenate([source.signals, source.signals[:, :, ::-1] // 2], axis=1)
    return Recordings("ptb-xl", signals, 0.001, "mV", rate, ("I", "II"), source.table)


def test_scalograms_are_rows_of_each_lead_in_the_recordings_unit():
    source, hertz = two_leads((300, 300, 300)), np.array([25, 12.5, 5])
    found = preparation.scalograms(source, hertz, "cmor1.5-1.0", bins=60)
    assert found.channels == ("I 25 Hz", "I 12.5 Hz", "I 5 Hz", "II 25 Hz", "II 12.5 Hz", "II 5 Hz")
    assert (
        found.signals.dtype == np.float32 and found.sampling_rate == 20 and (found.table.samples == 60).all()
    )
    millivolts = torch.from_numpy(source.physical())
    expected = scalogram.scalogram(
        millivolts - millivolts.mean(-1, keepdim=True), [4, 8, 20], "cmor1.5-1.0", 60
    )
    np.testing.assert_allclose(found.signals.reshape(3, 2, 3, 60), expected, atol=1e-6)


def test_an_offset_changes_no_scalogram_even_of_a_recording_that_was_filled_up_with_zeros():
    source = recordings((300, 250, 200))
    raised = source.signals.copy()
    for row, own in zip(raised, source.table.samples, strict=True):
        row[:, :own] += 5000
    plain, offset = (
        preparation.scalograms(
            Recordings("cinc2017", x, 0.001, "mV", 100.0, ("I",), source.table), [10, 3], bins=50
        )
        for x in (source.signals, raised)
    )
    np.testing.assert_allclose(offset.signals, plain.signals, atol=1e-4)
    assert list(plain.table.samples) == [50, 42, 34]


def test_recordings_with_a_flat_channel_are_named_and_refused():
    source = two_leads()
    source.signals[1, 1] = 0
    with pytest.raises(
        ValueError, match="ptb-xl: 1 recordings, b the first, have a channel that never changes"
    ):
        preparation.scalograms(source, [10, 3])


def test_recordings_of_one_width_are_cut_filled_or_stretched():
    source = recordings((300, 250, 90))
    cut = preparation.fit_length(source, 100, "crop-or-pad")
    np.testing.assert_allclose(cut.signals[0, 0], source.physical()[0, 0, 100:200])
    np.testing.assert_allclose(cut.signals[2, 0, :90], source.physical()[2, 0, :90])
    assert not cut.signals[2, 0, 90:].any() and list(cut.table.samples) == [100, 100, 90]
    stretched = preparation.fit_length(source, 101, "resample")
    np.testing.assert_allclose(stretched.signals[1, 0, [0, -1]], source.physical()[1, 0, [0, 249]], rtol=1e-6)
    assert list(stretched.table.samples) == [101] * 3


def test_z_scores_forget_gain_and_offset_of_each_channel():
    rng = np.random.default_rng(0)
    signals = rng.normal([[[3.0], [50.0]]], [[[2.0], [0.1]]], (4, 2, 200)).astype(np.float32)
    signals[1, 0] = 7
    table = pd.DataFrame({"subject": range(4), "samples": 200})
    found = preparation.z_score(Recordings("bidmc", signals, 1.0, "mV", 125.0, ("II", "PLETH"), table))
    np.testing.assert_allclose(found.signals[[0, 2, 3]].mean(-1), 0, atol=1e-5)
    np.testing.assert_allclose(found.signals[[0, 2, 3]].std(-1), 1, atol=1e-5)
    assert (found.signals[1, 0] == 0).all() and found.unit == "SD"


def test_what_is_filtered_and_scaled_forgets_gain_offset_and_drift():
    source = waves()
    moved = replace(source, signals=2 * source.physical() + 5, scale=1.0)
    found, again = (preparation.filter_and_scale(one, 0.5, 40) for one in (source, moved))
    np.testing.assert_allclose(found.signals, again.signals, atol=1e-4)
    assert found.signals.min(axis=(1, 2)).tolist() == [0] * len(source)
    assert found.signals.max(axis=(1, 2)).tolist() == [1] * len(source)
    flat = preparation.filter_and_scale(replace(source, signals=np.zeros_like(source.signals)), 0.5, 40)
    assert not flat.signals.any()


def test_a_scalogram_with_phase_has_magnitude_real_and_imaginary_part_of_each_lead():
    source, hertz = waves(), np.array([5.0, 10.0])
    plain = preparation.scalograms(source, hertz, bins=40)
    found = preparation.scalograms(source, hertz, bins=40, phase=True)
    leads = len(source.channels)
    images = found.signals.reshape(len(source), leads, 3, 2, 40)
    np.testing.assert_allclose(
        images[:, :, 0].reshape(plain.signals.shape), plain.signals, rtol=1e-3, atol=1e-5
    )
    np.testing.assert_allclose(
        np.hypot(images[:, :, 1], images[:, :, 2]), images[:, :, 0], rtol=1e-3, atol=1e-5
    )
    assert found.channels[2:4] == (f"{source.channels[0]} 5 Hz real", f"{source.channels[0]} 10 Hz real")
    assert images[:, :, 1].min() < 0


@pytest.mark.parametrize("mel", [False, True])
def test_spectrograms_are_laid_out_as_scalograms(mel):
    source = waves()
    found = preparation.spectrograms(source, 0.32, rows=20, bins=40, mel=mel)
    assert found.signals.shape == (len(source), 20 * len(source.channels), 40)
    assert found.channels[0] == f"{source.channels[0]} {'mel' if mel else 'row'} 1"
    picture = found.signals[0, :20].mean(1)
    strongest = 10 / 50 * 20
    assert abs(picture.argmax() - strongest) <= 1


def waves():
    """Two recordings of two leads, 10 Hz in the first lead of the first."""
    t = np.arange(200) / 100
    x = np.random.default_rng(0).normal(size=(2, 2, 200)).astype(np.float32)
    x[0, 0] = np.sin(2 * np.pi * 10 * t)
    table = pd.DataFrame({"subject": [1, 2], "samples": 200})
    return Recordings("own", x, 1.0, "SD", 100.0, ("I", "II"), table)


def test_pictures_are_drawn_by_name():
    source, look = waves(), {"band": (5, 40), "bins": 20, "window": 0.32, "rows": 16}
    rows = {
        how: preparation.pictures(source, how, **look).signals.shape[1]
        for how in ("scalogram", "phase", "mel")
    }
    assert rows == {"scalogram": 32, "phase": 96, "mel": 32}
    assert preparation.pictures(source, "raw", **look) is source
    with pytest.raises(ValueError, match="no picture 'photo'"):
        preparation.pictures(source, "photo", **look)
