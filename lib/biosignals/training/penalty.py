"""A penalty on the size of a net's weights, given to a fit in the place of a teacher."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from biosignals.data.recordings import Recordings


@dataclass(frozen=True)
class L1:
    """Adds `strength` times the sum of all weights' absolute values to the loss (the lasso, Tibshirani 1996).

    Weights of convolutions and dense layers count, biases and those of norms do not.
    """

    strength: float

    def __post_init__(self) -> None:
        if not self.strength >= 0:
            raise ValueError(f"the strength of a penalty is 0 or more, not {self.strength}")

    def check(self, recordings: Recordings, classes: int) -> None:
        """Suits any recordings and classes."""

    def parts(self, rows: list[np.ndarray]) -> tuple:
        """What tells it from other penalties, whatever the rows (n,); see `Teacher`."""
        return "L1", self.strength

    def outputs(self, rows: np.ndarray) -> np.ndarray:
        """Nothing for each of rows (n,): float32 (n, 1)."""
        return np.zeros((len(rows), 1), dtype=np.float32)

    def module(self, net: nn.Module, *inputs: Tensor) -> nn.Module:
        """What adds the penalty of `net` to its loss."""
        return _Penalised(net, self.strength)


class _Penalised(nn.Module):
    def __init__(self, net: nn.Module, strength: float):
        super().__init__()
        self.weights = [[weight for weight in net.parameters() if weight.ndim > 1]]  # none of its own
        self.strength = strength

    def forward(
        self, loss: Callable[[Tensor, Tensor], Tensor], logits: Tensor, targets: Tensor, outputs: Tensor
    ) -> Tensor:
        (weights,) = self.weights
        return loss(logits, targets) + self.strength * torch.stack([w.abs().sum() for w in weights]).sum()
