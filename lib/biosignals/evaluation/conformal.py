"""Abstention with a guaranteed error rate: split conformal prediction for yes-or-no questions, yes and no
apart.

Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World (2005), Mondrian predictors; Sadinle, Lei
and Wasserman, Least ambiguous set-valued classifiers with bounded error levels, JASA 114 (2019).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from biosignals.data import splits
from biosignals.evaluation import scores
from biosignals.evaluation.predictions import Predictions

YES, NO, ABSTAIN = 1, 0, -1


def quantile(scores: np.ndarray, error: float) -> float:
    """What a new score exceeds with probability `error` at most: the ceil((n + 1)(1 - error))-th of scores.

    Infinite where n is so small that no score can promise that.
    """
    rank = math.ceil((len(scores) + 1) * (1 - error) - 1e-9)  # 1e-9: 10 * (1 - .1) is a little above 9
    return float(np.sort(scores)[rank - 1]) if rank <= len(scores) else math.inf


def thresholds(targets: np.ndarray, probabilities: np.ndarray, error: float) -> np.ndarray:
    """Between which probabilities to abstain, per label: float (labels, 2), below the first no, above the
    second yes.

    targets (0 or 1) and probabilities, (n, labels), of calibration records. The promise: of records that are
    truly positive a share of at most `error` is called no, and of the negative ones at most that share yes,
    whatever the probabilities are worth. It holds for records that are exchangeable with the calibration
    records, as if all had been drawn at random from one lot: of the same hospital and device, by a model that
    learnt from neither, and with one record of each patient to calibrate with, none of them a patient asked
    about. It holds in the mean over calibration sets and for either truth as a whole, not for each patient or
    group. Where one truth has too few records for the promise, the other is never denied: the threshold is
    infinite. Where nothing between has to be abstained from, both thresholds are the same. Raises ValueError
    for an error rate outside of 0 to 1 and for arrays that do not fit.
    """
    if not 0 < error < 1:
        raise ValueError(f"an error rate is between 0 and 1, not {error}")
    if (
        np.shape(targets) != np.shape(probabilities)
        or np.ndim(targets) != 2
        or not np.isfinite(probabilities).all()
    ):
        raise ValueError(
            f"finite probabilities (n, labels) for each of {np.shape(targets)}, not {np.shape(probabilities)}"
        )
    limits = []
    for truth, p in zip(np.asarray(targets).T > 0.5, np.asarray(probabilities, dtype=float).T, strict=True):
        # A truth is ruled out where it is stranger than all but a share `error` of its own kind.
        no, yes = -quantile(-p[truth], error), quantile(p[~truth], error)
        limits.append((no, yes) if no <= yes else ((no + yes) / 2,) * 2)
    return np.array(limits)


def prediction_sets(probabilities: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """YES, NO or ABSTAIN for each of probabilities (n, labels), int8 alike; limits: of `thresholds`."""
    p = np.asarray(probabilities)
    return np.where(p > limits[:, 1], YES, np.where(p < limits[:, 0], NO, ABSTAIN)).astype(np.int8)


def sets_out_of_fold(
    predictions: Predictions, folds: np.ndarray, nets: np.ndarray, error: float
) -> np.ndarray:
    """`prediction_sets` of predictions out of fold, int8 (n, labels): of each fold at thresholds that its
    net's other folds gave.

    folds, nets: numbers, (n,): in which fold a record is, and which net predicted it, of several that each
    left some folds out. A promise is about one net: thresholds of another net are not exchangeable with it,
    however alike their scores are. Of each subject one record calibrates. Raises ValueError for a subject in
    two folds and for a net that predicted one fold only.
    """
    targets, probabilities, subjects = predictions.truth, predictions.mean, predictions.subjects
    folds, nets = np.asarray(folds), np.asarray(nets)
    known = pd.DataFrame({"subject": list(subjects), "fold": folds}).dropna()
    if (known.groupby("subject").fold.nunique() > 1).any():
        raise ValueError("a subject is in two folds: who calibrates must not be predicted")
    alone = np.isin(np.arange(len(folds)), splits.sample_per_subject(subjects, 1, seed=0))
    found = np.full(np.shape(probabilities), ABSTAIN, np.int8)
    for net, fold in sorted(set(zip(nets.tolist(), folds.tolist(), strict=True))):
        held_out = (nets == net) & (folds == fold)
        others = (nets == net) & (folds != fold) & alone
        if not others.any():
            raise ValueError(f"net {net} predicted fold {fold} only: there is none to calibrate with")
        limits = thresholds(targets[others], probabilities[others], error)
        found[held_out] = prediction_sets(probabilities[held_out], limits)
    return found


def guarantees(
    predictions: Predictions, answers: Mapping[str, np.ndarray], labels: Sequence[str]
) -> pd.DataFrame:
    """How far the promise was kept, with intervals: scores of `scores.compare`, a row per label, model and
    metric, in a table with the column `label`, too.

    sensitivity: the share of a label's positives that are not called no; specificity: of its negatives that
    are not called yes. predictions: of any model, for their truth and subjects. answers: (n, labels), by
    model. Raises ValueError as `scores.compare`.
    """
    tables = []
    for k, label in enumerate(labels):
        own = predictions.of_class(k)
        not_no = {name: own.replaced((found[:, [k]] != NO) * 1.0) for name, found in answers.items()}
        yes = {name: own.replaced((found[:, [k]] == YES) * 1.0) for name, found in answers.items()}
        found_yes = scores.compare(not_no, metrics={"sensitivity": scores.sensitivity})
        found_no = scores.compare(yes, metrics={"specificity": scores.specificity})
        tables += [found_yes.assign(label=label), found_no.assign(label=label)]
    return pd.concat(tables, ignore_index=True)


def coverage_table(targets: np.ndarray, found: np.ndarray, labels: Sequence[str]) -> pd.DataFrame:
    """How answers `found` did against targets, (n, labels) both: shares, a row per label, NaN for none.

    answered: of all records. wrong of positives, wrong of negatives: called the opposite; what was promised.
    wrong of all: likewise. wrong of answered: the error among the answers given, which nothing was promised
    of.
    """
    truth, found = np.asarray(targets) > 0.5, np.asarray(found)
    given, wrong = found != ABSTAIN, (found == YES) & ~truth | (found == NO) & truth
    rows = {
        "answered": _share(given, np.ones_like(given)), "wrong of all": _share(wrong, np.ones_like(given)),
        "wrong of positives": _share(wrong, truth), "wrong of negatives": _share(wrong, ~truth),
        "wrong of answered": _share(wrong, given),
    }  # fmt: skip
    return pd.DataFrame(rows, index=pd.Index(labels, name="label"))


def _share(cases: np.ndarray, among: np.ndarray) -> np.ndarray:
    counts = among.sum(0)
    return np.divide((cases & among).sum(0), counts, out=np.full(counts.shape, np.nan), where=counts > 0)
