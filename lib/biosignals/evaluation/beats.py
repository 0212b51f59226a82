"""How well R peaks, or the bounds of waves, are found: against those that cardiologists marked."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from biosignals.evaluation.counts import compare_counts, medians, totals
from biosignals.evaluation.scores import ratio

TOLERANCE = 0.15  # seconds between a mark and what is found of it, by ANSI/AAMI EC57


class PointCounts(NamedTuple):
    """One recording's outcome: marked points that were found, all that were marked, found ones that were not
    marked; errors: seconds from each mark to what was found of it.
    """

    found: int
    marked: int
    false: int
    errors: tuple[float, ...]


def score_points(
    marked: np.ndarray, found: np.ndarray, sampling_rate: float, tolerance: float = TOLERANCE
) -> PointCounts:
    """Match the points found in one recording with those marked, each with one at most.

    marked, found: positions in samples, ascending, (n,) and (m,). tolerance: seconds by which they may
    differ. What is found before the first mark or behind the last one, by more than that, does not count:
    marks often leave out the first and the last beat. By `wfdb.processing`, after ANSI/AAMI EC57. Raises
    ValueError for positions that do not ascend.
    """
    from wfdb.processing import compare_annotations  # a second, for which others need not wait

    marked, found = np.asarray(marked, dtype=int), np.asarray(found, dtype=int)
    if (np.diff(marked) < 0).any() or (np.diff(found) < 0).any():
        raise ValueError("positions of beats must ascend: sort them first")
    if not len(marked):
        return PointCounts(0, 0, 0, ())
    width = round(tolerance * sampling_rate)
    found = found[(found >= marked[0] - width) & (found <= marked[-1] + width)]
    if not len(found):
        return PointCounts(0, len(marked), 0, ())
    matched = compare_annotations(marked, found, width)
    errors = (matched.matched_test_sample - matched.matched_ref_sample) / sampling_rate
    return PointCounts(matched.tp, len(marked), matched.fp, tuple(errors.tolist()))


def point_sensitivity(_: np.ndarray, table: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Share of the marked points that are found, (resamples,); NaN without any.

    table: a row per recording with points found, marked and false, then absolute errors in seconds, in the
    place of probabilities; weights (resamples, n).
    """
    found, marked, _ = totals(table, weights, 3)
    return ratio(found, marked)


def point_precision(_: np.ndarray, table: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Share of what is found that was marked, NaN where nothing is found; else as `point_sensitivity`."""
    found, _, false = totals(table, weights, 3)
    return ratio(found, found + false)


def timing_error(_: np.ndarray, table: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Median distance from a mark to what was found of it, in milliseconds; else as `point_sensitivity`."""
    return 1000 * medians(table, weights, 3)


METRICS = {
    "sensitivity": point_sensitivity,
    "precision": point_precision,
    "timing_error_ms": timing_error,
}


def summarise(
    detectors: Mapping[str, Sequence[PointCounts]], subjects: np.ndarray, versus: str | None = None
) -> pd.DataFrame:
    """Scores of detectors, METRICS, with 95 % bootstrap intervals over subjects: as of `scores.compare`.

    detectors: by name, the `PointCounts` of each recording, in the order of `subjects`, (recordings,).
    versus: the name of the detector compared with. Raises ValueError as `scores.compare`.
    """
    rows = {name: [[[*c[:3], *np.abs(c.errors)] for c in counts]] for name, counts in detectors.items()}
    return compare_counts(rows, subjects, METRICS, versus)
