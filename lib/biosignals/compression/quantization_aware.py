"""Quantization-aware training: weights and activations are rounded as int8 would round them while a net
learns.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.fx.experimental.optimization import fuse

from biosignals.compression.export import quiet
from biosignals.models.layers.conv1d_as_conv2d import Conv1dAsConv2d, layers_in_time
from biosignals.models.layers.standardised import Standardised, normalised

with quiet():  # torchao warns that parts which only graphics cards need are missing
    from torchao.quantization import pt2e
    from torchao.quantization.pt2e import quantize_pt2e
    from torchao.quantization.pt2e.quantizer.x86_inductor_quantizer import (
        X86InductorQuantizer,
        get_default_x86_inductor_quantization_config,
    )


class FakeQuantized(nn.Module):
    """A net's exported graph that rounds values as 8 bits would and can be trained: (batch, channels,
    samples) to logits.

    Raises ValueError for inputs of other than three dimensions.
    """

    def __init__(self, graph: nn.Module):
        super().__init__()
        self.graph = graph

    def train(self, mode: bool = True) -> FakeQuantized:
        """Switches to training, or to evaluation with `mode` False."""
        # An exported graph holds dropout and batch norm as operations, which only torchao can switch, and
        # slowly.
        if mode != self.training:
            with quiet():
                (pt2e.move_exported_model_to_train if mode else pt2e.move_exported_model_to_eval)(self.graph)
        self.training = mode
        return self

    def __deepcopy__(self, memo: dict) -> FakeQuantized:
        with quiet():
            copied = FakeQuantized(copy.deepcopy(self.graph, memo))
        copied.training = self.training
        return copied

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 3:
            raise ValueError(f"this net takes (batch, channels, samples), not {tuple(x.shape)}")
        # Where training uses 16 bits, rounding to 8 still starts from 32.
        with torch.autocast(x.device.type, enabled=False):
            return self.graph(x.float())


def prepare(net: Standardised, example: Tensor) -> Standardised:
    """A copy whose convolutions and dense layers are trained with rounded weights and inputs, by
    `training.fit`.

    It has the net's 1 x k form, since torchao's quantizer (PT2E) skips layers of one dimension without a
    word; a net for images stays as it is, but leaves out none of its branches any more. Batch norm is folded
    into the convolutions first, so that the weights rounded in training are those that are exported. example:
    inputs, float32 (batch, channels, samples). Raises ValueError for nets without a 1 x k form.
    """
    scaled = normalised(net, example)
    plain = copy.deepcopy(net.net).eval()
    flat = fuse(Conv1dAsConv2d(plain, scaled).eval() if layers_in_time(plain, scaled) else plain).train()
    with quiet():
        graph = torch.export.export(
            flat, (scaled,), dynamic_shapes=({0: torch.export.Dim("batch", min=2)},)
        ).module()
        config = get_default_x86_inductor_quantization_config(is_qat=True)
        weight = replace(config.weight, quant_min=-64, quant_max=64)  # see `quantize`
        quantizer = X86InductorQuantizer().set_global(replace(config, weight=weight))
        graph = quantize_pt2e.prepare_qat_pt2e(graph, quantizer)
    return Standardised(FakeQuantized(graph), float(net.mean), float(net.deviation), net.high_pass).eval()


def convert(net: Standardised) -> Standardised:
    """A net of `prepare` that has been trained, with weights of 8 bits: ready for `export`."""
    graph = copy.deepcopy(net.eval()).net.graph
    with quiet():
        graph = quantize_pt2e.convert_pt2e(graph)
    return Standardised(FakeQuantized(graph), float(net.mean), float(net.deviation), net.high_pass)
