"""Shorter pieces of long signals: crops at chosen places, windows at regular ones."""

import numpy as np


def crops(x: np.ndarray, length: int, starts: np.ndarray) -> np.ndarray:
    """Take one piece of every recording, each from its own start.

    x: (N, channels, samples); starts: (N,) integers. Returns a copy, (N, channels, length), in the dtype of
    x. Raises IndexError when a crop would reach past the recording.
    """
    starts = np.asarray(starts)
    if starts.min() < 0 or starts.max() + length > x.shape[-1]:
        raise IndexError(
            f"crops of {length} from {starts.min()} to {starts.max()} do not fit in {x.shape[-1]} samples"
        )
    return np.stack([record[:, start : start + length] for record, start in zip(x, starts)])


def window_starts(samples: int, length: int, step: int, flush: bool = True) -> np.ndarray:
    """First samples of windows of `length` each `step` samples: int (n,).

    flush: the last window ends with the recording, and one that is shorter than a window has one all the
    same; else an end that fills no window is left out.
    """
    if not flush:
        return np.arange(0, samples - length + 1, step)
    last = max(samples - length, 0)
    return np.append(np.arange(0, last, step), last)


def windows(x: np.ndarray, length: int, step: int) -> np.ndarray:
    """Windows of every recording that start each `step` samples; an end that fills no window is left out.

    x: (N, channels, samples). Returns (N, windows, channels, length): a read-only view, which takes no
    memory. Raises ValueError when no window fits.
    """
    if not 0 < length <= x.shape[-1] or step < 1:
        raise ValueError(f"windows of {length} samples each {step} do not fit in {x.shape[-1]} samples")
    return np.lib.stride_tricks.sliding_window_view(x, length, axis=-1)[..., ::step, :].swapaxes(1, 2)


def runs(mask: np.ndarray) -> np.ndarray:
    """Runs of True in `mask`, bool (n,): start and end of each, the end not in it, int (runs, 2)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]])))
    return edges.reshape(-1, 2)


def mean_over_time(
    starts: np.ndarray, values: np.ndarray, length: float, end: float = np.inf
) -> tuple[np.ndarray, np.ndarray]:
    """Values of overlapping windows as a function of time: the mean of those windows that hold an instant.

    starts: (windows,) seconds, length: of a window in seconds; values: (windows, classes), NaN for windows
    that do not count. end: of the recording, which cuts the last window. Returns edges (n + 1,) in seconds,
    to a microsecond, and means (n, classes), constant from each edge to the next; NaN where no window counts.
    """
    starts, stops = np.round(starts, 6), np.round(np.minimum(np.add(starts, length), end), 6)
    edges = np.unique(np.concatenate([starts, stops]))
    counted = np.isfinite(values)
    first, last = np.searchsorted(edges, starts), np.searchsorted(edges, stops)
    sums, counts = np.zeros((2, len(edges), values.shape[1]))
    for total, part in ((sums, np.where(counted, values, 0.0)), (counts, counted.astype(float))):
        np.add.at(total, first, part)
        np.subtract.at(total, last, part)
    sums, counts = np.cumsum(sums, axis=0)[:-1], np.rint(np.cumsum(counts, axis=0))[:-1]
    return edges, np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)


def smooth(scores: np.ndarray, width: int) -> np.ndarray:
    """Mean of each score and those before it, `width` in all, fewer at the start: float64 in the shape given.

    scores: (n,) or (n, classes). Added up in the same order everywhere, so that the same scores give the same
    mean to the last bit, however long the recording.
    """
    scores = np.asarray(scores, dtype=np.float64)
    padded = np.concatenate([np.zeros((width - 1, *scores.shape[1:])), scores])
    totals = sum(padded[first : first + len(scores)] for first in range(width))
    counts = np.minimum(np.arange(1, len(scores) + 1), width)
    return totals / counts.reshape(-1, *[1] * (scores.ndim - 1))


def standardise(x: np.ndarray, axis: int | tuple[int, ...] = -1) -> np.ndarray:
    """Shift and scale to mean 0 and standard deviation 1 over `axis`; what is flat becomes zero.

    x: (N, channels, samples). axis -1: each lead by itself; (-2, -1): each record, its leads kept in
    proportion. Computed in float64, returned as float32: float16 recordings would overflow in the sum.
    """
    x = np.asarray(x, dtype=np.float64)
    centred = x - x.mean(axis=axis, keepdims=True)
    spread = x.std(axis=axis, keepdims=True)
    return np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 1e-9).astype(np.float32)


def prepare(x: np.ndarray, from_rate: float, to_rate: float) -> np.ndarray:
    """Resample windows and take away each channel's mean, each window by itself.

    x: (..., samples) at `from_rate` Hz. Returns float32 (..., ceil(samples * to_rate / from_rate)). A window
    gives the same values alone and among others, so that a stream is treated as the training set was.
    ValueError for two different rates that are not whole numbers of Hz.
    """
    from biosignals.signals.filters import resample  # SciPy, for which `predict` need not wait

    x = np.ascontiguousarray(x, dtype=np.float32)
    if to_rate != from_rate:
        x = resample(x, from_rate, to_rate)
    return (x - x.mean(axis=-1, keepdims=True, dtype=np.float64)).astype(np.float32)
