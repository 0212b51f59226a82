"""What an ECG recording holds beside the heart: baseline wander, mains hum, muscle noise, faulty electrodes."""

from functools import cache

import numpy as np
from numpy.random import Generator
from scipy import signal


@cache
def _muscle_band(sampling_rate: float) -> np.ndarray:
    return signal.butter(1, [20, min(120, 0.45 * sampling_rate)], "bandpass", fs=sampling_rate, output="sos")


def wander(rng: Generator, channels: int, samples: int, sampling_rate: float) -> np.ndarray:
    """Slow drift below 0.5 Hz with a power that falls with frequency, (channels, samples), root mean square about 1."""
    frequencies = np.exp(rng.uniform(np.log(0.04), np.log(0.5), 5))
    phase = 2 * np.pi * frequencies[:, None] * np.arange(samples) / sampling_rate
    waves = np.vstack([np.sin(phase), np.cos(phase)])
    weights = rng.normal(0, 1, (channels, 10)) * np.tile(frequencies**-0.5, 2)
    return weights / np.sqrt((frequencies**-1.0).sum()) @ waves


def mains(
    rng: Generator, channels: int, samples: int, sampling_rate: float, frequency: float = 50.0
) -> np.ndarray:
    """Hum and its third harmonic, each electrode with its own size and phase, (channels, samples), about 1."""
    phase = 2 * np.pi * frequency * (1 + rng.normal(0, 2e-4)) * np.arange(samples) / sampling_rate
    weights = rng.normal(0, 1, (channels, 4)) * (1, 1, 0.25, 0.25)
    return weights @ np.vstack([np.sin(phase), np.cos(phase), np.sin(3 * phase), np.cos(3 * phase)])


def muscle(rng: Generator, channels: int, samples: int, sampling_rate: float) -> np.ndarray:
    """Tremor between 20 and 120 Hz, (channels, samples), root mean square about 1."""
    white = rng.standard_normal((channels, samples), dtype=np.float32)
    band = signal.sosfilt(_muscle_band(sampling_rate), white)
    return band / np.sqrt(2 * 100 / sampling_rate)


def bursts(rng: Generator, samples: int, sampling_rate: float) -> np.ndarray:
    """A shape (samples,) between 0 and 1 that opens one to three times for a second or so."""
    seconds = np.arange(samples) / sampling_rate
    count = rng.integers(1, 4)
    middles, widths = rng.uniform(0, seconds[-1], count), rng.uniform(0.2, 0.8, count)
    return np.exp(-0.5 * ((seconds[:, None] - middles) / widths) ** 2).max(1)


def disturb(
    rng: Generator, channels: int, samples: int, sampling_rate: float, drift=0.02, hum=0.002, tremor=0.006
) -> np.ndarray:
    """Wander, mains, muscle and amplifier noise together, (channels, samples) in mV; electrodes differ in contact.

    drift, hum, tremor: root mean square in mV, one number or one for each channel.
    """
    size = (channels, samples, sampling_rate)
    contact = np.exp(rng.normal(0, 0.4, channels))
    total = (contact * drift)[:, None] * wander(rng, *size)
    total += (contact * hum)[:, None] * mains(rng, *size)
    total += (contact * tremor)[:, None] * muscle(rng, *size)
    total += 0.001 * rng.standard_normal((channels, samples), dtype=np.float32)
    return total


def movement(rng: Generator, channels: int, samples: int, sampling_rate: float) -> np.ndarray:
    """Electrodes that slip: fast swings of 0.5-5 Hz, (channels, samples), root mean square about 1."""
    knots = np.arange(0, samples / sampling_rate + 0.3, 0.15)
    seconds = np.arange(samples) / sampling_rate
    return np.array([np.interp(seconds, knots, row) for row in rng.normal(0, 1.2, (channels, len(knots)))])
