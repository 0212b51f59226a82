"""The plain 1-D CNN: four convolutions, no padding, no batch norm, a global average."""

from torch import Tensor, nn


class PlainCnn(nn.Module):
    """Four unpadded convolutions and a global average: 429,505 parameters for 12 channels and 5 classes.

    Any input of at least 120 samples.
    """

    def __init__(self, channels: int, classes: int, samples: int = 1000, dropout: float = 0.2):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv1d(channels, 50, 5), nn.ReLU(), nn.MaxPool1d(2),
            nn.Conv1d(50, 100, 10), nn.ReLU(), nn.MaxPool1d(2), nn.Dropout(dropout),
            nn.Conv1d(100, 150, 5), nn.ReLU(), nn.MaxPool1d(2),
            nn.Conv1d(150, 200, 10), nn.ReLU(), nn.MaxPool1d(2),
        )  # fmt: skip
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(200, classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).mean(-1).flatten(1))
