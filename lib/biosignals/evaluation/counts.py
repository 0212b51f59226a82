"""Detectors scored by what they count in each recording: seizures or beats found, missed and false.

Counts are added up over recordings before any ratio is taken, so that every event and every hour weighs the
same. Each recording has a row of numbers: its counts, then values of which there may be any number, as
delays.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from biosignals.evaluation.predictions import Predictions
from biosignals.evaluation.scores import Metric, compare

_NO_VALUE = -1e9


def compare_counts(
    models: Mapping[str, Sequence[Sequence[Sequence[float]]]], subjects: np.ndarray,
    metrics: Mapping[str, Metric], versus: str | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Scores with 95 % bootstrap intervals over subjects: a table as of `scores.compare`.

    models: by name, for each fit of it the rows of all recordings, in the order of `subjects`, (recordings,);
    of several fits it is the mean of their scores. metrics: functions of (unused, table, weights), as
    `scores.Metric`: table (recordings, numbers), see `totals` and `medians`, weights (resamples, recordings).
    One may be NaN where it is undefined; resamples in which it is, count not for its interval. versus: the
    name of the model compared with. Raises ValueError as `scores.compare`.
    """
    longest = max(len(row) for fits in models.values() for rows in fits for row in rows)
    truth, ids = np.zeros((len(subjects), longest)), np.arange(len(subjects))  # the counts say all
    tables = {}
    for name, fits in models.items():
        filled = [[[*row, *[_NO_VALUE] * (longest - len(row))] for row in rows] for rows in fits]
        tables[name] = Predictions(np.array(filled, dtype=float), truth, np.asarray(subjects), ids)
    return compare(tables, versus, metrics)


def totals(table: np.ndarray, weights: np.ndarray, count: int) -> np.ndarray:
    """The first `count` columns of table (recordings, numbers), added up by weights (resamples, recordings):
    (count, resamples).
    """
    return (weights @ table[:, :count]).T


def medians(table: np.ndarray, weights: np.ndarray, first: int) -> np.ndarray:
    """Median of all values of table (recordings, numbers) from column `first` on, by weights (resamples,
    recordings): (resamples,), NaN where there are none.
    """
    rows, columns = np.nonzero(table[:, first:] > _NO_VALUE)
    values = table[rows, first + columns]
    times = weights[:, rows].astype(int)
    return np.array([np.median(np.repeat(values, t)) if t.any() else np.nan for t in times])
