"""Pruning: weights held at zero, which make nothing smaller, and channels removed, which do."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
import torch_pruning
from torch import Tensor, nn

from biosignals.compression.export import quiet
from biosignals.models.layers.masked import Masked

_DENSE = (nn.Conv1d, nn.Conv2d, nn.Linear)


def magnitude_prune(net: nn.Module, share: float) -> nn.Module:
    """A copy with the smallest `share` of the weights of each layer held at zero: L1, unstructured (Han et
    al. 2015).

    The net keeps its parameters, its bytes and its latency. Raises ValueError for a share outside of 0 to 1.
    """
    _check_share(share)
    net = copy.deepcopy(net).eval()
    for name, layer in [named for named in net.named_modules() if isinstance(named[1], _DENSE)]:
        size = layer.weight.detach().abs().flatten()
        kept = torch.ones_like(size).index_fill(0, size.argsort()[: round(share * len(size))], 0)
        net.set_submodule(name, Masked(layer, kept.view_as(layer.weight)))
    return net


def remove_masks(net: nn.Module) -> nn.Module:
    """A copy of a masked net whose zeros are ordinary weights, so that it can be exported, quantized and
    pruned again.
    """
    net = copy.deepcopy(net)
    for name, masked in [named for named in net.named_modules() if isinstance(named[1], Masked)]:
        masked.layer.weight = nn.Parameter(masked.weight().detach())
        net.set_submodule(name, masked.layer)
    return net


def sparsity(net: nn.Module) -> float:
    """Share of the weights of convolutions and dense layers that are zero."""
    layers = [module for module in remove_masks(net).modules() if isinstance(module, _DENSE)]
    weights = [layer.weight.detach() for layer in layers]
    return sum(int((weight == 0).sum()) for weight in weights) / sum(weight.numel() for weight in weights)


def prune_channels(
    net: nn.Module, example: Tensor, share: float, keep: Sequence[nn.Module] = ()
) -> nn.Module:
    """A smaller copy, without the `share` of each layer's channels that has the smallest weights (Li et al.
    2017).

    Whatever depends on a removed channel is removed with it (Fang et al. 2023). The last dense layer keeps
    its outputs, and so do the layers in `keep`. example: inputs, float32 (batch, channels, samples). Raises
    ValueError for a share outside of 0 to 1, and for a net that cannot be traced or whose outputs change
    their shape, as with recurrent layers and reshapes of a fixed size.
    """
    _check_share(share)
    names = [name for name, module in net.named_modules() if any(module is kept for kept in keep)]
    smaller = copy.deepcopy(net).eval()
    dense = [module for module in smaller.modules() if isinstance(module, nn.Linear)]
    protected = dense[-1:] + [smaller.get_submodule(name) for name in names]
    with torch.no_grad():
        shape = smaller(example).shape
    importance = torch_pruning.importance.MagnitudeImportance(p=2)
    try:
        with quiet():
            pruner = torch_pruning.pruner.BasePruner(
                smaller, example, importance, pruning_ratio=share, ignored_layers=protected
            )
            pruner.step()
        with torch.no_grad():
            found = smaller(example).shape
    except (RuntimeError, AttributeError, TypeError, IndexError, AssertionError) as error:
        raise ValueError(f"{type(net).__name__} cannot be pruned by channels: {error}") from error
    if found != shape:
        raise ValueError(f"{type(net).__name__} cannot be pruned by channels: its outputs change their shape")
    return smaller


def _check_share(share: float) -> None:
    if not 0 <= share < 1:
        raise ValueError(f"a share to prune is from 0 to below 1, not {share}")
