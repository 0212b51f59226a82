"""A task: recordings and what is to be told of them. What a chapter fits, scores and records on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import ClassifierMixin
from torch import nn

from biosignals.evaluation import scores
from biosignals.evaluation.calibration import youden_threshold
from biosignals.evaluation.predictions import Predictions
from biosignals.reporting import records
from biosignals.reporting.workspace import TITLES
from biosignals.training import cross_validation
from biosignals.training.cross_validation import Examples, Model, OutOfFold
from biosignals.training.fit import Fit, Teacher, TrainingData, fit
from biosignals.training.predict import Inference
from biosignals.training.recipe import Recipe


@dataclass(frozen=True)
class Task(Examples):
    """Recordings, targets and groups of folds (see `Examples`), with what pages and records say of them.

    name: of the task in records, as "superclass". classes: of the targets, in order. chapter: of the records.
    """

    name: str = ""
    classes: Sequence[str] = ()
    chapter: str = ""

    @property
    def note(self) -> str:
        """What the task's pictures and tables show, as "PTB-XL, excerpt, out of fold, n = 2,357"."""
        return f"{self._data}, out of fold, n = {len(self.rows):,}"

    @property
    def test_note(self) -> str:
        """The same of fold 10."""
        return f"{self._data}, fold 10, n = {len(self.test):,}"

    @property
    def _data(self) -> str:
        return f"{TITLES.get(self.recordings.dataset, self.recordings.dataset)}, {self.recordings.kind}"

    def out_of_fold(
        self, model: Model, recipe: Recipe, seeds: Sequence[int] = (0,), **options: Any
    ) -> OutOfFold:
        """Predictions (seeds, n, classes) of records held out, see `cross_validation.out_of_fold`, also for
        the errors.
        """
        return cross_validation.out_of_fold(self, model, recipe, seeds, **options)

    def classify(
        self, estimator: ClassifierMixin, features: np.ndarray | None = None, **options: Any
    ) -> OutOfFold:
        """The same of a scikit-learn model of features (recordings, features), see
        `cross_validation.classify`.
        """
        return cross_validation.classify(self, estimator, features, **options)

    def fit(
        self,
        model: str,
        recipe: Recipe,
        train: np.ndarray,
        validation: np.ndarray | None = None,
        seed: int = 0,
        distillation: Teacher | None = None,
        report: Callable[[int, dict], None] | None = None,
    ) -> Fit:
        """One net trained on the rows `train`, (n,), see `fit.fit`, also for the errors."""
        data = TrainingData(
            self.recordings, self.targets, train, validation, self.features, None, distillation
        )
        fitted = fit(model, data, recipe, seed, self.cache, report, self.trainer)
        fitted.export()
        return fitted

    def fit_final(self, model: str, recipe: Recipe, seeds: Sequence[int] = (0,), **options: Any) -> list[Fit]:
        """The nets that read the test fold, one for each seed, see `cross_validation.fit_final`."""
        return cross_validation.fit_final(self, model, recipe, seeds, **options)

    def predict(self, fits: Sequence[Fit], rows: np.ndarray | None = None) -> Predictions:
        """Predictions (seeds, n, classes) of `rows`, (n,), by default those of fold 10."""
        return cross_validation.predict_rows(self, fits, rows)

    def predict_out_of_fold(
        self,
        models: Sequence[Sequence[nn.Module | Path]],
        how: Inference,
        change: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> OutOfFold:
        """Predictions (seeds, n, classes) of nets or exported files, see
        `cross_validation.predict_out_of_fold`.
        """
        return cross_validation.predict_out_of_fold(self, models, how, change)

    def perturbed(self, fitted: OutOfFold, change: Callable[[np.ndarray], np.ndarray]) -> OutOfFold:
        """Predictions after `change` of the signals, (n, channels, samples), by nets that are not trained
        again.
        """
        return cross_validation.perturbed(fitted, self, change)

    def decide(
        self, fitted: OutOfFold, choose: Callable[[np.ndarray, np.ndarray], float] = youden_threshold
    ) -> OutOfFold:
        """Decisions (seeds, n, classes) at thresholds chosen on the other groups, see
        `cross_validation.decide`.
        """
        return cross_validation.decide(fitted, choose)

    def calibrate(self, fitted: OutOfFold) -> OutOfFold:
        """Probabilities (seeds, n, classes) scaled by what the other groups gave, see
        `cross_validation.calibrate`.
        """
        return cross_validation.calibrate(fitted)

    def predictions(
        self, probabilities: np.ndarray, rows: np.ndarray | None = None, **about: Any
    ) -> Predictions:
        """probabilities (n, classes) or (seeds, n, classes) made elsewhere, with the truth of `rows`.

        rows: by default those of `out_of_fold`. about: keys of a record. Raises ValueError as `Predictions`.
        """
        rows = self.rows if rows is None else rows
        table = self.recordings.table
        classes = np.shape(probabilities)[-1]
        truth, subjects = self.targets[rows][:, :classes], table["subject"].to_numpy()[rows]
        return Predictions(np.asarray(probabilities), truth, subjects, table.index.to_numpy()[rows], about)

    def score(
        self,
        models: Mapping[str, Predictions | np.ndarray],
        versus: str | None = None,
        metrics: Mapping[str, scores.Metric] | None = None,
    ) -> pd.DataFrame:
        """Scores with intervals, and differences from the model `versus`, see `scores.compare`, also for the
        errors.

        models: by name; an array is taken as probabilities of the task's `rows`, (n, classes) or (seeds, n,
        classes).
        """
        given = {
            name: one if isinstance(one, Predictions) else self.predictions(one)
            for name, one in models.items()
        }
        return scores.compare(given, versus, metrics)

    def record(
        self, table: pd.DataFrame, names: Mapping[str, tuple[str, str]] | None = None, **about: Any
    ) -> list[dict]:
        """A record for each row of a table of scores: the task's keys, then the table's, then those in
        `about`.

        names: model and condition of models that go by another name in the table. Raises ValueError as
        `records.record`.
        """
        own = {
            "chapter": self.chapter,
            "task": self.name,
            "dataset": self.recordings.dataset,
            "kind": self.recordings.kind,
            "split": "out-of-fold",
        }
        return records.from_scores(table, names, **(own | about))
