from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from biosignals import caching, models
from biosignals.compression import export
from biosignals.data.recordings import Recordings
from biosignals.deployment import predict
from biosignals.training import predict as prediction


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
        prediction.predict(
            net(), Recordings("ptb-xl", signals, 1.0, "mV", 100.0, ("I", "II"), table), np.array([], int)
        )


def test_answers_are_found_again_as_long_as_nothing_that_made_them_has_changed(tmp_path):
    class Counting(torch.nn.Module):
        def __init__(self, weight):
            super().__init__()
            self.weight, self.calls = torch.nn.Parameter(torch.tensor([weight])), 0

        def forward(self, x):
            self.calls += 1
            return x.mean(-1) * self.weight

    signals = np.random.default_rng(0).normal(size=(6, 2, 120)).astype(np.float32)
    table = pd.DataFrame({"subject": range(6), "samples": 120})
    recordings = Recordings("ptb-xl", signals, 1.0, "mV", 100.0, ("I", "II"), table)
    rows, first = np.arange(4), Counting(2.0)
    caching.keep_in(tmp_path)
    expected = prediction.predict(first, recordings, rows)
    asked = first.calls
    np.testing.assert_array_equal(prediction.predict(first, recordings, rows), expected)
    assert first.calls == asked
    caching.keep_in(None)
    np.testing.assert_array_equal(prediction.predict(first, recordings, rows), expected)
    changes = {
        "another net": (Counting(3.0), recordings, rows, None, False),
        "other rows": (first, recordings, rows[::-1], None, False),
        "other signals": (first, replace(recordings, signals=signals[::-1].copy()), rows, None, False),
        "another scale": (first, replace(recordings, scale=2.0), rows, None, False),
        "crops": (first, recordings, rows, 50, False),
        "classes that exclude each other": (first, recordings, rows, None, True),
    }
    for what, (net, asked_of, some, crop, multiclass) in changes.items():
        caching.keep_in(tmp_path)
        found = prediction.predict(net, asked_of, some, crop, multiclass=multiclass)
        caching.keep_in(None)
        alone = prediction.predict(net, asked_of, some, crop, multiclass=multiclass)
        np.testing.assert_allclose(found, alone, err_msg=what)
        assert not np.allclose(found, expected), what


def test_files_and_changed_signals_are_not_asked_twice(tmp_path, monkeypatch):
    signals = np.random.default_rng(0).normal(size=(6, 2, 120)).astype(np.float32)
    table = pd.DataFrame({"subject": range(6), "samples": 120})
    recordings = Recordings("ptb-xl", signals, 1.0, "mV", 100.0, ("I", "II"), table)
    file = export.export(net(), torch.from_numpy(signals[:2, :, :100]), tmp_path / "net.onnx")
    ways = {
        "recordings": lambda: prediction.predict_file(file, recordings, np.arange(6), 100),
        "windows": lambda: predict.probabilities(file, signals[..., :100]),
        "signals": lambda: prediction.predict_signals(net(), signals, 100),
    }
    alone = {name: way() for name, way in ways.items()}
    caching.keep_in(tmp_path / "answers")
    asked = {name: (alone[name], way()) for name, way in ways.items()}
    for module, name in (
        (prediction, "open_file"),
        (deployed, "open_model"),
        (prediction, "prepare_for_inference"),
    ):
        monkeypatch.setattr(module, name, lambda *_: pytest.fail("asked again"))
    for name, (alone, first) in asked.items():
        np.testing.assert_array_equal(first, alone, name)
        np.testing.assert_array_equal(ways[name](), alone, name)
