"""From scores of windows to alarms, and from alarms to the scores that count for seizures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.metrics import cohen_kappa_score
from timescoring.annotations import Annotation
from timescoring.scoring import EventScoring

from biosignals.evaluation.counts import compare_counts, medians, totals
from biosignals.evaluation.predictions import Predictions
from biosignals.evaluation.scores import ratio
from biosignals.signals.windows import runs, smooth

RATE = 10  # Hz, of timescoring: finer times are rounded
BEFORE, AFTER, APART = 30.0, 60.0, 90.0
"""SzCORE's seconds: how far an alarm may be before or after a seizure, and how close two events are one."""


@dataclass(frozen=True)
class AlarmRule:
    """What raises an alarm: `consecutive` windows in a row with a mean score of `threshold` or more.

    smoothing: number of windows in that mean, the window itself and those before it.
    """

    threshold: float = 0.5
    smoothing: int = 1
    consecutive: int = 1

    def __post_init__(self):
        if self.smoothing < 1 or self.consecutive < 1 or not np.isfinite(self.threshold):
            raise ValueError(
                f"smoothing and consecutive count windows from 1, and the threshold is finite: {self}"
            )


class Alarm(NamedTuple):
    """Seconds from the recording's start: what the alarm marks as seizure, and when it was heard.

    `start` and `end` are those of the first and last window over the threshold, which is where the detector
    sees the seizure. `raised` is the end of the window that completed the rule: nobody could have heard the
    alarm before.
    """

    start: float
    end: float
    raised: float


class EventCounts(NamedTuple):
    """One recording's outcome in SzCORE's events: seizures found, all seizures, false alarms; hours recorded.

    delays: seconds from the onset of each seizure that was found to its alarm; a seizure that SzCORE splits
    has one.
    """

    found: int
    seizures: int
    false_alarms: int
    hours: float
    delays: tuple[float, ...]


class ScoredRecording(NamedTuple):
    """Window starts (seconds) and scores, (n,) each; annotated seizures (start, end), length in seconds."""

    starts: np.ndarray
    scores: np.ndarray
    seizures: Sequence[tuple[float, float]]
    seconds: float


# Alarms


def alarms(starts: np.ndarray, scores: np.ndarray, window: float, rule: AlarmRule) -> list[Alarm]:
    """The alarms that `rule` raises in one recording, in order.

    starts (seconds) and scores, (n,) each, of all windows in order; window: their length in seconds. Raises
    ValueError for scores that are not finite or do not fit.
    """
    if np.shape(starts) != np.shape(scores) or np.ndim(scores) != 1 or not np.isfinite(scores).all():
        raise ValueError(f"a finite score for each window: {np.shape(scores)} for {np.shape(starts)} starts")
    over = smooth(scores, rule.smoothing) >= rule.threshold
    return [
        Alarm(
            float(starts[first]),
            float(starts[stop - 1] + window),
            float(starts[first + rule.consecutive - 1] + window),
        )
        for first, stop in runs(over)
        if stop - first >= rule.consecutive
    ]


# Scores of events


def score_events(
    reference: Sequence[tuple[float, float]], hypothesis: Sequence[Alarm], seconds: float
) -> EventCounts:
    """Count one recording's events as SzCORE does (Dan et al. 2024), by its own library `timescoring`.

    An alarm finds a seizure that it overlaps at all, 30 s before and 60 s after it included; seizures, and
    alarms, less than 90 s apart are one, and what lasts over 5 minutes is split. An alarm that finds none is
    false.

    The delay of a found seizure is the time `raised` of the first alarm that finds it minus its onset. It is
    below 0 when that alarm came early, but never below the tolerated -30 s: an alarm that has lasted long is
    no forecast.

    reference: annotated seizures (start, end) and `seconds`, the recording's length. All counts to a tenth of
    a second. Raises ValueError for events that are not within the recording or never end, and for a recording
    shorter than that.
    """
    if not 1 / RATE <= seconds < np.inf:
        raise ValueError(
            f"a recording of {seconds:g} s: events are scored from {1 / RATE} s on, give its length"
        )
    seizures = sorted((float(start), float(end)) for start, end in reference)
    heard = sorted(hypothesis)
    for start, end in [*seizures, *(alarm[:2] for alarm in heard)]:
        if not 0 <= start < min(end, seconds) or end == np.inf:
            raise ValueError(
                f"event from {start:g} to {end:g} s in a recording of {seconds:g} s: cut it to the recording"
            )
    seizures, marked = _merge(seizures), _merge([alarm[:2] for alarm in heard])
    score = EventScoring(*(Annotation(events, RATE, round(seconds * RATE)) for events in (seizures, marked)))
    delays = [_delay(start, end, heard) for start, end in seizures]
    delays = tuple(delay for delay in delays if delay is not None)
    return EventCounts(int(score.tp), int(score.refTrue), int(score.fp), seconds / 3600, delays)


def score_recording(recording: ScoredRecording, window: float, rule: AlarmRule) -> EventCounts:
    """`score_events` of the alarms that `rule` raises on a recording whose windows last `window` seconds."""
    heard = alarms(recording.starts, recording.scores, window, rule)
    return score_events(recording.seizures, heard, recording.seconds)


def found_seizures(
    decisions: Predictions, windows: pd.DataFrame, seizures: pd.DataFrame, seconds: float
) -> Predictions:
    """Which seizures are found: 1 where any window that overlaps one was decided to be seizure, else 0.

    decisions: 0 or 1 of windows that last `seconds`, one class. windows: their `recording` and `start` in
    seconds, indexed by id. seizures: `recording`, and `start` and `end` in seconds; those without a window
    are left out. The truth is 1 throughout, ids are those of the rows of `seizures`. Raises ValueError where
    no seizure has a window.
    """
    table, found, first, ids = windows.loc[decisions.ids], [], [], []
    for row in seizures.itertuples():
        overlaps = (table.start < row.end) & (table.start + seconds > row.start)
        inside = np.flatnonzero((table.recording == row.recording) & overlaps)
        if len(inside):
            found.append(decisions.probabilities[..., inside, :].max(axis=-2))
            first, ids = [*first, inside[0]], [*ids, row.Index]
    if not ids:
        raise ValueError("no window overlaps any of the seizures: are they of the same recordings?")
    subjects, truth = decisions.subjects[first], np.ones((len(ids), 1))
    return Predictions(np.stack(found, axis=-2), truth, subjects, np.array(ids), decisions.about)


def _merge(events: list[tuple[float, float]]) -> list[tuple[float, float]]:
    # Before timescoring does: it takes the end of the later event, too early where that lies within another.
    merged: list[tuple[float, float]] = []
    for start, end in events:
        if merged and start - merged[-1][1] < APART:
            first, last = merged.pop()
            start, end = first, max(last, end)
        merged.append((start, end))
    return merged


def _delay(start: float, end: float, heard: list[Alarm]) -> float | None:
    for alarm in heard:
        if _overlap(alarm[:2], (max(start - BEFORE, 0), end + AFTER)):
            return max(alarm.raised - start, -BEFORE)
    return None


def _overlap(*events: tuple[float, float]) -> bool:
    """Whether events (start, end) share a tenth of a second, as timescoring rounds them."""
    starts, ends = zip(*((round(start * RATE), round(end * RATE)) for start, end in events))
    return max(starts) < min(ends)


# Scores of detectors


def event_sensitivity(_: np.ndarray, table: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Share of the seizures that are found, (resamples,); NaN without seizures.

    table: a row per recording with its seizures found, seizures, false alarms, hours and delays, (n, 4 + d),
    in the place of probabilities; weights (resamples, n).
    """
    found, seizures, _, _ = totals(table, weights, 4)
    return ratio(found, seizures)


def event_precision(_: np.ndarray, table: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Seizures found, of these and the false alarms, 0 without alarms; else as `event_sensitivity`."""
    found, _, false, _ = totals(table, weights, 4)
    return ratio(found, found + false, 0.0)


def event_f1(_: np.ndarray, table: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Harmonic mean of both, NaN where there is neither seizure nor alarm; else as `event_sensitivity`."""
    found, seizures, false, _ = totals(table, weights, 4)
    return ratio(2 * found, found + seizures + false)


def false_alarms_per_day(_: np.ndarray, table: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """False alarms per 24 h of recording, in seizures or not; else as `event_sensitivity`."""
    _, _, false, hours = totals(table, weights, 4)
    return ratio(24 * false, hours)


def median_delay(_: np.ndarray, table: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Median delay of the seizures found in seconds, NaN where none is; else as `event_sensitivity`."""
    return medians(table, weights, 4)


METRICS = {
    "event_sensitivity": event_sensitivity, "precision": event_precision, "event_f1": event_f1,
    "false_alarms_per_day": false_alarms_per_day, "delay_s": median_delay,
}  # fmt: skip


def summarise(
    models: Mapping[str, Sequence], subjects: np.ndarray, versus: str | None = None
) -> pd.DataFrame:
    """Scores of detectors with 95 % bootstrap intervals over patients: a table as of `scores.compare`.

    models: by name, the `EventCounts` of each recording, in the order of `subjects`, (recordings,); or
    several such lists, one for each fit of the model: then the mean of their scores. versus: the name of the
    detector compared with. Counts are added up before any ratio is taken, so that every seizure and every
    hour weighs the same. The metrics are METRICS, NaN where one is undefined; resamples in which it is, count
    not for its interval. Raises ValueError as `scores.compare`.
    """
    rows = {name: [[[*c[:4], *c.delays] for c in one] for one in _fits(of)] for name, of in models.items()}
    return compare_counts(rows, subjects, METRICS, versus)


def _fits(counts: Sequence) -> Sequence[Sequence[EventCounts]]:
    return [counts] if isinstance(counts[0], EventCounts) else counts


# The threshold


def choose_threshold(
    recordings: Sequence[ScoredRecording], window: float, rule: AlarmRule,
    most_false_alarms: float | None = None, thresholds: np.ndarray | None = None,
) -> AlarmRule:  # fmt: skip
    """`rule` with the threshold that serves `recordings` best: out-of-fold scores of training patients.

    Best is the largest event F1; with `most_false_alarms` the largest sensitivity at no more than so many
    false alarms per 24 h. Of thresholds equally good the one in their middle, which is the least likely to
    fail elsewhere.

    window: seconds of a window. thresholds: those tried, (m,); by default 50 of the smoothed scores, from the
    median to the one that one window in 10,000 reaches. Raises ValueError without seizures and where none
    keeps to the limit.
    """
    smoothed = [r._replace(scores=smooth(r.scores, rule.smoothing)) for r in recordings]
    if thresholds is None:
        shares = np.geomspace(0.5, 1e-4, 50)
        thresholds = np.quantile(np.concatenate([r.scores for r in smoothed]), 1 - shares, method="higher")
    tried = [replace(rule, threshold=float(t), smoothing=1) for t in np.unique(thresholds)]
    counts = np.array([[score_recording(r, window, t)[:4] for r in smoothed] for t in tried]).sum(1)
    found, seizures, false, hours = counts.T
    if not seizures[0]:
        raise ValueError("no seizure to choose a threshold by: take recordings with seizures among them")
    f1 = 2 * found / (found + seizures + false)
    goal = f1
    if most_false_alarms is not None:
        goal = np.where(24 * false / hours <= most_false_alarms, found, -1)
        if goal.max() < 0:
            raise ValueError(f"no threshold tried keeps to {most_false_alarms:g} false alarms per 24 h")
    best = np.flatnonzero(goal == goal.max())
    best = best[f1[best] == f1[best].max()]
    return replace(rule, threshold=tried[best[len(best) // 2]].threshold)


# Experts


def pairwise_kappa(annotations: np.ndarray) -> np.ndarray:
    """Cohen's kappa between every two experts, (experts, experts): agreement beyond chance.

    annotations: one label per row (a second, a beat), (n, experts). NaN for two experts who give the same one
    label throughout, where chance alone explains all.
    """
    annotations = np.asarray(annotations)
    kappas = np.eye(annotations.shape[1])
    for one, other in combinations(range(len(kappas)), 2):
        kappas[one, other] = kappas[other, one] = cohen_kappa_score(
            annotations[:, one], annotations[:, other]
        )
    return kappas
