"""Abstention keeps its promise, and abstains no more than that takes."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biosignals.data import splits
from biosignals.evaluation import conformal
from biosignals.evaluation.conformal import ABSTAIN, NO, YES
from biosignals.evaluation.predictions import Predictions


@given(n=st.integers(0, 60), percent=st.integers(1, 99), seed=st.integers(0, 99))
def test_the_quantile_is_the_formulas(n, percent, seed):
    scores = np.random.default_rng(seed).normal(size=n)
    rank = math.ceil((n + 1) * (1 - Fraction(percent, 100)))
    expected = math.inf if rank > n else sorted(scores)[rank - 1]
    assert conformal.quantile(scores, percent / 100) == expected


def drawn(records, rng, share=0.2, separation=1.0):
    """Targets and probabilities (records, 2) of two labels; those of the second far too low."""
    targets = rng.random((records, 2)) < share
    scores = rng.normal(separation * targets, 1)
    return targets.astype(float), 1 / (1 + np.exp(-scores + [0, 4]))


@pytest.mark.parametrize("error", [0.05, 0.3])
@pytest.mark.parametrize("separation", [0.0, 1.0, 4.0])
def test_no_more_answers_are_wrong_than_promised(error, separation):
    # The mean over many calibration sets; the margin is four standard errors.
    rng, shares = np.random.default_rng(0), []
    for _ in range(200):
        limits = conformal.thresholds(*drawn(200, rng, separation=separation), error)
        targets, p = drawn(200, rng, separation=separation)
        found = conformal.coverage_table(targets, conformal.prediction_sets(p, limits), ["a", "b"])
        shares.append(found[["wrong of positives", "wrong of negatives"]].to_numpy())
    mean, margin = np.mean(shares, axis=0), 4 * np.std(shares, axis=0) / 200**0.5
    assert (mean <= error + margin).all()
    if separation <= 1:  # no more cautious than it has to be: 1 / (positives + 1) below the promise
        assert (mean >= error - 1 / 41 - margin).all()


@given(st.integers(0, 200), st.sampled_from([0.02, 0.1, 0.4]))
def test_answers_are_those_of_conformal_sets(seed, error):
    """A truth is in the set unless fewer than error * (n + 1) of its kind, itself one, are as strange."""
    rng = np.random.default_rng(seed)
    targets, p = drawn(120, rng)
    new = drawn(50, rng)[1]
    found = conformal.prediction_sets(new, conformal.thresholds(targets, p, error))
    for label in range(2):
        positive, negative = p[targets[:, label] == 1, label], p[targets[:, label] == 0, label]
        for q, answer in zip(new[:, label], found[:, label], strict=True):
            yes_in = ((positive <= q).sum() + 1) / (len(positive) + 1) > error
            no_in = ((negative >= q).sum() + 1) / (len(negative) + 1) > error
            if yes_in != no_in:
                assert answer == (YES if yes_in else NO)
            elif yes_in:
                assert answer == ABSTAIN
            else:  # neither is likely: either answer keeps the promise
                assert answer in (YES, NO, ABSTAIN)


def test_too_few_records_deny_nothing():
    targets = np.array([[1.0]] * 8 + [[0.0]] * 100)
    p = np.where(targets == 1, 0.9, np.linspace(0, 0.5, 108)[:, None])
    ((no, yes),) = conformal.thresholds(targets, p, 0.1)  # 8 positives cannot promise 1 in 10; 9 could
    assert no == -math.inf and 0 < yes < 1
    assert conformal.prediction_sets(np.array([[0.0], [0.95]]), np.array([[no, yes]])).tolist() == [
        [ABSTAIN],
        [YES],
    ]
    assert np.isinf(conformal.thresholds(targets[:0], p[:0], 0.1)).all()


def test_where_classes_lie_apart_nothing_is_abstained_from():
    targets = np.repeat([[0.0], [1.0]], 50, axis=0)
    p = np.linspace(0, 1, 100)[:, None]
    ((no, yes),) = limits = conformal.thresholds(targets, p, 0.1)
    assert no == yes and 0.4 < no < 0.6
    assert (conformal.prediction_sets(p, limits) == targets).all()


def cross_validated(records, rng, shift):
    """Records of nine folds in three nets whose probabilities lie apart by `shift`; two of each patient."""
    subjects = np.repeat(np.arange(records // 2), 2)
    folds = rng.integers(1, 10, records // 2)[subjects]
    nets = (folds - 1) // 3
    targets = (rng.random(records) < 0.3).astype(float)
    scores = rng.normal(targets) + shift * nets
    return targets[:, None], 1 / (1 + np.exp(-scores))[:, None], subjects, folds, nets


def test_the_promise_is_kept_net_by_net_and_not_across_nets():
    rng, kept = np.random.default_rng(0), []
    for _ in range(20):
        targets, p, subjects, folds, nets = cross_validated(900, rng, shift=3.0)
        found = conformal.sets_out_of_fold(
            Predictions(p, targets, subjects, np.arange(len(p))), folds, nets, 0.1
        )
        kept.append(conformal.coverage_table(targets, found, ["a"]).iloc[0, 2:4])
    assert np.mean(kept, axis=0).max() < 0.115
    lost = conformal.thresholds(targets[nets == 0], p[nets == 0], 0.1)
    found = conformal.prediction_sets(p[nets == 2], lost)
    assert conformal.coverage_table(targets[nets == 2], found, ["a"]).loc["a", "wrong of negatives"] > 0.5


def test_each_fold_is_answered_by_its_nets_others():
    targets, p, subjects, folds, nets = cross_validated(600, np.random.default_rng(1), shift=0.5)
    found = conformal.sets_out_of_fold(Predictions(p, targets, subjects, np.arange(len(p))), folds, nets, 0.2)
    for fold, others in ((1, (2, 3)), (8, (7, 9))):
        calibrating = np.isin(folds, others) & np.isin(
            np.arange(600), splits.sample_per_subject(subjects, 1, seed=0)
        )
        limits = conformal.thresholds(targets[calibrating], p[calibrating], 0.2)
        np.testing.assert_array_equal(
            found[folds == fold], conformal.prediction_sets(p[folds == fold], limits)
        )
    with pytest.raises(ValueError, match="two folds"):
        conformal.sets_out_of_fold(
            Predictions(p, targets, subjects, np.arange(len(p))), np.arange(600) % 9, nets, 0.2
        )
    with pytest.raises(ValueError, match="none to calibrate with"):
        conformal.sets_out_of_fold(Predictions(p, targets, subjects, np.arange(len(p))), folds, folds, 0.2)


def test_the_table_counts_what_it_says():
    targets = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0])[:, None]
    found = np.array([YES, YES, NO, ABSTAIN, NO, NO, NO, YES, ABSTAIN, ABSTAIN])[:, None]
    assert conformal.coverage_table(targets, found, ["a"]).loc["a"].round(6).to_dict() == {
        "answered": 0.7, "wrong of all": 0.2, "wrong of positives": 0.25,
        "wrong of negatives": round(1 / 6, 6), "wrong of answered": round(2 / 7, 6),
    }  # fmt: skip
    empty = conformal.coverage_table(np.ones((3, 1)), np.full((3, 1), ABSTAIN), ["a"]).loc["a"]
    assert math.isnan(empty["wrong of negatives"]) and math.isnan(empty["wrong of answered"])


@pytest.mark.parametrize("error", [0.0, 1.0, math.nan])
def test_error_rates_that_are_none_are_refused(error):
    with pytest.raises(ValueError, match="between 0 and 1"):
        conformal.thresholds(np.ones((3, 1)), np.ones((3, 1)), error)


def test_what_does_not_fit_is_refused():
    for targets, p in (
        (np.ones((3, 1)), np.ones((4, 1))),
        (np.ones(3), np.ones(3)),
        (np.ones((3, 1)), np.full((3, 1), np.nan)),
    ):
        with pytest.raises(ValueError, match="finite probabilities"):
            conformal.thresholds(targets, p, 0.1)


def test_guarantees_are_the_shares_of_the_table_with_intervals():
    targets, probabilities = drawn(400, np.random.default_rng(0))
    answers = conformal.prediction_sets(probabilities, conformal.thresholds(targets, probabilities, 0.1))
    one = Predictions(probabilities, targets, np.arange(400), np.arange(400))
    found = conformal.guarantees(one, {"net": answers}, ["a", "b"]).set_index(["label", "metric"])
    table = conformal.coverage_table(targets, answers, ["a", "b"])
    for label in ("a", "b"):
        wrong = table.loc[label]
        assert 1 - found.value[label, "sensitivity"] == pytest.approx(wrong["wrong of positives"])
        assert 1 - found.value[label, "specificity"] == pytest.approx(wrong["wrong of negatives"])
    assert (found.low <= found.value).all() and (found.value <= found.high).all()
