"""CPSC 2021: Holter ECGs of people with and without atrial fibrillation, leads I and II, 200 Hz.

1,436 records of 105 patients, of various lengths, with every beat and every onset and end of fibrillation
or flutter. Wang et al., Paroxysmal atrial fibrillation events detection from dynamic ECG
recordings: the 4th China Physiological Signal Challenge 2021, PhysioNet (2021). The patient is the first
number of a record's name, data_P_N.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pandas as pd

from biosignals.data import annotation_files, rhythms, signal_store, waveforms
from biosignals.data.recordings import Recordings
from biosignals.data.rhythms import RhythmRecording
from biosignals.data.waveforms import AGAIN, Unreadable

LEADS = ("I", "II")
SAMPLING_RATE = 200
DIAGNOSES = tuple(f"{kind} atrial fibrillation" for kind in ("non", "paroxysmal", "persistent"))
NAME = re.compile(r"data_(\d{1,4})_(\d{1,4})", re.ASCII)
GET_IT = 'get the set with make data SETS="cpsc2021"'


def load(
    root: Path | str,
    seconds: float = 10,
    step: float = 10,
    leads: Iterable[str] = ("I",),
    records: Iterable[str] | None = None,
    cache: Path | str | None = None,
) -> Recordings:
    """Windows of all records: int16 (n, leads, samples) at 1000 counts per mV, as recorded.

    Windows of `seconds` each `step` seconds; leads: some of LEADS; records: the names wanted ("data_0_2";
    None: all). See `rhythms.collect` for the table and `find` for what is left out and for the errors; raises
    ValueError, too, for an unknown record or lead.
    """
    leads = tuple(leads)
    if not leads or not set(leads) <= set(LEADS) or len(set(leads)) < len(leads):
        raise ValueError(f"leads must be some of {', '.join(LEADS)}, each once; not {leads}")
    recordings, excluded = find(root)
    if records is not None:
        wanted = set(records)
        if unknown := wanted - {one.name for one in recordings} - set(excluded["record"]):
            raise ValueError(
                f"{root} lacks {len(unknown)} records asked for: {', '.join(sorted(unknown)[:5])}"
            )
        recordings = [one for one in recordings if one.name in wanted]
        excluded = excluded[excluded["record"].isin(wanted)]
        signal_store.refuse_nothing(
            f"recording of cpsc2021 in {root}", len(recordings), list(excluded.itertuples(index=False))
        )
    collected = rhythms.collect("cpsc2021", recordings, seconds, step, leads, cache)
    return replace(collected, excluded=pd.concat([excluded, collected.excluded], ignore_index=True))


def find(root: Path | str) -> tuple[list[RhythmRecording], pd.DataFrame]:
    """The records data_P_N in `root` or below, and what is left out (columns record, file, reason).

    The rhythm is "N" before the first mark. A record that lacks one of its files or is damaged is left out,
    and so is one whose header and annotations contradict each other. Raises FileNotFoundError without the
    folder or without records, ValueError when none can be used.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"folder {root} does not exist: {GET_IT}")
    stems = {path.with_suffix("") for path in root.rglob("data_*") if NAME.fullmatch(path.stem)}
    if not stems:
        raise FileNotFoundError(f"no records data_0_1, ... in {root} or below: {GET_IT}")
    found, excluded = {}, []
    for stem in sorted(stems, key=lambda stem: (*map(int, stem.name.split("_")[1:]), stem)):
        if stem.name in found:
            why = "a record of this name is in another folder, too: keep one of them"
            excluded.append((stem.name, str(stem.relative_to(root)), why))
            continue
        try:
            found[stem.name] = _open(stem)
        except Unreadable as error:
            excluded.append((stem.name, str(stem.relative_to(root)), str(error)))
    signal_store.refuse_nothing(f"recording of cpsc2021 in {root}", len(found), excluded)
    return list(found.values()), signal_store.exclusions(excluded)


def _open(stem: Path) -> RhythmRecording:
    """The record whose files are `stem`.hea, .dat and .atr, by header and annotations."""
    header = waveforms.read_header(f"{stem}.hea")
    if header.sampling_rate != SAMPLING_RATE or not header.samples:
        found = f"{header.samples} samples at {header.sampling_rate:g} Hz"
        raise Unreadable(f"{stem.name}.hea says {found}, expected some at {SAMPLING_RATE} Hz: {AGAIN}")
    marks = annotation_files.read(f"{stem}.atr", last=header.samples)
    episodes = rhythms.episodes_of(marks, SAMPLING_RATE, header.samples, first="N")
    diagnosis = next((comment for comment in header.comments if comment in DIAGNOSES), "")
    marked = {name for _, _, name in episodes} & {"AFIB", "AFL"}
    if diagnosis == DIAGNOSES[0] and marked:
        raise Unreadable(
            f"its header says {diagnosis}, its annotations mark {' and '.join(sorted(marked))}: leave it out"
        )
    return RhythmRecording(
        NAME.fullmatch(stem.name)[1], stem.name, stem, float(SAMPLING_RATE), header.samples,
        *rhythms.beats_of(marks), episodes, diagnosis,
    )  # fmt: skip
