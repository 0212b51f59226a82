"""Pulse waves of a photoplethysmogram: where each begins, cut and scaled, and which type its shape is.

The steps and the labelling rule are those of WF-PPG's authors (Ho et al., Sci Data 12:200, 2025), for upright
signals at 100 Hz: more blood is up. Types: "1" one late peak, "2E" two nearly equal peaks, "2L" a lower
second peak after a notch, "1L" one early peak, "3" none of these.
"""

from itertools import pairwise

import numpy as np
import scipy

from biosignals.signals.filters import apply_sections, bandpass, resample

SAMPLING_RATE = 100  # Hz, of all pulses
TYPES = ("1", "2E", "2L", "1L", "3")
SHORTEST, LONGEST = 40, 200  # samples of a pulse: 150 and 30 beats a minute
FEWEST = 19  # samples that the zero-phase filter needs


def smooth(ppg: np.ndarray, sampling_rate: float) -> np.ndarray:
    """Low-passed at 10 Hz (Butterworth, order 5, zero phase) and brought to 100 Hz.

    ppg: (samples,), any unit. Returns float64 (ceil(samples * 100 / sampling_rate),). Raises ValueError for
    NaN, a constant, fewer than 19 samples, and a rate of 20 Hz or less or of no whole number of Hz.
    """
    ppg = np.asarray(ppg, dtype=np.float64)
    _refuse_unusable(ppg, "signal")
    x = bandpass(ppg, None, 10, sampling_rate, order=5)
    return x if sampling_rate == SAMPLING_RATE else resample(x, sampling_rate, SAMPLING_RATE)


def feet(ppg: np.ndarray) -> np.ndarray:
    """Where pulses begin: minima at least 0.4 s apart and deeper than a third of a typical pulse.

    ppg: (samples,) at 100 Hz, upright and smooth, any unit. Returns positions in samples, int64; empty for a
    flat signal.
    """
    ppg = np.asarray(ppg, dtype=np.float64)
    beats = bandpass(ppg, 0.5, None, SAMPLING_RATE)  # without the slow drift, whose size says nothing
    depth = np.subtract(*np.percentile(beats, [90, 10])) / 3
    if depth < 1e-9 * np.abs(ppg).max(initial=0) or depth == 0:
        return np.empty(0, dtype=np.int64)
    return scipy.signal.find_peaks(-ppg, distance=SHORTEST, prominence=depth)[0].astype(np.int64)


def level(ppg: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """A pulse wave less a cubic spline through its values at `positions`, its feet: these become zero.

    ppg: (samples,); positions: (n,). Returns float64 (samples,), zero before the first and after the last
    foot. Raises ValueError for fewer than two feet.
    """
    if len(positions) < 2:
        raise ValueError(
            f"{len(positions)} feet: a baseline needs two or more; is it a pulse wave, and upright?"
        )
    baseline = scipy.interpolate.CubicSpline(positions, ppg[positions])
    levelled = np.zeros(len(ppg))
    inside = np.arange(positions[0], positions[-1] + 1)
    levelled[inside] = ppg[inside] - baseline(inside)
    return levelled


def pulses(ppg: np.ndarray, sampling_rate: float) -> tuple[list[np.ndarray], np.ndarray]:
    """Every pulse of a signal, from foot to foot at 100 Hz, level at its feet and divided by its maximum.

    ppg: (samples,), upright, any unit. Returns the pulses, float32 of 40 to 200 samples each, and where they
    begin, int64 in samples of 100 Hz. What lies between feet further apart, or does not rise above them, is
    no pulse. Both are empty where there are no two feet. Raises ValueError as `smooth`.
    """
    x = smooth(ppg, sampling_rate)
    positions = feet(x)
    if len(positions) < 2:
        return [], np.empty(0, dtype=np.int64)
    x = level(x, positions)
    found = [
        (start, x[start:stop] / x[start:stop].max())
        for start, stop in pairwise(positions)
        if stop - start <= LONGEST and x[start:stop].max() > 0
    ]
    return [pulse.astype(np.float32) for _, pulse in found], np.array(
        [start for start, _ in found], dtype=np.int64
    )


def pulse_types(pulses: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The type of each pulse by the rule: str (N,), of TYPES.

    pulses: (N, longest) at 100 Hz, from foot to foot and level there, any unit; lengths: (N,) samples of
    their own. Raises ValueError for a pulse of fewer than 19 samples, with NaN, constant, or that does not
    rise above zero.
    """
    types = np.empty(len(pulses), dtype="<U2")
    low_pass = scipy.signal.butter(5, 10, fs=SAMPLING_RATE, output="sos")
    for length in np.unique(lengths):  # pulses of one length are filtered at once
        rows = np.flatnonzero(lengths == length)
        for row in rows:
            _refuse_unusable(pulses[row, :length], f"pulse {row}")
        x = _scaled(pulses[rows, :length].astype(np.float64), rows)
        x = _scaled(apply_sections(low_pass, x, zero_phase=True), rows)
        types[rows] = [_type_of(pulse) for pulse in x]
    return types


def _scaled(x: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Pulses (n, samples), each divided by its maximum; ValueError for one that does not rise above zero."""
    highest = x.max(axis=-1, keepdims=True)
    if (highest <= 0).any():
        low = rows[highest[:, 0] <= 0][0]
        raise ValueError(
            f"pulse {low} does not rise above zero: cut it from foot to foot of an upright, level signal"
        )
    return x / highest


def _type_of(pulse: np.ndarray) -> str:
    """The rule, for a pulse that is smooth and has maximum 1.

    The released rule also counts the peaks and troughs close to the two peaks of 2L; whatever these counts
    refuse, the counts over the pulse's whole middle have refused already.
    """
    if pulse.min() < -0.3:
        return "3"
    tall, _ = scipy.signal.find_peaks(pulse, prominence=0.004, height=0.35)
    if len(tall) == 1:
        return _type_of_one_peak(pulse, tall[0])
    if len(tall) == 2:
        return _type_of_two_peaks(pulse, *tall)
    return "3"


def _type_of_one_peak(pulse: np.ndarray, peak: int) -> str:
    if peak > 25:
        return "1"
    peaks, troughs = _extremes(pulse, 0, len(pulse))
    return "1L" if len(peaks) <= 2 and len(troughs) <= 1 else "3"


def _type_of_two_peaks(pulse: np.ndarray, first: int, second: int) -> str:
    if not 20 <= second - first <= 65 or first > 25:
        return "3"
    if pulse[first] - pulse[second] > 0.1:  # the second is clearly lower
        peaks, troughs = _extremes(pulse, 10, 85)
        if len(_notches(pulse, first, second, _extremes(pulse, 0, len(pulse))[1])) == 1:
            return "2L" if len(peaks) <= 2 and len(troughs) <= 1 else "3"
        return "1L" if len(peaks) <= 2 else "3"
    peaks, troughs = _extremes(pulse, 0, 80)
    notch = _notches(pulse, first, second, troughs)
    if len(peaks) > 2 or len(troughs) > 1 or len(notch) != 1:
        return "3"
    return "3" if pulse[notch[0]] < min(pulse[first], pulse[second]) - 0.15 else "2E"


def _extremes(pulse: np.ndarray, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
    """Peaks and troughs of any size strictly between samples `start` and `stop` - 1: positions."""
    part = pulse[start:stop]
    return scipy.signal.find_peaks(part)[0] + start, scipy.signal.find_peaks(-part)[0] + start


def _notches(pulse: np.ndarray, first: int, second: int, troughs: np.ndarray) -> np.ndarray:
    """The troughs between two peaks that lie below the second one."""
    return troughs[(troughs > first) & (troughs < second) & (pulse[troughs] < pulse[second])]


def _refuse_unusable(x: np.ndarray, what: str) -> None:
    """ValueError for a signal that is no row of finite numbers, too short for the filter, or constant."""
    if x.ndim != 1 or len(x) < FEWEST:
        raise ValueError(f"{what} of shape {x.shape}: expected one row of {FEWEST} samples or more")
    if not np.isfinite(x).all():
        bad = np.count_nonzero(~np.isfinite(x))
        raise ValueError(f"{what} has {bad} samples that are NaN or infinite: leave it out")
    if np.ptp(x) == 0:
        raise ValueError(f"{what} is constant ({x[0]:g}): leave it out")


def pad(rows: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Pulses of different lengths as float32 (n, longest), with zeros at the end, and their lengths (n,).

    rows: n arrays (samples,).
    """
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    padded = np.zeros((len(rows), lengths.max(initial=0)), dtype=np.float32)
    for place, row in zip(padded, rows):
        place[: len(row)] = row
    return padded, lengths


def fit_width(pulses: np.ndarray, lengths: np.ndarray, width: int, how: str) -> np.ndarray:
    """Pulses of one width.

    pulses: (N, ..., longest), padded at their ends; lengths: (N,) samples of their own. how: "crop-or-pad"
    keeps the middle of a longer pulse and puts zeros after a shorter one; "resample" stretches each from its
    first to its last sample, in straight lines. Returns (N, ..., width), same dtype. Raises ValueError for
    another `how`, a width below 1, or lengths that do not fit.
    """
    pulses, lengths = np.asarray(pulses), np.asarray(lengths)
    if width < 1 or lengths.shape != pulses.shape[:1]:
        raise ValueError(f"width {width} and {lengths.shape} lengths do not fit pulses {pulses.shape}")
    if len(lengths) and not 1 <= lengths.min() <= lengths.max() <= pulses.shape[-1]:
        raise ValueError(f"lengths {lengths.min()} to {lengths.max()} are not 1 to {pulses.shape[-1]}")
    lengths = lengths.reshape(-1, *[1] * (pulses.ndim - 1))
    if how == "crop-or-pad":
        place = np.maximum(lengths - width, 0) // 2 + np.arange(width)
        return np.where(place < lengths, _take(pulses, np.minimum(place, lengths - 1)), pulses.dtype.type(0))
    if how == "resample":
        place = (lengths - 1) * np.linspace(0, 1, width)
        before = np.floor(place).astype(int)
        share = place - before
        after = np.minimum(before + 1, lengths - 1)
        return ((1 - share) * _take(pulses, before) + share * _take(pulses, after)).astype(pulses.dtype)
    raise ValueError(f"no way named {how!r} to fit a width: choose crop-or-pad or resample")


def _take(pulses: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The samples `places` (N, 1..., width) of pulses (N, ..., samples)."""
    return np.take_along_axis(
        pulses, np.broadcast_to(places, (*pulses.shape[:-1], places.shape[-1])), axis=-1
    )
