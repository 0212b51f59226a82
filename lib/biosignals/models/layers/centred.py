"""Centring inside the net, so that whoever uses it feeds a recording as it is."""

from torch import Tensor, nn


class Centred(nn.Module):
    """A net behind x less the mean of each channel's window, which `signals.windows.prepare` takes away in
    training.
    """

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x - x.mean(-1, keepdim=True))
