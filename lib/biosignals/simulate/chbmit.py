"""A simulated CHB-MIT Scalp EEG Database in the official layout (Shoeb 2009; PhysioNet chbmit 1.0.0)."""

from dataclasses import dataclass
from datetime import time
from math import ceil
from pathlib import Path

import numpy as np
from edfio import Edf, EdfSignal, Patient, Recording
from numpy.random import Generator

from biosignals.caching import writing
from biosignals.progress import tqdm
from biosignals.simulate import eeg, files

CHANNELS = (
    "FP1-F7", "F7-T7", "T7-P7", "P7-O1", "FP1-F3", "F3-C3", "C3-P3", "P3-O1", "FP2-F4", "F4-C4", "C4-P4",
    "P4-O2", "FP2-F8", "F8-T8", "T8-P8", "P8-O2", "FZ-CZ", "CZ-PZ", "P7-T7", "T7-FT9", "FT9-FT10", "FT10-T8",
    "T8-P8",
)  # fmt: skip
WITH_DUMMIES = (
    "FP1-F7", "F7-T7", "T7-P7", "P7-O1", "-", "FP1-F3", "F3-C3", "C3-P3", "P3-O1", "-", "FZ-CZ", "CZ-PZ", "-",
    "FP2-F4", "F4-C4", "C4-P4", "P4-O2", "-", "FP2-F8", "F8-T8", "T8-P8", "P8-O2", "-", "P7-T7", "T7-FT9",
    "FT9-FT10", "FT10-T8", "T8-P8",
)  # fmt: skip
WITH_ECG = (*CHANNELS, "ECG")
MONTAGES = {"usual": 0.65, "dummies": 0.1, "changed": 0.15, "with ECG": 0.1}  # share of subjects
PHYSICAL, DIGITAL = (-800.0, 800.0), (-2048, 2047)  # microvolts and counts of the recorder
APART = 120  # seconds between two seizures, at least
SEIZURES_PER_HOUR = 0.5  # beyond the first of each subject


@dataclass(frozen=True)
class Session:
    """One file: where, when (second of the day), how its channels go, and its seizures in seconds."""

    subject: int
    name: str
    clock: int
    channels: tuple[str, ...]
    seizures: tuple[tuple[int, int], ...]


def write(
    root: str | Path, records: int, seed: int = 0, minutes: float = 60, files_per_subject: int = 4
) -> None:
    """Write `chb01/chb01_01.edf`, ..., `chb01/chb01-summary.txt`, `RECORDS`, `RECORDS-WITH-SEIZURES`.

    records: number of EDF files, each of `minutes`; a subject has `files_per_subject` and at least one
    seizure, of which the summary also says near which electrode it begins. Signals are int16 in microvolts,
    256 Hz, mostly the usual 23 bipolar channels; some subjects have dummy channels, another order or an ECG,
    some files change half-way through a subject. The same seed gives the same bytes. Files appear whole, and
    `SIMULATED.json` last. Raises FileExistsError where `root` is not empty, ValueError for fewer than one
    record or file per subject, or less than two minutes.
    """
    least = {"records": (records, 1), "files_per_subject": (files_per_subject, 1), "minutes": (minutes, 2)}
    root, seconds = files.begin(root, **least), round(minutes * 60)
    subjects = [draw_subject(seed, subject) for subject in range(ceil(records / files_per_subject))]
    sessions = plan(subjects, records, seed, seconds, files_per_subject)
    for position, session in enumerate(tqdm(sessions, desc="simulating CHB-MIT", unit="file")):
        folder = root / f"chb{session.subject + 1:02d}"
        folder.mkdir(exist_ok=True)
        rng = np.random.default_rng([seed, 2, position])
        potentials = eeg.record(rng, subjects[session.subject], seconds, session.seizures)
        _write_edf(folder / session.name, rng, potentials, session)

    for subject in range(len(subjects)):
        name = f"chb{subject + 1:02d}"
        own = [session for session in sessions if session.subject == subject]
        timeless = np.random.default_rng([seed, 3, subject]).random() < 0.08
        text = _summary(own, seconds, timeless, subjects[subject].epilepsy.focus)
        files.write(root / name / f"{name}-summary.txt", text)
    info = "".join(f"chb{subject + 1:02d}\t{_who(seed, subject)}\n" for subject in range(len(subjects)))
    files.write(root / "SUBJECT-INFO", "Case\tGender\tAge (years)\n\n" + info)
    listed = [f"{session.name[:5]}/{session.name}\n" for session in sessions]
    files.write(root / "RECORDS", "".join(listed))
    files.write(
        root / "RECORDS-WITH-SEIZURES",
        "".join(f"{session.name}\n" for session in sessions if session.seizures),
    )
    files.finish(root, records, seed, minutes=minutes, files_per_subject=files_per_subject)


# --- who is recorded, when, with which seizures -----------------------------------------------------------


def draw_subject(seed: int, subject: int) -> eeg.Subject:
    """The subject of this number (from 0) of the set of this seed."""
    return eeg.draw_subject(np.random.default_rng([seed, 1, subject]))


def plan(
    subjects: list[eeg.Subject], records: int, seed: int, seconds: int, files_per_subject: int
) -> list[Session]:
    """All files in order, `records` of them: 1 + Poisson(hours / 2) seizures for every subject."""
    sessions = []
    for number, subject in enumerate(subjects):
        rng = np.random.default_rng([seed, 0, number])
        count = min(files_per_subject, records - number * files_per_subject)
        seizures = _draw_seizures(rng, subject, count, seconds)
        montage = str(rng.choice(list(MONTAGES), p=list(MONTAGES.values())))
        clock = int(rng.integers(7 * 3600, 20 * 3600))
        for position in range(count):
            name = f"chb{number + 1:02d}_{position + 1:02d}.edf"
            channels = _channels(montage, later=position >= (count + 1) // 2)
            sessions.append(Session(number, name, clock, channels, tuple(sorted(seizures[position]))))
            clock = (clock + seconds + int(rng.integers(3, 12))) % 86400
    return sessions


def _draw_seizures(rng: Generator, subject: eeg.Subject, count: int, seconds: int) -> list[list]:
    """Start and end of the seizures in each of `count` files; one that fits nowhere is left out."""
    seizures = [[] for _ in range(count)]
    edge = min(60, seconds // 6)
    for _ in range(1 + rng.poisson(count * seconds / 3600 * SEIZURES_PER_HOUR)):
        length = min(round(eeg.draw_duration(rng, subject)), seconds // 2)
        for _ in range(50):
            own = seizures[rng.integers(count)]
            start = int(rng.integers(edge, seconds - edge - length))
            if all(start + length + APART <= other or end + APART <= start for other, end in own):
                own.append((start, start + length))
                break
    return seizures


def _channels(montage: str, later: bool) -> tuple[str, ...]:
    if montage == "dummies" or (montage == "changed" and later):
        return WITH_DUMMIES
    return WITH_ECG if montage == "with ECG" else CHANNELS


# --- files ------------------------------------------------------------------------------------------------


def bipolar(potentials: np.ndarray, channel: str) -> np.ndarray:
    """The channel "FP1-F7" (samples,) of potentials (eeg.ELECTRODES, samples)."""
    first, second = (potentials[eeg.ELECTRODES.index(name)] for name in channel.split("-"))
    return first - second


def _write_edf(path: Path, rng: Generator, potentials: np.ndarray, session: Session) -> None:
    """One EDF file; a dummy channel holds nothing."""
    signals = []
    for channel in session.channels:
        if channel == "-":
            microvolts = np.zeros(potentials.shape[1], np.float32)
        elif channel == "ECG":
            microvolts = heartbeats(rng, potentials.shape[1])
        else:
            microvolts = bipolar(potentials, channel)
        signals.append(to_signal(microvolts, channel, PHYSICAL, DIGITAL))
    write_edf(path, signals, session.clock)


def to_signal(
    microvolts: np.ndarray, label: str, physical: tuple[float, float], digital: tuple[int, int]
) -> EdfSignal:
    """`microvolts` (samples,) as an EDF signal of 256 Hz, rounded to the recorder's steps and limits."""
    step = (physical[1] - physical[0]) / (digital[1] - digital[0])
    counts = np.rint((microvolts - physical[0]) / step + digital[0])
    return EdfSignal.from_digital(
        np.clip(counts, *digital).astype(np.int16), eeg.SAMPLING_RATE, label=label, physical_dimension="uV",
        physical_range=physical, digital_range=digital,
    )  # fmt: skip


def write_edf(path: Path, signals: list[EdfSignal], clock: int = 0) -> None:
    """Write an anonymous EDF file of one-second records, without annotations, whole or not at all."""
    start = time(clock // 3600, clock // 60 % 60, clock % 60)
    file = Edf(signals, patient=Patient(), recording=Recording(), starttime=start, data_record_duration=1)
    with writing(path) as unfinished:
        file.write(unfinished)


def heartbeats(rng: Generator, samples: int, usual: float = 0.7) -> np.ndarray:
    """An ECG channel (samples,) in microvolts: QRS complexes and T waves, `usual` seconds apart."""
    beats = np.cumsum(usual * np.exp(rng.normal(0, 0.06, ceil(samples / eeg.SAMPLING_RATE / usual * 1.5))))
    impulses = np.zeros(samples, np.float32)
    impulses[(beats[beats < samples / eeg.SAMPLING_RATE] * eeg.SAMPLING_RATE).astype(int)] = 1
    moment = np.arange(-0.1, 0.4, 1 / eeg.SAMPLING_RATE)
    shape = 500 * np.exp(-((moment / 0.012) ** 2)) - 150 * np.exp(-(((moment - 0.03) / 0.012) ** 2))
    shape += 90 * np.exp(-(((moment - 0.2) / 0.05) ** 2))
    total = np.convolve(impulses, shape.astype(np.float32), "same")
    return total + rng.normal(0, 6, samples).astype(np.float32)


def _summary(sessions: list[Session], seconds: int, timeless: bool, focus: str) -> str:
    """The text of a subject's summary; some have no times of day, and then no numbers either.

    focus: the electrode near which the seizures begin, in a line of its own that the real summaries lack.
    """
    text = f"Data Sampling Rate: {eeg.SAMPLING_RATE} Hz\n*************************\n\n"
    known = None
    for session in sessions:
        if session.channels != known:
            text += (
                "Channels in EDF Files:\n**********************\n" if known is None else "Channels changed:\n"
            )
            text += "".join(f"Channel {row}: {name}\n" for row, name in enumerate(session.channels, 1)) + "\n"
            known = session.channels
        text += f"File Name: {session.name}\n"
        if not timeless:
            text += f"File Start Time: {_time(session.clock)}\n"
            text += f"File End Time: {_time(session.clock + seconds)}\n"
        text += f"Number of Seizures in File: {len(session.seizures)}\n"
        for number, (start, end) in enumerate(session.seizures, 1):
            name = "Seizure" if len(session.seizures) == 1 or timeless else f"Seizure {number}"
            text += f"{name} Start Time: {start} seconds\n{name} End Time: {end} seconds\n"
            text += f"{name} Onset: {focus}\n"
        text += "\n"
    return text


def _time(second: int) -> str:
    """Clock time; past midnight the real summaries go on counting (24:44:29)."""
    return f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"


def _who(seed: int, subject: int) -> str:
    """Sex and age as SUBJECT-INFO gives them."""
    rng = np.random.default_rng([seed, 4, subject])
    return f"{rng.choice(['F', 'M'], p=[0.75, 0.25])}\t{rng.integers(2, 20)}"
