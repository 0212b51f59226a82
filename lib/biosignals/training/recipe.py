"""How a net is trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    pass

OPTIMIZERS = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": partial(torch.optim.SGD, momentum=0.9)}


@dataclass(frozen=True)
class Recipe:
    """How a net is trained.

    one_cycle: the learning rate rises to `learning_rate` and falls again (Smith 2018); without, it stays as it is.
    optimizer: "adamw", "adam" or "sgd" (momentum .9).
    crop: samples of the random crop that each record gives per epoch, None for whole records.
    choose_by: the validation score, macro "auroc" or "auprc", by which the best epoch is kept.
    patience: epochs without a better validation score after which training stops; None, or a fit without validation
        records, goes on to the end.
    multiclass: each record is of exactly one class (softmax); otherwise each class is a question of its own (sigmoid).
    loss: takes logits and targets, (batch, classes) both, gives a number; None: cross-entropy. A frozen dataclass, as
        `augment`, so that its repr says all that a finished fit must be known by.
    augment: changes signals (batch, channels, samples) at random, in training only.
    balanced: draw records so that every class (without `multiclass`: yes and no of the first) comes equally often.
    mixup: strength of mixing pairs of records and of their labels (Zhang et al. 2018), 0 for none.
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
