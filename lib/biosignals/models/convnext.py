"""ConvNeXt (Liu et al. 2022): a convolutional net with the layout and the habits of a transformer."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .layers.image_blocks import StochasticDepth, image_channels, start_small, to_images


class ConvNeXt(nn.Module):
    """4 x 4 patches, stages of blocks with 2 x 2 convolutions of stride 2 between, a global average, a linear
    head.

    The defaults are ConvNeXt-Tiny: 28,589,128 parameters for three images and 1000 classes. Pictures of
    `height` rows as they are, the rows of each image stacked as channels; any width that leaves the last
    stage a pixel (32 for four stages). Raises ValueError for channels that are no multiple of `height`, for
    another number of them, and for pictures too small.
    """

    def __init__(
        self, channels: int, classes: int, samples: int, height: int, depths: Sequence[int] = (3, 3, 9, 3),
        widths: Sequence[int] = (96, 192, 384, 768), stochastic_depth: float = 0.1,
    ):  # fmt: skip
        super().__init__()
        self.shape = (channels, height)
        self.least = 4 * 2 ** (len(depths) - 1)
        self._check(height, samples)
        shares = [stochastic_depth * i / (sum(depths) - 1) for i in range(sum(depths))]
        images = image_channels(channels, height)
        self.stages = nn.Sequential(
            nn.Conv2d(images, widths[0], 4, stride=4), ChannelNorm(widths[0], eps=1e-6)
        )
        for i, (depth, width) in enumerate(zip(depths, widths, strict=True)):
            if i > 0:
                self.stages.append(ChannelNorm(widths[i - 1], eps=1e-6))
                self.stages.append(nn.Conv2d(widths[i - 1], width, 2, stride=2))
            self.stages.extend([Block(width, shares.pop(0)) for _ in range(depth)])
        self.norm = nn.LayerNorm(widths[-1], eps=1e-6)
        self.head = nn.Linear(widths[-1], classes)
        start_small(self)
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        x = to_images(x, *self.shape)
        self._check(*x.shape[2:])
        return self.head(self.norm(self.stages(x).mean((2, 3))))

    def _check(self, height: int, width: int) -> None:
        if min(height, width) < self.least:
            raise ValueError(
                f"this convnext needs images of at least {self.least} x {self.least}, not {height} x {width}"
            )


class Block(nn.Module):
    """7 x 7 convolution of each channel by itself, LayerNorm, two dense layers; a residual that starts near
    zero.
    """

    def __init__(self, width: int, share: float):
        super().__init__()
        self.scale = nn.Parameter(torch.full((width,), 1e-6))
        self.depthwise = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.dense = nn.Sequential(
            nn.LayerNorm(width, eps=1e-6), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.drop = StochasticDepth(share)

    def forward(self, x: Tensor) -> Tensor:
        y = self.scale * self.dense(self.depthwise(x).permute(0, 2, 3, 1))
        return x + self.drop(y.permute(0, 3, 1, 2))


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of each pixel: (batch, channels, height, width)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
