"""Masking finds what a model looks at."""

import numpy as np
import pytest

from biosignals.evaluation.occlusion import logit, occlusion


def probabilities_of(weights):
    """A linear model of one class: its logit is the sum of weights times signal."""
    return lambda windows: 1 / (1 + np.exp(-(windows * weights).sum((1, 2))))


def test_a_logit_is_finite_for_what_is_certain():
    np.testing.assert_allclose(logit([0.5, 0.9]), [0, np.log(9)])
    assert np.isfinite(logit([0.0, 1.0])).all() and logit([0.0])[0] < logit([1e-3])[0]


def test_what_a_linear_model_sums_is_what_masking_takes_away():
    # One sample at a time, between neighbours of zero: its weight is its share of the logit.
    window, weights = np.zeros((2, 40), np.float32), np.zeros((2, 40))
    window[0, 10], window[1, 30], weights[0, 10], weights[1, 30] = 2, 1, 0.5, -1.5
    found = occlusion(probabilities_of(weights), window, 1)
    np.testing.assert_allclose(found, window * weights, atol=1e-5)


@pytest.mark.parametrize("width, step", [(8, None), (8, 3), (50, None), (7, 7)])
def test_only_pieces_that_matter_have_weight_and_every_sample_is_masked(width, step):
    window, weights = np.zeros((1, 50), np.float32), np.zeros((1, 50))
    window[0, 20:24], weights[0, 20:24] = 1, 0.5
    found = occlusion(probabilities_of(weights), window, width, step)
    assert np.isfinite(found).all() and (found[0, 20:24] > 0).all()
    assert not found[0, : max(20 - width, 0)].any() and not found[0, 24 + width :].any()


def test_a_masked_piece_is_a_line_between_its_neighbours():
    # A line masked is the same line: nothing changes, whatever the model.
    window = np.linspace(0, 1, 30, dtype=np.float32)[None]
    seen = []
    found = occlusion(lambda windows: seen.append(windows) or np.full(len(windows), 0.3), window, 6)
    assert not found.any()
    inner = np.concatenate(seen)[:, :, 6:-6]
    np.testing.assert_allclose(inner, np.broadcast_to(window[:, 6:-6], inner.shape), atol=1e-6)
