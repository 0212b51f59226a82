"""EfficientNetV2 (Tan and Le 2021): inverted bottlenecks, the early ones with a dense convolution for two
thin ones.
"""

from collections.abc import Sequence

import torch
import torch.fx
from torch import Tensor, nn
from torch.nn.functional import interpolate

from .layers.image_blocks import StochasticDepth, image_channels, to_images

torch.fx.wrap("to_images")  # one step of a traced net, since it looks at shapes

# Kind of bottleneck, how much wider it is inside, stride of the first block, width, number of blocks.
S = (
    ("fused", 1, 1, 24, 2),
    ("fused", 4, 2, 48, 4),
    ("fused", 4, 2, 64, 4),
    ("separable", 4, 2, 128, 6),
    ("separable", 6, 1, 160, 9),
    ("separable", 6, 2, 256, 15),
)
SMALL = (("fused", 1, 1, 16, 1), ("fused", 4, 2, 32, 2), ("separable", 4, 2, 64, 3))


class EfficientNetV2(nn.Module):
    """A convolution of stride 2, stages of bottlenecks, a wide 1 x 1 convolution, a global average, a linear
    head.

    With the stages S, three images and 1000 classes: 21,458,488 parameters. Pictures of `height` rows, the
    rows of each image stacked as channels; any width. `resize` brings them to that many rows and columns
    first, bilinearly. Raises ValueError for channels that are no multiple of `height`, and for another number
    of them.
    """

    def __init__(
        self, channels: int, classes: int, samples: int, height: int, stages: Sequence[tuple] = S,
        last: int = 1280,
        resize: int | None = None, stochastic_depth: float = 0.2, dropout: float = 0.2,
    ):  # fmt: skip
        super().__init__()
        self.shape = (channels, height)
        self.resize = resize
        width = stages[0][3]
        self.stem = _convolution(image_channels(channels, height), width, stride=2)
        self.blocks = nn.Sequential()
        depth = sum(stage[-1] for stage in stages)
        for kind, expansion, stride, wider, count in stages:
            for i in range(count):
                share = stochastic_depth * len(self.blocks) / depth
                self.blocks.append(Bottleneck(kind, width, wider, expansion, stride if i == 0 else 1, share))
                width = wider
        self.last = _convolution(width, last, kernel=1)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(last, classes)
        _start_by_kaiming(self)
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        x = to_images(x, *self.shape)
        if self.resize is not None:
            x = interpolate(x, (self.resize, self.resize), mode="bilinear")
        x = self.last(self.blocks(self.stem(x)))
        return self.head(self.dropout(x.mean((2, 3))))


class Bottleneck(nn.Module):
    """Wider inside than at its ends, which a shortcut joins where they have one shape."""

    def __init__(self, kind: str, channels: int, width: int, expansion: int, stride: int, share: float):
        super().__init__()
        layers = {"fused": _fused, "separable": _separable}[kind]
        self.layers = layers(channels, expansion * channels, width, stride)
        self.shortcut = stride == 1 and channels == width
        self.drop = StochasticDepth(share)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.drop(self.layers(x)) if self.shortcut else self.layers(x)


def _fused(channels: int, hidden: int, width: int, stride: int) -> nn.Sequential:
    """A dense 3 x 3 convolution widens, a 1 x 1 one narrows; without widening, the first does it all."""
    if hidden == channels:
        return nn.Sequential(_convolution(channels, width, stride=stride))
    return nn.Sequential(
        _convolution(channels, hidden, stride=stride), _convolution(hidden, width, kernel=1, active=False)
    )


def _separable(channels: int, hidden: int, width: int, stride: int) -> nn.Sequential:
    """1 x 1 widens, 3 x 3 looks around in each channel by itself, channels are weighed, 1 x 1 narrows."""
    return nn.Sequential(
        _convolution(channels, hidden, kernel=1),
        _convolution(hidden, hidden, stride=stride, groups=hidden),
        SqueezeExcitation(hidden, channels // 4),
        _convolution(hidden, width, kernel=1, active=False),
    )


class SqueezeExcitation(nn.Module):
    """Weighs each channel by a gate that two small layers make from all channels' means (Hu et al. 2018)."""

    def __init__(self, width: int, squeezed: int):
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(width, squeezed, 1), nn.SiLU(),
            nn.Conv2d(squeezed, width, 1), nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(x)


def _convolution(
    channels: int, width: int, kernel: int = 3, stride: int = 1, groups: int = 1, active: bool = True
) -> nn.Sequential:
    layers = nn.Sequential(
        nn.Conv2d(channels, width, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(width, eps=1e-3),
    )
    return layers.append(nn.SiLU()) if active else layers


def _start_by_kaiming(net: nn.Module) -> None:
    """Convolutions that keep the size of gradients from layer to layer (He et al. 2015), their biases zero.

    The head keeps its usual start: counted by its few classes, its weights would be far too large.
    """
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
