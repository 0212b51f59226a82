"""Heart beats: where they are in an ECG, and what the typical one looks like."""

import numpy as np
from scipy import signal


def r_peaks(x: np.ndarray, sampling_rate: float) -> np.ndarray:
    """Find the beats of one ECG as the peaks of its QRS energy.

    After Pan and Tompkins (1985), with all leads added up: band-pass 5-20 Hz, square, smooth over 100 ms,
    then peaks at least 0.25 s apart that reach 40 % of the record's strong beats.

    x: (leads, samples) or (samples,), any unit. Returns positions in samples, int64; empty for a flat record.
    """
    x = np.atleast_2d(x)
    sections = signal.butter(2, (5, 20), "bandpass", fs=sampling_rate, output="sos")
    energy = np.square(signal.sosfiltfilt(sections, x, axis=-1)).sum(axis=0)
    width = max(int(0.1 * sampling_rate), 1)
    envelope = np.sqrt(np.convolve(energy, np.ones(width) / width, mode="same"))
    peaks, _ = signal.find_peaks(envelope, distance=max(0.25 * sampling_rate, 1))
    if len(peaks) == 0 or envelope.max() < 1e-6:
        return np.empty(0, dtype=np.int64)
    strong = np.quantile(envelope[peaks], 0.9)
    return peaks[envelope[peaks] > 0.4 * strong].astype(np.int64)


def cut_beats(x: np.ndarray, peaks: np.ndarray, sampling_rate: float, before=0.3, after=0.5) -> np.ndarray:
    """Cut a window around every beat that lies wholly inside the record.

    x: (leads, samples); peaks: positions in samples; before, after: seconds. Returns (beats, leads, window).
    """
    start, stop = round(-before * sampling_rate), round(after * sampling_rate)
    inside = peaks[(peaks + start >= 0) & (peaks + stop <= x.shape[-1])]
    return x[:, inside[:, None] + np.arange(start, stop)].swapaxes(0, 1)


def median_beat(x: np.ndarray, peaks: np.ndarray, sampling_rate: float, before=0.3, after=0.5) -> np.ndarray:
    """Summarise a record by its median beat, measured from the level just before the QRS (the PR segment).

    Arguments as in `cut_beats`. Returns (leads, window) float32 in the unit of x; NaN when no beat is whole.
    """
    beats = cut_beats(x, peaks, sampling_rate, before, after)
    if len(beats) == 0:
        return np.full(
            (len(x), round(after * sampling_rate) - round(-before * sampling_rate)), np.nan, np.float32
        )
    beat = np.median(beats, axis=0)
    reference = beat[:, round((before - 0.1) * sampling_rate) : round((before - 0.06) * sampling_rate)]
    return (beat - np.median(reference, axis=-1, keepdims=True)).astype(np.float32)


def most_typical(beats: np.ndarray, chosen: np.ndarray) -> int:
    """Position of the chosen beat that is closest to the median of all the chosen; NaN beats do not count.

    beats: (N, leads, window); chosen: bool (N,). ValueError when no beat can be chosen.
    """
    rows = np.flatnonzero(np.asarray(chosen) & np.isfinite(beats).all(axis=(1, 2)))
    if len(rows) == 0:
        raise ValueError("none of the recordings is chosen, or none has a whole beat")
    distance = np.square(beats[rows] - np.median(beats[rows], axis=0)).sum(axis=(1, 2))
    return int(rows[distance.argmin()])
