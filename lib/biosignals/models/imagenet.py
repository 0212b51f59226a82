"""Weights learned on ImageNet, from a file of one's own, into the nets for pictures."""

import math
import pickle
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

_PUBLISHED = (
    "EfficientNetV2-S and ConvNeXt-Tiny as of torchvision or timm, DeiT-Tiny distilled as of its authors"
)


def load_imagenet(net: nn.Module, file: str | Path) -> None:
    """Put published ImageNet weights into a net from `create`, tensor by tensor in the order both have them.

    `file`: a state dict saved by torch. Published for the shapes of `efficientnetv2-s`, `convnext-tiny` and
    `deit`; the other nets have shapes of their own. What may differ: the number of images (the mean over the
    published three, scaled, so that equal images give the same), the number of classes (the heads stay
    fresh), the grid of positions (bilinear, from a square one). Raises ValueError, which names what does not
    fit, and leaves the net as it was.
    """
    published, own = _read(file), net.state_dict()
    if len(published) != len(own):
        raise ValueError(
            f"{file} holds {len(published)} tensors, this {type(net).__name__} has {len(own)}: "
            f"tensors are matched by their order, so both need the same layers; there are files for "
            f"{_PUBLISHED}"
        )
    fitted = {
        name: _fitted(net, name, value, own[name])
        for name, value in zip(own, published.values(), strict=True)
    }
    misfits = [
        f"{theirs} {tuple(value.shape)} for {ours} {tuple(own[ours].shape)}"
        for (ours, found), (theirs, value) in zip(fitted.items(), published.items(), strict=True)
        if found is None
    ]
    if misfits:
        more = f" and {len(misfits) - 3} more" if len(misfits) > 3 else ""
        raise ValueError(
            f"{file} does not fit this {type(net).__name__}: {', '.join(misfits[:3])}{more}; "
            f"there are files for {_PUBLISHED}"
        )
    net.load_state_dict(fitted)


def _read(file: str | Path) -> dict[str, Tensor]:
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, EOFError, RuntimeError) as error:
        raise ValueError(f"{file} cannot be read as a state dict saved by torch: {error}") from error
    if isinstance(state, dict) and isinstance(state.get("model"), dict):
        state = state["model"]  # as DeiT's authors save it
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(
            f"{file} holds no state dict: save a net's `state_dict()`, not the net or a training run"
        )
    return state


def _fitted(net: nn.Module, name: str, published: Tensor, own: Tensor) -> Tensor | None:
    """The published tensor in our shape, our own where it is a head for other classes, None where nothing
    fits.
    """
    if published.squeeze().shape == own.squeeze().shape:
        return published.reshape(own.shape)
    if published.ndim != own.ndim:
        return None
    if name.split(".")[0] in ("head", "distillation_head") and published.shape[1:] == own.shape[1:]:
        return own
    if own.ndim == 4 and published.shape[1] == 3 and published[:, :1].shape == own[:, :1].shape:
        return (published.mean(1, keepdim=True) * 3 / own.shape[1]).expand_as(own)
    if name == "positions" and published.shape[2] == own.shape[2]:
        return _on_another_grid(published, own.shape[1], net.patches.grid)
    return None


def _on_another_grid(positions: Tensor, count: int, grid: tuple[int, int]) -> Tensor | None:
    """Positions (1, tokens + side * side, width) on another grid; those of other tokens stay."""
    tokens = count - grid[0] * grid[1]
    side = math.isqrt(positions.shape[1] - tokens)
    if tokens + side * side != positions.shape[1]:
        return None
    square = positions[:, tokens:].transpose(1, 2).unflatten(2, (side, side))
    spread = interpolate(square, grid, mode="bilinear").flatten(2).transpose(1, 2)
    return torch.cat([positions[:, :tokens], spread], dim=1)
