"""LSTMs as the one operator that ONNX has for them: its exporter would walk through every step, three times
over.
"""

import copy

import torch
from torch import Tensor, nn


class OperatorLSTM(nn.Module):
    """An LSTM of one layer, (batch, steps, features), as ONNX's operator: to be exported, not to be run here.

    ONNX has its gates in another order (input, output, forget, cell) and both directions in one tensor.
    """

    def __init__(self, lstm: nn.LSTM):
        super().__init__()
        self.units, self.directions = lstm.hidden_size, 2 if lstm.bidirectional else 1
        ends = ("l0", "l0_reverse")[: self.directions]
        with torch.no_grad():
            for name in ("weight_ih", "weight_hh"):
                self.register_buffer(
                    name, torch.stack([_in_their_order(getattr(lstm, f"{name}_{end}")) for end in ends])
                )
            biases = [
                [_in_their_order(getattr(lstm, f"{name}_{end}")) for name in ("bias_ih", "bias_hh")]
                for end in ends
            ]
            self.register_buffer("bias", torch.stack([torch.cat(pair) for pair in biases]))

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        batch, steps, _ = x.shape
        inputs = (x.transpose(0, 1), self.weight_ih, self.weight_hh, self.bias)
        direction = "bidirectional" if self.directions == 2 else "forward"
        last = (self.directions, batch, self.units)
        out, hidden, cell = torch.onnx.ops.symbolic_multi_out(
            "::LSTM", inputs, {"hidden_size": self.units, "direction": direction}, dtypes=[x.dtype] * 3,
            shapes=[(steps, *last), last, last],
        )  # fmt: skip
        return out.permute(2, 0, 1, 3).flatten(2), (hidden, cell)


def _in_their_order(gates: Tensor) -> Tensor:
    """Weights of gates in the order input, forget, cell, output, as input, output, forget, cell."""
    first, forget, cell, output = gates.detach().chunk(4)
    return torch.cat([first, output, forget, cell])


def as_operators(net: nn.Module) -> nn.Module:
    """A copy in evaluation mode with LSTMs of one layer in that form; others are left to the exporter."""
    net = copy.deepcopy(net).eval()
    for name, layer in list(net.named_modules()):
        if (
            isinstance(layer, nn.LSTM)
            and layer.num_layers == 1
            and layer.batch_first
            and layer.bias
            and not layer.proj_size
        ):
            net.set_submodule(name, OperatorLSTM(layer))
    return net
