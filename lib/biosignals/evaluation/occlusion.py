"""What a model looks at, by masking pieces of a signal: needs its probabilities alone, and no gradients."""

from collections.abc import Callable

import numpy as np

from biosignals.signals.windows import window_starts

SMALLEST = 1e-7  # probability that a logit is taken of: in float32, what is close to 1 becomes 1


def logit(p: np.ndarray) -> np.ndarray:
    """log(p / (1 - p)) of probabilities, in the shape given; 0 and 1 count as 1e-7 from them."""
    p = np.clip(np.asarray(p, dtype=np.float64), SMALLEST, 1 - SMALLEST)
    return np.log(p / (1 - p))


def occlusion(
    predict: Callable[[np.ndarray], np.ndarray], window: np.ndarray, width: int, step: int | None = None
) -> np.ndarray:
    """By how much the logit of a class falls where a signal is masked: float32 (channels, samples).

    Zeiler and Fergus 2014, in time: a piece of one channel becomes the straight line between its neighbours.
    A sample's weight is the mean over the pieces that hold it, positive where it speaks for the class.

    predict: windows (n, channels, samples) > probabilities of the class (n,). window: float32 (channels,
    samples). width: samples of a piece, step: from one to the next (None: half a width).
    """
    samples = window.shape[1]
    starts = window_starts(samples, width, step or max(width // 2, 1))
    whole = logit(predict(window[None]))[0]
    weights, counts = np.zeros(window.shape, np.float32), np.zeros(samples, np.float32)
    for start in starts:
        counts[start : start + width] += 1
    for channel in range(len(window)):
        falls = whole - logit(predict(_masked(window, channel, starts, width)))
        for start, fall in zip(starts, falls, strict=True):
            weights[channel, start : start + width] += fall
    return weights / counts


def _masked(window: np.ndarray, channel: int, starts: np.ndarray, width: int) -> np.ndarray:
    """The window once for each start, a piece of one channel in it replaced by a line: (n, channels,
    samples).
    """
    copies = np.repeat(window[None], len(starts), axis=0)
    last = window.shape[1] - 1
    for copy, start in zip(copies, starts, strict=True):
        stop = min(start + width, last + 1)
        ends = window[channel, [max(start - 1, 0), min(stop, last)]]
        copy[channel, start:stop] = np.linspace(*ends, stop - start + 2)[1:-1]
    return copies
