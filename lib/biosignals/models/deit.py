"""The data-efficient image transformer with a distillation token (Touvron et al. 2021)."""

import torch
from torch import Tensor, nn

from .layers.image_blocks import EncoderBlock, PatchEmbedding, small_parameter, start_small


class DeiT(nn.Module):
    """Two learned tokens go along with the patches: one for the labels, one for a teacher's answers, a head
    each.

    Pictures of `height` rows by `samples`, the rows of each image stacked as channels, filled up to whole
    patches: 182 x 256 to 192 x 256. The prediction is the mean of both heads. The learned positions fix both
    sides: raises ValueError for channels that are no multiple of `height`, and for another size.
    """

    def __init__(
        self, channels: int, classes: int, samples: int, height: int,
        patch: int = 16, width: int = 192, depth: int = 12, heads: int = 3, hidden: int = 768,
        dropout: float = 0.2,
    ):  # fmt: skip
        super().__init__()
        self.patches = PatchEmbedding(channels, height, samples, patch, width)
        # In the order of the published weights.
        self.class_token = small_parameter(1, 1, width)
        self.positions = small_parameter(1, 2 + self.patches.grid[0] * self.patches.grid[1], width)
        self.distillation_token = small_parameter(1, 1, width)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.Sequential(*(EncoderBlock(width, heads, hidden, dropout) for _ in range(depth)))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Linear(width, classes)
        self.distillation_head = nn.Linear(width, classes)
        start_small(self)

    def forward(self, x: Tensor) -> Tensor:
        by_labels, by_teacher = self.both_logits(x)
        return (by_labels + by_teacher) / 2

    def both_logits(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the head for the labels and of the one for a teacher's answers, (batch, classes) each."""
        own = (token.expand(x.shape[0], -1, -1) for token in (self.class_token, self.distillation_token))
        tokens = self.dropout(torch.cat([*own, self.patches(x)], dim=1) + self.positions)
        tokens = self.norm(self.blocks(tokens))
        return self.head(tokens[:, 0]), self.distillation_head(tokens[:, 1])
