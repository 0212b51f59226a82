"""Scores with intervals over subjects, paired differences, thresholds and calibration."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.metrics import roc_curve

Metric = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""Takes targets (n, classes), probabilities (n, classes), weights (resamples, n); gives one score per resample."""


@dataclass(frozen=True)
class Interval:
    """A score and its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def aurocs(targets: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Area under the ROC curve per class, (resamples, classes); NaN where a class lacks positives or negatives.

    targets 0 or 1 and probabilities (n, classes), weights (resamples, n). Ties count half, as Mann and Whitney do.
    """
    return np.stack([_auroc(t, p, weights) for t, p in zip(targets.T, probabilities.T, strict=True)], axis=1)


def macro_auroc(targets: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean of `aurocs` over the classes that have both positives and negatives, (resamples,)."""
    return np.nanmean(aurocs(targets, probabilities, weights), axis=1)


def brier(targets: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean squared error of the probabilities over records and classes (Brier 1950), (resamples,)."""
    return weights @ ((probabilities - targets) ** 2).mean(1) / weights.sum(1)


def ece(targets: np.ndarray, probabilities: np.ndarray, weights: np.ndarray, bins: int = 10) -> np.ndarray:
    """Expected calibration error (Naeini et al. 2015) over `bins` equal steps, mean over classes, (resamples,)."""
    errors = []
    for target, probability in zip(targets.T, probabilities.T, strict=True):
        members = np.eye(bins)[np.minimum((probability * bins).astype(int), bins - 1)]
        gaps = weights @ (members * (target - probability)[:, None])
        errors.append(np.abs(gaps).sum(1) / weights.sum(1))
    return np.mean(errors, axis=0)


def interval(
    metric: Metric, targets: np.ndarray, probabilities: np.ndarray, subjects: np.ndarray, resamples: int = 1000
) -> Interval:
    """`metric` with its 95 % percentile bootstrap over subjects (records, where `subjects` numbers records).

    Raises ValueError for an empty set of records and for probabilities that are not finite.
    """
    weights = _weights(targets, probabilities, subjects, resamples)
    return _summary(metric(targets, probabilities, weights))


def difference(
    metric: Metric, targets: np.ndarray, probabilities: np.ndarray, versus: np.ndarray, subjects: np.ndarray,
    resamples: int = 1000,
) -> Interval:  # fmt: skip
    """How much `probabilities` score above `versus`, paired: both on the same resampled subjects.

    Several fits of a model, (seeds, n, classes), count by the mean of their scores, so that the interval speaks of the
    model and not of one lucky seed.
    """
    ours, theirs = (np.asarray(p).reshape(-1, *targets.shape) for p in (probabilities, versus))
    weights = _weights(targets, np.concatenate([ours, theirs]), subjects, resamples)
    return _summary(_mean(metric, targets, ours, weights) - _mean(metric, targets, theirs, weights))


def mean_interval(
    metric: Metric, targets: np.ndarray, probabilities: np.ndarray, subjects: np.ndarray, resamples: int = 1000
) -> Interval:
    """The mean score of several fits, probabilities (seeds, n, classes), with its interval over subjects."""
    weights = _weights(targets, probabilities, subjects, resamples)
    return _summary(_mean(metric, targets, np.asarray(probabilities), weights))


def youden_threshold(target: np.ndarray, probability: np.ndarray) -> float:
    """The threshold with the largest sensitivity + specificity - 1 (Youden 1950) for one class, (n,) each."""
    false_positive, true_positive, thresholds = roc_curve(target, probability)
    return float(np.clip(thresholds[np.argmax(true_positive - false_positive)], 0, 1))


def confusion(targets: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray, classes: tuple) -> pd.DataFrame:
    """Counts and rates per class at `thresholds` (classes,): sensitivity, specificity, precision, F1."""
    truth, found = targets.astype(bool), probabilities >= thresholds
    counts = pd.DataFrame(
        {
            "true positive": (truth & found).sum(0), "false negative": (truth & ~found).sum(0),
            "false positive": (~truth & found).sum(0), "true negative": (~truth & ~found).sum(0),
        },
        index=list(classes),
    )  # fmt: skip
    tp, fn, fp, tn = (counts[name] for name in counts)
    return counts.assign(
        sensitivity=tp / (tp + fn), specificity=tn / (tn + fp), precision=tp / (tp + fp), f1=2 * tp / (2 * tp + fp + fn)
    )


def mistakes(targets: np.ndarray, probabilities: np.ndarray, count: int) -> np.ndarray:
    """Positions (count, 2) of the worst errors as (record, class): surest of the wrong answer first."""
    errors = np.abs(probabilities - targets)
    return np.stack(np.unravel_index(np.argsort(-errors, axis=None)[:count], errors.shape), axis=1)


def _auroc(target: np.ndarray, probability: np.ndarray, weights: np.ndarray) -> np.ndarray:
    order = np.argsort(probability, kind="stable")
    ranked, target = probability[order], target[order].astype(bool)
    weights = weights[:, order]
    negatives = np.where(target, 0, weights)
    below = np.cumsum(negatives, axis=1)
    # Negatives below the ties of each record, and half of those among its ties.
    first = np.searchsorted(ranked, ranked, side="left")
    last = np.searchsorted(ranked, ranked, side="right") - 1
    below = np.pad(below, ((0, 0), (1, 0)))
    wins = (below[:, first] + below[:, last + 1]) / 2
    positives = np.where(target, weights, 0)
    pairs = positives.sum(1) * negatives.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (positives * wins).sum(1) / pairs


def _weights(targets: np.ndarray, probabilities: np.ndarray, subjects: np.ndarray, resamples: int) -> np.ndarray:
    """How often each record counts: a row of ones, then a row per bootstrap resample of whole subjects."""
    if not len(targets):
        raise ValueError("no records to score")
    if not np.isfinite(probabilities).all():
        raise ValueError("probabilities hold NaN or infinity")
    codes, _ = pd.factorize(np.asarray(subjects), use_na_sentinel=False)
    if len(codes) != len(targets):
        raise ValueError(f"{len(codes)} subjects for {len(targets)} records")
    count = codes.max() + 1
    draws = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=resamples)
    return np.vstack([np.ones(count), draws])[:, codes]


def _mean(metric: Metric, targets: np.ndarray, fits: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.mean([metric(targets, probabilities, weights) for probabilities in fits], axis=0)


def _summary(values: np.ndarray) -> Interval:
    low, high = np.nanpercentile(values[1:], [2.5, 97.5])
    return Interval(float(values[0]), float(low), float(high))
