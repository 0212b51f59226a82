"""Compression: a net made smaller or faster that says nearly the same.

Pruning works on PyTorch nets, `without_channels` and `with_small_weights_at_zero`; quantization on ONNX files that `export`
writes; `quantization_aware` is for nets that learn with eight bits. Only what is measured counts: weights set to zero make nothing smaller, and a
layer that a quantizer passed over is no faster; `quantized_layers` counts them.
"""

from __future__ import annotations

import copy
import hashlib
import io
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
import torch_pruning
from google.protobuf.message import DecodeError
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.onnx_model import ONNXModel
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxscript.optimizer import optimize
from torch import Tensor, nn
from torch.nn.utils import prune
from torch.utils.flop_counter import FlopCounterMode

from biosignals import kept, timing
from biosignals.models import parameter_count
from biosignals.models.masked import Masked
from biosignals.models.portable_lstm import as_operators
from biosignals.models.portable_s4 import as_convolutions
from biosignals.models.s4 import S4
from biosignals.models.standardised import Standardised

_DENSE = (nn.Conv1d, nn.Conv2d, nn.Linear)
OPSET, OLDEST_OPSET = 20, 13
# What ONNX Runtime computes layers with weights by, in its own graph: in 8 bits, or else.
IN_INTEGERS = {
    "ConvInteger", "DynamicQuantizeLSTM", "DynamicQuantizeMatMul", "MatMulInteger", "MatMulIntegerToFloat", "QGemm",
    "QLinearConv", "QLinearMatMul",
}  # fmt: skip
IN_FLOATS = {"Conv", "ConvTranspose", "FusedConv", "FusedGemm", "FusedMatMul", "GRU", "Gemm", "LSTM", "MatMul"}


# Pruning


def with_small_weights_at_zero(net: nn.Module, share: float) -> nn.Module:
    """A copy with the smallest `share` of the weights of each layer held at zero: L1, unstructured (Han et al. 2015).

    The net keeps its parameters, its bytes and its time. ValueError for a share outside of 0 to 1.
    """
    _check_share(share)
    net = copy.deepcopy(net).eval()
    for name, layer in [named for named in net.named_modules() if isinstance(named[1], _DENSE)]:
        size = layer.weight.detach().abs().flatten()
        kept = torch.ones_like(size).index_fill(0, size.argsort()[: round(share * len(size))], 0)
        net.set_submodule(name, Masked(layer, kept.view_as(layer.weight)))
    return net


def settled(net: nn.Module) -> nn.Module:
    """A copy of a masked net whose zeros are weights like others: it can be exported, quantized, and pruned again."""
    net = copy.deepcopy(net)
    for name, masked in [named for named in net.named_modules() if isinstance(named[1], Masked)]:
        masked.layer.weight = nn.Parameter(masked.weight().detach())
        net.set_submodule(name, masked.layer)
    return net


def share_of_zeros(net: nn.Module) -> float:
    """Share of the weights of convolutions and dense layers that are zero."""
    weights = [layer.weight.detach() for layer in _dense(settled(net))]
    return sum(int((weight == 0).sum()) for weight in weights) / sum(weight.numel() for weight in weights)


def pruned_and_lost(net: nn.Module, share: float, seed: int = 0) -> nn.Module:
    """A mistake: a net pruned by `torch.nn.utils.prune`, saved, and loaded without insisting on names.

    Pruning renames a weight to `weight_orig`. A new net knows no such name and keeps its random start; with strict=False
    nobody is told.
    """
    _check_share(share)
    pruned, fresh = copy.deepcopy(net), copy.deepcopy(net)
    for layer in _dense(pruned):
        prune.l1_unstructured(layer, "weight", share)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for layer in _dense(fresh):
            layer.reset_parameters()
    fresh.load_state_dict(pruned.state_dict(), strict=False)
    return fresh.eval()


def with_one_step(net: nn.Module, bits: int = 8) -> nn.Module:
    """A mistake: a copy whose weights are rounded to `bits` bits with one step for all layers, by the largest of them all."""
    net = copy.deepcopy(net).eval()
    weights = [layer.weight for layer in _dense(net)]
    step = max(float(weight.detach().abs().max()) for weight in weights) / (2 ** (bits - 1) - 1)
    with torch.no_grad():
        for weight in weights:
            weight.copy_((weight / step).round() * step)
    return net


def _dense(net: nn.Module) -> list[nn.Module]:
    return [module for module in net.modules() if isinstance(module, _DENSE)]


def without_channels(
    net: nn.Module, example: Tensor, share: float, keep: Sequence[nn.Module] = ()
) -> nn.Module:
    """A smaller copy: of each layer, the `share` of channels with the smallest weights is gone (Li et al. 2017).

    What depends on a channel goes with it (Fang et al. 2023). The last dense layer keeps its outputs, and so do the layers
    in `keep`. `example`: an input, float32 (batch, channels, samples). ValueError for a share outside of 0 to 1, and for a
    net that cannot be traced or comes out with other answers' shape, as recurrent nets and those with reshapes of fixed size do.
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
        raise ValueError(f"{type(net).__name__} cannot be pruned by channels: its answers change their shape")
    return smaller


def _check_share(share: float) -> None:
    if not 0 <= share < 1:
        raise ValueError(f"a share to prune is from 0 to below 1, not {share}")


# ONNX files


class Probabilities(nn.Module):
    """A net that answers with probabilities in place of logits."""

    def __init__(self, net: nn.Module, exclusive: bool):
        super().__init__()
        self.net = net
        self.exclusive = exclusive

    def forward(self, x: Tensor) -> Tensor:
        logits = self.net(x)
        return logits.softmax(1) if self.exclusive else logits.sigmoid()


def export(net: nn.Module, example: Tensor, path: Path, exclusive: bool = False) -> Path:
    """Write a net as ONNX that gives probabilities (batch, classes) of `signals` (batch, channels, samples), any batch.

    Channels and samples are those of `example`. S4 leaves as convolutions of that length, since ONNX has no complex numbers.
    ValueError for a net with a layer that ONNX does not know.
    """
    if isinstance(net, Standardised) and isinstance(net.net, S4):
        net = Standardised(as_convolutions(net.net, example.shape[-1]), float(net.mean), float(net.deviation))
    whole = Probabilities(as_operators(net), exclusive)
    model = onnx.ModelProto()
    model.CopyFrom(_graph(whole, example))
    own = dict([*whole.named_parameters(remove_duplicate=False), *whole.named_buffers(remove_duplicate=False)])
    for tensor in model.graph.initializer:
        if tensor.name in own:
            values = own[tensor.name].detach().cpu().numpy()
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    with quiet():
        return _save(optimize(model), path)


# Nets of one structure differ in their weights alone, and the exporter takes seconds: what it wrote is kept by structure.
_graphs: dict[str, onnx.ModelProto] = {}


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
    if " at 0x" not in structure:  # what is known by its address alone may be something else there the next time
        _graphs[structure] = program.model_proto
    return program.model_proto


def _structure(net: nn.Module, example: Tensor) -> str:
    """Everything about a net but the values of its weights: classes, settings, names and shapes."""
    values = {"_parameters", "_buffers", "_modules"}
    layers = [(name, type(module), {key: value for key, value in vars(module).items() if key not in values})
              for name, module in net.named_modules()]  # fmt: skip
    weights = [(name, value.shape, value.dtype) for name, value in [*net.named_parameters(), *net.named_buffers()]]
    return repr((layers, weights, example.shape[1:]))


def exported(net: nn.Module, example: Tensor, folder: Path) -> Path:
    """As `export`, to a file in `folder` named after the net, its weights and code; one that is there is taken."""
    path = Path(folder) / f"{_digest(net, example)}.onnx"
    return path if path.is_file() else export(net, example, path)


def both_files(net: nn.Module, windows: np.ndarray, folder: Path) -> dict[str, Path]:
    """A net's files "float32" and "int8", `exported` and made smaller by `to_int8`; those that are there are taken.

    windows: inputs to calibrate with, float32 (n, channels, samples), of recordings that the net learnt from.
    """
    whole = exported(net, torch.from_numpy(windows[:2]), folder)
    digest = hashlib.blake2b(np.ascontiguousarray(windows), digest_size=5).hexdigest()
    small = whole.with_name(f"{whole.stem}-{digest}.onnx")
    return {"float32": whole, "int8": small if small.is_file() else to_int8(whole, small, windows)}


def _digest(net: nn.Module, example: Tensor) -> str:
    return kept.digest((net, sys.modules[__name__], tuple(example.shape[1:])))


def to_float16(source: Path, target: Path) -> Path:
    """An ONNX file with weights and sums of 16 bits, inputs and outputs still float32: half the bytes."""
    with quiet():
        return _save(convert_float_to_float16(_opened(source), keep_io_types=True), target)


def to_dynamic_int8(source: Path, target: Path) -> Path:
    """An ONNX file with weights of 8 bits; the range of what flows between layers is found anew for each input."""
    with tempfile.TemporaryDirectory() as folder, quiet():
        place = Path(folder) / "dynamic.onnx"
        quantize_dynamic(_prepared(source), place, weight_type=QuantType.QInt8)
        return _save(onnx.load(place), target)


def to_int8(
    source: Path, target: Path, calibration: np.ndarray, per_channel: bool = True, method: str = "minmax"
) -> Path:
    """An ONNX file whose weights and activations have 8 bits; ranges are those that `calibration` brings about.

    calibration: inputs of the net, float32 (n, channels, samples), of training recordings; see `calibration_rows`.
    per_channel: a scale for each output channel of the weights, not one for all. method: "minmax", "entropy" or "percentile",
    how a range is read off the values seen. Quantize and dequantize nodes (QDQ) around every layer, uint8 by int8.
    ValueError for a calibration set that is empty, holds NaN or infinity, or does not fit the net.
    """
    methods = {each.name.lower(): each for each in CalibrationMethod}
    if method not in methods:
        raise ValueError(f"method is one of {sorted(methods)}, not {method!r}")
    _check_calibration(source, calibration)
    with tempfile.TemporaryDirectory() as folder, quiet():
        place = Path(folder) / "static.onnx"
        quantize_static(
            _prepared(source), place, _Reader(calibration), quant_format=QuantFormat.QDQ, per_channel=per_channel,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, calibrate_method=methods[method],
        )  # fmt: skip
        return _save(onnx.load(place), target)


def calibration_rows(targets: np.ndarray, rows: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """`count` of `rows` at random to calibrate with, among them some of every class: sorted positions.

    targets: 0 or 1, (recordings, classes). ValueError if one of the classes has no row, or all have no more than that
    one: a range found on one class is not that of others.
    """
    rows, rng = np.asarray(rows), np.random.default_rng(seed)
    labels = targets[rows] > 0.5
    if not 0 < count <= len(rows):
        raise ValueError(f"{count} recordings to calibrate with, of {len(rows)}")
    if labels.shape[1] > 1 and (~labels.any(0)).any() or len(np.unique(labels, axis=0)) < 2:
        raise ValueError("the recordings to calibrate with must be of all classes: some have none")
    order = rng.permutation(len(rows))
    first = [next(row for row in order if labels[row, label]) for label in range(labels.shape[1])][:count]
    chosen = list(dict.fromkeys([*first, *order]))[:count]
    return np.sort(rows[chosen])


def quantized_layers(path: Path) -> tuple[int, int]:
    """How many of an ONNX file's layers with weights ONNX Runtime computes in 8 bits, and how many there are.

    Counted in the graph that the runtime makes of the file: what it could not put together runs in floats, whatever the
    nodes around it say.
    """
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(Path(folder) / "runs.onnx")
        onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        graph = onnx.load(options.optimized_model_filepath).graph
    constants = {tensor.name for tensor in graph.initializer}
    for node in graph.node:  # in the order of their computing: weights may be brought into shape first
        if node.input and set(node.input) - {""} <= constants:
            constants |= set(node.output)
    layers = [node.op_type for node in graph.node if constants & set(node.input) and not set(node.output) <= constants]
    integers = sum(name in IN_INTEGERS for name in layers)
    return integers, integers + sum(name in IN_FLOATS for name in layers)


class _Reader(CalibrationDataReader):
    """Hands the recordings to ONNX Runtime one by one."""

    def __init__(self, signals: np.ndarray):
        self.batches: Iterator[dict] = iter([{"signals": signal[None]} for signal in signals])

    def get_next(self) -> dict | None:
        return next(self.batches, None)


def _check_calibration(source: Path, calibration: np.ndarray) -> None:
    if not len(calibration) or not np.isfinite(calibration).all():
        raise ValueError("a calibration set needs recordings without NaN or infinity")
    (signals,) = _opened(source).graph.input
    wanted = tuple(size.dim_value for size in signals.type.tensor_type.shape.dim[1:])
    if calibration.shape[1:] != wanted:
        raise ValueError(
            f"{Path(source).name} takes {wanted} channels and samples, not {calibration.shape[1:]}"
        )


def _prepared(source: Path) -> onnx.ModelProto:
    """The file with shapes worked out and constants folded, as ONNX Runtime's quantizers want it."""
    _opened(source)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "prepared.onnx"
        quant_pre_process(source, place, skip_symbolic_shape=True)
        return onnx.load(place)


def _opened(source: Path) -> onnx.ModelProto:
    """An ONNX file that can be made smaller; ValueError for one that is damaged or of another version of the operators."""
    try:
        model = onnx.load(source)
        onnx.checker.check_model(model)
    except (DecodeError, onnx.checker.ValidationError) as error:
        raise ValueError(f"{Path(source).name} is no ONNX file, or a damaged one: export it again") from error
    versions = [used.version for used in model.opset_import if used.domain in ("", "ai.onnx")]
    if not versions or not OLDEST_OPSET <= versions[0] <= OPSET:
        raise ValueError(
            f"{Path(source).name} uses version {versions} of ONNX's operators; eight bits per channel need "
            f"{OLDEST_OPSET} to {OPSET}: export it again with `export`"
        )
    return model


def _save(model: onnx.ModelProto, target: Path) -> Path:
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
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_suffix(f".{os.getpid()}.part")
    onnx.save(ordered.model, unfinished)
    os.replace(unfinished, target)
    return target


# What a net costs


def costs(file: Path, net: nn.Module, windows: np.ndarray, repeats: int = 30) -> dict[str, float]:
    """What an ONNX file costs: bytes, and on one thread milliseconds for one window and for all of `windows`.

    windows: float32 (n, channels, samples). With the parameters and multiply-adds for one window of the net it was made of.
    """
    one, many = windows[:1], len(windows)
    median, slow = timing.latency_of_file(file, one, repeats)
    median_of_many, slow_of_many = timing.latency_of_file(file, windows, max(3, repeats // 10))
    return {
        "parameters": parameter_count(net), "MACs": multiply_adds(net, torch.from_numpy(one)), "bytes": file.stat().st_size,
        "ms": median, "p95": slow, f"ms of {many}": median_of_many, f"p95 of {many}": slow_of_many,
    }  # fmt: skip


def multiply_adds(net: nn.Module, example: Tensor) -> int:
    """Multiplications with an addition (MACs) that a net takes for one recording of `example`."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net.eval()(example[:1])
    return counter.get_total_flops() // 2


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
