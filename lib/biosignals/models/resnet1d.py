"""Residual nets for ECGs, after the PTB-XL benchmark (Strodthoff et al. 2020)."""

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm

from .layers.convolution import convolution


class Resnet1dWang(nn.Module):
    """Three basic residual blocks of 128 channels after an unstrided stem (Wang et al. 2017): 473,349
    parameters.

    Head of the benchmark: concatenated maximum and mean pooling, two dense layers. Any length from 16
    samples.
    """

    def __init__(self, channels: int, classes: int, samples: int = 1000):
        super().__init__()
        self.stem = nn.Sequential(*convolution(channels, 128, 7), nn.ReLU())
        self.blocks = nn.Sequential(
            BasicBlock(128, 128, stride=1), BasicBlock(128, 128, stride=2), BasicBlock(128, 128, stride=2)
        )
        self.head = pooled_head(128, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(max_and_mean(self.blocks(self.stem(x))))


class NormalisedResnet1dWang(Resnet1dWang):
    """The same net on recordings that are each divided by their own deviation, over time and channels: a
    recorder's gain makes no difference, and how large a heart's waves are is not seen.
    """

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(normalised(x))


class BasicBlock(nn.Module):
    """Two convolutions, the second of kernel 3, beside a shortcut: strided and 1 x 1 where shapes differ."""

    def __init__(self, channels: int, width: int, stride: int, kernel: int = 5):
        super().__init__()
        self.convolutions = nn.Sequential(
            *convolution(channels, width, kernel, stride), nn.ReLU(), *convolution(width, width, 3)
        )
        self.shortcut = nn.Sequential()
        if stride > 1 or channels != width:
            self.shortcut = nn.Sequential(*convolution(channels, width, 1, stride))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.convolutions(x) + self.shortcut(x))


class XResnet1d(nn.Module):
    """Eighteen layers with the "bag of tricks" (He et al. 2019): a stem of three convolutions, shortcuts that
    average before they stride, and residual branches that start at zero. Any length from 32 samples.
    """

    def __init__(self, channels: int, classes: int, samples: int = 1000, width: int = 128):
        super().__init__()
        self.stem = nn.Sequential(
            _unit(channels, 32, stride=2), nn.ReLU(), _unit(32, 32), nn.ReLU(), _unit(32, 64), nn.ReLU(),
            nn.MaxPool1d(3, stride=2, padding=1),
        )  # fmt: skip
        blocks = [XBlock(64, width, stride=1), XBlock(width, width, stride=1)]
        for _ in range(3):
            blocks += [XBlock(width, width, stride=2), XBlock(width, width, stride=1)]
        self.blocks = nn.Sequential(*blocks)
        self.head = pooled_head(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(max_and_mean(self.blocks(self.stem(x))))


class XBlock(nn.Module):
    """Two convolutions of kernel 5 beside a shortcut that halves time by averaging."""

    def __init__(self, channels: int, width: int, stride: int):
        super().__init__()
        self.convolutions = nn.Sequential(
            _unit(channels, width, stride=stride), nn.ReLU(), _unit(width, width)
        )
        nn.init.zeros_(self.convolutions[-1][-1].weight)
        self.shortcut = nn.Sequential()
        if stride > 1:
            self.shortcut.append(nn.AvgPool1d(stride, ceil_mode=True, count_include_pad=False))
        if channels != width:
            self.shortcut.append(_unit(channels, width, kernel=1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.convolutions(x) + self.shortcut(x))


def _unit(channels: int, width: int, kernel: int = 5, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(*convolution(channels, width, kernel, stride))


def normalised(x: Tensor) -> Tensor:
    """x (batch, channels, samples) less each record's mean, over its deviation: the same shape; a flat one is
    zero.
    """
    return layer_norm(x, x.shape[1:], eps=1e-10)


def max_and_mean(x: Tensor) -> Tensor:
    """Maximum and mean of x over time: (batch, channels, ..., samples) to (batch, 2 * channels)."""
    return torch.cat([x.amax(-1), x.mean(-1)], dim=1).flatten(1)


def pooled_head(width: int, classes: int) -> nn.Sequential:
    """The benchmark's two dense layers on `max_and_mean` features of `width` channels."""
    return nn.Sequential(
        nn.BatchNorm1d(2 * width), nn.Dropout(0.25), nn.Linear(2 * width, 128), nn.ReLU(),
        nn.BatchNorm1d(128), nn.Dropout(0.5), nn.Linear(128, classes),
    )  # fmt: skip
