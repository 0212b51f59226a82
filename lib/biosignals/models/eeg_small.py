"""A compact EEG net in the spirit of EEGNet (Lawhern et al. 2018)."""

from torch import Tensor, nn
from torch.nn.functional import instance_norm

from .layers.convolution import convolution


class EegSmall(nn.Module):
    """Mixtures of the electrodes, a filter in time for each, two separable convolutions, a global average.

    EEGNet filters each electrode in time, then mixes electrodes; nothing non-linear stands between the two,
    so that mixing first computes the same for a fraction of the work. The first filters last half a second at
    64 Hz. Any length from 32 samples.

    `normalise` divides each electrode's window by its own deviation: proof against other recorders, blind to
    how large a rhythm has grown.
    """

    def __init__(
        self, channels: int, classes: int, samples: int = 640,
        normalise: bool = False, width: int = 32, dropout: float = 0.25,
    ):  # fmt: skip
        super().__init__()
        self.normalise = normalise
        self.features = nn.Sequential(
            nn.Conv1d(channels, width, 1, bias=False),
            *convolution(width, width, 33, groups=width), nn.ELU(), nn.AvgPool1d(4), nn.Dropout(dropout),
            *_separable(width, 2 * width, kernel=15), nn.AvgPool1d(4), nn.Dropout(dropout),
            *_separable(2 * width, 2 * width, kernel=7),
        )  # fmt: skip
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(2 * width, classes))

    def forward(self, x: Tensor) -> Tensor:
        if self.normalise:
            x = instance_norm(x, eps=1e-10)
        return self.head(self.features(x).mean(-1).flatten(1))


def _separable(channels: int, width: int, kernel: int) -> list[nn.Module]:
    """A filter in time for each channel, then a mixture of channels at each step."""
    filters = nn.Conv1d(channels, channels, kernel, padding=kernel // 2, groups=channels, bias=False)
    return [filters, *convolution(channels, width, 1), nn.ELU()]
