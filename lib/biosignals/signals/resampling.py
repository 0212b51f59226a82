"""Resampling with NumPy alone, for whoever cannot wait for SciPy, which takes longer than a model."""

from fractions import Fraction

import numpy as np

ZEROS = 10  # crossings of zero of the filter on each side of its middle
BETA = 5.0  # of Kaiser's window
FINEST = 2000  # the largest numerator and denominator of a ratio of two rates


def resample(x: np.ndarray, sampling_rate: float, new_rate: float) -> np.ndarray:
    """x (..., samples) as `filters.resample` gives it, to rounding, at any rates: float32 (..., new samples).

    A polyphase filter, a sinc under Kaiser's window (beta 5); beyond its ends a signal goes on along the line
    from its first to its last sample. A ratio of rates that is no fraction of small numbers is taken to
    within a millionth or so.
    """
    x = np.asarray(x, dtype=np.float32)
    ratio = Fraction(new_rate / sampling_rate).limit_denominator(FINEST)
    up, down = ratio.numerator, ratio.denominator
    if up == down:
        return x
    half = ZEROS * max(up, down)
    middle = np.arange(-half, half + 1)
    taps = np.sinc(middle / max(up, down)) * np.kaiser(2 * half + 1, BETA)
    taps *= up / taps.sum()
    samples = x.shape[-1]
    reach = half // up + 1
    extended = _along_its_line(x, reach, reach + down)
    y = np.empty((*x.shape[:-1], -(-samples * up // down)), dtype=np.float32)
    for phase in range(min(up, y.shape[-1])):
        # Outputs up apart meet the same taps, at inputs `down` apart.
        first = -((half - phase * down) // up)  # of the inputs that the filter covers
        own = taps[half + phase * down - first * up :: -up].astype(np.float32)
        seen = np.lib.stride_tricks.sliding_window_view(extended[..., first + reach :], len(own), axis=-1)[
            ..., ::down, :
        ]
        count = len(range(phase, y.shape[-1], up))
        y[..., phase::up] = np.einsum("...ik,k->...i", seen[..., :count, :], own)
    return y


def _along_its_line(x: np.ndarray, before: int, after: int) -> np.ndarray:
    """x with samples before and after it, on the line through its first and last one."""
    samples = x.shape[-1]
    slope = (x[..., -1:] - x[..., :1]) / max(samples - 1, 1)
    left = x[..., :1] + slope * np.arange(-before, 0, dtype=np.float32)
    right = x[..., :1] + slope * np.arange(samples, samples + after, dtype=np.float32)
    return np.concatenate([left, x, right], axis=-1)
