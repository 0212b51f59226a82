"""A small transformer on signals, alone or told the RR intervals as well."""

import math

import torch
from torch import Tensor, nn

from .layers.attention import AttentionPooling
from .layers.convolution import convolution


class Transformer1d(nn.Module):
    """A convolutional embedding (a token per `stride` x `stride` samples), a transformer encoder, a pool of
    its tokens, a dense head that may see RR intervals, too.

    `features` is the number of RR intervals in the second input: the first 10 of a record in seconds,
    zero-padded, float32 (batch, 10); 0: there is no second input. Sinusoidal positions and the encoder layer
    are those of Vaswani et al. (2017), normalised before each part (Xiong et al. 2020). `attention`: tokens
    are weighted before they are added up (Safari et al. 2020), without it they are averaged. Any length from
    `stride` x `stride` samples. Raises ValueError without a second input that was announced.
    """

    def __init__(
        self, channels: int, classes: int, features: int = 0, samples: int = 1000, width: int = 64,
        depth: int = 4, heads: int = 4, hidden: int = 512, dropout: float = 0.1, attention: bool = True,
        stride: int = 4,
    ):  # fmt: skip
        super().__init__()
        self.embedding = nn.Sequential(
            *convolution(channels, width // 2, 9, stride), nn.GELU(),
            *convolution(width // 2, width, 9, stride), nn.GELU(),
        )  # fmt: skip
        layer = nn.TransformerEncoderLayer(
            width, heads, hidden, dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, depth, nn.LayerNorm(width), enable_nested_tensor=False)
        self.pool = AttentionPooling(width) if attention else None
        self.rhythm = nn.BatchNorm1d(features) if features else None
        self.head = nn.Sequential(
            nn.Linear(width + features, 64), nn.ReLU(), nn.Dropout(dropout), nn.Linear(64, classes)
        )

    def forward(self, x: Tensor, features: Tensor | None = None) -> Tensor:
        tokens = self.embedding(x).transpose(1, 2)
        tokens = self.encoder(tokens + positions(tokens.shape[1], tokens.shape[2], tokens.device))
        pooled = tokens.mean(1) if self.pool is None else self.pool(tokens)
        if self.rhythm is None:
            return self.head(pooled)
        if features is None:
            raise ValueError("this transformer takes two inputs: signals and RR intervals")
        return self.head(torch.cat([pooled, self.rhythm(features)], dim=1))


def positions(steps: int, width: int, device: torch.device | None = None) -> Tensor:
    """Sinusoidal position codes, float32 (steps, width): sines in even places, cosines in odd ones."""
    frequency = torch.exp(torch.arange(0, width, 2, device=device) * (-math.log(10_000) / width))
    angle = torch.arange(steps, device=device).unsqueeze(1) * frequency
    return torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)
