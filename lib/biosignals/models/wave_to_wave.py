"""A small net that turns one signal into another of the same length, as an ECG into a pulse wave."""

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from .layers.convolution import convolution


class WaveToWave(nn.Module):
    """A U-Net in one dimension (Ronneberger et al. 2015): three convolutions that halve time, three that
    double it again beside what the way down had seen.

    Input (batch, channels, samples), output (batch, samples): a logit for each sample of the other signal, so
    that `classes` are its samples. ValueError where these are not the input's, and for fewer than 8.
    """

    def __init__(self, channels: int, classes: int, samples: int = 300, width: int = 24, kernel: int = 9):
        super().__init__()
        if classes != samples or samples < 8:
            raise ValueError(f"{samples} samples in (8 or more) and as many out, not {classes}")
        widths = (width, 2 * width, 4 * width)
        self.first = _layer(channels, width, kernel)
        self.down = nn.ModuleList(
            _layer(before, after, kernel, 2) for before, after in zip((width, *widths), widths)
        )
        skipped = (2 * width, width, width)
        self.up = nn.ModuleList(
            _layer(below + beside, beside, kernel) for below, beside in zip(widths[::-1], skipped)
        )
        self.head = nn.Conv1d(width, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        seen = [self.first(x)]
        for layer in self.down:
            seen.append(layer(seen[-1]))
        x = seen.pop()
        for layer in self.up:
            beside = seen.pop()
            x = layer(torch.cat([interpolate(x, size=beside.shape[-1], mode="linear"), beside], dim=1))
        return self.head(x)[:, 0]


def _layer(before: int, after: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(*convolution(before, after, kernel, stride=stride), nn.ReLU())
