"""The CvT-ConvMixer, two readers of one picture, after a system for identification from PPG (Sensors 2024,
24(1), 15).

A convolutional vision transformer (Wu et al. 2021) beside a ConvMixer, their features joined by dense and
self-attention layers. Far smaller than the original: 0.6 million parameters for one image.
"""

import torch
from torch import Tensor, nn

from .convmixer import Block, check_patches
from .layers.attention import attend
from .layers.image_blocks import image_channels, to_images


class CvtConvMixer(nn.Module):
    """Both branches see the picture in cells of 8 x 8; a dense layer, then self-attention over the cells of
    both, a mean.

    Input (batch, images x height, samples), the rows of each image stacked. Any width from 8 samples.
    ValueError for fewer, and for channels that are no multiple of `height`.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        samples: int = 128,
        height: int = 64,
        width: int = 128,
        dropout: float = 0.2,
    ):
        super().__init__()
        images = image_channels(channels, height)
        check_patches(8, min(height, samples))
        self.shape = (channels, height)
        self.transformer = nn.Sequential(
            Embedding(images, width // 2, kernel=7, stride=4), TransformerBlock(width // 2, heads=2),
            Embedding(width // 2, width, kernel=3, stride=2), TransformerBlock(width, heads=4),
            TransformerBlock(width, heads=4),
        )  # fmt: skip
        self.mixer = nn.Sequential(
            nn.Conv2d(images, width, 8, stride=8), nn.GELU(), nn.BatchNorm2d(width),
            *(Block(nn.Conv2d, nn.BatchNorm2d, width, kernel=7) for _ in range(4)),
        )  # fmt: skip
        self.dense = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Dropout(dropout)
        )
        self.attention = NormalisedAttention(width, heads=4)
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Dropout(dropout), nn.Linear(width, classes))

    def forward(self, x: Tensor) -> Tensor:
        picture = to_images(x, *self.shape)
        cells = self.dense(torch.cat([tokens(self.transformer(picture)), tokens(self.mixer(picture))], dim=1))
        return self.head((cells + self.attention(cells)).mean(1))


def tokens(features: Tensor) -> Tensor:
    """features (batch, width, rows, columns) as tokens (batch, rows x columns, width)."""
    return features.flatten(2).transpose(1, 2)


class Embedding(nn.Module):
    """Overlapping patches as vectors, normalised each by itself: CvT needs no codes of position, its
    convolutions tell.
    """

    def __init__(self, channels: int, width: int, kernel: int, stride: int):
        super().__init__()
        self.patches = nn.Conv2d(channels, width, kernel, stride, padding=kernel // 2)
        self.norm = nn.LayerNorm(width)

    def forward(self, features: Tensor) -> Tensor:
        features = self.patches(features)
        return self.norm(tokens(features)).transpose(1, 2).unflatten(2, features.shape[2:])


class TransformerBlock(nn.Module):
    """Attention between places, then a dense part for each place, both beside a residual."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = ConvolutionalAttention(width, heads)
        self.dense = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, features: Tensor) -> Tensor:
        shape, places = features.shape[2:], tokens(features)
        places = places + self.attention(self.norm(places).transpose(1, 2).unflatten(2, shape))
        places = places + self.dense(places)
        return places.transpose(1, 2).unflatten(2, shape)


class ConvolutionalAttention(nn.Module):
    """Self-attention whose queries, keys and values are convolutions of the map; keys and values at a quarter
    of the places.

    (batch, width, rows, columns) to (batch, rows x columns, width).
    """

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.queries = _projection(width, stride=1)
        self.keys = _projection(width, stride=2)
        self.values = _projection(width, stride=2)
        self.mix = nn.Linear(width, width)

    def forward(self, features: Tensor) -> Tensor:
        projections = (self.queries, self.keys, self.values)
        return self.mix(attend(self.heads, *(tokens(project(features)) for project in projections)))


class NormalisedAttention(nn.Module):
    """Attention of normalised tokens on each other, (batch, tokens, width) in and out."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(attend(self.heads, *self.queries_keys_values(self.norm(x)).chunk(3, dim=2)))


def _projection(width: int, stride: int) -> nn.Sequential:
    """Depthwise, then pointwise."""
    return nn.Sequential(
        nn.Conv2d(width, width, 3, stride, padding=1, groups=width, bias=False),
        nn.BatchNorm2d(width),
        nn.Conv2d(width, width, 1),
    )
