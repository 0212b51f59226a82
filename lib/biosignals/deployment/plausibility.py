"""Whether a recording moves as hearts and brains do, and its baseline as in the models' training sets."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from biosignals.data.readers import InvalidRecording

HIGHEST = 50_000.0  # microvolts; more than skin ever shows: the unit is another
STRETCH = 10  # seconds
MOST_UNSTEADY = 0.1  # share of its stretches in which a recording's baseline may lie beyond what follows
# Millivolts. In about 95 % of the 2,402 records of PTB-XL's folds 1-9, from which the models learnt, no
# lead's median is further from zero, and no lead's medians of its seconds have a larger standard deviation.
USUAL = "95 % of what the model learnt from: up to"
OFFSET = 0.15
WANDER = {"limb": 0.15, "chest": 0.5}


class Swing(NamedTuple):
    """How far a channel moves within most of its seconds: microvolts, peak to peak."""

    least: float
    most: float


# A wrong unit makes it a thousand times more or less.
ECG = Swing(10, 20_000)  # every lead; in PTB-XL and CinC 2017: 110 to 7,500
EEG = Swing(5, 10_000)  # the liveliest channel; in CHB-MIT and Helsinki: 18 to 3,200


def swings(x: np.ndarray, sampling_rate: float) -> np.ndarray:
    """Peak to peak of the liveliest of the channels of `x` (channels, samples) in each second: (seconds,)."""
    return np.ptp(_in_seconds(x, sampling_rate), axis=2).max(axis=0)


def refuse_swing(found: np.ndarray, usual: Swing, name: str = "its liveliest channel") -> None:
    """Raises InvalidRecording where no body moves so: the unit is another.

    found: peak to peak of the channel `name` in each second or window, (n,), microvolts; those in which
    nothing moves do not count.
    """
    found = found[found > 0]
    typical = float(np.median(found)) if len(found) else usual.least
    if not usual.least <= typical <= usual.most:
        amount = f"{typical:.2g} uV" if typical < usual.least else f"{typical / 1e3:,.0f} mV"
        raise InvalidRecording(f"{name} moves by {amount}; are its unit and format right?")


def unlike_training(x: np.ndarray, channels: tuple[str, ...], sampling_rate: float) -> tuple[str, str]:
    """What the baseline of an ECG does as in few recordings of the training set: it "wanders", or "lies" off.

    x: (channels, samples), millivolts. The second text is how far, and in which channel. Both are empty where
    it does neither, or in a tenth of its stretches only: somebody turned round in bed.
    """
    # Medians: the heart's own waves do not count.
    seconds = np.stack([np.median(_in_seconds(row[None], sampling_rate)[0], axis=1) for row in x])
    length = min(STRETCH, seconds.shape[1])
    stretches = seconds[:, : seconds.shape[1] // length * length].reshape(len(x), -1, length)
    wander = np.array([WANDER["chest" if name.upper().startswith("V") else "limb"] for name in channels])
    for what, found, most, how in (
        ("wanders", stretches.std(axis=2), wander, "by {:.2f} mV (standard deviation in ten seconds)"),
        ("lies", np.abs(np.median(stretches, axis=2)), np.full(len(x), OFFSET), "{:.2f} mV off zero"),
    ):
        beyond = found > most[:, None]
        if beyond.any(axis=0).mean() > MOST_UNSTEADY:
            worst = (np.where(beyond, found, 0).sum(axis=1) / most).argmax()
            amount = how.format(np.median(found[worst][beyond[worst]]))
            return what, f"{amount} in {channels[worst]} ({USUAL} {most[worst]:g} mV)"
    return "", ""


def _in_seconds(x: np.ndarray, sampling_rate: float) -> np.ndarray:
    """x (channels, samples) cut into whole seconds, one if it is shorter: (channels, seconds, samples)."""
    length = min(max(round(sampling_rate), 1), x.shape[1])
    return x[:, : x.shape[1] // length * length].reshape(len(x), -1, length)
