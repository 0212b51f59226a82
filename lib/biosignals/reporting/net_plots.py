"""Nets drawn from the nets themselves: their layers and the shapes between them."""

from __future__ import annotations

import re
from itertools import groupby

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from torch import Tensor, nn

from biosignals.reporting.plots import GREY, PALETTE

SILENT = (nn.Dropout, nn.Identity, nn.Flatten)  # change neither shape nor, in use, values
RECURRENT = ("LSTM", "GRU")
TALLEST = 3.2  # of a box, where the shortest is 0.5
MOST_IN_A_ROW = 8  # boxes whose texts do not overlap
STEP = 1.35  # from one box to the next


def layers(net: nn.Module, channels: int, samples: int) -> pd.DataFrame:
    """What a net makes of one input (channels, samples): a row for each change of shape, with columns layers,
    channels, samples, parameters.

    Layers are torch's own, and blocks of the project's, which are named by their class. What has lost its
    time axis has 1 sample; maps of channels x rows x samples count as channels x rows. Raises what the net
    raises for such an input.
    """
    seen: list[tuple[str, tuple[int, int], int]] = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor | tuple) -> None:
        shape = _channels_and_samples(output)
        count = sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
        name = _name(module)
        if shape[1] == 1 and inputs[0].dim() == 2 and seen and seen[-1][1][1] > 1:
            before, (channels, samples), _ = seen[-1]
            ended = _end_of_time(inputs[0].shape[1], channels, samples)
            name = f"{'last step' if ended == 'mean' and before in RECURRENT else ended}\n{name}"
        seen.append((name, shape, count))

    hooks = [module.register_forward_hook(note) for module in _units(net)]
    training = net.training
    try:
        with torch.inference_mode():
            net.eval()(torch.zeros(1, channels, samples))
    finally:
        net.train(training)
        for hook in hooks:
            hook.remove()
    rows = []
    for shape, group in groupby(seen, key=lambda one: one[1]):
        found = list(group)
        rows.append(("\n".join(name for name, _, _ in found), *shape, sum(count for _, _, count in found)))
    return pd.DataFrame(rows, columns=["layers", "channels", "samples", "parameters"])


def _channels_and_samples(output: Tensor | tuple) -> tuple[int, int]:
    """Of what a layer gives: (batch, channels[, rows], samples), (batch, features), or what a recurrent layer
    gives, (batch, steps, units) and its state.
    """
    if isinstance(output, tuple):
        return output[0].shape[2], output[0].shape[1]
    *channels, samples = (*output.shape[1:], 1) if output.dim() == 2 else output.shape[1:]
    return int(np.prod(channels)), samples


def architecture(net: nn.Module, channels: int, samples: int) -> Axes:
    """The net from left to right: a box for each shape of its data, as tall as the logarithm of its channels
    and as wide as that of its samples; below it the layers that made it.

    A long net goes on in further rows, below each other, to which arrows lead.
    """
    table = layers(net, channels, samples)
    first = pd.DataFrame({"layers": "input", "channels": [channels], "samples": [samples]})
    table = pd.concat([first, table], ignore_index=True)
    heights = 0.5 + (TALLEST - 0.5) * np.log1p(table.channels) / np.log1p(table.channels.max())
    widths = 0.15 + 0.8 * np.log1p(table.samples - 1) / np.log1p(table.samples.max())
    rows = -(-len(table) // MOST_IN_A_ROW)
    in_a_row = -(-len(table) // rows)
    below = 0.4 + 0.3 * (table.layers.str.count("\n").max() + 1)  # room for the layers' names
    row_height = TALLEST + 0.6 + below
    _, ax = plt.subplots(figsize=(9, 3.9 * rows))
    for place, (box, height, width) in enumerate(zip(table.itertuples(), heights, widths)):
        row, column = divmod(place, in_a_row)
        x, y, colour = STEP * column, -row_height * row, GREY if place == 0 else PALETTE[0]
        ax.add_patch(plt.Rectangle((x - width / 2, y - height / 2), width, height, color=colour, alpha=0.8))
        size = f"{box.channels} × {box.samples}" if box.samples > 1 else f"{box.channels}"
        ax.text(x, y + height / 2 + 0.1, size, ha="center", va="bottom", fontsize="small")
        ax.text(x, y - TALLEST / 2 - 0.15, box.layers, ha="center", va="top", fontsize="small")
    for row in range(1, rows):
        ax.text(STEP * (in_a_row - 0.45), -row_height * (row - 1), "→", ha="center", va="center")
        ax.text(-0.55 * STEP, -row_height * row, "→", ha="center", va="center")
    ax.set(
        xlim=(-0.8, STEP * in_a_row - 0.55),
        ylim=(-row_height * (rows - 1) - TALLEST / 2 - below, TALLEST / 2 + 0.6),
    )
    ax.axis("off")
    return ax


def _units(net: nn.Module) -> list[nn.Module]:
    """The modules that are drawn: torch's own layers and blocks, none inside another."""
    found: list[nn.Module] = []
    for child in net.children():
        own = type(child).__module__.startswith("torch.")
        if isinstance(child, SILENT):
            continue
        if (own and not list(child.children())) or (not own and type(child) is not type(net)):
            found.append(child)
        else:
            found += _units(child)
    return found


def _end_of_time(width: int, channels: int, samples: int) -> str:
    """How a net that gives its dense layers `width` numbers of (channels, samples) leaves time behind."""
    return {channels: "mean", 2 * channels: "maximum, mean", channels * samples: "flatten"}.get(width, "pool")


def _name(module: nn.Module) -> str:
    """A layer in a few words: "convolution 5", "basic block"."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", type(module).__name__).lower()
    names = {
        "conv1d": "convolution", "batch norm1d": "batch norm", "re lu": "ReLU", "max pool1d": "maximum",
        "avg pool1d": "mean", "linear": "dense", "gelu": "GELU", "elu": "ELU", "s4 layer": "S4 layer",
        "conv2d": "convolution", "batch norm2d": "batch norm", "max pool2d": "maximum", "lstm": "LSTM",
        "gru": "GRU",
    }  # fmt: skip
    size = getattr(module, "kernel_size", None)
    kernel = size[-1] if isinstance(size, tuple) else size
    return f"{names.get(words, words)}{f' {kernel}' if kernel else ''}"
