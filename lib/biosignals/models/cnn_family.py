"""The teacher, the student and every size between: one block, repeated, in different widths."""

from torch import Tensor, nn

SIZES = {
    "teacher": (100, 250, 500, 1000),
    "student-1.5m": (84, 252, 504),
    "student-1.2m": (75, 225, 450),
    "student-915k": (66, 198, 396),
    "student": (50, 150, 300),
    "student-260k": (35, 105, 210),
    "student-124k": (24, 72, 144),
    "student-57k": (16, 48, 96),
    "student-23k": (10, 30, 60),
    "student-4k": (4, 12, 24),
}


class CnnFamily(nn.Module):
    """Blocks of convolution (kernel 10, no padding) > batch norm > ReLU > pool 2 > dropout, then a global
    average.

    12 channels and 5 classes give the teacher 6,522,555 and the student 534,005 parameters. Any input long
    enough for all blocks: 175 samples for four, 80 for three. kernel, pool: other ones, for comparison.
    """

    def __init__(
        self, channels: int, classes: int, widths: tuple[int, ...], samples: int = 1000, dropout: float = 0.2,
        kernel: int = 10, pool: type[nn.Module] = nn.MaxPool1d,
    ):  # fmt: skip
        super().__init__()
        inputs = (channels, *widths)
        self.blocks = nn.Sequential(
            *(_block(inputs[i], width, kernel, pool, dropout) for i, width in enumerate(widths)),
        )
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(x).mean(-1).flatten(1))


def _block(channels: int, width: int, kernel: int, pool: type[nn.Module], dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(channels, width, kernel), nn.BatchNorm1d(width), nn.ReLU(), pool(2), nn.Dropout(dropout)
    )
