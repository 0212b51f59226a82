"""One of several classes that exclude each other, as a question of its own."""

import torch
from torch import Tensor, nn


class OneClass(nn.Module):
    """A net's logit of one class against all the others together: (batch, 1), whose sigmoid is the softmax
    probability of that class.
    """

    def __init__(self, net: nn.Module, place: int):
        super().__init__()
        self.net, self.place = net, place

    def forward(self, x: Tensor) -> Tensor:
        logits = self.net(x)
        others = torch.cat([logits[:, : self.place], logits[:, self.place + 1 :]], dim=1)
        return logits[:, self.place, None] - others.logsumexp(1, keepdim=True)
