"""Quantization of ONNX files: float16, dynamic and static int8, and how many layers really run in 8 bits.

Weights of 8-bit files lie between -64 and 64. x86 processors without VNNI add two products of an unsigned and
a signed byte in 16 bits, and saturate: with weights up to 127 the same file would answer differently there.
Of 255 x 64 + 255 x 64 = 32,640 they lose nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
import torch
from google.protobuf.message import DecodeError
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16
from torch import nn

from biosignals import caching
from biosignals.compression.export import OLDEST_OPSET, OPSET, export_once, quiet, save_model

if TYPE_CHECKING:
    from biosignals.training.cross_validation import Examples

# ONNX Runtime's operators for layers with weights, in the graph that it runs: in 8 bits, and in floats.
IN_INTEGERS = {
    "ConvInteger", "DynamicQuantizeLSTM", "DynamicQuantizeMatMul", "MatMulInteger", "MatMulIntegerToFloat",
    "QGemm", "QLinearConv", "QLinearMatMul",
}  # fmt: skip
IN_FLOATS = {
    "Conv", "ConvTranspose", "FusedConv", "FusedGemm", "FusedMatMul", "GRU", "Gemm", "LSTM", "MatMul",
}  # fmt: skip


def float_and_int8(net: nn.Module, windows: np.ndarray, folder: Path) -> dict[str, Path]:
    """A net's files "float32", of `export_once`, and "int8", of `to_int8`; those that are there are taken.

    windows: inputs to calibrate with, float32 (n, channels, samples), of recordings in the net's training
    set. Raises ValueError as `export` and `to_int8`.
    """
    whole = export_once(net, torch.from_numpy(windows[:2]), folder)
    small = whole.with_name(f"{caching.Key.of(whole.stem, windows, caching.Local(to_int8)).exact}.onnx")
    return {"float32": whole, "int8": small if small.is_file() else to_int8(whole, small, windows)}


def calibration_windows(
    examples: Examples, rows: np.ndarray, count: int = 128, crop: int | None = None,
    augment: Callable[[torch.Tensor], torch.Tensor] | None = None
) -> np.ndarray:  # fmt: skip
    """Windows to calibrate a net with that has learnt from `rows`, (n,), of some recordings and targets:
    float32 (count, channels, samples).

    count: of how many recordings (see `calibration_rows`), of fewer all. crop: samples of a window, from the
    middle of each recording; None: whole recordings. augment: the augmentation that the net has learnt with,
    so that the range of its activations is found too; it draws the same random numbers each time. Raises
    ValueError as `calibration_rows`.
    """
    some = calibration_rows(examples.targets, rows, min(count, len(rows)))
    signals = examples.recordings.physical(some)
    start = 0 if crop is None else (signals.shape[-1] - crop) // 2
    windows = signals[..., start:][..., :crop]
    if augment is None:
        return windows
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return augment(torch.from_numpy(windows)).numpy()


def out_of_fold_files(
    examples: Examples, nets: Sequence[Sequence[nn.Module]], folder: Path, count: int = 128,
    crop: int | None = None, augment: Callable[[torch.Tensor], torch.Tensor] | None = None
) -> dict[str, list[list[Path]]]:  # fmt: skip
    """The files "float32" and "int8" (see `float_and_int8`) of the nets of an out-of-fold fit: of each a list
    for each seed, in it one for each group of folds, calibrated with recordings that its net has learnt from.

    count, crop, augment: as in `calibration_windows`. Raises ValueError as that and `float_and_int8`, and for
    another number of nets than of groups.
    """
    windows = [calibration_windows(examples, rows, count, crop, augment) for rows, _ in examples.groups]
    pairs = [
        [float_and_int8(net, of_group, folder) for net, of_group in zip(of_seed, windows, strict=True)]
        for of_seed in nets
    ]
    return {way: [[pair[way] for pair in of_seed] for of_seed in pairs] for way in ("float32", "int8")}


def to_float16(source: Path, target: Path) -> Path:
    """Write an ONNX file that computes in float16, with inputs and outputs still float32: half the bytes.
    Returns its path.

    Raises ValueError for a damaged file and for one of another version of ONNX's operators.
    """
    with quiet():
        return save_model(convert_float_to_float16(_opened(source), keep_io_types=True), target)


def to_dynamic_int8(source: Path, target: Path) -> Path:
    """Write an ONNX file with weights of 8 bits, whose activations' ranges are found for each input. Returns
    its path.

    Raises ValueError as `to_float16`.
    """
    with caching.temporary_folder() as folder, quiet():
        place = folder / "dynamic.onnx"
        model = _prepared(source)
        quantize_dynamic(
            model, place, weight_type=QuantType.QInt8, reduce_range=True,
            nodes_to_exclude=[node.name for node in _before_the_layers(model.graph)],
        )  # fmt: skip
        return save_model(onnx.load(place), target)


def to_int8(
    source: Path, target: Path, calibration: np.ndarray, per_channel: bool = True, method: str = "minmax"
) -> Path:
    """Write an ONNX file whose weights, int8 from -64 to 64, and activations, uint8, have 8 bits. Returns its
    path.

    calibration: inputs of the net, float32 (n, channels, samples), of training recordings (see
    `calibration_rows`): the activations that they cause set the ranges. per_channel: a scale for each output
    channel of the weights, not one for all. method: how a range is taken from these values, "minmax",
    "entropy" or "percentile". Quantize and dequantize nodes (QDQ) stand around every layer. Raises ValueError
    for another method, for a calibration set that is empty, holds NaN or infinity or does not fit the net,
    and as `to_float16`.
    """
    methods = {each.name.lower(): each for each in CalibrationMethod}
    if method not in methods:
        raise ValueError(f"method is one of {sorted(methods)}, not {method!r}")
    calibration = np.asarray(calibration, dtype=np.float32)
    _check_calibration(source, calibration)
    with caching.temporary_folder() as folder, quiet():
        place = folder / "static.onnx"
        model = _prepared(source)
        quantize_static(
            model, place, _Reader(calibration), quant_format=QuantFormat.QDQ,
            per_channel=per_channel, reduce_range=True, activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8, calibrate_method=methods[method],
            nodes_to_exclude=[node.name for node in _before_the_layers(model.graph)],
        )  # fmt: skip
        return save_model(onnx.load(place), target)


def calibration_rows(targets: np.ndarray, rows: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """`count` of `rows` drawn at random to calibrate with, some of every class: int (count,), sorted.

    targets: 0 or 1, (recordings, classes). rows: positions in them, int (n,). Raises ValueError for a `count`
    that is not 1 to n, and where a class has no row or all rows have the same classes: a range found on one
    class does not hold for others.
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

    Counted in the graph that the runtime makes of the file: a layer that it could not fuse with the quantize
    nodes around it runs in floats. A high-pass before the first layer is none.
    """
    with caching.temporary_folder() as folder:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(folder / "runs.onnx")
        onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        graph = onnx.load(options.optimized_model_filepath).graph
    constants = {tensor.name for tensor in graph.initializer}
    for node in graph.node:  # in the order in which they run: weights may be reshaped first
        if node.input and set(node.input) - {""} <= constants:
            constants |= set(node.output)
    before = [node.name for node in _before_the_layers(graph)]
    layers = [
        node.op_type
        for node in graph.node
        if constants & set(node.input) and not set(node.output) <= constants and node.name not in before
    ]
    integers = sum(name in IN_INTEGERS for name in layers)
    return integers, integers + sum(name in IN_FLOATS for name in layers)


def _before_the_layers(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """What stands between the input and the first layer that learns: a high-pass, which is products with slow
    cosines (`models.layers.high_pass`), and divisions by a deviation.

    It stays in floats: in 8 bits an offset of some mV would leave nothing of a signal beside it, and another
    gain would leave the range of the recordings that calibrate.
    """
    signals, found = {graph.input[0].name}, []
    high_passed = set(signals)
    for node in graph.node:
        if not signals & set(node.input):
            continue
        if node.op_type == "MatMul" and node.input[0] in high_passed:
            high_passed.update(node.output)
        elif node.op_type in IN_INTEGERS | IN_FLOATS | {"QuantizeLinear"}:
            break
        signals.update(node.output)
        found.append(node)
    return found


class _Reader(CalibrationDataReader):
    """Gives recordings to ONNX Runtime one by one."""

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
    model = _opened(source)
    if any("Quantize" in node.op_type or "Integer" in node.op_type for node in model.graph.node):
        raise ValueError(f"{Path(source).name} has 8 bits already: quantize the file that it was made from")
    with caching.temporary_folder() as folder:
        place = folder / "prepared.onnx"
        quant_pre_process(source, place, skip_symbolic_shape=True)
        return onnx.load(place)


def _opened(source: Path) -> onnx.ModelProto:
    """The model in an ONNX file; ValueError for one that is damaged or of another version of operators."""
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
