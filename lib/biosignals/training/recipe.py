"""How a net is trained: one recipe for one net, wherever it is fitted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from numbers import Integral, Real
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from biosignals.training import augmentation

AVERAGED = 0.2  # share of the steps that `averaging` spans
DEFAULT = "default"  # the recipe of nets that have none of their own
OPTIMIZERS = {
    "adamw": partial(torch.optim.AdamW, fused=True),
    "adam": partial(torch.optim.Adam, fused=True),
    "sgd": partial(torch.optim.SGD, momentum=0.9, fused=True),
    "rmsprop": torch.optim.RMSprop,
    "adadelta": torch.optim.Adadelta,
}


@dataclass(frozen=True)
class Recipe:
    """How a net is trained.

    one_cycle: the learning rate rises to `learning_rate` and falls again (Smith 2018); without, it stays as
    it is. optimizer: one of OPTIMIZERS, "sgd" with momentum .9. crop: samples of the random crop that each
    record gives per epoch, None for whole records. crop_step: samples from one crop to the next in
    prediction, None: half a crop or less. choose_by: the validation score, macro "auroc" or "auprc", by which
    the best epoch is kept. patience: epochs without a better validation score after which training stops;
    None, or a fit without validation records, goes on to the end. plateau: epochs without a better validation
    score after which the learning rate falls to a tenth, again and again; in place of `one_cycle`, and with
    `patience`, which keeps records to validate on; None: never. multiclass: each record is of exactly one
    class (softmax); otherwise each class is a question of its own (sigmoid). loss: takes logits and targets,
    (batch, classes) both, gives a number; None: cross-entropy. augment: changes signals (batch, channels,
    samples) at random, in training only. balanced: draw records so that every class (without `multiclass`:
    yes and no of the first) comes equally often. mixup: strength of mixing pairs of records and of their
    labels (Zhang et al. 2018), 0 for none. high_pass: cutoff in Hz, below which the net takes away each
    channel's offset and drift itself (`models.layers.high_pass`), None: nothing. weight_average: decay per
    step of an exponential moving average of the weights, which is what is validated and kept in place of the
    weights themselves (Polyak and Juditsky 1992), None: no average.

    Raises ValueError for settings that no training could use.
    """

    epochs: int = 30
    batch_size: int = 64
    learning_rate: float = 1e-2
    one_cycle: bool = True
    weight_decay: float = 1e-2
    optimizer: str = "adamw"
    crop: int | None = 250
    choose_by: str = "auroc"
    patience: int | None = None
    multiclass: bool = False
    loss: Callable[[Tensor, Tensor], Tensor] | None = None
    augment: Callable[[Tensor], Tensor] | None = None
    balanced: bool = False
    mixup: float = 0.0
    high_pass: float | None = None
    weight_average: float | None = None
    crop_step: int | None = None
    plateau: int | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "learning_rate"):
            if not isinstance(getattr(self, name), Real) or not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)!r}")
        for name in ("epochs", "batch_size", "crop", "crop_step", "patience", "plateau"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, Integral) or value < 1):
                raise ValueError(f"{name} must be a whole number above 0, not {value!r}")
        if self.weight_average is not None and not 0 <= self.weight_average < 1:
            raise ValueError(f"weight_average is a decay from 0 to below 1, not {self.weight_average}")
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"optimizer is one of {', '.join(OPTIMIZERS)}, not {self.optimizer!r}")
        if self.plateau is not None and (self.one_cycle or self.patience is None):
            raise ValueError("a plateau takes one_cycle=False, and a patience after which training stops")
        if self.choose_by not in ("auroc", "auprc"):
            raise ValueError(f'choose_by is "auroc" or "auprc", not {self.choose_by!r}')


def averaging(recipe: Recipe, records: int) -> Recipe:
    """The recipe with a `weight_average` that spans AVERAGED of the steps which so many records make: of a
    few hundred steps, a decay of .998 would leave a third of the untrained net in it.
    """
    steps = recipe.epochs * max(records // recipe.batch_size, 1)
    return replace(recipe, weight_average=max(0.0, 1 - 1 / (AVERAGED * steps)))


class Recipes(dict[str, Recipe]):
    """Recipes by the name of a net, of one profile; a net that has none of its own gets that called
    "default".

    Raises ValueError, naming the remedy, for a net where there is no default either.
    """

    def __init__(self, path: Path, profile: str):
        super().__init__()
        self.path, self.profile = path, profile

    def __missing__(self, name: str) -> Recipe:
        if DEFAULT in self:
            return self[DEFAULT]
        raise ValueError(
            f"{self.path} has no recipe for {name} in the profile {self.profile!r}: give {name}, "
            f"or {DEFAULT}, a number of epochs there, as `epochs: {{{self.profile}: 2}}`"
        )


def read_recipes(path: Path | str, profile: str) -> Recipes:
    """The recipes of a YAML file: name of a net > settings of `Recipe`, with epochs by profile.

    Augmentations are written as {name: its arguments}, several of them follow each other; a loss, one of
    torch.nn, as {name: its settings}. A net without a number for `profile` is left out. Raises ValueError,
    naming the file, for other settings.
    """
    try:
        settings = yaml.safe_load(Path(path).read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is no YAML file ({error})") from error
    recipes = Recipes(Path(path), profile)
    for name, values in settings.items():
        try:
            made: dict[str, Any] = {}
            if "augment" in values:
                made["augment"] = _augmentation(values["augment"])
            if "loss" in values:
                ((loss, settings_of_loss),) = values["loss"].items()
                made["loss"] = _class("loss", nn, loss)(**settings_of_loss)
            if profile in values["epochs"]:
                recipes[name] = Recipe(**values | made | {"epochs": values["epochs"][profile]})
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise ValueError(f"{path}: {name} is no recipe ({error})") from error
    return recipes


def _augmentation(named: dict[str, list]) -> Callable[[Tensor], Tensor]:
    """The augmentation of {"ChannelDrop": [0.1]}, of several names their composition."""
    if not isinstance(named, dict):
        raise ValueError(f"an augmentation is written as {{name: its arguments}}, not {named!r}")
    steps = tuple(_class("augmentation", augmentation, name)(*arguments) for name, arguments in named.items())
    return steps[0] if len(steps) == 1 else augmentation.Compose(steps)


def _class(what: str, module: ModuleType, name: str) -> type:
    """The class called `name` in a module; ValueError where there is none."""
    found = getattr(module, name, None)
    if not isinstance(found, type):
        raise ValueError(f"there is no {what} called {name}")
    return found
