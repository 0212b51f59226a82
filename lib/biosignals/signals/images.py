"""Whole records as pictures, for nets that were made for photographs."""

from itertools import pairwise

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


PAGE_ROWS, PAGE_COLUMNS = 3, 4  # of the twelve leads on a page, in the order of `leads`, column by column
SPAN = 3.0  # mV that a row of the page shows
SQUARE = 0.2  # grey of the lines each 5 mm
UNEVEN = 0.2  # grey by which a scanner's light makes the edges of a page darker, at most


def paper_image(x: np.ndarray, sampling_rate: float, height: int, width: int) -> np.ndarray:
    """Twelve leads as they are printed, on paper with a line each 5 mm (0.2 s and 0.5 mV): three rows of four
    leads, a quarter of the recording each, one after the other in time.

    x: (N, 12, samples) in mV, leads in the usual order I II III aVR aVL aVF V1-V6, `sampling_rate` in Hz.
    Returns float32 (N, height, width) from 0, paper, to 1, ink. A trace covers each column from its lowest to
    its highest sample there, one pixel thick, its median in the middle of its row; what leaves the page is
    cut off. Raises ValueError for other than twelve leads.
    """
    if x.shape[1] != PAGE_ROWS * PAGE_COLUMNS:
        raise ValueError(f"a page shows twelve leads, not {x.shape[1]}")
    tall, wide, quarter = height // PAGE_ROWS, width // PAGE_COLUMNS, x.shape[2] // PAGE_COLUMNS
    pages = np.tile(_squares(height, width, quarter / sampling_rate / wide, SPAN / tall), (len(x), 1, 1))
    for lead in range(x.shape[1]):
        column, row = divmod(lead, PAGE_ROWS)
        piece = x[:, lead, quarter * column : quarter * (column + 1)].astype(np.float32)
        piece = piece - np.median(piece, axis=1, keepdims=True)
        place = pages[:, tall * row : tall * (row + 1), wide * column : wide * (column + 1)]
        np.maximum(place, _ink(piece * tall / SPAN, tall, wide), out=place)
    return pages


def _squares(height: int, width: int, seconds: float, millivolts: float) -> np.ndarray:
    """Lines of a page (height, width) whose pixels are so many seconds wide and mV high."""
    page = np.zeros((height, width), np.float32)
    page[np.unique(np.arange(0, height * millivolts, 0.5) / millivolts).astype(int)] = SQUARE
    page[:, np.unique(np.arange(0, width * seconds, 0.2) / seconds).astype(int)] = SQUARE
    return page


def _ink(pixels: np.ndarray, tall: int, wide: int) -> np.ndarray:
    """Traces (N, samples), in pixels above the middle, as ink (N, tall, wide)."""
    edges = np.linspace(0, pixels.shape[1] - 1, wide + 1)
    middle = (tall - 1) / 2
    ink = np.empty((len(pixels), tall, wide), np.float32)
    rows = np.arange(tall, dtype=np.float32)[:, None]
    for column, (first, last) in enumerate(pairwise(edges)):
        inside = pixels[:, int(np.floor(first)) : int(np.ceil(last)) + 1]  # neighbours join in one sample
        low, high = middle - inside.max(1), middle - inside.min(1)
        # How much of a pixel lies under a line from low to high, half a pixel thicker on both sides.
        covered = np.minimum(rows + 0.5, high + 0.5) - np.maximum(rows - 0.5, low - 0.5)
        ink[:, :, column] = np.clip(covered, 0, 1).T
    return ink


def scan(pages: np.ndarray, seed: int = 0) -> np.ndarray:
    """pages (N, height, width) of 0 to 1 as a scanner gives them, each at random: up to 2 degrees askew, ink
    faded to 0.6 to 1, uneven light, blurred, with noise.

    Returns float32 (N, height, width) from 0 to 1; the same for the same `seed` and place in the array.
    """
    return np.stack([_scanned(page, np.random.default_rng([seed, i])) for i, page in enumerate(pages)])


def _scanned(page: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    from scipy.ndimage import gaussian_filter, rotate

    height, width = page.shape
    turned = rotate(page, rng.uniform(-2, 2), reshape=False, order=1)
    down, across = rng.uniform(-UNEVEN, UNEVEN, 2)
    light = down * np.linspace(-0.5, 0.5, height)[:, None] + across * np.linspace(-0.5, 0.5, width)
    faded = rng.uniform(0.6, 1) * gaussian_filter(turned, rng.uniform(0.2, 0.8)) + np.abs(light)
    return np.clip(faded + rng.normal(0, 0.08, page.shape), 0, 1).astype(np.float32)
