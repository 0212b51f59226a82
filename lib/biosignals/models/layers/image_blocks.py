"""What the nets for pictures share: their input, the transformer's parts, and branches left out at random."""

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from .attention import SelfAttention


def image_channels(channels: int, height: int) -> int:
    """Number of images of `height` rows in `channels` stacked rows; ValueError when they do not come out
    even.
    """
    if channels < height or channels % height:
        raise ValueError(
            f"{channels} channels are no multiple of this net's {height} rows: stack the rows of each image "
            "as channels"
        )
    return channels // height


def to_images(x: Tensor, channels: int, height: int, samples: int | None = None) -> Tensor:
    """x (batch, images * height, width) as (batch, images, height, width), stored side by side (channels
    last).

    Raises ValueError for another number of channels, and for a width other than `samples` where that is
    given.
    """
    if x.ndim != 3 or x.shape[1] != channels or samples not in (None, x.shape[2]):
        width = "" if samples is None else f" x {samples} samples"
        raise ValueError(
            f"this net takes {channels} channels ({channels // height} x {height} rows){width}, "
            f"not {tuple(x.shape[1:])}"
        )
    return x.unflatten(1, (-1, height)).contiguous(memory_format=torch.channels_last)


class StochasticDepth(nn.Module):
    """Sets a residual branch to zero for a random share of the batch, the rest scaled up (Huang et al. 2016).

    In training only.
    """

    def __init__(self, share: float):
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.share:
            return x
        kept = torch.rand(len(x), *[1] * (x.ndim - 1), device=x.device) >= self.share
        return x * kept.to(x.dtype) / (1 - self.share)


class PatchEmbedding(nn.Module):
    """Cuts pictures into square patches, a token each: (batch, images * height, samples) to (batch, patches,
    width).

    Zeros below and on the right fill the last patches; `grid` is their number down and across. Raises
    ValueError for channels that are no multiple of `height`, and for another size.
    """

    def __init__(self, channels: int, height: int, samples: int, patch: int, width: int):
        super().__init__()
        self.shape = (channels, height, samples)
        self.grid = (-(-height // patch), -(-samples // patch))
        self.missing = (0, self.grid[1] * patch - samples, 0, self.grid[0] * patch - height)
        self.projection = nn.Conv2d(image_channels(channels, height), width, patch, stride=patch)

    def forward(self, x: Tensor) -> Tensor:
        return self.projection(pad(to_images(x, *self.shape), self.missing)).flatten(2).transpose(1, 2)


class EncoderBlock(nn.Module):
    """Attention, then two dense layers on each token, both normalised before and added to what came in.

    Dropout after each dense layer but the one that makes queries, keys and values (Dosovitskiy et al. 2021).
    """

    def __init__(self, width: int, heads: int, hidden: int, dropout: float):
        super().__init__()
        self.attention = nn.Sequential(
            nn.LayerNorm(width, eps=1e-6), SelfAttention(width, heads), nn.Dropout(dropout)
        )
        self.dense = nn.Sequential(
            nn.LayerNorm(width, eps=1e-6), nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout),
            nn.Linear(hidden, width), nn.Dropout(dropout),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(x)
        return x + self.dense(x)


def start_small(net: nn.Module) -> None:
    """Weights of dense layers and convolutions from a normal distribution of deviation .02; biases zero."""
    for layer in net.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            nn.init.normal_(layer.weight, std=0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def small_parameter(*shape: int) -> nn.Parameter:
    """A parameter of `shape`, started as `start_small` does weights."""
    return nn.Parameter(0.02 * torch.randn(shape))
