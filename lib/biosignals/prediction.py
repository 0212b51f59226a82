"""What a fitted net says of recordings."""

import numpy as np
import torch
from torch import Tensor, nn

from biosignals.data.recordings import Recordings
from biosignals.models.one_by_k import OneByK


def predict(net: nn.Module, recordings: Recordings, rows: np.ndarray, crop: int | None = None) -> np.ndarray:
    """Probabilities (rows, classes) of a multi-label net: the mean over overlapping crops, or of the whole record."""
    return predict_signals(net, recordings.physical(rows), crop)


def predict_signals(net: nn.Module, signals: np.ndarray, crop: int | None = None) -> np.ndarray:
    """As `predict`, from signals in the recordings' unit, float32 (n, channels, samples)."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    net = fast_form(net.eval(), torch.from_numpy(signals[:2, :, :crop])).to(device).eval()
    with torch.inference_mode():
        parts = [
            crop_probabilities(net, torch.from_numpy(signals[i : i + 256]).to(device), crop).cpu()
            for i in range(0, len(signals), 256)
        ]
    return torch.cat(parts).numpy()


def crop_probabilities(net: nn.Module, x: Tensor, crop: int | None) -> Tensor:
    """Mean probability (batch, classes) over crops of x that overlap by half or more, the last flush with the end."""
    samples = x.shape[-1]
    if crop is None or crop >= samples:
        return net(x).float().sigmoid()
    count = -(-2 * (samples - crop) // crop) + 1
    starts = [i * (samples - crop) // (count - 1) for i in range(count)]
    crops = torch.cat([x[..., start : start + crop] for start in starts])
    return net(crops).float().sigmoid().unflatten(0, (count, len(x))).mean(0)


def fast_form(net: nn.Module, example: Tensor) -> nn.Module:
    """The 1 x k form of a convolutional net on a CPU, the net itself where there is none."""
    if torch.cuda.is_available():
        return net
    try:
        return OneByK(net, example)
    except ValueError:
        return net
