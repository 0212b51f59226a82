"""A small vision transformer on the signal itself: patches of time instead of squares of a picture."""

from torch import Tensor, nn

from .layers.image_blocks import EncoderBlock, small_parameter, start_small


class SignalViT(nn.Module):
    """Pieces of `patch` samples of all channels as tokens, learned positions, encoder blocks, the mean over
    tokens, a linear head.

    Zeros at the end fill the last piece. The learned positions fix the length: raises ValueError for another
    number of samples than built for.
    """

    def __init__(
        self, channels: int, classes: int, samples: int = 1000,
        patch: int = 20, width: int = 96, depth: int = 4, heads: int = 4, dropout: float = 0.1,
    ):  # fmt: skip
        super().__init__()
        self.samples, self.patch = samples, patch
        self.projection = nn.Linear(channels * patch, width)
        self.positions = small_parameter(1, -(-samples // patch), width)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.Sequential(*(EncoderBlock(width, heads, 4 * width, dropout) for _ in range(depth)))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Linear(width, classes)
        start_small(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encode(self.tokens(x)).mean(1))

    def patches(self, x: Tensor) -> Tensor:
        """x (batch, channels, samples) in pieces: (batch, pieces, channels * patch)."""
        if x.shape[2] != self.samples:
            raise ValueError(f"this signal-vit takes {self.samples} samples, not {x.shape[2]}")
        x = nn.functional.pad(x, (0, -self.samples % self.patch))
        return x.unflatten(2, (-1, self.patch)).transpose(1, 2).flatten(2)

    def tokens(self, x: Tensor) -> Tensor:
        """The pieces of x (batch, channels, samples) with their positions: (batch, pieces, width)."""
        return self.dropout(self.projection(self.patches(x)) + self.positions)

    def encode(self, tokens: Tensor) -> Tensor:
        """What the blocks make of tokens, all or some: (batch, tokens, width) in and out."""
        return self.norm(self.blocks(tokens))
