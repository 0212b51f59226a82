"""Heart beats: where they are in an ECG, and what the typical one looks like."""

from collections.abc import Sequence

import numpy as np
import scipy

from biosignals.signals.filters import resample

FINE_RATE = 500  # Hz, at which waves are delineated
NEUROKIT = tuple(
    """neurokit pantompkins1985 hamilton2002 zong2003 martinez2004 christov2004 elgendi2010 engzeemod2012
    khamis2016 kalidas2017 nabian2018 rodrigues2021""".split()
)
"""NeuroKit2's detectors of R peaks that need no further packages."""


def r_peaks(x: np.ndarray, sampling_rate: float, method: str = "energy") -> np.ndarray:
    """Positions of the R peaks of one ECG, in samples: int64 (beats,), none for a flat one.

    x: (leads, samples) or (samples,), any unit. method: "energy", peaks of the QRS energy of all leads
    together, after Pan and Tompkins (1985): band-pass 5-20 Hz, square, smooth over 100 ms, then peaks at
    least 0.25 s apart that reach 40 % of the record's strong beats; or one of NEUROKIT, for one lead
    (samples,) that has been filtered and points up. Raises ValueError for another method.
    """
    if method in NEUROKIT:
        import neurokit2  # more than a second, for which the other method need not wait

        try:
            found = neurokit2.ecg_findpeaks(x, sampling_rate, method=method)["ECG_R_Peaks"] if len(x) else ()
        except (ValueError, IndexError, ZeroDivisionError):  # what some do where there are no beats to find
            found = ()
        return np.unique(np.asarray(found, dtype=np.int64))
    if method != "energy":
        choices = ", ".join(("energy", *NEUROKIT))
        raise ValueError(f"no method {method!r} to find R peaks: choose one of {choices}")
    sections = scipy.signal.butter(2, (5, 20), "bandpass", fs=sampling_rate, output="sos")
    energy = np.square(scipy.signal.sosfiltfilt(sections, np.atleast_2d(x), axis=-1)).sum(axis=0)
    width = max(int(0.1 * sampling_rate), 1)
    envelope = np.sqrt(np.convolve(energy, np.ones(width) / width, mode="same"))
    peaks, _ = scipy.signal.find_peaks(envelope, distance=max(0.25 * sampling_rate, 1))
    if len(peaks) == 0 or envelope.max() < 1e-6:
        return np.empty(0, dtype=np.int64)
    strong = np.quantile(envelope[peaks], 0.9)
    return peaks[envelope[peaks] > 0.4 * strong].astype(np.int64)


def median_beat(x: np.ndarray, peaks: np.ndarray, sampling_rate: float, before=0.3, after=0.5) -> np.ndarray:
    """The median of a record's whole beats, measured from the level just before the QRS (the PR segment).

    x: (leads, samples); peaks: (beats,) positions in samples; before, after: seconds around them. Returns
    float32 (leads, window) in the unit of x; NaN when no beat is whole.
    """
    start, stop = round(-before * sampling_rate), round(after * sampling_rate)
    whole = peaks[(peaks + start >= 0) & (peaks + stop <= x.shape[-1])]
    if len(whole) == 0:
        return np.full((len(x), stop - start), np.nan, np.float32)
    beat = np.median(x[:, whole[:, None] + np.arange(start, stop)], axis=1)
    reference = beat[:, round((before - 0.1) * sampling_rate) : round((before - 0.06) * sampling_rate)]
    return (beat - np.median(reference, axis=-1, keepdims=True)).astype(np.float32)


def most_typical(beats: np.ndarray, chosen: np.ndarray) -> int:
    """Position of the chosen beat that is closest to the median of all the chosen; NaN beats do not count.

    beats: (N, leads, window); chosen: bool (N,). Raises ValueError when no beat can be chosen.
    """
    rows = np.flatnonzero(np.asarray(chosen) & np.isfinite(beats).all(axis=(1, 2)))
    if len(rows) == 0:
        raise ValueError("none of the recordings is chosen, or none has a whole beat")
    distance = np.square(beats[rows] - np.median(beats[rows], axis=0)).sum(axis=(1, 2))
    return int(rows[distance.argmin()])


def wave_peaks(x: np.ndarray, peaks: np.ndarray, sampling_rate: float) -> dict[str, np.ndarray]:
    """Where the P and the T wave of each beat peak in one lead: positions in samples, ascending, int64 (n,)
    each, of the waves that are found.

    x: (samples,), one lead; peaks: (beats,) positions of its R peaks in samples. Delineated as in
    `wave_limits`.
    """
    found = _delineate(x, peaks, sampling_rate)
    positions = {}
    for wave in ("P", "T"):
        places = np.asarray(found.get(f"ECG_{wave}_Peaks", []), dtype=float) * sampling_rate / FINE_RATE
        positions[wave] = np.unique(np.rint(places[np.isfinite(places)])).astype(np.int64)
    return positions


def wave_limits(x: np.ndarray, peaks: np.ndarray, sampling_rate: float) -> dict[str, float]:
    """Where P, QRS and T begin, peak and end in one lead: seconds from the R peak, median over its beats.

    x: (samples,), one lead; peaks: (beats,) positions of its R peaks in samples. Names are P_onset, P_peak,
    P_offset, QRS_onset, QRS_offset, T_onset, T_peak, T_offset; NaN for what is found in no beat. NeuroKit2's
    wavelet delineation, after Martinez et al. (2004), at 500 Hz, to which slower recordings are resampled.
    """
    names = {"P_Onsets": "P_onset", "P_Peaks": "P_peak", "P_Offsets": "P_offset",
             "R_Onsets": "QRS_onset", "R_Offsets": "QRS_offset",
             "T_Onsets": "T_onset", "T_Peaks": "T_peak", "T_Offsets": "T_offset"}  # fmt: skip
    limits = dict.fromkeys(names.values(), np.nan)
    found = _delineate(x, peaks, sampling_rate)
    peaks = np.rint(np.asarray(peaks) * FINE_RATE / sampling_rate).astype(int)
    for key, name in names.items():
        places = np.asarray(found.get(f"ECG_{key}", [])[: len(peaks)], dtype=float)
        if np.isfinite(places).any():
            limits[name] = float(np.nanmedian(places - peaks[: len(places)]) / FINE_RATE)
    return limits


def _delineate(x: np.ndarray, peaks: np.ndarray, sampling_rate: float) -> dict[str, list]:
    """What NeuroKit2 finds around each beat, in samples at FINE_RATE; nothing where there are too few beats
    to tell how far apart they are.
    """
    import neurokit2  # more than a second, for which others need not wait

    fine = resample(x, sampling_rate, FINE_RATE)
    peaks = np.rint(np.asarray(peaks) * FINE_RATE / sampling_rate).astype(int)
    if len(peaks) < 3:
        return {}
    return neurokit2.ecg_delineate(fine, peaks, sampling_rate=FINE_RATE, method="dwt")[1]


def qrs_axis(beats: np.ndarray, sampling_rate: float, leads: Sequence[str]) -> np.ndarray:
    """The heart's electrical axis in the frontal plane, (N,) degrees: 0 to the left, 90 to the feet.

    beats: (N, leads, window) in mV, median beats from 0.3 s before to 0.5 s after the R peak. From the net
    area of the QRS in lead I and aVF, the second by 2 / sqrt(3), since augmented leads are that much smaller.
    """
    qrs = beats[..., round(0.24 * sampling_rate) : round(0.38 * sampling_rate)].sum(axis=-1)
    left, down = (qrs[:, list(leads).index(lead)] for lead in ("I", "AVF"))
    return np.degrees(np.arctan2(2 * down / np.sqrt(3), left))
