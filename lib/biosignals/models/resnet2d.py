"""A small residual net on pictures (He et al. 2016), in the form that they gave to 32 x 32 photographs."""

import torch
from torch import Tensor, nn

from .convmixer import check_patches
from .layers.image_blocks import image_channels, to_images


class ResNet2d(nn.Module):
    """A convolution that halves the picture, then three stages of two blocks each, 16, 32 and 64 channels
    wide, a mean, a linear layer: 175 thousand parameters for one image.

    Input (batch, images x height, samples), the rows of each image stacked. Any width from 8 samples.
    ValueError for fewer, and for channels that are no multiple of `height`.
    """

    def __init__(
        self, channels: int, classes: int, samples: int = 128, height: int = 64,
        widths: tuple[int, ...] = (16, 32, 64), depth: int = 2,
    ):  # fmt: skip
        super().__init__()
        check_patches(8, min(height, samples))
        self.shape = (channels, height)
        images, first = image_channels(channels, height), widths[0]
        blocks, before = [], first
        for stage, width in enumerate(widths):
            for place in range(depth):
                blocks.append(Block(before, width, stride=2 if stage and not place else 1))
                before = width
        self.features = nn.Sequential(
            nn.Conv2d(images, first, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(first), nn.ReLU(),
            *blocks,
        )  # fmt: skip
        self.head = nn.Linear(before, classes)
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(to_images(x, *self.shape)).mean((2, 3)))


class Block(nn.Module):
    """Two convolutions beside a shortcut, which is a 1 x 1 convolution where the shape changes."""

    def __init__(self, before: int, width: int, stride: int):
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(before, width, 3, stride, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width),
        )  # fmt: skip
        same = before == width and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv2d(before, width, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return (self.convolutions(x) + self.shortcut(x)).relu()
