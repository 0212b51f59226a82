"""Numbers in sentences: what a chapter glues into its text."""

import math

import pandas as pd

from biosignals.reporting.scoreboard import short


def change(row: pd.Series, digits: int = 3) -> str:
    """What a paired difference says, as the end of a sentence: "higher by .004 [.001 to .007]", "lower by
    .011 [.002 to .020]", or "not measurably different (+.002 [-.003 to .007])" where its interval holds 0.

    row: with delta, delta_low and delta_high, as `evaluation.scores.compare` gives it.
    """
    delta, low, high = (float(row[key]) for key in ("delta", "delta_low", "delta_high"))
    if low <= 0 <= high:
        return f"not measurably different ({'+' * (delta >= 0)}{_interval(delta, low, high, digits)})"
    if delta > 0:
        return f"higher by {_interval(delta, low, high, digits)}"
    return f"lower by {_interval(-delta, -high, -low, digits)}"


def duration(seconds: float) -> str:
    """A time in words: "48 s", "12 min", "2.5 h"."""
    if seconds < 90:
        return f"{math.ceil(seconds)} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _interval(value: float, low: float, high: float, digits: int) -> str:
    return f"{short(value, digits)} [{short(low, digits)} to {short(high, digits)}]"
