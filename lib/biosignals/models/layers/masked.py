"""Weights held at zero, while a net learns too."""

from torch import Tensor, nn
from torch.func import functional_call


class Masked(nn.Module):
    """A convolution or dense layer of which chosen weights stay at zero, in training too."""

    def __init__(self, layer: nn.Module, kept: Tensor):
        super().__init__()
        self.layer = layer
        self.register_buffer("kept", kept)

    def weight(self) -> Tensor:
        """The layer's weight with its zeros, shaped as it is."""
        # The layer may have become its 1 x k form since, whose weights have one dimension more.
        return self.layer.weight * self.kept.view_as(self.layer.weight)

    def forward(self, x: Tensor) -> Tensor:
        return functional_call(self.layer, {"weight": self.weight()}, (x,))
