"""A transformer on one or more leads that is told the RR intervals as well."""

import math

import torch
from torch import Tensor, nn

from .layers.convolution import convolution


class RrTransformer(nn.Module):
    """A convolutional embedding (a token per 16 samples), a transformer encoder, a dense head that also sees
    RR intervals.

    `features` is the number of RR intervals in the second input: the first 10 of a record in seconds,
    zero-padded, float32 (batch, 10). Sinusoidal positions and the encoder layer are those of Vaswani et al.
    (2017), normalised before each part (Xiong et al. 2020). Any length from 16 samples. Raises ValueError
    without the second input.
    """

    def __init__(
        self, channels: int, classes: int, features: int, samples: int = 1000,
        width: int = 64, depth: int = 3, heads: int = 4, dropout: float = 0.1,
    ):  # fmt: skip
        super().__init__()
        self.embedding = nn.Sequential(
            *convolution(channels, width // 2, 9, stride=4), nn.GELU(),
            *convolution(width // 2, width, 9, stride=4), nn.GELU(),
        )  # fmt: skip
        layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, depth, nn.LayerNorm(width), enable_nested_tensor=False)
        self.rhythm = nn.BatchNorm1d(features)
        self.head = nn.Sequential(
            nn.Linear(width + features, 64), nn.ReLU(), nn.Dropout(dropout), nn.Linear(64, classes)
        )

    def forward(self, x: Tensor, features: Tensor | None = None) -> Tensor:
        if features is None:
            raise ValueError("rr-transformer takes two inputs: signals and RR intervals")
        tokens = self.embedding(x).transpose(1, 2)
        tokens = self.encoder(tokens + positions(tokens.shape[1], tokens.shape[2], tokens.device))
        return self.head(torch.cat([tokens.mean(1), self.rhythm(features)], dim=1))


def positions(steps: int, width: int, device: torch.device | None = None) -> Tensor:
    """Sinusoidal position codes, float32 (steps, width): sines in even places, cosines in odd ones."""
    frequency = torch.exp(torch.arange(0, width, 2, device=device) * (-math.log(10_000) / width))
    angle = torch.arange(steps, device=device).unsqueeze(1) * frequency
    return torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)
