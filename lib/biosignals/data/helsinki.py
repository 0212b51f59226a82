"""Helsinki: EEG of 79 neonates, 19 channels, 256 Hz, about 74 minutes each; seizures marked by three experts.

Stevenson et al., A dataset of neonatal EEG recordings with seizure annotations, Scientific Data 6 (2019).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from biosignals.data import edf, eeg
from biosignals.data.channel_names import channel_names
from biosignals.data.recordings import Recordings
from biosignals.data.waveforms import Unreadable, reading
from biosignals.signals.beats import r_peaks
from biosignals.signals.rhythm import RATE, prepare
from biosignals.signals.windows import runs

CHANNELS = (
    "Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2", "F7", "F8", "T3", "T4", "T5", "T6",
    "Fz", "Cz", "Pz",
)  # fmt: skip
SAMPLING_RATE = 256
EXPERTS = ("A", "B", "C")
GET_IT = 'get the set with make data SETS="helsinki"'
SMALLEST = 5_000_000  # bytes of a released recording; their average is ten times that
LONGEST = 7 * 24 * 3600  # seconds annotated; a file with more is damaged


def annotations(root: Path | str) -> dict[str, pd.DataFrame]:
    """What each expert says: expert > float (seconds, neonates), 1 for a second of seizure, else 0.

    Columns are the neonates' numbers; NaN after a neonate's last second. Read from annotations_2017_A.csv, _B
    and _C, and from annotations_2017_A_fixed.csv, as the release calls a list that was mended, where it is.
    Raises FileNotFoundError when one is missing, ValueError when one is no such table or they name
    other neonates.
    """
    tables = {expert: _read_annotations(_annotated_by(expert, Path(root))) for expert in EXPERTS}
    first = tables["A"]
    for expert, table in tables.items():
        if set(table.columns) != set(first.columns):
            raise ValueError(
                f"annotations_2017_{expert}.csv and annotations_2017_A.csv in {root} name other neonates: "
                f"{GET_IT} again"
            )
    return tables


def _annotated_by(expert: str, root: Path) -> Path:
    fixed = root / f"annotations_2017_{expert}_fixed.csv"
    return fixed if fixed.is_file() else root / f"annotations_2017_{expert}.csv"


def _read_annotations(path: Path) -> pd.DataFrame:
    """One expert's annotations: float (seconds, neonates)."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: {GET_IT}")
    with reading(path, f"{GET_IT} again"):
        table = pd.read_csv(path, dtype=float, nrows=LONGEST + 1, skip_blank_lines=False)
        table.columns = [int(name) for name in table.columns]
    known = table.notna().to_numpy()
    one_each = table.columns.is_unique and isinstance(
        table.index, pd.RangeIndex
    )  # no cells beyond the header
    if table.empty or len(table) > LONGEST or not one_each or min(table.columns) < 1:
        raise ValueError(f"{path} has not a column for each of different neonates: {GET_IT} again")
    if not table.isin([0, 1]).to_numpy()[known].all() or (known[1:] & ~known[:-1]).any():
        raise ValueError(
            f"{path} has seconds that are neither 0 nor 1, or missing between others: {GET_IT} again"
        )
    return table


def find(
    root: Path | str, records: Iterable[str] | None = None
) -> tuple[list[eeg.EegRecording], pd.DataFrame]:
    """The recordings eegN.edf of a Helsinki folder, and what is left out (columns record, file, reason).

    records: the names wanted ("eeg5"; None: all). Each neonate is a subject ("eeg5"). `seizures` are those of
    the majority: two of three experts or more. A recording ends where its annotations end; one whose
    annotations end more than a second early, or not with it at all, is left out, and so is one that cannot be
    read or has no annotations.
    Raises FileNotFoundError when folder or annotations are missing, ValueError when no recording is left.
    """
    root = Path(root)
    votes = _majority(annotations(root))
    recordings, excluded = [], []
    paths = {int(path.stem[3:]): path for path in root.glob("eeg*.edf") if path.stem[3:].isdecimal()}
    for number in sorted(paths.keys() | set(votes.columns[votes.notna().any()])):
        name = f"eeg{number}"
        if records is not None and name not in records:
            continue
        try:
            own = votes.get(number, pd.Series(dtype=float))
            recordings.append(_open_annotated(paths.get(number), name, own))
        except Unreadable as error:
            excluded.append((name, f"{name}.edf", str(error)))
    return eeg.usable("helsinki", root, recordings, excluded)


def complete(root: Path | str) -> list[str]:
    """The recordings below `root` that are as large as released ones, as "eeg5"; no excerpts of them."""
    files = [path for path in Path(root).glob("eeg*.edf") if path.stat().st_size > SMALLEST]
    return sorted(path.stem for path in files if path.stem[3:].isdecimal())


def _open_annotated(path: Path | None, name: str, votes: pd.Series) -> eeg.EegRecording:
    """The recording in `path` as far as it is annotated; votes: a value per second, NaN after the last."""
    if path is None:
        raise Unreadable(f"is annotated but not there: {GET_IT}")
    annotated = int(votes.notna().sum())
    if not annotated:
        raise Unreadable(f"{path} has no annotations: leave it out")
    seizures = runs(votes.to_numpy() == 1)
    recording = eeg.open_recording(path, name, name, CHANNELS, SAMPLING_RATE, seizures)
    if annotated < recording.seconds - 1:
        raise Unreadable(
            f"{path} lasts {recording.seconds:g} s, but its annotations end after {annotated} s: "
            f"{GET_IT} again"
        )
    return replace(recording, samples=min(recording.samples, annotated * SAMPLING_RATE))


def _majority(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Where two experts or more see a seizure: float (seconds, neonates), NaN where one says nothing."""
    seconds = max(len(table) for table in tables.values())
    columns = sorted(tables["A"].columns)
    stack = np.stack([table.reindex(range(seconds))[columns].to_numpy() for table in tables.values()])
    votes = np.where(np.isnan(stack).any(axis=0), np.nan, stack.sum(axis=0) >= 2)
    return pd.DataFrame(votes, columns=columns)


def load(
    root: Path | str,
    seconds: float = 10,
    step: float = 10,
    sampling_rate: float = 64,
    cache: Path | str | None = None,
    records: Iterable[str] | None = None,
) -> Recordings:
    """Windows of all neonates: int16 (n, 19, samples) in units of 0.2 uV against the recording's reference.

    records: of these only ("eeg5"). Windows last `seconds`, start each `step` seconds and are resampled to
    `sampling_rate`; see eeg.collect for this, for `cache` and for the errors. The table has `subject`,
    `recording`, `start` (s), bool `seizure` (it overlaps one of the majority), `samples`, and the share of
    the window's seconds that are seizure to each expert, `A`, `B` and `C`, and to the `majority`.
    """
    recordings, excluded = find(root, records)
    collected = eeg.collect("helsinki", recordings, seconds, step, sampling_rate, cache=cache)
    tables = annotations(root)
    tables["majority"] = _majority(tables)
    neonates = [int(name.removeprefix("eeg")) for name in collected.table["recording"]]
    shares = {
        name: [
            _share(table[neonate], start, seconds)
            for neonate, start in zip(neonates, collected.table["start"])
        ]
        for name, table in tables.items()
    }
    return replace(
        collected,
        table=collected.table.assign(**shares),
        excluded=pd.concat([excluded, collected.excluded], ignore_index=True),
    )


def _share(values: pd.Series, start: float, seconds: float) -> float:
    """Mean of the seconds that a window from `start` touches; values: one per second."""
    return float(values.to_numpy()[int(start) : int(np.ceil(start + seconds))].mean())


def heart_rates(root: Path | str, windows: Recordings, around: float = 12) -> np.ndarray:
    """What the ECG beside the EEG says at each window of `load`: median interval between beats, its scatter
    (median distance from the median) and RMSSD, all in seconds: float32 (windows, 3).

    root: the set's folder. around: seconds about the middle of each window whose beats count. Zeros where
    there are fewer than three, and for a neonate without a usable ECG.
    """
    table = windows.table
    seconds = windows.signals.shape[-1] / windows.sampling_rate
    found = np.zeros((len(table), 3), dtype=np.float32)
    for name in table["recording"].unique():
        own = np.flatnonzero(table["recording"] == name)
        times = _beats(Path(root) / f"{name}.edf")
        middles = table["start"].to_numpy()[own] + seconds / 2
        for row, middle in zip(own, middles):
            intervals = np.diff(times[np.abs(times - middle) <= around / 2])
            if len(intervals) >= 2:
                scatter = np.median(np.abs(intervals - np.median(intervals)))
                found[row] = np.median(intervals), scatter, np.sqrt(np.mean(np.diff(intervals) ** 2))
    return found


def _beats(path: Path) -> np.ndarray:
    """When the R peaks of a recording's ECG are, (n,) seconds; none without a usable ECG."""
    try:
        recording = eeg.open_recording(path, path.stem, path.stem, _ecg_channels(path), SAMPLING_RATE)
        x = eeg.read(recording, 0, recording.samples)[0]
    except Unreadable:
        return np.empty(0)
    return r_peaks(prepare(x, SAMPLING_RATE), RATE, "neurokit") / RATE


def _ecg_channels(path: Path) -> list[str]:
    """The channel with the ECG, whose name varies ("ECG", "ECG EKG-Ref"); none where there is none."""
    with reading(path):
        names = channel_names(signal.label for signal in edf.open_file(path).signals)
    return [name for name in names if name.startswith(("ecg", "ekg"))][:1]


def average_reference(x: np.ndarray) -> np.ndarray:
    """Each channel against the mean of all, so that the reference drops out: x (..., channels, samples)."""
    return x - x.mean(axis=-2, keepdims=True)
