"""A small net on made signals, for the tests of compression."""

import numpy as np
import pandas as pd
import torch

from biosignals import models, onnx_files
from biosignals.data.recordings import Recordings
from biosignals.models.layers.standardised import Standardised
from biosignals.training.fit import Fit, TrainingData, fit
from biosignals.training.recipe import Recipe

SAMPLES = 120


def signals(count: int, seed: int = 0) -> torch.Tensor:
    """Noise, float32 (count, 2, 120)."""
    noise = np.random.default_rng(seed).normal(0.1, 0.5, (count, 2, SAMPLES))
    return torch.from_numpy(noise.astype(np.float32))


def build() -> Standardised:
    """A student of two channels and three classes, whose batch norm has seen signals."""
    torch.manual_seed(0)
    net = Standardised(models.create("student-4k", 2, 3, SAMPLES), 0.1, 0.5)
    with torch.no_grad():
        for _ in range(20):  # statistics of batch norm other than those it starts with
            net.train()(signals(16, seed=1))
    return net.eval()


def run(path, x) -> np.ndarray:
    """Probabilities of an ONNX file for inputs (batch, channels, samples)."""
    return onnx_files.run(onnx_files.open_session(path), np.asarray(x))


def recordings(count: int) -> Recordings:
    """The same as recordings of as many subjects."""
    table = pd.DataFrame({"subject": range(count), "samples": SAMPLES})
    return Recordings("made", signals(count).numpy(), 1.0, "mV", 100.0, ("a", "b"), table)


def train_further(net: torch.nn.Module) -> Fit:
    """A fit of two epochs on made recordings, from the net's own weights."""
    targets = np.eye(3, dtype=np.float32)[np.arange(32) % 3]
    recipe = Recipe(epochs=2, batch_size=8, crop=None)
    return fit(net, TrainingData(recordings(32), targets, np.arange(32)), recipe)
