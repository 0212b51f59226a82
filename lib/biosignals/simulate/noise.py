"""What an ECG recording holds beside the heart: baseline wander, mains hum, muscle noise, movement."""

from functools import cache

import numpy as np
import scipy
from numpy.random import Generator


@cache
def _muscle_band(sampling_rate: float) -> np.ndarray:
    edges = [20, min(120, 0.45 * sampling_rate)]
    band = scipy.signal.butter(1, edges, "bandpass", fs=sampling_rate, output="sos")
    return band.astype(np.float32)


def _mixed(waves: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sines and cosines of the phases (waves, samples) in another mix for each channel, float32."""
    waves = waves.astype(np.float32)
    return weights.astype(np.float32) @ np.vstack([np.sin(waves), np.cos(waves)])


def wander(rng: Generator, channels: int, samples: int, sampling_rate: float) -> np.ndarray:
    """Drift below 0.5 Hz, its power falling with frequency, (channels, samples), root mean square about 1."""
    frequencies = np.exp(rng.uniform(np.log(0.04), np.log(0.5), 5))
    phase = 2 * np.pi * frequencies[:, None] * np.arange(samples) / sampling_rate
    share = frequencies**-0.5 / np.sqrt((frequencies**-1.0).sum())
    return _mixed(phase, rng.normal(0, 1, (channels, 10)) * np.tile(share, 2))


def mains(rng: Generator, channels: int, samples: int, sampling_rate: float) -> np.ndarray:
    """Hum of 50 Hz and its third harmonic, (channels, samples), each of its own size (about 1) and phase."""
    phase = 2 * np.pi * 50 * (1 + rng.normal(0, 2e-4)) * np.arange(samples) / sampling_rate
    return _mixed(np.stack([phase, 3 * phase]), rng.normal(0, 1, (channels, 4)) * (1, 0.25, 1, 0.25))


def muscle(rng: Generator, channels: int, samples: int, sampling_rate: float) -> np.ndarray:
    """Tremor between 20 and 120 Hz, (channels, samples), root mean square about 1."""
    white = rng.standard_normal((channels, samples), dtype=np.float32)
    return scipy.signal.sosfilt(_muscle_band(sampling_rate), white) * np.float32(np.sqrt(sampling_rate / 200))


def bursts(rng: Generator, samples: int, sampling_rate: float) -> np.ndarray:
    """A shape (samples,) between 0 and 1 that opens one to three times for a second or so."""
    seconds = np.arange(samples) / sampling_rate
    count = rng.integers(1, 4)
    middles, widths = rng.uniform(0, seconds[-1], count), rng.uniform(0.2, 0.8, count)
    return np.exp(-0.5 * ((seconds[:, None] - middles) / widths) ** 2).max(1)


def disturb(
    rng: Generator, channels: int, samples: int, sampling_rate: float, drift=0.02, hum=0.002, tremor=0.006
) -> np.ndarray:
    """Wander, mains and muscle noise together, (channels, samples) in mV; electrodes differ in contact.

    drift, hum, tremor: root mean square in mV, one number or one for each channel.
    """
    size = (channels, samples, sampling_rate)
    contact = np.exp(rng.normal(0, 0.4, channels))
    total = (contact * drift)[:, None] * wander(rng, *size)
    total += (contact * hum)[:, None] * mains(rng, *size)
    total += (contact * tremor)[:, None] * muscle(rng, *size)
    return total


def movement(rng: Generator, channels: int, samples: int, sampling_rate: float) -> np.ndarray:
    """Electrodes that slip: fast swings of 0.5-5 Hz, (channels, samples), root mean square about 1."""
    knots = np.arange(0, samples / sampling_rate + 0.3, 0.15)
    seconds = np.arange(samples) / sampling_rate
    return np.array([np.interp(seconds, knots, row) for row in rng.normal(0, 1.2, (channels, len(knots)))])
