"""MIT-BIH Atrial Fibrillation Database: 25 ECGs of ten hours, mostly of paroxysmal fibrillation, 250 Hz.

Moody and Mark, A new method for detecting atrial fibrillation using R-R intervals, Computers in Cardiology 10
(1983); on PhysioNet. Every change of rhythm is marked by hand (`04015.atr`), every beat by a program
(`04015.qrs`). `find` reads these alone; signals, which 23 of the 25 have, are for `rhythms.collect`.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from biosignals.data import annotation_files, rhythms, signal_store, waveforms
from biosignals.data.rhythms import RhythmRecording
from biosignals.data.waveforms import AGAIN, Unreadable

LEADS = ("ECG1", "ECG2")
SAMPLING_RATE = 250
WITHOUT_SIGNALS = {"00735", "03665"}  # in the release
GET_IT = 'get the set with make data SETS="afdb"'


def find(root: Path | str) -> tuple[list[RhythmRecording], pd.DataFrame]:
    """The records of an AFDB folder, and what is left out and why (columns record, file, reason).

    Each record is a subject. Before its first mark the rhythm is unknown (""). A record without signals ends
    with its last mark. Left out is a record of which one of the two annotation files is missing or damaged.
    Raises FileNotFoundError without the folder or without records, ValueError when none can be used.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"folder {root} does not exist: {GET_IT}")
    names = {path.stem for path in root.iterdir() if path.suffix in (".atr", ".qrs")}
    names = sorted(name for name in names if re.fullmatch(r"\d{5}", name, re.ASCII))
    if not names:
        raise FileNotFoundError(f"no records 04015.atr and .qrs, ... in {root}: {GET_IT}")
    recordings, excluded = [], []
    for name in names:
        try:
            recordings.append(_open(root / name))
        except Unreadable as error:
            excluded.append((name, name, str(error)))
    signal_store.refuse_nothing(f"recording of afdb in {root}", len(recordings), excluded)
    return recordings, signal_store.exclusions(excluded)


def complete(root: Path | str) -> list[str]:
    """The records below `root` with all files of the release: the signals of all but two."""
    names = {
        end: {path.stem for path in Path(root).glob(f"{5 * '[0-9]'}.{end}")}
        for end in ("atr", "qrs", "dat", "hea")
    }
    signals = names["dat"] & names["hea"] | WITHOUT_SIGNALS
    return sorted(names["atr"] & names["qrs"] & signals)


def _open(stem: Path) -> RhythmRecording:
    """The record whose files are `stem`.atr, .qrs and perhaps .hea and .dat, by its annotations."""
    samples = None
    if stem.with_suffix(".dat").exists():  # the headers of the two records without speak of no signals
        header = waveforms.read_header(f"{stem}.hea")
        _check_rate(f"{stem.name}.hea", header.sampling_rate)
        samples = header.samples or None
    changes, marks = (annotation_files.read(f"{stem}.{extension}", samples) for extension in ("atr", "qrs"))
    for extension, found in (("atr", changes), ("qrs", marks)):
        _check_rate(f"{stem.name}.{extension}", found.sampling_rate or SAMPLING_RATE)
    beats, types = rhythms.beats_of(marks)
    if not len(beats):
        raise Unreadable(f"{stem.name}.qrs marks no beat: {AGAIN}")
    samples = samples or int(max(beats[-1], changes.samples.max(initial=0))) + 1
    episodes = rhythms.episodes_of(changes, SAMPLING_RATE, samples)
    if not any(name for _, _, name in episodes):
        raise Unreadable(f"{stem.name}.atr marks no rhythm: {AGAIN}")
    return RhythmRecording(stem.name, stem.name, stem, float(SAMPLING_RATE), samples, beats, types, episodes)


def _check_rate(file: str, sampling_rate: float) -> None:
    """Unreadable unless `file` is of the set's sampling rate."""
    if sampling_rate != SAMPLING_RATE:
        raise Unreadable(f"{file} is sampled at {sampling_rate:g} Hz, expected {SAMPLING_RATE} Hz: {AGAIN}")
