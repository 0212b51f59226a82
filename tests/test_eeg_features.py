import numpy as np
import pytest
from scipy import stats

from biosignals.signals.eeg_features import ar2, eeg_features

RATE, SECONDS = 64, 10
TIME = np.arange(RATE * SECONDS) / RATE


def rhythm(frequency, amplitude=50.0, channels=4):
    noise = np.random.default_rng(0).normal(0, 1, (1, channels, len(TIME)))
    return amplitude * np.sin(2 * np.pi * frequency * TIME) + noise


@pytest.mark.parametrize("frequency, band", [(2, "delta"), (6, "theta"), (10, "alpha"), (20, "beta")])
def test_a_rhythm_shows_in_its_own_band(frequency, band):
    row = eeg_features(rhythm(frequency), RATE).iloc[0]
    powers = {name: row[f"{name}, median"] for name in ("delta", "theta", "alpha", "beta")}
    assert max(powers, key=powers.get) == band
    assert row["regularity, median"] > eeg_features(rhythm(0, 0), RATE)["regularity, median"].iloc[0] + 0.5


def test_deviation_line_length_and_correlation_follow_their_formulas():
    x = np.random.default_rng(1).normal(3, 20, (3, 5, len(TIME)))
    table = eeg_features(x, RATE)
    np.testing.assert_allclose(table["deviation, maximum"], np.log10(x.std(-1).max(1)))
    lines = np.log10(np.abs(np.diff(x)).sum(-1) / (len(TIME) - 1) * RATE)
    np.testing.assert_allclose(table["line length, median"], np.median(lines, axis=1))
    pairs = [[abs(stats.pearsonr(w[i], w[j])[0]) for i in range(5) for j in range(i)] for w in x]
    np.testing.assert_allclose(table["correlation"], np.mean(pairs, axis=1))


def test_flat_windows_have_finite_features():
    x = np.concatenate([np.zeros((1, 3, 640)), np.random.default_rng(2).normal(0, 9, (6, 3, 640))])
    assert np.isfinite(eeg_features(x, RATE)).all(axis=None)


def test_a_rate_too_low_is_refused():
    with pytest.raises(ValueError, match="60 Hz"):
        eeg_features(np.zeros((1, 2, 100)), 50)


def test_ar2_is_the_least_squares_fit_of_numpy():
    x = np.cumsum(np.random.default_rng(3).normal(2, 20, (3, 5, 501)), axis=-1)
    found = ar2(x)
    assert found.shape == (3, 5, 2)
    for signal, coefficients in zip(x.reshape(-1, 501), found.reshape(-1, 2)):
        design = np.stack([signal[:-2], signal[1:-1]], axis=1)
        np.testing.assert_allclose(coefficients, np.linalg.lstsq(design, signal[2:])[0], atol=1e-7)


def test_ar2_finds_the_process_that_made_the_signal():
    x = np.zeros(20_000)
    noise = np.random.default_rng(4).normal(0, 1, len(x))
    for t in range(2, len(x)):
        x[t] = -0.7 * x[t - 2] + 1.5 * x[t - 1] + noise[t]
    np.testing.assert_allclose(ar2(1e-3 * x), [-0.7, 1.5], atol=0.02)


@pytest.mark.parametrize("level", [0.0, 7.0, 1e-5])
def test_ar2_of_a_signal_that_does_not_change_is_zero(level):
    assert ar2(np.full((2, 501), level)).tolist() == [[0, 0], [0, 0]]
