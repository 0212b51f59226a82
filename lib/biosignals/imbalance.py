"""What to do where one class is rare: weigh it, draw it more often, move the threshold, repair the probabilities."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from imblearn import FunctionSampler
from imblearn.combine import SMOTEENN, SMOTETomek
from imblearn.over_sampling import ADASYN, SMOTE, RandomOverSampler
from imblearn.pipeline import Pipeline, make_pipeline
from imblearn.under_sampling import (
    CondensedNearestNeighbour,
    EditedNearestNeighbours,
    NeighbourhoodCleaningRule,
    OneSidedSelection,
    RandomUnderSampler,
    TomekLinks,
)
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, logit
from sklearn.base import ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import precision_recall_curve
from sklearn.preprocessing import Normalizer
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, log_softmax, logsigmoid

# Weights


def class_weights(labels: np.ndarray) -> tuple[float, ...]:
    """Weight of each class, total / (classes * count): with them, every class counts as much as any other.

    labels: the class of each record, (n,) of 0, 1, 2... Raises ValueError for fewer than two classes and for
    a class without records.
    """
    labels = _integers(labels)
    counts = np.bincount(labels)
    if len(counts) < 2 or not counts.all():
        raise ValueError(
            f"every class needs records, and there must be two or more; they have {counts.tolist()}"
        )
    return tuple((len(labels) / (len(counts) * counts)).tolist())


def positive_weight(labels: np.ndarray) -> float:
    """Negatives per positive among labels of 0 and 1, (n,). Raises ValueError where either is missing."""
    labels = _two_classes(labels)
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
    """Cross-entropy of classes that exclude each other, targets one-hot; a weight per class, none for equal ones.

    With weights it is the weighted mean over records. Raises ValueError for more or fewer weights than classes.
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
    """Focal loss (Lin et al. 2017): cross-entropy times (1 - p) ** gamma, p the probability of the true answer.

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
    """Asymmetric loss (Ridnik et al. 2021): focal, with an exponent of its own for negatives and for positives.

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


# Drawing records more or less often

_SAMPLERS: dict[str, Callable] = {
    "none": lambda seed: FunctionSampler(validate=False),
    "random-over": lambda seed: RandomOverSampler(random_state=seed),
    "smote": lambda seed: SMOTE(random_state=seed),
    "adasyn": lambda seed: ADASYN(random_state=seed),
    "random-under": lambda seed: RandomUnderSampler(random_state=seed),
    "tomek": lambda seed: TomekLinks(),
    "cnn": lambda seed: CondensedNearestNeighbour(random_state=seed),
    "oss": lambda seed: OneSidedSelection(random_state=seed),
    "enn": lambda seed: EditedNearestNeighbours(),
    "ncr": lambda seed: NeighbourhoodCleaningRule(),
    "smote-enn": lambda seed: SMOTEENN(random_state=seed),
    "smote-tomek": lambda seed: SMOTETomek(random_state=seed),
}

SAMPLERS = tuple(_SAMPLERS)
"""Ways to change how many records of each class a model learns from.

Here cnn is the condensed nearest neighbour rule, oss one-sided selection, enn edited nearest neighbours, ncr
the neighbourhood cleaning rule. SMOTE and ADASYN invent records between neighbours.
"""

_NEIGHBOURS = 5  # between which SMOTE and ADASYN invent records: imbalanced-learn's default


def resample_rows(name: str, labels: np.ndarray, seed: int = 0) -> np.ndarray:
    """Positions (m,) of as many records of each class.

    name: "random-over" repeats records of the rare class, "random-under" leaves out others.

    labels: the class of each record, (n,). Raises ValueError for other names and for fewer than two classes.
    """
    if name not in ("random-over", "random-under"):
        raise ValueError(f"{name!r} gives no positions of records; there are random-over and random-under")
    labels = _integers(labels)
    if len(np.unique(labels)) < 2:
        raise ValueError("all records are of one class; there is nothing to balance")
    chosen = _SAMPLERS[name](seed)
    chosen.fit_resample(np.arange(len(labels))[:, None], labels)
    return chosen.sample_indices_


def sampler(name: str, seed: int = 0) -> FunctionSampler:
    """The way of sampling called `name`, one of SAMPLERS, for imbalanced-learn's pipelines; as `resample`."""
    _refuse_unknown(name, SAMPLERS)
    return FunctionSampler(func=resample, kw_args={"name": name, "seed": seed}, validate=False)


def resample(x: np.ndarray, labels: np.ndarray, name: str, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features (m, features) and labels (m,) of 0 and 1 to learn from, made of x (n, features) and labels (n,).

    Raises ValueError where one class is missing, before or after, for NaN, and for too few records of the
    rare class.
    """
    _refuse_unknown(name, SAMPLERS)
    labels = _two_classes(labels)
    if not np.isfinite(x).all():
        raise ValueError(f"{name}: features hold NaN or infinity; fill them or leave those records out first")
    rare = min(np.bincount(labels))
    if rare <= _NEIGHBOURS and ("smote" in name or name == "adasyn"):
        raise ValueError(
            f"{name} invents records between {_NEIGHBOURS} neighbours of the rare class and needs {_NEIGHBOURS + 1},"
            f" but there are {rare}: take random-over, or more records"
        )
    try:
        x, labels = _SAMPLERS[name](seed).fit_resample(x, labels)
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{name} does not work on these records ({error}); take another sampler") from error
    if len(np.unique(labels)) < 2:
        raise ValueError(f"{name} has removed a whole class; take another sampler")
    return x, labels


# Classifiers of features

CLASSIFIERS = ("random-forest", "xgboost", "catboost", "lightgbm")


def classical(name: str, seed: int = 0, trees: int = 300, threads: int = -1) -> ClassifierMixin:
    """A forest or boosted trees by name, one of CLASSIFIERS, not fitted; `threads` -1 for all cores."""
    _refuse_unknown(name, CLASSIFIERS)
    # The libraries of boosted trees are slow to import and not needed for nets.
    if name == "xgboost":
        from xgboost import XGBClassifier

        return XGBClassifier(n_estimators=trees, random_state=seed, n_jobs=threads)
    if name == "catboost":
        from catboost import CatBoostClassifier

        return CatBoostClassifier(
            iterations=trees, random_seed=seed, thread_count=threads, allow_writing_files=False, verbose=False
        )
    if name == "lightgbm":
        from lightgbm import LGBMClassifier

        return LGBMClassifier(
            n_estimators=trees, random_state=seed, n_jobs=threads, verbose=-1, deterministic=True, force_row_wise=True
        )  # fmt: skip
    return RandomForestClassifier(trees, random_state=seed, n_jobs=threads)


def pipeline(
    classifier: str, sampling: str = "none", seed: int = 0, trees: int = 300, threads: int = -1,
    normalise: bool = False,
) -> Pipeline:  # fmt: skip
    """A classifier that learns from resampled records and answers for records as they are; not fitted.

    Learns from x (n, features) and labels (n,) of 0 and 1. normalise: divide each record by its Euclidean
    length first, which suits raw samples, not a table of features in different units.
    """
    steps = [sampler(sampling, seed), classical(classifier, seed, trees, threads)]
    return make_pipeline(*([Normalizer()] if normalise else []), *steps)


# Thresholds


def max_f1_threshold(target: np.ndarray, probability: np.ndarray) -> float:
    """The threshold with the largest F1 for one class, (n,) each; a record is positive from the threshold on.

    It is one of the probabilities, the highest of those that do equally well. Raises ValueError for records
    of which none is positive, and for probabilities that are not finite.
    """
    target, probability = _binary(target), np.asarray(probability)
    _check_probabilities(probability, len(target))
    if not target.any():
        raise ValueError("no record is positive: F1 is not defined, and no threshold can be chosen")
    precision, recall, thresholds = precision_recall_curve(target, probability)
    precision, recall = precision[:-1], recall[:-1]  # the last point has no threshold
    f1 = 2 * precision * recall / np.maximum(precision + recall, np.finfo(float).tiny)
    return float(thresholds[np.flatnonzero(np.isclose(f1, f1.max(), rtol=1e-12))[-1]])


# Probabilities


@dataclass(frozen=True)
class Scaling:
    """Probabilities with their logit divided by `temperature`, and then `bias` added."""

    temperature: float
    bias: float = 0.0

    def __call__(self, probability: np.ndarray) -> np.ndarray:
        return expit(_logit(probability) / self.temperature + self.bias)


def temperature(probability: np.ndarray, target: np.ndarray, bias: bool = False) -> Scaling:
    """The temperature with the smallest log loss on records that the net has not learnt from (Guo et al. 2017).

    probability and target of one class, (n,) each. bias: also fit a constant that is added to the logit
    (Platt 1999), for probabilities that are all too high or too low, as after training with weights. The
    temperature is kept between .01 and 100. Raises ValueError where positives or negatives are missing and
    for probabilities that are not finite.
    """
    target = _two_classes(target)
    _check_probabilities(np.asarray(probability), len(target))
    logits = _logit(probability)

    def log_loss(log_temperature: float, constant: float = 0.0) -> float:
        scaled = logits * np.exp(-log_temperature) + constant
        return float(np.mean(np.logaddexp(0, scaled) - target * scaled))

    limits = (math.log(0.01), math.log(100))
    if not bias:
        return Scaling(math.exp(minimize_scalar(log_loss, bounds=limits, method="bounded").x))
    best = minimize(lambda pair: log_loss(*pair), [0.0, 0.0], bounds=[limits, (-50, 50)], method="L-BFGS-B").x
    return Scaling(math.exp(best[0]), float(best[1]))


def prior_shift(probabilities: np.ndarray, from_prevalence: float, to_prevalence: float) -> np.ndarray:
    """Probabilities of one class, learnt at a share of `from_prevalence`, for a place where it is `to_prevalence`.

    Exact where only the share differs and not what records of each class look like (Elkan 2001; Saerens et
    al. 2002). Balanced batches and `positive_weight` train at a share of .5. Raises ValueError for shares
    that are not between 0 and 1.
    """
    for name, share in (("from_prevalence", from_prevalence), ("to_prevalence", to_prevalence)):
        if not 0 < share < 1:
            raise ValueError(f"{name} must lie between 0 and 1, not {share}")
    probabilities = np.asarray(probabilities, dtype=float)
    positive = probabilities * (to_prevalence / from_prevalence)
    negative = (1 - probabilities) * ((1 - to_prevalence) / (1 - from_prevalence))
    return positive / (positive + negative)


def estimate_prevalence(probabilities: np.ndarray, from_prevalence: float) -> float:
    """The share of a class among records without labels, by expectation maximisation (Saerens et al. 2002).

    probabilities (n,), learnt where the share was `from_prevalence`; they have to be calibrated there. Raises
    ValueError for no records, probabilities that are not finite, and a share that is not between 0 and 1.
    """
    probabilities = np.asarray(probabilities, dtype=float)
    _check_probabilities(probabilities, len(probabilities))
    share = from_prevalence
    for _ in range(10_000):
        better = float(prior_shift(probabilities, from_prevalence, share).mean())
        if abs(better - share) < 1e-9 or not 0 < better < 1:
            return better
        share = better
    return share


def _logit(probability: np.ndarray) -> np.ndarray:
    # float32 rounds sure answers to exactly 0 and 1, whose logit is infinite.
    return logit(np.clip(np.asarray(probability, dtype=float), 1e-7, 1 - 1e-7))


# Checks


def _integers(labels: np.ndarray) -> np.ndarray:
    labels = np.asarray(labels)
    if labels.ndim != 1 or not len(labels):
        raise ValueError(f"labels must be one list of one record or more, not of shape {labels.shape}")
    if not np.isfinite(labels).all() or (labels < 0).any() or (labels % 1 != 0).any():
        raise ValueError("labels must be whole numbers from 0 on, without NaN")
    return labels.astype(int)


def _binary(labels: np.ndarray) -> np.ndarray:
    labels = _integers(labels)
    if labels.max() > 1:
        raise ValueError(f"labels must be 0 or 1, not {labels.max()}")
    return labels


def _two_classes(labels: np.ndarray) -> np.ndarray:
    labels = _binary(labels)
    if labels.min() == labels.max():
        raise ValueError(f"all {len(labels)} records are of class {labels[0]}; both classes are needed")
    return labels


def _check_probabilities(probability: np.ndarray, count: int) -> None:
    if not count or probability.shape != (count,):
        raise ValueError(f"probabilities of shape {probability.shape} for {count} records")
    if not ((probability >= 0) & (probability <= 1)).all():
        raise ValueError("probabilities must lie between 0 and 1, without NaN")


def _check_positive(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be above 0, not {value}")


def _check_not_negative(name: str, value: float) -> None:
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} must be 0 or more, not {value}")


def _refuse_unknown(name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise ValueError(f"no {name!r}; there are {', '.join(known)}")
