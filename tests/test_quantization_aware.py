"""Nets trained with eight bits are exported with them and give the probabilities that they gave in training."""

import copy

import numpy as np
import onnx
import pytest
import torch

import small_net
from biosignals import models
from biosignals.compression import export, quantization_aware, quantize
from biosignals.models.layers.standardised import Standardised


@pytest.mark.slow
def test_a_net_learns_with_eight_bits_and_is_exported_with_them(tmp_path):
    # Takes long because torchao and the exporter do, whatever the size of the net.
    x = small_net.signals(32)
    fitted = small_net.train_further(quantization_aware.prepare(small_net.build(), x[:2]))
    path = export.export(quantization_aware.convert(fitted.net), x[:2], tmp_path / "net.onnx")
    # Nothing follows the last layer whose range could be learnt: ONNX Runtime computes it in floats.
    assert quantize.quantized_layers(path) == (3, 4)
    constants = [onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer]
    weights = [constant for constant in constants if constant.dtype == np.int8 and constant.ndim > 1]
    assert len(weights) == 4 and max(np.abs(one.astype(int)).max() for one in weights) == 64
    expected = fitted.net.eval()(x).sigmoid().detach().numpy()
    assert np.abs(small_net.run(path, x) - expected).max() < 0.02


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


def test_a_net_for_images_learns_with_eight_bits():
    torch.manual_seed(0)
    x = torch.randn(4, 64, 32)
    net = Standardised(models.create("efficientnetv2-s-small", 64, 3, 32), 0.1, 0.5).eval()
    prepared = quantization_aware.prepare(net, x[:2])
    assert (prepared(x) - net(x)).abs().max() < 0.5
    prepared.train()(x).sum().backward()
    rounded = [name for name, _ in prepared.named_modules() if name.startswith("net.graph.activation_post")]
    assert len(rounded) > 20
