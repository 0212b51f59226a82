"""PPG-BP: finger pulse waves and blood pressure of 219 people, three segments of 2.1 s each at 1000 Hz.

Liang et al., A new, short-recorded photoplethysmogram dataset for blood pressure monitoring in China, Sci
Data 5:180020 (2018); on figshare. `0_subject/N_K.txt` holds segment K of subject N, `PPG-BP dataset.xlsx`
what is known of the subjects; both may lie in a folder below the root, as the archive has it.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from biosignals.data import signal_store, waveforms
from biosignals.data.recordings import Recordings
from biosignals.data.waveforms import AGAIN, Unreadable

SAMPLING_RATE = 1000
SHORTEST, LONGEST = 2100, 42_000  # samples; two of the set's segments have 4,200, all others 2,100
HIGHEST = 4095  # of the 12-bit converter
LARGEST_SEGMENT = 1 << 20  # bytes; the longest of the set has 30 KB
LARGEST_TABLE, MOST_SUBJECTS = 1 << 24, 10_000  # bytes unpacked, rows
SEGMENTS = 3  # of each subject
FOLDER, TABLE = "0_subject", "PPG-BP dataset.xlsx"
STAGES = ("Normal", "Prehypertension", "Stage 1 hypertension", "Stage 2 hypertension")
NUMBERS = {  # column > what it is called here, lowest and highest value that can be
    "Age(year)": ("age", 0, 120),
    "Height(cm)": ("height", 50, 250),
    "Weight(kg)": ("weight", 10, 400),
    "Systolic Blood Pressure(mmHg)": ("systolic", 40, 300),
    "Diastolic Blood Pressure(mmHg)": ("diastolic", 20, 200),
    "Heart Rate(b/m)": ("heart_rate", 20, 250),
    "BMI(kg/m^2)": ("bmi", 5, 100),
}
DISEASES = {
    "Diabetes": "diabetes",
    "cerebral infarction": "cerebral_infarction",
    "cerebrovascular disease": "cerebrovascular_disease",
}
COLUMNS = ("subject_ID", "Sex(M/F)", *NUMBERS, "Hypertension", *DISEASES)
GET_IT = 'get the set with make data SETS="ppg-bp"'


def load(
    root: Path | str, records: Iterable[str] | None = None, cache: Path | str | None = None
) -> Recordings:
    """The segments of a PPG-BP folder: int16 (N, 1, longest), counts of 0 to 4095, padded with zeros.

    records: the segments wanted ("2_1", subject and number; None: all). cache: folder of the memory map
    (None: the user's own cache folder).

    The table, indexed by segment, has `subject`, `segment`, `age`, `sex` ("male" or "female"), `height` (cm),
    `weight` (kg), `systolic` and `diastolic` (mmHg), `heart_rate` (a minute), `bmi`, `hypertension` (one of
    STAGES) and its number `stage` (0 to 3), `diabetes`, `cerebral_infarction` and `cerebrovascular_disease`
    as released (NA where there is none), `samples` and `clipped` (samples at 0 or 4095).

    A segment that cannot be used is left out and listed in `excluded`, as are those that equal a segment of
    somebody else. Raises FileNotFoundError for a missing folder or table, ValueError when it is no such table
    or for an unknown segment.
    """
    folder = _find_folder(root)
    records = None if records is None else tuple(map(str, records))
    request = signal_store.Request("ppg-bp", str(folder.resolve()), float(SAMPLING_RATE), ("PPG",), records)
    found = signal_store.recordings(request, _plan, cache)
    clipped = [
        int(np.isin(signal[0, :samples], (0, HIGHEST)).sum())
        for signal, samples in zip(found.signals, found.table["samples"])
    ]
    of_ecg = ["invalid_samples", "flat_leads", "saturated_leads"]
    table = found.table.drop(columns=of_ecg).assign(clipped=clipped)
    return replace(found, table=table, scale=1.0, unit="count")


def usable(recordings: Recordings, clipped: float = 0.01) -> np.ndarray:
    """Which segments to learn from: bool (N,). A segment that repeats an earlier one of the same person is
    left out, and so is one with a larger share than `clipped` of its samples at the ends of the converter's
    range, unless the person has no other.
    """
    table = recordings.table
    contents = [signal.tobytes() for signal in recordings.signals]
    repeated = pd.Series(contents, index=table.index).duplicated().to_numpy()
    cut_off = (table["clipped"] > clipped * table["samples"]).to_numpy()
    fine = pd.Series(~repeated & ~cut_off, index=table.index)
    has_fine = fine.groupby(table["subject"]).transform("any").to_numpy()
    return fine.to_numpy() | (~has_fine & ~repeated)


def _find_folder(root: Path | str) -> Path:
    """The folder, `root` or one below, that holds the table. Raises FileNotFoundError when there is none."""
    root = Path(root)
    found = sorted(root.rglob(TABLE), key=lambda path: (len(path.parts), path))
    if not found:
        raise FileNotFoundError(f"no {TABLE} in {root} or below: {GET_IT}")
    return found[0].parent


def _plan(request: signal_store.Request) -> signal_store.Plan:
    """How to read `request`: the table of the segments to try, and what is left out from the start."""
    root = Path(request.root)
    before = signal_store.states(request.root, (TABLE,))
    subjects = read_table(root)
    listed = _list_segments(root, subjects)
    before |= signal_store.states(request.root, [f"{file}.txt" for file in listed])
    reasons, lengths = _find_faults(root, listed, _find_faults_of_subjects(subjects))
    files = signal_store.requested_rows(listed, request.records, root / FOLDER)
    reasons, lengths = reasons[files.index], lengths[files.index]
    usable = files[reasons == ""]
    return signal_store.Plan(
        table=_describe(subjects, usable.index).assign(file=usable),
        samples=int(lengths.max()) if len(lengths) else 0,
        read=read,
        extensions=(".txt",),
        read_before=before,
        excluded=[(name, files[name], why) for name, why in reasons[reasons != ""].items()],
    )


def read_table(folder: Path | str) -> pd.DataFrame:
    """What is known of the subjects as released: COLUMNS and a number, indexed by subject_ID as text.

    Raises FileNotFoundError when the table is missing, ValueError when it is damaged, lacks a column or lists
    somebody twice.
    """
    path = Path(folder) / TABLE
    if not path.is_file():
        raise FileNotFoundError(f"{TABLE} is not in {folder}: {GET_IT}")
    with waveforms.reading(path, f"{GET_IT} again"):
        with zipfile.ZipFile(path) as archive:
            if sum(part.file_size for part in archive.infolist()) > LARGEST_TABLE:
                raise ValueError(f"it has more than {LARGEST_TABLE >> 20} MiB when unpacked")
        table = pd.read_excel(path, header=1, nrows=MOST_SUBJECTS, engine="openpyxl").dropna(how="all")
    if missing := [column for column in COLUMNS if column not in table.columns]:
        raise ValueError(f"{path} lacks the column {', '.join(missing)}: {GET_IT} again")
    table.index = pd.Index([str(number).removesuffix(".0") for number in table["subject_ID"]], name="subject")
    if table.index.has_duplicates:
        raise ValueError(
            f"{path} lists subject {table.index[table.index.duplicated()][0]} twice: {GET_IT} again"
        )
    return table


def _list_segments(root: Path, subjects: pd.DataFrame) -> pd.Series:
    """The segments that there are or should be: path below the root without extension, indexed by segment."""
    names = {f"{subject}_{segment}" for subject in subjects.index for segment in range(1, SEGMENTS + 1)}
    names |= {path.stem for path in (root / FOLDER).glob("[!.]*_*.txt")}
    names = sorted(names, key=lambda name: [(len(part), part) for part in name.split("_")])
    return pd.Series(
        [f"{FOLDER}/{name}" for name in names], index=pd.Index(names, name="record"), dtype=object
    )


def _find_faults_of_subjects(subjects: pd.DataFrame) -> dict[str, str]:
    """Why the segments of each subject cannot be used, by the table alone: empty where they can."""
    reasons = pd.Series("", index=subjects.index, dtype=object)
    numbers = subjects[list(NUMBERS)].apply(pd.to_numeric, errors="coerce")
    for column, (_, low, high) in NUMBERS.items():
        odd = ~numbers[column].between(low, high)
        reasons[odd] = f"{column} in {TABLE} is not {low} to {high}: correct it"
    inverted = numbers["Diastolic Blood Pressure(mmHg)"] >= numbers["Systolic Blood Pressure(mmHg)"]
    reasons[inverted] = f"diastolic pressure in {TABLE} is not below the systolic one: correct it"
    reasons[~subjects["Hypertension"].isin(STAGES)] = (
        f"Hypertension in {TABLE} is not one of {', '.join(STAGES)}"
    )
    return reasons.to_dict()


def _find_faults(root: Path, files: pd.Series, of_subject: dict[str, str]) -> tuple[pd.Series, pd.Series]:
    """Why each of the segments `files` cannot be used (empty where it can), and its samples."""
    reasons, lengths = pd.Series("", index=files.index, dtype=object), pd.Series(0, index=files.index)
    owners: dict[bytes, set[str]] = {}  # content > the subjects who have it
    contents: dict[str, bytes] = {}
    for name, file in files.items():
        subject = name.partition("_")[0]
        try:
            if not re.fullmatch(r"\d{1,9}_\d{1,9}", name, re.ASCII):
                raise Unreadable("is not named by the numbers of subject and segment: refused")
            if why := of_subject.get(subject, f"subject {subject} is not in {TABLE}: leave it out"):
                raise Unreadable(why)
            values = read(f"{root}/{file}")
        except Unreadable as error:
            reasons[name] = str(error)
            continue
        lengths[name], contents[name] = values.shape[1], hashlib.sha256(values).digest()
        owners.setdefault(contents[name], set()).add(subject)
    for name, content in contents.items():
        if len(owners[content]) > 1:
            several = " and ".join(sorted(owners[content], key=int))
            reasons[name] = f"is the same for subjects {several}, so that nobody knows whose it is"
    return reasons, lengths


def _describe(subjects: pd.DataFrame, names: pd.Index) -> pd.DataFrame:
    """The table of the segments `names` ("2_1")."""
    numbers = [name.split("_") for name in names]
    own = subjects.loc[[subject for subject, _ in numbers]].set_axis(names)
    about = {"subject": [int(subject) for subject, _ in numbers]}
    about |= {"segment": [int(segment) for _, segment in numbers]}
    about |= {name: pd.to_numeric(own[column]) for column, (name, _, _) in NUMBERS.items()}
    about |= {"sex": own["Sex(M/F)"].map({"Male": "male", "Female": "female"})}
    about |= {"hypertension": own["Hypertension"], "stage": own["Hypertension"].map(STAGES.index)}
    about |= {
        name: own[column].astype(object).where(own[column].notna(), None) for column, name in DISEASES.items()
    }
    return pd.DataFrame(about, index=names)


def read(stem: str) -> np.ndarray:
    """The counts in the file `stem`.txt, each followed by a tab: int16 (1, samples).

    Raises Unreadable when it is missing, cut short or holds anything but whole numbers of 0 to 4095.
    """
    name = f"{stem.rpartition('/')[2]}.txt"
    with waveforms.reading(name):
        content = waveforms.read_bytes(f"{stem}.txt", LARGEST_SEGMENT + 1)
        values = np.array(content.split(), dtype=float)
    if not SHORTEST <= len(values) <= LONGEST:
        raise Unreadable(f"{name} has {len(values)} samples, expected {SHORTEST} or more: {AGAIN}")
    if not ((values >= 0) & (values <= HIGHEST) & (values == np.floor(values))).all():
        raise Unreadable(f"{name} has values that are no whole numbers of 0 to {HIGHEST}: {AGAIN}")
    return values.astype(np.int16)[None]
