"""Nets by name. Each family has a file of its own that reads from top to bottom like its paper's figure."""

from functools import partial

from torch import nn

from .cnn_family import SIZES, CnnFamily
from .inception_cnn import InceptionCnn
from .plain_cnn import PlainCnn
from .resnet1d import Resnet1dWang, XResnet1d
from .s4 import S4

_CONSTRUCTORS = {
    "plain-cnn": PlainCnn,
    "inception-cnn": InceptionCnn,
    "resnet1d-wang": Resnet1dWang,
    "xresnet1d": XResnet1d,
    "s4": S4,
    **{name: partial(CnnFamily, widths=widths) for name, widths in SIZES.items()},
}


def names() -> list[str]:
    """Names of all nets that `create` can build."""
    return list(_CONSTRUCTORS)


def create(name: str, channels: int, classes: int, samples: int = 1000) -> nn.Module:
    """Build a net with fresh weights.

    Input float32 (batch, channels, samples), output logits (batch, classes). Nets that end in a global pool take
    other lengths too; the others take `samples` only. Raises ValueError for an unknown name.
    """
    if name not in _CONSTRUCTORS:
        raise ValueError(f"unknown net {name!r}; biosignals.models.names() lists: {', '.join(names())}")
    return _CONSTRUCTORS[name](channels=channels, classes=classes, samples=samples)


def constructor_module(name: str) -> str:
    """Name of the Python module that defines a net: a finished fit is redone when its code changes."""
    constructor = _CONSTRUCTORS[name]
    return getattr(constructor, "func", constructor).__module__


def parameter_count(net: nn.Module, statistics: bool = False) -> int:
    """Number of trainable parameters; with `statistics`, batch norm's running means and variances too."""
    count = sum(parameter.numel() for parameter in net.parameters() if parameter.requires_grad)
    if statistics:
        count += sum(
            b.numel() for name, b in net.named_buffers() if name.endswith(("running_mean", "running_var"))
        )
    return count
