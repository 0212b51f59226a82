"""Checks that a set of ECGs can be put to: leads that contradict each other, and copies."""

import hashlib

import numpy as np
import pandas as pd


def einthoven_error(x: np.ndarray) -> np.ndarray:
    """How far lead II is from I + III, which it equals by definition.

    x: (N, leads, samples), the first three leads being I, II, III. Returns (N,), the largest difference in the unit of x.
    """
    lead_1, lead_2, lead_3 = (x[:, i].astype(np.float32) for i in range(3))
    return np.abs(lead_1 + lead_3 - lead_2).max(axis=-1)


def copies(x: np.ndarray, names: pd.Index) -> pd.Series:
    """Recordings whose samples all equal another's: the name of each, and a number for the group it belongs to."""
    digests = pd.Series([hashlib.sha256(np.ascontiguousarray(record)).hexdigest() for record in x], index=names)
    repeated = digests[digests.duplicated(keep=False)]
    return repeated.groupby(repeated).ngroup().rename("group")
