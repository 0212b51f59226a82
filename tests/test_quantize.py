"""Quantized files are smaller, really run in eight bits and give nearly the same probabilities."""

import numpy as np
import onnx
import pytest
import torch

import small_net
from biosignals.compression import export, quantize


@pytest.fixture
def net():
    return small_net.build()


@pytest.fixture
def exported(net, tmp_path):
    return export.export(net, small_net.signals(2), tmp_path / "net.onnx")


def test_files_that_cannot_be_made_smaller_are_refused(exported, tmp_path):
    old, broken = tmp_path / "old.onnx", tmp_path / "broken.onnx"
    model = onnx.load(exported)
    for used in model.opset_import:
        used.version = 9 if used.domain == "" else used.version
    old.write_bytes(model.SerializeToString())
    broken.write_bytes(exported.read_bytes()[:500])
    for path, message in ((old, "old.onnx"), (broken, "broken.onnx is no ONNX file")):
        for make in (quantize.to_float16, quantize.to_dynamic_int8):
            with pytest.raises(ValueError, match=message):
                make(path, tmp_path / "new.onnx")
        with pytest.raises(ValueError, match=message):
            quantize.to_int8(path, tmp_path / "new.onnx", small_net.signals(4).numpy())
    assert not (tmp_path / "new.onnx").exists()


def test_files_get_smaller_and_give_nearly_the_same(net, exported, tmp_path):
    before, x = small_net.run(exported, small_net.signals(50)), small_net.signals(50)
    small = {
        "half": quantize.to_float16(exported, tmp_path / "half.onnx"),
        "dynamic": quantize.to_dynamic_int8(exported, tmp_path / "dynamic.onnx"),
        "static": quantize.to_int8(exported, tmp_path / "static.onnx", x.numpy()),
        "per tensor": quantize.to_int8(exported, tmp_path / "tensor.onnx", x.numpy(), per_channel=False),
    }
    for path in small.values():
        assert path.stat().st_size < exported.stat().st_size
        assert np.abs(small_net.run(path, x) - before).max() < 0.02
        onnx.checker.check_model(path, full_check=True)
    assert quantize.quantized_layers(exported) == (0, 4)
    assert quantize.quantized_layers(small["half"]) == (0, 4)
    for name in ("dynamic", "static", "per tensor"):
        assert quantize.quantized_layers(small[name]) == (4, 4)


def test_a_layer_that_the_runtime_computes_in_floats_is_not_counted(exported, tmp_path):
    static = quantize.to_int8(exported, tmp_path / "static.onnx", small_net.signals(20).numpy())
    model = onnx.load(static)
    # A convolution whose input is not rounded has weights of eight bits and runs in floats all the same.
    first = next(node for node in model.graph.node if node.op_type == "Conv")
    first.input[0] = "signals"
    onnx.save(model, tmp_path / "half.onnx")
    assert quantize.quantized_layers(static) == (4, 4)
    assert quantize.quantized_layers(tmp_path / "half.onnx") == (3, 4)


def test_both_files_are_made_once_and_again_after_a_change(net, tmp_path):
    windows = small_net.signals(8).numpy()
    first = quantize.float_and_int8(net, windows, tmp_path)
    before = {way: path.stat().st_mtime_ns for way, path in first.items()}
    assert quantize.float_and_int8(net, windows, tmp_path) == first
    assert {way: path.stat().st_mtime_ns for way, path in first.items()} == before
    assert quantize.quantized_layers(first["int8"]) == (4, 4)
    assert quantize.float_and_int8(net, windows[:4], tmp_path)["int8"] != first["int8"]
    with torch.no_grad():
        net.net.head.bias += 1
    assert quantize.float_and_int8(net, windows, tmp_path)["float32"] != first["float32"]


def test_weights_of_eight_bits_have_a_scale_per_channel_or_one(exported, tmp_path):
    for per_channel, sizes in ((True, {4, 12, 24, 3}), (False, {1})):
        path = quantize.to_int8(exported, tmp_path / "int8.onnx", small_net.signals(4).numpy(), per_channel)
        graph = onnx.load(path).graph
        weights = {
            tensor.name: tensor for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.INT8
        }
        scales = {
            node.input[1]
            for node in graph.node
            if node.op_type == "DequantizeLinear" and node.input[0] in weights
        }
        found = {max(1, int(np.prod(tensor.dims))) for tensor in graph.initializer if tensor.name in scales}
        assert found == sizes


def test_ranges_come_from_the_calibration_set(exported, tmp_path):
    x = small_net.signals(50)
    right = quantize.to_int8(exported, tmp_path / "right.onnx", x.numpy())
    # As if millivolts had been taken for volts: everything is cut off at a thousandth of what it is.
    wrong = quantize.to_int8(exported, tmp_path / "wrong.onnx", x.numpy() / 1000)
    truth = small_net.run(exported, x)
    assert (
        np.abs(small_net.run(wrong, x) - truth).mean() > 10 * np.abs(small_net.run(right, x) - truth).mean()
    )


@pytest.mark.parametrize("spoiled", [np.nan, np.inf])
def test_a_calibration_set_that_is_none_is_refused(exported, tmp_path, spoiled):
    bad = small_net.signals(4).numpy()
    bad[1, 0, 5] = spoiled
    good = small_net.signals(4).numpy()
    for calibration, message in (
        (bad, "NaN"),
        (good[:0], "needs"),
        (good[:, :1], "takes"),
        (good[..., :50], "takes"),
    ):
        with pytest.raises(ValueError, match=message):
            quantize.to_int8(exported, tmp_path / "int8.onnx", calibration)
    with pytest.raises(ValueError, match="method is one of"):
        quantize.to_int8(exported, tmp_path / "int8.onnx", small_net.signals(4).numpy(), method="guess")


def test_calibration_rows_hold_every_class_and_none_else():
    targets = np.zeros((100, 3))
    targets[:, 0], targets[40, 1], targets[70, 2] = 1, 1, 1
    rows = np.arange(20, 90)
    chosen = quantize.calibration_rows(targets, rows, 10)
    assert len(set(chosen)) == 10 and set(chosen) <= set(rows) and {40, 70} <= set(chosen)
    assert list(chosen) == list(quantize.calibration_rows(targets, rows, 10))
    for wrong in (np.arange(41, 90), np.arange(0, 30)):
        with pytest.raises(ValueError, match="all classes"):
            quantize.calibration_rows(targets, wrong, 10)
    with pytest.raises(ValueError, match="one class|all classes"):
        quantize.calibration_rows(np.ones((20, 1)), np.arange(20), 5)
    with pytest.raises(ValueError, match="71 recordings"):
        quantize.calibration_rows(targets, rows, 71)
