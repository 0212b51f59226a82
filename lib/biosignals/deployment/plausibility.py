"""Whether a recording moves as hearts and brains do, and its baseline as in the models' training sets."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from biosignals.data.channel_names import DERIVED, canonical
from biosignals.data.readers import InvalidRecording
from biosignals.data.readers.signal import NOT_DERIVED, derived_error

HIGHEST = 50_000.0  # microvolts; more than skin ever shows: the unit is another
STRETCH = 10  # seconds
MOST_UNSTEADY = 0.1  # share of its stretches in which a recording's baseline may lie beyond what follows
# Millivolts. In about 95 % of the 2,402 records of PTB-XL's folds 1-9, from which the models learnt, no
# lead's median is further from zero, and no lead's medians of its seconds have a larger standard deviation.
USUAL = "95 % of what the model learnt from: up to"
OFFSET = 0.15
ALIKE, FEWEST_ALIKE = 0.01, 3  # relative difference between spans, of so many channels, that no body gives
SCALED = 1e-4  # within which a mean is 0 or a standard deviation 1 only where values were made so
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


def refuse_scaled(values: np.ndarray) -> None:
    """Raises InvalidRecording for channels without a height of their own: scaled each by itself, or to a
    range.

    values: (channels, samples), in the unit of their file.
    """
    low, high = values.min(axis=1), values.max(axis=1)
    spans, means, deviations = high - low, values.mean(axis=1, dtype=float), values.std(axis=1, dtype=float)
    if (np.abs(means) < SCALED).all() and (np.abs(deviations - 1) < SCALED).all():
        raise InvalidRecording("its values were standardised (mean 0, standard deviation 1): take them in mV")
    for start in (0, -1):
        if (np.abs(low - start) < SCALED**2).all() and (np.abs(high - 1) < SCALED**2).all():
            raise InvalidRecording(f"its values were scaled to lie from {start} to 1: take them in mV")
    if len(values) >= FEWEST_ALIKE and min(map(_unlikeness, (spans, deviations))) < ALIKE:
        raise InvalidRecording(
            "its channels are all of the same height: each was scaled by itself, and its own height is lost"
        )


def _unlikeness(sizes: np.ndarray) -> float:
    return float(np.ptp(sizes) / sizes.max())


def refuse_contradiction(x: np.ndarray, names: tuple[str, ...]) -> None:
    """Raises InvalidRecording where leads III, aVR, aVL and aVF are not what I and II make of them.

    x: (channels, samples) of leads called `names`.
    """
    rows = {canonical(name): row for name, row in zip(names, x, strict=True)}
    derived = [name for name in DERIVED if name in rows]
    if derived and {"i", "ii"} <= rows.keys():
        limb = np.stack([rows[name] for name in ("i", "ii", *derived)])
        if not derived_error(limb, derived) <= NOT_DERIVED:
            raise InvalidRecording(
                f"its limb leads contradict each other ({derived[0].upper()} does not follow from I and II):"
                " their names, order or gains are wrong"
            )


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
