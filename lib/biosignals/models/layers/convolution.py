"""A convolution and batch norm, the pair that most nets for signals are made of."""

from torch import nn


def convolution(channels: int, width: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    """A convolution without bias, padded by half its kernel, and batch norm: layers for an nn.Sequential."""
    return [
        nn.Conv1d(channels, width, kernel, stride, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm1d(width),
    ]
