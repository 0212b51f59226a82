"""Pictures that explain an ECG: a labelled beat, the directions of the leads, beats in rows, what a net
looks at.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from biosignals.reporting.plots import (
    INK,
    MM_PER_MV,
    MM_PER_SECOND,
    PAGE,
    PALETTE,
    PAPER,
    ROW,
    THICK,
    THIN,
    calibration,
    ecg_page,
    grid,
    lead_label,
    paper,
    strips,
)

# Degrees: 0 to the left of the patient, 90 to the feet in the frontal plane and to the front in the other.
LIMB_LEADS = {"I": 0, "II": 60, "III": 120, "AVR": -150, "AVL": -30, "AVF": 90}
CHEST_LEADS = {"V1": 120, "V2": 90, "V3": 75, "V4": 60, "V5": 30, "V6": 0}  # about
WAVES = {"P": ("P_onset", "P_offset"), "QRS": ("QRS_onset", "QRS_offset"), "T": ("T_onset", "T_offset")}
INTERVALS = {  # from where to where, and how far below the trace it is drawn, in mV
    "PR": ("P_onset", "QRS_onset", 0.25),
    "QRS": ("QRS_onset", "QRS_offset", 0.45),
    "ST": ("QRS_offset", "T_onset", 0.65),
    "QT": ("QRS_onset", "T_offset", 0.85),
}
U_WAVE = 0.1  # seconds after the T wave, where a U wave has its top if there is one
WITHIN_ROW = (-1.7, 1.6)  # mV of a beat that a row shows
BEAT_WIDTH = 0.8  # seconds of paper for each beat of a row


def labelled_beat(
    beat: np.ndarray, times: np.ndarray, limits: Mapping[str, float], colours: Sequence = ("C0", "C1", "C2")
) -> Axes:
    """One beat on ECG paper with its waves shaded and named and its intervals measured.

    beat: (samples,) in mV; times: (samples,) seconds from the R peak; limits: of the waves, in the same
    seconds, see `signals.beats.wave_limits`. What is NaN is left out. "U" marks where a U wave would be.
    """
    _, ax = plt.subplots(figsize=(7, 4.6))
    ax.plot(1000 * times, beat, color=INK, linewidth=1.8)
    top, bottom = float(beat.max()) + 0.35, float(beat.min())
    for (name, ends), colour in zip(WAVES.items(), colours):
        start, stop = (limits[end] for end in ends)
        if np.isfinite([start, stop]).all():
            inside = (times >= start) & (times <= stop)
            ax.axvspan(1000 * start, 1000 * stop, color=colour, alpha=0.2, linewidth=0)
            height = beat[inside].max() if inside.any() else 0
            _name(ax, name, 500 * (start + stop), height + 0.06)
    if np.isfinite(limits["T_offset"]) and limits["T_offset"] + U_WAVE < times[-1]:
        place = limits["T_offset"] + U_WAVE
        _name(ax, "(U)", 1000 * place, float(np.interp(place, times, beat)) + 0.06)
    for name, (first, last, depth) in INTERVALS.items():
        start, stop = 1000 * limits[first], 1000 * limits[last]
        if np.isfinite([start, stop]).all() and stop > start:
            ax.plot([start, stop], [bottom - depth] * 2, color=INK, linewidth=1.4, marker="|", markersize=9)
            ax.text(stop + 8, bottom - depth, f"{name} {stop - start:.0f} ms", va="center", color=INK)
    ax.set(xlim=(1000 * times[0], 1000 * times[-1]), ylim=(bottom - 1.1, top))
    _rule(ax, 40, 0.1)
    ax.set(xlabel="ms from the R peak", ylabel="mV")
    return ax


def _rule(ax: Axes, x_step: float, y_step: float) -> None:
    """Paper with small squares of these steps and large ones of five, within the axes' limits."""
    ax.set_facecolor(PAPER)
    grid(ax, x_step, y_step, color=THIN, linewidth=0.5)
    grid(ax, 5 * x_step, 5 * y_step, color=THICK, linewidth=0.7)
    ax.grid(visible=False)


def _name(ax: Axes, text: str, x: float, y: float) -> None:
    ax.text(x, y, text, ha="center", va="bottom", fontweight="bold", color=INK)


def lead_directions(axes: Mapping[str, np.ndarray], bins: int = 36) -> np.ndarray:
    """Where the limb leads look from (the hexaxial picture), the measured axes of some groups, where the
    chest leads look from.

    axes: by group, degrees (n,), see `signals.beats.qrs_axis`: a closed line a group, its radius the share of
    recordings in each of `bins` directions. Returns the three axes, (3,).
    """
    figure, panels = plt.subplots(1, 3, figsize=(9, 4.2), subplot_kw={"projection": "polar"})
    for ax, leads in ((panels[0], LIMB_LEADS), (panels[2], CHEST_LEADS)):
        for lead, angle in leads.items():
            ax.annotate("", (np.radians(angle), 1), (0, 0), arrowprops={"arrowstyle": "->", "color": "C0"})
            ax.text(np.radians(angle), 1.2, lead_label(lead), ha="center", va="center", fontweight="bold")
        ax.set(ylim=(0, 1.05), yticks=[], xticks=[])
        ax.spines["polar"].set_visible(False)
    edges = np.linspace(-np.pi, np.pi, bins + 1)
    middles = np.append(edges[:-1], edges[0]) + np.pi / bins
    for style, (name, degrees) in zip(("-", "--", ":", "-."), axes.items()):
        found = degrees[np.isfinite(degrees)]
        counts, _ = np.histogram(np.radians(found), edges)
        share = np.append(counts, counts[0]) / max(len(found), 1)
        panels[1].plot(middles, share, style, label=f"{name} (n = {len(found):,})")
    panels[1].set(yticks=[], xticks=np.radians([0, 90, 180, 270]))
    panels[1].set_xticklabels(["0°", "+90°", "180°", "-90°"])
    for ax in panels:
        ax.set_theta_direction(-1)  # clockwise, as the axis is counted
    titles = (
        "limb leads, from the front",
        "axis of the QRS,\nshare by direction",
        "chest leads, from above,\nfront below",
    )
    for ax, title in zip(panels, titles):
        ax.set_title(title, loc="center", pad=18)
    figure.legend(*panels[1].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    figure.set_layout_engine("constrained", h_pad=0.15, w_pad=0.15)  # room for degrees and names
    return panels


def beat_rows(
    beats: Mapping[str, np.ndarray], sampling_rate: float, leads: Sequence[str], before: float = 0.3
) -> Axes:
    """One row of beats a name on ECG paper (25 mm/s, 10 mm/mV), a beat from each lead side by side.

    beats: by name, (leads, window) in mV, the R peak `before` seconds after their beginning; cut off where
    they would reach into other rows.
    """
    ax = paper(BEAT_WIDTH * len(leads), rows=len(beats))
    for row, (name, beat) in enumerate(beats.items()):
        middle = -ROW * row
        calibration(ax, middle)
        for column, own in enumerate(beat):
            times = np.arange(len(own)) / sampling_rate
            shown = times < BEAT_WIDTH - 0.04
            height = np.clip(own[shown], *WITHIN_ROW) * MM_PER_MV
            across = MM_PER_SECOND * (times[shown] + BEAT_WIDTH * column)
            ax.plot(across, middle + height, color=INK, linewidth=1)
        box = {"facecolor": PAPER, "edgecolor": "none", "pad": 0.8, "alpha": 0.8}
        ax.text(0.5, middle + 13, name, fontsize=11, color=INK, bbox=box, va="center")
    for column, lead in enumerate(leads):
        centre = MM_PER_SECOND * (BEAT_WIDTH * column + before)
        ax.text(centre, 21.5, lead_label(lead), ha="center", fontsize=11, fontweight="bold")
    return ax


def saliency_page(
    x: np.ndarray,
    weights: np.ndarray,
    sampling_rate: float,
    leads: Sequence[str],
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """The page of `plots.ecg_page` with a dot on each sample that speaks for a class, the larger the more.

    x: (12, samples), at least 10 s, in mV; weights: (12, samples), see `evaluation.saliency.saliency`; what
    is not positive, or below a twentieth of the largest, has no dot.
    """
    ax = ecg_page(x, sampling_rate, leads, title, ax)
    by_name = {name: (signal, weight) for name, signal, weight in zip(leads, x, weights)}
    for row, names in enumerate((*PAGE, ("II",))):
        for column, name in enumerate(names):
            signal, weight = by_name[name]
            seconds = (0, 10) if len(names) == 1 else (2.5 * column, 2.5 * (column + 1))
            first, last = (round(second * sampling_rate) for second in seconds)
            inside = np.zeros_like(weight)
            inside[first:last] = weight[first:last]
            _dots(ax, signal, inside, weights.max(), sampling_rate, row)
    return ax


def saliency_strips(
    signals: Sequence[np.ndarray],
    weights: Sequence[np.ndarray],
    sampling_rate: float,
    labels: Sequence[str],
    seconds: float = 10,
    ax: Axes | None = None,
) -> Axes:
    """The strips of `plots.strips` with dots as those of `saliency_page`, each strip by its own largest.

    signals: (samples,) in mV for each label, drawn as there; weights: of their samples, (samples,) each.
    """
    ax = strips(signals, sampling_rate, labels, seconds, ax)
    for row, (signal, weight) in enumerate(zip(signals, weights)):
        own = weight[: round(seconds * sampling_rate)]
        centred = np.clip(signal - np.median(signal), -1.4, 1.4)
        _dots(ax, centred, own, own.max(), sampling_rate, row)
    return ax


def _dots(
    ax: Axes, signal: np.ndarray, weight: np.ndarray, largest: float, sampling_rate: float, row: int
) -> None:
    """A dot on each sample of a row's signal (samples,) with a weight above a twentieth of the largest."""
    own = np.flatnonzero(weight > 0.05 * largest)
    ax.scatter(
        MM_PER_SECOND * own / sampling_rate,
        MM_PER_MV * signal[own] - ROW * row,
        s=60 * weight[own] / max(largest, 1e-12),
        color=PALETTE[1], alpha=0.6, linewidth=0, zorder=3,
    )  # fmt: skip
