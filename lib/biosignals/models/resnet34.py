"""ResNet-34 (He et al. 2016) in one dimension."""

import torch
from torch import Tensor, nn

STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))  # width, blocks


class ResNet34(nn.Module):
    """A stem that quarters time, then 16 residual blocks in four stages, each but the first halving time; global average.

    With one channel and 46 classes 7,241,838 parameters. Any length.
    """

    def __init__(self, channels: int, classes: int, samples: int = 300):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv1d(channels, 64, 7, stride=2, padding=3, bias=False), nn.BatchNorm1d(64), nn.ReLU(),
            nn.MaxPool1d(3, stride=2, padding=1),
        )  # fmt: skip
        blocks, before = [], 64
        for width, count in STAGES:
            blocks.append(Block(before, width, stride=1 if width == before else 2))
            blocks += [Block(width, width, stride=1) for _ in range(count - 1)]
            before = width
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(before, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.stem(x)).mean(-1).flatten(1))


class Block(nn.Module):
    """Two convolutions of kernel 3 beside a shortcut, which a 1 x 1 convolution fits where shapes differ."""

    def __init__(self, channels: int, width: int, stride: int):
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv1d(channels, width, 3, stride=stride, padding=1, bias=False), nn.BatchNorm1d(width), nn.ReLU(),
            nn.Conv1d(width, width, 3, padding=1, bias=False), nn.BatchNorm1d(width),
        )  # fmt: skip
        self.shortcut = nn.Sequential()
        if channels != width:
            self.shortcut = nn.Sequential(
                nn.Conv1d(channels, width, 1, stride=stride, bias=False), nn.BatchNorm1d(width)
            )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.convolutions(x) + self.shortcut(x))
