"""Thresholds, temperature scaling and prevalence against theory."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from biosignals.evaluation import calibration

# Thresholds


def test_youden_finds_the_gap_between_classes():
    target = np.array([0, 0, 0, 1, 1])
    assert 0.3 < calibration.youden_threshold(target, np.array([0.1, 0.2, 0.3, 0.6, 0.9])) <= 0.6


def test_max_f1_threshold_is_the_best_of_all():
    generator = np.random.default_rng(0)
    for _ in range(15):
        target = generator.random(40) < 0.2
        target[0] = True
        probability = np.round(0.4 * target + 0.6 * generator.random(40), 1)  # with ties
        found = calibration.max_f1_threshold(target, probability)
        scores = {t: f1_score(target, probability >= t) for t in np.unique(probability)}
        best = max(scores.values())
        assert found == max(t for t, score in scores.items() if np.isclose(score, best, rtol=1e-12))


def test_max_f1_threshold_of_float32_is_met_by_the_record_it_came_from():
    probability = np.array([0.1, 0.3, 0.7], dtype=np.float32)
    assert (probability >= calibration.max_f1_threshold([0, 0, 1], probability)).tolist() == [
        False,
        False,
        True,
    ]


@pytest.mark.parametrize("choose", [calibration.max_f1_threshold, calibration.youden_threshold])
@pytest.mark.filterwarnings("error")
def test_no_threshold_is_chosen_on_one_class_or_without_probabilities(choose):
    assert choose(np.array([0, 1]), np.array([0.2, 0.7])) == 0.7
    for one_class in (np.zeros(3), np.ones(3)):
        with pytest.raises(ValueError, match="all 3 records are of class .; both classes are needed: take"):
            choose(one_class, np.array([0.2, 0.5, 0.9]))
    with pytest.raises(ValueError, match="NaN"):
        choose(np.array([0, 1]), np.array([0.5, np.nan]))
    with pytest.raises(ValueError, match="shape"):
        choose(np.array([0, 1]), np.array([0.5]))


def test_max_f1_threshold_of_equal_probabilities_is_theirs():
    assert calibration.max_f1_threshold(np.array([0, 1]), np.array([0.5, 0.5])) == 0.5


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_thresholds_for_a_purpose_keep_their_share_and_no_stricter_one_does(dtype):
    generator = np.random.default_rng(0)
    for least in (0.5, 0.9, 0.95, 1.0):
        target = generator.random(57) < 0.4
        probability = np.round(0.3 * target + 0.7 * generator.random(57), 1).astype(dtype)  # with ties
        screening = calibration.sensitivity_threshold(target, probability, least)
        assert (probability[target] >= screening).mean() >= least
        assert (probability[target] > screening).mean() < least
        confirming = calibration.specificity_threshold(target, probability, least)
        assert (probability[~target] < confirming).mean() >= least
        assert (probability[~target] < probability[~target & (probability < confirming)].max()).mean() < least


@pytest.mark.parametrize("choose", [calibration.sensitivity_threshold, calibration.specificity_threshold])
def test_no_threshold_for_a_purpose_without_a_share_or_a_class(choose):
    for least in (0, 1.1):
        with pytest.raises(ValueError, match="a share is above 0"):
            choose([0, 1], [0.2, 0.7], least)
    with pytest.raises(ValueError, match="both classes are needed"):
        choose([1, 1], [0.2, 0.7], 0.9)


# Probabilities


def calibrated(count=20_000):
    """Logits of which the sigmoid is the true probability, and what happened."""
    generator = np.random.default_rng(0)
    logits = generator.normal(-1, 2, count)
    return logits, (generator.random(count) < expit(logits)).astype(int)


def test_temperature_finds_how_much_the_logits_were_blown_up():
    logits, target = calibrated()
    scaling = calibration.temperature(expit(3 * logits), target)
    assert scaling.temperature == pytest.approx(3, rel=0.05)
    assert scaling.bias == 0
    np.testing.assert_allclose(scaling(expit(3 * logits)).mean(), target.mean(), atol=0.01)


def test_temperature_with_bias_is_platt_scaling():
    logits, target = calibrated(2000)
    blown_up = 2 * logits + 3
    scaling = calibration.temperature(expit(blown_up), target, bias=True)
    inside = np.abs(blown_up) < 15  # beyond, probabilities are held off 0 and 1
    platt = LogisticRegression(C=np.inf).fit(np.clip(blown_up, -16.1, 16.1)[:, None], target)
    expected = platt.predict_proba(blown_up[inside, None])[:, 1]
    np.testing.assert_allclose(scaling(expit(blown_up[inside])), expected, atol=2e-3)


def test_temperature_of_sure_and_of_useless_answers_stays_within_bounds():
    target = np.array([0, 1, 0, 1])
    sure = calibration.temperature(np.array([0.0, 1.0, 0.0, 1.0]), target)
    useless = calibration.temperature(np.array([0.9, 0.1, 0.9, 0.1]), target)
    assert 0.0099 < sure.temperature < useless.temperature < 100.1
    assert np.isfinite(sure(np.array([0.0, 0.5, 1.0]))).all()
    with pytest.raises(ValueError, match="both classes"):
        calibration.temperature(np.array([0.1, 0.2]), np.zeros(2))
    with pytest.raises(ValueError, match="NaN"):
        calibration.temperature(np.array([0.1, np.nan]), np.array([0, 1]))


def posterior(x, prevalence):
    """Of two Gaussians with deviation 1 around 0 and 2, by Bayes' rule."""
    positive = prevalence * np.exp(-((x - 2) ** 2) / 2)
    negative = (1 - prevalence) * np.exp(-(x**2) / 2)
    return positive / (positive + negative)


def gaussians(prevalence, count=20_000):
    generator = np.random.default_rng(0)
    return generator.normal(2.0 * (generator.random(count) < prevalence), 1)


@pytest.mark.parametrize(("here", "there"), [(0.5, 0.02), (0.02, 0.5), (0.3, 0.3)])
def test_prior_shift_is_exact_where_only_the_prevalence_differs(here, there):
    x = np.linspace(-4, 6, 101)
    shifted = calibration.prior_shift(posterior(x, here), here, there)
    np.testing.assert_allclose(shifted, posterior(x, there), rtol=1e-10)
    np.testing.assert_allclose(calibration.prior_shift(shifted, there, here), posterior(x, here), rtol=1e-10)


@pytest.mark.parametrize(("here", "there"), [(0.5, 0.05), (0.1, 0.6), (0.3, 0.3)])
def test_the_prevalence_of_another_place_is_estimated_without_labels(here, there):
    estimate = calibration.estimate_prevalence(posterior(gaussians(there), here), here)
    assert estimate == pytest.approx(there, abs=0.015)


def test_prevalence_edge_cases():
    assert calibration.estimate_prevalence(np.full(5, 0.3), 0.3) == pytest.approx(0.3)
    assert calibration.estimate_prevalence(np.zeros(5), 0.3) == 0
    assert calibration.estimate_prevalence(np.ones(5), 0.3) == 1
    assert calibration.prior_shift(np.array([0, 1]), 0.5, 0.1).tolist() == [0, 1]
    for share in (0, 1, np.nan):
        with pytest.raises(ValueError, match="from_prevalence must lie between"):
            calibration.prior_shift(np.array([0.5]), share, 0.5)
    with pytest.raises(ValueError, match="0 records"):
        calibration.estimate_prevalence(np.array([]), 0.5)
    with pytest.raises(ValueError, match="NaN"):
        calibration.estimate_prevalence(np.array([np.nan]), 0.5)
