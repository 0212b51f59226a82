"""The same net with its 1-D layers as 1 x k layers in two dimensions, the form that CPUs and quantizers know
best.
"""

import copy
from functools import partial

import torch
from torch import Tensor, nn

_LAYERS = (nn.Conv1d, nn.BatchNorm1d, nn.MaxPool1d, nn.AvgPool1d)


class Conv1dAsConv2d(nn.Module):
    """A copy of `net` that computes the same from (batch, channels, 1, samples), channels last: on CPUs its
    training steps take about half the time.

    `x` is an example input, float32 (batch, channels, samples). Raises ValueError for nets that do more in
    time than convolve, normalise and pool, as recurrent, attention and state-space nets do.
    """

    def __init__(self, net: nn.Module, x: Tensor):
        super().__init__()
        own, x = copy.deepcopy(net).eval(), x[:2]
        with torch.no_grad():
            layers, expected = layers_in_time(own, x), own(x)
            self.net = _replace(own, layers, "")
            if not torch.allclose(self.eval()(x), expected, atol=1e-3, rtol=1e-3):
                raise ValueError(f"the 1 x k form of {type(net).__name__} computes something else")

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.unsqueeze(2).contiguous(memory_format=torch.channels_last))

    def copy_weights_to(self, net: nn.Module) -> None:
        """Put the trained weights back into the net that this is a copy of."""
        shapes = {name: value.shape for name, value in net.state_dict().items()}
        net.load_state_dict(
            {name: value.reshape(shapes[name]) for name, value in self.net.state_dict().items()}
        )


def layers_in_time(net: nn.Module, x: Tensor) -> set[str]:
    """Names of the layers that take (batch, channels, samples), in a net in evaluation mode; those behind the
    global pool take (batch, features), those of a net for images four dimensions.

    x: inputs, float32 (batch, channels, samples). Raises ValueError for a layer that has no 1 x k form.
    """
    found: set[str] = set()
    hooks = [
        module.register_forward_pre_hook(partial(_note_if_in_time, found, name))
        for name, module in net.named_modules()
        if isinstance(module, _LAYERS) or list(module.parameters(recurse=False))
    ]
    net(x)
    for hook in hooks:
        hook.remove()
    return found


def _note_if_in_time(found: set[str], name: str, layer: nn.Module, inputs: tuple[Tensor]) -> None:
    if isinstance(inputs[0], Tensor) and inputs[0].ndim == 3:
        if not isinstance(layer, _LAYERS):
            raise ValueError(f"{type(layer).__name__} has no 1 x k form")
        found.add(name)


def _replace(module: nn.Module, layers: set[str], name: str) -> nn.Module:
    for child_name, child in module.named_children():
        setattr(module, child_name, _replace(child, layers, f"{name}.{child_name}".lstrip(".")))
    return _one_by_k(module) if name in layers else module


def _one_by_k(layer: nn.Module) -> nn.Module:
    if isinstance(layer, nn.MaxPool1d):
        return nn.MaxPool2d(
            (1, layer.kernel_size), (1, layer.stride), (0, layer.padding), ceil_mode=layer.ceil_mode
        )
    if isinstance(layer, nn.AvgPool1d):
        return nn.AvgPool2d(
            (1, *layer.kernel_size),
            (1, *layer.stride),
            (0, *layer.padding),
            layer.ceil_mode,
            layer.count_include_pad,
        )
    if isinstance(layer, nn.Conv1d):
        if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
            raise ValueError("only zero padding of a given width has a 1 x k form")
        flat = nn.Conv2d(
            layer.in_channels, layer.out_channels, (1, *layer.kernel_size), (1, *layer.stride),
            (0, *layer.padding),
            (1, *layer.dilation), layer.groups, layer.bias is not None,
        )  # fmt: skip
    else:
        flat = nn.BatchNorm2d(
            layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats
        )
    shapes = flat.state_dict()
    flat.load_state_dict(
        {name: value.reshape(shapes[name].shape) for name, value in layer.state_dict().items()}
    )
    return flat.to(memory_format=torch.channels_last)
