"""Losses for classes that are rare, and the weights that they take."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, log_softmax, logsigmoid

from biosignals.evaluation.calibration import class_numbers, two_classes

# Weights


def class_weights(labels: np.ndarray) -> tuple[float, ...]:
    """Weight of each class, total / (classes * count): with them, every class counts as much as any other.

    labels: the class of each record, (n,) of 0, 1, 2... Raises ValueError for fewer than two classes and for
    a class without records.
    """
    labels = class_numbers(labels)
    counts = np.bincount(labels)
    if len(counts) < 2 or not counts.all():
        raise ValueError(
            f"every class needs records, and there must be two or more; they have {counts.tolist()}"
        )
    return tuple((len(labels) / (len(counts) * counts)).tolist())


def positive_weight(labels: np.ndarray) -> float:
    """Negatives per positive among labels of 0 and 1, (n,). Raises ValueError where either is missing."""
    labels = two_classes(labels)
    return float((labels == 0).sum() / (labels == 1).sum())


# Losses: called with logits and targets, both float (batch, classes), they return the mean loss.
# A loss's repr holds all there is to know of it.


@dataclass(frozen=True)
class CrossEntropy:
    """Binary cross-entropy of independent classes, in which a positive counts `positive_weight` times."""

    positive_weight: float = 1.0

    def __post_init__(self) -> None:
        _check_positive("positive_weight", self.positive_weight)

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        weight = torch.tensor(self.positive_weight, device=logits.device)
        return binary_cross_entropy_with_logits(logits.float(), targets.float(), pos_weight=weight)


@dataclass(frozen=True)
class SoftmaxCrossEntropy:
    """Cross-entropy of classes that exclude each other, targets one-hot; a weight per class, or none.

    With weights it is the weighted mean over records. Raises ValueError for more or fewer weights than
    classes.
    """

    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", tuple(float(weight) for weight in self.weights))
        for weight in self.weights:
            _check_positive("every weight", weight)

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        if self.weights and len(self.weights) != logits.shape[-1]:
            raise ValueError(f"{len(self.weights)} class weights for {logits.shape[-1]} classes")
        weights = torch.tensor(self.weights or [1.0] * logits.shape[-1], device=logits.device)
        weighted = targets * weights
        return -(weighted * log_softmax(logits.float(), -1)).sum() / weighted.sum()


@dataclass(frozen=True)
class Focal:
    """Focal loss (Lin et al. 2017): cross-entropy times (1 - p) ** gamma, p that of the true answer.

    gamma: 0 gives cross-entropy; larger values leave more to the records the net still gets wrong. alpha:
    weight of the positives, 1 - alpha of the negatives; None for no weights.
    """

    gamma: float = 2.0
    alpha: float | None = None

    def __post_init__(self) -> None:
        _check_not_negative("gamma", self.gamma)
        if self.alpha is not None and not 0 < self.alpha < 1:
            raise ValueError(f"alpha must lie between 0 and 1, not {self.alpha}")

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        yes, no = logsigmoid(logits.float()), logsigmoid(-logits.float())
        positive, negative = (1, 1) if self.alpha is None else (self.alpha, 1 - self.alpha)
        # Powers by way of the logarithm: the gradient stays finite where a probability is rounded to 0 or 1.
        positive = positive * targets * (self.gamma * no).exp() * yes
        negative = negative * (1 - targets) * (self.gamma * yes).exp() * no
        return -(positive + negative).mean()


@dataclass(frozen=True)
class Asymmetric:
    """Asymmetric loss (Ridnik et al. 2021): focal, with exponents for negatives and for positives.

    margin: negatives with a probability below it count no more at all, as their probability is lowered by it.
    """

    gamma_negative: float = 4.0
    gamma_positive: float = 1.0
    margin: float = 0.05

    def __post_init__(self) -> None:
        _check_not_negative("gamma_negative", self.gamma_negative)
        _check_not_negative("gamma_positive", self.gamma_positive)
        if not 0 <= self.margin < 1:
            raise ValueError(f"margin must be 0 or more and below 1, not {self.margin}")

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        yes, no = logsigmoid(logits.float()), logsigmoid(-logits.float())
        log_margin = torch.tensor(math.log(self.margin) if self.margin else -math.inf, device=logits.device)
        lowered_no = torch.logaddexp(no, log_margin).clamp(max=0)  # log(1 - max(p - margin, 0))
        lowered_yes = (yes.exp() - self.margin).clamp(min=1e-8)
        positive = targets * (self.gamma_positive * no).exp() * yes
        negative = (1 - targets) * lowered_yes**self.gamma_negative * lowered_no
        return -(positive + negative).mean()


def _check_positive(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be above 0, not {value}")


def _check_not_negative(name: str, value: float) -> None:
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} must be 0 or more, not {value}")
