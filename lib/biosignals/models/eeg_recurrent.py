"""A recurrent net on the EEG itself, with nothing before it that knows what a wave is."""

from torch import Tensor, nn

from .cnn_lstm import last_step


class EegRecurrent(nn.Module):
    """An LSTM of 128 units, or a GRU, that reads all electrodes sample by sample; its last step is
    classified.

    Any length from one sample.
    """

    def __init__(self, channels: int, classes: int, samples: int = 640, gru: bool = False):
        super().__init__()
        self.recurrent = (nn.GRU if gru else nn.LSTM)(channels, 128, batch_first=True)
        self.head = nn.Linear(128, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(last_step(self.recurrent, x.transpose(1, 2)))
