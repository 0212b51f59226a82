"""Electrocardiograms from a moving heart dipole.

The heart is one electric dipole whose three components (x to the patient's left, y to the feet, z to the
back; mV) are sums of Gaussian-shaped waves: P from the atria, Q, R and S from the ventricles, ST and T from
their recovery (McSharry et al. 2003, IEEE Trans Biomed Eng 50:289, in three dimensions). Nine electrodes see
it through the torso (Dower et al. 1980, J Electrocardiol 13:211) and the twelve leads are differences of
their potentials, so III = II - I and AVR = -(I + II) / 2 hold by construction, with noise as well as without.

A disease changes the waves, in proportion to its severity (0 none, 1 marked).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

LEADS = ("I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6")
ELECTRODES = ("RA", "LA", "LL", "V1", "V2", "V3", "V4", "V5", "V6")

# What lead I, lead II and V1-V6 see of the dipole (x, y, z), from Dower's matrix.
DOWER = np.array(
    [
        [0.632, -0.235, 0.059],
        [0.235, 1.066, -0.132],
        [-0.515, 0.157, -0.917],
        [0.044, 0.164, -1.387],
        [0.882, 0.098, -1.277],
        [1.213, 0.127, -0.601],
        [1.125, 0.127, -0.086],
        [0.831, 0.076, 0.230],
    ]
)

# The twelve leads as differences of electrode potentials: limb, augmented, V against the mean of the limbs.
LEAD_FROM_ELECTRODES = np.zeros((12, 9))
LEAD_FROM_ELECTRODES[:3, :3] = [[-1, 1, 0], [-1, 0, 1], [0, -1, 1]]
LEAD_FROM_ELECTRODES[3:6, :3] = 1.5 * np.eye(3) - 0.5
LEAD_FROM_ELECTRODES[6:, :3] = -1 / 3
LEAD_FROM_ELECTRODES[6:, 3:] = np.eye(6)

# Where each part of the left ventricle lies, seen from the heart's centre.
ANTEROSEPTAL, ANTERIOR, ANTEROLATERAL = (0.05, 0.05, -1.0), (0.45, 0.1, -0.9), (0.85, -0.2, -0.5)
LATERAL, INFERIOR, POSTERIOR = (0.95, -0.3, 0.1), (0.05, 1.0, 0.1), (0.1, 0.2, 1.0)
INFEROLATERAL, INFEROPOSTERIOR, INFEROPOSTEROLATERAL = (0.65, 0.75, 0.15), (0.0, 0.75, 0.65), (0.5, 0.6, 0.55)
SUBENDOCARDIUM = (0.75, 0.45, -0.45)  # no particular territory

SEPTUM, WALL, POSTERIOR_WALL, BASE = range(4)  # rows of a heart's ventricular waves
ST, T = range(2)  # rows of its recovery
RIGHT_ATRIUM, LEFT_ATRIUM = range(2)  # rows of its atrial waves


class Waves(NamedTuple):
    """Gaussian-shaped waves of the dipole, each with its own rise and fall."""

    moment: np.ndarray  # (waves, 3) mV
    centre: np.ndarray  # (waves,) s after the beat's R peak, for the atria after the P wave's middle
    rise: np.ndarray  # (waves,) s
    fall: np.ndarray  # (waves,) s


@dataclass(frozen=True)
class Heart:
    """One patient's heart and torso."""

    atria: Waves
    ventricles: Waves
    recovery: Waves
    ectopic: Waves  # a whole beat that starts in a ventricle
    torso: np.ndarray  # (9, 3) electrode potential per unit of dipole
    conduction: float  # s from the P wave's middle to the R peak; PR interval is about 10 ms longer


@dataclass(frozen=True)
class Rhythm:
    """When the chambers beat, in s from the recording's start."""

    beats: np.ndarray  # (n,) R peaks
    premature: np.ndarray  # (n,) bool: comes early
    ectopic: np.ndarray  # (n,) bool: starts in a ventricle
    cycle: np.ndarray  # (n,) s: the beat before, which sets the length of the recovery
    atria: np.ndarray  # (m,) middles of P waves relative to 0, before conduction
    fibrillation: float = 0.0  # mV, size of fibrillatory or flutter waves
    fibrillation_rate: float = 6.0  # Hz
    fibrillation_disorder: float = 1.0  # 0 for flutter
    paced: bool = False


# --- waves ------------------------------------------------------------------------------------------------


def _waves(*rows) -> Waves:
    """Waves from rows of (x, y, z, centre, rise, fall), mV and ms."""
    table = np.array(rows, dtype=float)
    return Waves(table[:, :3], *(table[:, 3:].T / 1000))


def _add(waves: Waves, moment, centre: float, rise: float, fall: float | None = None) -> Waves:
    row = (moment, centre, rise, rise if fall is None else fall)
    return Waves(*(np.concatenate([old, [new]]) for old, new in zip(waves, row)))


def _change(waves: Waves, row: int, moment) -> Waves:
    """The waves with another moment in one row."""
    moments = waves.moment.copy()
    moments[row] = moment
    return waves._replace(moment=moments)


def _slow(waves: Waves, factor: float) -> Waves:
    """The same waves, lasting longer."""
    return Waves(waves.moment, waves.centre * factor, waves.rise * factor, waves.fall * factor)


def _unit(vector) -> np.ndarray:
    vector = np.asarray(vector, dtype=float)
    return vector / np.linalg.norm(vector)


def _rotation(frontal: float, horizontal: float = 0.0) -> np.ndarray:
    """Rotation in degrees: in the frontal plane towards the feet, in the horizontal towards the back."""
    a, b = np.radians([frontal, horizontal])
    in_frontal = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    in_horizontal = np.array([[np.cos(b), 0, -np.sin(b)], [0, 1, 0], [np.sin(b), 0, np.cos(b)]])
    return in_horizontal @ in_frontal


def _size(heart: Heart) -> float:
    """Voltage of this heart against an average one."""
    return float(np.linalg.norm(heart.ventricles.moment[WALL])) / 1.25


# --- a healthy heart --------------------------------------------------------------------------------------


def healthy(rng: Generator, age: float = 55, male: bool = True) -> Heart:
    """A healthy heart of its own axis, voltage, shape and torso; age turns it left and lowers the T wave."""
    voltage = np.exp(rng.normal(0.05 if male else -0.05, 0.22))
    turn = _rotation(rng.normal(0, 20) - 0.45 * (age - 50), rng.normal(0, 12))
    recovery_turn = _rotation(rng.normal(0, 14), rng.normal(0, 14))
    t_wave = np.exp(rng.normal(0.05 if male else -0.15, 0.25) - 0.006 * (age - 50))

    def vary(waves: Waves, scale, rotation) -> Waves:
        n = len(waves.centre)
        moment = waves.moment * np.exp(rng.normal(0, 0.18, (n, 1))) + rng.normal(0, 0.03, (n, 3)) * np.abs(
            scale
        )
        width = np.exp(rng.normal(0, 0.08, n))
        return Waves(scale * moment @ rotation.T, waves.centre, waves.rise * width, waves.fall * width)

    atria = vary(
        _waves((0.045, 0.10, -0.06, -14, 18, 18), (0.065, 0.055, 0.05, 14, 20, 20)), 1.0, _rotation(0)
    )
    ventricles = vary(
        _waves(
            (-0.14, -0.06, -0.36, -23, 6.5, 7.0),
            (1.10, 0.62, 0.12, 0, 8.5, 8.5),
            (0.32, 0.15, 0.88, 16, 8.5, 9.5),
            (-0.22, -0.22, 0.16, 34, 7.5, 9.0),
        ),
        voltage,
        turn,
    )
    for _ in range(3):  # fine notches of one's own
        notch = 0.05 * voltage * rng.normal(0, 1, 3)
        ventricles = _add(ventricles, notch, rng.uniform(-0.025, 0.035), rng.uniform(0.003, 0.005))
    ventricles = _slow(ventricles, np.exp(rng.normal(0.03 if male else -0.03, 0.07)))
    recovery = _waves((0.03, 0.015, -0.05, 100, 25, 70), (0.40, 0.17, -0.28, 275, 55, 36))
    recovery = vary(
        recovery, t_wave * np.sqrt(voltage), recovery_turn @ _rotation(0.4 * np.degrees(_axis(turn)))
    )
    recovery = _slow(recovery, np.exp(rng.normal(0 if male else 0.03, 0.05)))

    return Heart(
        atria, ventricles, recovery, _ectopic_beat(rng, voltage), _torso(rng), rng.normal(0.150, 0.014)
    )


def _axis(rotation: np.ndarray) -> float:
    return float(np.arctan2(rotation[1, 0], rotation[0, 0]))


def _ectopic_beat(rng: Generator, voltage: float) -> Waves:
    """A premature ventricular beat: wide, large, with the T wave the other way."""
    onset = _unit(rng.normal(0, 1, 3) + (0, 0.4, 0.3))
    late = _unit(onset + rng.normal(0, 0.5, 3))
    size = voltage * rng.uniform(1.1, 1.9)
    recovery = -0.38 * size * late
    return Waves(
        np.array([size * onset, 0.8 * size * late, 0.4 * recovery, recovery]),
        np.array([-0.010, 0.040, 0.150, 0.300]),
        np.array([0.020, 0.024, 0.040, 0.060]),
        np.array([0.022, 0.026, 0.060, 0.045]),
    )


def _torso(rng: Generator) -> np.ndarray:
    """Electrode potentials per unit of dipole, (9, 3): Dower's torso, each patient's a little different."""
    views = DOWER * np.exp(rng.normal(0, 0.12, (8, 1))) + rng.normal(0, 0.07, (8, 3))
    lead_i, lead_ii = views[:2]
    right_arm = -(lead_i + lead_ii) / 3  # the three limbs sum to zero
    return np.vstack([right_arm, right_arm + lead_i, right_arm + lead_ii, views[2:]])


# --- diseases ---------------------------------------------------------------------------------------------


def infarct(heart: Heart, severity: float, rng: Generator, toward) -> Heart:
    """Dead wall: its early forces are lost (Q waves); ST rises while fresh, T turns away once old."""
    toward = _unit(np.asarray(toward) + rng.normal(0, 0.12, 3))
    size, fresh = _size(heart), rng.beta(0.6, 1.8)
    lost = severity * np.array([0.9, 0.55, 0.35, 0.2])[:, None]
    moment = heart.ventricles.moment.copy()
    moment[:4] -= lost * np.maximum(moment[:4] @ toward, 0)[:, None] * toward
    ventricles = _add(
        heart.ventricles._replace(moment=moment), -0.55 * severity * size * toward, -0.020, 0.011
    )

    st, t = heart.recovery.moment[:2]
    recovery = _change(heart.recovery, ST, st + (0.04 + 0.30 * fresh) * severity * size * toward)
    recovery = _change(recovery, T, t + (0.35 * fresh - 0.50 * (1 - fresh)) * severity * size * toward)
    return replace(heart, ventricles=ventricles, recovery=recovery)


def ischemia(heart: Heart, severity: float, rng: Generator, toward=SUBENDOCARDIUM, st=0.16, t=0.60) -> Heart:
    """Wall short of oxygen: ST falls (st, mV), T flattens, then turns over (t, mV), in leads that face it."""
    toward = _unit(np.asarray(toward) + rng.normal(0, 0.15, 3))
    away = -severity * _size(heart) * toward
    recovery = _change(heart.recovery, ST, heart.recovery.moment[ST] + st * away)
    return replace(heart, recovery=_change(recovery, T, heart.recovery.moment[T] + t * away))


def flat_recovery(heart: Heart, severity: float, rng: Generator) -> Heart:
    """Low, flat or slightly inverted T waves of no particular cause."""
    t = heart.recovery.moment[T]
    return replace(heart, recovery=_change(heart.recovery, T, t * (1 - 1.15 * severity)))


def digitalis(heart: Heart, severity: float, rng: Generator) -> Heart:
    """Sagging ST segment against the QRS, shorter recovery."""
    heart = ischemia(heart, severity, rng, heart.ventricles.moment[WALL], st=0.20, t=0.25)
    return replace(heart, recovery=_slow(heart.recovery, 1 - 0.12 * severity))


def long_recovery(heart: Heart, severity: float, rng: Generator) -> Heart:
    """Long QT interval."""
    return replace(heart, recovery=_slow(heart.recovery, 1 + 0.28 * severity))


def electrolytes(heart: Heart, severity: float, rng: Generator) -> Heart:
    """Too much potassium (tall, narrow T) or too little (flat T, long QT)."""
    if rng.random() < 0.5:
        return flat_recovery(long_recovery(heart, 0.6 * severity, rng), 0.8 * severity, rng)
    tall = _change(heart.recovery, T, heart.recovery.moment[T] * (1 + 1.4 * severity))
    narrow = 1 - 0.3 * severity
    return replace(heart, recovery=tall._replace(rise=tall.rise * narrow, fall=tall.fall * narrow))


def aneurysm(heart: Heart, severity: float, rng: Generator) -> Heart:
    """ST stays raised over the front wall."""
    return ischemia(heart, severity, rng, ANTERIOR, st=-0.22, t=0.3)


def right_bundle_block(heart: Heart, severity: float, rng: Generator) -> Heart:
    """The right ventricle follows late: a last force to the right and front."""
    late = severity * np.sqrt(_size(heart)) * np.array([-0.65, -0.08, -0.80])
    ventricles = _add(heart.ventricles, late, 0.042 + 0.020 * severity, 0.011 + 0.009 * severity)
    recovery = _change(heart.recovery, T, heart.recovery.moment[T] - 0.22 * late)
    return replace(heart, ventricles=ventricles, recovery=recovery)


def left_bundle_block(heart: Heart, severity: float, rng: Generator) -> Heart:
    """The left ventricle follows late: no septal force, wide QRS to the left and back, T opposite."""
    size = _size(heart)
    late = severity * size * np.array([0.75, 0.20, 0.70])
    septum = (1 - severity) * heart.ventricles.moment[SEPTUM] + severity * size * np.array([0.25, 0.10, 0.12])
    ventricles = _slow(_change(heart.ventricles, SEPTUM, septum), 1 + 0.45 * severity)
    ventricles = _change(ventricles, BASE, (1 - severity) * ventricles.moment[BASE])
    ventricles = _add(ventricles, late, 0.046, 0.017)
    st, t = heart.recovery.moment[:2]
    recovery = _change(heart.recovery, ST, st - 0.20 * late)
    recovery = _change(recovery, T, (1 - 0.8 * severity) * t - 0.42 * late)
    return replace(heart, ventricles=ventricles, recovery=recovery)


def fascicular_block(heart: Heart, severity: float, rng: Generator, turn=-75.0) -> Heart:
    """Half of the left bundle is blocked: late forces turn (degrees), upwards for the anterior half."""
    moment = heart.ventricles.moment.copy()
    moment[WALL] = _rotation(0.75 * severity * turn) @ moment[WALL]
    moment[[POSTERIOR_WALL, BASE]] = moment[[POSTERIOR_WALL, BASE]] @ _rotation(1.2 * severity * turn).T
    moment[SEPTUM, 1] -= 0.25 * severity * np.sign(turn) * _size(heart)
    return replace(heart, ventricles=_slow(heart.ventricles._replace(moment=moment), 1 + 0.08 * severity))


def slow_ventricles(heart: Heart, severity: float, rng: Generator) -> Heart:
    """Wide QRS of no particular pattern, often notched."""
    ventricles = _slow(heart.ventricles, 1 + 0.45 * severity)
    notch = 0.35 * severity * _size(heart) * rng.normal(0, 1, 3)
    return replace(heart, ventricles=_add(ventricles, notch, rng.uniform(0.02, 0.05), 0.010))


def slow_conduction(heart: Heart, severity: float, rng: Generator) -> Heart:
    """First degree AV block: long PR interval."""
    return replace(heart, conduction=heart.conduction + 0.02 + 0.12 * severity)


def preexcitation(heart: Heart, severity: float, rng: Generator) -> Heart:
    """Wolff-Parkinson-White: short PR interval, slurred start of the QRS."""
    delta = 0.55 * severity * _size(heart) * _unit((0.5, 0.2, -0.6) + rng.normal(0, 0.5, 3))
    ventricles = _add(heart.ventricles, delta, -0.036, 0.018, 0.014)
    recovery = _change(heart.recovery, T, heart.recovery.moment[T] - 0.4 * delta)
    return replace(
        heart, ventricles=ventricles, recovery=recovery, conduction=heart.conduction - 0.045 * severity
    )


def left_ventricular_hypertrophy(heart: Heart, severity: float, rng: Generator) -> Heart:
    """Thick left wall: more voltage to the left and back, slightly wide QRS, strain (ST, T the other way)."""
    moment = heart.ventricles.moment.copy()
    moment[[WALL, POSTERIOR_WALL]] *= 1 + 0.75 * severity
    moment[POSTERIOR_WALL] += severity * np.array([0.20, 0.0, 0.35])
    ventricles = _slow(heart.ventricles._replace(moment=moment), 1 + 0.12 * severity)
    strain = severity * rng.beta(1.5, 1.5)
    return ischemia(replace(heart, ventricles=ventricles), strain, rng, (0.9, 0.2, 0.3), st=0.07, t=0.28)


def right_ventricular_hypertrophy(heart: Heart, severity: float, rng: Generator) -> Heart:
    """Thick right wall: forces to the right and front."""
    extra = severity * _size(heart) * np.array([-0.85, 0.25, -0.75])
    recovery = _change(heart.recovery, T, heart.recovery.moment[T] - 0.3 * extra)
    return replace(heart, ventricles=_add(heart.ventricles, extra, 0.016, 0.013), recovery=recovery)


def septal_hypertrophy(heart: Heart, severity: float, rng: Generator) -> Heart:
    """Thick septum: deep, narrow Q waves at the side."""
    septum = heart.ventricles.moment[SEPTUM] * (1 + 1.8 * severity)
    return replace(heart, ventricles=_change(heart.ventricles, SEPTUM, septum))


def left_atrial_enlargement(heart: Heart, severity: float, rng: Generator) -> Heart:
    """Wide, notched P wave, its end negative in V1."""
    moment = heart.atria.moment[LEFT_ATRIUM] * (1 + 0.6 * severity) + severity * np.array([0.02, 0.0, 0.07])
    atria = _change(heart.atria, LEFT_ATRIUM, moment)
    return replace(heart, atria=atria._replace(centre=atria.centre * (1 + 1.0 * severity)))


def right_atrial_enlargement(heart: Heart, severity: float, rng: Generator) -> Heart:
    """Tall P wave in the inferior leads."""
    moment = heart.atria.moment[RIGHT_ATRIUM] * (1 + 1.2 * severity) + severity * np.array([0.0, 0.08, 0.0])
    return replace(heart, atria=_change(heart.atria, RIGHT_ATRIUM, moment))


def _at(disease: Callable, scale: float = 1.0, power: float = 1.0, **settings) -> Callable:
    """The disease at another part of its range: complete and incomplete blocks are one disease."""
    return lambda heart, severity, rng: disease(heart, scale * severity**power, rng, **settings)


# What each diagnostic SCP-ECG statement does to the heart. 2AVB and 3AVB are rhythms here.
INFARCTS = {
    "IMI": INFERIOR, "ASMI": ANTEROSEPTAL, "ILMI": INFEROLATERAL, "AMI": ANTERIOR, "ALMI": ANTEROLATERAL,
    "LMI": LATERAL, "IPLMI": INFEROPOSTEROLATERAL, "IPMI": INFEROPOSTERIOR, "PMI": POSTERIOR,
}  # fmt: skip
INJURIES = {
    "INJAS": ANTEROSEPTAL, "INJAL": ANTEROLATERAL, "INJLA": LATERAL, "INJIN": INFERIOR,
    "INJIL": INFEROLATERAL,
}  # fmt: skip
ISCHEMIAS = {
    "ISC_": SUBENDOCARDIUM, "ISCAL": ANTEROLATERAL, "ISCIN": INFERIOR, "ISCIL": INFEROLATERAL,
    "ISCAS": ANTEROSEPTAL, "ISCLA": LATERAL, "ISCAN": ANTERIOR,
}  # fmt: skip
DISEASES: dict[str, Callable[[Heart, float, Generator], Heart]] = {
    **{code: partial(infarct, toward=toward) for code, toward in INFARCTS.items()},
    **{code: partial(ischemia, toward=toward, st=0.28, t=0.35) for code, toward in INJURIES.items()},
    **{code: partial(ischemia, toward=toward) for code, toward in ISCHEMIAS.items()},
    "NDT": flat_recovery,
    "NST_": partial(ischemia, st=0.12, t=0.12),
    "DIG": digitalis,
    "LNGQT": long_recovery,
    "EL": electrolytes,
    "ANEUR": aneurysm,
    "LAFB": _at(fascicular_block, power=0.6),
    "LPFB": _at(fascicular_block, power=0.6, turn=65.0),
    "IRBBB": _at(right_bundle_block, scale=0.45),
    "CRBBB": _at(right_bundle_block, power=0.4),
    "ILBBB": _at(left_bundle_block, scale=0.45),
    "CLBBB": _at(left_bundle_block, power=0.4),
    "IVCD": slow_ventricles,
    "1AVB": slow_conduction,
    "WPW": preexcitation,
    "LVH": left_ventricular_hypertrophy,
    "RVH": right_ventricular_hypertrophy,
    "SEHYP": septal_hypertrophy,
    "LAO/LAE": left_atrial_enlargement,
    "RAO/RAE": right_atrial_enlargement,
}


def afflict(heart: Heart, code: str, severity: float, rng: Generator) -> Heart:
    """The heart with the disease an SCP-ECG statement names; a statement about rhythm leaves it alone."""
    return DISEASES[code](heart, severity, rng) if code in DISEASES else heart


# --- rhythm -----------------------------------------------------------------------------------------------


def sinus(rng: Generator, duration: float, rate: float, variation=0.03, premature=0.0, ventricular=True,
          every: int = 0) -> Rhythm:  # fmt: skip
    """Sinus rhythm that breathes.

    rate: per minute. variation: relative swing of the beat-to-beat interval. premature: share of premature
    beats, from a ventricle or from the atria; every: 2 for bigeminy, 3 for trigeminy.
    """
    mean = 60 / rate
    n = int(duration / (0.5 * mean)) + 6
    k = np.arange(n)
    breath = np.sin(2 * np.pi * rng.uniform(0.18, 0.33) * mean * k + rng.uniform(0, 7))
    slow = np.sin(2 * np.pi * rng.uniform(0.05, 0.12) * mean * k + rng.uniform(0, 7))
    cycle = mean * (1 + variation * (1.1 * breath + 0.6 * slow + 0.3 * rng.normal(size=n)))
    early = (k % every == every - 1) if every else rng.random(n) < premature
    early[0] = False
    early[1:] &= ~early[:-1]
    cycle[early] *= rng.uniform(0.55, 0.78, early.sum())
    after = np.flatnonzero(early[:-1]) + 1
    cycle[after] *= rng.uniform(1.25, 1.45, len(after)) if ventricular else rng.uniform(1.0, 1.15, len(after))
    beats = np.cumsum(cycle) - mean * (1 + rng.random())
    ectopic = early & ventricular
    return Rhythm(beats, early, ectopic, cycle, beats[~ectopic])


def fibrillation(rng: Generator, duration: float, rate: float) -> Rhythm:
    """Atrial fibrillation (rate per minute): no P wave, fibrillatory waves of 4-9 Hz, irregular beats."""
    mean = 60 / rate
    shortest = min(0.33, 0.6 * mean)
    n = int(duration / mean * 1.5) + 8
    shape = rng.uniform(2.5, 7.0)
    cycle = shortest + rng.gamma(shape, (mean - shortest) / shape, n)
    ectopic = rng.random(n) < rng.choice([0, 0, 0, 0.05])
    size, frequency = np.clip(np.exp(rng.normal(-3.2, 0.5)), 0.012, 0.15), rng.uniform(4.5, 8.5)
    beats = np.cumsum(cycle) - mean * (1 + rng.random())
    return Rhythm(beats, ectopic, ectopic, cycle, np.empty(0), size, frequency)


def flutter(rng: Generator, duration: float) -> Rhythm:
    """Atrial flutter: a saw of about 5 Hz, every second to fourth wave conducted."""
    frequency = rng.uniform(4.3, 5.5)
    n = int(duration * frequency / 2) + 8
    usual = rng.choice([2, 3, 4])
    waves = np.where(rng.random(n) < 0.2, rng.choice([2, 3, 4], n), usual)
    cycle = waves / frequency
    beats = np.cumsum(cycle) - cycle[0] * (1 + rng.random())
    size = rng.uniform(0.06, 0.16)
    never = np.zeros(n, bool)
    return Rhythm(beats, never, never, cycle, np.empty(0), size, frequency, 0.0)


def paced(rng: Generator, duration: float, rate: float = 70) -> Rhythm:
    """Ventricles driven by a pacemaker at a steady rate (per minute), for a heart changed by `pace`."""
    own = sinus(rng, duration, rate, variation=0.001)
    return replace(own, atria=own.beats if rng.random() < 0.4 else np.empty(0), paced=True)


def blocked(rng: Generator, duration: float, rate: float, complete: bool) -> Rhythm:
    """AV block: second degree drops every third or fourth beat, third degree parts atria and ventricles."""
    own = sinus(rng, duration, rate, variation=0.02)
    if complete:
        return replace(sinus(rng, duration, rng.uniform(32, 45), variation=0.01), atria=own.beats)
    kept = np.arange(len(own.beats)) % rng.integers(2, 5) != 0
    return replace(
        own,
        beats=own.beats[kept],
        premature=own.premature[kept],
        ectopic=own.ectopic[kept],
        cycle=own.cycle[kept],
    )


def without_atria(rhythm: Rhythm) -> Rhythm:
    """The rhythm with its P waves hidden."""
    return replace(rhythm, atria=np.empty(0))


def pace(heart: Heart) -> Heart:
    """The heart as a pacemaker in the right ventricle drives it: a spike, then a wide beat, left and up."""
    driven = left_bundle_block(heart, 1.0, np.random.default_rng(0))
    moment = driven.ventricles.moment @ _rotation(-85).T
    ventricles = _add(_slow(driven.ventricles, 1.1)._replace(moment=moment), (0.9, 1.3, -0.3), -0.085, 0.0012)
    return replace(driven, ventricles=ventricles)


# --- leads ------------------------------------------------------------------------------------------------


def _superpose(
    waves: Waves, times: np.ndarray, stretch, gain, samples: int, sampling_rate: float
) -> np.ndarray:
    """The dipole (samples, 3) of waves repeated at `times` (s), slower by `stretch`, larger by `gain`."""
    stretch, gain = np.broadcast_to(stretch, times.shape), np.broadcast_to(gain, times.shape)
    start = (waves.centre - 4 * waves.rise).min() * (stretch.max() if len(times) else 1)
    stop = (waves.centre + 4 * waves.fall).max() * (stretch.max() if len(times) else 1)
    length = int((stop - start) * sampling_rate) + 2
    first = np.floor((times + start) * sampling_rate).astype(int)
    seen = (first > -length) & (first < samples)
    first, times, stretch, gain = first[seen], times[seen], stretch[seen], gain[seen]

    after = (first[:, None] + np.arange(length)) / sampling_rate - times[:, None]
    after = (after / stretch[:, None])[:, :, None] - waves.centre
    bumps = np.exp(-0.5 * (after / np.where(after < 0, waves.rise, waves.fall)) ** 2)
    dipole = np.zeros((samples + 2 * length, 3))
    for position, beat in zip(first + length, (bumps @ waves.moment) * gain[:, None, None]):
        dipole[position : position + length] += beat
    return dipole[length : length + samples]


def _fibrillatory_waves(rhythm: Rhythm, samples: int, sampling_rate: float, rng: Generator) -> np.ndarray:
    """The dipole (samples, 3) of the atria in fibrillation or flutter, largest towards V1 and the feet."""
    seconds = np.arange(samples) / sampling_rate
    knots = np.arange(0, seconds[-1] + 0.6, 0.5)
    wander = np.array([np.interp(seconds, knots, row) for row in rng.normal(0, 1, (4, len(knots)))])
    disorder = rhythm.fibrillation_disorder
    frequency = rhythm.fibrillation_rate * (1 + 0.15 * disorder * wander[0])
    phase = 2 * np.pi * np.cumsum(frequency) / sampling_rate + rng.uniform(0, 7)
    lag = disorder * 1.5 * wander[1:]
    saw = sum(np.sin(k * (phase + lag)) / k**1.3 for k in (1, 2, 3))
    size = rhythm.fibrillation * (1 + 0.35 * disorder * wander[1])
    return (size * saw).T * (0.25, 0.8, -0.75)


def electrodes(
    heart: Heart, rhythm: Rhythm, samples: int, sampling_rate: float, rng: Generator
) -> np.ndarray:
    """Potentials (9, samples), float64 in mV, that the heart brings to the electrodes; no noise."""
    normal = ~rhythm.ectopic
    breathing = 2 * np.pi * rng.uniform(0.18, 0.33)
    depth, phase = rng.uniform(0.0, 0.06), rng.uniform(0, 7)
    gain = (1 + depth * np.sin(breathing * rhythm.beats + phase)) * np.exp(
        rng.normal(0, 0.015, len(rhythm.beats))
    )
    cycle = 0.65 * rhythm.cycle.mean() + 0.35 * rhythm.cycle
    stretch = (
        np.clip(cycle, 0.3, 1.8) ** 0.42
    )  # recovery shortens at high rates, between Bazett's and Fridericia's

    def dipole(waves, times, stretch=1.0, gain=1.0):
        return _superpose(waves, times, stretch, gain, samples, sampling_rate)

    total = dipole(heart.ventricles, rhythm.beats[normal], gain=gain[normal])
    total += dipole(heart.recovery, rhythm.beats[normal], stretch[normal], gain[normal])
    if rhythm.ectopic.any():
        total += dipole(heart.ectopic, rhythm.beats[rhythm.ectopic], stretch[rhythm.ectopic])
    if len(rhythm.atria):
        total += dipole(heart.atria, rhythm.atria - heart.conduction)
    if rhythm.fibrillation:
        total += _fibrillatory_waves(rhythm, samples, sampling_rate, rng)
    return heart.torso @ total.T


def leads(potentials: np.ndarray) -> np.ndarray:
    """The twelve leads (12, samples), in the order of `LEADS`, of nine electrode potentials (9, samples)."""
    return LEAD_FROM_ELECTRODES @ potentials


def beat(heart: Heart) -> np.ndarray:
    """One noise-free beat at 60 per minute, 500 Hz, its R peak at 0.3 s: float64 (12, 450) in mV."""
    total = sum(
        _superpose(waves, np.array([0.3 - delay]), 1.0, 1.0, samples=450, sampling_rate=500.0)
        for waves, delay in ((heart.atria, heart.conduction), (heart.ventricles, 0.0), (heart.recovery, 0.0))
    )
    return leads(heart.torso @ total.T)


def axis(heart: Heart) -> float:
    """Frontal axis of the QRS in degrees: 0 to the left, 90 to the feet, between -180 and 180."""
    area = (heart.ventricles.moment * (heart.ventricles.rise + heart.ventricles.fall)[:, None]).sum(0)
    views = LEAD_FROM_ELECTRODES @ heart.torso @ area
    return float(np.degrees(np.arctan2(2 * views[LEADS.index("AVF")] / np.sqrt(3), views[LEADS.index("I")])))
