import numpy as np
import pytest
import pywt
from wfdb.processing import xqrs_detect

from biosignals.signals.beats import median_beat, most_typical, r_peaks


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


def test_neurokits_peaks_are_the_same_beats():
    ecg = pywt.data.ecg() / 200.0
    np.testing.assert_allclose(r_peaks(ecg, 360, "neurokit"), r_peaks(ecg, 360), atol=0.03 * 360)
    assert len(r_peaks(np.empty(0), 360, "neurokit")) == 0
    with pytest.raises(ValueError, match="energy or neurokit"):
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
