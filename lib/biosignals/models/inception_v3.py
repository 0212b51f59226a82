"""A small net after Inception-v3 (Szegedy et al. 2016): kernels side by side, the long ones in two steps."""

import torch
from torch import Tensor, nn

from .layers.image_blocks import image_channels, to_images


class InceptionV3(nn.Module):
    """A stem, two blocks of kernels 1, 3 and 5, a reduction, two blocks with 1 x 7 and 7 x 1, a global
    average, dropout, a linear head.

    Pictures of `height` rows, the rows of each image stacked as channels; any width. Raises ValueError for
    channels that are no multiple of `height`, and for another number of them.
    """

    def __init__(
        self, channels: int, classes: int, samples: int, height: int, width: int = 16, dropout: float = 0.2
    ):
        super().__init__()
        self.shape = (channels, height)
        images = image_channels(channels, height)
        self.stem = nn.Sequential(
            _convolution(images, width, 3, stride=2), _convolution(width, 2 * width, 3),
            nn.MaxPool2d(3, stride=2, padding=1),
        )  # fmt: skip
        self.blocks = nn.Sequential(
            SquareBlock(2 * width, width), SquareBlock(4 * width, width), Reduction(4 * width, 2 * width),
            LongBlock(8 * width, 2 * width), LongBlock(8 * width, 2 * width),
        )  # fmt: skip
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(8 * width, classes)
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.stem(to_images(x, *self.shape)))
        return self.head(self.dropout(x.mean((2, 3))))


class Branches(nn.Module):
    """Several views of the same picture, their channels concatenated."""

    def __init__(self, *branches: nn.Module):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class SquareBlock(Branches):
    """Kernels of 1, 3 and 5, the last as two of 3, and a mean over neighbours: 4 `width` channels."""

    def __init__(self, channels: int, width: int):
        super().__init__(
            _convolution(channels, width, 1),
            nn.Sequential(_convolution(channels, width, 1), _convolution(width, width, 3)),
            nn.Sequential(
                _convolution(channels, width, 1), _convolution(width, width, 3), _convolution(width, width, 3)
            ),
            nn.Sequential(nn.AvgPool2d(3, stride=1, padding=1), _convolution(channels, width, 1)),
        )


class LongBlock(Branches):
    """As `SquareBlock`, with kernels of 7 x 7 as 1 x 7 and 7 x 1, once and twice."""

    def __init__(self, channels: int, width: int):
        once = [_convolution(width, width, (1, 7)), _convolution(width, width, (7, 1))]
        twice = [_convolution(width, width, kernel) for kernel in ((7, 1), (1, 7), (7, 1), (1, 7))]
        super().__init__(
            _convolution(channels, width, 1),
            nn.Sequential(_convolution(channels, width, 1), *once),
            nn.Sequential(_convolution(channels, width, 1), *twice),
            nn.Sequential(nn.AvgPool2d(3, stride=1, padding=1), _convolution(channels, width, 1)),
        )


class Reduction(Branches):
    """Half as large: two convolutions of stride 2 and a maximum, `channels` + 2 `width` channels."""

    def __init__(self, channels: int, width: int):
        super().__init__(
            _convolution(channels, width, 3, stride=2),
            nn.Sequential(_convolution(channels, width, 1), _convolution(width, width, 3, stride=2)),
            nn.MaxPool2d(3, stride=2, padding=1),
        )


def _convolution(channels: int, width: int, kernel: int | tuple[int, int], stride: int = 1) -> nn.Sequential:
    rows, columns = (kernel, kernel) if isinstance(kernel, int) else kernel
    return nn.Sequential(
        nn.Conv2d(channels, width, (rows, columns), stride, padding=(rows // 2, columns // 2), bias=False),
        nn.BatchNorm2d(width, eps=1e-3),
        nn.ReLU(),
    )
