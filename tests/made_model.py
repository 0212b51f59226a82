"""A small exported model and its card, for the tests of deployment."""

from dataclasses import replace

import torch

from biosignals import models
from biosignals.compression import export
from biosignals.deployment import card
from biosignals.models.layers.standardised import Standardised

CARD = card.Card(
    model="made", task="superclass", channels=("I", "II"), unit="mV", sampling_rate=100.0, samples=200,
    step=1.0, aggregation="mean",
    classes=("a", "b", "c"), multiclass=False, thresholds=(0.2, 0.5, 0.8), trained_on="noise", scores=(),
    params=1, bytes=1, latency_ms=1.0, limits=("not for patients",),
)  # fmt: skip


def build(channels=2):
    """A net of three classes for two seconds at 100 Hz."""
    torch.manual_seed(0)
    return Standardised(models.create("student-4k", channels, 3, 200), 0.0, 0.5).eval()


def write(path, /, **changes):
    """Export a net with its card, of which `changes` differ from CARD."""
    changed = replace(CARD, **changes)
    export.export(build(len(changed.channels)), torch.randn(2, len(changed.channels), 200), path)
    card.write_card(changed, path)
    return path


def copy(model, path, /, **changes):
    """The model's file at another place, with a card of which `changes` differ from CARD."""
    path.write_bytes(model.read_bytes())
    card.write_card(replace(CARD, **changes), path)
    return path


class Amplitude(torch.nn.Module):
    """A net of one class, certain of it where a window moves by more than 1 mV, and of none where by less."""

    def forward(self, x):
        return 20 * ((x.amax(-1) - x.amin(-1)).amax(1, keepdim=True) - 1)


def write_amplitude(path, /, **changes):
    """Export Amplitude for one lead, as a model of atrial fibrillation, of which `changes` differ."""
    own = {"task": "af", "channels": ("I",), "classes": ("AFIB",), "thresholds": (0.6,)}
    changed = replace(CARD, **own | changes)
    export.export(Amplitude(), torch.randn(2, 1, changed.samples), path)
    card.write_card(changed, path)
    return path
