"""Pictures to look closer at, by Plotly: `plots.show` puts them behind a button below their drawing."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from biosignals.reporting.plots import GREY, PALETTE, lead_label

LAYOUT = {
    "template": "none", "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)",
    "margin": {"l": 60, "r": 10, "t": 40, "b": 50}, "font": {"size": 13}, "hovermode": "closest",
    "legend": {"orientation": "h", "y": 1, "yanchor": "bottom"}, "modebar": {"bgcolor": "rgba(0,0,0,0)"},
}  # fmt: skip
AXIS = {"gridcolor": "rgba(128,128,128,0.3)", "zeroline": False, "linecolor": GREY}


def ecg(x: np.ndarray, sampling_rate: float, leads: Sequence[str], spacing: float = 2.0) -> go.Figure:
    """Every lead of a recording below the other, to zoom into.

    x: (leads, samples) in mV; leads: their names. `spacing`: mV from one lead's zero line to the next.
    """
    times = np.arange(x.shape[1], dtype=np.float32) / np.float32(sampling_rate)
    traces = [
        go.Scatter(
            x=times, y=(signal - spacing * row).round(3).astype(np.float32), name=lead_label(lead),
            mode="lines", line={"width": 1.2, "color": PALETTE[0]},
            customdata=signal.round(3).astype(np.float32), hovertemplate="%{x:.2f} s, %{customdata:.2f} mV",
        )
        for row, (lead, signal) in enumerate(zip(leads, x))
    ]  # fmt: skip
    names = {"tickvals": [-spacing * row for row in range(len(leads))], "ticktext": [*map(lead_label, leads)]}
    size = {"height": 60 + 45 * len(leads), "showlegend": False}
    return go.Figure(traces, {**LAYOUT, **size, "xaxis": {**AXIS, "title": "s"}, "yaxis": {**AXIS, **names}})


def scalogram(picture: np.ndarray, seconds: float, frequencies: np.ndarray) -> go.Figure:
    """A picture (frequencies, times) over the `seconds` of its signal; frequencies (n,) in Hz, rising."""
    middles = (np.arange(picture.shape[1]) + 0.5) * seconds / picture.shape[1]
    map_ = go.Heatmap(
        x=middles.round(4), y=np.asarray(frequencies).round(4), z=picture.astype(np.float32).round(4),
        colorscale="Magma", hovertemplate="%{x:.2f} s, %{y:.3g} Hz: %{z:.3g}<extra></extra>",
    )  # fmt: skip
    axes = {"xaxis": {**AXIS, "title": "s"}, "yaxis": {**AXIS, "title": "Hz", "type": "log"}}
    return go.Figure(map_, {**LAYOUT, **axes, "height": 400})


def trade_off(
    scores: pd.DataFrame, cost: str, hue: str, label: str = "model", score: str = "score"
) -> go.Figure:
    """Scores (columns value, low, high) against a cost on a logarithmic axis, a colour for each `hue`; a
    point says its `label`. `score`: what the scores are called.
    """
    traces = []
    for colour, (name, rows) in zip(PALETTE * len(scores), scores.groupby(hue, sort=False)):
        texts = [
            f"{row[label]}: {row.value:.3f} [{row.low:.3f}-{row.high:.3f}]" for _, row in rows.iterrows()
        ]
        error = {
            "array": rows.high - rows.value,
            "arrayminus": rows.value - rows.low,
            "thickness": 1,
            "color": GREY,
        }
        traces.append(
            go.Scatter(
                x=rows[cost], y=rows.value, error_y=error, mode="markers", name=str(name), text=texts,
                marker={"size": 9, "color": colour},
                hovertemplate=f"%{{text}}, %{{x:,}} {cost}<extra></extra>",
            )
        )  # fmt: skip
    axes = {"xaxis": {**AXIS, "title": cost, "type": "log"}, "yaxis": {**AXIS, "title": score}}
    return go.Figure(traces, {**LAYOUT, **axes, "height": 480})
