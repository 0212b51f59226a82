"""The Inception 1-D CNN, whose flatten > dense layer holds 96 % of its parameters."""

import torch
from torch import Tensor, nn


class InceptionCnn(nn.Module):
    """Four convolutions, one inception block, three dense layers: 4,265,189 parameters for 12 x 1000 and 5
    classes.

    The dense layers fix the input's length to `samples`.
    """

    def __init__(self, channels: int, classes: int, samples: int = 1000):
        super().__init__()
        self.samples = samples
        self.features = nn.Sequential(
            _convolution(channels, 32, 7), nn.BatchNorm1d(32),
            _convolution(32, 128, 5), nn.MaxPool1d(2), nn.BatchNorm1d(128),
            _convolution(128, 64, 7), nn.MaxPool1d(2), nn.BatchNorm1d(64),
            _convolution(64, 64, 5), nn.MaxPool1d(2), nn.BatchNorm1d(64),
            Inception(64, 64),
        )  # fmt: skip
        self.head = nn.Sequential(
            nn.Linear(256 * (samples // 8), 128), nn.ReLU(), nn.BatchNorm1d(128),
            nn.Linear(128, 128), nn.ReLU(), nn.BatchNorm1d(128),
            nn.Linear(128, classes),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch, classes) of x (batch, channels, samples). Raises ValueError for other samples than
        built for.
        """
        if x.shape[-1] != self.samples:
            raise ValueError(f"this inception-cnn takes {self.samples} samples, not {x.shape[-1]}")
        return self.head(self.features(x).flatten(1))


class Inception(nn.Module):
    """Four views of the same steps, concatenated: kernels of 1, 3 and 5, and a maximum pool (Szegedy et al.
    2015).
    """

    def __init__(self, channels: int, width: int):
        super().__init__()
        self.branches = nn.ModuleList(
            [
                _convolution(channels, width, 1),
                nn.Sequential(_convolution(channels, width, 1), _convolution(width, width, 3)),
                nn.Sequential(_convolution(channels, width, 1), _convolution(width, width, 5)),
                nn.Sequential(nn.MaxPool1d(3, stride=1, padding=1), _convolution(channels, width, 1)),
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], dim=1)


def _convolution(channels: int, width: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv1d(channels, width, kernel, padding=kernel // 2), nn.ReLU())
