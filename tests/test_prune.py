"""Pruned weights stay at zero while a net learns, and pruned channels make it smaller."""

import pytest
import torch
from torch.nn.utils import prune as torch_prune

import small_net
from biosignals import models
from biosignals.compression import cost, prune


@pytest.fixture
def net():
    return small_net.build()


def convolutions(net):
    return [module for module in net.modules() if isinstance(module, torch.nn.Conv1d | torch.nn.Linear)]


def test_small_weights_are_those_that_torch_would_prune(net):
    masked = prune.magnitude_prune(net, 0.6)
    for layer, other in zip(convolutions(net), convolutions(prune.remove_masks(masked)), strict=True):
        torch_prune.l1_unstructured(layer, "weight", 0.6)
        torch.testing.assert_close(layer.weight, other.weight)
    assert prune.sparsity(masked) == pytest.approx(0.6, abs=0.01)
    assert models.parameter_count(masked) == models.parameter_count(net)


def test_weights_at_zero_stay_there_while_the_net_learns(net):
    masked = prune.magnitude_prune(net, 0.5)
    fit = small_net.train_further(masked)
    assert prune.sparsity(fit.net) == prune.sparsity(masked)
    learnt = convolutions(prune.remove_masks(fit.net))
    for layer, mask, before in zip(
        learnt, convolutions(prune.remove_masks(masked)), convolutions(net), strict=True
    ):
        assert torch.equal(layer.weight == 0, mask.weight == 0)
        assert not torch.equal(layer.weight, before.weight)


def test_a_net_with_fewer_channels_is_smaller_and_takes_fewer_operations(net):
    x = small_net.signals(2)
    smaller = prune.prune_channels(net, x, 0.5)
    assert models.parameter_count(smaller) < 0.4 * models.parameter_count(net)
    assert cost.multiply_adds(smaller, x) < 0.5 * cost.multiply_adds(net, x)
    assert smaller(x).shape == net(x).shape


def test_channels_that_do_nothing_go_first_and_change_no_output(net):
    convolution, norm = net.net.blocks[0][0], net.net.blocks[0][1]
    with torch.no_grad():
        for part in (convolution.weight, convolution.bias, norm.weight, norm.bias):
            part[[1, 3]] = 0
        net.net.blocks[1][0].weight[:, [1, 3]] = 0
    keep = [block[0] for block in net.net.blocks[1:]]
    smaller = prune.prune_channels(net, small_net.signals(2), 0.5, keep)
    assert smaller.net.blocks[0][0].out_channels == 2
    torch.testing.assert_close(smaller(small_net.signals(3)), net(small_net.signals(3)))


@pytest.mark.parametrize("share", [-0.1, 1.0, 2.0])
def test_a_share_outside_of_0_to_1_is_refused(net, share):
    for prune_by in (
        prune.magnitude_prune,
        lambda *a: prune.prune_channels(a[0], small_net.signals(2), a[1]),
    ):
        with pytest.raises(ValueError, match="share"):
            prune_by(net, share)


def test_a_net_whose_channels_hang_together_with_a_recurrent_layer_is_refused():
    net = models.create("cnn-lstm", 2, 3, 400).eval()
    with pytest.raises(ValueError, match="CnnLstm cannot be pruned"):
        prune.prune_channels(net, torch.randn(2, 2, 400), 0.5)


def test_a_pruned_net_learns_further(net):
    smaller = prune.prune_channels(net, small_net.signals(2), 0.5)
    fit = small_net.train_further(smaller)
    assert models.parameter_count(fit.net) == models.parameter_count(smaller)
    assert not torch.equal(fit.net.net.head.weight, smaller.net.head.weight)
