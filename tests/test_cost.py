import numpy as np
import pytest
import torch
from torch import nn

import small_net
from biosignals import models
from biosignals.compression import cost, export, prune, quantize


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.calls, self.modes = 0, set()

    def forward(self, x):
        self.calls += 1
        self.modes.add((self.training, torch.is_grad_enabled(), torch.get_num_threads()))
        return x


def test_a_net_is_timed_warm_on_one_thread_without_gradients_and_threads_come_back():
    net, before = Counting(), torch.get_num_threads()
    median, slow = cost.latency(net, torch.zeros(1, 2, 10), repeats=7)
    assert net.calls == 10 and net.modes == {(False, False, 1)}
    assert 0 < median <= slow
    assert torch.get_num_threads() == before


@pytest.mark.slow
def test_memory_of_a_larger_net_is_larger(tmp_path):
    for name, width in (("small", 8), ("large", 3000)):
        net = nn.Sequential(nn.Flatten(), nn.Linear(40, width), nn.Linear(width, width), nn.Linear(width, 2))
        export.export(net, torch.zeros(2, 2, 20), tmp_path / f"{name}.onnx")
    small, large = (cost.memory(tmp_path / f"{name}.onnx", (4, 2, 20)) for name in ("small", "large"))
    assert large > small + 30  # its 9 million weights alone are 34 MiB


def test_a_file_is_timed_as_a_net_is(tmp_path):
    net = nn.Sequential(nn.Flatten(), nn.Linear(40, 2))
    path = export.export(net, torch.zeros(2, 2, 20), tmp_path / "net.onnx")
    median, slow = cost.latency_of_file(path, np.zeros((3, 2, 20), np.float32), repeats=5)
    assert 0 < median <= slow


def test_costs_are_those_of_the_file_and_of_its_net(tmp_path):
    net = small_net.build()
    exported = export.export(net, small_net.signals(2), tmp_path / "net.onnx")
    found = cost.costs(exported, net, small_net.signals(5).numpy(), repeats=3)
    assert found["bytes"] == exported.stat().st_size
    assert found["parameters"] == models.parameter_count(net)
    assert found["MACs"] == cost.multiply_adds(net, small_net.signals(1))
    assert min(found.values()) > 0


def test_multiply_adds_of_a_convolution_follow_the_formula():
    layer = torch.nn.Conv1d(3, 8, 5)
    assert cost.multiply_adds(layer, torch.randn(4, 3, 100)) == 96 * 8 * 3 * 5


def test_zeros_of_a_file_are_those_of_its_net(tmp_path):
    net, x = small_net.build(), small_net.signals(8)
    pruned = prune.remove_masks(prune.magnitude_prune(net, 0.7))
    files = quantize.float_and_int8(pruned, x.numpy(), tmp_path)
    assert cost.zeros_of_file(files["float32"]) == pytest.approx(prune.sparsity(pruned), abs=0.001)
    assert cost.zeros_of_file(files["int8"]) >= cost.zeros_of_file(files["float32"])
    assert cost.zeros_of_file(export.export(net, x, tmp_path / "net.onnx")) == 0
