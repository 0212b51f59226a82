import numpy as np
import pytest

from biosignals.signals.perturbations import add_drift, add_noise, at_levels, drop_lead, scale


def test_a_lead_falls_off_and_the_original_stays():
    x = np.ones((2, 3, 50), np.float32)
    without = drop_lead(x, 1)
    assert not without[:, 1].any() and without[:, [0, 2]].all() and x.all()


def test_another_gain_keeps_the_dtype_and_the_original():
    x = np.ones((2, 3, 50), np.float32)
    assert scale(x, 0.5).dtype == np.float32 and (scale(x, 0.5) == 0.5).all() and x.all()


def test_noise_has_the_level_asked_for_and_comes_back_the_same():
    x = np.zeros((4, 12, 1000), np.float32)
    noisy = add_noise(x, 0.2)
    assert noisy.dtype == np.float32 and abs(noisy.std() - 0.2) < 0.005
    np.testing.assert_array_equal(noisy, add_noise(x, 0.2))


def test_drift_is_an_offset_or_a_slow_sine_of_its_own_in_each_lead_the_same_each_time():
    x = np.zeros((50, 12, 1000), np.float32)
    offset = add_drift(x, 0.5, 100)
    assert offset.dtype == np.float32 and (np.ptp(offset, axis=-1) == 0).all()
    assert abs(offset[..., 0].std() - 0.5) < 0.05
    breath = add_drift(x, 0.5, 100, frequency=0.25)
    power = np.abs(np.fft.rfft(breath))[..., 1:]
    assert set(power.argmax(-1).ravel()) <= {1, 2}  # 0.25 Hz lies between the second and third tenth of a Hz
    assert len(np.unique(breath[0, :, 0])) == 12
    np.testing.assert_array_equal(breath, add_drift(x, 0.5, 100, frequency=0.25))


def test_changes_are_named_by_kind_and_level():
    x = np.ones((2, 3, 1000), np.float32)
    changes = at_levels({"offset": (0.5, 1), "breathing": (1,), "gain": (2,), "noise": (0.1,)}, 100)
    assert list(changes) == ["offset 0.5", "offset 1", "breathing 1", "gain 2", "noise 0.1"]
    np.testing.assert_array_equal(changes["offset 1"](x), add_drift(x, 1, 100))
    np.testing.assert_array_equal(changes["breathing 1"](x), add_drift(x, 1, 100, 0.25))
    assert (changes["gain 2"](x) == 2).all()
    with pytest.raises(KeyError):
        at_levels({"thunder": (1,)}, 100)
