import numpy as np

from biosignals.signals.perturbations import add_noise, drop_lead


def test_a_lead_falls_off_and_the_original_stays():
    x = np.ones((2, 3, 50), np.float32)
    without = drop_lead(x, 1)
    assert not without[:, 1].any() and without[:, [0, 2]].all() and x.all()


def test_noise_has_the_level_asked_for_and_comes_back_the_same():
    x = np.zeros((4, 12, 1000), np.float32)
    noisy = add_noise(x, 0.2)
    assert noisy.dtype == np.float32 and abs(noisy.std() - 0.2) < 0.005
    np.testing.assert_array_equal(noisy, add_noise(x, 0.2))
