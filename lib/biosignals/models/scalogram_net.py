"""Nets that draw their scalogram themselves: what goes in is the signal as recorded."""

import numpy as np
import torch
from torch import Tensor, nn

from biosignals.signals.scalogram import scales_for, scalogram


class ScalogramNet(nn.Module):
    """Scalograms of each lead, batch-normalised, in front of a net for pictures.

    net: takes (batch, leads x frequencies, bins). frequencies: (n,) Hz, at a sampling rate in Hz. Input
    (batch, leads, samples). No picture is stored, and each is drawn anew in every pass. A signal that never
    changes gives an empty picture.
    """

    def __init__(
        self, net: nn.Module, frequencies: np.ndarray, sampling_rate: float, bins: int,
        wavelet: str = "cmor1.5-1.0",
    ):  # fmt: skip
        super().__init__()
        self.wavelet, self.bins = wavelet, bins
        self.scales = scales_for(frequencies, wavelet, sampling_rate).tolist()
        self.norm = nn.BatchNorm2d(1, affine=False)
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            flat = x - x.mean(-1, keepdim=True)
            still = (flat == flat[..., :1]).all(-1)
            impulse = torch.nn.functional.one_hot(torch.tensor(0), x.shape[-1]).to(flat)
            moving = torch.where(still[..., None], impulse, flat)
            pictures = scalogram(moving, np.array(self.scales), self.wavelet, self.bins)
            pictures = torch.where(still[..., None, None], 0, pictures)
        return self.net(self.norm(pictures.flatten(1, 2)[:, None])[:, 0])
