"""Normalisation inside the net, so that whoever uses it feeds millivolts as recorded."""

import torch
from torch import Tensor, nn


class Standardised(nn.Module):
    """A net behind a fixed (x - mean) / deviation, whose two numbers come from training recordings."""

    def __init__(self, net: nn.Module, mean: float, deviation: float):
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("deviation", torch.tensor(deviation))
        self.net = net

    def forward(self, x: Tensor, *features: Tensor) -> Tensor:
        return self.net((x - self.mean) / self.deviation, *features)
