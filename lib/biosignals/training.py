"""Fit any net on recordings, once: a finished fit is found again as long as nothing that made it has changed."""

import ast
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
from dataclasses import asdict, dataclass
from pathlib import Path

import lightning
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import DataLoader, Dataset
from torchmetrics.classification import MultilabelAUROC
from tqdm import tqdm

from biosignals import models
from biosignals.data.recordings import Recordings
from biosignals.models.one_by_k import OneByK
from biosignals.models.standardised import Standardised
from biosignals.prediction import crop_probabilities, fast_form


@dataclass(frozen=True)
class Recipe:
    """How a net is trained: AdamW and one cycle of the learning rate (Smith 2018).

    crop: samples of the random crop that each record gives per epoch, None for whole records.
    patience: epochs without a better validation score after which training stops; None, or a fit without validation
        records, goes on to the end.
    mixup: strength of mixing pairs of records and of their labels (Zhang et al. 2018), 0 for none.
    """

    epochs: int = 30
    batch_size: int = 64
    learning_rate: float = 1e-2
    weight_decay: float = 1e-2
    crop: int | None = 250
    patience: int | None = None
    mixup: float = 0.0


@dataclass(frozen=True)
class Fit:
    """A fitted net in evaluation mode, its learning curve (a row per epoch) and the seconds that training took."""

    net: nn.Module
    history: pd.DataFrame
    seconds: float
    recipe: Recipe


def fit(
    model: str, recordings: Recordings, targets: np.ndarray, train: np.ndarray, validation: np.ndarray | None,
    recipe: Recipe, cache: Path, seed: int = 0, scored: int | None = None,
) -> Fit:  # fmt: skip
    """Train the net called `model` on the rows `train`; keep the epoch with the best macro AUROC on `validation`.

    Without validation rows (None) the last epoch is kept: the recipe has then to be right beforehand.

    targets: 0 or 1, (recordings, classes). The first `scored` classes (default: all) make the validation score; the
    others only help to learn. `cache`: folder of finished fits; one with the same data, recipe, seed and code is loaded
    instead of trained. Raises ValueError for rows without data, targets that do not fit, signals that are not finite.
    """
    validation = np.array([], dtype=int) if validation is None else validation
    _check(recordings, targets, train)
    place = (
        Path(cache) / f"{model}-{_key(model, recordings, targets, train, validation, recipe, seed, scored)}"
    )
    if not place.is_dir():
        _train(model, recordings, targets, train, validation, recipe, seed, scored or targets.shape[1], place)
    return _load(model, recordings, targets.shape[1], recipe, place)


def _check(recordings: Recordings, targets: np.ndarray, train: np.ndarray) -> None:
    if len(targets) != len(recordings):
        raise ValueError(f"{len(targets)} rows of targets for {len(recordings)} recordings")
    if not len(train):
        raise ValueError(f"{recordings.dataset}: no recordings to train on; are its folds empty?")
    if not np.isfinite(targets).all() or targets.min() < 0 or targets.max() > 1:
        raise ValueError("targets must lie between 0 and 1")
    if not np.isfinite(recordings.signals).all():
        raise ValueError(
            f"{recordings.dataset}: signals hold NaN or infinity; leave those recordings out first"
        )


# Finished fits


def _key(model, recordings, targets, train, validation, recipe, seed, scored) -> str:
    digest = hashlib.blake2b(digest_size=10)
    about = [
        model,
        recordings.scale,
        recordings.sampling_rate,
        recordings.channels,
        asdict(recipe),
        seed,
        scored,
    ]
    digest.update(json.dumps(about).encode())
    for module in (
        models.constructor_module(model),
        Standardised.__module__,
        OneByK.__module__,
        __name__,
    ):
        digest.update(_code(module).encode())
    for rows in (train, validation):
        digest.update(np.ascontiguousarray(recordings.signals[rows]))
        digest.update(np.ascontiguousarray(targets[rows], dtype=np.float32))
    return digest.hexdigest()


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


def _load(model: str, recordings: Recordings, classes: int, recipe: Recipe, place: Path) -> Fit:
    net = Standardised(_create(model, recordings, classes, recipe), 0.0, 1.0)
    net.load_state_dict(torch.load(place / "weights.pt", map_location="cpu", weights_only=True))
    history = pd.read_csv(place / "history.csv", index_col="epoch")
    return Fit(net.eval(), history, json.loads((place / "fit.json").read_text())["seconds"], recipe)


def _create(model: str, recordings: Recordings, classes: int, recipe: Recipe) -> nn.Module:
    samples = recipe.crop or recordings.signals.shape[-1]
    return models.create(model, channels=len(recordings.channels), classes=classes, samples=samples)


# Training


def _train(model, recordings, targets, train, validation, recipe, seed, scored, place) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    lightning.seed_everything(seed, workers=True, verbose=False)
    sample = recordings.physical(train[:500])
    net = Standardised(
        _create(model, recordings, targets.shape[1], recipe), float(sample.mean()), float(sample.std())
    )
    example = torch.from_numpy(sample[:2, :, : recipe.crop])
    learner = Learner(net, example, recipe, scored)
    with tempfile.TemporaryDirectory(prefix=f"{place.name}.", dir=place.parent) as folder:
        started = time.perf_counter()
        best = _run(learner, recordings, targets, train, validation, recipe, model, folder)
        seconds = time.perf_counter() - started
        finished = Path(folder) / "finished"
        finished.mkdir()
        learner.load_state_dict(torch.load(best, weights_only=True)["state_dict"])
        torch.save(learner.trained_net().state_dict(), finished / "weights.pt")
        learner.history().to_csv(finished / "history.csv")
        about = {"model": model, "seed": seed, "seconds": round(seconds, 1), "recipe": asdict(recipe)}
        (finished / "fit.json").write_text(json.dumps(about, indent=1))
        try:
            os.rename(finished, place)
        except OSError:  # another process finished the same fit first
            shutil.rmtree(finished)


def _run(learner, recordings, targets, train, validation, recipe, name, folder) -> str:
    """Train to the end and return the file of the best epoch's weights, or of the last one's without validation."""
    score = "validation_auroc" if len(validation) else None
    best = ModelCheckpoint(folder, monitor=score, mode="max", save_weights_only=True)
    callbacks = [best, EpochProgress(name)]
    if score and recipe.patience is not None:
        callbacks.append(EarlyStopping("validation_auroc", mode="max", patience=recipe.patience))
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        trainer = lightning.Trainer(
            max_epochs=recipe.epochs, callbacks=callbacks, precision=_precision(), logger=False,
            enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0, default_root_dir=folder,
        )  # fmt: skip
        trainer.fit(
            learner,
            _loader(CropData(recordings, targets, train, recipe.crop), recipe.batch_size, shuffle=True),
            _loader(CropData(recordings, targets, validation, None), recipe.batch_size, shuffle=False)
            if score
            else None,
        )
    return best.best_model_path


def _loader(data: Dataset, batch_size: int, shuffle: bool) -> DataLoader:
    # A last batch of one record would stop batch norm.
    drop_last = shuffle and len(data) > batch_size
    return DataLoader(data, batch_size, shuffle=shuffle, collate_fn=lambda batch: batch, drop_last=drop_last)


def _precision() -> str:
    """bf16 where the processor or graphics card computes it, else float32."""
    if torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "32-true"
    return "bf16-mixed" if torch.cpu.get_capabilities().get("amx_bf16") else "32-true"


class CropData(Dataset):
    """Recordings in their unit with their targets: a random crop each time, or whole."""

    def __init__(self, recordings: Recordings, targets: np.ndarray, rows: np.ndarray, crop: int | None):
        self.signals = recordings.signals[rows]
        self.scale = np.float32(recordings.scale)
        self.targets = torch.as_tensor(targets[rows], dtype=torch.float32)
        self.crop = crop or self.signals.shape[-1]

    def __len__(self) -> int:
        return len(self.signals)

    def __getitems__(self, indices: list[int]) -> tuple[Tensor, Tensor]:
        starts = torch.randint(self.signals.shape[-1] - self.crop + 1, (len(indices),)).tolist()
        crops = [
            self.signals[i, :, start : start + self.crop] for i, start in zip(indices, starts, strict=True)
        ]
        return torch.from_numpy(np.stack(crops) * self.scale), self.targets[indices]


class Learner(lightning.LightningModule):
    """One multi-label training run of a net."""

    def __init__(self, net: nn.Module, example: Tensor, recipe: Recipe, scored: int):
        super().__init__()
        self.original = net
        self.net = net if torch.cuda.is_available() else fast_form(net, example)
        self.recipe = recipe
        self.scored = scored
        self.auroc = MultilabelAUROC(scored)
        self.epochs: list[dict] = []
        self.losses: list[Tensor] = []

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        x, y = _mix(*batch, self.recipe.mixup)
        loss = binary_cross_entropy_with_logits(self.net(x), y)
        self.losses.append(loss.detach())
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor]) -> None:
        x, y = batch
        probabilities = crop_probabilities(self.net, x, self.recipe.crop).clamp(1e-6, 1 - 1e-6)
        loss = nn.functional.binary_cross_entropy(probabilities[:, : self.scored], y[:, : self.scored])
        self.log("validation_loss", loss, on_epoch=True, batch_size=len(x))
        self.auroc.update(probabilities[:, : self.scored], y[:, : self.scored].int())

    def on_validation_epoch_end(self) -> None:
        self.log("validation_auroc", self.auroc.compute())
        self.auroc.reset()

    def on_train_epoch_end(self) -> None:
        scores = {name: float(value) for name, value in self.trainer.callback_metrics.items()}
        self.epochs.append({"training_loss": float(torch.stack(self.losses).mean()), **scores})
        self.losses.clear()

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(
            self.net.parameters(), lr=self.recipe.learning_rate, weight_decay=self.recipe.weight_decay
        )
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, self.recipe.learning_rate, total_steps=steps
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def history(self) -> pd.DataFrame:
        return pd.DataFrame(self.epochs, index=pd.RangeIndex(1, len(self.epochs) + 1, name="epoch"))

    def trained_net(self) -> nn.Module:
        if isinstance(self.net, OneByK):
            self.net.copy_weights_to(self.original)
        return self.original


class EpochProgress(Callback):
    """A bar that moves once per epoch, so that a log of it stays short."""

    def __init__(self, name: str):
        self.name = name

    def on_train_start(self, trainer, learner) -> None:
        self.bar = tqdm(total=trainer.max_epochs, desc=self.name, unit="epoch", leave=False, file=sys.stderr)

    def on_train_epoch_end(self, trainer, learner) -> None:
        self.bar.set_postfix(
            {name: f"{float(value):.3f}" for name, value in trainer.callback_metrics.items()}
        )
        self.bar.update()

    def on_train_end(self, trainer, learner) -> None:
        self.bar.close()


def _mix(x: Tensor, y: Tensor, strength: float) -> tuple[Tensor, Tensor]:
    if not strength:
        return x, y
    share = torch.distributions.Beta(strength, strength).sample((len(x),)).to(x.device)
    other = torch.randperm(len(x), device=x.device)
    return (
        torch.lerp(x[other], x, share[:, None, None]),
        torch.lerp(y[other], y, share[:, None]),
    )
