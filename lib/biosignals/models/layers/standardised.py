"""Normalisation inside the net, so that whoever uses it feeds millivolts as recorded."""

import torch
from torch import Tensor, nn


class Standardised(nn.Module):
    """A net behind a fixed (x - mean) / deviation, whose two numbers come from training recordings, of what a
    `high_pass` leaves where there is one.
    """

    def __init__(self, net: nn.Module, mean: float, deviation: float, high_pass: nn.Module | None = None):
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("deviation", torch.tensor(deviation))
        self.high_pass = high_pass or nn.Identity()
        self.net = net

    def forward(self, x: Tensor, *features: Tensor) -> Tensor:
        return self.net(normalised(self, x), *features)


def normalised(net: Standardised, x: Tensor) -> Tensor:
    """What the net behind the normalisation is given of x (batch, channels, samples), in deviations."""
    return (net.high_pass(x) - net.mean) / net.deviation
