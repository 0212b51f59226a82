"""A diagonal state-space net, S4D (Gu et al. 2022), bidirectional as for ECGs by Mehari and Strodthoff
(2023).
"""

import math

import torch
from torch import Tensor, nn


class S4(nn.Module):
    """A convolution that halves the rate, residual state-space layers, a global average. Any length."""

    def __init__(
        self, channels: int, classes: int, samples: int = 1000,
        width: int = 128, depth: int = 4, states: int = 8, dropout: float = 0.2,
    ):  # fmt: skip
        super().__init__()
        self.encoder = nn.Conv1d(channels, width, 5, stride=2, padding=2)
        self.layers = nn.ModuleList(S4Layer(width, states, dropout) for _ in range(depth))
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.encoder(x)
        for layer in self.layers:
            x = layer(x)
        return self.head(x.mean(-1))


class S4Layer(nn.Module):
    """Long convolutions forwards and backwards in time, GELU, a gated mix of channels, a residual, batch
    norm.
    """

    def __init__(self, width: int, states: int, dropout: float):
        super().__init__()
        self.forwards = DiagonalKernel(width, states)
        self.backwards = DiagonalKernel(width, states)
        self.skip = nn.Parameter(torch.randn(width, 1))
        self.mix = nn.Sequential(
            nn.GELU(), nn.Dropout(dropout), nn.Conv1d(width, 2 * width, 1), nn.GLU(dim=1), nn.Dropout(dropout)
        )
        self.norm = nn.BatchNorm1d(width)

    def forward(self, x: Tensor) -> Tensor:
        y = long_convolution(x, self.forwards(x.shape[-1]), self.backwards(x.shape[-1]))
        return self.norm(x + self.mix(y + self.skip * x))


class DiagonalKernel(nn.Module):
    """Impulse response of a diagonal linear state space per channel, sampled at steps of a learned length.

    Each state is a damped oscillation exp(A t) with A = -exp(log_decay) + i frequency, started as S4D-Lin
    (decay 1/2, frequencies pi n); step lengths start log-uniform in [.001, .1] (Gu et al. 2022).
    """

    def __init__(self, width: int, states: int):
        super().__init__()
        self.log_step = nn.Parameter(torch.empty(width, 1).uniform_(math.log(0.001), math.log(0.1)))
        self.log_decay = nn.Parameter(torch.full((width, states), math.log(0.5)))
        self.frequency = nn.Parameter((math.pi * torch.arange(states)).repeat(width, 1))
        self.output = nn.Parameter(torch.randn(width, states, 2) * math.sqrt(0.5))

    def forward(self, samples: int) -> Tensor:
        """Kernel, float32 (width, samples)."""
        decay = torch.complex(-self.log_decay.exp(), self.frequency)
        step = decay * self.log_step.exp()
        # Zero-order hold: the input is constant within a step, so B = (exp(A step) - 1) / A.
        weights = torch.view_as_complex(self.output) * (step.exp() - 1) / decay
        powers = torch.exp(step.unsqueeze(-1) * torch.arange(samples, device=step.device))
        return 2 * torch.einsum("ws,wst->wt", weights, powers).real


def long_convolution(x: Tensor, forwards: Tensor, backwards: Tensor) -> Tensor:
    """x (batch, width, samples) convolved by FFT with kernels (width, samples): forwards causal, backwards
    not.
    """
    samples = x.shape[-1]
    # Circular convolution over twice the length: the anti-causal kernel sits, reversed, at the far end.
    kernel = torch.cat([forwards, backwards.flip(-1)], dim=-1)
    spectrum = torch.fft.rfft(x.float(), n=2 * samples) * torch.fft.rfft(kernel)
    return torch.fft.irfft(spectrum, n=2 * samples)[..., :samples].to(x.dtype)
