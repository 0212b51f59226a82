"""Features of an ECG that a random forest can read: rhythm, waves, shape of the beat, wavelet energies."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pywt

from biosignals.signals.beats import median_beat, r_peaks

RHYTHM = "heart_rate RR_mean RR_sd RR_min RR_max RR_cv RMSSD RR_median_change pNN50".split()
BEFORE, AFTER = 0.3, 0.5  # seconds of the median beat around the R peak

# Where a wave is looked for in the median beat: seconds from the R peak, and what is measured there.
WAVES = {
    "P_max": (-0.25, -0.08, np.max),
    "P_min": (-0.25, -0.08, np.min),
    "Q": (-0.08, 0.0, np.min),
    "R": (-0.06, 0.08, np.max),
    "S": (0.0, 0.1, np.min),
    "QRS_mean": (-0.06, 0.08, np.mean),
    "J": (0.08, 0.1, np.mean),
    "ST": (0.12, 0.16, np.mean),
    "T_max": (0.16, 0.45, np.max),
    "T_min": (0.16, 0.45, np.min),
    "T_mean": (0.16, 0.45, np.mean),
}


def ecg_features(x: np.ndarray, sampling_rate: float, leads: Sequence[str] | None = None) -> pd.DataFrame:
    """Numbers of each record that a cardiologist would recognise, and a few that only a forest likes.

    x: (N, leads, samples) in mV; leads: names for the columns (default "1", "2", ...). Returns float32, a row
    per record and 29 columns per lead (waves, beat shape, wavelet energies) beside 10 of rhythm and QRS
    width. What cannot be measured (a record with fewer than three beats) is NaN, which scikit-learn's forests
    accept. Raises ValueError when x is not three-dimensional or holds NaN or infinity.
    """
    if x.ndim != 3:
        raise ValueError(f"expected (records, leads, samples), got an array of shape {x.shape}")
    if not np.isfinite(x).all():
        raise ValueError("the signals hold NaN or infinity: exclude or repair these records first")
    leads = list(leads) if leads is not None else [str(i + 1) for i in range(x.shape[1])]
    peaks = [r_peaks(record, sampling_rate) for record in x]
    beats = [median_beat(record, own, sampling_rate, BEFORE, AFTER) for record, own in zip(x, peaks)]
    beats = np.stack(beats)
    per_lead = {**waves(beats, sampling_rate), **_shape(beats, sampling_rate), **_wavelet_energies(x)}
    columns = {
        f"{lead}_{name}": values[:, i] for name, values in per_lead.items() for i, lead in enumerate(leads)
    }
    table = pd.DataFrame(columns).assign(QRS_width=_qrs_width(beats, sampling_rate))
    rhythms = pd.DataFrame([rhythm(own, sampling_rate) for own in peaks])
    return pd.concat([rhythms, table], axis=1).astype(np.float32)


def rhythm(peaks: np.ndarray, sampling_rate: float) -> dict[str, float]:
    """Heart rate (per minute) and its variability (s, shares) in one record; NaN below three beats.

    peaks: (beats,) positions of its R peaks in samples.
    """
    if len(peaks) < 3:
        return dict.fromkeys(RHYTHM, np.nan)
    rr = np.diff(peaks) / sampling_rate
    change = np.abs(np.diff(rr))
    values = (
        60 / np.median(rr),
        rr.mean(),
        rr.std(),
        rr.min(),
        rr.max(),
        rr.std() / rr.mean(),
        np.sqrt(np.mean(change**2)),
        np.median(change),
        np.mean(change > 0.05),
    )
    return dict(zip(RHYTHM, values))


def waves(beats: np.ndarray, sampling_rate: float) -> dict[str, np.ndarray]:
    """Amplitudes of P, Q, R, S, J point, ST and T from the PR level: name > (N, leads), in the beats' unit.

    beats: (N, leads, window), median beats from 0.3 s before to 0.5 s after the R peak.
    """
    return {
        name: measure(beats[..., slice(*_window_samples(start, stop, sampling_rate))], axis=-1)
        for name, (start, stop, measure) in WAVES.items()
    }


def _shape(beats: np.ndarray, sampling_rate: float) -> dict[str, np.ndarray]:
    """The median beat itself, a value each 50 ms from 0.2 s before to 0.4 s after the R peak, in mV."""
    times = np.arange(-0.2, 0.41, 0.05)
    return {f"at_{round(1000 * t)}ms": beats[..., round((t + BEFORE) * sampling_rate)] for t in times}


def _wavelet_energies(x: np.ndarray) -> dict[str, np.ndarray]:
    """Log energy of every lead in five octaves of a discrete wavelet transform; level 1 is the highest."""
    details = pywt.wavedec(x, "db4", level=5, axis=-1)[1:]
    return {f"energy_{5 - i}": np.log(np.mean(d**2, axis=-1) + 1e-8) for i, d in enumerate(details)}


def _qrs_width(beats: np.ndarray, sampling_rate: float) -> np.ndarray:
    """Seconds in which the median beat, all leads together, moves at 15 % of its top speed or more."""
    around = beats[..., slice(*_window_samples(-0.14, 0.16, sampling_rate))]
    speed = np.sqrt(np.square(np.diff(around, axis=-1)).sum(axis=1))
    width = (speed >= 0.15 * speed.max(axis=-1, keepdims=True)).sum(axis=-1) / sampling_rate
    return np.where(np.isnan(speed).any(axis=-1), np.nan, width)


def _window_samples(start: float, stop: float, sampling_rate: float) -> tuple[int, int]:
    """Turn seconds from the R peak into positions in the median beat."""
    return round((start + BEFORE) * sampling_rate), round((stop + BEFORE) * sampling_rate)
