import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm
from sklearn.metrics import roc_curve

from biosignals.evaluation import identification
from biosignals.evaluation import scores as evaluation
from biosignals.evaluation.predictions import Predictions


def people(count=8, windows=10, noise=0.7, seed=0):
    """Embeddings (windows, 16) around each person's own, and who they are."""
    rng = np.random.default_rng(seed)
    subjects = np.repeat(np.arange(count), windows)
    return rng.normal(size=(count, 16))[subjects] + noise * rng.normal(size=(len(subjects), 16)), subjects


def test_a_template_points_where_its_subjects_windows_do():
    embeddings, subjects = people(noise=0)
    enrolled, who = identification.templates(embeddings * np.arange(1, 81)[:, None], subjects[::1])
    np.testing.assert_array_equal(who, np.arange(8))
    found = identification.similarities(embeddings, enrolled)
    np.testing.assert_allclose(found[np.arange(80), subjects], 1)
    assert (np.delete(found, subjects[:1], axis=1)[0] < 0.9).all()


def test_the_equal_error_rate_is_where_the_roc_curve_crosses():
    embeddings, subjects = people(30, noise=1.5)
    enrolled, who = identification.templates(embeddings[::2], subjects[::2])
    scores, true = (
        identification.similarities(embeddings[1::2], enrolled),
        identification.claims(subjects[1::2], who),
    )
    false_positive, true_positive, _ = roc_curve(true.ravel(), scores.ravel(), drop_intermediate=False)
    wanted = brentq(lambda x: 1 - x - np.interp(x, false_positive, true_positive), 0, 1)
    found = identification.equal_error_rate(true, scores, np.ones((1, len(scores))))
    assert 0.02 < found[0] == pytest.approx(wanted, abs=2e-3)


def test_gaussian_scores_have_the_error_of_the_formula_and_a_straight_det_curve():
    rng = np.random.default_rng(0)
    true = np.eye(2)[rng.integers(0, 2, 40_000)]
    scores = rng.normal(2 * true, 1)
    found = identification.equal_error_rate(true, scores, np.ones((1, len(true))))
    assert found[0] == pytest.approx(norm.cdf(-1), abs=0.005)
    accepted, refused = identification.det(true, scores)
    middle = (accepted > 0.01) & (accepted < 0.9) & (refused > 0.01)
    sums = identification.deviate(accepted[middle]) + identification.deviate(refused[middle])
    np.testing.assert_allclose(sums, -2, atol=0.1)


def test_perfect_scores_have_no_error_and_equal_ones_a_half():
    true = np.eye(5)[np.arange(20) % 5]
    weights = np.ones((1, 20))
    assert identification.equal_error_rate(true, true, weights)[0] == 0
    assert identification.equal_error_rate(true, np.zeros_like(true), weights)[0] == pytest.approx(0.5)
    assert identification.equal_error_rate(true, 1 - true, weights)[0] == pytest.approx(1)
    assert np.isnan(identification.equal_error_rate(np.zeros((20, 5)), true, weights)[0])


def test_a_weight_of_two_is_the_window_twice():
    embeddings, subjects = people(noise=2)
    enrolled, who = identification.templates(embeddings, subjects)
    scores, true = identification.similarities(embeddings, enrolled), identification.claims(subjects, who)
    twice = np.append(np.arange(80), np.arange(40))
    weights = np.append(np.full(40, 2.0), np.ones(40))[None]
    (weighted,) = identification.equal_error_rate(true, scores, weights)
    (repeated,) = identification.equal_error_rate(true[twice], scores[twice], np.ones((1, 120)))
    assert weighted == pytest.approx(repeated, abs=1e-9)


def test_it_has_an_interval_like_any_score():
    embeddings, subjects = people(noise=2)
    enrolled, who = identification.templates(embeddings, subjects)
    scores, true = identification.similarities(embeddings, enrolled), identification.claims(subjects, who)
    told_apart = Predictions(scores, true, subjects, np.arange(80))
    found = evaluation.interval(identification.equal_error_rate, told_apart, 50)
    assert 0 < found.low <= found.value <= found.high < 0.5


def test_who_was_never_enrolled_is_named():
    with pytest.raises(ValueError, match="subject 9 was never enrolled"):
        identification.claims(np.array([1, 9]), np.arange(5))
