"""Masked pretraining: hidden pieces are told from their neighbours, and fits start from what was learnt."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from biosignals.caching import Cache
from biosignals.training.cross_validation import Examples
from biosignals.training.fit import TrainingData, build
from biosignals.training.pretraining import MaskedAutoencoder, Masking, Pretrained, embeddings
from biosignals.training.recipe import Recipe
from test_fit import recordings

RECIPE = Recipe(1, batch_size=16, crop=100, learning_rate=1e-3)


def start(high_pass=None):
    signals, targets = recordings()
    data = TrainingData(signals, targets, np.arange(20))
    return build("signal-vit", data, Recipe(1, crop=100, high_pass=high_pass), 0)


def pretrained(folder=None, passes=2, seed=0):
    signals, _ = recordings()
    cache = None if folder is None else Cache(folder)
    return Pretrained(start(), signals, np.arange(20), Masking(passes, batch_size=8), seed, cache)


def test_half_of_the_pieces_are_hidden_and_what_is_hidden_is_not_seen():
    torch.manual_seed(0)
    model = MaskedAutoencoder(start(), share=0.6).eval()
    x = torch.randn(3, model.encoder.net.projection.in_features // 20, 100)
    torch.manual_seed(1)
    pieces, filled, hidden = model.fill(x)
    assert pieces.shape == filled.shape and hidden.sum(1).tolist() == [3, 3, 3]
    changed = x.clone()
    changed[0, :, torch.where(hidden[0])[0][0] * 20] += 5
    torch.manual_seed(1)
    _, again, same = model.fill(changed)
    assert torch.equal(hidden, same)
    torch.testing.assert_close(again, filled)


def test_pretraining_lowers_the_error_of_what_is_hidden():
    losses = pretrained(passes=30).losses
    assert losses.shape == (30,) and losses[-5:].mean() < losses[0]


def test_it_is_the_same_again_and_another_with_another_seed():
    first, again, other = pretrained(), pretrained(), pretrained(seed=1)
    weights = [one.net.net.projection.weight for one in (first, again, other)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    assert not torch.equal(weights[0], start().net.projection.weight)


def test_a_clone_looks_fits_up_without_pretraining(tmp_path, monkeypatch):
    signals, targets = recordings()
    task = Examples(signals, targets, Cache(tmp_path))
    nets = [[pretrained(tmp_path)] * len(task.groups)]
    before = task.out_of_fold(nets, RECIPE)
    scratch = task.out_of_fold([[start()] * len(task.groups)], RECIPE)
    assert np.abs(before.probabilities - scratch.probabilities).max() > 1e-6
    probed = task.probe(nets[0], LogisticRegression())
    assert probed.probabilities.shape == before.probabilities.shape
    monkeypatch.setattr(Pretrained, "_entry", None)
    later = task.out_of_fold([[pretrained(tmp_path)] * len(task.groups)], RECIPE)
    np.testing.assert_array_equal(before.probabilities, later.probabilities)


def test_a_frozen_encoder_sees_without_dropout():
    net, signals = start().train(), recordings()[0]
    seen = embeddings(net, signals)
    assert np.array_equal(seen, embeddings(net, signals)) and net.training


def test_what_is_not_hidden_is_given_as_it_is(tmp_path):
    signal, filled, hidden = pretrained(tmp_path).fill(0)
    assert signal.shape == filled.shape == (len(recordings()[0].channels), 100)
    np.testing.assert_allclose(signal[:, ~hidden], filled[:, ~hidden])
    assert not np.allclose(signal[:, hidden], filled[:, hidden])
    assert hidden.mean() == pytest.approx(0.6)  # of five pieces, rounded


def test_embeddings_are_what_the_head_sees():
    signals, _ = recordings()
    net = start(high_pass=0.5).eval()
    found = embeddings(net, signals.take(np.arange(4)))
    assert found.shape == (4, 96) and found.dtype == np.float32


def test_other_nets_and_shares_are_refused():
    signals, _ = recordings()
    with pytest.raises(ValueError, match="signal-vit behind its normalisation"):
        Pretrained(torch.nn.Linear(2, 2), signals, np.arange(4), Masking())
    for wrong in ({"share": 1.0}, {"passes": 0}):
        with pytest.raises(ValueError, match="0"):
            Masking(**wrong)


def test_what_was_learnt_from_one_recorder_starts_fits_on_another():
    signals, targets = recordings()
    louder = replace(signals, signals=(3 * signals.physical()).astype(np.float32), scale=1.0)
    nothing = np.zeros((len(louder), targets.shape[1]))
    net = build("signal-vit", TrainingData(louder, nothing, np.arange(len(louder))), Recipe(1, crop=100), 0)
    elsewhere = Pretrained(net, louder, np.arange(len(louder)), Masking(2, batch_size=8))
    task = Examples(signals, targets)
    found = task.out_of_fold([[elsewhere] * len(task.groups)], RECIPE)
    for one in found.nets[0]:
        assert float(one.deviation) == pytest.approx(float(net.deviation)), "as it was pretrained"
    assert found.probabilities.shape == (1, *task.truth.shape)
