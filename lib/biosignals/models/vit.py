"""The vision transformer (Dosovitskiy et al. 2021), with the mean over patches in place of a class token."""

from torch import Tensor, nn

from .layers.image_blocks import EncoderBlock, PatchEmbedding, small_parameter, start_small


class ViT(nn.Module):
    """Patches as tokens, learned positions, encoder blocks, the mean over tokens, a linear head.

    Pictures of `height` rows by `samples`, the rows of each image stacked as channels: 3 * 182 channels are
    three images. They are filled up to whole patches, 182 x 256 to 184 x 256. The learned positions fix both
    sides: raises ValueError for channels that are no multiple of `height`, and for another size.
    """

    def __init__(
        self, channels: int, classes: int, samples: int, height: int,
        patch: int = 8, width: int = 256, depth: int = 6, heads: int = 4, hidden: int = 1024,
        dropout: float = 0.1,
    ):  # fmt: skip
        super().__init__()
        self.patches = PatchEmbedding(channels, height, samples, patch, width)
        self.positions = small_parameter(1, self.patches.grid[0] * self.patches.grid[1], width)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.Sequential(*(EncoderBlock(width, heads, hidden, dropout) for _ in range(depth)))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Linear(width, classes)
        start_small(self)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.blocks(self.dropout(self.patches(x) + self.positions))
        return self.head(self.norm(tokens).mean(1))
