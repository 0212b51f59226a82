"""What moves as no body does, and baselines unlike those of the training sets, are told."""

import re

import numpy as np
import pytest

from biosignals.data.readers import InvalidRecording
from biosignals.deployment import plausibility

RATE, SECONDS = 50, 200
TIMES = np.arange(SECONDS * RATE) / RATE


def beats(leads=2):
    """One beat a second of 1 mV, on a baseline of zero: millivolts, (leads, samples)."""
    return np.tile(np.exp(-((((TIMES % 1) - 0.5) / 0.05) ** 2)), (leads, 1))


@pytest.mark.parametrize(
    "signal, what, how",
    [
        (beats(), "", ""),
        (beats() + 0.14, "", ""),
        (beats() - [[0], [0.16]], "lies", "0.16 mV off zero in V1"),
        (beats() + [[0], [0.3]] * np.sin(0.6 * np.pi * TIMES), "", ""),  # chest leads wander more
        (beats() + [[0.3], [0]] * np.sin(0.6 * np.pi * TIMES), "wanders", "by 0.[12]. mV .* in I "),
        (beats() + 0.2 * (TIMES % 10), "wanders", "by 0.5. mV .* in "),
        (beats() - (TIMES < 20), "", ""),  # a tenth
        (beats() - (TIMES < 30), "lies", "1.00 mV off zero"),
        (5 * beats(), "", ""),  # the heart's own waves do not count
    ],
)
def test_a_baseline_unlike_those_of_the_training_set_is_described(signal, what, how):
    found, amount = plausibility.unlike_training(signal, ("I", "V1"), RATE)
    assert found == what
    assert re.search(how, amount) if how else not amount


def test_short_recordings_have_a_baseline_too():
    assert plausibility.unlike_training(beats()[:, :130] + 1, ("I", "II"), RATE)[0] == "lies"
    assert plausibility.unlike_training(beats()[:, :20], ("I", "II"), RATE) == ("", "")


def test_swings_are_those_of_the_liveliest_channel_in_each_second():
    signal = beats() * [[1], [3]] + 7
    np.testing.assert_allclose(plausibility.swings(signal, RATE), 3, atol=0.01)
    assert plausibility.swings(signal[:, :-10], RATE).shape == (SECONDS - 1,)


@pytest.mark.parametrize("usual, least, most", [(plausibility.ECG, 110, 7500), (plausibility.EEG, 18, 3200)])
def test_a_unit_is_told_by_typical_swings(usual, least, most):
    for found in (least, most):  # what real recordings have
        artefacts = np.array([found] * 9 + [1e6] * 4 + [1e-3] * 4 + [0] * 40)
        plausibility.refuse_swing(artefacts, usual)
        for factor, amount in ((1e3, "mV"), (1e-3, "uV"), (1e-6, "uV")):
            with pytest.raises(
                InvalidRecording, match=f"V5 moves by .* {amount}; are its unit and format right"
            ):
                plausibility.refuse_swing(factor * np.full(9, found), usual, "V5")
    plausibility.refuse_swing(np.zeros(9), usual)


@pytest.mark.parametrize(
    "scale, reason",
    [
        (lambda x: (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True), "standardised .mean 0"),
        (lambda x: (x - x.min(1, keepdims=True)) / np.ptp(x, axis=1, keepdims=True), "lie from 0 to 1"),
        (
            lambda x: 2 * (x - x.min(1, keepdims=True)) / np.ptp(x, axis=1, keepdims=True) - 1,
            "lie from -1 to 1",
        ),
        (
            lambda x: 0.7 * x / np.ptp(x, axis=1, keepdims=True),
            "all of the same height",
        ),  # as LUDB's gains do
        (lambda x: 0.7 * x / x.std(1, keepdims=True), "all of the same height"),
    ],
)
def test_channels_that_were_scaled_each_by_itself_are_told(scale, reason):
    noise = np.random.default_rng(0).normal(0, 0.02, (4, len(TIMES)))
    x = (beats(4) + noise) * [[1], [0.8], [-0.5], [1.3]]
    plausibility.refuse_scaled(x.astype(np.float32))
    with pytest.raises(InvalidRecording, match=reason):
        plausibility.refuse_scaled(scale(x).astype(np.float32))


def test_limb_leads_that_contradict_each_other_are_told():
    one, two = beats() * [[0.8], [1.0]] + np.random.default_rng(0).normal(0, 0.02, (2, len(TIMES)))
    names, x = ("I", "II", "III", "aVR", "V1"), np.stack([one, two, two - one, -(one + two) / 2, two])
    plausibility.refuse_contradiction(x, names)
    plausibility.refuse_contradiction(x + np.arange(5)[:, None], names)  # each electrode has its offset
    plausibility.refuse_contradiction(x[::-1], ("I", "V1", "V2", "V3", "V4"))
    for order in ([3, 1, 2, 0, 4], [0, 2, 1, 3, 4]):
        with pytest.raises(
            InvalidRecording, match="contradict each other .III does not follow from I and II"
        ):
            plausibility.refuse_contradiction(x[order], names)
