"""ConvMixer (Trockman and Kolter 2023): patches, then convolutions that mix places and channels in turn.

Width 256 and depth 8 are those of the paper's smallest nets, kernels 9 samples or 7 x 7 cells; the small nets
are for a few hundred pulses.
"""

import torch
from torch import Tensor, nn

from .layers.image_blocks import image_channels, to_images

SMALL = {"width": 64, "depth": 4, "kernel": 7, "dropout": 0.3}


class ConvMixer1d(nn.Module):
    """Reads a scalogram along time only: its rows, or any signal's leads, are the channels of the first
    convolution.

    A patch projection, then `depth` blocks of a depthwise convolution with a residual and a pointwise one,
    each with GELU and batch norm; average pool; linear. Any length from `patch` samples; a rest shorter than
    a patch is left out. ValueError for fewer.
    """

    def __init__(
        self, channels: int, classes: int, samples: int = 128,
        width: int = 256, depth: int = 8, kernel: int = 9, patch: int = 2, dropout: float = 0.0,
    ):  # fmt: skip
        super().__init__()
        check_patches(patch, samples)
        self.features = nn.Sequential(
            nn.Conv1d(channels, width, patch, stride=patch), nn.GELU(), nn.BatchNorm1d(width),
            *(Block(nn.Conv1d, nn.BatchNorm1d, width, kernel, dropout) for _ in range(depth)),
        )  # fmt: skip
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(width, classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).mean(-1).flatten(1))


class ConvMixer2d(nn.Module):
    """Reads a scalogram as an image: the same in two dimensions, patches and kernels square.

    Input (batch, images x height, samples), the rows of each image stacked. Any width from `patch` samples; a
    rest smaller than a patch is left out. ValueError for fewer, and for channels that are no multiple of
    `height`.
    """

    def __init__(
        self, channels: int, classes: int, samples: int = 128, height: int = 64,
        width: int = 256, depth: int = 8, kernel: int = 7, patch: int = 4, dropout: float = 0.0,
    ):  # fmt: skip
        super().__init__()
        check_patches(patch, min(height, samples))
        self.shape = (channels, height)
        self.features = nn.Sequential(
            nn.Conv2d(image_channels(channels, height), width, patch, stride=patch), nn.GELU(),
            nn.BatchNorm2d(width),
            *(Block(nn.Conv2d, nn.BatchNorm2d, width, kernel, dropout) for _ in range(depth)),
        )  # fmt: skip
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(width, classes))
        self.to(memory_format=torch.channels_last)  # on CPUs a training step takes two thirds of the time

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(to_images(x, *self.shape)).mean((2, 3)))


class Block(nn.Module):
    """Mixes the places of each channel, beside a residual, then the channels of each place."""

    def __init__(
        self,
        convolution: type[nn.Module],
        norm: type[nn.Module],
        width: int,
        kernel: int,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.places = nn.Sequential(
            convolution(width, width, kernel, padding=kernel // 2, groups=width), nn.GELU(), norm(width)
        )
        self.channels = nn.Sequential(
            convolution(width, width, 1), nn.GELU(), norm(width), nn.Dropout(dropout)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.channels(x + self.places(x))


def check_patches(patch: int, samples: int) -> None:
    """ValueError unless one patch fits."""
    if samples < patch:
        raise ValueError(f"this net's patches take {patch} samples, more than the {samples} there are")
