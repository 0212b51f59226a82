"""ShuffleNet (Zhang et al. 2018) in one dimension: channels in groups, shuffled so that groups learn of each
other.
"""

import torch
from torch import Tensor, nn

from .layers.convolution import convolution

STAGES = ((240, 4), (480, 8), (960, 4))  # width, units
GROUPS = 3


class ShuffleNet(nn.Module):
    """A stem that quarters time, then 16 units in three stages that halve it; global average. Any length."""

    def __init__(self, channels: int, classes: int, samples: int = 300):
        super().__init__()
        self.stem = nn.Sequential(
            *convolution(channels, 24, 3, stride=2), nn.ReLU(), nn.MaxPool1d(3, stride=2, padding=1)
        )
        units, before = [], 24
        for width, count in STAGES:
            units.append(HalvingUnit(before, width))
            units += [Unit(width) for _ in range(count - 1)]
            before = width
        self.units = nn.Sequential(*units)
        self.head = nn.Linear(before, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.units(self.stem(x)).mean(-1).flatten(1))


class Unit(nn.Module):
    """A bottleneck beside its input."""

    def __init__(self, width: int):
        super().__init__()
        self.bottleneck = _bottleneck(width, width, stride=1, groups=GROUPS)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.bottleneck(x))


class HalvingUnit(nn.Module):
    """A strided bottleneck that adds channels to those of its input, averaged over neighbours."""

    def __init__(self, channels: int, width: int):
        super().__init__()
        # The stem's 24 channels are too few for groups.
        groups = GROUPS if channels > 24 else 1
        self.bottleneck = _bottleneck(channels, width - channels, stride=2, groups=groups)
        self.pool = nn.AvgPool1d(3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(torch.cat([self.pool(x), self.bottleneck(x)], dim=1))


class Shuffle(nn.Module):
    """Deals the channels of each of `groups` groups out to all of them."""

    def __init__(self, groups: int):
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        return x.unflatten(1, (self.groups, -1)).transpose(1, 2).flatten(1, 2)


def _bottleneck(channels: int, width: int, stride: int, groups: int) -> nn.Sequential:
    middle = (width + (channels if stride > 1 else 0)) // 4
    return nn.Sequential(
        *convolution(channels, middle, 1, groups=groups), nn.ReLU(), Shuffle(GROUPS),
        *convolution(middle, middle, 3, stride, groups=middle),
        *convolution(middle, width, 1, groups=GROUPS),
    )  # fmt: skip
