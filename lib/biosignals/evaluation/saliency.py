"""What a fitted net looks at."""

import torch
from torch import Tensor, nn


def saliency(net: nn.Module, signals: Tensor, target: int, steps: int = 64) -> Tensor:
    """How much each sample adds to the logit of class `target`: integrated gradients.

    Sundararajan et al. 2017: the signal times the net's gradient, averaged over `steps` points on the
    straight way from silence (zeros) to the signal. Completeness: a signal's values add up to its logit less
    that of silence, the closer the more steps.

    signals: float32 (batch, channels, samples), in the unit the net takes. Returns the same shape, on the
    net's device. The net is used in evaluation mode and left as it was. Raises ValueError for a class that
    the net has not.
    """
    device = next(net.parameters()).device
    signals, training = signals.detach().to(device), net.training
    net.eval()
    try:
        gradients = torch.zeros_like(signals)
        for step in range(steps):
            gradients += _gradient(net, (step + 0.5) / steps * signals, target)
        return signals * gradients / steps
    finally:
        net.train(training)


def _gradient(net: nn.Module, signals: Tensor, target: int) -> Tensor:
    signals = signals.requires_grad_()
    with torch.enable_grad():
        logits = net(signals)
        if not 0 <= target < logits.shape[1]:
            raise ValueError(f"no class {target} among the net's {logits.shape[1]}")
        return torch.autograd.grad(logits[:, target].sum(), signals)[0]
