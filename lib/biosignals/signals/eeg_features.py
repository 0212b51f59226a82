"""What an EEG window looks like in two dozen numbers, or in two for each channel."""

import numpy as np
import pandas as pd
import scipy

BANDS = {"delta": (0.5, 4), "theta": (4, 8), "alpha": (8, 13), "beta": (13, 30)}  # Hz
FLOOR = 1e-3  # uV^2/Hz, so that a flat channel has a logarithm


def eeg_features(x: np.ndarray, sampling_rate: float) -> pd.DataFrame:
    """Features of channels and how they differ between channels: float64, a row per window and 25 columns.

    x: (N, channels, samples) in uV, at 60 Hz or more. Of each channel: log10 power in four bands (Welch
    1967), line length (Esteller et al. 2001), deviation, peak over deviation, regularity (share of the power
    in the strongest hertz), log10 of each; of each of these the median, the maximum and the spread over
    channels. Last the mean absolute correlation between channels. Raises ValueError for a sampling rate too
    low for the bands.
    """
    if sampling_rate < 60:
        raise ValueError(f"bands up to 30 Hz need 60 Hz or more, not {sampling_rate:g} Hz")
    of_channel, correlation = _describe(x, sampling_rate)
    summaries = {"median": np.median, "maximum": np.max, "spread": np.std}
    names = [*BANDS, "line length", "deviation", "peak", "regularity"]
    table = {
        f"{name}, {summary}": function(of_channel[..., i], axis=1)
        for i, name in enumerate(names)
        for summary, function in summaries.items()
    }
    return pd.DataFrame(table | {"correlation": correlation})


def ar2(x: np.ndarray) -> np.ndarray:
    """Least-squares fit of x[t] = a2 x[t-2] + a1 x[t-1] to each signal (Yule 1927): a2, a1, float64 (..., 2).

    x: (..., samples), three samples or more, in any unit, its mean left in. Both are 0 for a signal that does
    not change, which has no single fit.
    """
    x = np.asarray(x, dtype=np.float64)
    now, one, two = x[..., 2:], x[..., 1:-1], x[..., :-2]
    squares = np.square(one).sum(-1), np.square(two).sum(-1)
    mixed, to_one, to_two = ((a * b).sum(-1) for a, b in ((one, two), (now, one), (now, two)))
    product = squares[0] * squares[1]
    determinant = product - mixed**2
    solvable = determinant > 1e-12 * product
    numerators = [to_two * squares[0] - to_one * mixed, to_one * squares[1] - to_two * mixed]
    divisor = np.where(solvable, determinant, 1.0)
    return np.stack([np.where(solvable, numerator / divisor, 0.0) for numerator in numerators], axis=-1)


def _describe(x: np.ndarray, sampling_rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Logarithms of features, (n, channels, 8), and mean absolute correlation, (n,)."""
    x = np.asarray(x, dtype=np.float64)
    x = x - x.mean(-1, keepdims=True)
    length = min(round(2 * sampling_rate), x.shape[-1])
    frequencies, power = scipy.signal.welch(x, sampling_rate, nperseg=length)
    bands = [power[..., (frequencies >= low) & (frequencies < high)].mean(-1) for low, high in BANDS.values()]
    rhythm = power[..., (frequencies >= 1) & (frequencies < 30)]
    width = max(round(length / sampling_rate), 1)  # bins of one hertz
    strongest = scipy.signal.convolve(rhythm, np.ones((1, 1, width)), mode="valid").max(-1)
    deviation = x.std(-1)
    line_length = np.abs(np.diff(x)).mean(-1) * sampling_rate
    peak = np.abs(x).max(-1) / np.maximum(deviation, FLOOR)
    regularity = strongest / np.maximum(rhythm.sum(-1), FLOOR)
    values = [*bands, line_length, deviation, peak, regularity]
    return np.log10(np.maximum(np.stack(values, axis=-1), FLOOR)), _correlation(x, deviation)


def _correlation(x: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    scaled = x / np.maximum(deviation, FLOOR)[..., None]
    correlations = np.abs(scaled @ scaled.swapaxes(1, 2)) / x.shape[-1]
    channels = x.shape[1]
    others = correlations.sum((1, 2)) - np.trace(correlations, axis1=1, axis2=2)
    return others / max(channels * (channels - 1), 1)
