"""PhysioNet/CinC Challenge 2017: 8,528 hand-held single-lead ECGs (about lead I), 300 Hz, 9 to 61 s.

Clifford et al., AF classification from a short single lead ECG recording, Computing in Cardiology 44 (2017).
The set names no subjects: several recordings may be of one person, so intervals are over recordings.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import pandas as pd

from biosignals.data import signal_store, waveforms
from biosignals.data.recordings import Recordings

LABELS = {"N": "normal", "A": "atrial fibrillation", "O": "other rhythm", "~": "noisy"}
SAMPLING_RATE = 300
LONGEST = 300 * 120  # samples; the longest of the set has 61 s
FOLDER, NESTED = "training2017", "training"  # of the release's archive, and of its files one by one
REFERENCES = ("REFERENCE-v3.csv", f"{FOLDER}/REFERENCE.csv")  # the final labels, and the older ones
SET_ASIDE = "never-read.txt"  # records that a reader keeps for one final test
GET_IT = 'get the set with make data SETS="cinc2017"'


def load(
    root: Path | str, records: Iterable[str] | None = None, cache: Path | str | None = None
) -> Recordings:
    """The recordings of a CinC 2017 folder: int16 (N, 1, longest) at 1000 counts per mV, padded with zeros.

    root: holds training2017/, or training/A00/ and so on, and REFERENCE-v3.csv, the final labels; without
    these, the older ones of training2017/REFERENCE.csv are taken. records: the names wanted ("A00001"; None:
    all that have a label but those that a file never-read.txt in `root` sets aside). cache: folder of the
    memory maps (None: the user's own).

    The table, indexed by record, has `label` (a key of LABELS), `label_file` (where it is from), bool `AFIB`,
    `subject` (all NA: unknown), `samples`, `invalid_samples` (filled by straight lines), `flat_leads` (no
    change for a second) and `saturated_leads` (at rest at an extreme beyond 2 mV).

    A single record that cannot be used is left out and listed in `excluded`. Raises FileNotFoundError for a
    missing folder or list of labels; ValueError when it is none or lacks a wanted record.
    """
    root = Path(root)
    records = None if records is None else tuple(map(str, records))
    request = signal_store.Request("cinc2017", str(root.resolve()), float(SAMPLING_RATE), ("I",), records)
    return signal_store.recordings(request, _plan, cache)


def _plan(request: signal_store.Request) -> signal_store.Plan:
    """How to read `request`: the table of the recordings to try, and what is left out from the start."""
    root = Path(request.root)
    before = signal_store.states(request.root, (*REFERENCES, SET_ASIDE))
    file = _reference(root)
    labels = read_reference(root)
    if request.records is None:
        labels = labels.drop(read_set_aside(root), errors="ignore")
    labels = signal_store.requested_rows(labels, request.records, root / file)
    headers = [f"{place(root, record)}.hea" for record in labels.index if waveforms.is_inside(record)]
    before |= signal_store.states(request.root, headers)
    reasons, lengths = _find_faults(root, labels, Path(file).name)
    labels = labels[reasons == ""]
    return signal_store.Plan(
        table=pd.DataFrame(
            {
                "subject": pd.array([pd.NA] * len(labels), dtype="Int64"),
                "label": labels,
                "label_file": Path(file).name,
                "AFIB": labels == "A",
                "file": [place(root, record) for record in labels.index],
            }
        ),
        samples=int(lengths[reasons == ""].max()) if len(labels) else 0,
        read=partial(waveforms.read, channels=("ECG",), sampling_rate=SAMPLING_RATE),
        extensions=(".hea", ".mat"),
        read_before=before,
        excluded=[(record, place(root, record), why) for record, why in reasons[reasons != ""].items()],
    )


def place(root: Path | str, record: str) -> str:
    """Where a record is, or should be: path below the root, without extension."""
    nested = not os.path.isdir(f"{root}/{FOLDER}") and os.path.isdir(f"{root}/{NESTED}")
    return f"{NESTED}/{record[:3]}/{record}" if nested else f"{FOLDER}/{record}"


def _reference(root: Path | str) -> str:
    """The list of labels to read: the final one, or the older one where that is missing."""
    final, older = REFERENCES
    return final if (Path(root) / final).is_file() else older


def read_reference(root: Path | str) -> pd.Series:
    """The label of each recording, the final one where REFERENCE-v3.csv is there; indexed by record.

    Raises FileNotFoundError when folder or file is missing, ValueError when it is no list of records with
    labels.
    """
    path = Path(root) / _reference(root)
    columns = ["record", "label"]
    options = {"header": None, "names": columns, "dtype": str, "keep_default_na": False}
    table = signal_store.read_csv(path, columns, GET_IT, **options)
    if table.empty or (table == "").any(axis=None) or table["record"].duplicated().any():
        raise ValueError(f"{path} is not a list of different records with one label each: {GET_IT} again")
    return table.set_index("record")["label"]


def complete(root: Path | str) -> list[str]:
    """The recordings with a label whose files are there; raises as `read_reference`."""
    records = read_reference(root).index.to_series()
    return signal_store.complete(root, records.map(partial(place, root)), (".hea", ".mat"))


def read_set_aside(root: Path | str) -> list[str]:
    """The records that never-read.txt keeps for a final test: none where there is no such file."""
    path = Path(root) / SET_ASIDE
    return path.read_text().split() if path.is_file() else []


def _find_faults(root: Path, labels: pd.Series, file: str) -> tuple[pd.Series, pd.Series]:
    """Why each record cannot be used (empty where it can) and its samples; file: where labels are from."""
    reasons, lengths = pd.Series("", index=labels.index, dtype=object), pd.Series(0, index=labels.index)
    for record, label in labels.items():
        try:
            if label not in LABELS:
                raise waveforms.Unreadable(f"unknown label {label!r} in {file}: expected {' '.join(LABELS)}")
            if not waveforms.is_inside(record) or "/" in record:
                raise waveforms.Unreadable(f"record name is no file name ({file}): refused")
            lengths[record] = waveforms.read_header(f"{root}/{place(root, record)}.hea").samples
            if not 1 <= lengths[record] <= LONGEST:
                raise waveforms.Unreadable(f"{lengths[record]} samples long, expected 1 to {LONGEST}")
        except waveforms.Unreadable as error:
            reasons[record] = str(error)
    return reasons, lengths
