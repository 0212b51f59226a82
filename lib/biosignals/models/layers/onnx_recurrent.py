"""LSTMs and GRUs as the one operator that ONNX has for each: its exporter would walk through every step."""

import copy

import torch
from torch import Tensor, nn

# Places of PyTorch's gates in ONNX's order: LSTM input, output, forget, cell; GRU update, reset, new.
GATES = {nn.LSTM: (0, 3, 1, 2), nn.GRU: (1, 0, 2)}


class Operator(nn.Module):
    """A recurrent layer, (batch, steps, features), as ONNX's operator: to be exported, not to be run here.

    ONNX has its gates in another order and both directions in one tensor.
    """

    def __init__(self, layer: nn.LSTM | nn.GRU):
        super().__init__()
        self.kind, self.units = type(layer), layer.hidden_size
        self.directions = 2 if layer.bidirectional else 1
        ends = ("l0", "l0_reverse")[: self.directions]
        with torch.no_grad():
            for name in ("weight_ih", "weight_hh"):
                self.register_buffer(
                    name, torch.stack([self._in_their_order(getattr(layer, f"{name}_{end}")) for end in ends])
                )
            biases = [
                [self._in_their_order(getattr(layer, f"{name}_{end}")) for name in ("bias_ih", "bias_hh")]
                for end in ends
            ]
            self.register_buffer("bias", torch.stack([torch.cat(pair) for pair in biases]))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | tuple[Tensor, ...]]:
        batch, steps, _ = x.shape
        inputs = (x.transpose(0, 1), self.weight_ih, self.weight_hh, self.bias)
        direction = "bidirectional" if self.directions == 2 else "forward"
        settings: dict[str, int | str] = {"hidden_size": self.units, "direction": direction}
        last = (self.directions, batch, self.units)
        shapes = [(steps, *last), last, last]
        if self.kind is nn.GRU:  # which has no cell, and whose new gate is reset after its matrix product
            settings["linear_before_reset"], shapes = 1, shapes[:2]
        out, hidden, *cell = torch.onnx.ops.symbolic_multi_out(
            f"::{self.kind.__name__}", inputs, settings, dtypes=[x.dtype] * len(shapes), shapes=shapes
        )
        return out.permute(2, 0, 1, 3).flatten(2), (hidden, *cell) if cell else hidden

    def _in_their_order(self, gates: Tensor) -> Tensor:
        """Weights of PyTorch's gates, one below the other, in ONNX's order."""
        order = GATES[self.kind]
        parts = gates.detach().chunk(len(order))
        return torch.cat([parts[place] for place in order])


def as_operators(net: nn.Module) -> nn.Module:
    """A copy in evaluation mode, LSTMs and GRUs of one layer in that form; others stay as they are."""
    net = copy.deepcopy(net).eval()
    for name, layer in list(net.named_modules()):
        if (
            type(layer) in GATES
            and layer.num_layers == 1
            and layer.batch_first
            and layer.bias
            and not layer.proj_size
        ):
            net.set_submodule(name, Operator(layer))
    return net
