"""Where an exported model looks in a recording."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from biosignals.data.readers import Signal, check_signal
from biosignals.deployment.predict import Prediction, choose_channels, open_model, run
from biosignals.evaluation.occlusion import logit, occlusion
from biosignals.signals.resampling import resample
from biosignals.signals.windows import window_starts

SHOWN = 10.0  # seconds of a recording that are explained
PIECE = {"v": 0.2, "mv": 0.2, "uv": 1.0}  # seconds that are masked at a time: a wave of an ECG, or EEG


class Explanation(NamedTuple):
    """A piece of a recording and where a model looks in it.

    signals: float32 (channels, samples), in the card's unit and at its rate, from `start`, seconds. target:
    the class. weights: of the same shape, positive where masking the signal lowers the logit of that class.
    """

    signals: np.ndarray
    weights: np.ndarray
    start: float
    target: int


def explain(
    signal: Signal, model: Path | str, prediction: Prediction, target: int | None = None
) -> Explanation:
    """Where a model looks in the 10 s of a recording in which it finds most of a class: see
    `occlusion.occlusion`.

    prediction: what `predict` gives for both. target: the class, None: the one that is furthest above its
    threshold, or least below. Raises InvalidRecording as `predict`.
    """
    card = prediction.card
    if target is None:
        margins = logit(prediction.probabilities) - logit(np.asarray(card.thresholds))
        target = int(margins.argmax())
    x, rate = choose_channels(check_signal(signal), card)
    start, stop = _span(prediction, target)
    part = resample(x[:, round(start * rate) : round(stop * rate)], rate, card.sampling_rate)
    session, rows = open_model(model, card), []
    width = max(round(PIECE[card.unit.lower()] * card.sampling_rate), 2)
    starts = window_starts(part.shape[1], card.samples, round(card.step * card.sampling_rate))
    for window in _windows(part, starts, card.samples):
        rows.append(occlusion(lambda x: run(session, x)[:, target], window, width))
    return Explanation(part, _mean_where_they_overlap(rows, starts, part.shape[1]), start, target)


def _windows(x: np.ndarray, starts: np.ndarray, length: int) -> list[np.ndarray]:
    """Windows (channels, length) of x (channels, samples), which is repeated where it is shorter."""
    x = np.pad(x, ((0, 0), (0, max(length - x.shape[1], 0))), mode="wrap")
    return [x[:, start : start + length] for start in starts]


def _mean_where_they_overlap(rows: list[np.ndarray], starts: np.ndarray, samples: int) -> np.ndarray:
    """Weights (channels, samples) of a signal by those of its windows, (channels, length) each."""
    weights, counts = np.zeros((len(rows[0]), samples), np.float32), np.zeros(samples, np.float32)
    for row, start in zip(rows, starts, strict=True):
        here = slice(start, min(start + row.shape[1], samples))
        weights[:, here] += row[:, : here.stop - start]
        counts[here] += 1
    return weights / counts


def _span(prediction: Prediction, target: int) -> tuple[float, float]:
    """Start and end, seconds, of the piece of a recording that is explained: around the window with the
    highest probability of a class.
    """
    length = min(max(SHOWN, prediction.window), prediction.seconds)
    highest = prediction.starts[int(np.nanargmax(prediction.windows[:, target]))]
    middle = highest + prediction.window / 2
    start = min(max(middle - length / 2, 0.0), prediction.seconds - length)
    return start, start + length
