"""Pretraining without labels: pieces of a signal are hidden, and a transformer learns to fill them in (He et
al. 2022).
"""

from __future__ import annotations

import copy
import functools
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from biosignals.caching import Cache, Entry, Local, Rows, fetch_entry, provenance, release
from biosignals.data.recordings import Recordings
from biosignals.models.layers.image_blocks import EncoderBlock, small_parameter
from biosignals.models.layers.standardised import Standardised, normalised
from biosignals.models.signal_vit import SignalViT
from biosignals.progress import tqdm
from biosignals.training.predict import overlapping_crops


@dataclass(frozen=True)
class Masking:
    """How a net is pretrained: passes over the recordings, a crop of each a pass; share: of the pieces that
    is hidden; learning_rate: the top of one cycle.

    Raises ValueError for a share that hides nothing or everything, and for less than one pass.
    """

    passes: int = 100
    share: float = 0.5
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ValueError(f"share lies between 0 and 1, not {self.share}")
        if self.passes < 1:
            raise ValueError(f"passes must be above 0, not {self.passes}")


class MaskedAutoencoder(nn.Module):
    """A transformer that sees a part of a signal's pieces, and a small decoder that gives the others.

    encoder: the net behind its normalisation, which is what is kept.
    """

    def __init__(self, encoder: Standardised, share: float):
        super().__init__()
        self.encoder, self.share = encoder, share
        net: SignalViT = encoder.net
        width = net.projection.out_features
        self.mask = small_parameter(1, 1, width)
        self.decoder = EncoderBlock(width, net.blocks[0].attention[1].heads, 2 * width, dropout=0.0)
        self.to_pieces = nn.Linear(width, net.projection.in_features)

    def forward(self, x: Tensor) -> Tensor:
        """Mean squared error over the hidden pieces of x (batch, channels, samples), in deviations."""
        pieces, filled, hidden = self.fill(x)
        return (filled - pieces).square().mean(2)[hidden].mean()

    def fill(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Pieces of x (batch, channels, samples) as they are and as filled in, (batch, pieces, values) both,
        in deviations, and which were hidden, bool (batch, pieces).
        """
        net: SignalViT = self.encoder.net
        x = normalised(self.encoder, x)
        tokens = net.tokens(x)
        batch, count, width = tokens.shape
        order = torch.rand(batch, count, device=x.device).argsort(1)
        seen = order[:, : max(1, round((1 - self.share) * count))]
        encoded = net.encode(tokens.gather(1, seen[:, :, None].expand(-1, -1, width)))
        whole = (self.mask + net.positions).expand(batch, -1, -1)
        whole = whole.scatter(1, seen[:, :, None].expand(-1, -1, width), encoded)
        hidden = torch.ones(batch, count, dtype=torch.bool, device=x.device).scatter(1, seen, False)
        return net.patches(x), self.to_pieces(self.decoder(whole)), hidden


class Pretrained:
    """A net that is pretrained, or found in the cache, when its weights are first needed.

    net: as it was drawn, behind its normalisation. rows: of the recordings that it learns from, (n,), without
    their labels. key: what it is known by, None without a cache.
    """

    def __init__(
        self,
        net: Standardised,
        recordings: Recordings,
        rows: np.ndarray,
        masking: Masking,
        seed: int = 0,
        cache: Cache | None = None,
    ):
        if not isinstance(net, Standardised) or not isinstance(net.net, SignalViT):
            raise ValueError("masked pretraining takes a signal-vit behind its normalisation")
        self.start, self.recordings, self.rows = net, recordings, np.asarray(rows)
        self.masking, self.seed, self.cache = masking, seed, cache
        self.key = None if cache is None else cache.key(*self._parts())

    @functools.cached_property
    def autoencoder(self) -> MaskedAutoencoder:
        """The pretrained net and its decoder, in evaluation mode."""
        arrays, _ = self._entry("net.")
        model = self._untrained()
        model.load_state_dict(
            {name[4:]: torch.from_numpy(x) for name, x in arrays.items() if name.startswith("net.")}
        )
        return model.eval()

    @property
    def net(self) -> Standardised:
        """The pretrained net with its head as it was drawn."""
        return self.autoencoder.encoder

    @property
    def losses(self) -> np.ndarray:
        """Mean squared error over the hidden pieces in each pass, (passes,)."""
        return self._entry("history", export="history")[0]["history"]

    @property
    def seconds(self) -> float:
        """How long pretraining took."""
        return self._entry("history", export="history")[1]["seconds"]

    def fill(self, row: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The beginning of the recording `row` in the net's unit as it is and as filled in, (channels,
        samples) both, and which samples were hidden, bool (samples,); what was not hidden is given as it is.
        """

        def make() -> Entry:
            net: SignalViT = self.net.net
            x = torch.from_numpy(self.recordings.physical([row])[..., : net.samples])
            torch.manual_seed(seed)
            with torch.no_grad():
                pieces, filled, hidden = self.autoencoder.fill(x)
            filled = torch.where(hidden[:, :, None], filled, pieces)
            shape = (len(self.recordings.channels), net.patch)
            both = [part[0].unflatten(1, shape).transpose(0, 1).flatten(1) for part in (pieces, filled)]
            covered = hidden[0].repeat_interleave(net.patch)
            arrays = {"signal": both[0], "filled": both[1], "hidden": covered}
            return {name: value.numpy() for name, value in arrays.items()}, provenance()

        parts = ("filled", self.key, Rows(self.recordings.signals, np.array([row])), seed)
        arrays, _ = fetch_entry(self.cache, parts, make, export=True)
        return arrays["signal"], arrays["filled"], arrays["hidden"]

    def _untrained(self) -> MaskedAutoencoder:
        torch.manual_seed(self.seed)
        return MaskedAutoencoder(copy.deepcopy(self.start), self.masking.share)

    def _entry(self, having: str, export: str | None = None) -> Entry:
        make = functools.partial(_pretrain, self)
        if self.cache is None or self.key is None:
            if not hasattr(self, "_made"):
                self._made = make()
            return self._made
        return self.cache.fetch(self.key, make, having, export)

    def _parts(self) -> tuple[Any, ...]:
        """All that makes it, for its key."""
        signals = Rows(self.recordings.signals, self.rows)
        data = (self.recordings.scale, self.recordings.sampling_rate, self.recordings.channels)
        code = Local((_learn, MaskedAutoencoder))
        return "masked pretraining", self.start, self.masking, self.seed, data, signals, code


def _pretrain(pretrained: Pretrained) -> Entry:
    """Weights and losses of a net that is pretrained now, and what is known of how it was made."""
    model, started = pretrained._untrained(), time.perf_counter()
    losses = _learn(model, pretrained.recordings, pretrained.rows, pretrained.masking, pretrained.seed)
    weights = {f"net.{name}": value.numpy() for name, value in model.cpu().state_dict().items()}
    about = {"seconds": round(time.perf_counter() - started, 1), "n_train": len(pretrained.rows)}
    return weights | {"history": np.array(losses, np.float32)}, about | provenance()


def _learn(
    model: MaskedAutoencoder, recordings: Recordings, rows: np.ndarray, masking: Masking, seed: int
) -> list[float]:
    """Train `model` in place; the mean loss of each pass."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model.to(device).train()
    samples, whole = model.encoder.net.samples, recordings.signals.shape[-1]
    rng, steps = np.random.default_rng(seed), max(len(rows) // masking.batch_size, 1)
    rate = masking.learning_rate
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=masking.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=masking.passes * steps)
    losses = []
    for _ in tqdm(range(masking.passes), desc="pretraining", unit="epoch", leave=False):
        order, total = rng.permutation(rows), 0.0
        for step in range(steps):
            batch = recordings.physical(order[step * masking.batch_size : (step + 1) * masking.batch_size])
            starts = rng.integers(0, whole - samples + 1, len(batch))
            crops = np.stack([x[:, i : i + samples] for x, i in zip(batch, starts, strict=True)])
            release(recordings.signals)
            loss = model(torch.from_numpy(crops).to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss.detach())
        losses.append(total / steps)
    return losses


def embeddings(net: Standardised, recordings: Recordings) -> np.ndarray:
    """What the head of a signal-vit would see of each recording, the mean over crops: float32 (n, width).

    Without dropout, whatever mode the net is in.
    """
    net = copy.deepcopy(net).eval()
    inner: SignalViT = net.net
    parts = []
    with torch.no_grad():
        for i in range(0, len(recordings), 256):
            x = torch.from_numpy(recordings.physical(np.arange(i, min(i + 256, len(recordings)))))
            crops = overlapping_crops(x, inner.samples)
            tokens = inner.encode(inner.tokens(normalised(net, crops.flatten(0, 1))))
            parts.append(tokens.mean(1).unflatten(0, crops.shape[:2]).mean(0).numpy())
    return np.concatenate(parts)
