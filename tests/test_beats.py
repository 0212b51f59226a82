import numpy as np
import pytest
import pywt
from wfdb.processing import xqrs_detect

from biosignals.data.ptbxl import LEADS
from biosignals.evaluation import beats
from biosignals.signals.beats import (
    NEUROKIT,
    median_beat,
    most_typical,
    qrs_axis,
    r_peaks,
    wave_limits,
    wave_peaks,
)
from biosignals.signals.filters import bandpass


def test_agrees_with_wfdb_on_a_real_ecg():
    ecg = np.tile(pywt.data.ecg(), 4) / 200.0  # a real lead at 360 Hz, long enough for wfdb to learn from
    ours, theirs = r_peaks(ecg, 360), xqrs_detect(ecg, 360, verbose=False)
    assert len(ours) == len(theirs) == 12
    np.testing.assert_allclose(ours, theirs, atol=0.01 * 360)


@pytest.mark.parametrize("scale", [0.001, 1, 1000])
def test_unit_and_polarity_do_not_matter(scale):
    ecg = pywt.data.ecg().astype(float)
    np.testing.assert_array_equal(r_peaks(ecg, 360), r_peaks(-scale * ecg, 360))


def test_no_beats_in_a_flat_record():
    assert len(r_peaks(np.zeros((12, 1000)), 100)) == 0
    assert np.isnan(median_beat(np.zeros((12, 1000)), np.empty(0, int), 100)).all()


@pytest.mark.parametrize("method", NEUROKIT)
def test_each_of_neurokits_detectors_finds_most_beats_and_none_where_there_are_none(method):
    ecg = np.tile(pywt.data.ecg(), 6) / 200.0
    filtered = bandpass(ecg, 0.5, 40, 360)
    # Some mark the end of the QRS, a tenth of a second late.
    counts = beats.score_points(r_peaks(ecg, 360), r_peaks(filtered, 360, method), 360, tolerance=0.25)
    assert counts.found >= 0.8 * counts.marked
    assert len(r_peaks(np.empty(0), 360, method)) == 0
    assert r_peaks(np.zeros(3600), 360, method).dtype == np.int64


def test_neurokits_peaks_are_the_same_beats():
    ecg = pywt.data.ecg() / 200.0
    np.testing.assert_allclose(r_peaks(ecg, 360, "neurokit"), r_peaks(ecg, 360), atol=0.03 * 360)
    assert len(r_peaks(np.empty(0), 360, "neurokit")) == 0
    with pytest.raises(ValueError, match="one of energy, neurokit"):
        r_peaks(ecg, 360, "ssf")


def test_only_whole_beats_count():
    x = np.arange(200.0).reshape(2, 100) ** 2
    one = median_beat(x, np.array([5, 50, 98]), sampling_rate=100, before=0.1, after=0.2)
    assert one.shape == (2, 30)
    np.testing.assert_array_equal(one, median_beat(x, np.array([50]), 100, 0.1, 0.2))


def test_median_beat_ignores_one_odd_beat_and_starts_from_the_pr_level():
    beat = np.exp(-0.5 * (np.arange(-50, 50) / 2) ** 2)
    x = np.tile(beat, 7)[None] + 3.0
    x[0, 320:380] += 5
    middle = median_beat(x, np.arange(50, 700, 100), 100)
    assert middle[0, 30] == pytest.approx(1, abs=1e-3)
    assert middle[0, :10] == pytest.approx(np.zeros(10), abs=1e-3)


def test_the_most_typical_is_the_middle_one_of_those_chosen():
    beats = np.ones((6, 2, 5)) * np.array([0, 1, 2, 9, 10, np.nan])[:, None, None]
    assert most_typical(beats, np.array([True, True, True, False, False, True])) == 1
    assert most_typical(beats, np.array([False, False, True, True, True, False])) == 3
    with pytest.raises(ValueError, match="none"):
        most_typical(beats, np.zeros(6, bool))


WAVES = {"P": (-0.17, 0.018, 0.15), "Q": (-0.03, 0.008, -0.1), "R": (0, 0.01, 1.2), "S": (0.03, 0.008, -0.2),
         "T": (0.28, 0.04, 0.35)}  # fmt: skip


def beats_of_bumps(sampling_rate: float, beats: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """One lead whose waves are Gaussian bumps at known places, one beat a second; and its R peaks."""
    time = np.arange(round(beats * sampling_rate)) / sampling_rate % 1 - 0.4
    lead = sum(
        height * np.exp(-0.5 * ((time - place) / width) ** 2) for place, width, height in WAVES.values()
    )
    return lead, np.round((np.arange(beats) + 0.4) * sampling_rate).astype(int)


@pytest.mark.parametrize("sampling_rate", [100, 500])
def test_waves_are_found_where_they_are(sampling_rate):
    limits = wave_limits(*beats_of_bumps(sampling_rate), sampling_rate)
    assert limits["P_peak"] == pytest.approx(-0.17, abs=0.015)
    assert limits["T_peak"] == pytest.approx(0.28, abs=0.02)
    order = ["P_onset", "P_peak", "P_offset", "QRS_onset", "QRS_offset", "T_onset", "T_peak", "T_offset"]
    assert list(limits) == order and sorted(order, key=limits.get) == order
    assert 0.06 < limits["QRS_offset"] - limits["QRS_onset"] < 0.13


@pytest.mark.parametrize("sampling_rate", [100, 500])
def test_waves_peak_beat_by_beat_where_they_are(sampling_rate):
    lead, peaks = beats_of_bumps(sampling_rate)
    found = wave_peaks(lead, peaks, sampling_rate)
    for wave in ("P", "T"):
        places = peaks + WAVES[wave][0] * sampling_rate
        assert len(found[wave]) >= len(peaks) - 2  # the first and the last may be missed
        assert np.abs(found[wave][:, None] - places).min(axis=1).max() <= 0.02 * sampling_rate
    assert all(len(none) == 0 for none in wave_peaks(np.zeros(1000), np.array([100]), 100).values())


def test_what_is_not_there_is_nan():
    assert np.isnan(list(wave_limits(np.zeros(1000), np.array([100, 200]), 100).values())).all()


@pytest.mark.parametrize("degrees", [-60, 0, 45, 90, 150])
def test_the_axis_is_the_direction_that_the_heart_points_in(degrees):
    angles = {"I": 0, "AVF": 90}  # a lead sees the heart's projection; augmented ones are sqrt(3)/2 as large
    beat = np.zeros((1, 12, 80))
    pulse = np.exp(-0.5 * ((np.arange(80) - 30) / 1.5) ** 2)
    for lead, angle in angles.items():
        size = np.sqrt(3) / 2 if lead == "AVF" else 1
        beat[0, LEADS.index(lead)] = size * np.cos(np.radians(degrees - angle)) * pulse
    assert qrs_axis(beat, 100, LEADS) == pytest.approx([degrees])
