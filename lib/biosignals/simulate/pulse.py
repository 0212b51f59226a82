"""Pulse waves from two waves: the one the heart sends, and its echo from where the arteries branch.

Both rise and fall like t^k exp(-k t), so that a pulse begins at a foot and runs off until the next. How large
the echo is and how soon it comes makes the shape: early and large in stiff arteries, late and small in young
ones (Nichols et al., McDonald's Blood Flow in Arteries). A sensor pressed on the skin slows the first wave
and leaves more of the echo.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator


@dataclass(frozen=True)
class Artery:
    """What one person's arteries make of a heartbeat at one place. Times in s at 60 beats a minute."""

    transit: float  # from the R peak to the pulse's foot
    rise: float  # of the first wave, foot to peak
    sharpness: float  # the k of the first wave
    delay: float  # of the echo after the first wave's foot
    echo: float  # size of the echo, the first wave being 1
    echo_rise: float
    echo_sharpness: float


def finger(rng: Generator, age: float) -> Artery:
    """A person's arteries seen at a fingertip: stiffer with age, each in their own way."""
    stiffness = (age - 45) / 18 + rng.normal(0, 0.6)
    return Artery(
        transit=0.20 - 0.015 * stiffness + rng.normal(0, 0.01),
        rise=0.11 * np.exp(rng.normal(0.03 * stiffness, 0.08)),
        sharpness=2.5 * np.exp(rng.normal(0, 0.1)),
        delay=np.clip(0.235 - 0.011 * stiffness + rng.normal(0, 0.012), 0.12, 0.3),
        echo=np.clip(0.46 * np.exp(rng.normal(0.06 * stiffness, 0.3)), 0.1, 1.2),
        echo_rise=0.2 * np.exp(rng.normal(0, 0.08)),
        echo_sharpness=1.6 * np.exp(rng.normal(0, 0.1)),
    )


def wrist(artery: Artery, pressure: float) -> Artery:
    """The same person's at a wrist, under a pressure of 0 (just touching) to 1 (vessels nearly closed)."""
    return replace(
        artery,
        rise=artery.rise * (1 + 0.6 * pressure),
        echo=min(1.6 * artery.echo * np.exp(2.5 * pressure), 3.0),
        delay=artery.delay * (0.9 + 0.04 * pressure),
        echo_rise=artery.echo_rise * (1 + 0.1 * pressure),
    )


def wave(
    artery: Artery, beats: np.ndarray, cycle: np.ndarray, size: np.ndarray, echo: np.ndarray,
    samples: int, sampling_rate: float,
) -> np.ndarray:  # fmt: skip
    """The pulse wave (samples,) of R peaks at `beats` (n,), in s: more blood is up, a first wave is 1 high.

    cycle: (n,) s, the time to the next beat, whose root stretches a pulse. size: (n,) of each pulse. echo:
    (n,) factor on the size of its echo.
    """
    stretch = np.clip(cycle, 0.4, 1.6) ** 0.5
    feet = beats + artery.transit
    first = _bumps(feet, stretch * artery.rise, size, artery.sharpness, samples, sampling_rate)
    later, height = feet + stretch * artery.delay, size * artery.echo * echo
    return first + _bumps(
        later, stretch * artery.echo_rise, height, artery.echo_sharpness, samples, sampling_rate
    )


def _bumps(
    start: np.ndarray, rise: np.ndarray, height: np.ndarray, k: float, samples: int, sampling_rate: float
):
    """The sum of waves that begin at `start` (n,), in s, and reach `height` (n,) after `rise` (n,)."""
    length = int(rise.max() * (2 + 12 / np.sqrt(k)) * sampling_rate)
    first = np.ceil(start * sampling_rate).astype(int)
    seen = (first > -length) & (first < samples)
    first, start, rise, height = first[seen], start[seen], rise[seen], height[seen]
    time = ((first[:, None] + np.arange(length)) / sampling_rate - start[:, None]) / rise[:, None]
    shapes = height[:, None] * (time * np.exp(1 - time)) ** k
    total = np.zeros(samples + 2 * length)
    for position, shape in zip(first + length, shapes):
        total[position : position + length] += shape
    return total[length : length + samples]


def wandering(rng: Generator, times: np.ndarray, scale: float) -> np.ndarray:
    """A random course (n,) at `times` (n,), in s, that changes within about `scale` s; deviation about 1."""
    knots = np.arange(times.min(initial=0) - scale, times.max(initial=0) + 2 * scale, scale)
    return np.interp(times, knots, rng.normal(0, 1.2, len(knots)))
