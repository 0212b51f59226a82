"""What a fitted net says of recordings."""

import hashlib
import inspect
import os
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from biosignals.data.recordings import Recordings
from biosignals.models.one_by_k import OneByK


def predict(
    net: nn.Module, recordings: Recordings, rows: np.ndarray, crop: int | None = None,
    features: np.ndarray | None = None, exclusive: bool = False, cache: Path | None = None,
) -> np.ndarray:  # fmt: skip
    """Probabilities (rows, classes) of a net: the mean over overlapping crops, or of the whole record.

    rows: positions in `recordings`, of which no more than 1,024 are in memory at a time. features: a second input,
    float32 (recordings, features). exclusive: classes exclude each other (softmax). cache: folder of answers; one of the
    same net and code about the same signals is found there again. ValueError without rows.
    """
    if not len(rows):
        raise ValueError(f"{recordings.dataset}: no recordings to ask about; is their split empty?")
    if cache is not None:
        place = Path(cache) / f"{_key(net, recordings, rows, crop, features, exclusive)}.npy"
        if not place.is_file():
            _write(place, predict(net, recordings, rows, crop, features, exclusive))
        return np.load(place, allow_pickle=False)
    blocks = np.split(np.asarray(rows), range(1024, len(rows), 1024))
    prepared = ready(net, recordings.physical(rows[:2])[..., :crop], features)
    return np.concatenate([
        _answers(prepared, recordings.physical(some), crop, None if features is None else features[some], exclusive)
        for some in blocks
    ])  # fmt: skip


def _key(net: nn.Module, recordings: Recordings, rows: np.ndarray, *options) -> str:
    crop, features, exclusive = options
    written_in = {type(module).__module__ for module in net.modules()} | {__name__}
    code = [inspect.getsource(sys.modules[name]) for name in sorted(written_in) if name.startswith("biosignals.")]
    digest = hashlib.blake2b(repr((code, str(net), crop, exclusive, recordings.scale)).encode(), digest_size=10)
    for value in net.state_dict().values():
        digest.update(value.detach().cpu().contiguous().numpy())
    digest.update(np.ascontiguousarray(recordings.signals[rows]))
    if features is not None:
        digest.update(np.ascontiguousarray(features[rows], dtype=np.float32))
    return digest.hexdigest()


def _write(place: Path, answers: np.ndarray) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    unfinished = place.with_suffix(f".{os.getpid()}.part.npy")
    np.save(unfinished, answers)
    os.replace(unfinished, place)


def predict_signals(
    net: nn.Module, signals: np.ndarray, crop: int | None = None, features: np.ndarray | None = None,
    exclusive: bool = False,
) -> np.ndarray:  # fmt: skip
    """As `predict`, from signals in the recordings' unit, float32 (n, channels, samples), and features of the same n."""
    return _answers(ready(net, signals[:2, :, :crop], features), signals, crop, features, exclusive)


def predict_file(path: Path, recordings: Recordings, rows: np.ndarray, crop: int | None = None) -> np.ndarray:
    """As `predict`, of a net that was written by `compression.export`: ONNX Runtime on one thread of the CPU."""
    session, parts = open_file(path), []
    for some in np.split(np.asarray(rows), range(256, len(rows), 256)):
        crops = crops_of(torch.from_numpy(recordings.physical(some)), crop)
        said = session.run(None, {"signals": crops.flatten(0, 1).numpy()})[0]
        parts.append(said.reshape(*crops.shape[:2], -1).mean(0))
    return np.concatenate(parts)


def open_file(path: Path) -> onnxruntime.InferenceSession:
    """A session of ONNX Runtime for an ONNX file, on one thread of the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def ready(net: nn.Module, example: np.ndarray, features: np.ndarray | None = None) -> nn.Module:
    """The net in evaluation mode and its fastest form for signals like `example`, float32 (n, channels, samples).

    On a graphics card where there is one. A net that is given features has no faster form.
    """
    net = net.eval()
    if features is None:
        net = fast_form(net, torch.from_numpy(example))
    return net.to("cuda" if torch.cuda.is_available() else "cpu").eval()


def _answers(
    net: nn.Module, signals: np.ndarray, crop: int | None, features: np.ndarray | None, exclusive: bool
) -> np.ndarray:
    device, parts = next(net.parameters()).device, []
    with torch.inference_mode():
        for start in range(0, len(signals), 256):
            x = torch.from_numpy(signals[start : start + 256]).to(device)
            more = None if features is None else torch.as_tensor(features[start : start + 256]).float().to(device)
            parts.append(crop_probabilities(net, x, more, crop, exclusive).cpu())
    return torch.cat(parts).numpy()


def crop_probabilities(
    net: nn.Module, x: Tensor, features: Tensor | None, crop: int | None, exclusive: bool
) -> Tensor:
    """Mean probability (batch, classes) over the crops of x, see `crops_of`."""
    crops = crops_of(x, crop)
    count = len(crops)
    logits = net(crops.flatten(0, 1)) if features is None else net(crops.flatten(0, 1), features.repeat(count, 1))
    return _probabilities(logits, exclusive).unflatten(0, (count, len(x))).mean(0)


def crops_of(x: Tensor, crop: int | None) -> Tensor:
    """Crops of x (batch, channels, samples) that overlap by half or more, the last flush with the end.

    (crops, batch, channels, crop); without `crop`, or where it is no shorter than x, one: x itself.
    """
    samples = x.shape[-1]
    if crop is None or crop >= samples:
        return x[None]
    count = -(-2 * (samples - crop) // crop) + 1
    starts = [i * (samples - crop) // (count - 1) for i in range(count)]
    return torch.stack([x[..., start : start + crop] for start in starts])


def _probabilities(logits: Tensor, exclusive: bool) -> Tensor:
    return logits.float().softmax(1) if exclusive else logits.float().sigmoid()


def fast_form(net: nn.Module, example: Tensor) -> nn.Module:
    """The 1 x k form of a convolutional net on a CPU, the net itself where there is none."""
    if torch.cuda.is_available():
        return net
    try:
        return OneByK(net, example)
    except (ValueError, RuntimeError):  # no such form, or one that cannot be run
        return net
