"""What goes wrong in a recording, done on purpose, to see what a model makes of it."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np


def drop_lead(x: np.ndarray, lead: int) -> np.ndarray:
    """A copy of x, (N, leads, samples), with one lead flat at zero, as from an electrode that fell off."""
    x = x.copy()
    x[:, lead] = 0
    return x


def scale(x: np.ndarray, level: float) -> np.ndarray:
    """x, (N, leads, samples), times `level`, as of a recorder with another gain; -1: electrodes swapped."""
    return x * np.asarray(level, x.dtype)


def add_noise(x: np.ndarray, level: float) -> np.ndarray:
    """A copy of x, (N, leads, samples), with white noise of deviation `level`, in the unit of x.

    The same noise each time."""
    return x + np.random.default_rng(0).normal(0, level, x.shape).astype(x.dtype)


def add_drift(x: np.ndarray, level: float, sampling_rate: float, frequency: float = 0.0) -> np.ndarray:
    """A copy of x, (N, leads, samples), with an offset, or above 0 Hz a slow sine, of its own in each lead.

    level: deviation, in the unit of x, from which offsets and amplitudes are drawn, the same each time, as
    are the sines' phases.
    """
    rng = np.random.default_rng(0)
    height, phase = rng.normal(0, level, x.shape[:2]), rng.uniform(0, 2 * np.pi, x.shape[:2])
    if frequency == 0:
        return x + height[..., None].astype(x.dtype)
    turns = 2 * np.pi * frequency * np.arange(x.shape[-1]) / sampling_rate
    return x + (height[..., None] * np.sin(turns + phase[..., None])).astype(x.dtype)


def at_levels(
    levels: Mapping[str, Sequence[float]], sampling_rate: float
) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Changes of signals by kind and level, {"offset 0.5": a function of x, (N, leads, samples)}.

    levels: by kind: offset, breathing (a sine of .25 Hz) and drift (.05 Hz), see `add_drift`, noise, gain.
    Raises KeyError for another kind.
    """
    drift = partial(add_drift, sampling_rate=sampling_rate)
    kinds: dict[str, Callable[..., np.ndarray]] = {
        "offset": drift, "breathing": partial(drift, frequency=0.25), "drift": partial(drift, frequency=0.05),
        "noise": add_noise, "gain": scale,
    }  # fmt: skip
    return {
        f"{kind} {level:g}": partial(kinds[kind], level=level)
        for kind, of_kind in levels.items()
        for level in of_kind
    }
