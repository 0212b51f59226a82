"""What goes wrong in a recording, done on purpose, to see what a model makes of it."""

import numpy as np


def drop_lead(x: np.ndarray, lead: int) -> np.ndarray:
    """A copy of x, (N, leads, samples), with one lead flat at zero, as from an electrode that fell off."""
    x = x.copy()
    x[:, lead] = 0
    return x


def add_noise(x: np.ndarray, level: float) -> np.ndarray:
    """A copy of x, (N, leads, samples), with white noise of deviation `level`, in the unit of x.

    The same noise each time."""
    return x + np.random.default_rng(0).normal(0, level, x.shape).astype(x.dtype)
