"""Thresholds, temperature scaling and prevalence: from probabilities to decisions that hold elsewhere."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

# Thresholds


def max_f1_threshold(target: np.ndarray, probability: np.ndarray) -> float:
    """The threshold with the largest F1; target and probability of one class: (n,) each.

    A record is positive from it on. It is one of the probabilities, the highest of those that do equally
    well. Raises ValueError where positives or negatives are missing, and for probabilities that are not
    finite.
    """
    from sklearn.metrics import precision_recall_curve

    target, probability = two_classes(target), np.asarray(probability)
    _check_probabilities(probability, len(target))
    precision, recall, thresholds = precision_recall_curve(target, probability)
    precision, recall = precision[:-1], recall[:-1]  # the last point has no threshold
    f1 = 2 * precision * recall / np.maximum(precision + recall, np.finfo(float).tiny)
    return float(thresholds[np.flatnonzero(np.isclose(f1, f1.max(), rtol=1e-12))[-1]])


def youden_threshold(target: np.ndarray, probability: np.ndarray) -> float:
    """The threshold with the largest Youden index (1950); target and probability of one class: (n,) each.

    Raises ValueError as `max_f1_threshold`.
    """
    from sklearn.metrics import roc_curve

    target, probability = two_classes(target), np.asarray(probability)
    _check_probabilities(probability, len(target))
    false_positive, true_positive, thresholds = roc_curve(target, probability)
    return float(np.clip(thresholds[np.argmax(true_positive - false_positive)], 0, 1))


def sensitivity_threshold(target: np.ndarray, probability: np.ndarray, least: float) -> float:
    """The highest threshold that finds a share of `least` of the positives, for screening; target and
    probability of one class: (n,) each.

    Raises ValueError as `max_f1_threshold`, and for a share that is not above 0 and at most 1.
    """
    positives = _sorted_probabilities(target, probability, 1, least)
    return float(positives[-math.ceil(least * len(positives) - 1e-9)])


def specificity_threshold(target: np.ndarray, probability: np.ndarray, least: float) -> float:
    """The lowest threshold below which a share of `least` of the negatives lies, for confirming; target and
    probability of one class: (n,) each.

    Above 1, and so never reached, where negatives are as sure as can be. Raises ValueError as
    `sensitivity_threshold`.
    """
    negatives = _sorted_probabilities(target, probability, 0, least)
    last = negatives[math.ceil(least * len(negatives) - 1e-9) - 1]
    return float(np.nextafter(last, np.asarray(2, last.dtype)))  # the next number of their precision


def _sorted_probabilities(
    target: np.ndarray, probability: np.ndarray, truth: int, least: float
) -> np.ndarray:
    """Probabilities of the records of one truth, rising; errors as `sensitivity_threshold`."""
    target, probability = two_classes(target), np.asarray(probability)
    _check_probabilities(probability, len(target))
    if not 0 < least <= 1:
        raise ValueError(f"a share is above 0 and at most 1, not {least}")
    return np.sort(probability[target == truth])


# Probabilities


@dataclass(frozen=True)
class Scaling:
    """Probabilities with their logit divided by `temperature`, and then `bias` added."""

    temperature: float
    bias: float = 0.0

    def __call__(self, probability: np.ndarray) -> np.ndarray:
        return expit(_logit(probability) / self.temperature + self.bias)


def temperature(probability: np.ndarray, target: np.ndarray, bias: bool = False) -> Scaling:
    """The temperature with the smallest log loss on records that the net has not learnt from (Guo et al.
    2017).

    probability and target of one class, (n,) each. bias: also fit a constant that is added to the logit
    (Platt 1999), for probabilities that are all too high or too low, as after training with weights. The
    temperature is kept between .01 and 100. Raises ValueError where positives or negatives are missing and
    for probabilities that are not finite.
    """
    from scipy.optimize import minimize, minimize_scalar

    target = two_classes(target)
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
    """probabilities of one class, (n,), learnt where its share was `from_prevalence`, for another place.

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


def _check_probabilities(probability: np.ndarray, count: int) -> None:
    if not count or probability.shape != (count,):
        raise ValueError(f"probabilities of shape {probability.shape} for {count} records")
    if not ((probability >= 0) & (probability <= 1)).all():
        raise ValueError("probabilities must lie between 0 and 1, without NaN")


def class_numbers(labels: np.ndarray) -> np.ndarray:
    """labels, (n,), as int (n,). Raises ValueError for none, and for what is no whole number from 0 on."""
    labels = np.asarray(labels)
    if labels.ndim != 1 or not len(labels):
        raise ValueError(f"labels must be one list of one record or more, not of shape {labels.shape}")
    if not np.isfinite(labels).all() or (labels < 0).any() or (labels % 1 != 0).any():
        raise ValueError("labels must be whole numbers from 0 on, without NaN")
    return labels.astype(int)


def binary_labels(labels: np.ndarray) -> np.ndarray:
    """labels, (n,), as int (n,) of 0 and 1. Raises ValueError for others."""
    labels = class_numbers(labels)
    if labels.max() > 1:
        raise ValueError(f"labels must be 0 or 1, not {labels.max()}")
    return labels


def two_classes(labels: np.ndarray) -> np.ndarray:
    """labels, (n,), as int (n,) of 0 and 1. Raises ValueError for others, and where one is missing."""
    labels = binary_labels(labels)
    if labels.min() == labels.max():
        raise ValueError(
            f"all {len(labels)} records are of class {labels[0]}; both classes are needed: take more records,"
            " or groups of folds that each hold both"
        )
    return labels
