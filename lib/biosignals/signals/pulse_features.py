"""The shape of a pulse wave in numbers: times, widths and heights that physiologists measure."""

import numpy as np
import pandas as pd

from biosignals.signals import pulses
from biosignals.signals.pulses import SAMPLING_RATE

POINTS = 100  # of a pulse once it is stretched to one length
FEATURES = (
    "pulse length", "rise time", "rise share", "width at 25 %", "width at 50 %", "width at 75 %",
    "area before the peak", "area after the peak", "height at a third", "height at two thirds",
    "steepest rise", "steepest fall", "b to a", "c to a", "d to a", "e to a",
)  # fmt: skip


def shape_features(x: np.ndarray, sampling_rate: float) -> pd.DataFrame:
    """Columns FEATURES of recordings of a pulse wave, a row each; NaN where no whole pulse was found.

    x: (n, 1, samples), upright, any unit. They are those of a recording's mean pulse, scaled to its peak.
    Times in s, widths as shares of the pulse, slopes in heights a pulse; b to e are extremes of its second
    derivative, in turn a trough, a peak, a trough and a peak after the first peak a (Takazawa et al. 1998), 0
    where they are missing.
    """
    rows = [_of_recording(one[0], sampling_rate) for one in x]
    return pd.DataFrame(rows, columns=list(FEATURES), dtype=float)


def _of_recording(ppg: np.ndarray, sampling_rate: float) -> list[float]:
    try:
        found, _ = pulses.pulses(ppg, sampling_rate)
    except ValueError:  # a recording that never changes
        found = []
    if not found:
        return [np.nan] * len(FEATURES)
    padded, lengths = pulses.pad(found)
    mean = pulses.fit_width(padded, lengths, POINTS, "resample").mean(axis=0, dtype=float)
    return _of_pulse(mean / mean.max(), float(np.median(lengths)) / SAMPLING_RATE)


def _of_pulse(pulse: np.ndarray, seconds: float) -> list[float]:
    """FEATURES of one pulse (POINTS,) that lasts so many `seconds`, its maximum 1."""
    peak = int(pulse.argmax())
    widths = [np.mean(pulse >= height) for height in (0.25, 0.5, 0.75)]
    slope = np.gradient(pulse, 1 / POINTS)
    return [
        seconds, peak / POINTS * seconds, peak / POINTS, *widths,
        pulse[:peak].sum() / POINTS, pulse[peak:].sum() / POINTS, pulse[POINTS // 3], pulse[2 * POINTS // 3],
        slope.max(), slope.min(), *_acceleration(np.gradient(slope, 1 / POINTS)),
    ]  # fmt: skip


def _acceleration(second: np.ndarray) -> list[float]:
    """Ratios of the waves b, c, d and e of a second derivative (POINTS,) to its first wave a."""
    a = int(second[: POINTS // 2].argmax())
    ratios, place = [], a
    for sign in (-1, 1, -1, 1):
        turned = sign * second
        after = np.arange(place + 1, POINTS - 1)
        tops = after[(turned[after] >= turned[after - 1]) & (turned[after] > turned[after + 1])]
        place = int(tops[0]) if len(tops) else POINTS - 1
        ratios.append(second[place] / second[a] if len(tops) and second[a] > 0 else 0.0)
    return ratios
