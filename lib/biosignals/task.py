"""A task: recordings and what is to be told of them. What a chapter fits, scores and records on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from biosignals import caching
from biosignals.evaluation import scores
from biosignals.evaluation.predictions import Predictions
from biosignals.reporting import records
from biosignals.reporting.ledger import Ledger
from biosignals.training.cross_validation import Examples, inner_fold
from biosignals.training.data import Teacher
from biosignals.training.fit import Fit, fit
from biosignals.training.recipe import Recipe


@dataclass(frozen=True)
class Task(Examples):
    """Recordings, targets and groups of folds (see `Examples`), with what pages and records say of them.

    name: of the task in records, as "superclass". classes: of the targets, in order. chapter: of the records.
    ledger: where it is noted what is scored on records that are in no group to learn from, None: nowhere.
    """

    name: str = ""
    classes: Sequence[str] = ()
    chapter: str = ""
    ledger: Ledger | None = None

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
        from biosignals.reporting.workspace import TITLES  # plots and simulators come with it

        return f"{TITLES.get(self.recordings.dataset, self.recordings.dataset)}, {self.recordings.kind}"

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
        data = self._training_data(train, validation, None, distillation)
        fitted = fit(model, data, recipe, seed, self.cache, report, self.trainer)
        fitted.export()
        return fitted

    def search(
        self, model: str, recipe: Recipe, learning_rates: Sequence[float], longest: int
    ) -> pd.DataFrame:
        """Which learning rate and how many passes suit a net: a row for each that was tried, one `chosen`.

        Trained on the first group of folds but its last fold, by whose macro AUROC after the last pass they
        are chosen: first the rate, at the passes of `recipe`; then, with that rate, the passes are doubled as
        long as this helps, to `longest` at most. (One cycle of the learning rate cannot be stopped halfway,
        so that each number of passes is a training of its own.)

        Columns: learning_rate, passes, steps, seconds, validation, chosen. Raises ValueError as `fit`.
        """
        train, validation = inner_fold(self.groups[0][0], self.recordings.table)
        tried: list[dict] = []

        def score_of(learning_rate: float, epochs: int) -> float:
            one = replace(recipe, learning_rate=learning_rate, epochs=epochs)
            fitted = self.fit(model, one, train, validation)
            score = float(fitted.history["validation_auroc"].iloc[-1])
            row = {"learning_rate": learning_rate, "passes": epochs, "steps": fitted.about["steps"]}
            tried.append(row | {"seconds": fitted.seconds, "validation": score})
            return score

        scores_of = {rate: score_of(rate, recipe.epochs) for rate in learning_rates}
        rate = max(scores_of, key=lambda each: scores_of[each])
        best, passes = scores_of[rate], recipe.epochs
        while 2 * passes <= longest and (score := score_of(rate, 2 * passes)) > best:
            best, passes = score, 2 * passes
        table = pd.DataFrame(tried)
        return table.assign(chosen=(table.learning_rate == rate) & (table.passes == passes))

    def searched(self, model: str, recipe: Recipe, learning_rates: Sequence[float], longest: int) -> Recipe:
        """The recipe with the learning rate and the passes that `search` chooses; as it is where there is
        nothing to choose: one rate, and no more passes than its own.

        Raises ValueError as `search`.
        """
        if len(learning_rates) == 1 and longest < 2 * recipe.epochs:
            return replace(recipe, learning_rate=learning_rates[0])
        tried = self.search(model, recipe, learning_rates, longest)
        best = tried[tried.chosen].iloc[0]
        return replace(recipe, learning_rate=float(best.learning_rate), epochs=int(best.passes))

    def tune(
        self, model: str, recipe: Recipe, space: dict[str, tuple], trials: int, storage: Path
    ) -> dict[str, Any]:
        """The settings of a recipe that Optuna finds best for classes that exclude each other: those of
        `space`, see `training.tuning`, by the macro F1 on the last training fold of the first group.

        storage: the file of the study, which goes on where an earlier call with the same recordings and
        recipe stopped. Raises ValueError as `tuning.tune` and `fit`.
        """
        from biosignals.training import tuning  # Optuna, which is slow to import

        train, inner = inner_fold(self.groups[0][0], self.recordings.table)
        even = np.ones((1, len(inner)))

        def objective(_: Any, settings: dict) -> float:
            fitted = self.fit(model, replace(recipe, **settings), train)
            found = fitted.predict(self.recordings, inner)
            return float(scores.macro_f1(self.targets[inner], found, even)[0])

        rows = np.concatenate([train, inner])
        key = caching.Key.of(recipe, caching.Rows(self.recordings.signals, rows), self.targets[rows])
        name = f"{model}, {len(train)} recordings, {recipe.epochs} passes, {key.exact[:12]}"
        return tuning.tune(objective, space, trials, storage, name).best_params

    def score(
        self,
        models: Mapping[str, Predictions | np.ndarray],
        versus: str | None = None,
        metrics: Mapping[str, scores.Metric] | None = None,
        names: Mapping[str, tuple[str, str]] | None = None,
    ) -> pd.DataFrame:
        """Scores with intervals, and differences from the model `versus`, see `scores.compare`, also for the
        errors.

        models: by name; an array is taken as probabilities of the task's `rows`, (n, classes) or (seeds, n,
        classes). names: as of `record`, under which the ledger has what is scored on a test fold or set.
        """
        given = {
            name: one if isinstance(one, Predictions) else self.predictions(one)
            for name, one in models.items()
        }
        table = scores.compare(given, versus, metrics)
        first = next(iter(given.values()))
        if self.ledger is not None and self._is_test(first):
            called = [(names or {}).get(name, (name, "")) for name in given]
            self.ledger.add(self.recordings.dataset, called, len(first.truth))
        return table

    def _is_test(self, predictions: Predictions) -> bool:
        """Whether some of the records predicted are of no group that others learn from."""
        groups = [held_out for train, held_out in self.groups if len(train)]
        rows = np.concatenate(groups) if groups else np.empty(0, int)
        return not np.isin(predictions.ids, self.recordings.table.index[rows]).all()

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
