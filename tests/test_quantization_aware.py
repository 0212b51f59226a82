"""Nets that learn with eight bits leave with them, and say what they said while they learnt."""

import copy

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch

from biosignals import models
from biosignals.compression import export, quantization_aware, quantize
from biosignals.data.recordings import Recordings
from biosignals.models.layers.standardised import Standardised
from biosignals.training.fit import TrainingData, fit
from biosignals.training.recipe import Recipe


def test_a_net_learns_with_eight_bits_and_is_exported_with_them(tmp_path):
    # Takes long because torchao and the exporter do, whatever the size of the net.
    torch.manual_seed(0)
    x = torch.from_numpy(np.random.default_rng(0).normal(0.1, 0.5, (32, 2, 120)).astype(np.float32))
    net = Standardised(models.create("student-4k", 2, 3, 120), 0.1, 0.5).eval()
    table = pd.DataFrame({"subject": range(32), "samples": 120})
    recordings = Recordings("made", x.numpy(), 1.0, "mV", 100.0, ("a", "b"), table)
    targets = np.eye(3, dtype=np.float32)[np.arange(32) % 3]
    recipe = Recipe(epochs=2, batch_size=8, crop=None)
    prepared = quantization_aware.prepare(net, x[:2])
    fitted = fit(prepared, TrainingData(recordings, targets, np.arange(32)), recipe)
    path = export.export(quantization_aware.convert(fitted.net), x[:2], tmp_path / "net.onnx")
    # Nothing follows the last layer whose range could be learnt: ONNX Runtime computes it in floats.
    assert quantize.quantized_layers(path) == (3, 4)
    found = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(
        None, {"signals": x.numpy()}
    )[0]
    assert np.abs(found - fitted.net.eval()(x).sigmoid().detach().numpy()).max() < 0.02


def test_where_training_uses_16_bits_rounding_to_8_starts_from_32():
    torch.manual_seed(0)
    x = torch.randn(4, 2, 120)
    net = Standardised(models.create("student-4k", 2, 3, 120), 0.1, 0.5).eval()
    prepared = quantization_aware.prepare(net, x[:2])
    torch.manual_seed(1)  # of the dropout
    expected = copy.deepcopy(prepared).train()(x)
    torch.manual_seed(1)
    with torch.autocast("cpu", torch.bfloat16):
        found = prepared.train()(x)
        found.sum().backward()
    torch.testing.assert_close(found, expected)
    assert all(weight.grad.isfinite().all() for weight in prepared.parameters() if weight.grad is not None)


def test_a_net_without_a_1_x_k_form_cannot_learn_with_eight_bits():
    net = Standardised(models.create("cnn-lstm", 2, 3, 400), 0.0, 1.0)
    with pytest.raises(ValueError, match="1 x k"):
        quantization_aware.prepare(net, torch.randn(2, 2, 400))
