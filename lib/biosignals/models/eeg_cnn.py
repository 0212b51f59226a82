"""The EEG nets that treat a window as a picture of channels by time, with a dense layer or an LSTM behind."""

import torch
from torch import Tensor, nn

from .cnn_lstm import last_step


class EegCnn(nn.Module):
    """Two 2-D convolutions over (1, channels, samples) that each halve time, a flatten, one dense layer.

    23 x 2560 gives (32, 23, 640) before the flatten. `dropout`: share of these that the dense layer does not
    see, with batch norm behind each convolution; 0 is the original, which has neither. Raises ValueError for
    shapes other than (channels, samples).
    """

    def __init__(self, channels: int, classes: int, samples: int = 1000, dropout: float = 0):
        super().__init__()
        self.shape = (channels, samples)
        self.features = features(normalised=dropout > 0)
        dense = nn.Linear(32 * channels * (samples // 4), classes)
        self.head = nn.Sequential(nn.Dropout(dropout), dense) if dropout else dense

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1:] != self.shape:
            raise ValueError(
                f"this eeg-cnn takes {self.shape[0]} channels x {self.shape[1]} samples, not "
                f"{tuple(x.shape[1:])}"
            )
        return self.head(self.features(_picture(x)).flatten(1))


class EegCnnLstm(nn.Module):
    """The same convolutions; then each step's 32 * channels features go into an LSTM, whose last step is
    classified.

    An LSTM of 128 units, or of 64 each way. Any length from 4 samples.
    """

    def __init__(self, channels: int, classes: int, samples: int = 1000, bidirectional: bool = False):
        super().__init__()
        self.features = features()
        units = 64 if bidirectional else 128
        self.lstm = nn.LSTM(32 * channels, units, batch_first=True, bidirectional=bidirectional)
        self.head = nn.Linear(128, classes)

    def forward(self, x: Tensor) -> Tensor:
        steps = self.features(_picture(x)).permute(0, 3, 1, 2).flatten(2)
        return self.head(last_step(self.lstm, steps))


def features(normalised: bool = False) -> nn.Sequential:
    """(batch, 1, channels, samples) to (batch, 32, channels, samples / 4)."""
    layers = nn.Sequential()
    for before, width in ((1, 16), (16, 32)):
        layers.append(nn.Conv2d(before, width, 3, padding=1))
        if normalised:
            layers.append(nn.BatchNorm2d(width))
        layers.extend([nn.ReLU(), nn.MaxPool2d((1, 2))])
    return layers.to(memory_format=torch.channels_last)


def _picture(x: Tensor) -> Tensor:
    """(batch, channels, samples) with one colour, its filters stored side by side: CPUs take half the time
    so.
    """
    return x.unsqueeze(1).contiguous(memory_format=torch.channels_last)
