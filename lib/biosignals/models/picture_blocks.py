"""What the nets for pictures share: their input."""

import torch
from torch import Tensor


def image_channels(channels: int, height: int) -> int:
    """Number of images of `height` rows in `channels` stacked rows; ValueError when they do not come out even."""
    if channels < height or channels % height:
        raise ValueError(
            f"{channels} channels are no multiple of this net's {height} rows: stack the rows of each image as channels"
        )
    return channels // height


def to_pictures(x: Tensor, channels: int, height: int, samples: int | None = None) -> Tensor:
    """(batch, images * height, width) to (batch, images, height, width), images stored side by side (channels last).

    Raises ValueError for another number of channels, and for a width other than `samples` where that is given.
    """
    if x.ndim != 3 or x.shape[1] != channels or samples not in (None, x.shape[2]):
        width = "" if samples is None else f" x {samples} samples"
        raise ValueError(
            f"this net takes {channels} channels ({channels // height} x {height} rows){width}, "
            f"not {tuple(x.shape[1:])}"
        )
    return x.unflatten(1, (-1, height)).contiguous(memory_format=torch.channels_last)
