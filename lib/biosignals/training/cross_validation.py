"""Out-of-fold predictions: every record predicted by a model that has not seen its subject."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from torch import nn

from biosignals import caching
from biosignals.caching import Cache, Entry, Local, Rows
from biosignals.data import splits
from biosignals.data.recordings import Recordings, positions
from biosignals.evaluation import calibration
from biosignals.evaluation.predictions import Predictions, own_and_others
from biosignals.training.data import Teacher, TrainingData, check_columns, check_recordings
from biosignals.training.fit import Fit
from biosignals.training.predict import Inference, predict, predict_onnx, predict_signals
from biosignals.training.pretraining import Pretrained, embeddings
from biosignals.training.recipe import Recipe

if TYPE_CHECKING:
    from sklearn.base import ClassifierMixin

Model = str | Sequence[Sequence[nn.Module | Pretrained]]
"""A net by its name, or nets to train further, as those that are pretrained: a list for each seed, in it one
for each group of folds.
"""


@dataclass(frozen=True)
class Examples:
    """What is cross-validated.

    targets: 0 to 1, float32 (recordings, classes). groups: positions to train on and positions held out, for
    each group of folds (default: `splits.groups` of the recordings' folds). features: float32 (recordings,
    features), a second input of some nets and the input of classifiers. cache: where fits and predictions are
    kept, None: nowhere. trainer: options of Lightning's Trainer. Raises ValueError for targets or features of
    another number of recordings.
    """

    recordings: Recordings
    targets: np.ndarray
    cache: Cache | None = None
    groups: Sequence[tuple[np.ndarray, np.ndarray]] = ()
    features: np.ndarray | None = None
    trainer: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_recordings(self.recordings)
        for name in ("targets", "features"):
            object.__setattr__(self, name, check_columns(name, getattr(self, name), self.recordings))
        groups = self.groups or splits.groups(self.recordings.table)
        object.__setattr__(self, "groups", [self._check_group(group) for group in groups])

    def _check_group(self, group: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Positions to train on and positions held out. ValueError for recordings that are in both."""
        train, held_out = (positions(rows, len(self.recordings)) for rows in group)
        if len(both := np.intersect1d(train, held_out)):
            raise ValueError(
                f"{len(both)} recordings, row {both[0]} the first, stand on both sides of a group"
            )
        return train, held_out

    @property
    def rows(self) -> np.ndarray:
        """Positions of the recordings that are predicted out of fold, (n,), in the order of those
        predictions.
        """
        return np.concatenate([held_out for _, held_out in self.groups])

    @property
    def truth(self) -> np.ndarray:
        """Targets of `rows`, (n, classes)."""
        return self.targets[self.rows]

    @property
    def subjects(self) -> np.ndarray:
        """Subjects of `rows`, (n,)."""
        return self.recordings.table["subject"].to_numpy()[self.rows]

    @property
    def test(self) -> np.ndarray:
        """Positions (n,) of the recordings of fold 10, which is read once. ValueError without folds."""
        return np.flatnonzero(splits.folds_of(self.recordings.table) == 10)

    def out_of_fold(
        self,
        model: Model,
        recipe: Recipe | Sequence[Recipe],
        seeds: Sequence[int] = (0,),
        *,
        sampling: str | None = None,
        steps: int | None = None,
        distillation: Sequence[Teacher] | None = None,
        n_scored_targets: int | None = None,
    ) -> OutOfFold:
        """Hold out each group of folds in turn and train on the others, once for each seed, to the last epoch
        of `recipe`.

        A recipe with `patience` needs validation records: then one of the folds to train on, the last, says
        where to stop.

        recipe: one, or one for each group of folds, as with weights that come from the labels it trains on.
        sampling: "random-over" or "random-under", to train on as many positives of the first class as
        negatives. steps: gradient steps, however many recordings there are, in place of the recipe's epochs;
        see `for_steps`. distillation: one for each group of folds, by teachers that have not seen it either.
        n_scored_targets: only the first so many classes are predicted, the others help to learn. Raises
        ValueError as `TrainingData`, `fit` and `for_steps`.
        """
        recipes = self._check_recipes(recipe)
        models = self._check_models(model, seeds)
        teachers = distillation or [None] * len(self.groups)
        fits = []
        for seed, of_seed in zip(seeds, models, strict=True):
            fits.append([])
            for (train, _), start, own, teacher in zip(self.groups, of_seed, recipes, teachers, strict=True):
                train, validation = with_validation(train, self.recordings.table, own)
                train = draw_rows(train, self.targets, sampling, seed)
                if steps is not None:
                    train, own = for_steps(train, own, steps, seed)
                data = self._training_data(train, validation, n_scored_targets, teacher)
                fits[-1].append(Fit(start, data, own, seed, self.cache, trainer=self.trainer))
        predictions = [_predict_groups(self, of_seed) for of_seed in fits]
        scored = slice(n_scored_targets)
        probabilities = np.stack([found for found, _ in predictions])[:, :, scored]
        return _out_of_fold(self, probabilities, _mean_about([about for _, about in predictions]), fits)

    def _check_recipes(self, recipe: Recipe | Sequence[Recipe]) -> list[Recipe]:
        """A recipe for each group. ValueError for what is none, and for arguments that are swapped."""
        if isinstance(recipe, Recipe):
            return [recipe] * len(self.groups)
        given = list(recipe) if isinstance(recipe, list | tuple) else []
        if not given or not all(isinstance(one, Recipe) for one in given):
            raise ValueError(
                f"a net comes first, then its Recipe: out_of_fold('tcn', Recipe(epochs=20)), not {recipe!r}"
            )
        if len(given) != len(self.groups):
            raise ValueError(f"{len(given)} recipes for {len(self.groups)} groups of folds: one for each")
        return given

    def _check_models(self, model: Model, seeds: Sequence[int]) -> list[list[str | nn.Module | Pretrained]]:
        """A net for each seed and group. ValueError for what is none."""
        if not isinstance(seeds, Iterable):
            raise ValueError(f"seeds are numbers in a list, as [0, 1, 2], not {seeds!r}")
        if isinstance(model, str):
            return [[model] * len(self.groups)] * len(seeds)
        sizes = (
            [len(nets) if isinstance(nets, Sequence) else 0 for nets in model]
            if isinstance(model, Sequence)
            else []
        )
        if sizes != [len(self.groups)] * len(seeds):
            raise ValueError(
                "a net is given by its name, one of models.names(); nets to train further, as a list for each"
                f" of the {len(seeds)} seeds, in it a net for each of the {len(self.groups)} groups"
            )
        return list(model)

    def classify(
        self,
        estimator: ClassifierMixin | Sequence[ClassifierMixin],
        features: np.ndarray | None = None,
        classes: int | None = None,
        export: bool = True,
    ) -> OutOfFold:
        """The same for a scikit-learn model of features (recordings, features), by default its own.

        estimator: one, or a list of one for each group of folds, as with settings that the others chose.
        classes: how many classes exclude each other, their numbers then being the targets' largest; None:
        labels by themselves. export: let the predictions travel with the project, not worth their bytes where
        many models are fitted in seconds. Raises ValueError without features, and for another number of
        estimators than groups.
        """
        features = self.features if features is None else features
        if features is None:
            raise ValueError("a classifier needs features: pass them, or give the task some")
        estimators = estimator if isinstance(estimator, list) else [estimator] * len(self.groups)
        if len(estimators) != len(self.groups):
            raise ValueError(
                f"{len(estimators)} estimators for {len(self.groups)} groups of folds: one for each"
            )
        targets = _column(self.targets.argmax(1) if classes else self.targets.astype(int))
        groups = [(features[train], targets[train], features[held_out]) for train, held_out in self.groups]

        def make() -> Entry:
            pairs = zip(estimators, groups, strict=True)
            parts = [_fit_and_predict(one, *group, classes) for one, group in pairs]
            return _identified(self, np.concatenate(parts), self.rows, estimators[0]), caching.provenance()

        key = (estimator, classes, groups, Local((class_probabilities, _fit_and_predict)))
        arrays, made = caching.fetch_entry(self.cache, key, make, export=export)
        about = {"n_train": round(np.mean([len(train) for train, _ in self.groups]))} | _named(made)
        return _out_of_fold(self, arrays["array"][None], about)

    def classify_embeddings(
        self, fitted: OutOfFold, estimator: ClassifierMixin, features: np.ndarray | None = None
    ) -> OutOfFold:
        """The same for a scikit-learn model of what the last layer of fitted nets sees, those of the first
        seed, with `features` (recordings, features) beside it.

        Recordings of a group are described and predicted by what has not met them. Raises ValueError as
        `teacher_outputs`.
        """
        from biosignals.training.distillation import teacher_outputs  # which needs a fit's net

        fits, targets = fitted.fits[0], _column(self.targets.astype(int))

        def make() -> Entry:
            parts = []
            for fit, (train, held_out) in zip(fits, self.groups, strict=True):
                own = teacher_outputs(fit, self.recordings, embeddings=True).last_layer.embeddings
                inputs = own if features is None else np.hstack([own, features])
                parts.append(
                    _fit_and_predict(estimator, inputs[train], targets[train], inputs[held_out], None)
                )
            return _identified(self, np.concatenate(parts), self.rows, estimator), caching.provenance()

        second = None if features is None else features.astype(np.float32)
        key = ("embeddings", [fit.key for fit in fits], estimator, second, Local(_fit_and_predict))
        arrays, made = caching.fetch_entry(self.cache, key, make, export=True)
        return _out_of_fold(self, arrays["array"][None], {"n_train": fitted.about["n_train"]} | _named(made))

    def probe(self, encoders: Sequence[nn.Module | Pretrained], estimator: ClassifierMixin) -> OutOfFold:
        """The same for a scikit-learn model of what frozen encoders see, fitted for each class by itself.

        encoders: for each group of folds a `signal-vit` behind its normalisation, as `fit.build` makes it, or
        one that is pretrained.
        """
        targets = self.targets.astype(int)

        def make() -> Entry:
            parts = []
            for encoder, (train, held_out) in zip(encoders, self.groups, strict=True):
                net = encoder.net if isinstance(encoder, Pretrained) else encoder
                own = embeddings(net, self.recordings)
                by_class = [
                    _fit_and_predict_class(estimator, own[train], target[train], own[held_out])
                    for target in targets.T
                ]
                parts.append(np.stack(by_class, axis=1))
            return _identified(self, np.concatenate(parts), self.rows, estimator), caching.provenance()

        start = [one.key if isinstance(one, Pretrained) else one for one in encoders]
        rows = [(train, targets[train], held_out) for train, held_out in self.groups]
        signals = Rows(self.recordings.signals, self.rows)
        key = ("probe", start, estimator, rows, signals, Local((embeddings, _fit_and_predict_class)))
        arrays, made = caching.fetch_entry(self.cache, key, make, export=True)
        about = {"n_train": round(np.mean([len(train) for train, _ in self.groups]))}
        return _out_of_fold(self, arrays["array"][None], about | _named(made))

    def fit_final(
        self,
        model: str,
        recipe: Recipe,
        seeds: Sequence[int] = (0,),
        *,
        sampling: str | None = None,
        distillation: Teacher | None = None,
    ) -> list[Fit]:
        """The nets that read the test fold, one for each seed: trained on all groups together, as
        `out_of_fold` on some.
        """
        rows = np.sort(self.rows)
        train, validation = with_validation(rows, self.recordings.table, recipe)
        fits = []
        for seed in seeds:
            drawn = draw_rows(train, self.targets, sampling, seed)
            data = self._training_data(drawn, validation, None, distillation)
            fits.append(Fit(model, data, recipe, seed, self.cache, trainer=self.trainer))
        return fits

    def predict(self, fits: Sequence[Fit], rows: np.ndarray | None = None) -> Predictions:
        """Predictions (seeds, n, classes) of `rows` (n,), by default of fold 10, by one fit for each seed."""
        rows = self.test if rows is None else positions(rows, len(self.recordings))
        found = [_predict_rows(self, fit, rows) for fit in fits]
        for fit in fits:
            fit.export()  # what is quoted of it travels as its predictions do
        probabilities = np.stack([array for array, _ in found])
        return self.predictions(probabilities, rows, **_mean_about([about for _, about in found]))

    def average(self, models: Sequence[Predictions], by_seed: bool = False) -> Predictions:
        """The mean probabilities (n, classes) of several models' predictions of the same recordings, all
        seeds of a model together: an ensemble.

        by_seed: of the first seed of each, of the second, and so on, (seeds, n, classes): an ensemble of one
        net of each, as it is compared with a single net. Raises ValueError for predictions of different
        recordings, and with `by_seed` of different numbers of seeds.
        """
        first = models[0]
        if any(not np.array_equal(one.ids, first.ids) for one in models):
            raise ValueError("an average takes predictions of the same recordings in the same order")
        means = [one.probabilities if by_seed else one.mean for one in models]
        if len({np.shape(mean) for mean in means}) > 1:
            raise ValueError("an average seed by seed takes predictions of as many seeds from each model")
        rows = self.recordings.table.index.get_indexer(first.ids)

        def make() -> Entry:
            return _identified(self, np.mean(means, axis=0), rows, "ensemble"), caching.provenance()

        arrays, made = caching.fetch_entry(self.cache, ("average", means, list(first.ids)), make, export=True)
        return self.predictions(arrays["array"], rows, **_named(made))

    def predictions(
        self, probabilities: np.ndarray, rows: np.ndarray | None = None, **about: Any
    ) -> Predictions:
        """probabilities (n, classes) or (seeds, n, classes) made elsewhere, with the truth of `rows`.

        rows: by default those of `out_of_fold`. about: keys of a record. Raises ValueError as `Predictions`.
        """
        rows = self.rows if rows is None else positions(rows, len(self.recordings))
        table = self.recordings.table
        classes = np.shape(probabilities)[-1]
        truth, subjects = self.targets[rows][:, :classes], table["subject"].to_numpy()[rows]
        return Predictions(np.asarray(probabilities), truth, subjects, table.index.to_numpy()[rows], about)

    def predict_out_of_fold(
        self,
        models: Sequence[Sequence[nn.Module | Path]],
        how: Inference,
        change: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> OutOfFold:
        """Predictions (seeds, n, classes) of nets or exported files: a list for each seed, in it one for each
        group of folds.

        how: crop and classes; predictions are kept in the cache, and with `export` travel with the project.
        change: of the signals beforehand, float32 (n, channels, samples). Raises ValueError for another
        number of groups.
        """
        found = [self._predict_models(of_seed, how, change) for of_seed in models]
        files = " ".join(name for _, name in found if name)
        probabilities = np.stack([array for array, _ in found])
        return _out_of_fold(self, probabilities, {"predictions": files} if files else {})

    def _predict_models(
        self,
        models: Sequence[nn.Module | Path],
        how: Inference,
        change: Callable[[np.ndarray], np.ndarray] | None,
    ) -> tuple[np.ndarray, str | None]:
        """Predictions (n, classes) of one net or file for each group, and the name of their entry where they
        travel.
        """
        each = how._replace(cache=self.cache, export=False)

        def make() -> Entry:
            parts = []
            for model, (_, held_out) in zip(models, self.groups, strict=True):
                if isinstance(model, Path):
                    parts.append(predict_onnx(model, self.recordings, held_out, each, change))
                elif change is None:
                    parts.append(predict(model, self.recordings, held_out, self.features, each))
                else:
                    signals = change(self.recordings.physical(held_out))
                    parts.append(predict_signals(model, signals, how=each))
            name = "file" if isinstance(models[0], Path) else models[0]
            return _identified(self, np.concatenate(parts), self.rows, name), caching.provenance()

        if not how.export:
            return make()[0]["array"], None
        rows = Rows(self.recordings.signals, self.rows)
        key = ("compressed", list(models), tuple(how[:2]), how.step, change, self.recordings.scale, rows)
        arrays, made = caching.fetch_entry(self.cache, (*key, Local(predict_onnx)), make, export=True)
        return arrays["array"], _named(made)["predictions"]

    def perturbed(self, fitted: OutOfFold, change: Callable[[np.ndarray], np.ndarray]) -> OutOfFold:
        """The same nets' predictions after `change` of the signals, float32 (n, channels, samples) both, not
        trained again.
        """

        def make() -> Entry:
            recipe = fitted.fits[0][0].recipe
            how = Inference(recipe.crop, recipe.multiclass, step=recipe.crop_step)
            found = self.predict_out_of_fold(fitted.nets, how, change)
            probabilities = found.probabilities[:, :, : fitted.probabilities.shape[2]]
            made = _identified(self, probabilities, self.rows, fitted.fits[0][0].name)
            return made, caching.provenance()

        recordings = self.recordings
        keys = [[fit.key for fit in of_seed] for of_seed in fitted.fits]
        code = Local(predict_signals)
        parts = ("perturbed", keys, change, recordings.scale, Rows(recordings.signals, self.rows), code)
        arrays, made = caching.fetch_entry(self.cache, parts, make, export=True)
        about = fitted.about | {"predictions": _named(made)["predictions"]}
        return replace(fitted, probabilities=arrays["array"], about=about)

    def _training_data(
        self,
        train: np.ndarray,
        validation: np.ndarray | None,
        n_scored_targets: int | None,
        teacher: Teacher | None,
    ) -> TrainingData:
        return TrainingData(
            self.recordings, self.targets, train, validation, self.features, n_scored_targets, teacher
        )


@dataclass(frozen=True)
class OutOfFold(Predictions):
    """Predictions (seeds, n, classes) of `Examples.rows`; fits: for each seed, one for each group of folds.

    groups: which group a recording is of, (n,). A classifier of features has no fits.
    """

    groups: np.ndarray = field(default_factory=lambda: np.empty(0, int))
    fits: Sequence[Sequence[Fit]] = ()

    @property
    def nets(self) -> list[list[nn.Module]]:
        """The fitted nets, as `fits`."""
        return [[fit.net for fit in of_seed] for of_seed in self.fits]

    def decide(
        self, choose: Callable[[np.ndarray, np.ndarray], float] = calibration.youden_threshold
    ) -> OutOfFold:
        """Decisions of 0 and 1, (seeds, n, classes), at thresholds that `choose` found on the other groups.

        choose: takes target and probability of one class, (n,) each, gives the threshold. Raises what it
        raises.
        """
        decisions = np.empty_like(self.probabilities)
        for own, others in own_and_others(self.groups):
            for by_seed, predicted in zip(decisions, self.probabilities, strict=True):
                pairs = zip(self.truth[others].T, predicted[others].T, strict=True)
                by_seed[own] = predicted[own] >= [
                    choose(target, probability) for target, probability in pairs
                ]
        return replace(self, probabilities=decisions, about=self.about | {"predictions": None})

    def calibrate(self) -> OutOfFold:
        """Probabilities (seeds, n, classes), by a temperature and offset that the other groups gave."""
        scaled = np.empty_like(self.probabilities)
        for own, others in own_and_others(self.groups):
            for by_seed, predicted in zip(scaled, self.probabilities, strict=True):
                for k in range(scaled.shape[2]):
                    scaling = calibration.temperature(predicted[others, k], self.truth[others, k], bias=True)
                    by_seed[own, k] = scaling(predicted[own, k])
        return replace(self, probabilities=scaled, about=self.about | {"predictions": None})


def stack_seeds(parts: Sequence[OutOfFold]) -> OutOfFold:
    """Predictions of the same recordings, of other seeds each, as those of one model: (seeds, n, classes).

    Raises ValueError for predictions of different recordings.
    """
    first = parts[0]
    if any(not np.array_equal(one.ids, first.ids) for one in parts):
        raise ValueError("seeds are stacked of predictions of the same recordings in the same order")
    probabilities = np.concatenate([one.probabilities for one in parts])
    fits = [of_seed for one in parts for of_seed in one.fits]
    return replace(
        first, probabilities=probabilities, about=_mean_about([one.about for one in parts]), fits=fits
    )


def with_validation(
    rows: np.ndarray, table: pd.DataFrame, recipe: Recipe
) -> tuple[np.ndarray, np.ndarray | None]:
    """`rows` (n,) to train on and to stop by: all and None; with patience the last fold is to stop by."""
    return (rows, None) if recipe.patience is None else inner_fold(rows, table)


def inner_fold(rows: np.ndarray, table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """`rows` (n,) of all folds but the last, to train on, and those of the last, to choose settings by.

    Raises ValueError for rows of one fold.
    """
    folds = splits.folds_of(table)[rows]
    last = folds == folds.max()
    if last.all():
        raise ValueError(f"all {len(rows)} recordings are of fold {folds.max()}: none are left to train on")
    return rows[~last], rows[last]


def draw_rows(rows: np.ndarray, targets: np.ndarray, sampling: str | None, seed: int) -> np.ndarray:
    """`rows` (n,), resampled until the first class of targets (recordings, classes) is balanced."""
    if sampling is None:
        return rows
    from biosignals.training import sampling as samplers  # imbalanced-learn, which is slow to import

    return rows[samplers.resample_rows(sampling, targets[rows, 0].astype(int), seed)]


def for_steps(rows: np.ndarray, recipe: Recipe, steps: int, seed: int) -> tuple[np.ndarray, Recipe]:
    """`rows` (n,) and the recipe for exactly so many gradient steps, whatever their number: nets that learn
    from more or fewer recordings then train for equally long.

    It is one long pass over the rows repeated, each as often as any other or once more. Raises ValueError for
    fewer than one step, and for a recipe with patience, which would stop anywhere.
    """
    if steps < 1 or recipe.patience is not None:
        raise ValueError(
            f"{steps} steps, patience {recipe.patience}: a number of steps above 0, and without patience"
        )
    times, rest = divmod(steps * recipe.batch_size, len(rows))
    more = np.random.default_rng(seed).permutation(rows)[:rest]
    return np.concatenate([np.tile(rows, times), more]), replace(recipe, epochs=1)


def class_probabilities(
    fitted: ClassifierMixin, features: np.ndarray, classes: int | None = None
) -> np.ndarray:
    """Probability of each label, (n, labels), from a multi-label scikit-learn model; of class 1 from a binary
    one.

    features: (n, features). With `classes`, of each of so many classes that exclude each other: 0 for one
    that the model never met.
    """
    # Threads would add up a forest's trees in any order, and ties would fall differently in each run.
    _set_threads(fitted, 1)
    found = fitted.predict_proba(features)
    if classes is not None:
        return found @ np.eye(classes)[fitted.classes_]
    if isinstance(found, np.ndarray):  # 0 where the model never met class 1
        return (found * (fitted.classes_ == 1)).sum(axis=1, keepdims=True)
    return np.stack([p[:, -1] if p.shape[1] > 1 else np.zeros(len(p)) for p in found], axis=1)


def _fit_and_predict(
    estimator: ClassifierMixin,
    features: np.ndarray,
    targets: np.ndarray,
    inputs: np.ndarray,
    classes: int | None,
) -> np.ndarray:
    from sklearn.base import clone

    fitted = clone(estimator)
    if threads := os.environ.get("OMP_NUM_THREADS"):  # more than that would wait for the cores of others
        _set_threads(fitted, int(threads))
    return class_probabilities(fitted.fit(features, targets), inputs, classes)


def _set_threads(estimator: ClassifierMixin, number: int) -> None:
    """How many threads an estimator and those inside it take, where they say a number."""
    given = {name: value for name, value in estimator.get_params().items() if value is not None}
    names = [name for name in given if name.rpartition("__")[2] == "n_jobs"]
    estimator.set_params(**dict.fromkeys(names, number))


def _fit_and_predict_class(
    estimator: ClassifierMixin, features: np.ndarray, target: np.ndarray, inputs: np.ndarray
) -> np.ndarray:
    """Probability (n,) of one class; where all or none of the training records have it, 1 or 0."""
    if target.min() == target.max():
        return np.full(len(inputs), float(target[0]))
    return _fit_and_predict(estimator, features, target, inputs, None)[:, 0]


def _column(targets: np.ndarray) -> np.ndarray:
    """Targets of one class as scikit-learn takes them, (n,)."""
    return targets[:, 0] if targets.ndim == 2 and targets.shape[1] == 1 else targets


def _predict_groups(examples: Examples, fits: Sequence[Fit]) -> tuple[np.ndarray, dict]:
    """Probabilities of the held-out recordings of each group by its fit, (n, all classes), and how they were
    made.

    Kept as one entry, so that nothing is trained where it is there already.
    """
    recordings, features = examples.recordings, examples.features

    def make() -> Entry:
        pairs = zip(fits, examples.groups, strict=True)
        parts = [fit.predict(recordings, held_out, features) for fit, (_, held_out) in pairs]
        about = _sum_about([fit.about for fit in fits])
        return _identified(examples, np.concatenate(parts), examples.rows, fits[0].name), about

    second = None if features is None else features[examples.rows].astype(np.float32)
    signals = Rows(recordings.signals, examples.rows)
    parts = ("out of fold", [fit.key for fit in fits], signals, second)
    arrays, about = caching.fetch_entry(examples.cache, parts, make, export=True)
    return arrays["array"], _named(about)


def _predict_rows(examples: Examples, fit: Fit, rows: np.ndarray) -> tuple[np.ndarray, dict]:
    """Probabilities of `rows` by one fit, (n, classes), and how they were made; kept as one entry."""
    recordings, features = examples.recordings, examples.features

    def make() -> Entry:
        return _identified(examples, fit.predict(recordings, rows, features), rows, fit.name), fit.about

    second = None if features is None else features[rows].astype(np.float32)
    parts = ("predictions", fit.key, Rows(recordings.signals, rows), second)
    arrays, about = caching.fetch_entry(examples.cache, parts, make, export=True)
    return arrays["array"], _named(about)


def _named(about: dict) -> dict:
    """How an entry was made, with its file's name as records have it; None where it does not travel."""
    return about | {"predictions": about.get("entry")}


def _identified(
    examples: Examples, probabilities: np.ndarray, rows: np.ndarray, model: object
) -> dict[str, np.ndarray]:
    """Probabilities of `rows`, (n, classes) or (seeds, n, classes), with all that another's predictions are
    compared by.
    """
    table = examples.recordings.table
    ids, subjects = table.index.to_numpy()[rows], table["subject"].to_numpy()[rows]
    return {
        "array": probabilities,
        "truth": examples.targets[rows],
        "subjects": subjects.astype(str),
        "ids": ids.astype(str),
        "model": np.array(model if isinstance(model, str) else type(model).__name__),
    }


def _out_of_fold(
    examples: Examples, probabilities: np.ndarray, about: dict, fits: Sequence[Sequence[Fit]] = ()
) -> OutOfFold:
    rows, classes = examples.rows, probabilities.shape[2]
    groups = np.repeat(np.arange(len(examples.groups)), [len(held_out) for _, held_out in examples.groups])
    ids = examples.recordings.table.index.to_numpy()[rows]
    truth = examples.truth[:, :classes]
    return OutOfFold(probabilities.astype(np.float32), truth, examples.subjects, ids, about, groups, fits)


def _sum_about(parts: Sequence[dict]) -> dict:
    """How the fits of several groups were made together: means of counts, the sum of their seconds."""
    counts = {name: round(np.mean([part[name] for part in parts])) for name in ("n_train", "passes", "steps")}
    return parts[0] | counts | {"seconds": round(sum(part["seconds"] for part in parts), 1)}


def _mean_about(parts: Sequence[dict]) -> dict:
    """How the fits of several seeds were made: means of counts and seconds, all their files."""
    names = [name for name in ("n_train", "passes", "steps", "seconds") if name in parts[0]]
    means = {name: round(np.mean([part[name] for part in parts])) for name in names}
    files = [part["predictions"] for part in parts if part["predictions"]]
    return parts[0] | means | {"predictions": " ".join(files) or None}
