"""The training loop, by PyTorch Lightning: batches of random crops, one pass over them, the best epoch."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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

from biosignals.caching import release
from biosignals.models.layers.conv1d_as_conv2d import Conv1dAsConv2d
from biosignals.progress import tqdm
from biosignals.training.data import TrainingData
from biosignals.training.predict import crop_probabilities
from biosignals.training.recipe import OPTIMIZERS, Recipe


def run(module: TrainingModule, progress: Progress, folder: Path, options: dict[str, Any]) -> str:
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


def precision() -> str:
    """bf16 where the processor or graphics card computes it, else float32: a name of Lightning's."""
    if torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "32-true"
    return "bf16-mixed" if torch.cpu.get_capabilities().get("amx_bf16") else "32-true"


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
        """The recipe's loss of logits and targets, both (batch, classes). ValueError if it is no number."""
        if self.recipe.loss is not None:
            loss = self.recipe.loss(logits, targets)
            if not isinstance(loss, Tensor) or loss.ndim:
                raise ValueError(
                    "a loss gives one number, a tensor of no dimension: take the mean over the batch"
                )
            return loss
        return (cross_entropy if self.recipe.multiclass else binary_cross_entropy_with_logits)(
            logits, targets
        )

    def validation_step(self, batch: Batch) -> None:
        x, features, y, _ = batch
        y = y[:, : self.data.scored]
        recipe = self.recipe
        probabilities = crop_probabilities(
            self.net, x, features, recipe.crop, recipe.multiclass, recipe.crop_step
        )
        probabilities = probabilities[:, : self.data.scored].clamp(1e-6, 1 - 1e-6)
        loss = binary_cross_entropy(probabilities, y)
        self.log("validation_loss", loss, on_epoch=True, batch_size=len(x), sync_dist=True)
        self.scores.update(probabilities, y.int())

    def on_validation_epoch_end(self) -> None:
        self.log_dict(self.scores.compute())
        self.scores.reset()

    def configure_optimizers(self) -> Any:
        rate, decay = self.recipe.learning_rate, self.recipe.weight_decay
        learnt = [*self.net.parameters(), *(self.teacher.parameters() if self.teacher else [])]
        optimizer = OPTIMIZERS[self.recipe.optimizer](learnt, lr=rate, weight_decay=decay)
        if self.recipe.plateau is not None:
            plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
                optimizer, "max", patience=self.recipe.plateau
            )
            watched = {"scheduler": plateau, "monitor": f"validation_{self.recipe.choose_by}"}
            return {"optimizer": optimizer, "lr_scheduler": watched}
        if not self.recipe.one_cycle:
            return optimizer
        steps = self.recipe.epochs * self.steps_per_epoch()
        has_momentum = "betas" in optimizer.defaults or optimizer.defaults.get("momentum", 0) > 0
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, rate, total_steps=steps, cycle_momentum=has_momentum
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def trained_net(self) -> nn.Module:
        """The net that was trained, in its usual form."""
        (net,) = self.original
        if isinstance(self.net, Conv1dAsConv2d):
            self.net.copy_weights_to(net)
        return net


class Progress(Callback):
    """A bar that moves once per epoch, so that a log of it stays short; writes the learning curve, and
    reports it. Raises ValueError where the loss is not finite.
    """

    def __init__(self, name: str, file: Path, report: Callable[[int, dict], None] | None):
        self.name, self.file, self.report = name, file, report
        self.epochs: list[dict[str, float]] = []
        self.bar: Any = None

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        if trainer.is_global_zero:
            self.bar = tqdm(total=trainer.max_epochs, desc=self.name, unit="epoch", leave=False)

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        loss = float(torch.stack(module.losses).mean())
        module.losses.clear()
        if not math.isfinite(loss):
            raise ValueError(
                f"{self.name}: the training loss of epoch {len(self.epochs) + 1} is {loss}: take a smaller "
                "learning_rate, or look for records without any signal"
            )
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

    def on_train_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
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
