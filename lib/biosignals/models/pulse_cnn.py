"""A small CNN on single pulses as they are, without a scalogram: what every picture of them has to beat."""

from torch import Tensor, nn

from .layers.convolution import convolution


class PulseCnn(nn.Module):
    """Three convolutions with batch norm, two pools between them, a global average, dropout: 31,589
    parameters for one channel and five classes.

    The last convolution sees 44 samples, most of a pulse of 68. Any length from 4 samples.
    """

    def __init__(self, channels: int, classes: int, samples: int = 68, dropout: float = 0.3):
        super().__init__()
        if samples < 4:
            raise ValueError(
                f"a pulse-cnn halves its input twice and needs at least 4 samples, not {samples}"
            )
        self.features = nn.Sequential(
            *convolution(channels, 32, 7), nn.ReLU(), nn.MaxPool1d(2), nn.Dropout(dropout),
            *convolution(32, 64, 5), nn.ReLU(), nn.MaxPool1d(2), nn.Dropout(dropout),
            *convolution(64, 64, 5), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(64, classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).mean(-1).flatten(1))
