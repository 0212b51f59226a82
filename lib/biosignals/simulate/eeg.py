"""The potential of the scalp: background, rhythms, artefacts and seizures at the electrodes, in microvolts.

Background is noise with a spectrum that falls with frequency (He 2014, Trends Cogn Sci 18:480) and a smooth
covariance over the scalp; its slow and fast parts, the posterior alpha and the spindles follow how awake the
subject is. Frequencies and fields of the seizures follow the descriptions in Niedermeyer's
Electroencephalography. What harms a detector is here as well: muscle, blinks, chewing, movement, loose
electrodes, interictal spikes, and rhythms that are no seizures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.random import Generator

SAMPLING_RATE = 256
KNOT = 16  # samples between two values of a gain
KNOTS_PER_SECOND = SAMPLING_RATE // KNOT

# Electrodes of the 10-20 system: degrees from the vertex, and from the nose to the right.
PLACES = {
    "FP1": (90, -18), "FP2": (90, 18), "F7": (90, -54), "F3": (60, -39), "FZ": (45, 0), "F4": (60, 39),
    "F8": (90, 54), "FT9": (108, -72), "FT10": (108, 72), "T7": (90, -90), "C3": (45, -90), "CZ": (0, 0),
    "C4": (45, 90), "T8": (90, 90), "P7": (90, -126), "P3": (60, -141), "PZ": (45, 180), "P4": (60, 141),
    "P8": (90, 126), "O1": (90, -162), "O2": (90, 162),
}  # fmt: skip
ELECTRODES = tuple(PLACES)
MUSCLES = ("FP1", "FP2", "F7", "F8", "FT9", "FT10", "T7", "T8")
FOCI = {"T7": 3, "T8": 3, "F7": 2, "F8": 2, "P7": 1, "P8": 1, "F3": 1, "F4": 1, "C3": 1, "C4": 1, "O1": 1,
        "O2": 1}  # where seizures start, and how often  # fmt: skip
WIDE, NARROW, NARROW_SHARE, OWN_SHARE = 2.1, 0.75, 0.17, 0.035  # of the background's covariance, head radii
FORMS = ("sine", "arc", "spike-wave")


@dataclass(frozen=True)
class Rhythm:
    """A rhythm's field over the electrodes, its form, and where its frequency (Hz) starts and ends."""

    form: str
    start: float
    end: float
    field: np.ndarray


@dataclass(frozen=True)
class Epilepsy:
    """How one patient's seizures go; each seizure departs a little from it.

    focus: the electrode near which they begin. rhythms: at the focus, around it, and wide, with `delays` as
    shares of the seizure and `lags` in radians. size: microvolts; muscle: microvolts of muscle at the
    seizure's height; seconds: usual duration.
    """

    focus: str
    rhythms: tuple[Rhythm, ...]
    delays: np.ndarray
    lags: np.ndarray
    size: float
    growth: float
    muscle: float
    seconds: float
    aftermath: float
    spikes_per_minute: float


@dataclass(frozen=True)
class Subject:
    """What stays the same in all of a subject's recordings. Levels are microvolts at an electrode."""

    background: np.ndarray
    level: float
    slope: float
    sleepiness: float
    alpha: float
    alpha_frequency: float
    muscle: np.ndarray
    hum: np.ndarray
    restlessness: float
    epilepsy: Epilepsy


# --- building blocks --------------------------------------------------------------------------------------


def positions(places: dict[str, tuple[float, float]] = PLACES) -> np.ndarray:
    """Electrodes on the unit sphere, (electrodes, 3): to the right, to the nose, up."""
    polar, azimuth = np.radians(np.array(list(places.values()), float)).T
    return np.stack([np.sin(polar) * np.sin(azimuth), np.sin(polar) * np.cos(azimuth), np.cos(polar)], axis=1)


def field(centre: str | np.ndarray, width: float) -> np.ndarray:
    """A field (electrodes,) that is 1 at its centre and falls over `width` radii.

    centre: an electrode's name or a unit vector (3,).
    """
    everywhere = positions()
    if isinstance(centre, str):
        centre = everywhere[ELECTRODES.index(centre)]
    return np.exp(-((everywhere - centre) ** 2).sum(1) / (2 * width**2))


def smooth_modes(rng: Generator, electrodes: np.ndarray) -> np.ndarray:
    """Independent fields (electrodes, electrodes) that make neighbours alike; each subject's differ a little.

    Root mean square over the electrodes is 1, most of it in the first columns. A part is the same on both
    sides of the head. The lengths and shares fit the correlations between bipolar channels of CHB-MIT.
    """
    places = electrodes + rng.normal(0, 0.06, electrodes.shape)
    apart = (places[:, None] - places[None]) ** 2
    covariance = np.exp(-apart[..., 1:].sum(-1) / (2 * WIDE**2))
    covariance += NARROW_SHARE * rng.uniform(0.7, 1.4) * np.exp(-apart.sum(-1) / (2 * NARROW**2))
    covariance += OWN_SHARE * np.diag(np.exp(rng.normal(0, 0.5, len(places))))
    power, modes = np.linalg.eigh(covariance / np.trace(covariance) * len(places))
    return (modes * np.sqrt(np.maximum(power, 0)))[:, ::-1]


def coloured(rng: Generator, sources: int, samples: int, power) -> np.ndarray:
    """Noise (sources, samples), float32, mean square 1, its spectrum `power` (a function of Hz)."""
    length = scipy.fft.next_fast_len(samples, real=True)
    shape = np.sqrt(power(scipy.fft.rfftfreq(length, 1 / SAMPLING_RATE)))
    shape[0] = 0
    shape *= length / np.sqrt(4 * (shape**2).sum())
    shape = shape[: np.flatnonzero(shape > 1e-4 * shape.max())[-1] + 1]  # the rest is zero, and costs time
    spectrum = rng.standard_normal((sources, len(shape), 2), dtype=np.float32).view(np.complex64)[..., 0]
    spectrum *= shape.astype(np.float32)
    return scipy.fft.irfft(spectrum, length, overwrite_x=True)[:, :samples]


def wandering(rng: Generator, sources: int, seconds: float, scale: float) -> np.ndarray:
    """Slow wandering (sources, knots), standard deviation 1, forgotten within `scale` seconds."""
    count = round(seconds * KNOTS_PER_SECOND) + 1
    memory = np.exp(-1 / (scale * KNOTS_PER_SECOND))
    steps = rng.normal(0, np.sqrt(1 - memory**2), (sources, count))
    steps[:, 0] = rng.normal(0, 1, sources)
    return scipy.signal.lfilter([1], [1, -memory], steps)


def add(total: np.ndarray, fields: np.ndarray, sources: np.ndarray, gains: np.ndarray) -> None:
    """Add sources (n, samples) to `total` (electrodes, samples) through fields (electrodes, n), in place.

    gains: (n or 1, knots), one every KNOT samples and one at the end, joined by straight lines.
    """
    fields, gains = fields.astype(np.float32), gains.astype(np.float32)
    ramp = np.arange(KNOT, dtype=np.float32) / KNOT
    block = 512
    for first in range(0, gains.shape[1] - 1, block):
        knots = gains[:, first : first + block + 1]
        gain = knots[:, :-1, None] + np.diff(knots)[..., None] * ramp
        where = slice(first * KNOT, (first + knots.shape[1] - 1) * KNOT)
        total[:, where] += fields @ (sources[:, where] * gain.reshape(len(gains), -1))


def wave(form: str, phase: np.ndarray) -> np.ndarray:
    """One of FORMS, about -1 to 1, at a phase (samples,) in radians: (samples,)."""
    if form == "sine":
        return np.sin(phase) + 0.2 * np.sin(2 * phase + 0.5)
    if form == "arc":
        return 1.6 * np.abs(np.sin(phase / 2)) - 1.02
    turn = np.mod(phase, 2 * np.pi)
    return 1.5 * np.exp(-(((turn - 0.7) / 0.25) ** 2)) - 0.9 * np.sin(turn / 2) ** 3 + 0.28


def course(rng: Generator, start: float, end: float, seconds: float, jitter: float = 0.07) -> np.ndarray:
    """Phase (samples,) of a rhythm that goes from one frequency to another, never quite evenly."""
    samples = round(seconds * SAMPLING_RATE)
    along = np.linspace(0, 1, samples)
    wobble = wandering(rng, 1, np.ceil(seconds), 1.0)[0]
    wobble = np.interp(np.arange(samples), np.arange(len(wobble)) * KNOT, wobble)
    frequency = start * (end / start) ** along * np.exp(jitter * wobble)
    return 2 * np.pi * np.cumsum(frequency) / SAMPLING_RATE + rng.uniform(0, 2 * np.pi)


def uneven(rng: Generator, phase: np.ndarray, spread: float = 0.25) -> np.ndarray:
    """A gain (samples,) that differs from cycle to cycle of a phase (samples,)."""
    turns = (phase - phase[0]) / (2 * np.pi)
    return np.interp(turns, np.arange(int(turns[-1]) + 2), np.exp(rng.normal(0, spread, int(turns[-1]) + 2)))


def moments(rng: Generator, per_hour: float, gain: np.ndarray) -> np.ndarray:
    """Seconds at which something happens, `per_hour` times an hour where `gain` (knots,) is 1."""
    chance = np.maximum(gain[:-1], 0) * per_hour / 3600 / KNOTS_PER_SECOND
    return np.flatnonzero(rng.random(len(chance)) < chance) / KNOTS_PER_SECOND


def put(total: np.ndarray, at: float, fields: np.ndarray, values: np.ndarray) -> None:
    """Add values (samples,) by fields (electrodes,) to `total` (electrodes, samples) from second `at` on."""
    first = round(at * SAMPLING_RATE)
    values = values[: total.shape[1] - first].astype(np.float32)
    total[:, first : first + len(values)] += fields.astype(np.float32)[:, None] * values


# --- subjects ---------------------------------------------------------------------------------------------


def draw_subject(rng: Generator) -> Subject:
    """A subject: level and slope of the background, alpha, muscle, and an epilepsy of their own."""
    electrodes = len(ELECTRODES)
    return Subject(
        background=smooth_modes(rng, positions()),
        level=np.exp(rng.normal(np.log(60), 0.25)),
        slope=rng.normal(2.75, 0.25),
        sleepiness=rng.normal(-0.3, 0.6),
        alpha=np.exp(rng.normal(np.log(44), 0.5)),
        alpha_frequency=rng.uniform(7.5, 11),
        muscle=np.exp(rng.normal(np.log(7), 0.8) + rng.normal(0, 0.5, len(MUSCLES))),
        hum=np.exp(rng.normal(np.log(0.35), 0.9, electrodes)),
        restlessness=np.exp(rng.normal(0, 0.4)),
        epilepsy=_draw_epilepsy(rng),
    )


def _draw_epilepsy(rng: Generator) -> Epilepsy:
    form = str(rng.choice(FORMS, p=[0.4, 0.3, 0.3]))
    start, end = (rng.uniform(2.8, 4.5), rng.uniform(1.8, 2.6))
    if form != "spike-wave":
        start, end = (rng.uniform(5, 11), rng.uniform(1.8, 4.5))
    chances = np.array(list(FOCI.values())) / sum(FOCI.values())
    focus = str(rng.choice(list(FOCI), p=chances))
    centre = positions()[ELECTRODES.index(focus)] + rng.normal(0, 0.15, 3)
    centre /= np.linalg.norm(centre)
    opposite = centre * (-1, 1, 1)
    fields = (
        field(centre, rng.uniform(0.4, 0.7)),
        field(centre, rng.uniform(0.7, 1.2)),
        -rng.uniform(0.3, 0.9) * field(opposite, rng.uniform(0.6, 1.3)),
    )
    return Epilepsy(
        focus=focus,
        rhythms=tuple(Rhythm(form, start, end, place) for place in fields),
        delays=np.array([0, rng.uniform(0.05, 0.35), rng.uniform(0.2, 1.0)]),
        lags=np.array([0, rng.uniform(0.3, 1.2), rng.uniform(0.5, 2.5)]),
        size=np.exp(rng.normal(np.log(320), 0.55)),
        growth=rng.uniform(0.4, 1.6),
        muscle=rng.choice([0, 1], p=[0.4, 0.6]) * np.exp(rng.normal(np.log(45), 0.7)),
        seconds=np.clip(np.exp(rng.normal(np.log(45), 0.45)), 18, 100),
        aftermath=np.exp(rng.normal(np.log(60), 0.5)),
        spikes_per_minute=rng.choice([0, 1], p=[0.4, 0.6]) * np.exp(rng.normal(0.3, 1.0)),
    )


def draw_duration(rng: Generator, subject: Subject) -> float:
    """Seconds of one of the subject's seizures, 15 to 120."""
    return float(np.clip(subject.epilepsy.seconds * np.exp(rng.normal(0, 0.2)), 15, 120))


# --- a recording ------------------------------------------------------------------------------------------


def record(
    rng: Generator, subject: Subject, seconds: int, seizures: Sequence[tuple[float, float]] = ()
) -> np.ndarray:
    """Potentials (ELECTRODES, samples) in microvolts, float32, 256 Hz, against a common zero.

    seizures: start and end in seconds. It is synthesised as a whole, in about 0.4 GB per hour.
    """
    total = np.zeros((len(ELECTRODES), seconds * SAMPLING_RATE), np.float32)
    sleep = 1 / (1 + np.exp(-1.6 * (wandering(rng, 1, seconds, 600)[0] + subject.sleepiness)))
    after = _aftermath(rng, subject.epilepsy, seconds, seizures)
    _add_background(rng, subject, total, sleep, after)
    _add_rhythms(rng, subject, total, sleep)
    _add_muscle(rng, subject, total, sleep, seizures)
    _add_eyes(rng, subject, total, sleep)
    _add_electrodes(rng, subject, total, sleep)
    _add_spikes(rng, subject.epilepsy, total, sleep)
    for start, end in seizures:
        _add_seizure(rng, subject.epilepsy, total, start, end - start)
    return total


def _aftermath(rng: Generator, epilepsy: Epilepsy, seconds: int, seizures) -> np.ndarray:
    """How much a past seizure still slows the background, (knots,), 1 right after one."""
    knots = np.arange(seconds * KNOTS_PER_SECOND + 1) / KNOTS_PER_SECOND
    after = np.zeros(len(knots))
    for _, end in seizures:
        fading = np.exp(-(knots - end) / (epilepsy.aftermath * np.exp(rng.normal(0, 0.2))))
        after = np.maximum(after, np.where(knots >= end, fading, 0))
    return after


def _add_background(rng: Generator, subject: Subject, total: np.ndarray, sleep, after) -> None:
    seconds = total.shape[1] / SAMPLING_RATE
    modes = subject.background[:, :16]
    drift = np.exp(0.2 * wandering(rng, 1, seconds, 120) + 0.2 * wandering(rng, 1, seconds, 8))

    gain = subject.level * drift * (1 - 0.3 * sleep) * (1 - 0.4 * after)
    gain = gain * np.exp(0.5 * wandering(rng, modes.shape[1], seconds, 2))
    sources = coloured(rng, len(gain), total.shape[1], lambda f: (f**2 + 4**2) ** (-subject.slope / 2))
    add(total, modes, sources, gain)

    few = modes[:, :6]
    gain = subject.level * drift * (0.3 + 1.3 * sleep**1.5 + 1.5 * after)
    gain = gain * np.exp(0.8 * wandering(rng, few.shape[1], seconds, 2))
    sources = coloured(rng, len(gain), total.shape[1], lambda f: (f**2 + 1.3**2) ** -2.0)
    add(total, few, sources, gain)

    few = modes[:, :4]
    gain = 0.8 * subject.level * drift * sleep * (1 - sleep) * 2
    sources = coloured(rng, few.shape[1], total.shape[1], lambda f: np.exp(-(((f - 5.5) / 1.2) ** 2)))
    add(total, few, sources, gain * np.exp(0.4 * wandering(rng, few.shape[1], seconds, 2)))

    closed = 1 / (1 + np.exp(-3 * wandering(rng, 1, seconds, 20)))
    fields = np.stack([field("O1", 0.6), field("O2", 0.6), field("PZ", 0.7)], axis=1)
    centre = subject.alpha_frequency
    sources = coloured(rng, 3, total.shape[1], lambda f: np.exp(-(((f - centre) / 0.8) ** 2)))
    gain = subject.alpha * (0.3 + closed) * (1 - sleep) ** 1.5
    add(total, fields, sources, gain * np.exp(0.4 * wandering(rng, 3, seconds, 1)))


def _add_rhythms(rng: Generator, subject: Subject, total: np.ndarray, sleep) -> None:
    """Spindles, and runs of waves that are no seizures: drowsy, frontal slow, temporal theta."""
    for at in moments(rng, 150, sleep**2):
        length = rng.uniform(0.5, 1.6)
        place = field(rng.choice(["CZ", "C3", "C4", "FZ"]), 0.5)
        phase = course(rng, *rng.uniform(11.5, 14.5, 2), length, 0.02)
        put(total, at, place * rng.uniform(15, 60), np.sin(phase) * np.hanning(len(phase)))

    kinds = (
        (5, sleep * (1 - sleep) * 4, ("FZ", "CZ", "PZ"), 1.0, (3.0, 5.0), (3, 14), (50, 180)),
        (2.5, sleep, ("FP1", "FP2", "FZ"), 0.8, (1.5, 3.0), (3, 12), (60, 220)),
        (2.5, 1 - sleep / 2, ("T7", "T8", "F7", "F8", "P7", "P8"), 0.5, (4.5, 7.5), (5, 30), (45, 150)),
    )
    for per_hour, when, places, width, frequencies, lengths, sizes in kinds:
        place, often = str(rng.choice(places)), np.exp(rng.normal(0, 0.5))
        for at in moments(rng, per_hour * often, when):
            phase = course(rng, *np.repeat(rng.uniform(*frequencies), 2), rng.uniform(*lengths))
            values = wave(rng.choice(FORMS, p=[0.5, 0.35, 0.15]), phase) * uneven(rng, phase)
            put(
                total, at, field(place, width) * rng.uniform(*sizes), values * _rise_and_fall(rng, len(phase))
            )


def _rise_and_fall(rng: Generator, samples: int) -> np.ndarray:
    return scipy.signal.windows.tukey(samples, rng.uniform(0.2, 0.9))


def _add_muscle(rng: Generator, subject: Subject, total: np.ndarray, sleep, seizures) -> None:
    """Tension that comes and goes, bursts, chewing, and what seizures add."""
    seconds = total.shape[1] / SAMPLING_RATE
    tension = np.exp(0.6 * wandering(rng, 1, seconds, 60) + 0.5 * wandering(rng, len(MUSCLES), seconds, 15))
    gain = subject.muscle[:, None] * tension * (1.1 - sleep)

    def strain(at, values):
        first = round(at * KNOTS_PER_SECOND)
        each = np.exp(rng.normal(0, 0.6, len(MUSCLES)))
        values = values[: gain.shape[1] - first]
        gain[:, first : first + len(values)] += each[:, None] * values

    for at in moments(rng, 35 * subject.restlessness, 1.05 - sleep):
        length = round(np.exp(rng.normal(0.8, 0.9)) * KNOTS_PER_SECOND) + 4
        strain(at, np.exp(rng.normal(np.log(22), 0.8)) * scipy.signal.windows.tukey(length, 0.5))
    for at in moments(rng, 8 * subject.restlessness, 1 - sleep):
        phase = course(rng, *rng.uniform(0.9, 2.4, 2), rng.uniform(5, 45))
        size = np.exp(rng.normal(np.log(35), 0.5))
        bites = np.maximum(np.sin(phase), 0) ** 2 * uneven(rng, phase, 0.4) * _rise_and_fall(rng, len(phase))
        strain(at, size * bites[::KNOT])
        swing = field("FT9", 0.5) * rng.uniform(0, 2) + field("FT10", 0.5) * rng.uniform(0, 2)
        put(total, at, swing * size, wave("sine", phase + 0.4) * _rise_and_fall(rng, len(phase)))
    for start, end in seizures:
        length = round((end - start) * KNOTS_PER_SECOND)
        effort = np.linspace(0, 1, length) ** subject.epilepsy.growth * np.exp(rng.normal(0, 0.3))
        strain(start, subject.epilepsy.muscle * effort)

    fields = np.stack([field(name, 0.3) for name in MUSCLES], axis=1)
    add(total, fields, coloured(rng, len(MUSCLES), total.shape[1], _muscle_power), gain)


def _muscle_power(frequency: np.ndarray) -> np.ndarray:
    return 1 / (1 + (18 / np.maximum(frequency, 0.1)) ** 4) / (1 + (frequency / 70) ** 2)


def _add_eyes(rng: Generator, subject: Subject, total: np.ndarray, sleep) -> None:
    """Blinks while awake, and slow rolling of the eyes when drowsy."""
    blink = 0.7 * field("FP1", 0.45) + 0.7 * field("FP2", 0.45)
    size = np.exp(rng.normal(np.log(150), 0.3))
    for at in moments(rng, 700, (1 - sleep) ** 2):
        samples = round(rng.uniform(0.25, 0.45) * SAMPLING_RATE)
        put(total, at, blink * size * rng.uniform(0.6, 1.3), np.hanning(samples))
    sideways = field("F8", 0.45) - field("F7", 0.45)
    rolling = coloured(rng, 1, total.shape[1], lambda f: np.exp(-(((f - 0.4) / 0.3) ** 2)))
    add(total, sideways[:, None], rolling, 90 * (sleep * (1 - sleep))[None] ** 2 * 4)


def _add_electrodes(rng: Generator, subject: Subject, total: np.ndarray, sleep) -> None:
    """Noise and hum of each contact, sweat, movement, pops, and an electrode that is rocked."""
    seconds = total.shape[1] / SAMPLING_RATE
    electrodes = len(total)
    own = np.eye(electrodes)
    white = np.sqrt(np.float32(12)) * (rng.random(total.shape, dtype=np.float32) - np.float32(0.5))
    add(total, own * np.exp(rng.normal(np.log(0.6), 0.4, electrodes)), white, np.ones((1, len(sleep))))
    del white
    hum = np.sin(2 * np.pi * np.mod(np.arange(total.shape[1]) * (60 / SAMPLING_RATE), 1)).astype(np.float32)
    contact = np.exp(0.5 * wandering(rng, 1, seconds, 200))
    add(total, (subject.hum * rng.choice([-1, 1], electrodes))[:, None], hum[None], contact)

    sweat = coloured(rng, 3, total.shape[1], lambda f: np.exp(-((f / 0.15) ** 2)))
    dampness = 20 * np.exp(0.8 * wandering(rng, 3, seconds, 300))
    add(total, np.stack([field(name, 0.5) for name in rng.choice(ELECTRODES, 3)], axis=1), sweat, dampness)

    moving = np.zeros((4, len(sleep)))
    for at in moments(rng, 24 * subject.restlessness, 1.05 - sleep):
        shape = scipy.signal.windows.tukey(round(rng.uniform(1, 12) * KNOTS_PER_SECOND), 0.6)
        first = round(at * KNOTS_PER_SECOND)
        here = moving[:, first : first + len(shape)]
        here += np.exp(rng.normal(np.log(100), 0.6, (4, 1))) * shape[: here.shape[1]]
    swings = coloured(rng, 4, total.shape[1], lambda f: 1 / (1 + (f / 2.5) ** 4))
    fields = np.stack([field(name, 0.6) for name in rng.choice(ELECTRODES, 4, replace=False)], axis=1)
    add(total, fields, swings, moving)

    for at in moments(rng, 12 * subject.restlessness, np.ones(len(sleep))):
        fall = np.exp(-np.arange(3 * SAMPLING_RATE) / SAMPLING_RATE / rng.uniform(0.1, 0.8))
        put(total, at, rng.choice(own) * rng.choice([-1, 1]) * np.exp(rng.normal(np.log(200), 0.6)), fall)
    for at in moments(rng, 3 * subject.restlessness, np.ones(len(sleep))):
        phase = course(rng, *np.repeat(rng.uniform(1, 5), 2), rng.uniform(5, 40))
        values = wave(rng.choice(["sine", "arc"]), phase) * uneven(rng, phase, 0.35)
        size = np.exp(rng.normal(np.log(130), 0.5))
        place = field(rng.choice(ELECTRODES), rng.uniform(0.1, 0.7))
        put(total, at, place * size, values * _rise_and_fall(rng, len(phase)))


def _add_spikes(rng: Generator, epilepsy: Epilepsy, total: np.ndarray, sleep) -> None:
    """Spikes between seizures, each with a slow wave behind it, more in sleep."""
    seconds = np.arange(round(0.6 * SAMPLING_RATE)) / SAMPLING_RATE
    shape = np.exp(-(((seconds - 0.06) / 0.02) ** 2)) - 0.5 * np.exp(-(((seconds - 0.25) / 0.09) ** 2))
    place = epilepsy.rhythms[0].field
    for at in moments(rng, 60 * epilepsy.spikes_per_minute, 0.3 + sleep):
        put(total, at, place * epilepsy.size * rng.uniform(0.3, 0.9), shape)


def _add_seizure(rng: Generator, epilepsy: Epilepsy, total: np.ndarray, start: float, seconds: float) -> None:
    """One rhythm that slows, grows and spreads, then stops within a second or so."""
    own = np.exp(rng.normal(0, 0.08, 2))
    first, last = epilepsy.rhythms[0].start * own[0], epilepsy.rhythms[0].end * own[1]
    phase = course(rng, first, last, seconds)
    along = np.linspace(0, 1, len(phase))
    ending = np.clip((1 - along) * seconds / rng.uniform(0.5, 2.5), 0, 1)
    size = epilepsy.size * np.exp(rng.normal(0, 0.15)) * uneven(rng, phase) * ending
    for rhythm, delay, lag in zip(epilepsy.rhythms, epilepsy.delays, epilepsy.lags):
        onset = np.clip((along - delay) / max(1 - delay, 0.2), 0, 1)
        growing = np.clip((along - delay) * seconds / 3, 0, 1) * (0.4 + onset**epilepsy.growth)
        slow = coloured(rng, 1, len(phase), lambda f: 1 / (1 + (f / 3) ** 4))[0]
        put(total, start, rhythm.field, size * growing * (wave(rhythm.form, phase - lag) + 0.6 * slow))
