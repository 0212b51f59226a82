"""A small residual net for one-lead ECGs, alone or beside features of the rhythm."""

import torch
from torch import Tensor, nn

from .layers.convolution import convolution
from .resnet1d import BasicBlock, max_and_mean, normalised

WIDTH = 96


class Resnet1dSmall(nn.Module):
    """Four residual blocks behind a stem that keeps every fourth step: 194,850 parameters for one lead, two
    classes.

    Any length from 32 samples. Each record is normalised by its own mean and deviation (over time and
    channels), so that a recorder's gain and offset make no difference.
    """

    def __init__(self, channels: int, classes: int, samples: int = 1000):
        super().__init__()
        self.body = _body(channels)
        self.head = _head(2 * WIDTH, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(max_and_mean(self.body(normalised(x))))


class Resnet1dRhythm(nn.Module):
    """The same net, whose head also sees features of the rhythm, finite float32 (batch, features),
    batch-normalised.

    Raises ValueError without the second input.
    """

    def __init__(self, channels: int, classes: int, features: int, samples: int = 1000):
        super().__init__()
        self.body = _body(channels)
        self.rhythm = nn.BatchNorm1d(features)
        self.head = _head(2 * WIDTH + features, classes)

    def forward(self, x: Tensor, features: Tensor | None = None) -> Tensor:
        if features is None:
            raise ValueError("resnet1d-rhythm takes two inputs: signals and features of the rhythm")
        waves = max_and_mean(self.body(normalised(x)))
        return self.head(torch.cat([waves, self.rhythm(features)], dim=1))


def _body(channels: int) -> nn.Sequential:
    return nn.Sequential(
        *convolution(channels, 32, 11, stride=2), nn.ReLU(), nn.MaxPool1d(3, stride=2, padding=1),
        BasicBlock(32, 32, stride=1), BasicBlock(32, 64, stride=2),
        BasicBlock(64, WIDTH, stride=2), BasicBlock(WIDTH, WIDTH, stride=2),
    )  # fmt: skip


def _head(inputs: int, classes: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, 64, bias=False), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.3),
        nn.Linear(64, classes)
    )  # fmt: skip
