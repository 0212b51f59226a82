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
from biosignals.models.layers.onnx_recurrent import as_operators
from biosignals.models.layers.onnx_s4 import as_convolutions
from biosignals.models.layers.standardised import Standardised
from biosignals.models.s4 import S4

OPSET, OLDEST_OPSET = 20, 13


def export(net: nn.Module, example: Tensor, path: Path) -> Path:
    """Write a net as ONNX: `signals` float32 (batch, channels, samples) to sigmoid `probabilities` (batch,
    classes).

    example: inputs (batch, channels, samples), which set all but the batch. S4 is written as convolutions of
    that length: ONNX has no complex numbers. Returns the path. Raises ValueError for a net with a layer that
    ONNX does not have.
    """
    if isinstance(net, Standardised) and isinstance(net.net, S4):
        net = Standardised(
            as_convolutions(net.net, example.shape[-1]), float(net.mean), float(net.deviation), net.high_pass
        )
    try:
        with quiet():
            program = torch.onnx.export(
                nn.Sequential(as_operators(net), nn.Sigmoid()), (example,), dynamo=True, verbose=False,
                dynamic_shapes=({0: torch.export.Dim("batch")},), opset_version=OPSET,
                input_names=["signals"], output_names=["probabilities"], optimize=False,
            )  # fmt: skip
    except (torch.onnx.OnnxExporterError, RuntimeError) as error:
        raise ValueError(f"{type(net).__name__} cannot be written as ONNX: {error}") from error
    with quiet():
        return save_model(optimize(program.model_proto), path)


def export_once(net: nn.Module, example: Tensor, folder: Path) -> Path:
    """The path that `export` gives, in `folder` and named by the net, its weights and code; a file that is
    there is taken.

    example: inputs (batch, channels, samples). Raises ValueError as `export`.
    """
    key = caching.Key.of(net, tuple(example.shape[1:]), caching.Local(export))
    path = Path(folder) / f"{key.exact}.onnx"
    return path if path.is_file() else export(net, example, path)


def save_model(model: onnx.ModelProto, target: Path) -> Path:
    """Write an ONNX file that holds only what is needed to run it; whole or not at all. Returns its path."""
    # What tools note of each node for debugging would outweigh a small net.
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
    """Without the messages of exporters and quantizers, which print, and warn of deprecated parts of their
    own.
    """
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
