"""Attention (Vaswani et al. 2017): each token becomes a mixture of all, weighted by how its query fits their
keys.
"""

from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention


def attend(heads: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Scaled dot-product attention, each head on its share of the width: (batch, tokens, width) of all four.

    `keys` and `values` may have another number of tokens than `queries`, whose number the result has.
    """
    split = (x.unflatten(2, (heads, -1)).transpose(1, 2) for x in (queries, keys, values))
    return scaled_dot_product_attention(*split).transpose(1, 2).flatten(2)


class SelfAttention(nn.Module):
    """Attention of tokens on each other, (batch, tokens, width) in and out."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.projection = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.projection(attend(self.heads, *self.queries_keys_values(x).chunk(3, dim=2)))


class AttentionPooling(nn.Module):
    """The tokens' mean, each weighted by how much it matters: (batch, tokens, width) to (batch, width)."""

    def __init__(self, width: int):
        super().__init__()
        self.score = nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.score(x).softmax(1)).sum(1)
