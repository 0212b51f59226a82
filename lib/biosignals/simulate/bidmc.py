"""A simulated BIDMC data set in the official layout (Pimentel et al. 2017, IEEE Trans Biomed Eng 64:1914).

Patients in intensive care: ECG, pulse wave at a fingertip and breathing at the same time. Heart and arteries
are the patient's own in every record, so that ECG and pulse wave can both tell who it is.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.random import Generator

from biosignals.progress import tqdm
from biosignals.simulate import files, heart, noise, pulse

SAMPLING_RATE = 125
MOST = 99  # records: their names have two digits
RETURNING, MOST_RETURNS = 7 / 53, 3  # share of records of a subject seen before; how often one comes back
COLUMNS = ("RESP PLETH II V AVR".split(), "RESP II V AVR PLETH".split(), "PLETH RESP II V AVR".split())
WITHOUT_V, WITHOUT_AVR = 4 / 53, 6 / 53  # shares of records
LEADS = {"II": 1, "V": 6, "AVR": 3}  # rows of heart.leads
STEP = 1023  # of the monitor's converter, per unit


def write(root: str | Path, records: int, seed: int = 0, minutes: float = 8) -> None:
    """Write `RECORDS` and `bidmc_csv/` with `bidmc_01_Signals.csv`, `bidmc_01_Fix.txt`, ...: 125 Hz.

    records: up to 99; 53, as released, are of 46 subjects. minutes: length of each. Columns are `Time [s]`,
    then `RESP`, `PLETH`, `II` and mostly `V` and `AVR` in varying order. The same seed gives the same bytes.
    Files appear whole, and `SIMULATED.json` last. Raises FileExistsError where `root` is not empty,
    ValueError for fewer than one or more than 99 records or less than 15 seconds.
    """
    if records > MOST:
        raise ValueError(f"records must be {MOST} at most, got {records}")
    root = files.begin(root, records=(records, 1), minutes=(minutes, 0.25))
    folder = root / "bidmc_csv"
    folder.mkdir()
    subjects = _subjects(np.random.default_rng([seed, 0]), records)
    for position, subject in enumerate(tqdm(subjects, desc="simulating BIDMC", unit="record")):
        rng = np.random.default_rng([seed, 1, position])
        anatomy = np.random.default_rng([seed, 2, int(subject)])
        signals, about = _record(rng, anatomy, round(minutes * 60 * SAMPLING_RATE) + 1)
        names = _columns(rng)
        name = f"bidmc_{position + 1:02d}"
        files.write(folder / f"{name}_Signals.csv", _signals_csv(signals, names))
        files.write(folder / f"{name}_Fix.txt", _fix(name, f"s{1000 + 37 * subject:05d}", about, names))
    files.write(root / "RECORDS", "".join(f"bidmc{position:02d}\n" for position in range(1, records + 1)))
    files.finish(root, records, seed, minutes=minutes)


def _subjects(rng: Generator, records: int) -> np.ndarray:
    """The subject of each record, (records,), from 0; those of one subject follow each other."""
    whole, rest = divmod(round(RETURNING * records), MOST_RETURNS)
    returns = np.array([MOST_RETURNS] * whole + [rest] * (rest > 0), dtype=int)
    counts = np.ones(records - returns.sum(), dtype=int)
    counts[rng.choice(len(counts), len(returns), replace=False)] += returns
    return np.repeat(np.arange(len(counts)), counts)


def _record(rng: Generator, anatomy: Generator, samples: int) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The signals (samples,) of one record and what its text file says; anatomy: the subject's generator."""
    age, male = np.clip(anatomy.normal(66, 14), 25, 89), anatomy.random() < 0.4
    own, artery = heart.healthy(anatomy, age, male), _fingertip(anatomy, age)
    usual_rate, irregular = np.clip(anatomy.normal(88, 13), 58, 125), anatomy.random() < 0.1
    seconds = samples / SAMPLING_RATE
    rate = usual_rate * np.exp(rng.normal(0, 0.05))
    if irregular:
        rhythm = heart.fibrillation(rng, seconds + 1, rate)
    else:
        rhythm = heart.sinus(
            rng, seconds + 1, rate, 0.012 * np.exp(rng.normal(0, 0.4)), rng.choice([0, 0, 0.03])
        )

    times = np.arange(samples) / SAMPLING_RATE
    breaths = rng.uniform(0.2, 0.38) * (1 + 0.05 * pulse.wandering(rng, times, 6))  # Hz
    breath = np.sin(2 * np.pi * np.cumsum(breaths) / SAMPLING_RATE)
    signals = {"RESP": 0.45 + 0.25 * breath + 0.02 * noise.wander(rng, 1, samples, SAMPLING_RATE)[0]}

    potentials = heart.electrodes(own, rhythm, samples, SAMPLING_RATE, rng)
    potentials += noise.disturb(
        rng, len(potentials), samples, SAMPLING_RATE, drift=0.02, hum=0.0, tremor=0.008
    )
    leads = heart.leads(potentials)
    for name, row in LEADS.items():
        signals[name] = 0.4 + 0.7 * leads[row] + 0.02 * breath

    beats, cycle = rhythm.beats[:-1], np.diff(rhythm.beats)
    filling = np.clip(cycle / np.median(cycle), 0.5, 1.3)  # an early beat ejects little
    size = filling * (1 + 0.05 * pulse.wandering(rng, beats, 20) + 0.05 * np.interp(beats, times, breath))
    echo = np.exp(0.12 * pulse.wandering(rng, beats, 30) + 0.05 * rng.normal(size=len(beats)))
    blood = pulse.wave(artery, beats, cycle, size, echo, samples, SAMPLING_RATE)
    blood += 0.05 * breath + 0.05 * noise.wander(rng, 1, samples, SAMPLING_RATE)[0]
    grip = noise.bursts(rng, samples, SAMPLING_RATE) * rng.choice([0, 0.05, 0.3])
    blood += (0.002 + grip) * noise.movement(rng, 1, samples, SAMPLING_RATE)[0]
    signals["PLETH"] = np.clip(0.25 + np.exp(rng.normal(np.log(0.4), 0.25)) * blood, 0, 4)
    return signals, {
        "Age": f"{age:.0f}",
        "Gender": "M" if male else "F",
        "Location": str(rng.choice(["micu", "ccu"])),
    }


def _fingertip(rng: Generator, age: float) -> pulse.Artery:
    """The arteries of a patient in intensive care: narrowed vessels return a small and broad echo."""
    artery = pulse.finger(rng, age)
    return replace(
        artery, echo=0.55 * artery.echo * np.exp(rng.normal(0, 0.3)), echo_rise=1.15 * artery.echo_rise
    )


def _columns(rng: Generator) -> tuple[str, ...]:
    """The columns of a record after the time, in its order."""
    missing = {name for name, share in (("V", WITHOUT_V), ("AVR", WITHOUT_AVR)) if rng.random() < share}
    order = COLUMNS[rng.choice(len(COLUMNS), p=[0.6, 0.25, 0.15])]
    return tuple(name for name in order if name not in missing)


def _signals_csv(signals: dict[str, np.ndarray], names: tuple[str, ...]) -> str:
    table = np.stack([signals[name] for name in names], axis=1)
    times = np.arange(len(table)) / SAMPLING_RATE
    values = np.column_stack([times, np.rint(table * STEP) / STEP])
    row = "%.10g" + ",%.5g" * len(names) + "\n"
    return "Time [s], " + ", ".join(names) + "\n" + row * len(values) % tuple(values.ravel().tolist())


def _fix(name: str, subject: str, about: dict[str, str], names: tuple[str, ...]) -> str:
    """The text file of what does not change during a record."""
    lines = [name, f"Signals: {'; '.join(names)}", f"Signals sampling frequency: {SAMPLING_RATE} Hz"]
    lines += [f"{key}: {value}" for key, value in about.items()]
    return (
        "\n".join([*lines, f"MIMIC II matched wdb ID: {subject}", "MIMIC II data segment: simulated"]) + "\n"
    )
