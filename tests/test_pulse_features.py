import numpy as np
import pytest

from biosignals.signals.pulse_features import FEATURES, shape_features

RATE = 100


def wave(rise, seconds=4):
    """Pulses a second apart that rise for a share `rise` of it, in straight lines."""
    t = np.arange(seconds * RATE) / RATE % 1
    return np.where(t < rise, t / rise, (1 - t) / (1 - rise))[None]


def test_times_and_widths_are_those_of_the_shape():
    found = shape_features(np.stack([wave(0.2), 5 + 300 * wave(0.2), wave(0.4)]), RATE)
    assert list(found) == list(FEATURES)
    np.testing.assert_allclose(found.iloc[0], found.iloc[1], rtol=1e-4, atol=1e-5)  # gain and offset
    assert found["pulse length"].tolist() == pytest.approx([1, 1, 1])
    assert found["rise share"].tolist() == pytest.approx([0.2, 0.2, 0.4], abs=0.04)
    assert found["width at 50 %"].tolist() == pytest.approx([0.5] * 3, abs=0.03)
    assert (found["steepest rise"] > -found["steepest fall"]).all()
    assert (found["b to a"] < 0).all()


def test_a_recording_without_pulses_has_no_features():
    assert shape_features(np.zeros((1, 1, 200)), RATE).isna().all(axis=None)
