"""A simulated WF-PPG data set in the official layout (Ho et al. 2025, Sci Data 12:200).

Each subject wears a finger clip and a wrist sensor, pressed on with another force in each of six windows.
Shapes follow from person and pressure; the types are then found as the authors found theirs, by the rule, on
the simulated signals.
"""

from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.random import Generator

from biosignals.progress import tqdm
from biosignals.signals import pulses
from biosignals.simulate import files, heart, noise, pulse

SAMPLING_RATE, WINDOWS = 100, 6
PRESSURES = (0.05, 0.15, 0.5, 0.75, 0.95, 0.3)  # of the six windows, about
COLOURS = {"G": 1.0, "IR": 0.55, "R": 0.35}  # how strongly the light pulses
SIGNALS = (
    "Time", "PPG_In_G_LPF_10Hz", "PPG_In_IR_LPF_10Hz", "PPG_In_R_LPF_10Hz",
    "PPG_Ref_G_LPF_10Hz", "PPG_Ref_IR_LPF_10Hz", "PPG_Ref_R_LPF_10Hz",
    "Pressure_In", "ECG", "BP_Sys", "BP_Dia", "SpO2",
    "PPG_In_G_AC", "PPG_Ref_G_AC", "PPG_Ref_IR_AC", "PPG_Ref_R_AC",
)  # fmt: skip
DECIMALS = (2, *[1] * 6, 1, 4, 0, 0, 0, *[2] * 4)
LATEST, LONGEST = 40, 110  # samples: wrist after finger, and a pulse, in the authors' tables


def write(root: str | Path, records: int, seed: int = 0, minutes: float = 4) -> None:
    """Write `0_preprocessed_1000.csv`, `0_indices_1000.csv`, ..., six windows of each subject, 100 Hz.

    records: number of subjects, named from 1000 on. minutes: length of a window. The same seed gives the same
    bytes. Files appear whole, and `SIMULATED.json` last. Raises FileExistsError where `root` is not empty,
    ValueError for fewer than one subject or windows under 15 seconds.
    """
    root = files.begin(root, records=(records, 1), minutes=(minutes, 0.25))
    for subject in tqdm(range(records), desc="simulating WF-PPG", unit="subject"):
        person = _Person(np.random.default_rng([seed, 1, subject]))
        for window in range(WINDOWS):
            rng = np.random.default_rng([seed, 2, subject, window])
            signals = _record(rng, person, window, round(minutes * 60 * SAMPLING_RATE))
            files.write(root / f"{window}_preprocessed_{1000 + subject}.csv", _signals_csv(signals))
            files.write(root / f"{window}_indices_{1000 + subject}.csv", _indices_csv(signals))
    files.finish(root, records, seed, minutes=minutes)


class _Person:
    """One subject: heart, arteries at both places, and how they hold still."""

    def __init__(self, rng: Generator):
        age = rng.uniform(20, 70)
        self.heart = heart.healthy(rng, age, rng.random() < 0.5)
        self.rate = np.clip(rng.normal(78, 9), 60, 105)
        self.variation = 0.03 * np.exp(rng.normal(-0.3 * (age - 45) / 25, 0.3))
        self.finger = pulse.finger(rng, age)
        self.firmness = rng.normal(0, 0.16)  # how much more pressure reaches the artery of this wrist
        self.restlessness = np.exp(rng.normal(0, 0.6))
        self.light = np.exp(rng.normal(0, 0.25))
        self.blood_pressure = 95 + 0.55 * age + rng.normal(0, 9), 62 + 0.2 * age + rng.normal(0, 6)


def _record(rng: Generator, person: _Person, window: int, samples: int) -> dict[str, np.ndarray]:
    """One window: SIGNALS > (samples,)."""
    seconds = samples / SAMPLING_RATE
    rhythm = heart.sinus(rng, seconds, person.rate * np.exp(rng.normal(0, 0.04)), person.variation)
    applied = np.clip(PRESSURES[window] + rng.normal(0, 0.06), 0, 1)
    felt = np.clip(applied + person.firmness, 0, 1.2)
    wrist = pulse.wrist(person.finger, felt)
    wrist_signal = 0.25 + np.exp(-(((felt - 0.55) / 0.45) ** 2))  # strongest at some pressure
    restless = 0.035 * person.restlessness / wrist_signal
    seen_at = {"In": (wrist, 260 * wrist_signal, restless), "Ref": (person.finger, 900.0, 0.002)}

    signals = {"Time": 120 + 400 * window + np.arange(samples) / SAMPLING_RATE}
    for site, (artery, strength, disturbance) in seen_at.items():
        blood = _blood(rng, artery, rhythm, samples, disturbance)
        drift = noise.wander(rng, len(COLOURS), samples, SAMPLING_RATE)
        for (colour, share), slow in zip(COLOURS.items(), drift):
            own = blood + 0.001 * noise.movement(rng, 1, samples, SAMPLING_RATE)[0] + 0.15 * slow
            light = person.light * (60_000 - strength * share * own) + rng.normal(0, 1.5, samples)
            signals[f"PPG_{site}_{colour}_LPF_10Hz"] = np.round(pulses.smooth(light, SAMPLING_RATE), 1)
    for name in ("PPG_In_G", "PPG_Ref_G", "PPG_Ref_IR", "PPG_Ref_R"):
        upright = -signals[f"{name}_LPF_10Hz"]
        feet = pulses.feet(upright)
        level = pulses.level(upright, feet) if len(feet) > 1 else np.zeros(samples)
        signals[f"{name}_AC"] = np.round(level, 2)

    ecg = heart.leads(heart.electrodes(person.heart, rhythm, samples, SAMPLING_RATE, rng))[0]
    signals["ECG"] = ecg + noise.disturb(rng, 1, samples, SAMPLING_RATE)[0]
    signals["Pressure_In"] = 200 + 2500 * applied + 20 * pulse.wandering(rng, signals["Time"], 8)
    for name, value in zip(("BP_Sys", "BP_Dia"), person.blood_pressure):
        signals[name] = np.full(samples, round(value + rng.normal(0, 3)))
    signals["SpO2"] = np.round(97.5 + 0.8 * pulse.wandering(rng, signals["Time"], 30))
    return signals


def _blood(
    rng: Generator, artery: pulse.Artery, rhythm: heart.Rhythm, samples: int, disturbance: float
) -> np.ndarray:
    """Pulses at one place, (samples,), about 1 high, with breathing, small movements and some large ones."""
    beats, cycle = rhythm.beats[:-1], np.diff(rhythm.beats)
    size = 1 + 0.06 * pulse.wandering(rng, beats, 3)
    echo = np.exp(0.10 * pulse.wandering(rng, beats, 20) + 0.06 * rng.normal(size=len(beats)))
    blood = pulse.wave(artery, beats, cycle, size, echo, samples, SAMPLING_RATE)
    minute = round(samples / SAMPLING_RATE / 60)
    grip = sum(noise.bursts(rng, samples, SAMPLING_RATE) for _ in range(max(minute, 1)))
    return blood + disturbance * (1 + 4 * grip) * noise.movement(rng, 1, samples, SAMPLING_RATE)[0]


def _signals_csv(signals: dict[str, np.ndarray]) -> str:
    """The CSV as the authors' tables are: a column of row numbers without a name, then SIGNALS."""
    table = np.stack([signals[name] for name in SIGNALS], axis=1)
    row = "%d," + ",".join(f"%.{decimals}f" for decimals in DECIMALS) + "\n"
    numbered = np.column_stack([np.arange(len(table)), table])
    return "," + ",".join(SIGNALS) + "\n" + row * len(table) % tuple(numbered.ravel().tolist())


def _indices_csv(signals: dict[str, np.ndarray]) -> str:
    """The table of pulses: a wrist's pulse and a finger's that begin together, and the type of each."""
    wrist, finger = (signals[f"PPG_{site}_G_AC"] for site in ("In", "Ref"))
    wrist_feet, finger_feet = pulses.feet(wrist), pulses.feet(finger)
    rows = []
    for start, end in pairwise(wrist_feet if len(finger_feet) > 1 else ()):
        nearest = np.abs(finger_feet[:-1] - start).argmin()
        own = finger_feet[nearest], finger_feet[nearest + 1]
        if abs(start - own[0]) <= LATEST and end - start < LONGEST and own[1] - own[0] < LONGEST:
            rows.append((*own, start, end))
    places = np.array(rows, dtype=int).reshape(-1, 4)
    types = [_types(finger, places[:, :2]), _types(wrist, places[:, 2:])]
    lines = (
        f"{number},{','.join(map(str, place))},{in_type},{ref_type}\n"
        for number, (place, ref_type, in_type) in enumerate(zip(places, *types))
    )
    return ",ref_s,ref_e,in_s,in_e,in_t,ref_t\n" + "".join(lines)


def _types(x: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The types of the pulses of x from and to `places` (n, 2)."""
    return pulses.pulse_types(*pulses.pad([x[start:end] for start, end in places]))
