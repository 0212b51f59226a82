"""Offset and slow drift taken away inside the net: an electrode's offset or a breath changes no answer."""

import math

import torch
from torch import Tensor, nn


class HighPass(nn.Module):
    """Each channel without its mean and what is slower than `cutoff` Hz: of (batch, channels, samples) the
    least-squares fit of a constant and of the slow cosines cos(pi k (n + 1/2) / samples) is subtracted.

    Without phase shift and without an edge to ring at, also on pieces that are shorter than a filter would
    need: the discrete cosine basis by which drift leaves functional MRI (Holmes et al. 1997). Cosines of an
    ECG's frequencies stay, and with a cutoff below .67 Hz the ST segment (Kligfield et al. 2007). Computed in
    float32, whatever the precision of the net.
    """

    def __init__(self, cutoff: float, sampling_rate: float):
        super().__init__()
        if not 0 < cutoff < sampling_rate / 2:
            raise ValueError(f"a cutoff of {cutoff} Hz does not lie between 0 and half of {sampling_rate} Hz")
        self.cutoff, self.sampling_rate = cutoff, sampling_rate

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            x = x.float()
            basis = self._slow_cosines(x)
            return x - (x @ basis) @ basis.T

    def _slow_cosines(self, x: Tensor) -> Tensor:
        """The basis for signals like x, orthonormal, (samples, cosines)."""
        samples = x.shape[-1]
        count = math.ceil(2 * self.cutoff * samples / self.sampling_rate)  # the k-th has k half waves
        k = torch.arange(count, device=x.device)
        n = torch.arange(samples, device=x.device)[:, None]
        basis = torch.cos(math.pi * k * (n + 0.5) / samples) * math.sqrt(2 / samples)
        return torch.where(k == 0, 1 / math.sqrt(samples), basis)
