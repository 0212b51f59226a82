"""MobileNet (Howard et al. 2017) in one dimension: convolutions taken apart into places and channels."""

from torch import Tensor, nn

# Width and stride of each separable convolution.
LAYERS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))


class MobileNet(nn.Module):
    """A convolution, thirteen separable ones, global average, linear. Kernels of 3 samples; any length."""

    def __init__(self, channels: int, classes: int, samples: int = 300):
        super().__init__()
        layers, before = [*_convolution(channels, 32, 3, stride=2)], 32
        for width, stride in LAYERS:
            layers += _convolution(before, before, 3, stride, groups=before)  # each channel by itself
            layers += _convolution(before, width, 1)  # each place by itself
            before = width
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(before, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).mean(-1).flatten(1))


def _convolution(channels: int, width: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    return [
        nn.Conv1d(channels, width, kernel, stride, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm1d(width), nn.ReLU(),
    ]  # fmt: skip
