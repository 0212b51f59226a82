"""Fit any net on recordings, once: a finished fit is found again as long as nothing that made it has changed."""

from __future__ import annotations

import ast
import copy
import hashlib
import importlib
import inspect
import json
import logging
import os
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import lightning
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from torch.utils.data import DataLoader, Dataset, RandomSampler, WeightedRandomSampler
from torchmetrics import MetricCollection
from torchmetrics.classification import (
    BinaryAUROC,
    BinaryAveragePrecision,
    MultilabelAUROC,
    MultilabelAveragePrecision,
)
from tqdm import tqdm

from biosignals import models
from biosignals.data.recordings import Recordings
from biosignals.models.layers.conv1d_as_conv2d import Conv1dAsConv2d
from biosignals.models.layers.standardised import Standardised
from biosignals.training.predict import crop_probabilities, fastest_form
from biosignals.training.recipe import OPTIMIZERS, Recipe

if TYPE_CHECKING:
    from biosignals.training.distillation import DistillationLoss

@dataclass(frozen=True)
class Fit:
    """A fitted net in evaluation mode, its learning curve (a row per epoch) and the seconds that training took."""

    net: nn.Module
    history: pd.DataFrame
    seconds: float
    recipe: Recipe


@dataclass(frozen=True)
class TrainingData:
    """What a fit learns from: the arguments of `fit` that are data."""

    recordings: Recordings
    targets: np.ndarray
    features: np.ndarray | None
    train: np.ndarray
    validation: np.ndarray
    n_scored_targets: int
    lesson: DistillationLoss | None = None


def fit(
    model: str | nn.Module, recordings: Recordings, targets: np.ndarray, train: np.ndarray, validation: np.ndarray | None,
    recipe: Recipe, cache: Path, seed: int = 0, n_scored_targets: int | None = None, features: np.ndarray | None = None,
    report: Callable[[int, dict], None] | None = None, lesson: DistillationLoss | None = None,
) -> Fit:  # fmt: skip
    """Train the net called `model` on the rows `train`; keep the epoch with the best score on `validation`.

    A net in place of its name is trained further: a copy of it, from its own weights.

    Without validation rows (None) the last epoch is kept: the recipe has then to be right beforehand.

    targets: 0 or 1, (recordings, classes). The first `n_scored_targets` classes (default: all) make the validation score; the
    others only help to learn. `features`, float32 (recordings, features): a second input, for nets that take one.
    `cache`: folder of finished fits; one with the same data, recipe, seed and code is loaded instead of trained.
    `report` is called after each epoch with its number and scores; what it raises ends the training.
    `lesson`: what a teacher says of the recordings and how to learn from it, see `distillation`.
    Raises ValueError for rows without data, targets or a lesson that do not fit, signals that are not finite.
    """
    validation = np.array([], dtype=int) if validation is None else validation
    task = TrainingData(recordings, targets, features, train, validation, n_scored_targets or targets.shape[1], lesson)
    _check(task)
    place = Path(cache) / f"{_name(model)}-{_key(model, task, recipe, seed)}"
    if not place.is_dir():
        _train(model, task, recipe, seed, report, place)
    return _load(model, task, recipe, place)


def _check(task: TrainingData) -> None:
    recordings, targets = task.recordings, task.targets
    for name, rows in {"targets": targets, "features": task.features}.items():
        if rows is not None and len(rows) != len(recordings):
            raise ValueError(f"{len(rows)} rows of {name} for {len(recordings)} recordings")
        if rows is not None and not np.isfinite(rows).all():
            raise ValueError(f"{name} hold NaN or infinity")
    if not len(task.train):
        raise ValueError(f"{recordings.dataset}: no recordings to train on; are its folds empty?")
    if targets.min() < 0 or targets.max() > 1:
        raise ValueError("targets must lie between 0 and 1")
    if not np.isfinite(recordings.signals).all():
        raise ValueError(
            f"{recordings.dataset}: signals hold NaN or infinity; leave those recordings out first"
        )
    if task.lesson is not None:
        task.lesson.check(recordings, targets.shape[1])


# Finished fits


def _name(model: str | nn.Module) -> str:
    if isinstance(model, Standardised):
        model = model.net
    return model if isinstance(model, str) else type(model).__name__


def _key(model: str | nn.Module, task: TrainingData, recipe: Recipe, seed: int) -> str:
    digest = hashlib.blake2b(digest_size=10)
    recordings = task.recordings
    about = [str(model), recordings.scale, recordings.sampling_rate, recordings.channels]
    digest.update(json.dumps([*about, repr(recipe), seed, task.n_scored_targets]).encode())
    modules = [*_source_modules(model), Standardised.__module__, Conv1dAsConv2d.__module__, __name__]
    modules += [type(part).__module__ for part in (recipe.loss, recipe.augment, task.lesson) if part is not None]
    for module in modules:
        digest.update(_code(module).encode())
    if isinstance(model, nn.Module):
        for value in model.state_dict().values():
            digest.update(value.detach().cpu().contiguous().numpy())
    if task.lesson is not None:
        digest.update(task.lesson.digest(task.train))
    for rows in (task.train, task.validation):
        digest.update(np.ascontiguousarray(recordings.signals[rows]))
        for values in (task.targets, task.features):
            digest.update(b"" if values is None else np.ascontiguousarray(values[rows], dtype=np.float32))
    return digest.hexdigest()


def _source_modules(model: str | nn.Module) -> list[str]:
    if isinstance(model, str):
        return models.source_modules(model)
    found = {type(module).__module__ for module in model.modules()}
    return sorted(module for module in found if module.startswith("biosignals."))


def _code(module: str) -> str:
    """A module's code without comments and docstrings, whose change alters no result."""
    tree = ast.parse(inspect.getsource(importlib.import_module(module)))
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and ast.get_docstring(node) is not None
        ):
            node.body[0] = ast.Pass()
    return ast.dump(tree)


def _load(model: str | nn.Module, task: TrainingData, recipe: Recipe, place: Path) -> Fit:
    net = _standardised(model, task, recipe, 0.0, 1.0)
    net.load_state_dict(torch.load(place / "weights.pt", map_location="cpu", weights_only=True))
    history = pd.read_csv(place / "history.csv", index_col="epoch")
    return Fit(net.eval(), history, json.loads((place / "fit.json").read_text())["seconds"], recipe)


def _standardised(
    model: str | nn.Module, task: TrainingData, recipe: Recipe, mean: float, deviation: float
) -> Standardised:
    if isinstance(model, Standardised):
        return copy.deepcopy(model)
    net = _create(model, task, recipe) if isinstance(model, str) else copy.deepcopy(model)
    return Standardised(net, mean, deviation)


def _create(model: str, task: TrainingData, recipe: Recipe) -> nn.Module:
    samples = recipe.crop or task.recordings.signals.shape[-1]
    features = 0 if task.features is None else task.features.shape[1]
    channels, classes = len(task.recordings.channels), task.targets.shape[1]
    return models.create(model, channels=channels, classes=classes, samples=samples, features=features)


# Training


def _train(
    model: str | nn.Module, task: TrainingData, recipe: Recipe, seed: int, report: Callable | None, place: Path
) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    lightning.seed_everything(seed, workers=True, verbose=False)
    sample = task.recordings.physical(task.train[:500])
    net = _standardised(model, task, recipe, float(sample.mean()), float(sample.std()))
    example = torch.from_numpy(sample[:2, :, : recipe.crop])
    inputs = [example]
    if task.features is not None:
        inputs.append(torch.as_tensor(task.features[task.train[:2]], dtype=torch.float32))
    # A net with two inputs has no 1 x k form.
    fast = net if task.features is not None else fastest_form(net, example)
    tutor = None if task.lesson is None else task.lesson.tutor(fast, *inputs)
    learner = TrainingModule(net, fast, recipe, task.n_scored_targets, tutor)
    with tempfile.TemporaryDirectory(prefix=f"{place.name}.", dir=place.parent) as folder:
        started = time.perf_counter()
        best = _run(learner, task, recipe, EpochProgress(_name(model), report), folder)
        seconds = time.perf_counter() - started
        finished = Path(folder) / "finished"
        finished.mkdir()
        learner.load_state_dict(torch.load(best, weights_only=True)["state_dict"])
        torch.save(learner.trained_net().state_dict(), finished / "weights.pt")
        learner.history().to_csv(finished / "history.csv")
        about = {"model": _name(model), "seed": seed, "seconds": round(seconds, 1), "recipe": repr(recipe)}
        (finished / "fit.json").write_text(json.dumps(about, indent=1))
        try:
            os.rename(finished, place)
        except OSError:  # another process finished the same fit first
            shutil.rmtree(finished)


def _run(learner: TrainingModule, task: TrainingData, recipe: Recipe, progress: Callback, folder: str) -> str:
    """Train to the end and return the file of the best epoch's weights, or of the last one's without validation."""
    score = f"validation_{recipe.choose_by}" if len(task.validation) else None
    best = ModelCheckpoint(folder, monitor=score, mode="max", save_weights_only=True)
    callbacks = [best, progress]
    if score and recipe.patience is not None:
        callbacks.append(EarlyStopping(score, mode="max", patience=recipe.patience))
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        trainer = lightning.Trainer(
            max_epochs=recipe.epochs, callbacks=callbacks, precision=_precision(), logger=False,
            enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0, default_root_dir=folder,
        )  # fmt: skip
        trainer.fit(learner, _training_loader(task, recipe), _validation_loader(task, recipe) if score else None)
    return best.best_model_path


def _training_loader(task: TrainingData, recipe: Recipe) -> DataLoader:
    data = CropData(task, task.train, recipe.crop)
    sampler = RandomSampler(data)
    if recipe.balanced:
        sampler = WeightedRandomSampler(_weights(data.targets, recipe.multiclass), len(data))
    # A last batch of one record would stop batch norm.
    drop_last = len(data) > recipe.batch_size
    return DataLoader(data, recipe.batch_size, sampler=sampler, collate_fn=_as_it_is, drop_last=drop_last)


def _validation_loader(task: TrainingData, recipe: Recipe) -> DataLoader:
    return DataLoader(CropData(task, task.validation, None), recipe.batch_size, collate_fn=_as_it_is)


def _as_it_is(batch):
    return batch


def _weights(targets: Tensor, multiclass: bool) -> Tensor:
    """How often each record is to be drawn, relative to others, so that all classes come equally often."""
    labels = targets.argmax(1) if multiclass else targets[:, 0].round().long()
    return 1 / torch.bincount(labels)[labels]


def _precision() -> str:
    """bf16 where the processor or graphics card computes it, else float32."""
    if torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "32-true"
    return "bf16-mixed" if torch.cpu.get_capabilities().get("amx_bf16") else "32-true"


Batch = tuple[Tensor, Tensor | None, Tensor, Tensor | None]
"""Signals, features if there are, targets, and what a teacher says if there is one."""


class CropData(Dataset):
    """Recordings in their unit, features if there are, targets, what a teacher says: a random crop each time, or whole."""

    def __init__(self, task: TrainingData, rows: np.ndarray, crop: int | None):
        self.signals = task.recordings.signals[rows]
        self.scale = np.float32(task.recordings.scale)
        self.targets = torch.as_tensor(task.targets[rows], dtype=torch.float32)
        self.features = None
        if task.features is not None:
            self.features = torch.as_tensor(task.features[rows], dtype=torch.float32)
        self.said = None if task.lesson is None else torch.from_numpy(task.lesson.said(rows))
        self.crop = crop or self.signals.shape[-1]

    def __len__(self) -> int:
        return len(self.signals)

    def __getitems__(self, indices: list[int]) -> Batch:
        starts = torch.randint(self.signals.shape[-1] - self.crop + 1, (len(indices),)).tolist()
        crops = [
            self.signals[i, :, start : start + self.crop] for i, start in zip(indices, starts, strict=True)
        ]
        features, said = (None if rows is None else rows[indices] for rows in (self.features, self.said))
        return torch.from_numpy(np.stack(crops) * self.scale), features, self.targets[indices], said


class TrainingModule(lightning.LightningModule):
    """One training run of a net; `fast` is the net itself or its 1 x k form, which is what is trained.

    tutor: turns targets and what a teacher says into a loss, None without a teacher.
    """

    def __init__(self, net: nn.Module, fast: nn.Module, recipe: Recipe, n_scored_targets: int, tutor: nn.Module | None):
        super().__init__()
        self.original = net
        self.net = fast.train()  # Lightning leaves a net in the mode it finds it in, and `fast` was tried out in the other
        self.recipe = recipe
        self.n_scored_targets = n_scored_targets
        self.tutor = tutor
        auroc, auprc = BinaryAUROC(), BinaryAveragePrecision()
        if n_scored_targets > 1:
            auroc, auprc = MultilabelAUROC(n_scored_targets), MultilabelAveragePrecision(n_scored_targets)
        self.scores = MetricCollection({"validation_auroc": auroc, "validation_auprc": auprc})
        self.epochs: list[dict] = []
        self.losses: list[Tensor] = []

    def training_step(self, batch: Batch) -> Tensor:
        x, features, y, said = batch
        if self.recipe.augment is not None:
            x = self.recipe.augment(x)
        x, y, said = _mix(x, y, said, self.recipe.mixup)
        logits = self.net(x) if features is None else self.net(x, features)
        loss = self.loss(logits, y) if self.tutor is None else self.tutor(self.loss, logits, y, said)
        self.losses.append(loss.detach())
        return loss

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        if self.recipe.loss is not None:
            return self.recipe.loss(logits, targets)
        return (cross_entropy if self.recipe.multiclass else binary_cross_entropy_with_logits)(logits, targets)

    def validation_step(self, batch: Batch) -> None:
        x, features, y, _ = batch
        y = y[:, : self.n_scored_targets]
        probabilities = crop_probabilities(self.net, x, features, self.recipe.crop, self.recipe.multiclass)
        probabilities = probabilities[:, : self.n_scored_targets].clamp(1e-6, 1 - 1e-6)
        loss = nn.functional.binary_cross_entropy(probabilities, y)
        self.log("validation_loss", loss, on_epoch=True, batch_size=len(x))
        self.scores.update(probabilities, y.int())

    def on_validation_epoch_end(self) -> None:
        self.log_dict(self.scores.compute())
        self.scores.reset()

    def on_train_epoch_end(self) -> None:
        scores = {name: float(value) for name, value in self.trainer.callback_metrics.items()}
        self.epochs.append({"training_loss": float(torch.stack(self.losses).mean()), **scores})
        self.losses.clear()

    def configure_optimizers(self):
        rate, decay = self.recipe.learning_rate, self.recipe.weight_decay
        learnt = [*self.net.parameters(), *(self.tutor.parameters() if self.tutor else [])]
        optimizer = OPTIMIZERS[self.recipe.optimizer](learnt, lr=rate, weight_decay=decay)
        if not self.recipe.one_cycle:
            return optimizer
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def history(self) -> pd.DataFrame:
        return pd.DataFrame(self.epochs, index=pd.RangeIndex(1, len(self.epochs) + 1, name="epoch"))

    def trained_net(self) -> nn.Module:
        if isinstance(self.net, Conv1dAsConv2d):
            self.net.copy_weights_to(self.original)
        return self.original


class EpochProgress(Callback):
    """A bar that moves once per epoch, so that a log of it stays short; hands the scores on to `report`."""

    def __init__(self, name: str, report: Callable[[int, dict], None] | None):
        self.name = name
        self.report = report

    def on_train_start(self, trainer, learner) -> None:
        self.bar = tqdm(total=trainer.max_epochs, desc=self.name, unit="epoch", leave=False, file=sys.stderr)

    def on_train_epoch_end(self, trainer, learner) -> None:
        scores = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.bar.set_postfix({name: f"{value:.3f}" for name, value in scores.items()})
        self.bar.update()
        if self.report is not None:
            self.report(trainer.current_epoch + 1, scores)

    def on_train_end(self, trainer, learner) -> None:
        self.bar.close()


def _mix(x: Tensor, y: Tensor, said: Tensor | None, strength: float) -> tuple[Tensor, Tensor, Tensor | None]:
    if not strength:
        return x, y, said
    share = torch.distributions.Beta(strength, strength).sample((len(x),)).to(x.device)
    other = torch.randperm(len(x), device=x.device)
    return (
        torch.lerp(x[other], x, share[:, None, None]),
        torch.lerp(y[other], y, share[:, None]),
        None if said is None else torch.lerp(said[other], said, share[:, None]),
    )
