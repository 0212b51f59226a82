"""The Custom1DCNN for atrial fibrillation from one lead, after Hsieh et al. (2020)."""

from collections.abc import Callable

from torch import Tensor, nn

WIDTHS = (32, 32, 64, 64, 128, 128, 256, 256, 512, 512)
UNPADDED_FROM = 4604  # samples that ten unpadded convolutions and nine pools reduce to one


class CustomCnn(nn.Module):
    """Ten convolutions (kernel 5) with nine pools between them, then three dense layers.

    Batch norm stands behind the first convolution alone, and behind the tenth nothing at all. From 4,604
    samples on nothing is padded, and 5000 samples end as 512 x 1, the original form: 2,688,673 parameters for
    one lead and one class. Shorter inputs, down to 512 samples, have every convolution padded by 2: 1250
    samples end as 512 x 2. The dense layers fix the input's length to `samples`. activation, pool: what makes
    an activation, and a pool that halves time. Raises ValueError for fewer than 512 samples, and for other
    lengths than `samples`.
    """

    def __init__(
        self, channels: int, classes: int, samples: int = 5000, dropout: float = 0.5,
        activation: Callable[[], nn.Module] = nn.ReLU, pool: Callable[[int], nn.Module] = nn.MaxPool1d,
    ):  # fmt: skip
        super().__init__()
        if samples < 512:
            raise ValueError(f"a custom-cnn pools nine times and needs at least 512 samples, not {samples}")
        self.samples = samples
        padding = 0 if samples >= UNPADDED_FROM else 2
        self.features, steps = nn.Sequential(), samples
        for i, width in enumerate(WIDTHS, start=1):
            self.features.append(nn.Conv1d(channels, width, 5, padding=padding))
            steps += 2 * padding - 4
            if i == 1:
                self.features.append(nn.BatchNorm1d(width))
            if i < len(WIDTHS):
                self.features.extend([activation(), pool(2)])
                steps //= 2
            if i in (6, 8, 9):
                self.features.append(nn.Dropout(dropout))
            channels = width
        self.head = nn.Sequential(
            nn.Linear(512 * steps, 128), nn.BatchNorm1d(128), activation(), nn.Dropout(dropout),
            nn.Linear(128, 32), nn.BatchNorm1d(32), activation(),
            nn.Linear(32, classes),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] != self.samples:
            raise ValueError(f"this custom-cnn takes {self.samples} samples, not {x.shape[-1]}")
        return self.head(self.features(x).flatten(1))
