"""A prediction as a picture: leads on grid paper, where the model looked, the probability of each window."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from biosignals.caching import writing
from biosignals.data.channel_names import LEADS
from biosignals.data.readers import printable
from biosignals.deployment.explain import Explanation
from biosignals.deployment.predict import NO_DIAGNOSIS, Prediction, clock
from biosignals.reporting import ecg_plots, plots

WIDTH, DPI = 10.0, 150  # inches, and pixels in each
TITLE, PANEL, NOTE = 0.8, 1.9, 0.3  # inches: above a sheet, of the probabilities, of the last line
EEG_ROW, EEG_SCALE = 0.22, 100.0  # inches and microvolts from one channel of an EEG to the next
PAGE_SECONDS = 10.0
MOST_CLASSES = 5
MOST_WINDOWS = 60  # that are drawn one by one
UNITS = {120.0: (1, "s"), 7200.0: (60, "min"), np.inf: (3600, "h")}  # of time, up to which length


def size(predictions: Sequence[Prediction], explanations: Sequence[Explanation]) -> tuple[int, int]:
    """Width and height, in pixels, of the picture that `draw` makes and `save` writes."""
    return round(WIDTH * DPI), round((sum(_heights(predictions, explanations)) + NOTE) * DPI)


def draw(predictions: Sequence[Prediction], explanations: Sequence[Explanation], name: str = "") -> Figure:
    """A sheet for each prediction and, below it, the probabilities of its windows.

    predictions, explanations: of one recording, by one or several models; name: of the recording. A dot marks
    what raises the logit of the class named above the sheet, the larger the more.
    """
    plots.use_style()
    width, height = size(predictions, explanations)
    heights = _heights(predictions, explanations)
    figure, axes = plt.subplots(
        len(heights), 1, figsize=(width / DPI, height / DPI), height_ratios=heights, squeeze=False
    )
    for prediction, explanation, pair in zip(predictions, explanations, axes.reshape(-1, 2), strict=True):
        _draw_sheet(pair[0], prediction, explanation, name)
        _draw_windows(pair[1], prediction, explanation)
    plots.note(axes[-1, 0], NO_DIAGNOSIS)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a figure whole or not at all, of the kind that the name says, as .png, and close it."""
    with writing(path) as unfinished:
        figure.savefig(unfinished, dpi=DPI, facecolor="white")
    plt.close(figure)


def _heights(predictions: Sequence[Prediction], explanations: Sequence[Explanation]) -> list[float]:
    """Inches of each sheet and of the probabilities below it."""
    pairs = zip(predictions, explanations, strict=True)
    return [part for pair in pairs for part in (_sheet_height(*pair), PANEL)]


def _sheet_height(prediction: Prediction, explanation: Explanation) -> float:
    rows = len(explanation.signals)
    if not _is_ecg(prediction):
        return EEG_ROW * (rows + 2) + TITLE
    rows = 4 if _is_page(prediction, explanation) else rows
    return 0.95 * WIDTH * plots.paper_shape(_seconds(prediction, explanation), rows) + TITLE


def _is_ecg(prediction: Prediction) -> bool:
    return prediction.card.unit.lower() == "mv"


def _is_page(prediction: Prediction, explanation: Explanation) -> bool:
    """Whether there are twelve leads of ten seconds, as a cardiologist's page has."""
    channels = {channel.upper() for channel in prediction.card.channels}
    shown = explanation.signals.shape[1] / prediction.card.sampling_rate
    return channels == set(LEADS) and shown >= PAGE_SECONDS


def _seconds(prediction: Prediction, explanation: Explanation) -> float:
    return max(PAGE_SECONDS, explanation.signals.shape[1] / prediction.card.sampling_rate)


# The sheet


def _draw_sheet(ax: Axes, prediction: Prediction, explanation: Explanation, name: str) -> None:
    card, weights = prediction.card, np.maximum(explanation.weights, 0)
    x = explanation.signals - np.median(explanation.signals, axis=1, keepdims=True)
    if not _is_ecg(prediction):
        _draw_eeg(ax, x, weights, prediction)
    elif _is_page(prediction, explanation):
        leads = [channel.upper() for channel in card.channels]
        ecg_plots.saliency_page(x, weights, card.sampling_rate, leads, ax=ax)
    else:
        labels = [plots.lead_label(channel) for channel in card.channels]
        seconds = _seconds(prediction, explanation)
        ecg_plots.saliency_strips(x, weights, card.sampling_rate, labels, seconds, ax)
    ax.set_title(_title(prediction, explanation, name), fontsize="small")


def _title(prediction: Prediction, explanation: Explanation, name: str) -> str:
    """Of what the sheet is, and what its dots say."""
    card, start = prediction.card, explanation.start
    stop = start + explanation.signals.shape[1] / card.sampling_rate
    most = max(float(explanation.weights.max()), 0.0)
    lines = (
        f"{name}, {clock(start)} to {clock(stop)}: {card.task}, {card.model}",
        f"dots: masking lowers the logit of {card.classes[explanation.target]}, by {most:.2g} at most",
    )
    return "\n".join(_literal(line) for line in lines)


def _literal(text: str) -> str:
    """A text that is drawn as it stands."""
    return printable(text).replace("$", r"\$")


def _draw_eeg(ax: Axes, x: np.ndarray, weights: np.ndarray, prediction: Prediction) -> None:
    """Channels of an EEG below each other, x and weights (channels, samples), with dots as on ECG paper."""
    times, largest = np.arange(x.shape[1]) / prediction.card.sampling_rate, max(weights.max(), 1e-12)
    offsets = -EEG_SCALE * np.arange(len(x))
    for row, weight, offset in zip(x, weights, offsets, strict=True):
        ax.plot(times, row + offset, color=plots.INK, linewidth=0.6)
        own = weight > 0.1 * largest
        ax.scatter(times[own], row[own] + offset, s=30 * weight[own] / largest,
                   color=plots.PALETTE[1], alpha=0.6, linewidth=0, zorder=3)  # fmt: skip
    ax.set(yticks=offsets, xlabel="s", xlim=(times[0], times[-1]), ylim=(offsets[-1] - EEG_SCALE, EEG_SCALE))
    ax.set_yticklabels(prediction.card.channels, fontsize="xx-small")
    ax.set_ylabel(f"{EEG_SCALE:g} uV from row to row", fontsize="x-small")


# The windows


def _draw_windows(ax: Axes, prediction: Prediction, explanation: Explanation) -> None:
    """Probabilities of the windows over the whole recording, thresholds dashed, episodes shaded."""
    factor, unit = next(how for most, how in UNITS.items() if prediction.seconds <= most)
    card = prediction.card
    shown = np.argsort(-prediction.probabilities, kind="stable")[:MOST_CLASSES]
    episodes = prediction.episodes()
    for place, k in enumerate(shown):
        colour = plots.PALETTE[place]
        name = _literal(f"{card.classes[k]} {prediction.probabilities[k]:.2f}")
        _draw_class(ax, prediction, k, factor, color=colour, label=name)
        ax.axhline(card.thresholds[k], color=colour, linewidth=0.8, linestyle="--")
        for one in episodes:
            if one.name == card.classes[k]:
                ax.axvspan(one.start / factor, one.end / factor, color=colour, alpha=0.12, linewidth=0)
    stop = explanation.start + explanation.signals.shape[1] / card.sampling_rate
    if stop - explanation.start < 0.99 * prediction.seconds:
        ax.axvspan(explanation.start / factor, stop / factor, color=plots.GREY, alpha=0.4)
    ax.set(xlim=(0, prediction.seconds / factor), ylim=(-0.03, 1.03), xlabel=unit, ylabel="probability")
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize="x-small")


def _draw_class(ax: Axes, prediction: Prediction, k: int, factor: float, color: str, label: str) -> None:
    """Each window of class k as a line; of many windows, their mean over time."""
    if len(prediction.starts) > MOST_WINDOWS:
        edges, p = prediction.over_time()
        ax.stairs(p[:, k], edges / factor, color=color, label=label, baseline=None)
        return
    ends = np.minimum(prediction.starts + prediction.window, prediction.seconds)
    ax.hlines(prediction.windows[:, k], prediction.starts / factor, ends / factor, color=color, label=label)
