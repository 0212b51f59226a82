import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from biosignals.signals import filters
from biosignals.signals.resampling import resample


@given(
    rate=st.integers(20, 600),
    new_rate=st.integers(20, 600),
    samples=st.integers(2, 900),
    seed=st.integers(0, 99),
)
def test_it_is_what_scipy_makes(rate, new_rate, samples, seed):
    x = np.random.default_rng(seed).normal(3, 1, (2, samples)).astype(np.float32)
    np.testing.assert_allclose(resample(x, rate, new_rate), filters.resample(x, rate, new_rate), atol=2e-5)


def test_rates_that_are_no_whole_numbers_keep_a_wave_in_time():
    rate, seconds = 124.945, 60
    times = np.arange(round(seconds * rate)) / rate
    found = resample(np.sin(2 * np.pi * 3 * times), rate, 100)
    np.testing.assert_allclose(
        found[100:-100], np.sin(2 * np.pi * 3 * np.arange(len(found)) / 100)[100:-100], atol=2e-3
    )


def test_the_same_rate_changes_nothing():
    x = np.random.default_rng(0).normal(size=(1, 3, 50)).astype(np.float32)
    np.testing.assert_array_equal(resample(x, 250.0, 250), x)
