"""Fit any net on recordings, once: it is found again as long as nothing that made it has changed."""

from __future__ import annotations

import copy
import functools
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from biosignals import models
from biosignals.caching import Cache, Entry, Local, Rows, provenance, temporary_folder
from biosignals.data.recordings import Recordings
from biosignals.models.layers.high_pass import HighPass
from biosignals.models.layers.standardised import Standardised
from biosignals.training.data import TrainingData
from biosignals.training.predict import Inference, crop_probabilities, fastest_form, predict_with
from biosignals.training.pretraining import Pretrained
from biosignals.training.recipe import Recipe

NUMBERS = 1  # raise it when training gives other numbers: exported predictions made before are then not taken
STATISTICS_ROWS = 500  # records that mean and deviation of the input come from


class Fit:
    """A net and what it is to learn from; trained, or found in the cache, when its results are first asked
    for.

    recipe: how it is trained. key: what it is known by, None without a cache. Arguments as in `fit`.
    """

    def __init__(
        self,
        model: str | nn.Module | Pretrained,
        data: TrainingData,
        recipe: Recipe,
        seed: int = 0,
        cache: Cache | None = None,
        report: Callable[[int, dict], None] | None = None,
        trainer: dict[str, Any] | None = None,
    ):
        if not isinstance(data, TrainingData) or not isinstance(recipe, Recipe):
            raise ValueError("fit takes a net or its name, TrainingData and a Recipe, in this order")
        self.data, self.recipe, self.seed, self.cache = data, recipe, seed, cache
        _check_recipe(data, recipe)
        self.name = _name(model)
        self.report, self.trainer = report, trainer or {}
        self._start = model if isinstance(model, Pretrained) else build(model, data, recipe, seed)
        self.key = None if cache is None else cache.key(*self._parts())

    @functools.cached_property
    def _untrained(self) -> nn.Module:
        """The net that training starts from; one that is pretrained is made when it is needed."""
        return copy.deepcopy(self._start.net) if isinstance(self._start, Pretrained) else self._start

    @functools.cached_property
    def net(self) -> nn.Module:
        """The fitted net in evaluation mode."""
        arrays, _ = self._entry("net.")
        weights = {name[4:]: torch.from_numpy(x) for name, x in arrays.items() if name.startswith("net.")}
        net = copy.deepcopy(self._untrained)
        net.load_state_dict(weights)
        return net.eval()

    @property
    def history(self) -> pd.DataFrame:
        """The learning curve: a row for each epoch."""
        arrays, _ = self._entry("history.")
        columns = {name[8:]: x for name, x in arrays.items() if name.startswith("history.")}
        return pd.DataFrame(columns).rename_axis("epoch").rename(lambda i: i + 1)

    @property
    def about(self) -> dict[str, Any]:
        """Keys of a record: counts, seconds, params, versions, commit, hardware, precision."""
        about = self._entry("history.")[1]
        return {name: value for name, value in about.items() if name != "entry"}

    @property
    def seconds(self) -> float:
        """How long training took."""
        return self.about["seconds"]

    def predict(
        self,
        recordings: Recordings,
        rows: np.ndarray,
        features: np.ndarray | None = None,
        export: bool = False,
    ) -> np.ndarray:
        """Probabilities (rows, classes) of recordings, float32: see `predict.predict`."""
        recipe = self.recipe
        how = Inference(recipe.crop, recipe.multiclass, self.cache, export, recipe.crop_step)
        return predict_with(lambda: self.net, self.key, recordings, rows, features, how)

    def export(self, weights: bool = False) -> None:
        """Let the learning curve, and with `weights` the net, travel with the project, where the cache has a
        place for it.
        """
        names = "" if weights else "history."
        self._entry("net." if weights else "history.", export=names)

    def _entry(self, having: str, export: str | None = None) -> Entry:
        """Arrays and provenance of the fit, some of whose names begin with `having`; see `Cache.fetch`."""
        entry = self.__dict__.get("_found")
        if export is not None or not entry or not any(name.startswith(having) for name in entry[0]):
            make = functools.partial(_train, self)
            if self.cache is None or self.key is None:
                entry = entry or make()
            else:
                entry = self.cache.fetch(self.key, make, having, export)
            self._found = entry
        return entry

    def _parts(self) -> tuple:
        """All that makes the fit, for its key."""
        from biosignals.training import loop  # Lightning, for which the others need not wait

        data, recordings = self.data, self.data.recordings
        both = [np.asarray(rows) for rows in (data.train, data.validation) if rows is not None]
        teacher = None if data.distillation is None else data.distillation.parts(both)
        examples = [(Rows(recordings.signals, rows), data.targets[rows].astype(np.float32)) for rows in both]
        features = (
            None if data.features is None else [data.features[rows].astype(np.float32) for rows in both]
        )
        about = (recordings.scale, recordings.sampling_rate, recordings.channels, data.scored)
        trainer = {name: option for name, option in self.trainer.items() if name != "logger"}
        code = Local((loop.TrainingModule, loop.run, crop_probabilities, loop.precision(), trainer))
        start = self._start
        if isinstance(start, Pretrained) and start.key is not None:
            start = start.key  # what made the net, so that it is not made to look a fit up
        return NUMBERS, start, self.recipe, self.seed, about, examples, features, teacher, code


def fit(
    model: str | nn.Module | Pretrained,
    data: TrainingData,
    recipe: Recipe,
    seed: int = 0,
    cache: Cache | None = None,
    report: Callable[[int, dict], None] | None = None,
    trainer: dict[str, Any] | None = None,
) -> Fit:
    """Train the net called `model`; keep the epoch with the best score on the validation rows, without them
    the last one.

    A net in place of its name is trained further: a copy of it, from its own weights. A fit that is in
    `cache` is loaded instead of trained; None: no cache. `report` is called after each epoch with its number
    and scores; what it raises ends the training. trainer: options of Lightning's Trainer, as {"devices": 2,
    "strategy": "ddp_spawn"} or {"logger": CSVLogger("logs")}; a logger is no part of the key, and a fit that
    is found in the cache is not logged again. Raises ValueError as `TrainingData`, for a net that cannot be
    built or trained on such recordings, for a recipe that does not suit them, and for a loss that is no
    number.
    """
    fitted = Fit(model, data, recipe, seed, cache, report, trainer)
    _ = fitted.about
    return fitted


def build(model: str | nn.Module, data: TrainingData, recipe: Recipe, seed: int) -> Standardised:
    """The untrained net behind the mean and deviation of its training recordings, with weights drawn by
    `seed`.
    """
    if isinstance(model, Standardised):
        return copy.deepcopy(model)
    torch.manual_seed(seed)
    if isinstance(model, str):
        samples = recipe.crop or data.recordings.signals.shape[-1]
        features = 0 if data.features is None else data.features.shape[1]
        channels, classes = len(data.recordings.channels), data.targets.shape[1]
        net = models.create(model, channels=channels, classes=classes, samples=samples, features=features)
    else:
        net = copy.deepcopy(model)
    high_pass = HighPass(recipe.high_pass, data.recordings.sampling_rate) if recipe.high_pass else None
    return Standardised(net, *_mean_and_deviation(data, high_pass), high_pass)


def _mean_and_deviation(data: TrainingData, high_pass: HighPass | None) -> tuple[float, float]:
    rows = np.asarray(data.train)[:STATISTICS_ROWS]
    blocks = [data.recordings.physical(rows[i : i + 50]) for i in range(0, len(rows), 50)]
    if high_pass is not None:
        blocks = [high_pass(torch.from_numpy(block)).numpy() for block in blocks]
    sums = np.array(
        [(block.size, block.sum(dtype=float), np.square(block, dtype=float).sum()) for block in blocks]
    )
    count, total, squares = sums.sum(0)
    return total / count, np.sqrt(squares / count - (total / count) ** 2)


def _check_recipe(data: TrainingData, recipe: Recipe) -> None:
    """ValueError for crops longer than the records, for one class that is to exclude others, for training
    records of one class that are to be balanced, and for a plateau of nothing.
    """
    samples = data.recordings.signals.shape[-1]
    if recipe.crop is not None and recipe.crop > samples:
        raise ValueError(
            f"crops of {recipe.crop} samples do not fit into records of {samples}: crop=None takes them whole"
        )
    if recipe.plateau is not None and data.validation is None:
        raise ValueError("a plateau is one of a validation score: give validation records, too")
    labels = data.targets[data.train]
    classes = labels.argmax(1) if recipe.multiclass else labels[:, 0].round()
    if recipe.balanced and len(np.unique(classes)) < 2:
        raise ValueError("the training records are all of one class, which leaves nothing to balance")
    if recipe.multiclass and data.targets.shape[1] < 2:
        raise ValueError("one class cannot exclude others: take multiclass=False, or a column for each class")


def _name(model: str | nn.Module | Pretrained) -> str:
    if isinstance(model, Pretrained):
        model = model.start
    if isinstance(model, Standardised):
        model = model.net
    return model if isinstance(model, str) else type(model).__name__


def _try_out(net: nn.Module, name: str, inputs: list[Tensor], classes: int) -> None:
    """ValueError where a net cannot be run on two records, or does not give a logit for each class."""
    shape = " x ".join(map(str, inputs[0].shape[1:]))
    try:
        with torch.no_grad():
            logits = net.eval()(*inputs)
    except RuntimeError as error:
        raise ValueError(
            f"{name} cannot be run on records of {shape} (channels x samples): take longer records or crops, "
            f"or another net. PyTorch says: {error}"
        ) from error
    found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
    expected = (len(inputs[0]), classes)
    if found != expected:
        raise ValueError(f"{name} gives {found} for {expected}: a net gives logits (batch, classes)")


def _train(fitted: Fit) -> Entry:
    """Weights and learning curve of a net that is trained now, and what is known of how it was made."""
    import lightning

    from biosignals.training import loop

    data, recipe = fitted.data, fitted.recipe
    lightning.seed_everything(fitted.seed, workers=True, verbose=False)
    net = copy.deepcopy(fitted._untrained)
    inputs = [torch.from_numpy(data.recordings.physical(data.train[:2])[..., : recipe.crop])]
    if data.features is not None:
        inputs.append(torch.as_tensor(data.features[data.train[:2]], dtype=torch.float32))
    _try_out(net, fitted.name, inputs, data.targets.shape[1])
    fast = net if data.features is not None else fastest_form(net, *inputs)  # which takes one input
    teacher = None if data.distillation is None else data.distillation.module(fast, *inputs)
    module = loop.TrainingModule(net, fast, data, recipe, fitted.seed, teacher)
    with temporary_folder() as folder:
        started = time.perf_counter()
        progress = loop.Progress(fitted.name, folder / "history.csv", fitted.report)
        best = loop.run(module, progress, folder, fitted.trainer)
        seconds = time.perf_counter() - started
        module.load_state_dict(torch.load(best, weights_only=True)["state_dict"])
        history = pd.read_csv(progress.file, index_col="epoch")
    weights = {
        f"net.{name}": value.numpy() for name, value in module.trained_net().cpu().state_dict().items()
    }
    curve = {f"history.{name}": column.to_numpy() for name, column in history.items()}
    n_train = len(np.unique(data.train))
    counts = {
        "n_train": n_train,
        "passes": round(len(history) * len(data.train) / n_train),  # on average, where some are repeated
        "steps": len(history) * module.steps_per_epoch(),
    }
    about = {
        "seconds": round(seconds, 1),
        "params": models.parameter_count(net),
        "precision": loop.precision(),
    }
    return weights | curve, counts | about | provenance()
