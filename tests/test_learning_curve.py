import numpy as np
import pandas as pd
import pytest

from biosignals.evaluation import learning_curve, scores
from biosignals.evaluation.predictions import Predictions

SIZES = [200, 400, 800, 1600]


def predicted(noise, n=300, ids=None):
    """Predictions of one class that are the better the less noise there is."""
    rng = np.random.default_rng(1)
    truth = (rng.random((n, 1)) < 0.4).astype(float)
    probabilities = np.stack([truth + noise * rng.normal(size=(n, 1)) for _ in range(2)])
    return Predictions(probabilities, truth, np.arange(n), np.arange(n) if ids is None else ids)


def test_a_power_law_is_found_again():
    values = 1 - 2.5 * np.array(SIZES, dtype=float) ** -0.4
    np.testing.assert_allclose(learning_curve.power_law(SIZES, values), [2.5, 0.4])
    both = learning_curve.power_law(SIZES, np.stack([values, 1 - 0.1 * np.ones(4)]))
    np.testing.assert_allclose(both, [[2.5, 0.4], [0.1, 0]], atol=1e-12)


def test_what_comes_of_more_records_has_an_interval_that_widens():
    models = {size: predicted(8 * size**-0.2) for size in SIZES}
    table = learning_curve.extrapolate(scores.macro_auroc, models, [*SIZES, 17000])
    assert list(table["size"]) == [*SIZES, 17000] and table.value.is_monotonic_increasing
    measured = [scores.interval(scores.macro_auroc, one).value for one in models.values()]
    np.testing.assert_allclose(table.value[:4], measured, atol=0.03)
    assert ((table.low <= table.value) & (table.value <= table.high)).all()
    # Each resample has a law of its own.
    values = np.stack([scores.bootstrap(scores.macro_auroc, one) for one in models.values()], axis=1)
    alone = [learning_curve.power_law(SIZES, row) for row in values[1:]]
    expected = [1 - scale * 17000**-exponent for scale, exponent in alone]
    np.testing.assert_allclose(table.low.iloc[-1], pd.Series(expected).quantile(0.025))


def test_curves_of_nonsense_are_refused():
    with pytest.raises(ValueError, match="two or more"):
        learning_curve.power_law([200, 200], np.array([0.8, 0.9]))
    with pytest.raises(ValueError, match="no error"):
        learning_curve.power_law([200, 400], np.array([0.8, 1.0]))
    others = {200: predicted(2), 400: predicted(1, ids=np.arange(300)[::-1])}
    with pytest.raises(ValueError, match="same recordings"):
        learning_curve.extrapolate(scores.macro_auroc, others, [800])
