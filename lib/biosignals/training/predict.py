"""What a fitted net says of recordings."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from biosignals import caching
from biosignals.data.recordings import Recordings
from biosignals.models.layers.conv1d_as_conv2d import Conv1dAsConv2d

_THIS = sys.modules[__name__]  # other code may answer otherwise


def predict(
    net: nn.Module, recordings: Recordings, rows: np.ndarray, crop: int | None = None,
    features: np.ndarray | None = None, multiclass: bool = False,
) -> np.ndarray:  # fmt: skip
    """Probabilities (rows, classes) of a net: the mean over overlapping crops, or of the whole record.

    rows: positions in `recordings`, of which no more than 1,024 are in memory at a time. features: a second input,
    float32 (recordings, features). multiclass: classes exclude each other (softmax). ValueError without rows.
    """
    if not len(rows):
        raise ValueError(f"{recordings.dataset}: no recordings to ask about; is their split empty?")
    rows = np.asarray(rows)
    second = None if features is None else np.asarray(features[rows], dtype=np.float32)
    blocks = np.split(np.arange(len(rows)), range(1024, len(rows), 1024))

    def sources() -> Iterator:
        yield from (net, _THIS, crop, multiclass, recordings.scale, second)
        yield from (recordings.signals[rows[own]] for own in blocks)

    def ask() -> np.ndarray:
        prepared = prepare_for_inference(net, recordings.physical(rows[:2])[..., :crop], second)
        return np.concatenate([
            _answers(prepared, recordings.physical(rows[own]), crop, None if second is None else second[own], multiclass)
            for own in blocks
        ])  # fmt: skip

    return caching.array(sources, ask)


def predict_signals(
    net: nn.Module, signals: np.ndarray, crop: int | None = None, features: np.ndarray | None = None,
    multiclass: bool = False,
) -> np.ndarray:  # fmt: skip
    """As `predict`, from signals in the recordings' unit, float32 (n, channels, samples), and features of the same n."""
    return caching.array(
        lambda: (net, _THIS, crop, multiclass, signals, features),
        lambda: _answers(prepare_for_inference(net, signals[:2, :, :crop], features), signals, crop, features, multiclass),
    )  # fmt: skip


def predict_file(path: Path, recordings: Recordings, rows: np.ndarray, crop: int | None = None) -> np.ndarray:
    """As `predict`, of a net that was written by `compression.export`: ONNX Runtime on one thread of the CPU."""
    blocks = np.split(np.asarray(rows), range(256, len(rows), 256))

    def sources() -> Iterator:
        yield from (Path(path), _THIS, crop, recordings.scale)
        yield from (recordings.signals[some] for some in blocks)

    def ask() -> np.ndarray:
        session, parts = open_file(path), []
        for some in blocks:
            crops = overlapping_crops(torch.from_numpy(recordings.physical(some)), crop)
            said = session.run(None, {"signals": crops.flatten(0, 1).numpy()})[0]
            parts.append(said.reshape(*crops.shape[:2], -1).mean(0))
        return np.concatenate(parts)

    return caching.array(sources, ask)


def open_file(path: Path) -> onnxruntime.InferenceSession:
    """A session of ONNX Runtime for an ONNX file, on one thread of the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def prepare_for_inference(net: nn.Module, example: np.ndarray, features: np.ndarray | None = None) -> nn.Module:
    """The net in evaluation mode and its fastest form for signals like `example`, float32 (n, channels, samples).

    On a graphics card where there is one. A net that is given features has no faster form.
    """
    net = net.eval()
    if features is None:
        net = fastest_form(net, torch.from_numpy(example))
    return net.to("cuda" if torch.cuda.is_available() else "cpu").eval()


def _answers(
    net: nn.Module, signals: np.ndarray, crop: int | None, features: np.ndarray | None, multiclass: bool
) -> np.ndarray:
    device, parts = next(net.parameters()).device, []
    with torch.inference_mode():
        for start in range(0, len(signals), 256):
            x = torch.from_numpy(signals[start : start + 256]).to(device)
            more = None if features is None else torch.as_tensor(features[start : start + 256]).float().to(device)
            parts.append(crop_probabilities(net, x, more, crop, multiclass).cpu())
    return torch.cat(parts).numpy()


def crop_probabilities(
    net: nn.Module, x: Tensor, features: Tensor | None, crop: int | None, multiclass: bool
) -> Tensor:
    """Mean probability (batch, classes) over the crops of x, see `crops_of`."""
    crops = overlapping_crops(x, crop)
    count = len(crops)
    logits = net(crops.flatten(0, 1)) if features is None else net(crops.flatten(0, 1), features.repeat(count, 1))
    return _probabilities(logits, multiclass).unflatten(0, (count, len(x))).mean(0)


def overlapping_crops(x: Tensor, crop: int | None) -> Tensor:
    """Crops of x (batch, channels, samples) that overlap by half or more, the last flush with the end.

    (crops, batch, channels, crop); without `crop`, or where it is no shorter than x, one: x itself.
    """
    samples = x.shape[-1]
    if crop is None or crop >= samples:
        return x[None]
    count = -(-2 * (samples - crop) // crop) + 1
    starts = [i * (samples - crop) // (count - 1) for i in range(count)]
    return torch.stack([x[..., start : start + crop] for start in starts])


def _probabilities(logits: Tensor, multiclass: bool) -> Tensor:
    return logits.float().softmax(1) if multiclass else logits.float().sigmoid()


def fastest_form(net: nn.Module, example: Tensor) -> nn.Module:
    """The 1 x k form of a convolutional net on a CPU, the net itself where there is none."""
    if torch.cuda.is_available():
        return net
    try:
        return Conv1dAsConv2d(net, example)
    except (ValueError, RuntimeError):  # no such form, or one that cannot be run
        return net
