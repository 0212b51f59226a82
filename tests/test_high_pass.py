"""The high-pass inside a net takes away offset and drift, and nothing of what it is to tell."""

import numpy as np
import pytest
import torch
from scipy.fft import dct, idct

from biosignals.data.recordings import Recordings
from biosignals.models.layers.high_pass import HighPass
from biosignals.training.fit import TrainingData, fit
from biosignals.training.recipe import Recipe
from test_fit import recordings


@pytest.mark.parametrize(("samples", "rate", "slow"), [(250, 100.0, 3), (1000, 100.0, 10), (640, 125.0, 6)])
def test_it_is_the_cosine_transform_without_its_first_coefficients(samples, rate, slow):
    x = np.random.default_rng(0).normal(size=(3, 2, samples)).astype(np.float32)
    coefficients = dct(x, norm="ortho")
    coefficients[..., :slow] = 0  # the k-th has k half waves: below .5 Hz
    found = HighPass(0.5, rate)(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(found, idct(coefficients, norm="ortho"), atol=1e-5)


def test_offset_drift_and_breath_leave_and_a_heartbeat_stays():
    time = np.arange(1000) / 100
    beats = np.exp(-((time % 0.8 - 0.4) ** 2) / 0.0005)
    drift = 5 + 0.2 * time + 0.5 * np.sin(2 * np.pi * 0.25 * time)
    high_pass = HighPass(0.5, 100.0)
    alone, both = (high_pass(torch.from_numpy(x)[None, None].float()) for x in (beats, beats + drift))
    left = (both - alone)[0, 0].numpy()
    assert left.std() < 0.15 * drift.std() and np.abs(left[50:-50]).max() < 0.1  # of 7.5 mV at the end
    assert np.corrcoef(alone[0, 0], beats)[0, 1] > 0.98


def test_sixteen_bits_do_not_spoil_it():
    x = torch.randn(2, 3, 250) + 10
    with torch.autocast("cpu", torch.bfloat16):
        found = HighPass(0.5, 100.0)(x)
    torch.testing.assert_close(found, HighPass(0.5, 100.0)(x))


@pytest.mark.parametrize("cutoff", [0.0, -1.0, 50.0])
def test_a_cutoff_that_cannot_be_is_refused(cutoff):
    with pytest.raises(ValueError, match="does not lie between"):
        HighPass(cutoff, 100.0)


def test_a_net_that_learnt_with_it_gives_the_same_for_other_offsets():
    found, targets = recordings(32)
    recipe = Recipe(epochs=1, batch_size=16, crop=100, high_pass=0.5)
    fitted = fit("student-57k", TrainingData(found, targets, np.arange(32)), recipe)
    moved = Recordings(
        found.dataset, found.signals + np.int16(900), found.scale, "mV", found.sampling_rate, found.channels,
        found.table,
    )  # fmt: skip
    probabilities = fitted.predict(found, np.arange(32))
    np.testing.assert_allclose(fitted.predict(moved, np.arange(32)), probabilities, atol=1e-4)
    assert abs(float(fitted.net.mean)) < 1e-3
