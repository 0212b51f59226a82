"""Convolutions that see waves, then an LSTM that sees rhythm (arXiv 2209.00988)."""

import torch
from torch import Tensor, nn


class CnnLstm(nn.Module):
    """Three unpadded convolutions with overlapping pools, an LSTM of 32 units, three dense layers.

    `bidirectional` gives 16 units to each direction, so that the dense layers stay the same. Any length from
    137 samples.
    """

    def __init__(
        self, channels: int, classes: int, samples: int = 1000, bidirectional: bool = False,
        dropout: float = 0.1
    ):  # fmt: skip
        super().__init__()
        # Layers of 1 x k in two dimensions, channels last: long pools take CPUs a fraction of the time so.
        self.features = nn.Sequential(
            *_block(channels, 64, kernel=50, pool=20, dropout=dropout),
            *_block(64, 32, kernel=10, pool=10, dropout=dropout),
            *_block(32, 16, kernel=5, pool=5, dropout=dropout),
        ).to(memory_format=torch.channels_last)
        units = 16 if bidirectional else 32
        self.lstm = nn.LSTM(16, units, batch_first=True, bidirectional=bidirectional)
        self.head = nn.Sequential(
            nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        features = self.features(x.unsqueeze(2).contiguous(memory_format=torch.channels_last))
        return self.head(last_step(self.lstm, features.squeeze(2).transpose(1, 2)))


def last_step(layer: nn.LSTM | nn.GRU, x: Tensor) -> Tensor:
    """Output of an LSTM or GRU after the last step of x, (batch, steps, features) to (batch, units).

    The direction that reads backwards ends at the first step: its last output has read everything too.
    """
    _, state = layer(x)
    hidden = state[0] if isinstance(state, tuple) else state
    return torch.cat(list(hidden), dim=1)


def _block(channels: int, width: int, kernel: int, pool: int, dropout: float) -> list[nn.Module]:
    return [
        nn.Conv2d(channels, width, (1, kernel)), nn.ReLU(), nn.MaxPool2d((1, pool), (1, 2)),
        nn.Dropout(dropout)
    ]  # fmt: skip
