"""Out-of-fold predictions: every record scored by a model that has not seen its subject."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.base import ClassifierMixin, clone

from biosignals import evaluation, prediction, training
from biosignals.data import splits
from biosignals.data.recordings import Recordings


@dataclass(frozen=True)
class OutOfFold:
    """probabilities: (rows, classes), a row per record of `rows`; fits: one per group of folds, in their order."""

    rows: np.ndarray
    probabilities: np.ndarray
    fits: list[training.Fit]

    @property
    def seconds(self) -> float:
        return sum(fit.seconds for fit in self.fits)


def out_of_fold(
    model: str, recordings: Recordings, targets: np.ndarray, recipe: training.Recipe, cache: Path,
    seed: int = 0, scored: int | None = None, features: np.ndarray | None = None,
) -> OutOfFold:  # fmt: skip
    """Hold out folds 1-3, 4-6 and 7-9 in turn and train on the six others, to the last epoch of `recipe`.

    targets: (recordings, classes); only the first `scored` are returned. Other arguments as in `training.fit`.
    """
    fits, parts = [], []
    groups = splits.groups(recordings.table)
    for train, held_out in groups:
        fits.append(training.fit(model, recordings, targets, train, None, recipe, cache, seed, scored, features))
        probabilities = prediction.predict(
            fits[-1].net, recordings, held_out, recipe.crop, features, recipe.exclusive
        )
        parts.append(probabilities[:, : scored or targets.shape[1]])
    rows = np.concatenate([held_out for _, held_out in groups])
    return OutOfFold(rows, np.concatenate(parts), fits)


def rescore(
    fitted: OutOfFold, recordings: Recordings, change: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Probabilities again in the same order, (rows, classes), after `change` of the signals, (n, channels, samples)."""
    parts = []
    for fit, (_, held_out) in zip(fitted.fits, splits.groups(recordings.table), strict=True):
        signals = change(recordings.physical(held_out))
        parts.append(prediction.predict_signals(fit.net, signals, fit.recipe.crop))
    return np.concatenate(parts)[:, : fitted.probabilities.shape[1]]


def decide(fitted: OutOfFold, targets: np.ndarray, table: pd.DataFrame) -> np.ndarray:
    """Yes or no per class, (rows, classes), at thresholds by Youden's index that the two other groups chose."""
    ends = np.cumsum([len(held_out) for _, held_out in splits.groups(table)])
    parts = []
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        others = np.r_[0:start, end : ends[-1]]
        thresholds = evaluation.youden_thresholds(targets[fitted.rows[others]], fitted.probabilities[others])
        parts.append(fitted.probabilities[start:end] >= thresholds)
    return np.concatenate(parts)


def forest_out_of_fold(
    forest: ClassifierMixin, features: np.ndarray, targets: np.ndarray, table: pd.DataFrame
) -> np.ndarray:
    """The same for a scikit-learn model of features (records, features): probabilities in the order of `out_of_fold`."""
    parts = []
    for train, held_out in splits.groups(table):
        fitted = clone(forest).fit(features[train], targets[train])
        parts.append(class_probabilities(fitted, features[held_out]))
    return np.concatenate(parts)


def class_probabilities(fitted: ClassifierMixin, features: np.ndarray) -> np.ndarray:
    """Probability of each label, (records, classes), from a multi-label scikit-learn model."""
    return np.stack(
        [p[:, -1] if p.shape[1] > 1 else np.zeros(len(p)) for p in fitted.predict_proba(features)], axis=1
    )
