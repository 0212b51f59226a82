"""A residual net that sees waves, under a recurrent one that sees their order: for atrial fibrillation."""

from torch import Tensor, nn

from .layers.convolution import convolution
from .resnet1d import BasicBlock, max_and_mean

WIDTHS = (32, 48, 64, 96, 128)
UNITS = 96


class Resnet1dGru(nn.Module):
    """A stem and five residual blocks that each halve time, a bidirectional GRU, maximum and mean over time.

    Every recording is divided by four times the median of its absolute values, so that neither a recorder's
    gain nor an artefact of a few seconds changes how large its beats are. Any length from 64 samples.
    """

    def __init__(self, channels: int, classes: int, samples: int = 2048, dropout: float = 0.2):
        super().__init__()
        self.stem = nn.Sequential(*convolution(channels, WIDTHS[0], 15, stride=2), nn.ReLU())
        self.blocks = nn.Sequential()
        for before, width in zip((WIDTHS[0], *WIDTHS), WIDTHS):
            self.blocks.append(BasicBlock(before, width, stride=2, kernel=7))
        self.gru = nn.GRU(WIDTHS[-1], UNITS, batch_first=True, bidirectional=True)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(4 * UNITS, classes))

    def forward(self, x: Tensor) -> Tensor:
        steps = self.blocks(self.stem(scaled(x))).transpose(1, 2)
        rhythm, _ = self.gru(steps)
        return self.head(max_and_mean(rhythm.transpose(1, 2)))


def scaled(x: Tensor) -> Tensor:
    """x (batch, channels, samples) over four times the median absolute value of each channel: the same shape;
    a flat one is zero.
    """
    half = x.shape[-1] // 2 + 1
    median = x.abs().topk(half).values[..., -1:]
    return x / (4 * median + 1e-6)
