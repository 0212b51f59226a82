"""The SimpleCNN for one-lead ECGs: two convolutions, then a flatten that makes it larger than its data can
bear.
"""

from torch import Tensor, nn


class SimpleCnn(nn.Module):
    """Two convolutions and three dense layers: 159,616,497 parameters for 1 x 5000 and one class.

    At 5000 samples the flatten gives 64 x 2486 features. The dense layers fix the input's length to
    `samples`, at least 26. Raises ValueError for other lengths.
    """

    def __init__(self, channels: int, classes: int, samples: int = 5000):
        super().__init__()
        if samples < 26:
            raise ValueError(f"a simple-cnn needs at least 26 samples, not {samples}")
        self.samples = samples
        self.features = nn.Sequential(
            nn.Conv1d(channels, 32, 5, stride=2), nn.LeakyReLU(), nn.MaxPool1d(5, stride=1),
            nn.Conv1d(32, 64, 5), nn.LeakyReLU(), nn.MaxPool1d(5, stride=1),
        )  # fmt: skip
        steps = (samples - 3) // 2 - 12
        self.head = nn.Sequential(
            nn.Linear(64 * steps, 1000), nn.LeakyReLU(),
            nn.Linear(1000, 500), nn.LeakyReLU(),
            nn.Linear(500, classes),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] != self.samples:
            raise ValueError(f"this simple-cnn takes {self.samples} samples, not {x.shape[-1]}")
        return self.head(self.features(x).flatten(1))
