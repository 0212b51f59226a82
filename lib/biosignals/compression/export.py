"""Nets as ONNX files that give probabilities."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import onnx
import torch
from onnxruntime.quantization.onnx_model import ONNXModel
from onnxscript.optimizer import optimize
from torch import Tensor, nn

from biosignals import caching
from biosignals.models.layers.onnx_lstm import as_operators
from biosignals.models.layers.onnx_s4 import as_convolutions
from biosignals.models.layers.standardised import Standardised
from biosignals.models.s4 import S4

OPSET, OLDEST_OPSET = 20, 13


# ONNX files


class Probabilities(nn.Module):
    """A net that answers with probabilities in place of logits."""

    def __init__(self, net: nn.Module, multiclass: bool):
        super().__init__()
        self.net = net
        self.multiclass = multiclass

    def forward(self, x: Tensor) -> Tensor:
        logits = self.net(x)
        return logits.softmax(1) if self.multiclass else logits.sigmoid()


def export(net: nn.Module, example: Tensor, path: Path, multiclass: bool = False) -> Path:
    """Write a net as ONNX that gives probabilities (batch, classes) of `signals` (batch, channels, samples), any batch.

    Channels and samples are those of `example`. S4 leaves as convolutions of that length, since ONNX has no complex numbers.
    ValueError for a net with a layer that ONNX does not know.
    """
    if isinstance(net, Standardised) and isinstance(net.net, S4):
        net = Standardised(as_convolutions(net.net, example.shape[-1]), float(net.mean), float(net.deviation))
    whole = Probabilities(as_operators(net), multiclass)
    model = onnx.ModelProto()
    model.CopyFrom(_graph(whole, example))
    own = dict(
        [*whole.named_parameters(remove_duplicate=False), *whole.named_buffers(remove_duplicate=False)]
    )
    for tensor in model.graph.initializer:
        if tensor.name in own:
            values = own[tensor.name].detach().cpu().numpy()
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    with quiet():
        return save_model(optimize(model), path)


# Nets of one structure differ in their weights alone, and the exporter takes seconds: what it wrote is kept by structure.
_graphs: dict[str, onnx.ModelProto] = {}
MOST_GRAPHS = 16


def _graph(whole: Probabilities, example: Tensor) -> onnx.ModelProto:
    """What the exporter makes of a net, with weights of that net or of another one of its structure."""
    structure = _structure(whole, example)
    if structure in _graphs:
        return _graphs[structure]
    try:
        with quiet():
            program = torch.onnx.export(
                whole, (example,), dynamo=True, dynamic_shapes=({0: torch.export.Dim("batch")},), verbose=False,
                opset_version=OPSET, input_names=["signals"], output_names=["probabilities"], optimize=False,
            )  # fmt: skip
    except (torch.onnx.OnnxExporterError, RuntimeError) as error:
        raise ValueError(f"{type(whole.net).__name__} cannot be written as ONNX: {error}") from error
    if (
        " at 0x" not in structure
    ):  # what is known by its address alone may be something else there the next time
        if len(_graphs) == MOST_GRAPHS:
            _graphs.pop(next(iter(_graphs)))
        _graphs[structure] = program.model_proto
    return program.model_proto


def _structure(net: nn.Module, example: Tensor) -> str:
    """Everything about a net but the values of its weights: classes, settings, names and shapes."""
    values = {"_parameters", "_buffers", "_modules"}
    layers = [(name, type(module), {key: value for key, value in vars(module).items() if key not in values})
              for name, module in net.named_modules()]  # fmt: skip
    weights = [
        (name, value.shape, value.dtype) for name, value in [*net.named_parameters(), *net.named_buffers()]
    ]
    return repr((layers, weights, example.shape[1:]))


def export_once(net: nn.Module, example: Tensor, folder: Path) -> Path:
    """As `export`, to a file in `folder` named after the net, its weights and code; one that is there is taken."""
    path = Path(folder) / f"{_digest(net, example)}.onnx"
    return path if path.is_file() else export(net, example, path)


def _digest(net: nn.Module, example: Tensor) -> str:
    return caching.Key.of(net, tuple(example.shape[1:]), caching.Local(export)).exact


def save_model(model: onnx.ModelProto, target: Path) -> Path:
    """Write an ONNX file that holds what is needed to run it; whole or not at all."""
    # What tools note of each node for whoever mends them would outweigh a small net.
    graph = model.graph
    del graph.value_info[:], graph.metadata_props[:], model.metadata_props[:]
    for part in (*graph.node, *graph.initializer, *graph.input, *graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
    ordered = ONNXModel(model)
    ordered.topological_sort()
    onnx.checker.check_model(ordered.model, full_check=True)
    with caching.writing(target) as unfinished:
        onnx.save(ordered.model, unfinished)
    return Path(target)


@contextmanager
def quiet() -> Iterator[None]:
    """Without the notices of exporters and quantizers, which print, and warn of their own deprecated parts."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
