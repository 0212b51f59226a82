"""Episodes of a rhythm in hours of recording: found, missed, false, and the share of time they take."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from biosignals.evaluation.counts import compare_counts, medians, totals
from biosignals.evaluation.scores import ratio
from biosignals.signals.windows import runs

TOLERANCE = 30.0  # seconds that the onset of an episode may be off

Spans = Sequence[tuple[float, float]]  # start and end in seconds


class EpisodeCounts(NamedTuple):
    """One recording's outcome: episodes found, all episodes, false episodes, hours; burden and its prediction
    as shares of the time, 0 to 1.
    """

    found: int
    episodes: int
    false: int
    hours: float
    burden: float
    predicted_burden: float


def from_windows(starts: np.ndarray, positive: np.ndarray, seconds: float) -> list[tuple[float, float]]:
    """Episodes (start, end) in seconds of positive windows in a row.

    starts: of windows that follow each other, ascending, (n,) s; positive: bool (n,); seconds: the length of
    a window. A gap between windows ends an episode.
    """
    starts, episodes = np.asarray(starts, dtype=float), []
    for first, stop in runs(np.asarray(positive, dtype=bool)):
        breaks = 1 + np.flatnonzero(np.diff(starts[first:stop]) > seconds * (1 + 1e-6))
        for part in np.split(starts[first:stop], breaks):
            episodes.append((float(part[0]), float(part[-1] + seconds)))
    return episodes


def score_episodes(
    reference: Spans, predicted: Spans, seconds: float, tolerance: float = TOLERANCE
) -> EpisodeCounts:
    """Count one recording's episodes.

    An episode is found by a predicted one that overlaps it and begins within `tolerance` seconds of its
    onset; one that overlaps several begins for the first of them only. A predicted episode is false that
    overlaps none. reference, predicted: (start, end) in seconds, in order, none overlapping its neighbour;
    seconds: the recording's length. Raises ValueError for episodes beyond the recording or out of order.
    """
    for name, spans in {"reference": reference, "predicted": predicted}.items():
        flat = np.array(spans, dtype=float).reshape(-1)
        if len(flat) and (flat[0] < 0 or flat[-1] > seconds + 1e-6 or (np.diff(flat) < 0).any()):
            raise ValueError(f"{name} episodes must be in order and within the recording of {seconds:g} s")
    found = 0
    for start, end in reference:
        overlapping = [one for one in predicted if one[0] < end and start < one[1]]
        found += any(abs(one[0] - start) <= tolerance for one in overlapping)
    false = sum(not any(one[0] < end and start < one[1] for start, end in reference) for one in predicted)
    shares = [sum(end - start for start, end in spans) / seconds for spans in (reference, predicted)]
    return EpisodeCounts(found, len(reference), false, seconds / 3600, *shares)


def episode_sensitivity(_: np.ndarray, table: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Share of the episodes that are found, (resamples,); NaN without any.

    table: a row per recording with episodes found, all, false, hours, and the absolute error of its burden in
    percentage points, in the place of probabilities; weights (resamples, n).
    """
    found, episodes, _, _ = totals(table, weights, 4)
    return ratio(found, episodes)


def false_episodes_per_day(_: np.ndarray, table: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """False episodes per 24 h of recording; else as `episode_sensitivity`."""
    _, _, false, hours = totals(table, weights, 4)
    return ratio(24 * false, hours)


def burden_error(_: np.ndarray, table: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Error of the burden in the median recording, percentage points; else as `episode_sensitivity`."""
    return medians(table, weights, 4)


METRICS = {
    "event_sensitivity": episode_sensitivity,
    "false_alarms_per_day": false_episodes_per_day,
    "burden_error": burden_error,
}


def summarise(
    models: Mapping[str, Sequence[EpisodeCounts]], subjects: np.ndarray, versus: str | None = None
) -> pd.DataFrame:
    """Scores of models, METRICS, with 95 % bootstrap intervals over subjects: as of `scores.compare`.

    models: by name, the `EpisodeCounts` of each recording, in the order of `subjects`, (recordings,). versus:
    the name of the model compared with. Raises ValueError as `scores.compare`.
    """
    rows = {
        name: [[[*c[:4], 100 * abs(c.predicted_burden - c.burden)] for c in counts]]
        for name, counts in models.items()
    }
    return compare_counts(rows, subjects, METRICS, versus)
