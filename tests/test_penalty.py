import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn.functional import mse_loss

from biosignals.data.recordings import Recordings
from biosignals.training.data import TrainingData
from biosignals.training.fit import fit
from biosignals.training.penalty import L1
from biosignals.training.recipe import Recipe


def test_the_penalty_is_the_sum_of_absolute_weights_without_biases_and_norms():
    net = nn.Sequential(nn.Conv1d(1, 2, 3), nn.BatchNorm1d(2), nn.Linear(4, 3))
    weights = float(net[0].weight.abs().sum().detach() + net[2].weight.abs().sum().detach())
    module = L1(0.1).module(net)
    logits, targets = torch.zeros(2, 1), torch.ones(2, 1)
    assert float(module(mse_loss, logits, targets, None).detach()) == pytest.approx(
        1 + 0.1 * weights, abs=1e-5
    )
    assert not list(module.parameters())  # which an optimiser would count twice


def test_it_makes_the_weights_of_a_fit_smaller():
    x = np.random.default_rng(0).normal(size=(40, 1, 68)).astype(np.float32)
    table = pd.DataFrame({"subject": range(40), "samples": 68})
    recordings = Recordings("own", x, 1.0, "SD", 100.0, ("PPG",), table)
    targets = np.eye(2, dtype=np.float32)[np.arange(40) % 2]
    recipe = Recipe(3, batch_size=20, crop=None, multiclass=True)
    sums = []
    for strength in (0, 0.05):
        data = TrainingData(recordings, targets, np.arange(40), distillation=L1(strength))
        net = fit("pulse-cnn", data, recipe).net
        sums.append(sum(float(w.detach().abs().sum()) for w in net.parameters() if w.ndim > 1))
    assert sums[1] < 0.9 * sums[0]


def test_a_negative_strength_is_refused():
    with pytest.raises(ValueError, match="0 or more"):
        L1(-1)
