"""The style of every picture in the book, and the pictures that several chapters draw. All return axes."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import MultipleLocator

from biosignals.data.ptbxl import SUPERCLASSES

COLOURS = dict(zip(SUPERCLASSES, sns.color_palette("colorblind")))  # one colour a class, the same in every chapter
PAPER, THIN, THICK, INK = "#fffafa", "#f8dcdc", "#eeb0b0", "#202030"  # an ECG page

MM_PER_SECOND, MM_PER_MV = 25, 10
PAGE = (("I", "AVR", "V1", "V4"), ("II", "AVL", "V2", "V5"), ("III", "AVF", "V3", "V6"))
ROW = 30  # mm from one row of leads to the next


def use_style() -> None:
    """Set the look of all figures that follow: seaborn, colours that colour-blind readers can tell apart, 110 dpi."""
    sns.set_theme(context="notebook", style="whitegrid", palette="colorblind", font_scale=0.9)
    plt.rcParams.update({"figure.dpi": 110, "figure.figsize": (8, 4), "figure.constrained_layout.use": True,
                         "axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": "medium",
                         "axes.titlelocation": "left", "lines.linewidth": 1.3, "legend.frameon": False})  # fmt: skip


def note(ax: Axes, text: str) -> Axes:
    """Say under the figure what data it shows: small grey text at the lower right, "PTB-XL, excerpt, n = 2,630"."""
    ax.figure.supxlabel(text, x=0.995, ha="right", fontsize="x-small", color="0.4")
    return ax


def table(frame: pd.DataFrame, caption: str, digits: int = 2):
    """A table for the page, its caption saying what data it shows; numbers with `digits` decimals, thousands apart."""
    style = frame.style.format(precision=digits, thousands=",", na_rep="")
    return style.set_caption(caption).set_table_styles([{"selector": "caption", "props": "caption-side: bottom"}])


def lead_label(name: str) -> str:
    """The way a lead's name is printed: AVR becomes aVR."""
    return name.replace("AV", "aV", 1) if name.startswith("AV") else name


def ecg_page(x: np.ndarray, sampling_rate: float, leads: Sequence[str], title: str = "") -> Axes:
    """A twelve-lead ECG as cardiologists print it: 25 mm/s, 10 mm/mV, three rows of four leads and lead II below.

    x: (12, samples), at least 10 s, in mV; leads: names in the order of x. The four columns follow each other in time,
    2.5 s each, like the paper under a pen. The pulse at the left of each row is 1 mV tall and 0.2 s wide.
    """
    by_name = dict(zip(leads, x))
    ax = paper(seconds=10, rows=4)
    for row, names in enumerate((*PAGE, ("II",))):
        middle = -ROW * row
        calibration(ax, middle)
        for column, name in enumerate(names):
            start, stop = 2.5 * column, 10 if len(names) == 1 else 2.5 * (column + 1)
            trace(ax, by_name[name], sampling_rate, start, stop, middle)
            label(ax, lead_label(name), start, middle)
    ax.set_title(title)
    return ax


def strips(signals: Sequence[np.ndarray], sampling_rate: float, labels: Sequence[str], seconds: float = 10) -> Axes:
    """Single-lead ECGs below each other on ECG paper (25 mm/s, 10 mm/mV), each from its beginning.

    signals: one array (samples,) in mV for each label.
    """
    ax = paper(seconds, rows=len(signals))
    for row, (signal, text) in enumerate(zip(signals, labels)):
        calibration(ax, -ROW * row)
        trace(ax, signal, sampling_rate, 0, min(seconds, len(signal) / sampling_rate), -ROW * row)
        label(ax, text, 0, -ROW * row)
    return ax


def paper(seconds: float, rows: int) -> Axes:
    """An empty sheet of ECG paper with its grid of 1 and 5 mm; coordinates in mm, the first row's zero line at 0."""
    left, right, top, bottom = -12, MM_PER_SECOND * seconds + 2, 20, -ROW * (rows - 1) - 18
    width = 9.5
    _, ax = plt.subplots(figsize=(width, width * (top - bottom) / (right - left) + 0.35))
    ax.set(xlim=(left, right), ylim=(bottom, top), aspect="equal", facecolor=PAPER, xticklabels=[], yticklabels=[])
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MultipleLocator(5))
        axis.set_minor_locator(MultipleLocator(1))
    ax.grid(which="minor", color=THIN, linewidth=0.4)
    ax.grid(which="major", color=THICK, linewidth=0.6)
    ax.tick_params(which="both", length=0, labelcolor="none")
    ax.spines[:].set(visible=True, color=THICK)
    return ax


def trace(ax: Axes, signal: np.ndarray, sampling_rate: float, start: float, stop: float, middle: float) -> None:
    """Draw `signal` (mV) from `start` to `stop` seconds around the height `middle` (mm), kept within its own row."""
    first, last = round(start * sampling_rate), round(stop * sampling_rate)
    millimetres = MM_PER_SECOND * np.arange(first, last) / sampling_rate
    height = np.clip(MM_PER_MV * signal[first:last], -ROW, ROW)
    ax.plot(millimetres, middle + height, color=INK, linewidth=0.9, solid_joinstyle="round")


def calibration(ax: Axes, middle: float) -> None:
    """The pulse of 1 mV and 0.2 s at the left of a row."""
    ax.plot([-10, -8, -8, -3, -3, -1], middle + np.array([0, 0, 10, 10, 0, 0]), color=INK, linewidth=0.9)


def label(ax: Axes, text: str, start: float, middle: float) -> None:
    """Name a lead above the beginning of its trace."""
    box = {"facecolor": PAPER, "edgecolor": "none", "pad": 0.8, "alpha": 0.8}
    ax.text(MM_PER_SECOND * start + 1.5, middle + 11.5, text, fontsize=9, fontweight="bold", color=INK, bbox=box)


def beats(
    shapes: Mapping[str, np.ndarray], times: np.ndarray, leads: Sequence[str], colours: Mapping[str, tuple] = COLOURS
) -> np.ndarray:
    """Compare beats lead by lead: one small panel a lead, one line a name.

    shapes: (leads, samples) in mV by name; times: (samples,) seconds from the R peak. Returns the panels' axes, (rows, 4).
    """
    rows = -(-len(leads) // 4)
    figure, axes = plt.subplots(rows, 4, figsize=(9, 2 * rows), sharex=True, sharey=True, squeeze=False)
    for i, (ax, lead) in enumerate(zip(axes.T.flat if rows > 1 else axes.flat, leads)):
        for name, shape in shapes.items():
            ax.plot(1000 * times, shape[i], color=colours.get(name), label=name)
        ax.set_title(lead_label(lead))
    figure.supylabel("mV")
    for ax in axes[-1]:
        ax.set_xlabel("ms from the R peak")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=len(shapes))
    return axes


def intervals(scores: pd.DataFrame, label: str, value: str = "value", low: str = "low", high: str = "high",
              hue: str | None = None, ax: Axes | None = None) -> Axes:  # fmt: skip
    """Points with their intervals, one row of `scores` a point: names downwards, the value across.

    `label`, `value`, `low`, `high` and `hue` name columns; points of the same label and another hue lie side by side.
    """
    names = list(dict.fromkeys(scores[label]))
    groups = [(None, scores)] if hue is None else list(scores.groupby(hue, sort=False))
    if ax is None:
        _, ax = plt.subplots(figsize=(8, 0.7 + 0.3 * len(names) * max(1, 0.6 * len(groups))))
    for i, (group, rows) in enumerate(groups):
        height = rows[label].map(names.index) + 0.5 * ((i + 0.5) / len(groups) - 0.5)
        errors = [rows[value] - rows[low], rows[high] - rows[value]]
        ax.errorbar(rows[value], height, xerr=errors, fmt="o", markersize=5, elinewidth=1.3, label=group)
    ax.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5))
    if hue is not None:
        ax.legend(title=hue, loc="center left", bbox_to_anchor=(1, 0.5))
    return ax
