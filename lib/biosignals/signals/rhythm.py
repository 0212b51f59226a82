"""Features of one ECG lead that tell atrial fibrillation from other rhythms.

Fibrillation shows in three ways: beats come at random times, no P wave stands before them, and the atria
tremble at 4-9 Hz between them. Nothing here depends on the unit, the polarity or the sampling rate, and
hardly anything on the length of a record, because recorders differ in all of these.
"""

import numpy as np
import pandas as pd
import scipy

from biosignals.signals.beats import r_peaks
from biosignals.signals.filters import bandpass, resample

FEATURES = (
    "RR_median",  # s, median interval between R peaks
    "RR_mad",  # median distance of the intervals from their median / that median
    "RMSSD",  # root mean square of the changes from one interval to the next / mean interval
    "pNN50",  # share of changes above 50 ms
    "RR_entropy",  # Shannon entropy of the intervals, in classes 5 % of the median wide; 1: no two alike
    "change_entropy",  # the same of the changes
    "sample_entropy",  # coefficient of sample entropy of the intervals
    "turning_points",  # share of intervals longer, or shorter, than both neighbours; 2/3 for random ones
    "ectopic",  # share of intervals 15 % below the median before one above it: an early beat, its pause
    "P_size",  # log of the part of the P wave that all beats share, against the height of the QRS
    "P_consistency",  # share of the variance before the QRS that all beats share: about 0 without P waves
    "P_jitter",  # s, median distance of the P waves' peaks from their median place
    "f_energy",  # log of what is left at 4-9 Hz before the QRS without the median beat, against its height
    "beat_correlation",  # median correlation of the beats with the median beat: low in noise
)
LABELS = {
    "RR_median": "median interval", "RR_mad": "scatter of intervals", "RMSSD": "RMSSD / mean interval",
    "pNN50": "changes above 50 ms", "RR_entropy": "entropy of intervals",
    "change_entropy": "entropy of changes", "sample_entropy": "sample entropy",
    "turning_points": "turning points", "ectopic": "early beats", "P_size": "size of the P wave",
    "P_consistency": "P wave shared by all beats", "P_jitter": "scatter of the P wave's place",
    "f_energy": "energy at 4-9 Hz before the QRS", "beat_correlation": "likeness of beats",
}  # fmt: skip
"""FEATURES as they are printed."""
RATE = 250  # Hz, at which everything is measured
WINDOW = 10  # seconds described at a time
INTERVALS = 10  # of a record that `rr_intervals` gives
FEWEST = 4  # R peaks in a window: with fewer there is no rhythm to describe
BEFORE, AFTER = 0.30, 0.45  # seconds of a beat around its R peak
QRS, P_WAVE, ATRIA = (-0.06, 0.08), (-0.28, -0.06), (-0.26, -0.08)  # where in a beat they are looked for


def rhythm_features(
    x: np.ndarray, sampling_rate: float, lengths: np.ndarray | None = None, detector: str = "neurokit"
) -> pd.DataFrame:
    """The numbers of FEATURES of each record, for a forest: a row per record, float32, all finite.

    x: one lead, (N, samples) or (N, 1, samples), in any unit, or (samples,) for one record; lengths: (N,)
    samples that are each record's own (default: all), the rest is padding; detector: of R peaks, one of
    `beats.NEUROKIT`. A record longer than 10 s is
    described by the medians over windows of 10 s, so that long and short ones compare. Windows with fewer
    than four R peaks do not count; a record without any other (flat, too short, no beats) has zeros
    everywhere, which is nobody's rhythm. Raises ValueError when x has several leads or holds NaN or infinity,
    or the sampling rate is no whole number.

    After Lake and Moorman 2011 (sample entropy of short records), Dash et al. 2009 (RMSSD, entropy, turning
    points) and Petrenas et al. 2015 (P waves and f waves).
    """
    rows = [_describe(record, sampling_rate, detector) for record in _split_records(x, lengths)]
    return pd.DataFrame(np.array(rows).reshape(-1, len(FEATURES)), columns=list(FEATURES), dtype=np.float32)


def rr_intervals(
    x: np.ndarray, sampling_rate: float, lengths: np.ndarray | None = None, count: int = INTERVALS,
    detector: str = "neurokit"
) -> np.ndarray:  # fmt: skip
    """The first intervals between R peaks in seconds, zeros where there are fewer: float32 (N, count).

    x, lengths, detector and errors as in `rhythm_features`.
    """
    records = _split_records(x, lengths)
    intervals = np.zeros((len(records), count), dtype=np.float32)
    for row, record in zip(intervals, records):
        found = np.diff(r_peaks(prepare(record, sampling_rate), RATE, detector))[:count] / RATE
        row[: len(found)] = found
    return intervals


def interval_features(intervals: np.ndarray) -> pd.DataFrame:
    """Those of FEATURES that intervals alone give, the first nine: a row per window, float32, all finite.

    intervals: (windows, n) seconds between one beat and the next, zero after a window's last. A window with
    fewer than three has zeros everywhere, as in `rhythm_features`.
    """
    rows = [_interval_features(own[own > 0]) if (own > 0).sum() >= 3 else [0.0] * 9 for own in intervals]
    columns = list(FEATURES[:9])
    return pd.DataFrame(np.array(rows).reshape(-1, 9), columns=columns, dtype=np.float32)


def repeat_intervals(intervals: np.ndarray, count: int) -> np.ndarray:
    """The intervals of each window, again and again until there are `count`: float32 (windows, count).

    intervals: (windows, n) seconds, zero after a window's last; one without any stays zero.
    """
    repeated = np.zeros((len(intervals), count), dtype=np.float32)
    for row, own in zip(repeated, intervals):
        if (own > 0).any():
            row[:] = np.resize(own[own > 0], count)
    return repeated


def _split_records(x: np.ndarray, lengths: np.ndarray | None) -> list[np.ndarray]:
    """The records of x, each without its padding."""
    x = np.atleast_2d(x)
    x = x[:, 0] if x.ndim == 3 and x.shape[1] == 1 else x
    if x.ndim != 2:
        raise ValueError(f"expected (records, samples) of one lead, got an array of shape {x.shape}")
    if not np.isfinite(x).all():
        raise ValueError("the signals hold NaN or infinity: exclude or repair these records first")
    lengths = [x.shape[1]] * len(x) if lengths is None else lengths
    return [record[:length] for record, length in zip(x, lengths, strict=True)]


def prepare(x: np.ndarray, sampling_rate: float) -> np.ndarray:
    """The record x (samples,) as detectors take it: at RATE, 0.5-40 Hz, QRS pointing up, deviation 1; empty
    if flat or below 1 s.
    """
    if len(x) < sampling_rate or np.ptp(x) == 0:
        return np.empty(0)
    x = bandpass(resample(np.asarray(x, dtype=float), sampling_rate, RATE), 0.5, 40, RATE)
    return x * np.sign(scipy.stats.skew(x)) / x.std()


def _describe(record: np.ndarray, sampling_rate: float, detector: str) -> np.ndarray:
    """The FEATURES of one record (samples,): medians over its windows, zeros if none can be described."""
    x = prepare(record, sampling_rate)
    peaks = r_peaks(x, RATE, detector)
    count = max(-(-len(x) // (WINDOW * RATE)), 1)
    starts = np.linspace(0, max(len(x) - WINDOW * RATE, 0), count)  # the last two overlap where they must
    windows = [peaks[(peaks >= start) & (peaks < start + WINDOW * RATE)] for start in starts]
    rows = [
        [*_interval_features(np.diff(window) / RATE), *_wave_features(x, window)]
        for window in windows
        if len(window) >= FEWEST and len(_whole_beats(x, window)) >= 3
    ]
    return np.median(rows, axis=0) if rows else np.zeros(len(FEATURES))


def _interval_features(rr: np.ndarray) -> list[float]:
    """The features of the intervals (n,) between R peaks, in seconds; at least three of them."""
    median, mean, change = np.median(rr), rr.mean(), np.diff(rr)
    return [
        median,
        np.median(np.abs(rr - median)) / median,
        np.sqrt(np.mean(change**2)) / mean,
        np.mean(np.abs(change) > 0.05),
        _shannon_entropy(rr / median),
        _shannon_entropy(change / median),
        _sample_entropy(rr),
        np.mean(change[1:] * change[:-1] < 0),
        np.mean((rr[:-1] < 0.85 * median) & (rr[1:] > median)),
    ]


def _shannon_entropy(values: np.ndarray) -> float:
    """Entropy of values (n,) in classes 0.05 wide, against that of n different ones: 0 to 1."""
    counts = np.unique(np.rint(values / 0.05), return_counts=True)[1]
    # scipy.stats.entropy gives the same and takes many times as long for so few.
    return scipy.special.entr(counts / counts.sum()).sum() / np.log(len(values))


def _sample_entropy(rr: np.ndarray) -> float:
    """Coefficient of sample entropy of intervals (n,) in s, pairs of length one (Lake and Moorman 2011).

    How rarely two intervals that agree within 30 ms are followed by two that agree, corrected for that
    tolerance and for the rate. The tolerance grows until there are at least five such pairs.
    """
    first, second = np.triu_indices(len(rr) - 1, 1)
    one = np.abs(rr[first] - rr[second])
    two = np.maximum(one, np.abs(rr[first + 1] - rr[second + 1]))
    tolerance = max(0.03, np.sort(two)[:5][-1])
    return np.log(np.sum(one <= tolerance) / np.sum(two <= tolerance) * 2 * tolerance / rr.mean())


def _wave_features(x: np.ndarray, peaks: np.ndarray) -> list[float]:
    """The features of the waves around the R peaks of a prepared record; at least three whole beats."""
    peaks = _whole_beats(x, peaks)
    beats = _cut(x, peaks, -BEFORE, AFTER)
    height = np.ptp(np.median(_cut(x, peaks, *QRS), axis=0))
    p = _level(_cut(bandpass(x, None, 15, RATE), peaks, *P_WAVE))
    noise = p.var(axis=0, ddof=1).mean()
    common = max(p.mean(axis=0).var() - noise / len(p), 0)  # variance of the mean without its share of noise
    place = p.argmax(axis=1) / RATE
    tremble = _cut(bandpass(x, 4, 9, RATE), peaks, *ATRIA)
    return [
        np.log(np.sqrt(common) / height + 0.003),
        common / (common + noise),
        np.median(np.abs(place - np.median(place))),
        np.log(np.std(tremble - np.median(tremble, axis=0)) / height + 0.0001),
        np.median([np.corrcoef(beat, np.median(beats, axis=0))[0, 1] for beat in beats]),
    ]


def _whole_beats(x: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """Those R peaks whose beat lies wholly inside x."""
    return peaks[(peaks >= round(BEFORE * RATE)) & (peaks < len(x) - round(AFTER * RATE))]


def _cut(x: np.ndarray, peaks: np.ndarray, start: float, stop: float) -> np.ndarray:
    """What lies `start` to `stop` seconds from each R peak: (beats, samples)."""
    return x[peaks[:, None] + np.arange(round(start * RATE), round(stop * RATE))]


def _level(x: np.ndarray) -> np.ndarray:
    """Each row of x minus the line through its ends, which are averaged over 16 ms."""
    left, right = x[:, :4].mean(axis=1, keepdims=True), x[:, -4:].mean(axis=1, keepdims=True)
    return x - left - (right - left) * np.linspace(0, 1, x.shape[1])
