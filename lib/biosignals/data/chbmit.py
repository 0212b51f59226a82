"""CHB-MIT: scalp EEG of children with epilepsy, 23 cases of 22 patients and one more, 256 Hz, hours long.

Shoeb, Application of machine learning to epileptic seizure onset detection and treatment, MIT (2009).
Case chb21 is the patient of chb01, a year and a half later: both are one subject here.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from biosignals.data import eeg, signal_store
from biosignals.data.recordings import Recordings
from biosignals.data.waveforms import Unreadable, reading
from biosignals.signals.eeg_features import ar2

CHANNELS = (
    "FP1-F7", "F7-T7", "T7-P7", "P7-O1", "FP1-F3", "F3-C3", "C3-P3", "P3-O1", "FP2-F4", "F4-C4",
    "C4-P4", "P4-O2", "FP2-F8", "F8-T8", "T8-P8", "P8-O2", "FZ-CZ", "CZ-PZ", "P7-T7", "T7-FT9", "FT9-FT10",
    "FT10-T8", "T8-P8-1",
)  # fmt: skip
# Of the 676 listed files, 645 have all of these.
# T7 and T8 lie just above the ears, P7 and P8 behind them: of the pairs recorded, the nearest to the two
# electrodes of a headband or behind-the-ear device on each side.
BEHIND_THE_EAR = ("T7-P7", "T8-P8")
SAMPLING_RATE = 256
PATIENT = {"chb21": "chb01"}  # case > the case that is the same patient
# The AR(2) features of a recording: each of the samples before AR2_FIRST, AR2_FIRST + AR2_STEP, ...
AR2_SAMPLES, AR2_STEP, AR2_FIRST = 501, 500, 1500
LARGEST_FEATURES = 1 << 28  # bytes unpacked; 33 hours take 12 MB
GET_IT = 'get the set with make data SETS="chb-mit"'
LARGEST_SUMMARY = 1 << 20  # bytes; the longest of the set has 10 KB
TIME = re.compile(r"File (Start|End) Time:\s*([\d:]+)")
COUNT = re.compile(r"Number of Seizures in File:\s*(\d{1,4})")
SEIZURE = re.compile(r"Seizure\s*\d*\s*(Start|End) Time:\s*(\d{1,6})\s*seconds?")
ONSET = re.compile(r"Seizure\s*\d*\s*Onset:\s*([A-Za-z]{1,2}\d{0,2})\b")  # of simulated seizures only


class Listed(NamedTuple):
    """What a summary says of one file.

    start, end: time of day as written ("13:43:04"; hours may pass 23), None where not given. sampling_rate:
    Hz. seizures: (start, end) of each, seconds. fault: what does not fit, empty where all does. onsets: the
    electrode near which each seizure begins, as simulated summaries say; empty where that is not said of all.
    """

    start: str | None
    end: str | None
    sampling_rate: float
    seizures: eeg.Seizures
    fault: str = ""
    onsets: tuple[str, ...] = ()


def read_summary(path: Path | str) -> dict[str, Listed]:
    """What a summary (chb01-summary.txt) says of each EDF file, by file name.

    Raises FileNotFoundError when it is missing, ValueError when it is no summary. A file whose seizures do
    not fit the number given for it stays, with its fault.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: {GET_IT}")
    if path.stat().st_size > LARGEST_SUMMARY:
        raise ValueError(f"{path} is too large to be a summary: {GET_IT} again")
    with reading(path, f"{GET_IT} again"):
        text = path.read_text("latin-1")
    head, *parts = re.split(r"^File Name:", text, flags=re.MULTILINE)
    rate = re.search(r"Data Sampling Rate:\s*(\d{1,6})\s*Hz", head)
    if rate is None or not parts:
        raise ValueError(f"{path} is no summary with a sampling rate and file names: {GET_IT} again")
    listed = {}
    for part in parts:
        name, _, rest = part.strip().partition("\n")
        name, entry = name.strip(), _parse_file(rest, float(rate[1]))
        if name in listed:
            entry = entry._replace(fault="is listed twice")
        listed[name] = entry
    return listed


def _parse_file(text: str, sampling_rate: float) -> Listed:
    """What the lines that follow a file name say of that file."""
    times = dict(TIME.findall(text))
    count = COUNT.search(text)
    marks = [(kind, float(second)) for kind, second in SEIZURE.findall(text)]
    starts, ends = ([second for kind, second in marks if kind == wanted] for wanted in ("Start", "End"))
    fault = ""
    if count is None:
        fault = "has no number of seizures"
    elif not int(count[1]) == len(starts) == len(ends):
        fault = f"is listed with {count[1]} seizures, but {len(starts)} starts and {len(ends)} ends"
    elif any(end <= start for start, end in zip(starts, ends)):
        fault = "has a seizure that ends before it starts"
    onsets = tuple(ONSET.findall(text))
    onsets = onsets if len(onsets) == len(starts) else ()
    seizures = tuple(zip(starts, ends))
    return Listed(times.get("Start"), times.get("End"), sampling_rate, seizures, fault, onsets)


def read_summaries(root: Path | str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What the summaries of a CHB-MIT folder say, whether their EDF files are there or not: files, seizures.

    Files have `case`, `file` and `seconds`, from the times of day (NaN where they are not given, as for
    chb24); seizures `case`, `file`, `start` and `end` in seconds, and `onset`, the electrode near which it
    begins, "" where the summary does not say it, as none of a real patient does. Files with a fault are left
    out. Raises FileNotFoundError without any summary, ValueError as `read_summary`.
    """
    files, seizures = [], []
    paths = sorted(Path(root).glob("chb[0-9][0-9]/chb[0-9][0-9]-summary.txt"))
    if not paths:
        raise FileNotFoundError(f"no chb01/chb01-summary.txt ... in {root}: {GET_IT}")
    for path in paths:
        for name, listed in read_summary(path).items():
            if not listed.fault:
                files.append((path.parent.name, name, _seconds_between(listed.start, listed.end)))
                onsets = listed.onsets or ("",) * len(listed.seizures)
                seizures += [
                    (path.parent.name, name, *times, onset)
                    for times, onset in zip(listed.seizures, onsets, strict=True)
                ]
    return (
        pd.DataFrame(files, columns=["case", "file", "seconds"]),
        pd.DataFrame(seizures, columns=["case", "file", "start", "end", "onset"]),
    )


def _seconds_between(start: str | None, end: str | None) -> float:
    """Seconds from one time of day to the next, NaN where one is not given; hours may pass 23."""
    if start is None or end is None or not all(re.fullmatch(r"\d+:\d+:\d+", t) for t in (start, end)):
        return np.nan
    first, last = (
        sum(int(part) * unit for part, unit in zip(t.split(":"), (3600, 60, 1))) for t in (start, end)
    )
    return float((last - first) % 86_400)


def find(
    root: Path | str, records: Iterable[str] | None = None
) -> tuple[list[eeg.EegRecording], pd.DataFrame]:
    """The recordings of a CHB-MIT folder, and what is left out and why (columns record, file, reason).

    root: holds chb01/ and so on, each with its summary and EDF files. records: the names wanted ("chb01_03";
    None: all). Left out is a recording without one of
    CHANNELS, a file that is listed but not there or the other way round, that cannot be read, or that does
    not fit its summary. Raises FileNotFoundError when the folder or all cases are missing, ValueError when no
    recording is left.
    """
    root = Path(root)
    cases = [folder.name for folder in sorted(root.glob("chb[0-9][0-9]")) if folder.is_dir()]
    if not cases:
        raise FileNotFoundError(f"no folder chb01 to chb24 in {root}: {GET_IT}")
    recordings, excluded = [], []
    for case in cases:
        some, problems = _find_case(root, case, records)
        recordings += some
        excluded += problems
    return eeg.usable("chb-mit", root, recordings, excluded)


def _find_case(
    root: Path, case: str, records: Iterable[str] | None
) -> tuple[list[eeg.EegRecording], list[tuple]]:
    """The recordings of one case, and (record, file, reason) of those left out."""
    recordings, excluded = [], []
    files = {path.name: path for path in (root / case).glob("[!.]*.edf")}
    if records is not None:
        files = {name: path for name, path in files.items() if path.stem in records}
    try:
        listed = read_summary(root / case / f"{case}-summary.txt")
    except (FileNotFoundError, ValueError) as error:
        return [], [(Path(name).stem, f"{case}/{name}", str(error)) for name in sorted(files)]
    names = files.keys() | listed.keys() if records is None else files.keys()
    for name in sorted(names):
        try:
            recordings.append(_open_listed(case, name, files.get(name), listed.get(name)))
        except Unreadable as error:
            excluded.append((Path(name).stem, f"{case}/{name}", str(error)))
    return recordings, excluded


def _open_listed(case: str, name: str, path: Path | None, listed: Listed | None) -> eeg.EegRecording:
    """The recording in EDF file `path`, as its case's summary lists it; Unreadable when it cannot be used."""
    if path is None:
        raise Unreadable(f"is listed in {case}-summary.txt but not there: {GET_IT}")
    if listed is None:
        raise Unreadable(
            f"is not listed in {case}-summary.txt, so that its seizures are unknown: leave it out"
        )
    if listed.fault:
        raise Unreadable(f"{name} {listed.fault} in {case}-summary.txt: {GET_IT} again")
    subject = PATIENT.get(case, case)
    return eeg.open_recording(path, subject, path.stem, CHANNELS, listed.sampling_rate, listed.seizures)


def find_seizure_excerpts(root: Path | str) -> tuple[list[eeg.EegRecording], pd.DataFrame]:
    """Whole seizures in `excerpts/*_seizure.edf`, each a recording that is one seizure from start to end.

    Second value as that of `find`. Raises FileNotFoundError without such files, ValueError when none can be
    used.
    """
    root = Path(root)
    paths = sorted((root / "excerpts").glob("chb[0-9][0-9]*_seizure.edf"))
    if not paths:
        raise FileNotFoundError(f"no file chb*_seizure.edf in {root / 'excerpts'}: only the excerpt has them")
    recordings, excluded = [], []
    for path in paths:
        case = path.name[:5]
        try:
            whole = eeg.open_recording(path, PATIENT.get(case, case), path.stem, CHANNELS, SAMPLING_RATE)
        except Unreadable as error:
            excluded.append((path.stem, f"excerpts/{path.name}", str(error)))
        else:
            recordings.append(replace(whole, seizures=((0.0, whole.seconds),)))
    return eeg.usable("chb-mit", root, recordings, excluded)


def load_windows(root: Path | str) -> Recordings:
    """The ten-second windows in excerpts/windows.npz: float32 (19, 23, 2560), uV, as recorded.

    The table has a row per window: `subject`, `recording`, bool `seizure`, `samples`; indexed by recording
    and kind. A recording that stands twice with the same kind is the second time its continuation
    ("chb02_16+"). Raises FileNotFoundError when the file is missing, ValueError when it does not hold such
    windows.
    """
    path = Path(root) / "excerpts/windows.npz"
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: only the excerpt has it")
    with reading(path, "take the excerpt again"):
        with np.load(path, allow_pickle=False) as file:
            signals, seizure = file["X"], file["seizure"].astype(bool)
            subjects, names, rate = file["subject"].astype(str), file["record"].astype(str), float(file["fs"])
            channels = eeg.channel_names(file["channels"].astype(str))
        if signals.dtype != np.float32 or signals.ndim != 3 or not np.isfinite(signals).all():
            raise ValueError(f"signals are {signals.dtype} {signals.shape}")
        if [name.casefold() for name in CHANNELS] != channels or rate != SAMPLING_RATE:
            raise ValueError(f"{len(channels)} channels at {rate:g} Hz, expected the 23 usual ones at 256 Hz")
        table = pd.DataFrame({"subject": subjects, "recording": names, "seizure": seizure})
        if len(table) != len(signals):
            raise ValueError(f"{len(table)} labels for {len(signals)} windows")
    table["subject"] = table["subject"].replace(PATIENT)
    table["recording"] += np.where(table.duplicated(["recording", "seizure"]), "+", "")
    kind = np.where(seizure, "seizure", "background")
    table.index = pd.Index(table["recording"] + "@" + kind, name="window")
    table["samples"] = signals.shape[-1]
    return Recordings("chb-mit", signals, 1.0, "uV", float(SAMPLING_RATE), CHANNELS, table)


@dataclass(frozen=True)
class Ar2Recording:
    """One recording as AR(2) features: a vector each 1.953 s.

    subject, name, seizures: as of an `eeg.EegRecording`. features: float32 (n, 23, 2), for each of CHANNELS
    a2 and a1 of `eeg_features.ar2`, in microvolts without a filter.
    """

    subject: str
    name: str
    features: np.ndarray
    seizures: eeg.Seizures = ()

    @property
    def times(self) -> np.ndarray:
        """When each vector is known, (n,), in seconds: where the 501 samples that it is made of end."""
        return (AR2_FIRST + AR2_STEP * np.arange(len(self.features))) / SAMPLING_RATE


def load_ar2(root: Path | str) -> tuple[list[Ar2Recording], pd.DataFrame]:
    """AR(2) features of recordings, and what is left out and why (columns record, file, reason).

    They are read from features/chbNN_ar2.npz where the folder holds such files, as the excerpt does, with the
    seizures of the case's summary; else they are computed from the EDF files. Raises FileNotFoundError and
    ValueError as `find`, also for a file of features that is none.
    """
    root = Path(root)
    paths = sorted((root / "features").glob("chb[0-9][0-9]_ar2.npz"))
    if not paths:
        recordings, left_out = find(root)
        found, excluded = [], list(left_out.itertuples(index=False, name=None))
        for recording in recordings:
            try:
                found.append(compute_ar2(recording))
            except Unreadable as error:
                excluded.append((recording.name, f"{recording.name}.edf", str(error)))
    else:
        parts = [_read_ar2(path, root) for path in paths]
        found = [recording for some, _ in parts for recording in some]
        excluded = [fault for _, faults in parts for fault in faults]
    signal_store.refuse_nothing(f"features of chb-mit in {root}", len(found), excluded)
    return found, signal_store.exclusions(excluded)


def compute_ar2(recording: eeg.EegRecording) -> Ar2Recording:
    """The AR(2) features of a recording of CHANNELS at 256 Hz, read a few minutes at a time.

    Raises Unreadable for one that is shorter than the first stretch, and what `eeg.read` raises.
    """
    ends = np.arange(AR2_FIRST, recording.samples + 1, AR2_STEP)
    if not len(ends):
        raise Unreadable(f"{recording.path} lasts {recording.seconds:g} s, too short for AR(2) features")
    features = []
    for some in np.array_split(ends, -(-len(ends) // eeg.BATCH)):
        start = some[0] - AR2_SAMPLES
        stretch = eeg.read(recording, int(start), int(some[-1]))
        cut = np.lib.stride_tricks.sliding_window_view(stretch, AR2_SAMPLES, axis=-1)[:, ::AR2_STEP]
        features.append(ar2(cut).swapaxes(0, 1).astype(np.float32))
    return Ar2Recording(recording.subject, recording.name, np.concatenate(features), recording.seizures)


def _read_ar2(path: Path, root: Path) -> tuple[list[Ar2Recording], list[tuple]]:
    """The recordings in one file of features, and (record, file, reason) of those left out."""
    case = path.name[:5]
    listed = read_summary(root / case / f"{case}-summary.txt")
    found, excluded = [], []
    with reading(path, "take the excerpt again"):
        with zipfile.ZipFile(path) as archive:
            if sum(part.file_size for part in archive.infolist()) > LARGEST_FEATURES:
                raise ValueError(f"it has more than {LARGEST_FEATURES >> 20} MiB when unpacked")
        with np.load(path, allow_pickle=False) as file:
            for name in sorted(file.files):
                try:
                    found.append(_check_ar2(name, file, listed.get(f"{name}.edf"), case))
                except Unreadable as error:
                    excluded.append((name, f"features/{path.name}", str(error)))
    return found, excluded


def _check_ar2(name: str, file: np.lib.npyio.NpzFile, listed: Listed | None, case: str) -> Ar2Recording:
    """The features `name` of `file`, as far as the case's summary says what recording they are of."""
    if listed is None:
        raise Unreadable(
            f"{name} is no recording of {case}-summary.txt, so its seizures are unknown: leave it out"
        )
    if listed.fault:
        raise Unreadable(f"{name} {listed.fault} in {case}-summary.txt: {GET_IT} again")
    with reading(name):
        features = file[name]
    fits = features.ndim == 3 and features.shape[1:] == (len(CHANNELS), 2) and features.size
    if features.dtype != np.float32 or not fits:
        raise Unreadable(
            f"{name} is {features.dtype} {features.shape}, expected float32 (n, {len(CHANNELS)}, 2)"
        )
    if not np.isfinite(features).all():
        raise Unreadable(f"{name} has features that are no finite numbers")
    recording = Ar2Recording(PATIENT.get(case, case), name, features, listed.seizures)
    late = [end for _, end in recording.seizures if end > recording.times[-1]]
    if late:
        raise Unreadable(
            f"{name} ends at {recording.times[-1]:.0f} s, before a seizure that lasts until {late[0]:g} s"
        )
    return recording
