"""Fit any net on recordings, once: it is found again as long as nothing that made it has changed."""

from __future__ import annotations

import copy
import functools
import logging
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import lightning
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, EMAWeightAveraging, ModelCheckpoint
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy, binary_cross_entropy_with_logits, cross_entropy
from torch.utils.data import DataLoader, Dataset, Sampler
from torchmetrics import MetricCollection
from torchmetrics.classification import (
    BinaryAUROC,
    BinaryAveragePrecision,
    MultilabelAUROC,
    MultilabelAveragePrecision,
)
from tqdm import tqdm

from biosignals import models
from biosignals.caching import Cache, Entry, Local, Rows, provenance, release
from biosignals.data.recordings import Recordings
from biosignals.models.layers.conv1d_as_conv2d import Conv1dAsConv2d
from biosignals.models.layers.high_pass import HighPass
from biosignals.models.layers.standardised import Standardised
from biosignals.training.predict import Inference, crop_probabilities, fastest_form, predict_with
from biosignals.training.recipe import OPTIMIZERS, Recipe

NUMBERS = 1  # raise it when training gives other numbers: exported predictions made before are then not taken
STATISTICS_ROWS = 500  # records that mean and deviation of the input come from


class Teacher(Protocol):
    """What a student learns from beside labels: `distillation.DistillationLoss`."""

    def check(self, recordings: Recordings, classes: int) -> None:
        """Raises ValueError where the teacher's outputs are of other recordings or classes."""

    def parts(self, rows: list[np.ndarray]) -> tuple:
        """What tells it from others when a student learns from rows, arrays (n,): of a key."""

    def outputs(self, rows: np.ndarray) -> np.ndarray:
        """What the teacher gives for rows (n,), float32 (n, width)."""

    def module(self, net: nn.Module, *inputs: Tensor) -> nn.Module:
        """Turns outputs of student and teacher into a loss; inputs, (batch, ...): the student's."""


@dataclass(frozen=True)
class TrainingData:
    """What a net learns from.

    targets: 0 to 1, (recordings, classes). train, validation: positions of recordings; without validation
    (None) the last epoch is kept. features: a second input, float32 (recordings, features), for nets that
    take one. n_scored_targets: the first so many classes (default: all) make the validation score; the others
    only help to learn. distillation: what a teacher gives, and how to learn from it.

    Raises ValueError for rows without recordings, targets or features that do not fit or are not finite,
    signals that are not finite, and for validation records that lack a class, from which no best epoch could
    be chosen.
    """

    recordings: Recordings
    targets: np.ndarray
    train: np.ndarray
    validation: np.ndarray | None = None
    features: np.ndarray | None = None
    n_scored_targets: int | None = None
    distillation: Teacher | None = None

    def __post_init__(self) -> None:
        recordings, dataset = self.recordings, self.recordings.dataset
        for name, rows in {"targets": self.targets, "features": self.features}.items():
            if rows is not None and (len(rows) != len(recordings) or np.ndim(rows) != 2):
                raise ValueError(f"{np.shape(rows)} of {name}, expected ({len(recordings)} recordings, ...)")
            if rows is not None and not np.isfinite(rows).all():
                raise ValueError(f"{name} hold NaN or infinity")
        if not len(self.train):
            raise ValueError(f"{dataset}: no recordings to train on; are its folds empty?")
        if self.targets.min() < 0 or self.targets.max() > 1:
            raise ValueError("targets must lie between 0 and 1")
        if not _is_finite(recordings.signals):
            raise ValueError(f"{dataset}: signals hold NaN or infinity; leave those recordings out first")
        if self.validation is not None:
            self._check_validation()
        if self.distillation is not None:
            self.distillation.check(recordings, self.targets.shape[1])

    def __deepcopy__(self, memo: dict) -> TrainingData:
        return self  # copies of a net that is trained share what it learns from

    @property
    def scored(self) -> int:
        """How many classes make the validation score."""
        return self.n_scored_targets or self.targets.shape[1]

    def _check_validation(self) -> None:
        present = self.targets[self.validation, : self.scored].round()
        missing = [k for k, column in enumerate(present.T) if len(np.unique(column)) < 2]
        if missing:
            raise ValueError(
                f"{self.recordings.dataset}: of the {len(present)} validation records all or none are of "
                f"class {', '.join(map(str, missing))}: no best epoch can be chosen. Take more, or none: "
                "validation=None keeps the last epoch (a recipe without patience in cross-validation)"
            )


class Fit:
    """A net and what it is to learn from; trained, or found in the cache, when its results are first asked
    for.

    recipe: how it is trained. key: what it is known by, None without a cache. Arguments as in `fit`.
    """

    def __init__(
        self,
        model: str | nn.Module,
        data: TrainingData,
        recipe: Recipe,
        seed: int = 0,
        cache: Cache | None = None,
        report: Callable[[int, dict], None] | None = None,
        trainer: dict[str, Any] | None = None,
    ):
        self.data, self.recipe, self.seed, self.cache = data, recipe, seed, cache
        self.name = _name(model)
        self.report, self.trainer = report, trainer or {}
        self._untrained = build(model, data, recipe, seed)
        self.key = None if cache is None else cache.key(*self._parts())

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
        return self._entry("history.")[1]

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
        how = Inference(self.recipe.crop, self.recipe.multiclass, self.cache, export)
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
            entry = make() if self.cache is None else self.cache.fetch(self.key, make, having, export)
            self._found = entry
        return entry

    def _parts(self) -> tuple:
        """All that makes the fit, for its key."""
        data, recordings = self.data, self.data.recordings
        both = [np.asarray(rows) for rows in (data.train, data.validation) if rows is not None]
        teacher = None if data.distillation is None else data.distillation.parts(both)
        examples = [(Rows(recordings.signals, rows), data.targets[rows].astype(np.float32)) for rows in both]
        features = (
            None if data.features is None else [data.features[rows].astype(np.float32) for rows in both]
        )
        about = (recordings.scale, recordings.sampling_rate, recordings.channels, data.scored)
        trainer = {name: option for name, option in self.trainer.items() if name != "logger"}
        code = Local((TrainingModule, _run, crop_probabilities, precision(), trainer))
        return NUMBERS, self._untrained, self.recipe, self.seed, about, examples, features, teacher, code


def fit(
    model: str | nn.Module,
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
    is found in the cache is not logged again. Raises ValueError as `TrainingData`, and for a net that cannot
    be built or trained on such recordings.
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
        model = models.create(model, channels=channels, classes=classes, samples=samples, features=features)
    high_pass = recipe.high_pass and HighPass(recipe.high_pass, data.recordings.sampling_rate)
    return Standardised(copy.deepcopy(model), *_mean_and_deviation(data, high_pass), high_pass)


def precision() -> str:
    """bf16 where the processor or graphics card computes it, else float32: a name of Lightning's."""
    if torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "32-true"
    return "bf16-mixed" if torch.cpu.get_capabilities().get("amx_bf16") else "32-true"


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


def _name(model: str | nn.Module) -> str:
    if isinstance(model, Standardised):
        model = model.net
    return model if isinstance(model, str) else type(model).__name__


def _is_finite(signals: np.ndarray) -> bool:
    if signals.dtype.kind != "f":
        return True
    return all(np.isfinite(signals[i : i + 256]).all() for i in range(0, len(signals), 256))


# Training


def _train(fitted: Fit) -> Entry:
    """Weights and learning curve of a net that is trained now, and what is known of how it was made."""
    data, recipe = fitted.data, fitted.recipe
    lightning.seed_everything(fitted.seed, workers=True, verbose=False)
    net = copy.deepcopy(fitted._untrained)
    inputs = [torch.from_numpy(data.recordings.physical(data.train[:2])[..., : recipe.crop])]
    if data.features is not None:
        inputs.append(torch.as_tensor(data.features[data.train[:2]], dtype=torch.float32))
    fast = net if data.features is not None else fastest_form(net, *inputs)  # which takes one input
    teacher = None if data.distillation is None else data.distillation.module(fast, *inputs)
    module = TrainingModule(net, fast, data, recipe, fitted.seed, teacher)
    with tempfile.TemporaryDirectory(prefix="fit-") as folder:
        started = time.perf_counter()
        progress = Progress(fitted.name, Path(folder) / "history.csv", fitted.report)
        best = _run(module, progress, folder, fitted.trainer)
        seconds = time.perf_counter() - started
        module.load_state_dict(torch.load(best, weights_only=True)["state_dict"])
        history = pd.read_csv(progress.file, index_col="epoch")
    weights = {
        f"net.{name}": value.numpy() for name, value in module.trained_net().cpu().state_dict().items()
    }
    curve = {f"history.{name}": column.to_numpy() for name, column in history.items()}
    counts = {
        "n_train": len(data.train),
        "passes": len(history),
        "steps": len(history) * module.steps_per_epoch(),
    }
    about = {"seconds": round(seconds, 1), "params": models.parameter_count(net), "precision": precision()}
    return weights | curve, counts | about | provenance()


def _run(module: TrainingModule, progress: Progress, folder: str, options: dict[str, Any]) -> str:
    """Train to the end; the file of the best epoch's weights, or of the last one's without validation."""
    recipe = module.recipe
    score = None if module.data.validation is None else f"validation_{recipe.choose_by}"
    averaged = recipe.weight_average is not None
    # Lightning puts the average into whole checkpoints only.
    best = ModelCheckpoint(folder, monitor=score, mode="max", save_weights_only=not averaged)
    callbacks: list[Callback] = [best, progress]
    if score and recipe.patience is not None:
        callbacks.append(EarlyStopping(score, mode="max", patience=recipe.patience))
    if averaged:
        callbacks.append(EMAWeightAveraging(decay=recipe.weight_average))
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        trainer = lightning.Trainer(
            max_epochs=recipe.epochs, callbacks=callbacks, precision=precision(),
            enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
            default_root_dir=folder, use_distributed_sampler=False,
            **{"devices": 1, "logger": False} | options,
        )  # fmt: skip
        trainer.fit(module)
    return best.best_model_path


Batch = tuple[Tensor, Tensor | None, Tensor, Tensor | None]
"""Signals, features if there are, targets, and what a teacher gives if there is one."""


class Crops(Dataset):
    """Crops of recordings in their unit, with features, targets and teacher: (row, first sample) > an
    example.

    Signals stay in the memory map: what a batch read of it is given back at once, for systems map up to 2 MiB
    around each place.
    """

    def __init__(self, data: TrainingData, crop: int | None):
        self.data, self.samples = data, crop or data.recordings.signals.shape[-1]

    def __getitems__(self, places: list[tuple[int, int]]) -> Batch:
        data, signals = self.data, self.data.recordings.signals
        rows = [row for row, _ in places]
        x = np.stack([signals[row, :, start : start + self.samples] for row, start in places])
        release(signals)
        targets = torch.as_tensor(data.targets[rows], dtype=torch.float32)
        features = (
            None if data.features is None else torch.as_tensor(data.features[rows], dtype=torch.float32)
        )
        teacher = (
            None if data.distillation is None else torch.from_numpy(data.distillation.outputs(np.array(rows)))
        )
        return torch.from_numpy(x * np.float32(data.recordings.scale)), features, targets, teacher


class Batches(Sampler):
    """Rows and first samples of each batch of an epoch, drawn anew each time: of several processes, each has
    its share.

    rows: positions of the recordings, (n,). weights: how often each is drawn, None for once. A last batch of
    one record, which would stop batch norm, is left out.
    """

    def __init__(
        self, rows: np.ndarray, batch_size: int, starts: int, seed: int, weights: Tensor | None = None
    ):
        self.rows, self.batch_size, self.starts = torch.as_tensor(rows), batch_size, starts
        self.weights, self.seed, self.epoch = weights, seed, 0
        self.process, self.processes = 0, 1

    def __len__(self) -> int:
        return max(len(self.rows) // self.batch_size, 1)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        chance = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        self.epoch += 1
        count = len(self.rows)
        if self.weights is None:
            order = torch.randperm(count, generator=chance)
        else:
            order = torch.multinomial(self.weights, count, replacement=True, generator=chance)
        starts = torch.randint(self.starts, (count,), generator=chance).tolist()
        places = list(zip(self.rows[order].tolist(), starts, strict=True))
        for first in range(0, len(self) * self.batch_size, self.batch_size):
            yield places[first : first + self.batch_size][self.process :: self.processes]


class TrainingModule(lightning.LightningModule):
    """One training run of a net; `fast` is the net itself or its fastest form, which is what is trained.

    teacher: turns targets and a teacher's outputs into a loss, None without a teacher.
    """

    def __init__(
        self,
        net: nn.Module,
        fast: nn.Module,
        data: TrainingData,
        recipe: Recipe,
        seed: int,
        teacher: nn.Module | None,
    ):
        super().__init__()
        self.original = [net]  # in a list, so that its weights are not counted twice
        self.net = (
            fast.train()
        )  # Lightning leaves a net in the mode it finds it in, and `fast` was tried out in the other
        self.data, self.recipe, self.seed = data, recipe, seed
        self.teacher = teacher
        auroc, auprc = BinaryAUROC(), BinaryAveragePrecision()
        if data.scored > 1:
            auroc, auprc = MultilabelAUROC(data.scored), MultilabelAveragePrecision(data.scored)
        self.scores = MetricCollection({"validation_auroc": auroc, "validation_auprc": auprc})
        self.losses: list[Tensor] = []

    def train_dataloader(self) -> DataLoader:
        crops = Crops(self.data, self.recipe.crop)
        starts = self.data.recordings.signals.shape[-1] - crops.samples + 1
        weights = (
            _balance(self.data.targets[self.data.train], self.recipe.multiclass)
            if self.recipe.balanced
            else None
        )
        batches = Batches(self.data.train, self.recipe.batch_size, starts, self.seed, weights)
        batches.process, batches.processes = self.global_rank, self.trainer.world_size
        return DataLoader(crops, batch_sampler=batches, collate_fn=_unchanged)

    def val_dataloader(self) -> DataLoader | list:
        if self.data.validation is None:
            return []
        rows = np.asarray(self.data.validation)[self.global_rank :: self.trainer.world_size]
        places = [(int(row), 0) for row in rows]
        batches = [
            places[i : i + self.recipe.batch_size] for i in range(0, len(places), self.recipe.batch_size)
        ]
        return DataLoader(Crops(self.data, None), batch_sampler=batches, collate_fn=_unchanged)

    def steps_per_epoch(self) -> int:
        """Gradient steps in a pass over the training records."""
        return max(len(self.data.train) // self.recipe.batch_size, 1)

    def training_step(self, batch: Batch) -> Tensor:
        x, features, y, outputs = batch
        if self.recipe.augment is not None:
            x = self.recipe.augment(x)
        x, y, outputs = _mix(x, y, outputs, self.recipe.mixup)
        logits = self.net(x) if features is None else self.net(x, features)
        loss = self.loss(logits, y) if self.teacher is None else self.teacher(self.loss, logits, y, outputs)
        self.losses.append(loss.detach())
        return loss

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The recipe's loss of logits and targets, both (batch, classes)."""
        if self.recipe.loss is not None:
            return self.recipe.loss(logits, targets)
        return (cross_entropy if self.recipe.multiclass else binary_cross_entropy_with_logits)(
            logits, targets
        )

    def validation_step(self, batch: Batch) -> None:
        x, features, y, _ = batch
        y = y[:, : self.data.scored]
        probabilities = crop_probabilities(self.net, x, features, self.recipe.crop, self.recipe.multiclass)
        probabilities = probabilities[:, : self.data.scored].clamp(1e-6, 1 - 1e-6)
        loss = binary_cross_entropy(probabilities, y)
        self.log("validation_loss", loss, on_epoch=True, batch_size=len(x), sync_dist=True)
        self.scores.update(probabilities, y.int())

    def on_validation_epoch_end(self) -> None:
        self.log_dict(self.scores.compute())
        self.scores.reset()

    def configure_optimizers(self):
        rate, decay = self.recipe.learning_rate, self.recipe.weight_decay
        learnt = [*self.net.parameters(), *(self.teacher.parameters() if self.teacher else [])]
        optimizer = OPTIMIZERS[self.recipe.optimizer](learnt, lr=rate, weight_decay=decay, fused=True)
        if not self.recipe.one_cycle:
            return optimizer
        steps = self.recipe.epochs * self.steps_per_epoch()
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def trained_net(self) -> nn.Module:
        """The net that was trained, in its usual form."""
        (net,) = self.original
        if isinstance(self.net, Conv1dAsConv2d):
            self.net.copy_weights_to(net)
        return net


class Progress(Callback):
    """A bar that moves once per epoch, so that a log of it stays short; writes the learning curve, and
    reports it.
    """

    def __init__(self, name: str, file: Path, report: Callable[[int, dict], None] | None):
        self.name, self.file, self.report = name, file, report
        self.epochs: list[dict[str, float]] = []
        self.bar: tqdm | None = None

    def on_train_start(self, trainer, module) -> None:
        if trainer.is_global_zero:
            self.bar = tqdm(
                total=trainer.max_epochs, desc=self.name, unit="epoch", leave=False, file=sys.stderr
            )

    def on_train_epoch_end(self, trainer, module) -> None:
        loss = float(torch.stack(module.losses).mean())
        module.losses.clear()
        if not trainer.is_global_zero:
            return
        for logger in trainer.loggers:  # which Lightning has given the validation's scores
            logger.log_metrics({"training_loss": loss}, step=trainer.global_step)
        scores = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.epochs.append({"training_loss": loss} | scores)
        index = pd.RangeIndex(1, len(self.epochs) + 1, name="epoch")
        pd.DataFrame(self.epochs, index=index).to_csv(self.file)
        self.bar.set_postfix({name: f"{value:.3f}" for name, value in scores.items()})
        self.bar.update()
        if self.report is not None:
            self.report(len(self.epochs), scores)

    def on_train_end(self, trainer, module) -> None:
        if self.bar is not None:
            self.bar.close()


def _unchanged(batch: Batch) -> Batch:
    return batch


def _balance(targets: np.ndarray, multiclass: bool) -> Tensor:
    """How often each record is to be drawn, relative to others, so that all classes come equally often."""
    labels = torch.as_tensor(targets.argmax(1) if multiclass else targets[:, 0].round().astype(int))
    return 1 / torch.bincount(labels)[labels]


def _mix(
    x: Tensor, y: Tensor, outputs: Tensor | None, strength: float
) -> tuple[Tensor, Tensor, Tensor | None]:
    if not strength:
        return x, y, outputs
    share = torch.distributions.Beta(strength, strength).sample((len(x),)).to(x.device)
    other = torch.randperm(len(x), device=x.device)
    return (
        torch.lerp(x[other], x, share[:, None, None]),
        torch.lerp(y[other], y, share[:, None]),
        None if outputs is None else torch.lerp(outputs[other], outputs, share[:, None]),
    )
