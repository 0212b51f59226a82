"""Whole records as pictures, for nets that were made for photographs."""

import numpy as np

from biosignals.signals.windows import standardise


def record_image(signals: np.ndarray, height: int = 182, width: int = 256, batch: int = 256) -> np.ndarray:
    """Draw each record's values as grey levels, time downwards and leads across: the samples x leads matrix, resized.

    signals: (N, leads, samples). Returns float32 (N, 3, height, width), three equal images in a read-only view that
    takes the memory of one. Resized bilinearly; where that shrinks, averaged with the triangle's wider weights, so
    that no sample is skipped. Each picture is scaled to mean 0 and deviation 1: absolute voltage is lost.
    """
    down, across = _bilinear(signals.shape[2], height), _bilinear(signals.shape[1], width)
    pictures = np.empty((len(signals), height, width), dtype=np.float32)
    for i in range(0, len(signals), batch):
        values = signals[i : i + batch].swapaxes(1, 2).astype(np.float64)
        pictures[i : i + batch] = standardise(down @ values @ across.T, axis=(1, 2))
    return np.broadcast_to(pictures[:, np.newaxis], (len(signals), 3, height, width))


def _bilinear(samples: int, size: int) -> np.ndarray:
    """Weights (size, samples) that resize by a product: a triangle around each new pixel's centre, sums of 1."""
    step = samples / size
    centres = (np.arange(size) + 0.5) * step - 0.5
    distance = np.abs(centres[:, np.newaxis] - np.arange(samples)) / max(step, 1)
    weights = np.maximum(1 - distance, 0)
    return weights / weights.sum(axis=1, keepdims=True)
