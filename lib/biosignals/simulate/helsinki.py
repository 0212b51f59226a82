"""A simulated Helsinki neonatal EEG data set in the official layout.

The layout is that of Stevenson et al. 2019 (Sci Data 6:190039). Neonatal background is slow and low, in
bursts and flat stretches while in quiet sleep, with delta brushes.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy
from numpy.random import Generator

from biosignals.progress import tqdm
from biosignals.simulate import chbmit, eeg, files

CHANNELS = ("Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2", "F7", "F8", "T3", "T4", "T5", "T6",
            "Fz", "Cz", "Pz")  # fmt: skip
NEWER = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}  # their names in eeg.ELECTRODES
ROWS = [eeg.ELECTRODES.index(NEWER.get(name, name.upper())) for name in CHANNELS]
EXPERTS = {"A": 0.9, "B": 0.8, "C": -0.6}  # how readily each says seizure
DIGITAL = (-32768, 32767)


@dataclass(frozen=True)
class Discharge:
    """A seizure, or waves that could be taken for one: seconds, and how plain it is (0 = doubtful)."""

    start: float
    end: float
    plainness: float


def write(root: str | Path, records: int, seed: int = 0, minutes: float = 2) -> None:
    """Write `eeg1.edf`, ..., and `annotations_2017_A.csv`, `_B`, `_C`: a row per second, 1 = seizure.

    records: number of neonates, about `minutes` each, half of them with seizures. A file has 19 channels
    against a reference ("EEG Fp1-Ref"), an ECG and a respiration channel, 256 Hz, int16, microvolts; some
    have another order. Cells beyond a recording's end are empty. The same seed gives the same bytes. Files
    appear whole, and `SIMULATED.json` last. Raises FileExistsError where `root` is not empty, ValueError for
    fewer than one record or less than one minute.
    """
    root = files.begin(root, records=(records, 1), minutes=(minutes, 1))
    affected = np.random.default_rng([seed, 0]).permutation(records) < (records + 1) // 2
    marks = []
    for neonate in tqdm(range(records), desc="simulating Helsinki", unit="neonate"):
        rng = np.random.default_rng([seed, 1, neonate])
        seconds = round(minutes * 60 * rng.uniform(0.85, 1.15))
        microvolts, discharges = record(rng, seconds, bool(affected[neonate]))
        _write_edf(root / f"eeg{neonate + 1}.edf", rng, microvolts)
        marks.append([_read(rng, readiness, discharges, seconds) for readiness in EXPERTS.values()])

    header = ",".join(str(neonate + 1) for neonate in range(records)) + "\r\n"
    longest = max(len(own[0]) for own in marks)
    for expert, name in enumerate(EXPERTS):
        rows = (
            ",".join(str(own[expert][second]) if second < len(own[expert]) else "" for own in marks) + "\r\n"
            for second in range(longest)
        )
        files.write(root / f"annotations_2017_{name}.csv", header + "".join(rows))
    files.finish(root, records, seed, minutes=minutes)


def record(rng: Generator, seconds: int, affected: bool) -> tuple[np.ndarray, list[Discharge]]:
    """Potentials (CHANNELS, samples), microvolts, float32, against a reference; what could be a seizure."""
    total = np.zeros((len(eeg.ELECTRODES), seconds * eeg.SAMPLING_RATE), np.float32)
    level = np.exp(rng.normal(np.log(38), 0.6))
    _add_background(rng, total, level)
    _add_disturbances(rng, total, level)
    discharges = _add_discharges(rng, total, level) if affected else []
    discharges += _add_doubtful(rng, total, level)

    reference = rng.choice(["FZ", "CZ"])
    against = total[eeg.ELECTRODES.index(reference)].copy()
    return total[ROWS] - np.float32(rng.uniform(0.9, 0.99)) * against, discharges


def _add_background(rng: Generator, total: np.ndarray, level: float) -> None:
    samples, seconds = total.shape[1], total.shape[1] / eeg.SAMPLING_RATE
    modes = eeg.smooth_modes(rng, eeg.positions())
    flatness = rng.choice([0.05, 0.3, 1.0], p=[0.2, 0.4, 0.4])  # of the stretches between bursts
    bursting = 1 / (1 + np.exp(-4 * eeg.wandering(rng, 1, seconds, 2.5)))
    burst = flatness + (1 - flatness) * bursting
    power = rng.normal(2.8, 0.25)
    for few, share, bend, scale in ((modes[:, :6], 0.9, 0.8, 3), (modes[:, :16], 0.6, 1.5, 2)):
        sources = eeg.coloured(
            rng, few.shape[1], samples, lambda f, bend=bend: (f**2 + bend**2) ** (-power / 2)
        )
        gain = share * level * burst * np.exp(0.4 * eeg.wandering(rng, few.shape[1], seconds, scale))
        eeg.add(total, few, sources, gain)

    for at in eeg.moments(rng, rng.uniform(0, 250), bursting[0]):  # delta brushes
        length = rng.uniform(0.8, 2.0)
        slow = np.hanning(round(length * eeg.SAMPLING_RATE))
        fast = np.sin(eeg.course(rng, *rng.uniform(9, 20, 2), length))
        place = eeg.field(rng.choice(["C3", "C4", "T7", "T8", "O1", "O2"]), 0.4)
        eeg.put(total, at, place * level * rng.uniform(0.5, 1.5), slow * (1 + 0.2 * fast))


def _add_disturbances(rng: Generator, total: np.ndarray, level: float) -> None:
    """Noise of the contacts, hum of 50 Hz, muscle, movement, and in some the heart."""
    electrodes, samples = total.shape
    seconds = samples / eeg.SAMPLING_RATE
    contact = np.exp(rng.normal(np.log(0.35), 0.7, electrodes))
    still = np.ones((1, round(seconds * eeg.KNOTS_PER_SECOND) + 1))
    eeg.add(total, np.diag(contact), rng.standard_normal(total.shape, dtype=np.float32), still)
    hum = np.sin(2 * np.pi * 50 * np.arange(samples) / eeg.SAMPLING_RATE)
    polarity = rng.choice([-0.5, 0.5], electrodes)
    total += (contact * polarity)[:, None].astype(np.float32) * hum.astype(np.float32)
    if rng.random() < 0.3:
        eeg.put(total, 0, rng.uniform(0, 0.03, electrodes), chbmit.heartbeats(rng, samples, 0.45))
    swings = eeg.coloured(rng, 3, samples, lambda f: 1 / (1 + (f / 1.5) ** 4))
    fields = np.stack([eeg.field(name, 0.6) for name in rng.choice(eeg.ELECTRODES, 3, replace=False)], axis=1)
    gain = 2 * level * np.maximum(eeg.wandering(rng, 3, seconds, 6) - 1.3, 0)
    eeg.add(total, fields, swings, gain)
    muscle = eeg.coloured(rng, 3, samples, lambda f: 1 / (1 + (20 / np.maximum(f, 0.1)) ** 4))
    eeg.add(total, fields, muscle, np.exp(rng.normal(0, 0.5)) + gain / 4)


def _add_discharges(rng: Generator, total: np.ndarray, level: float) -> list[Discharge]:
    """One or more seizures: rhythmic, slowing, at one place and spreading or wandering to another."""
    seconds = total.shape[1] / eeg.SAMPLING_RATE
    form = str(rng.choice(eeg.FORMS))
    focus = str(rng.choice(["C3", "C4", "T7", "T8", "O1", "O2", "P3", "P4"]))
    second = str(rng.choice(["C3", "C4", "T7", "T8", "O1", "O2", "CZ"]))
    usual, begin, end = np.exp(rng.normal(np.log(1.8), 0.6)), *rng.uniform((1.5, 0.5), (6, 2))
    discharges, at = [], rng.uniform(0.02, 0.4) * seconds
    while at < seconds - 15:
        length = min(np.exp(rng.normal(np.log(50), 0.6)) + 10, seconds - at)
        strength = usual * np.exp(rng.normal(0, 0.2))
        phase = eeg.course(rng, begin, end, length, 0.1)
        along = np.linspace(0, 1, len(phase))
        size = level * strength * eeg.uneven(rng, phase)
        waves = size * np.minimum(1, 8 * along) * np.minimum(1, 15 * (1 - along)) * eeg.wave(form, phase)
        eeg.put(total, at, eeg.field(focus, 0.45), waves * (1 - 0.5 * along))
        eeg.put(total, at, eeg.field(second, 0.5), waves * np.clip(2 * along - 0.6, 0, 1))
        discharges.append(Discharge(at, at + length, float(1.5 * np.log(strength))))
        at += length + rng.uniform(0.3, 3) * 60
    return discharges


def _add_doubtful(rng: Generator, total: np.ndarray, level: float) -> list[Discharge]:
    """Rhythmic runs that are no seizures, as of patting or sucking; rarely an expert takes one for it."""
    seconds = total.shape[1] / eeg.SAMPLING_RATE
    runs = []
    for at in eeg.moments(rng, 12, np.ones(round(seconds * eeg.KNOTS_PER_SECOND))):
        phase = eeg.course(rng, *np.repeat(rng.uniform(0.8, 4), 2), rng.uniform(4, 20))
        shape = eeg.uneven(rng, phase, 0.4) * scipy.signal.windows.tukey(len(phase), 0.5)
        place = eeg.field(rng.choice(eeg.ELECTRODES), rng.uniform(0.1, 0.6))
        eeg.put(total, at, place * level * rng.uniform(0.8, 2.5), shape * eeg.wave("sine", phase))
        runs.append(Discharge(at, at + len(phase) / eeg.SAMPLING_RATE, -3.0))
    return runs


def _read(rng: Generator, readiness: float, discharges: list[Discharge], seconds: int) -> np.ndarray:
    """One expert's marks (seconds,), 0 or 1: the plainer it is the surer it is marked, edges differ."""
    marks = np.zeros(seconds, int)
    for discharge in discharges:
        if rng.random() < 1 / (1 + np.exp(-1.5 * (discharge.plainness + readiness))):
            first = round(discharge.start + rng.normal(1.5, 2.5))
            last = round(discharge.end + rng.normal(-1, 3.5))
            marks[max(first, 0) : max(last, 0)] = 1
    return marks


def _write_edf(path: Path, rng: Generator, microvolts: np.ndarray) -> None:
    channels = [(f"EEG {name}-Ref", values) for name, values in zip(CHANNELS, microvolts)]
    channels.append(("ECG", chbmit.heartbeats(rng, microvolts.shape[1], 0.45)))
    breath = np.sin(eeg.course(rng, *rng.uniform(0.5, 1.0, 2), microvolts.shape[1] / eeg.SAMPLING_RATE))
    channels.append(("Resp", breath * np.exp(rng.normal(np.log(30), 0.5))))
    if rng.random() < 0.2:
        channels = [channels[position] for position in rng.permutation(len(channels))]
    signals = []
    for label, values in channels:
        limit = float(np.ceil(np.abs(values).max() + 1))
        signals.append(chbmit.to_signal(values, label, (-limit, limit), DIGITAL))
    chbmit.write_edf(path, signals)
