"""How a score grows with the number of records to learn from, and where it leads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from biosignals.evaluation.predictions import Predictions
from biosignals.evaluation.scores import Metric, bootstrap


def power_law(sizes: Sequence[float], values: np.ndarray) -> np.ndarray:
    """Scale and exponent of errors that fall as 1 - value = scale * size ** -exponent (Hestness et al. 2017).

    sizes: (k,), above 0. values: scores below 1, (k,) or (resamples, k). Fitted by least squares of the
    logarithms; (2,) or (resamples, 2). Raises ValueError for fewer than two sizes and for other values.
    """
    values = np.asarray(values, dtype=float)
    if len(set(sizes)) < 2 or min(sizes) <= 0:
        raise ValueError(f"a law through sizes takes two or more of them above 0, not {list(sizes)}")
    if not (values < 1).all():
        raise ValueError("a score of 1 leaves no error whose logarithm could be taken")
    design = np.column_stack([np.ones(len(sizes)), -np.log(sizes)])
    found = np.linalg.lstsq(design, np.log1p(-values).T, rcond=None)[0]
    return np.stack([np.exp(found[0]), found[1]], axis=-1)


def extrapolate(
    metric: Metric, models: Mapping[int, Predictions], at: Sequence[float], resamples: int = 1000
) -> pd.DataFrame:
    """What a power law through the scores of one model, trained on more and more records, says of other
    sizes.

    models: number of records to learn from > predictions of the same records. Columns: size, value, low,
    high, a row for each size in `at`: the law is fitted anew in each bootstrap resample of subjects and
    seeds, the same ones at every size. Raises ValueError as `power_law` and `scores.interval`.
    """
    first = next(iter(models.values()))
    if any(not np.array_equal(one.ids, first.ids) for one in models.values()):
        raise ValueError("a learning curve takes predictions of the same recordings in the same order")
    values = np.stack([bootstrap(metric, one, resamples) for one in models.values()], axis=1)
    scale, exponent = power_law(list(models), values).T
    expected = 1 - scale[:, None] * np.asarray(at, dtype=float) ** -exponent[:, None]
    low, high = np.quantile(expected[1:], [0.025, 0.975], axis=0)
    return pd.DataFrame({"size": list(at), "value": expected[0], "low": low, "high": high})
