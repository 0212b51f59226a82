"""SPH: 25,770 twelve-lead ECGs of 10 to 56 s from 24,666 patients of Shandong Provincial Hospital, at 500 Hz.

Liu et al., A large-scale multi-label 12-lead electrocardiogram database with standardized diagnostic
statements, Sci Data 9:272 (2022); on figshare. `load` reads the official layout, whole or in part.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from biosignals.data import signal_store, waveforms
from biosignals.data.ptbxl import LEADS, OLDEST, check_leads
from biosignals.data.recordings import Recordings

SAMPLING_RATE = 500
LONGEST = 500 * 120  # samples; the longest of the set has 28,000
FIBRILLATION = "50"  # AHA/ACC/HRS statement
FOLDER, METADATA, CODES = "records", "metadata.csv", "code.csv"
UNKNOWN = ("", "nan", "na")
COLUMNS = ("ECG_ID", "AHA_Code", "Patient_ID", "Age", "Sex", "N")
GET_IT = 'get the set with make data SETS="sph"'


def load(
    root: Path | str,
    records: Iterable[str] | None = None,
    leads: Iterable[str] = LEADS,
    cache: Path | str | None = None,
) -> Recordings:
    """The recordings of an SPH folder: int16 (N, leads, longest) at 1000 counts per mV, padded with zeros.

    root: holds metadata.csv, code.csv and records/; without code.csv, any statement is taken as known.
    records: the names wanted ("A00001"; None: all in metadata.csv). leads: some of LEADS, in the order
    wanted. cache: folder of the memory maps (None: the user's own cache folder).

    The table, indexed by record, has `subject` (the patient), `age` in years (NaN where unknown), `sex`
    ("male", "female" or NA), `codes` (AHA/ACC/HRS statements as released: "22;23", "50+346"), bool `AFIB`
    (statement 50), `samples`, `invalid_samples` (filled by straight lines), `flat_leads` (no change for a
    second) and `saturated_leads` (at rest at an extreme beyond 2 mV).

    A single record that cannot be used is left out and listed in `excluded`. Raises FileNotFoundError for a
    missing folder or CSV; ValueError for a missing column, an unknown record or lead.
    """
    root, leads = Path(root), check_leads(leads)
    records = None if records is None else tuple(map(str, records))
    request = signal_store.Request("sph", str(root.resolve()), float(SAMPLING_RATE), leads, records)
    return signal_store.recordings(request, _plan, cache)


def _plan(request: signal_store.Request) -> signal_store.Plan:
    """How to read `request`: the table of the recordings to try, and what is left out from the start."""
    root = Path(request.root)
    before = signal_store.states(request.root, (METADATA, CODES))
    metadata = signal_store.requested_rows(_read_metadata(root), request.records, root / METADATA)
    reasons = _find_faults(metadata, _read_codes(root / CODES))
    excluded = [(record, f"{FOLDER}/{record}", why) for record, why in reasons[reasons != ""].items()]
    metadata = metadata[reasons == ""]
    lengths = metadata["N"].astype(int).to_dict()
    rows = [LEADS.index(lead) for lead in request.channels]
    return signal_store.Plan(
        table=_describe(metadata).assign(file=[f"{FOLDER}/{record}" for record in metadata.index]),
        samples=max(lengths.values(), default=0),
        read=partial(read, rows=rows, lengths=lengths),
        extensions=(".h5",),
        read_before=before,
        excluded=excluded,
    )


def _read_metadata(root: Path | str) -> pd.DataFrame:
    """metadata.csv, indexed by ECG_ID: text as it is, `N` as a number (NaN where it is none).

    FileNotFoundError when folder or file is missing, ValueError for missing columns or repeated records.
    """
    path = Path(root) / METADATA
    table = _read_csv(path, COLUMNS)
    table["ECG_ID"] = table["ECG_ID"].str.removesuffix(".h5")
    if table["ECG_ID"].duplicated().any():
        twice = table.loc[table["ECG_ID"].duplicated(), "ECG_ID"].iloc[0]
        raise ValueError(f"{path} lists record {twice} twice: {GET_IT} again")
    table["N"] = pd.to_numeric(table["N"], errors="coerce")
    return table.set_index("ECG_ID")


def _read_csv(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """A CSV file as text, stripped of blanks; it must have `columns`."""
    options = {"dtype": str, "keep_default_na": False, "encoding": "utf-8-sig", "index_col": False}
    table = signal_store.read_csv(path, columns, GET_IT, **options)
    return table.apply(lambda column: column.str.strip())


def _read_codes(path: Path) -> set[str] | None:
    """The statements that there are, None where no list of them is there."""
    return set(_read_csv(path, ("Code", "Description"))["Code"]) if path.is_file() else None


def _find_faults(metadata: pd.DataFrame, known: set[str] | None) -> pd.Series:
    """Why each record cannot be used, judged by its row alone: str, empty where it can; known: statements."""
    reasons = pd.Series("", index=metadata.index, dtype=object)
    for record, text in metadata["AHA_Code"].items():
        unknown = [code for code in _statements(text) if known is not None and code not in known]
        if unknown:
            reasons[record] = (
                f"unknown AHA code {unknown[0]!r} in {METADATA}: correct it or add it to {CODES}"
            )
    lengths = metadata["N"]
    reasons[~(lengths.between(1, LONGEST) & (lengths % 1 == 0))] = (
        f"N in {METADATA} is not 1 to {LONGEST} samples"
    )
    ages = metadata["Age"]
    possible = ages.str.casefold().isin(UNKNOWN) | pd.to_numeric(ages, errors="coerce").between(0, OLDEST)
    reasons[~possible] = f"Age in {METADATA} is not 0 to {OLDEST}: correct it"
    reasons[metadata["Patient_ID"] == ""] = f"no Patient_ID in {METADATA}: it cannot be split by patient"
    named = [re.fullmatch(r"\w[\w-]*", record, re.ASCII) is not None for record in metadata.index]
    reasons[~np.array(named, dtype=bool)] = f"ECG_ID is no file name ({METADATA}): refused"
    return reasons


def _statements(text: str) -> list[str]:
    """The primary statements of an AHA_Code field, without their modifiers: "50+346;106" is 50 and 106."""
    return [statement.split("+")[0].strip() for statement in text.split(";")]


def _describe(metadata: pd.DataFrame) -> pd.DataFrame:
    """Subject, age, sex, codes and AFIB of each record."""
    return pd.DataFrame(
        {
            "subject": metadata["Patient_ID"],
            "age": pd.to_numeric(metadata["Age"], errors="coerce").astype(float),
            "sex": metadata["Sex"].map({"M": "male", "F": "female"}),
            "codes": metadata["AHA_Code"],
            "AFIB": np.array(
                [FIBRILLATION in _statements(text) for text in metadata["AHA_Code"]], dtype=bool
            ),
        }
    )


def read(stem: str, rows: list[int], lengths: Mapping[str, int]) -> np.ndarray:
    """Leads `rows` of the file `stem`.h5 as int16 (leads, samples) in uV; waveforms.Unreadable when damaged.

    lengths: samples of each record as metadata.csv says.
    """
    record = stem.rpartition("/")[2]
    name, expected = f"{record}.h5", (len(LEADS), lengths[record])
    content = io.BytesIO(waveforms.read_bytes(f"{stem}.h5"))  # HDF5 does not tell damage from a failing disk
    with waveforms.reading(name), h5py.File(content, "r") as file:
        data = own_dataset(file, "ecg")
        if data is None:
            raise waveforms.Unreadable(f"{name} has no dataset ecg of its own: {waveforms.AGAIN}")
        if data.shape != expected or data.dtype.kind != "f":
            found = f"{data.dtype} {data.shape}, expected float16 {expected}"
            raise waveforms.Unreadable(f"{name} holds {found}: {waveforms.AGAIN}")
        millivolts = data[:].astype(np.float32)[rows]  # float16 ends at 65,504 and rounds in every sum
    return waveforms.as_counts(
        np.where(np.isfinite(millivolts), millivolts, np.nan) * waveforms.COUNTS_PER_MILLIVOLT
    )


def own_dataset(file: h5py.File, name: str) -> h5py.Dataset | None:
    """The dataset `name`, None when it is not there or its content lies in another file."""
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        return None
    data = file[name]
    if not isinstance(data, h5py.Dataset) or data.is_virtual or data.external:
        return None
    return data
