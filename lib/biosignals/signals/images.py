"""Whole records as pictures, for nets that were made for photographs."""

import numpy as np

from biosignals.signals.windows import standardise


def record_image(x: np.ndarray, height: int, width: int) -> np.ndarray:
    """Each record's matrix of samples x leads as grey levels, resized: time runs downwards, leads across.

    x: (N, leads, samples), any unit. Returns float32 (N, height, width). Resized bilinearly; where that
    shrinks, averaged with the triangle's wider weights, so that no sample is skipped. Each picture is scaled
    to mean 0 and deviation 1: absolute voltage is lost.
    """
    down, across = _bilinear(x.shape[2], height), _bilinear(x.shape[1], width)
    return standardise(down @ x.swapaxes(1, 2).astype(np.float64) @ across.T, axis=(1, 2))


def _bilinear(samples: int, size: int) -> np.ndarray:
    """Weights (size, samples) that resize by a product: triangles around the new pixels, sums of 1."""
    step = samples / size
    centres = (np.arange(size) + 0.5) * step - 0.5
    distance = np.abs(centres[:, np.newaxis] - np.arange(samples)) / max(step, 1)
    weights = np.maximum(1 - distance, 0)
    return weights / weights.sum(axis=1, keepdims=True)
