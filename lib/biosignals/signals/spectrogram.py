"""Spectrograms by a short-time Fourier transform, on a linear and on a mel scale, with as many rows and
columns as a picture is to have.
"""

import numpy as np
import torch
from torch import Tensor

from biosignals.signals.scalogram import times


def spectrogram(signals: Tensor, window: int, rows: int, bins: int) -> Tensor:
    """Magnitude of the short-time Fourier transform of real signals: float32 (..., rows, bins).

    signals: (..., samples). window: samples of a Hann window, which slides from the middle of one of `bins`
    equal cells to the next (`scalogram.times`, to the nearest sample); beyond its borders a signal is zero.
    Row k is the frequency k / (2 * rows) of the sampling rate: more rows than window / 2 interpolate, they
    add no resolution. Raises ValueError for windows of fewer than 4 samples or longer than twice the rows.
    """
    if not 4 <= window <= 2 * rows:
        raise ValueError(f"a window has 4 to {2 * rows} samples (twice the rows), not {window}")
    signals = torch.as_tensor(signals, dtype=torch.float32)
    samples, half = signals.shape[-1], window // 2
    middles = np.rint(times(samples, bins)).astype(int).clip(0, samples - 1)
    places = torch.from_numpy(middles[:, None] + np.arange(window)).to(signals.device)
    padded = torch.nn.functional.pad(signals, (half, window - half))
    frames = padded[..., places] * torch.hann_window(window, periodic=False, device=signals.device)
    return torch.fft.rfft(frames, 2 * rows).abs()[..., :rows].transpose(-1, -2)


def mel_spectrogram(signals: Tensor, window: int, rows: int, bins: int, sampling_rate: float) -> Tensor:
    """The same with rows that lie evenly on the mel scale: float32 (..., rows, bins); see `mel_filters`.

    signals: (..., samples).
    """
    finer = 4 * rows
    powers = spectrogram(signals, window, finer, bins).square()
    filters = torch.from_numpy(mel_filters(rows, finer, sampling_rate)).to(powers.device)
    return (filters @ powers).sqrt()


def mel(hertz: float | np.ndarray) -> np.ndarray:
    """The pitch of frequencies on the mel scale, 2595 log10(1 + f / 700): (n,) in mel; hertz: (n,) in Hz."""
    return 2595 * np.log10(1 + np.asarray(hertz, dtype=float) / 700)


def mel_filters(rows: int, frequencies: int, sampling_rate: float) -> np.ndarray:
    """Triangles of sum 1 whose middles lie evenly in mel: float32 (rows, frequencies).

    frequencies: 0, 1, 2... times sampling_rate / (2 * frequencies), in Hz. Raises ValueError where these are
    too few for every triangle to hold one.
    """
    highest = mel(sampling_rate / 2)
    edges = 700 * (10 ** (np.linspace(0, highest, rows + 2) / 2595) - 1)
    hertz = np.arange(frequencies) * sampling_rate / (2 * frequencies)
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    triangles = np.minimum((hertz - low) / (middle - low), (high - hertz) / (high - middle)).clip(0)
    sums = triangles.sum(axis=1, keepdims=True)
    if not sums.all():
        raise ValueError(f"{frequencies} frequencies are too few for {rows} mel bands: take 2 a band or more")
    return (triangles / sums).astype(np.float32)
