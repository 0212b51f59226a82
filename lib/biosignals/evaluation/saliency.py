"""What a fitted net looks at."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from biosignals.models.layers.attention import SelfAttention


def saliency(net: nn.Module, signals: Tensor, target: int, steps: int = 64) -> Tensor:
    """How much each sample adds to the logit of class `target`: integrated gradients.

    Sundararajan et al. 2017: the signal times the net's gradient, averaged over `steps` points on the
    straight way from silence (zeros) to the signal. Completeness: a signal's values add up to its logit less
    that of silence, the closer the more steps.

    signals: float32 (batch, channels, samples), in the unit the net takes. Returns the same shape, on the
    net's device. The net is used in evaluation mode and left as it was. Raises ValueError for a class that
    the net has not.
    """
    signals = signals.detach().to(next(net.parameters()).device)
    gradients = torch.zeros_like(signals)
    with _evaluated(net), torch.enable_grad():
        for step in range(steps):
            x = ((step + 0.5) / steps * signals).requires_grad_()
            gradients += torch.autograd.grad(_logits_of(net, x, target).sum(), x)[0]
    return signals * gradients / steps


@contextmanager
def _evaluated(net: nn.Module) -> Iterator[None]:
    """The net in evaluation mode, and left as it was."""
    training = net.training
    net.eval()
    try:
        yield
    finally:
        net.train(training)


def _logits_of(net: nn.Module, signals: Tensor, target: int) -> Tensor:
    """Logits (batch,) of class `target`. Raises ValueError for a class that the net has not."""
    logits = net(signals)
    if not 0 <= target < logits.shape[1]:
        raise ValueError(f"no class {target} among the net's {logits.shape[1]}")
    return logits[:, target]


def grad_cam(net: nn.Module, layer: nn.Module, signals: Tensor, target: int) -> Tensor:
    """Where a convolutional net finds class `target`: Grad-CAM (Selvaraju et al. 2017).

    The channels of what `layer` gives, each weighted by the mean gradient of the class's logit with respect
    to it, added up; what lies below zero speaks against the class and is cut off. signals: (batch, channels,
    samples). Returns (batch, rows, columns) or (batch, samples), as coarse as the layer's output. The net is
    used in evaluation mode and left as it was. Raises ValueError for a class that the net has not.
    """
    maps: list[Tensor] = []
    signals = signals.to(next(net.parameters()).device)
    hook = layer.register_forward_hook(lambda _, __, output: maps.append(output))
    try:
        with _evaluated(net), torch.enable_grad():
            slopes = torch.autograd.grad(_logits_of(net, signals, target).sum(), maps[0])[0]
    finally:
        hook.remove()
    weights = slopes.flatten(2).mean(2).reshape(*slopes.shape[:2], *[1] * (slopes.ndim - 2))
    return torch.relu((weights * maps[0].detach()).sum(1))


def attention_rollout(net: nn.Module, signals: Tensor) -> Tensor:
    """How much each token adds to the mean over all tokens at a transformer's end: attention rollout (Abnar
    and Zuidema 2020).

    The weights of each attention layer, mean over heads, half of them replaced by the token itself for the
    residual way around it, multiplied from the first layer to the last. signals: (batch, channels, samples).
    Returns (batch, tokens), sums of 1. The net is used in evaluation mode and left as it was. Raises
    ValueError for a net without attention layers.
    """
    layers = [module for module in net.modules() if isinstance(module, SelfAttention)]
    if not layers:
        raise ValueError(f"{type(net).__name__} has no attention layers")
    found: list[Tensor] = []
    hooks = [
        layer.queries_keys_values.register_forward_hook(
            lambda _, __, output, heads=layer.heads: found.append(_attention_weights(output, heads))
        )
        for layer in layers
    ]
    try:
        with _evaluated(net), torch.no_grad():
            net(signals.to(next(net.parameters()).device))
    finally:
        for hook in hooks:
            hook.remove()
    identity = torch.eye(found[0].shape[1], device=found[0].device)
    together = identity
    for weights in found:
        together = (weights + identity) / 2 @ together
    return together.mean(1)


def blank(signals: Tensor, importance: Tensor, share: float) -> Tensor:
    """signals (batch, channels, samples) whose `share` of samples of largest `importance`, (batch, samples),
    hold each channel's mean: what a net loses with them tests a map.
    """
    count = round(share * signals.shape[2])
    samples = importance.argsort(1, descending=True)[:, :count]
    mask = torch.zeros_like(importance).scatter(1, samples, 1)[:, None].bool()
    return torch.where(mask, signals.mean(2, keepdim=True), signals)


def _attention_weights(queries_keys_values: Tensor, heads: int) -> Tensor:
    """How much each token takes from each other, mean over heads, (batch, tokens, tokens)."""
    queries, keys, _ = (
        part.unflatten(2, (heads, -1)).transpose(1, 2) for part in queries_keys_values.chunk(3, dim=2)
    )
    return (queries @ keys.transpose(2, 3) / queries.shape[-1] ** 0.5).softmax(-1).mean(1)
