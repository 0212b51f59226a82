from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from biosignals import models
from biosignals.caching import Cache
from biosignals.compression import export
from biosignals.data.recordings import Recordings
from biosignals.training import predict
from biosignals.training.predict import Inference


def net():
    torch.manual_seed(0)
    return models.create("student-57k", 2, 3).eval()


@pytest.mark.parametrize(
    "samples, step, starts",
    [
        (250, None, (0, 50, 100, 150)),
        (300, None, (0, 50, 100, 150, 200)),
        (100, None, (0,)),
        (250, 30, (0, 30, 60, 90, 120, 150)),
        (250, 40, (0, 37, 75, 112, 150)),
    ],
)
def test_a_records_probability_is_the_mean_over_overlapping_crops(samples, step, starts):
    x = torch.randn(2, 2, samples)
    with torch.no_grad():
        parts = torch.stack([net()(x[..., start : start + 100]).sigmoid() for start in starts])
    ours = predict.predict_signals(net(), x.numpy(), how=Inference(100, step=step))
    np.testing.assert_allclose(ours, parts.mean(0), atol=1e-5)


def test_without_crops_the_whole_record_counts_and_batches_make_no_difference():
    x = torch.randn(300, 2, 120)
    with torch.no_grad():
        expected = net()(x).sigmoid()
    np.testing.assert_allclose(predict.predict_signals(net(), x.numpy()), expected, atol=1e-5)


def test_recordings_are_answered_in_the_order_of_the_rows_asked_for():
    signals = np.random.default_rng(0).normal(size=(1500, 2, 120)).astype(np.float32)
    table = pd.DataFrame({"subject": range(1500), "samples": 120})
    many = Recordings("ptb-xl", signals, 1.0, "mV", 100.0, ("I", "II"), table)
    rows = np.random.default_rng(1).permutation(1500)[:1200]
    expected = predict.predict_signals(net(), signals[rows])
    np.testing.assert_allclose(predict.predict(net(), many, rows), expected, atol=1e-6)


def test_large_recordings_are_predicted_few_at_a_time(monkeypatch):
    signals = np.random.default_rng(0).normal(size=(20, 2, 120)).astype(np.float32)
    table = pd.DataFrame({"subject": range(20), "samples": 120})
    recordings = Recordings("ptb-xl", signals, 1.0, "mV", 100.0, ("I", "II"), table)
    expected, counts, physical = predict.predict_signals(net(), signals), [], Recordings.physical

    def counted(self, rows=None):
        counts.append(len(rows))
        return physical(self, rows)

    monkeypatch.setattr(Recordings, "physical", counted)
    monkeypatch.setattr(predict, "MEMORY", 3 * signals[0].nbytes)
    found = predict.predict(net(), recordings, np.arange(20))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert max(counts) == 3


def test_no_rows_are_refused():
    signals = np.zeros((3, 2, 120), np.float32)
    table = pd.DataFrame({"subject": range(3), "samples": 120})
    with pytest.raises(ValueError, match="is their split empty"):
        predict.predict(
            net(), Recordings("ptb-xl", signals, 1.0, "mV", 100.0, ("I", "II"), table), np.array([], int)
        )


def small_recordings():
    signals = np.random.default_rng(0).normal(size=(6, 2, 120)).astype(np.float32)
    table = pd.DataFrame({"subject": range(6), "samples": 120})
    return Recordings("ptb-xl", signals, 1.0, "mV", 100.0, ("I", "II"), table)


class Mean(torch.nn.Module):
    """Logits: the mean of each channel, times a weight."""

    def __init__(self, weight):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([weight]))

    def forward(self, x):
        return x.mean(-1) * self.weight


def test_predictions_are_found_again_as_long_as_nothing_that_made_them_has_changed(tmp_path):
    recordings, rows, cache = small_recordings(), np.arange(4), Cache(tmp_path)
    first, calls = Mean(2.0), []
    first.register_forward_hook(lambda *_: calls.append(1))
    expected = predict.predict(first, recordings, rows, how=Inference(cache=cache))
    computed = len(calls)
    np.testing.assert_array_equal(
        predict.predict(first, recordings, rows, how=Inference(cache=cache)), expected
    )
    assert len(calls) == computed
    np.testing.assert_array_equal(predict.predict(first, recordings, rows), expected)
    backwards = replace(recordings, signals=recordings.signals[::-1].copy())
    changes = {
        "another net": (Mean(3.0), recordings, rows, Inference()),
        "other rows": (first, recordings, rows[::-1], Inference()),
        "other signals": (first, backwards, rows, Inference()),
        "another scale": (first, replace(recordings, scale=2.0), rows, Inference()),
        "crops": (first, recordings, rows, Inference(50)),
        "classes that exclude each other": (first, recordings, rows, Inference(multiclass=True)),
    }
    for what, (one, of, some, how) in changes.items():
        found = predict.predict(one, of, some, how=how._replace(cache=cache))
        np.testing.assert_allclose(found, predict.predict(one, of, some, how=how), err_msg=what)
        assert not np.allclose(found, expected), what


def test_files_and_changed_signals_are_not_computed_twice(tmp_path):
    recordings, cache, rows = small_recordings(), Cache(tmp_path / "cache"), np.arange(6)
    signals = recordings.physical()
    file = export.export(net(), torch.from_numpy(signals[:2, :, :100]), tmp_path / "net.onnx")
    ways = {
        "file": lambda how: predict.predict_onnx(file, recordings, rows, how),
        "file, changed": lambda how: predict.predict_onnx(file, recordings, rows, how, np.negative),
        "signals": lambda how: predict.predict_signals(net(), signals, how=how),
    }
    for number, (name, way) in enumerate(ways.items(), 1):
        alone = way(Inference(100))
        np.testing.assert_array_equal(way(Inference(100, cache=cache)), alone, name)
        np.testing.assert_array_equal(way(Inference(100, cache=cache)), alone, name)
        assert len(list((tmp_path / "cache").iterdir())) == number


def test_a_file_predicts_what_its_net_does(tmp_path):
    recordings, rows = small_recordings(), np.array([4, 1])
    example = torch.from_numpy(recordings.physical(rows)[..., :100])
    file = export.export(net(), example, tmp_path / "net.onnx")
    expected = predict.predict(net(), recordings, rows, how=Inference(100))
    np.testing.assert_allclose(
        predict.predict_onnx(file, recordings, rows, Inference(100)), expected, atol=1e-5
    )
    silent = predict.predict_onnx(file, recordings, rows, Inference(100), np.zeros_like)
    np.testing.assert_array_equal(silent[0], silent[1])
