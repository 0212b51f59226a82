"""BIDMC: ECG, pulse wave and respiration of 46 patients in intensive care, 53 records of 8 minutes at 125 Hz.

Pimentel et al., Toward a robust estimation of respiratory rate from pulse oximeters, IEEE Trans Biomed Eng 64
(2017); on PhysioNet. `load` reads the official layout, whole or in part: bidmc_csv/bidmc_01_Signals.csv with
the columns `Time [s], RESP, PLETH, V, AVR, II`, in any order and some of them missing, and bidmc_01_Fix.txt,
which names the subject.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from biosignals.data import signal_store, waveforms
from biosignals.data.recordings import Recordings
from biosignals.data.waveforms import AGAIN, Unreadable

SAMPLING_RATE = 125
FOLDER, TIME = "bidmc_csv", "Time [s]"
LONGEST = 125 * 3600  # samples; the set's records have 60,001
SECONDS = 480  # of a released record
SUBJECT = re.compile(r"^MIMIC II matched wdb ID:\s*(\w+)\s*$", re.MULTILINE)
GET_IT = 'get the set with make data SETS="bidmc"'


def load(
    root: Path | str,
    channels: Iterable[str] = ("II", "PLETH"),
    records: Iterable[str] | None = None,
    cache: Path | str | None = None,
) -> Recordings:
    """The records of a BIDMC folder: int16 (N, channels, longest), 1000 counts per mV.

    root: holds bidmc_csv/. channels: in the order wanted; ECG leads are in mV, PLETH and RESP in units of
    their own (about 0 to 1), at 1000 counts too. records: the names wanted ("bidmc01"; None: all). cache:
    folder of the memory maps (None: the user's own cache folder).

    The table, indexed by record, has `subject` (of MIMIC II; several records can be of one), `samples`,
    `invalid_samples` (filled by straight lines), `flat_leads` (no change for a second) and `saturated_leads`.

    A single record that cannot be used is left out and listed in `excluded`. Raises FileNotFoundError for a
    missing folder, ValueError for an unknown record, or when most records lack a channel.
    """
    root, channels = Path(root), tuple(channels)
    if not channels or len(set(channels)) < len(channels):
        raise ValueError(f"channels must be named, each once; not {channels}")
    records = None if records is None else tuple(map(str, records))
    request = signal_store.Request("bidmc", str(root.resolve()), float(SAMPLING_RATE), channels, records)
    return signal_store.recordings(request, _plan, cache)


def _plan(request: signal_store.Request) -> signal_store.Plan:
    """How to read `request`: the table of the records to try, and what is left out from the start."""
    root = Path(request.root)
    files = signal_store.requested_rows(find(root), request.records, root / FOLDER)
    texts = [f"{file.removesuffix('_Signals')}_Fix.txt" for file in files]
    before = signal_store.states(request.root, [*texts, *(f"{file}.csv" for file in files)])
    subjects, lengths, excluded = {}, {}, []
    for (record, file), text in zip(files.items(), texts):
        try:
            subjects[record] = _read_subject(root / text)
            lengths[record] = _count_rows(root / f"{file}.csv")
        except Unreadable as error:
            excluded.append((record, file, str(error)))
    files = files[list(lengths)]
    usual = max(Counter(lengths.values()).items(), key=lambda item: item[::-1], default=(0, 0))[0]
    return signal_store.Plan(
        table=pd.DataFrame({"subject": [subjects[record] for record in files.index], "file": files}),
        samples=min(max(lengths.values(), default=0), LONGEST),
        read=partial(read, channels=request.channels, shortest=usual),
        extensions=(".csv",),
        read_before=before,
        excluded=excluded,
    )


def find(root: Path | str) -> pd.Series:
    """The files of signals, as paths below the root without extension, indexed by record ("bidmc01").

    Raises FileNotFoundError when the folder is missing or holds none.
    """
    folder = Path(root) / FOLDER
    if not folder.is_dir():
        raise FileNotFoundError(f"folder {folder} does not exist: {GET_IT}")
    numbers = sorted(path.name[6:8] for path in folder.glob("bidmc_[0-9][0-9]_Signals.csv"))
    if not numbers:
        raise FileNotFoundError(f"no bidmc_01_Signals.csv, ... in {folder}: {GET_IT}")
    files = {f"bidmc{number}": f"{FOLDER}/bidmc_{number}_Signals" for number in numbers}
    return pd.Series(files, dtype=object).rename_axis("record")


def complete(root: Path | str) -> list[str]:
    """The records below `root` that go on to the end of the released ones, as "bidmc01".

    Raises what `load` raises for a missing or empty folder.
    """
    ends = {record: _last_time(Path(root, f"{file}.csv")) for record, file in find(root).items()}
    return [record for record, end in ends.items() if end > SECONDS - 1]


def _last_time(path: Path) -> float:
    """The time in the last row of a file of signals, in seconds; 0 where there is none."""
    with waveforms.reading(path), open(path, "rb") as file:
        file.seek(max(path.stat().st_size - 200, 0))
        last = file.read().decode("latin-1").split()[-1:]
    try:
        return float(last[0].split(",")[0])
    except (IndexError, ValueError):
        return 0.0


def _read_subject(path: Path) -> str:
    """The MIMIC II subject that bidmc_NN_Fix.txt names; Unreadable when it names none."""
    with waveforms.reading(path):
        match = SUBJECT.search(path.read_text("latin-1"))
    if not match:
        raise Unreadable(f"{path.name} names no MIMIC II subject, so it cannot be split by subject: {AGAIN}")
    return match[1]


def _count_rows(path: Path) -> int:
    """The lines of a text file after the first, but for empty ones. Raises as `waveforms.reading`."""
    with waveforms.reading(path), open(path, encoding="latin-1") as file:
        return max(sum(not line.isspace() for line in file) - 1, 0)


def read(stem: str, channels: tuple[str, ...], shortest: int) -> np.ndarray:
    """Columns `channels` of the file `stem`.csv as int16 (channels, samples), 1000 counts per unit.

    shortest: rows that a whole file has. Raises Unreadable when it has fewer, is damaged, was sampled at
    another rate or with gaps, waveforms.MissingLeads when it lacks a channel; StorageError as
    `waveforms.reading`.
    """
    path = Path(f"{stem}.csv")
    with waveforms.reading(path):
        header = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False)
        time, *leads = header.iloc[0].str.strip()
        if time != TIME:
            raise Unreadable(f"{path.name} has {time!r} in its first column, expected {TIME}: {AGAIN}")
        columns = [0, *(1 + position for position in waveforms.lead_positions(tuple(leads), channels))]
        table = pd.read_csv(path, header=None, skiprows=1, usecols=columns, dtype=float, nrows=LONGEST + 1)
        if not max(shortest, 2) <= len(table) <= LONGEST:
            raise Unreadable(
                f"{path.name} has {len(table)} samples, expected {shortest}, as most records have: {AGAIN}"
            )
        times, *values = table[columns].to_numpy().T
        waveforms.check_times(times, SAMPLING_RATE)
        millivolts = np.where(np.isfinite(values), values, np.nan)
        return waveforms.as_counts(millivolts * waveforms.COUNTS_PER_MILLIVOLT)
