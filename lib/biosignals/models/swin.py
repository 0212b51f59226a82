"""The Swin transformer (Liu et al. 2021): attention within windows, which move by half their width."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from .layers.image_blocks import StochasticDepth, image_channels, small_parameter, start_small, to_images


class Swin(nn.Module):
    """4 x 4 patches, stages of attention within windows, between which four neighbours become one, the mean
    over places, a linear head.

    The defaults are Swin-Tiny. Pictures of `height` rows, the rows of each image stacked as channels; any
    width. They are filled up with zeros until all stages have whole windows. Raises ValueError for channels
    that are no multiple of `height`, and for another number of them.
    """

    def __init__(
        self, channels: int, classes: int, samples: int, height: int, patch: int = 4, width: int = 96,
        depths: Sequence[int] = (2, 2, 6, 2), heads: Sequence[int] = (3, 6, 12, 24), window: int = 7,
        stochastic_depth: float = 0.1,
    ):  # fmt: skip
        super().__init__()
        self.shape = (channels, height)
        self.multiple = patch * window * 2 ** (len(depths) - 1)
        self.projection = nn.Conv2d(image_channels(channels, height), width, patch, stride=patch)
        self.projection_norm = nn.LayerNorm(width)
        shares = [stochastic_depth * i / max(sum(depths) - 1, 1) for i in range(sum(depths))]
        self.stages = nn.Sequential()
        for i, (depth, count) in enumerate(zip(depths, heads, strict=True)):
            if i > 0:
                self.stages.append(PatchMerging(width))
                width = 2 * width
            for j in range(depth):
                self.stages.append(Block(width, count, window, window // 2 * (j % 2), shares.pop(0)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)
        start_small(self)

    def forward(self, x: Tensor) -> Tensor:
        x = to_images(x, *self.shape)
        below, right = (-size % self.multiple for size in x.shape[2:])
        x = self.projection(pad(x, (0, right, 0, below))).permute(0, 2, 3, 1)
        return self.head(self.norm(self.stages(self.projection_norm(x))).mean((1, 2)))


class PatchMerging(nn.Module):
    """Four neighbours side by side, then half as wide: (batch, rows, columns, width) to (batch, rows / 2,
    columns / 2, 2 width).
    """

    def __init__(self, width: int):
        super().__init__()
        self.layers = nn.Sequential(nn.LayerNorm(4 * width), nn.Linear(4 * width, 2 * width, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        corners = [x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        return self.layers(torch.cat(corners, dim=3))


class Block(nn.Module):
    """Attention within windows, then two dense layers on each place, both normalised before and added to what
    came in: (batch, rows, columns, width) in and out. shift: by how many places the windows are moved.
    """

    def __init__(self, width: int, heads: int, window: int, shift: int, share: float):
        super().__init__()
        self.window, self.shift = window, shift
        self.norm = nn.LayerNorm(width)
        self.attention = WindowAttention(width, heads, window)
        self.dense = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.drop = StochasticDepth(share)

    def forward(self, x: Tensor) -> Tensor:
        moved = torch.roll(self.norm(x), (-self.shift, -self.shift), (1, 2))
        windows = _cut(moved, self.window)
        found = self.attention(windows, self._apart(x.shape[1], x.shape[2], x.device))
        joined = _join(found, self.window, x.shape[1], x.shape[2])
        x = x + self.drop(torch.roll(joined, (self.shift, self.shift), (1, 2)))
        return x + self.drop(self.dense(x))

    def _apart(self, rows: int, columns: int, device: torch.device) -> Tensor | None:
        """Which places of a window were no neighbours before the move: -100 in place of 0, (windows, places,
        places).
        """
        if not self.shift:
            return None
        regions = [
            (torch.arange(size, device=device) >= size - self.window).long()
            + (torch.arange(size, device=device) >= size - self.shift)
            for size in (rows, columns)
        ]
        region = (3 * regions[0][:, None] + regions[1])[None, :, :, None]
        own = _cut(region, self.window)[0, :, :, 0]
        return (own[:, :, None] != own[:, None]) * -100.0


class WindowAttention(nn.Module):
    """Attention among the places of a window, to whose weights a learned number for each difference of places
    is added: (batch, windows, places, width) in and out.
    """

    def __init__(self, width: int, heads: int, window: int):
        super().__init__()
        self.heads = heads
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.projection = nn.Linear(width, width)
        self.bias = small_parameter((2 * window - 1) ** 2, heads)
        place = torch.stack(torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij"))
        apart = (place.flatten(1)[:, :, None] - place.flatten(1)[:, None]) + window - 1
        self.register_buffer("difference", apart[0] * (2 * window - 1) + apart[1], persistent=False)

    def forward(self, x: Tensor, apart: Tensor | None) -> Tensor:
        queries, keys, values = (
            part.unflatten(3, (self.heads, -1)).transpose(2, 3)
            for part in self.queries_keys_values(x).chunk(3, dim=3)
        )
        fits = queries @ keys.transpose(3, 4) / queries.shape[4] ** 0.5
        fits = fits + self.bias[self.difference].permute(2, 0, 1)
        if apart is not None:
            fits = fits + apart[:, None]
        return self.projection((fits.softmax(4) @ values).transpose(2, 3).flatten(3))


def _cut(x: Tensor, window: int) -> Tensor:
    """(batch, rows, columns, width) as (batch, windows, places, width)."""
    x = x.unflatten(2, (-1, window)).unflatten(1, (-1, window))
    return x.transpose(2, 3).flatten(3, 4).flatten(1, 2)


def _join(x: Tensor, window: int, rows: int, columns: int) -> Tensor:
    """What `_cut` cut, as it was."""
    x = x.unflatten(1, (rows // window, columns // window)).unflatten(3, (window, window))
    return x.transpose(2, 3).flatten(3, 4).flatten(1, 2)
