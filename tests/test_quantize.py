"""Quantized files are smaller, really run in eight bits and give nearly the same probabilities."""

from functools import partial

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import torch

import small_net
from biosignals.compression import export, quantize
from biosignals.data.recordings import Recordings
from biosignals.models.layers.high_pass import HighPass
from biosignals.models.layers.standardised import Standardised
from biosignals.models.resnet1d import normalised
from biosignals.training import augmentation
from biosignals.training.cross_validation import Examples


@pytest.fixture
def net():
    return small_net.build()


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    place = tmp_path_factory.mktemp("exported") / "net.onnx"
    return export.export(small_net.build(), small_net.signals(2), place)


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


class MovingAverage(torch.nn.Module):
    """Weights of one sign and size, inputs of one sign: the largest sums that eight bits can give."""

    def __init__(self):
        super().__init__()
        self.smooth = torch.nn.Conv1d(2, 16, 15, padding=7, bias=False)
        torch.nn.init.constant_(self.smooth.weight, 1 / 30)
        self.head = torch.nn.Linear(16, 1)

    def forward(self, x):
        return self.head(torch.relu(self.smooth(torch.relu(x))).mean(-1))


def weights_of(path) -> list[np.ndarray]:
    """What ONNX Runtime multiplies with in eight bits: the constants of signed bytes with two axes or more."""
    tensors = [onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer]
    return [tensor for tensor in tensors if tensor.dtype == np.int8 and tensor.ndim > 1]


@pytest.mark.parametrize("make", [small_net.build, MovingAverage])
def test_eight_bits_give_the_sums_of_exact_arithmetic_on_every_processor(make, tmp_path):
    torch.manual_seed(0)
    exported = export.export(make().eval(), small_net.signals(2), tmp_path / "net.onnx")
    x = small_net.signals(50).numpy() + 1
    static = quantize.to_int8(exported, tmp_path / "static.onnx", x)
    per_tensor = quantize.to_int8(exported, tmp_path / "tensor.onnx", x, per_channel=False)
    for path in (static, per_tensor, quantize.to_dynamic_int8(exported, tmp_path / "dynamic.onnx")):
        # Without VNNI two products of a byte each are added in 16 bits, with a sign.
        largest = max(np.abs(weights.astype(int)).max() for weights in weights_of(path))
        assert 50 < largest and 2 * 255 * largest < 2**15
    for path in (static, per_tensor):
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        in_floats = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        (exact,) = in_floats.run(None, {"signals": x})
        np.testing.assert_allclose(small_net.run(path, x), exact, atol=1e-3)


def test_a_high_pass_stays_in_floats_and_is_no_layer(tmp_path):
    net = small_net.build()
    net.high_pass = HighPass(1.0, 100.0)
    x = small_net.signals(50)
    exported = export.export(net, x[:2], tmp_path / "net.onnx")
    np.testing.assert_allclose(small_net.run(exported, x + 5), net(x).sigmoid().detach(), atol=1e-4)
    dynamic = quantize.to_dynamic_int8(exported, tmp_path / "dynamic.onnx")
    for path in (dynamic, quantize.to_int8(exported, tmp_path / "static.onnx", x.numpy())):
        np.testing.assert_allclose(small_net.run(path, x + 5), small_net.run(path, x), atol=1e-3)
        assert quantize.quantized_layers(path) == (4, 4)


class BlindToGain(torch.nn.Module):
    """A net on recordings that are each divided by their own deviation."""

    def __init__(self):
        super().__init__()
        self.net = small_net.build().net

    def forward(self, x):
        return self.net(normalised(x))


def test_a_division_by_the_recordings_own_deviation_stays_in_floats(tmp_path):
    x = small_net.signals(50)
    net = Standardised(BlindToGain(), 0.0, 0.5, HighPass(1.0, 100.0)).eval()
    exported = export.export(net, x[:2], tmp_path / "net.onnx")
    dynamic = quantize.to_dynamic_int8(exported, tmp_path / "dynamic.onnx")
    for path in (dynamic, quantize.to_int8(exported, tmp_path / "static.onnx", x.numpy())):
        for gain in (0.1, 10):  # ten times what calibrated would leave the range of eight bits
            np.testing.assert_allclose(small_net.run(path, gain * x), small_net.run(path, x), atol=1e-3)
        assert quantize.quantized_layers(path) == (4, 4)


def test_what_has_eight_bits_gets_no_fewer(exported, tmp_path):
    x = small_net.signals(4).numpy()
    small = quantize.to_int8(exported, tmp_path / "int8.onnx", x.astype(np.float64))
    for again in (quantize.to_dynamic_int8, partial(quantize.to_int8, calibration=x)):
        with pytest.raises(ValueError, match="8 bits already"):
            again(small, tmp_path / "again.onnx")


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


def test_files_of_each_group_are_calibrated_with_what_its_net_learnt_from(net, tmp_path):
    signals, targets = small_net.signals(40).numpy(), np.eye(3, dtype=np.float32)[np.arange(40) % 3]
    table = pd.DataFrame({"subject": range(40), "samples": small_net.SAMPLES})
    recordings = Recordings("made", signals, 1.0, "mV", 100.0, ("a", "b"), table)
    rows = np.arange(40)
    examples = Examples(recordings, targets, groups=[(rows[:20], rows[20:]), (rows[20:], rows[:20])])
    windows = quantize.calibration_windows(examples, examples.groups[1][0], 5, crop=60)
    learnt = {window.tobytes() for window in signals[20:, :, 30:90]}
    assert len(windows) == 5 and {window.tobytes() for window in windows} <= learnt
    assert len(quantize.calibration_windows(examples, examples.groups[0][0])) == 20
    halved = quantize.calibration_windows(examples, rows, 5, augment=augmentation.Scale(0.5, 0.5))
    assert np.array_equal(halved, quantize.calibration_windows(examples, rows, 5) / 2)
    some = [quantize.calibration_windows(examples, rows, 5, augment=augmentation.Noise(0.1)) for _ in "ab"]
    assert np.array_equal(*some)
    files = quantize.out_of_fold_files(examples, [[net, net]], tmp_path, 8)
    ((whole, same),), ((first, second),) = files["float32"], files["int8"]
    assert whole == same and first != second
    with pytest.raises(ValueError):
        quantize.out_of_fold_files(examples, [[net]], tmp_path, 8)
