"""Checks that a set of ECGs can be put to: disturbances, leads that contradict each other, copies."""

import hashlib

import numpy as np
import pandas as pd

from biosignals.signals.filters import bandpass


def baseline_drift(x: np.ndarray, sampling_rate: float) -> np.ndarray:
    """Standard deviation of the worst lead below 0.5 Hz: (N,), in the unit of x, (N, leads, samples)."""
    return bandpass(x, None, 0.5, sampling_rate).std(axis=-1).max(axis=-1)


def static_noise(x: np.ndarray, sampling_rate: float, lengths: np.ndarray | None = None) -> np.ndarray:
    """How much the worst lead trembles above 35 Hz: (N,), in the unit of x, (N, leads, samples).

    A standard deviation read from the median of absolute values, which the short QRS complexes hardly move.
    lengths: (N,) samples that are each recording's own (default: all), the rest is padding.
    """
    if lengths is not None:
        own = [record[None, :, :length] for record, length in zip(x, lengths, strict=True)]
        return np.concatenate([static_noise(record, sampling_rate) for record in own])
    fast = bandpass(x, 35, None, sampling_rate)
    return (np.median(np.abs(fast), axis=-1) / 0.6745).max(axis=-1)


def einthoven_error(x: np.ndarray) -> np.ndarray:
    """How far lead II is from I + III, which it equals by definition.

    x: (N, leads, samples), the first three leads being I, II, III. Returns (N,), the largest difference in
    the unit of x.
    """
    lead_1, lead_2, lead_3 = (x[:, i].astype(np.float32) for i in range(3))
    return np.abs(lead_1 + lead_3 - lead_2).max(axis=-1)


def copies(x: np.ndarray, names: pd.Index) -> pd.Series:
    """Recordings whose samples all equal another's: the name of each, and a number for its group.

    x: (N, leads, samples); names: N of them.
    """
    digests = pd.Series(
        [hashlib.sha256(np.ascontiguousarray(record)).hexdigest() for record in x], index=names
    )
    repeated = digests[digests.duplicated(keep=False)]
    return repeated.groupby(repeated).ngroup().rename("group")
