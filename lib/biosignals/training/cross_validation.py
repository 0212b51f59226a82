"""Out-of-fold predictions: every record scored by a model that has not seen its subject."""

import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from sklearn.base import ClassifierMixin, clone
from torch import nn

from biosignals import caching
from biosignals.data import splits
from biosignals.data.recordings import Recordings
from biosignals.evaluation import calibration
from biosignals.evaluation import scores as evaluation
from biosignals.training import fit as training
from biosignals.training import predict as prediction
from biosignals.training import recipe
from biosignals.training.distillation import DistillationLoss


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
    model: str | Sequence[nn.Module], recordings: Recordings, targets: np.ndarray, recipe: recipe.Recipe, cache: Path,
    seed: int = 0, n_scored_targets: int | None = None, features: np.ndarray | None = None,
    sampling: str | None = None, lessons: Sequence[DistillationLoss] | None = None,
) -> OutOfFold:  # fmt: skip
    """Hold out folds 1-3, 4-6 and 7-9 in turn and train on the six others, to the last epoch of `recipe`.

    Nets in place of the name of a model, one per group of folds, are trained further there.

    A recipe with `patience` needs validation records: then one of the six, the last, says where to stop.

    targets: (recordings, classes); only the first `n_scored_targets` are returned. sampling: "random-over" or "random-under", to
    train on as many positives of the first class as negatives. lessons: one per group of folds, by teachers that have
    not seen it either (see `listen`). Other arguments as in `training.fit`.
    """
    fits, parts = [], []
    groups = splits.groups(recordings.table)
    starts = [model] * len(groups) if isinstance(model, str) else model
    for (train, held_out), start, lesson in zip(groups, starts, lessons or [None] * len(groups), strict=True):
        train, validation = with_validation(train, recordings.table, recipe)
        drawn = draw_rows(train, targets, sampling, seed)
        rows = {"train": drawn, "validation": validation}
        options = {"n_scored_targets": n_scored_targets, "features": features, "lesson": lesson}
        fits.append(_fit(start, recordings, targets, **rows, recipe=recipe, cache=cache, seed=seed, **options))
        probabilities = prediction.predict(fits[-1].net, recordings, held_out, recipe.crop, features, recipe.multiclass)
        parts.append(probabilities[:, : n_scored_targets or targets.shape[1]])
    rows = np.concatenate([held_out for _, held_out in groups])
    return OutOfFold(rows, np.concatenate(parts), fits)


def predict_out_of_fold(
    answering: Sequence[nn.Module | Path], recordings: Recordings, crop: int | None = None
) -> np.ndarray:
    """Probabilities (rows, classes) of nets or ONNX files, one per group of folds, of that group; rows as `out_of_fold`."""
    parts = []
    for one, (_, held_out) in zip(answering, splits.groups(recordings.table), strict=True):
        predict = prediction.predict if isinstance(one, nn.Module) else prediction.predict_file
        parts.append(predict(one, recordings, held_out, crop))
    return np.concatenate(parts)


def over_seeds(
    model: str, recordings: Recordings, targets: np.ndarray, recipe: recipe.Recipe, cache: Path,
    seeds: Iterable[int], **options,
) -> np.ndarray:  # fmt: skip
    """Probabilities (seeds, rows, classes) of `out_of_fold` with each of `seeds`; `options` are its own."""
    fitted = [out_of_fold(model, recordings, targets, recipe, cache, seed, **options) for seed in seeds]
    return np.stack([fit.probabilities for fit in fitted])


def fit_final(
    model: str, recordings: Recordings, targets: np.ndarray, recipe: recipe.Recipe, cache: Path, seed: int = 0,
    features: np.ndarray | None = None, lesson: DistillationLoss | None = None,
) -> training.Fit:  # fmt: skip
    """The net that reads the test fold: trained on all groups of folds together, as `out_of_fold` trains on two."""
    rows = np.sort(np.concatenate([held_out for _, held_out in splits.groups(recordings.table)]))
    train, validation = with_validation(rows, recordings.table, recipe)
    options = {"features": features, "lesson": lesson}
    return _fit(model, recordings, targets, train, validation, recipe, cache, seed, **options)


def _fit(*task, **options) -> training.Fit:
    # A class that the fold to stop by lacks scores the same in every epoch and decides nothing; torchmetrics warns of it.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No (positive|negative) samples", UserWarning)
        return training.fit(*task, **options)


def with_validation(
    rows: np.ndarray, table: pd.DataFrame, recipe: recipe.Recipe
) -> tuple[np.ndarray, np.ndarray | None]:
    """Rows to train on and to stop by: all and None, or with patience those of all folds but the last, and of the last."""
    if recipe.patience is None:
        return rows, None
    folds = table["fold"].to_numpy()[rows]
    return rows[folds < folds.max()], rows[folds == folds.max()]


def predict_perturbed(
    fitted: OutOfFold, recordings: Recordings, change: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Probabilities again in the same order, (rows, classes), after `change` of the signals, (n, channels, samples)."""
    parts = []
    for fit, (_, held_out) in zip(fitted.fits, splits.groups(recordings.table), strict=True):
        signals = change(recordings.physical(held_out))
        parts.append(prediction.predict_signals(fit.net, signals, fit.recipe.crop))
    return np.concatenate(parts)[:, : fitted.probabilities.shape[1]]


def draw_rows(rows: np.ndarray, targets: np.ndarray, sampling: str | None, seed: int) -> np.ndarray:
    """`rows` drawn again by `sampling.resample_rows`, until the first class has as many positives as negatives."""
    if sampling is None:
        return rows
    return rows[sampling.resample_rows(sampling, targets[rows, 0].astype(int), seed)]


def decide_out_of_fold(
    fitted: OutOfFold, targets: np.ndarray, table: pd.DataFrame,
    choose: Callable[[np.ndarray, np.ndarray], float] = evaluation.youden_threshold,
) -> np.ndarray:  # fmt: skip
    """Yes or no per class, (rows, classes), at thresholds that `choose` found on the two other groups.

    choose: takes target and probability of one class, (n,) each, gives the threshold.
    """
    parts = []
    for own, others in _own_and_others(table):
        truth, p = targets[fitted.rows[others]], fitted.probabilities[others]
        thresholds = [choose(t, q) for t, q in zip(truth.T, p.T, strict=True)]
        parts.append(fitted.probabilities[own] >= thresholds)
    return np.concatenate(parts)


def calibrate_out_of_fold(fitted: OutOfFold, targets: np.ndarray, table: pd.DataFrame) -> np.ndarray:
    """Probabilities (rows, classes), scaled by a temperature and offset that the two other groups gave."""
    parts = []
    for own, others in _own_and_others(table):
        truth, p = targets[fitted.rows[others]], fitted.probabilities
        scalings = [calibration.temperature(q, t, bias=True) for t, q in zip(truth.T, p[others].T, strict=True)]
        columns = [scaling(q) for scaling, q in zip(scalings, p[own].T, strict=True)]
        parts.append(np.stack(columns, axis=1))
    return np.concatenate(parts)


def _own_and_others(table: pd.DataFrame) -> list[tuple[np.ndarray, np.ndarray]]:
    """Positions, among the rows of an OutOfFold, of each group and of the two others."""
    ends = np.cumsum([0, *(len(held_out) for _, held_out in splits.groups(table))])
    everything = np.arange(ends[-1])
    return [
        (everything[start:end], np.delete(everything, slice(start, end)))
        for start, end in pairwise(ends)
    ]


def classifier_out_of_fold(
    forest: ClassifierMixin, features: np.ndarray, targets: np.ndarray, table: pd.DataFrame,
    classes: int | None = None,
) -> np.ndarray:  # fmt: skip
    """The same for a scikit-learn model of features (records, features): probabilities in the order of `out_of_fold`.

    targets: 0 or 1, (records,) or (records, labels); with `classes`, numbers of classes that exclude each other.
    """

    def ask(train: np.ndarray, held_out: np.ndarray) -> np.ndarray:
        learnt, asked_about = (features[train], targets[train]), features[held_out]
        return caching.array(
            lambda: (joblib.hash(forest), classes, sys.modules[__name__], *learnt, asked_about),
            lambda: class_probabilities(clone(forest).fit(*learnt), asked_about, classes),
        )

    return np.concatenate([ask(train, held_out) for train, held_out in splits.groups(table)])


def class_probabilities(
    fitted: ClassifierMixin, features: np.ndarray, classes: int | None = None
) -> np.ndarray:
    """Probability of each label, (records, labels), from a multi-label scikit-learn model; of class 1 from a binary one.

    With `classes`, of each of so many classes that exclude each other: 0 for one that the model never met.
    """
    # Threads would add up a forest's trees in any order, and ties would fall differently in each run.
    fitted.set_params(**{name: 1 for name in fitted.get_params() if name.split("__")[-1] == "n_jobs"})
    answers = fitted.predict_proba(features)
    if classes is not None:
        return answers @ np.eye(classes)[fitted.classes_]
    if isinstance(answers, np.ndarray):
        return answers[:, 1:]
    return np.stack([p[:, -1] if p.shape[1] > 1 else np.zeros(len(p)) for p in answers], axis=1)
