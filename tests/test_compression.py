"""Compression: what is called smaller is smaller, what is called quantized is, and the answers stay what they were."""

import logging

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import torch
from torch.nn.utils import prune as torch_prune

from biosignals import models
from biosignals.compression import cost, export, prune, quantize
from biosignals.data.recordings import Recordings
from biosignals.models.layers.standardised import Standardised
from biosignals.training.fit import TrainingData, fit
from biosignals.training.recipe import Recipe

SAMPLES = 120


@pytest.fixture
def net():
    torch.manual_seed(0)
    net = Standardised(models.create("student-4k", 2, 3, SAMPLES), 0.1, 0.5)
    with torch.no_grad():
        for _ in range(20):  # statistics of batch norm other than those it starts with
            net.train()(signals(16, seed=1))
    return net.eval()


def signals(count, seed=0):
    return torch.from_numpy(
        np.random.default_rng(seed).normal(0.1, 0.5, (count, 2, SAMPLES)).astype(np.float32)
    )


def answers(path, x):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"signals": np.asarray(x)})[0]


def learnt_further(net, cache):
    """A fit of two epochs on made recordings, from the net's own weights."""
    table = pd.DataFrame({"subject": range(32), "samples": SAMPLES})
    recordings = Recordings("made", signals(32).numpy(), 1.0, "mV", 100.0, ("a", "b"), table)
    targets = np.eye(3, dtype=np.float32)[np.arange(32) % 3]
    recipe = Recipe(epochs=2, batch_size=8, crop=None)
    return fit(net, TrainingData(recordings, targets, np.arange(32)), recipe)


def convolutions(net):
    return [module for module in net.modules() if isinstance(module, torch.nn.Conv1d | torch.nn.Linear)]


# Pruning


def test_small_weights_are_those_that_torch_would_prune(net):
    masked = prune.magnitude_prune(net, 0.6)
    for layer, other in zip(convolutions(net), convolutions(prune.remove_masks(masked)), strict=True):
        torch_prune.l1_unstructured(layer, "weight", 0.6)
        torch.testing.assert_close(layer.weight, other.weight)
    assert prune.sparsity(masked) == pytest.approx(0.6, abs=0.01)
    assert models.parameter_count(masked) == models.parameter_count(net)


def test_weights_at_zero_stay_there_while_the_net_learns(net, tmp_path):
    masked = prune.magnitude_prune(net, 0.5)
    fit = learnt_further(masked, tmp_path)
    assert prune.sparsity(fit.net) == prune.sparsity(masked)
    learnt = convolutions(prune.remove_masks(fit.net))
    for layer, mask, before in zip(
        learnt, convolutions(prune.remove_masks(masked)), convolutions(net), strict=True
    ):
        assert torch.equal(layer.weight == 0, mask.weight == 0)
        assert not torch.equal(layer.weight, before.weight)


def test_without_channels_a_net_is_smaller_and_takes_less(net):
    x = signals(2)
    smaller = prune.prune_channels(net, x, 0.5)
    assert models.parameter_count(smaller) < 0.4 * models.parameter_count(net)
    assert cost.multiply_adds(smaller, x) < 0.5 * cost.multiply_adds(net, x)
    assert smaller(x).shape == net(x).shape


def test_channels_that_do_nothing_go_first_and_change_no_answer(net):
    convolution, norm = net.net.blocks[0][0], net.net.blocks[0][1]
    with torch.no_grad():
        for part in (convolution.weight, convolution.bias, norm.weight, norm.bias):
            part[[1, 3]] = 0
        net.net.blocks[1][0].weight[:, [1, 3]] = 0
    keep = [block[0] for block in net.net.blocks[1:]]
    smaller = prune.prune_channels(net, signals(2), 0.5, keep)
    assert smaller.net.blocks[0][0].out_channels == 2
    torch.testing.assert_close(smaller(signals(3)), net(signals(3)))


def test_what_is_loaded_by_other_names_has_lost_its_weights_and_nothing_else(net):
    lost = prune.pruned_and_lost(net, 0.2, seed=1)  # the net itself began with seed 0
    before, after = net.state_dict(), lost.state_dict()
    for name, value in before.items():
        is_lost = value.ndim > 1  # weights of convolutions and dense layers; not of batch norm
        assert torch.equal(after[name], value) != is_lost, name


def test_one_step_for_all_layers_leaves_few_values_to_layers_of_small_weights(net):
    with torch.no_grad():
        convolutions(net)[0].weight.mul_(1e-4)
    rounded = convolutions(prune.with_one_step(net, 8))
    assert rounded[0].weight.unique().numel() == 1  # all zero
    largest = max(layer.weight.abs().max() for layer in convolutions(net))
    for layer, before in zip(rounded, convolutions(net), strict=True):
        assert (layer.weight - before.weight).abs().max() <= largest / 127 / 2 + 1e-6


@pytest.mark.parametrize("share", [-0.1, 1.0, 2.0])
def test_a_share_outside_of_0_to_1_is_refused(net, share):
    for prune_by in (prune.magnitude_prune, lambda *a: prune.prune_channels(a[0], signals(2), a[1])):
        with pytest.raises(ValueError, match="share"):
            prune_by(net, share)


def test_a_net_whose_channels_hang_together_with_a_recurrent_layer_is_refused():
    net = models.create("cnn-lstm", 2, 3, 400).eval()
    with pytest.raises(ValueError, match="CnnLstm cannot be pruned"):
        prune.prune_channels(net, torch.randn(2, 2, 400), 0.5)


def test_a_pruned_net_learns_further(net, tmp_path):
    smaller = prune.prune_channels(net, signals(2), 0.5)
    fit = learnt_further(smaller, tmp_path)
    assert models.parameter_count(fit.net) == models.parameter_count(smaller)
    assert not torch.equal(fit.net.net.head.weight, smaller.net.head.weight)


# Files


@pytest.fixture
def exported(net, tmp_path):
    return export.export(net, signals(2), tmp_path / "net.onnx")


@pytest.mark.parametrize("multiclass", [False, True])
def test_an_exported_net_gives_probabilities_of_any_batch(net, tmp_path, multiclass):
    path = export.export(net, signals(2), tmp_path / "net.onnx", multiclass)
    for count in (1, 2, 7):
        logits = net(signals(count)).detach()
        expected = logits.softmax(1) if multiclass else logits.sigmoid()
        np.testing.assert_allclose(answers(path, signals(count)), expected, atol=1e-5)


def test_nets_of_one_structure_are_written_each_with_its_own_weights(tmp_path):
    x = torch.cat([signals(5)] * 4, dim=-1)
    for seed in range(2):
        torch.manual_seed(seed)
        net = Standardised(models.create("cnn-lstm", 2, 3, 4 * SAMPLES), 0.1 * seed, 0.5 + seed).eval()
        path = export.export(net, x[:2], tmp_path / f"{seed}.onnx")
        np.testing.assert_allclose(answers(path, x), net(x).sigmoid().detach(), atol=1e-5)


class Recurrent(torch.nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.lstm = torch.nn.LSTM(2, 4, batch_first=True, **options)

    def forward(self, x):
        out, (hidden, cell) = self.lstm(x.transpose(1, 2))
        return torch.cat([out[:, 5], hidden[0], cell[-1]], dim=1)


@pytest.mark.parametrize("options", [{}, {"bidirectional": True}, {"num_layers": 2}])
def test_lstms_are_exported_with_all_that_they_answer(options, tmp_path):
    torch.manual_seed(0)
    net, x = Recurrent(**options).eval(), signals(5)[..., :20]
    path = export.export(net, x[:2], tmp_path / "net.onnx")
    np.testing.assert_allclose(answers(path, x), net(x).sigmoid().detach(), atol=1e-5)


def test_a_setting_that_no_weight_shows_makes_another_structure(tmp_path):
    x = signals(5)
    for negative in (0.1, 0.9):
        net = torch.nn.Sequential(
            torch.nn.LeakyReLU(negative), torch.nn.AdaptiveAvgPool1d(1), torch.nn.Flatten()
        )
        path = export.export(net, x[:2], tmp_path / f"{negative}.onnx")
        np.testing.assert_allclose(answers(path, x), net(x).sigmoid(), atol=1e-5)


def test_what_is_known_by_its_address_alone_makes_no_structure(tmp_path):
    class Gain:
        def __init__(self, factor):
            self.factor = factor

        def __repr__(self):
            return "<Gain at 0x7f>"

    class Louder(torch.nn.Module):
        def __init__(self, gain):
            super().__init__()
            self.gain = gain

        def forward(self, x):
            return x.mean(-1) * self.gain.factor

    x = signals(5)
    for factor in (1.0, 3.0):
        net = Louder(Gain(factor))
        path = export.export(net, x[:2], tmp_path / f"{factor}.onnx")
        np.testing.assert_allclose(answers(path, x), net(x).sigmoid(), atol=1e-5)


def test_a_net_with_a_layer_that_onnx_does_not_know_is_refused(tmp_path):
    class Spectrum(torch.nn.Module):
        def forward(self, x):
            return torch.linalg.eigvals(x[:, :, :2]).real

    with pytest.raises(ValueError, match="Spectrum cannot be written"):
        export.export(Spectrum(), signals(2), tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


def test_s4_is_exported_as_convolutions(tmp_path):
    torch.manual_seed(0)
    net = Standardised(models.create("s4", 2, 3, SAMPLES), 0.1, 0.5).eval()
    path = export.export(net, signals(2), tmp_path / "s4.onnx")
    expected = net(signals(5)).sigmoid().detach()
    np.testing.assert_allclose(answers(path, signals(5)), expected, atol=1e-4)


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
            quantize.to_int8(path, tmp_path / "new.onnx", signals(4).numpy())
    assert not (tmp_path / "new.onnx").exists()


def test_files_get_smaller_and_say_nearly_the_same(net, exported, tmp_path):
    before, x = answers(exported, signals(50)), signals(50)
    small = {
        "half": quantize.to_float16(exported, tmp_path / "half.onnx"),
        "dynamic": quantize.to_dynamic_int8(exported, tmp_path / "dynamic.onnx"),
        "static": quantize.to_int8(exported, tmp_path / "static.onnx", x.numpy()),
        "per tensor": quantize.to_int8(exported, tmp_path / "tensor.onnx", x.numpy(), per_channel=False),
    }
    for path in small.values():
        assert path.stat().st_size < exported.stat().st_size
        assert np.abs(answers(path, x) - before).max() < 0.02
        onnx.checker.check_model(path, full_check=True)
    assert quantize.quantized_layers(exported) == (0, 4)
    assert quantize.quantized_layers(small["half"]) == (0, 4)
    for name in ("dynamic", "static", "per tensor"):
        assert quantize.quantized_layers(small[name]) == (4, 4)


def test_a_layer_that_the_runtime_computes_in_floats_is_not_counted(exported, tmp_path):
    static = quantize.to_int8(exported, tmp_path / "static.onnx", signals(20).numpy())
    model = onnx.load(static)
    # Without the rounding of its input, a convolution still has weights of eight bits and is none of eight bits.
    first = next(node for node in model.graph.node if node.op_type == "Conv")
    first.input[0] = "signals"
    onnx.save(model, tmp_path / "half.onnx")
    assert quantize.quantized_layers(static) == (4, 4)
    assert quantize.quantized_layers(tmp_path / "half.onnx") == (3, 4)


def test_both_files_are_made_once_and_again_after_a_change(net, tmp_path):
    windows = signals(8).numpy()
    first = quantize.float_and_int8(net, windows, tmp_path)
    before = {way: path.stat().st_mtime_ns for way, path in first.items()}
    assert quantize.float_and_int8(net, windows, tmp_path) == first
    assert {way: path.stat().st_mtime_ns for way, path in first.items()} == before
    assert quantize.quantized_layers(first["int8"]) == (4, 4)
    assert quantize.float_and_int8(net, windows[:4], tmp_path)["int8"] != first["int8"]
    with torch.no_grad():
        net.net.head.bias += 1
    assert quantize.float_and_int8(net, windows, tmp_path)["float32"] != first["float32"]


def test_costs_are_those_of_the_file_and_of_its_net(net, exported):
    found = cost.costs(exported, net, signals(5).numpy(), repeats=3)
    assert found["bytes"] == exported.stat().st_size
    assert found["parameters"] == models.parameter_count(net)
    assert found["MACs"] == cost.multiply_adds(net, signals(1))
    assert min(found.values()) > 0


def test_weights_of_eight_bits_have_a_scale_per_channel_or_one(exported, tmp_path):
    for per_channel, sizes in ((True, {4, 12, 24, 3}), (False, {1})):
        path = quantize.to_int8(exported, tmp_path / "int8.onnx", signals(4).numpy(), per_channel)
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
    x = signals(50)
    right = quantize.to_int8(exported, tmp_path / "right.onnx", x.numpy())
    # As if millivolts had been taken for volts: everything is cut off at a thousandth of what it is.
    wrong = quantize.to_int8(exported, tmp_path / "wrong.onnx", x.numpy() / 1000)
    truth = answers(exported, x)
    assert np.abs(answers(wrong, x) - truth).mean() > 10 * np.abs(answers(right, x) - truth).mean()


@pytest.mark.parametrize("spoiled", [np.nan, np.inf])
def test_a_calibration_set_that_is_none_is_refused(exported, tmp_path, spoiled):
    bad = signals(4).numpy()
    bad[1, 0, 5] = spoiled
    good = signals(4).numpy()
    for calibration, message in (
        (bad, "NaN"),
        (good[:0], "needs"),
        (good[:, :1], "takes"),
        (good[..., :50], "takes"),
    ):
        with pytest.raises(ValueError, match=message):
            quantize.to_int8(exported, tmp_path / "int8.onnx", calibration)
    with pytest.raises(ValueError, match="method is one of"):
        quantize.to_int8(exported, tmp_path / "int8.onnx", signals(4).numpy(), method="guess")


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


# Costs


def test_multiply_adds_of_a_convolution_follow_the_formula():
    layer = torch.nn.Conv1d(3, 8, 5)
    assert cost.multiply_adds(layer, torch.randn(4, 3, 100)) == 96 * 8 * 3 * 5


def test_quiet_is_over_when_it_ends(caplog):
    with export.quiet():
        logging.getLogger("torch.onnx").warning("hidden")
    logging.getLogger("torch.onnx").warning("shown")
    assert caplog.messages == ["shown"]
