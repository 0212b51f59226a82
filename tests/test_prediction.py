import numpy as np
import pandas as pd
import pytest
import torch

from biosignals import models, prediction
from biosignals.data.recordings import Recordings


def net():
    torch.manual_seed(0)
    return models.create("student-57k", 2, 3).eval()


@pytest.mark.parametrize(
    "samples, starts", [(250, (0, 50, 100, 150)), (300, (0, 50, 100, 150, 200)), (100, (0,))]
)
def test_a_records_probability_is_the_mean_over_overlapping_crops(samples, starts):
    x = torch.randn(2, 2, samples)
    with torch.no_grad():
        parts = torch.stack([net()(x[..., start : start + 100]).sigmoid() for start in starts])
    ours = prediction.predict_signals(net(), x.numpy(), crop=100)
    np.testing.assert_allclose(ours, parts.mean(0), atol=1e-5)


def test_without_crops_the_whole_record_counts_and_batches_make_no_difference():
    x = torch.randn(300, 2, 120)
    with torch.no_grad():
        expected = net()(x).sigmoid()
    np.testing.assert_allclose(prediction.predict_signals(net(), x.numpy()), expected, atol=1e-5)


def test_recordings_are_answered_in_the_order_of_the_rows_asked_for():
    signals = np.random.default_rng(0).normal(size=(1500, 2, 120)).astype(np.float32)
    table = pd.DataFrame({"subject": range(1500), "samples": 120})
    many = Recordings("ptb-xl", signals, 1.0, "mV", 100.0, ("I", "II"), table)
    rows = np.random.default_rng(1).permutation(1500)[:1200]
    expected = prediction.predict_signals(net(), signals[rows])
    np.testing.assert_allclose(prediction.predict(net(), many, rows), expected, atol=1e-6)


def test_no_rows_are_refused():
    signals = np.zeros((3, 2, 120), np.float32)
    table = pd.DataFrame({"subject": range(3), "samples": 120})
    with pytest.raises(ValueError, match="is their split empty"):
        prediction.predict(net(), Recordings("ptb-xl", signals, 1.0, "mV", 100.0, ("I", "II"), table), np.array([], int))
