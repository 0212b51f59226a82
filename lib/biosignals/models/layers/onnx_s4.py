"""S4 for one length of input, as plain convolutions: the form for places that have no complex numbers, such
as ONNX.
"""

import copy

import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d

from biosignals.models.s4 import S4, S4Layer


class FixedLengthLayer(nn.Module):
    """An S4 layer whose kernels are worked out for `samples` steps: one depthwise convolution, 2 x samples -
    1 wide.

    Raises ValueError for inputs of another length, which its kernel does not reach across.
    """

    def __init__(self, layer: S4Layer, samples: int):
        super().__init__()
        with torch.no_grad():
            # The causal kernel looks back from 0 steps to samples - 1, the other ahead from 1 step to samples
            # - 1.
            back, ahead = layer.forwards(samples), layer.backwards(samples)
            kernel = torch.cat([back.flip(-1), ahead[:, : samples - 1]], dim=-1)
        self.register_buffer("kernel", kernel.unsqueeze(1))
        self.skip, self.mix, self.norm = layer.skip, layer.mix, layer.norm

    def forward(self, x: Tensor) -> Tensor:
        if 2 * x.shape[-1] - 1 != self.kernel.shape[-1]:
            raise ValueError(f"made for {self.kernel.shape[-1] // 2 + 1} steps, not {x.shape[-1]}")
        y = conv1d(x, self.kernel, padding=self.kernel.shape[-1] // 2, groups=x.shape[1])
        return self.norm(x + self.mix(y + self.skip * x))


def as_convolutions(net: S4, samples: int) -> S4:
    """A copy in evaluation mode that computes the same from inputs of `samples`; others raise ValueError."""
    net = copy.deepcopy(net).eval()
    steps = net.encoder(torch.zeros(1, net.encoder.in_channels, samples)).shape[-1]
    net.layers = nn.ModuleList(FixedLengthLayer(layer, steps) for layer in net.layers)
    return net
