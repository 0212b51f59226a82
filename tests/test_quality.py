import numpy as np
import pandas as pd

from biosignals.signals import quality
from biosignals.signals.quality import copies, einthoven_error


def test_copies_are_found_in_groups():
    x = np.random.default_rng(0).integers(-100, 100, (6, 12, 50)).astype(np.int16)
    x[4], x[5] = x[1], x[0]
    found = copies(x, pd.Index([10, 11, 12, 13, 14, 15]))
    assert sorted(found.index) == [10, 11, 14, 15]
    assert found[10] == found[15] != found[11] == found[14]


def test_no_copies():
    assert len(copies(np.eye(3)[:, None], pd.RangeIndex(3))) == 0


def test_einthoven_error_shows_swapped_leads():
    x = np.random.default_rng(1).normal(size=(2, 12, 100))
    x[:, 1] = x[:, 0] + x[:, 2]
    x[1, [0, 1]] = x[1, [1, 0]]
    error = einthoven_error(x)
    assert error[0] < 1e-5
    assert error[1] > 1


def test_padding_does_not_count_as_silence():
    rng = np.random.default_rng(0)
    x = np.zeros((2, 1, 4000))
    x[:, :, :1500] = rng.normal(size=(2, 1, 1500))
    own = quality.static_noise(x[:, :, :1500], 300)
    assert np.allclose(quality.static_noise(x, 300, np.array([1500, 1500])), own)
    assert (quality.static_noise(x, 300) < 0.1 * own).all()  # the median is of padding
