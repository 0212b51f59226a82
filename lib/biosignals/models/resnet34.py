"""ResNet-34 (He et al. 2016) in one dimension."""

from torch import Tensor, nn

from .layers.convolution import convolution
from .resnet1d import BasicBlock

STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))  # width, blocks


class ResNet34(nn.Module):
    """A stem that quarters time, then 16 residual blocks in four stages, each but the first halving time;
    global average.

    With one channel and 46 classes 7,241,838 parameters. Any length.
    """

    def __init__(self, channels: int, classes: int, samples: int = 300):
        super().__init__()
        self.stem = nn.Sequential(
            *convolution(channels, 64, 7, stride=2), nn.ReLU(), nn.MaxPool1d(3, stride=2, padding=1)
        )
        blocks, before = [], 64
        for width, count in STAGES:
            blocks.append(BasicBlock(before, width, stride=1 if width == before else 2, kernel=3))
            blocks += [BasicBlock(width, width, stride=1, kernel=3) for _ in range(count - 1)]
            before = width
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(before, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.stem(x)).mean(-1).flatten(1))
