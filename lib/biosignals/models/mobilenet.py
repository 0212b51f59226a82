"""MobileNet (Howard et al. 2017) in one dimension: convolutions taken apart into places and channels."""

from torch import Tensor, nn

from .layers.convolution import convolution

# Width and stride of each separable convolution.
LAYERS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))


class MobileNet(nn.Module):
    """A convolution, thirteen separable ones, global average, linear. Kernels of 3 samples; any length."""

    def __init__(self, channels: int, classes: int, samples: int = 300):
        super().__init__()
        layers, before = [*convolution(channels, 32, 3, stride=2), nn.ReLU()], 32
        for width, stride in LAYERS:
            layers += [
                *convolution(before, before, 3, stride, groups=before),
                nn.ReLU(),
            ]  # each channel by itself
            layers += [*convolution(before, width, 1), nn.ReLU()]  # each place by itself
            before = width
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(before, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).mean(-1).flatten(1))
