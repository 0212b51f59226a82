"""Batch inference with fitted nets and with ONNX files."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from biosignals import caching, onnx_files
from biosignals.caching import Cache, Local, Rows
from biosignals.data.preparation import cut_windows, mean_per_recording
from biosignals.data.recordings import Recordings, positions
from biosignals.models.layers.conv1d_as_conv2d import Conv1dAsConv2d

if TYPE_CHECKING:
    import onnxruntime

BLOCK, BATCH = 1024, 256  # recordings in memory, and in a net, at a time; fewer where they are large:
MEMORY = 2**27  # bytes of their signals


class Inference(NamedTuple):
    """How a net is applied. crop: samples of the overlapping crops whose probabilities are averaged, None for
    whole records.

    multiclass: each record is of exactly one class (softmax). cache: where predictions are kept, None:
    nowhere. export: let them travel with the project. step: samples from one crop to the next, None: half a
    crop or less. own_length: of exported files, crops are cut from a recording's own samples, and a shorter
    recording is repeated until it fills one, as `deployment.predict` does.
    """

    crop: int | None = None
    multiclass: bool = False
    cache: Cache | None = None
    export: bool = False
    step: int | None = None
    own_length: bool = False


PLAIN = Inference()  # whole records, every class by itself, nothing kept


def predict(
    net: nn.Module,
    recordings: Recordings,
    rows: np.ndarray,
    features: np.ndarray | None = None,
    how: Inference = PLAIN,
) -> np.ndarray:
    """Probabilities (rows, classes) of a net, float32: the mean over overlapping crops, or of the whole
    record.

    rows: positions in `recordings`, or a mask, of which no more than 1,024 are in memory at a time. features:
    a second input, float32 (recordings, features). Raises ValueError without rows, and for arguments that are
    swapped.
    """
    return predict_with(lambda: net, net, recordings, rows, features, how)


def predict_with(
    get_net: Callable[[], nn.Module],
    identity: Any,
    recordings: Recordings,
    rows: np.ndarray,
    features: np.ndarray | None,
    how: Inference,
) -> np.ndarray:
    """As `predict`, float32 (rows, classes), of a net that is only needed where its predictions are not known
    yet.

    identity: what the net is known by, part of a cache key; features: float32 (recordings, features) or None.
    Raises ValueError as `predict`.
    """
    if not isinstance(recordings, Recordings):
        raise ValueError(f"a net comes first, then Recordings, which {type(recordings).__name__} is not")
    rows = positions(rows, len(recordings))
    if not len(rows):
        raise ValueError(f"{recordings.dataset}: no recordings to predict; is their split empty?")
    second = None if features is None else np.asarray(features[rows], dtype=np.float32)

    def compute() -> np.ndarray:
        net = prepare_for_inference(get_net(), recordings.physical(rows[:2])[..., : how.crop], second)
        parts = []
        for block in batches(len(rows), recordings.signals.shape[1:], BLOCK):
            more = None if second is None else second[block]
            parts.append(_probabilities_of(net, recordings.physical(rows[block]), more, how))
            caching.release(recordings.signals)
        return np.concatenate(parts)

    code = Local((prepare_for_inference, _probabilities_of))
    parts = (
        identity,
        _crops_of(how),
        how.multiclass,
        recordings.scale,
        Rows(recordings.signals, rows),
        second,
        code,
    )
    return caching.fetch(how.cache, parts, compute, how.export)


def predict_signals(
    net: nn.Module, signals: np.ndarray, features: np.ndarray | None = None, how: Inference = PLAIN
) -> np.ndarray:
    """As `predict`, float32 (n, classes), of signals in the recordings' unit, float32 (n, channels, samples).

    features: float32 (n, features) of the same recordings. Raises ValueError for signals of another shape.
    """
    if np.ndim(signals) != 3:
        raise ValueError(
            f"signals must be (n, channels, samples), not {np.shape(signals)}: for one, signals[None]"
        )

    def compute() -> np.ndarray:
        x = np.asarray(signals, dtype=np.float32)
        ready = prepare_for_inference(net, x[:2, :, : how.crop], features)
        return _probabilities_of(ready, x, features, how)

    parts = (
        net,
        _crops_of(how),
        how.multiclass,
        signals,
        features,
        Local((prepare_for_inference, _probabilities_of)),
    )
    return caching.fetch(how.cache, parts, compute, how.export)


def predict_onnx(
    path: Path,
    recordings: Recordings,
    rows: np.ndarray,
    how: Inference = PLAIN,
    change: Callable[[np.ndarray], np.ndarray] | None = None,
) -> np.ndarray:
    """As `predict`, float32 (rows, classes), of a net that `compression.export` wrote: ONNX Runtime, one
    thread.

    rows: positions in `recordings`. change: of the signals beforehand, float32 (n, channels, samples) both.
    The file gives probabilities already: `how.multiclass` is not looked at. Raises ValueError for
    `how.own_length` without a crop.
    """
    rows = positions(rows, len(recordings))

    def compute() -> np.ndarray:
        session, parts = onnx_files.open_session(path), []
        some, places = recordings, rows
        if change is not None:  # of all together, as of nets: a change may draw other numbers for each
            changed, table = change(recordings.physical(rows)), recordings.table.iloc[rows]
            some, places = replace(recordings, signals=changed, scale=1.0, table=table), np.arange(len(rows))
        for batch in batches(len(rows), recordings.signals.shape[1:]):
            block = places[batch]
            if how.own_length:
                parts.append(_mean_over_windows(session, some.take(block), how))
                continue
            crops = overlapping_crops(torch.from_numpy(some.physical(block)), how.crop, how.step)
            probabilities = onnx_files.run(session, crops.flatten(0, 1).numpy())
            parts.append(probabilities.reshape(*crops.shape[:2], -1).mean(0))
        return np.concatenate(parts)

    parts = (
        Path(path),
        _crops_of(how),
        recordings.scale,
        Rows(recordings.signals, rows),
        None if change is None else (change, "all together"),
        Local((onnx_files.run, overlapping_crops)),
    )
    if how.own_length:
        lengths = recordings.table["samples"].to_numpy()[rows]
        parts = (*parts, lengths, recordings.sampling_rate, Local(_mean_over_windows))
    return caching.fetch(how.cache, parts, compute, how.export)


def _mean_over_windows(
    session: onnxruntime.InferenceSession, recordings: Recordings, how: Inference
) -> np.ndarray:
    """Mean probability (recordings, classes) over the windows of each recording's own samples."""
    if how.crop is None:
        raise ValueError("own_length needs a crop: the samples of a window that the file takes")
    rate = recordings.sampling_rate
    windows = cut_windows(recordings, how.crop / rate, (how.step or how.crop / 2) / rate, repeat=True)
    places = np.arange(len(windows))
    found = [
        onnx_files.run(session, windows.physical(places[batch]))
        for batch in batches(len(windows), windows.signals.shape[1:])
    ]
    return mean_per_recording(np.concatenate(found), windows).astype(np.float32)


def prepare_for_inference(
    net: nn.Module, example: np.ndarray, features: np.ndarray | None = None
) -> nn.Module:
    """The net in evaluation mode, in its fastest form for signals like `example`, float32 (n, channels,
    samples).

    On a graphics card where there is one. A net that takes `features`, (n, features), has no faster form.
    """
    net = net.eval()
    if features is None:
        net = fastest_form(net, torch.from_numpy(example))
    return net.to("cuda" if torch.cuda.is_available() else "cpu").eval()


def _crops_of(how: Inference) -> int | None | tuple[int | None, int]:
    """What a key says of the crops that are predicted."""
    return how.crop if how.step is None else (how.crop, how.step)


def crop_probabilities(
    net: nn.Module, x: Tensor, features: Tensor | None, crop: int | None, multiclass: bool,
    step: int | None = None,
) -> Tensor:  # fmt: skip
    """Mean probability (batch, classes) over the crops of x (batch, channels, samples), see
    `overlapping_crops`.

    features: (batch, features), or None.
    """
    crops = overlapping_crops(x, crop, step)
    count, flat = len(crops), crops.flatten(0, 1)
    logits = (net(flat) if features is None else net(flat, features.repeat(count, 1))).float()
    probabilities = logits.softmax(1) if multiclass else logits.sigmoid()
    return probabilities.unflatten(0, (count, len(x))).mean(0)


def batches(count: int, shape: tuple[int, ...], most: int = BATCH) -> list[slice]:
    """Slices of `count` float32 signals of a shape, (channels, samples): each at most `most`, and as many as
    MEMORY holds.
    """
    step = min(max(MEMORY // (4 * math.prod(shape)), 1), most)
    return [slice(start, start + step) for start in range(0, count, step)]


def overlapping_crops(x: Tensor, crop: int | None, step: int | None = None) -> Tensor:
    """Crops of x (batch, channels, samples), evenly spaced and `step` samples apart or fewer (None: half a
    crop), the last flush with the end.

    (crops, batch, channels, crop); without `crop`, or where it is no shorter than x, one: x itself.
    """
    samples = x.shape[-1]
    if crop is None or crop >= samples:
        return x[None]
    count = math.ceil((samples - crop) / (step or crop / 2)) + 1
    starts = [i * (samples - crop) // (count - 1) for i in range(count)]
    return torch.stack([x[..., start : start + crop] for start in starts])


def fastest_form(net: nn.Module, example: Tensor) -> nn.Module:
    """The 1 x k form of a convolutional net on a CPU, the net itself where there is none.

    example: an input, float32 (batch, channels, samples).
    """
    if torch.cuda.is_available():
        return net
    try:
        return Conv1dAsConv2d(net, example)
    except (ValueError, TypeError, LookupError, AttributeError, RuntimeError):
        # There is no such form, or one that the net's own code cannot run.
        return net


def _probabilities_of(
    net: nn.Module, signals: np.ndarray, features: np.ndarray | None, how: Inference
) -> np.ndarray:
    device, parts = next(net.parameters()).device, []
    with torch.inference_mode():
        for batch in batches(len(signals), signals.shape[1:]):
            x = torch.from_numpy(signals[batch]).to(device)
            more = None if features is None else torch.as_tensor(features[batch]).float().to(device)
            parts.append(crop_probabilities(net, x, more, how.crop, how.multiclass, how.step).cpu())
    return torch.cat(parts).numpy()
