"""A temporal convolutional net: causal, dilated, residual (Bai et al. 2018)."""

from torch import Tensor, nn
from torch.nn.functional import pad

from .layers.convolution import convolution


class Tcn(nn.Module):
    """A strided stem, residual blocks whose dilation doubles until the last step sees the whole input, a mean
    over time.

    Against the paper: batch norm in place of weight norm, and the mean of all steps in place of the last one.
    Any length; `samples` sets the depth: six blocks for 1250 samples, eight for 5000.
    """

    def __init__(
        self, channels: int, classes: int, samples: int = 1000,
        width: int = 32, kernel: int = 5, stride: int = 4, dropout: float = 0.1,
    ):  # fmt: skip
        super().__init__()
        self.stem = nn.Sequential(*convolution(channels, width, 2 * stride + 1, stride), nn.ReLU())
        self.blocks, dilation = nn.Sequential(), 1
        while dilation == 1 or self.receptive_field(kernel) < samples // stride:
            self.blocks.append(CausalBlock(width, kernel, dilation, dropout))
            dilation *= 2
        self.head = nn.Linear(width, classes)

    def receptive_field(self, kernel: int) -> int:
        """Steps behind the stem that the last step of the last block depends on."""
        return 1 + 2 * (kernel - 1) * (2 ** len(self.blocks) - 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.stem(x)).mean(-1).flatten(1))


class CausalBlock(nn.Module):
    """Two dilated convolutions that look only backwards in time, beside a shortcut."""

    def __init__(self, width: int, kernel: int, dilation: int, dropout: float):
        super().__init__()
        self.past = (kernel - 1) * dilation
        self.first = _dilated(width, kernel, dilation)
        self.second = _dilated(width, kernel, dilation)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(pad(x, (self.past, 0)))
        return x + self.dropout(self.second(pad(y, (self.past, 0))))


def _dilated(width: int, kernel: int, dilation: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(width, width, kernel, dilation=dilation, bias=False), nn.BatchNorm1d(width), nn.ReLU()
    )
