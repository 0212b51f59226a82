"""LUDB: 200 twelve-lead ECGs of 10 s, 500 Hz, with the bounds of every P wave, QRS complex and T wave.

Kalyakulina et al., LUDB: a new open-access validation tool for electrocardiogram delineation algorithms, IEEE
Access 8 (2020); release 1.0.1 on PhysioNet. Cardiologists marked the waves in each lead by itself (`1.i`,
`1.ii`, ..., `1.v6`). The gains in the headers stretch every lead to a span of 1 mV, so that its height is
lost: they are not used, since the stored integers are microvolts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from biosignals.data import annotation_files, signal_store, waveforms
from biosignals.data.ptbxl import LEADS, SUPERCLASSES, check_leads
from biosignals.data.recordings import Recordings
from biosignals.data.waveforms import AGAIN, Unreadable

SAMPLING_RATE, SAMPLES = 500, 5000
FOLDER, TABLE = "data", "ludb.csv"
COLUMNS = (
    "ID", "Sex", "Age",
    "Rhythms", "Electric axis of the heart", "Conduction abnormalities", "Extrasystolies", "Hypertrophies",
    "Cardiac pacing", "Ischemia", "Non-specific repolarization abnormalities", "Other states",
)  # fmt: skip
WAVES = {"p": "P", "N": "QRS", "t": "T"}  # annotation symbol of a wave's peak > its name
OVER_89 = ">89"
# A superclass of PTB-XL, column, how its statements begin. Ischemia whose kind LUDB leaves open ("ischemia/
# scar/supp. NSTEMI") counts as ST/T change, not as infarction. A sinoatrial block is no PTB-XL statement.
SUPERCLASS_OF = (
    ("MI", "Ischemia", ("STEMI", "Scar formation")),
    ("STTC", "Ischemia", ("Ischemia", "Undefined ischemia")),
    ("STTC", "Non-specific repolarization abnormalities", ("Non-specific repolarization abnormalities",)),
    ("CD", "Conduction abnormalities", ("Incomplete", "Complete", "Left anterior", "Left posterior",
                                        "I degree", "II degree", "III degree", "Non-specific")),
    ("HYP", "Hypertrophies", ("Left", "Right")),
)  # fmt: skip
BESIDE_NORMAL = ("Rhythms", "Electric axis of the heart")  # what may be listed of a normal ECG
NORMAL_RHYTHMS = {"sinus rhythm", "sinus bradycardia"}
OLDEST = 120  # years; more is a mistake
GET_IT = 'get the set with make data SETS="ludb"'


def load(
    root: Path | str,
    leads: Iterable[str] = LEADS,
    records: Iterable[str | int] | None = None,
    cache: Path | str | None = None,
) -> Recordings:
    """The recordings of a LUDB folder: int16 (N, leads, 5000) at 1000 counts per mV.

    root: holds ludb.csv and data/. leads: some of LEADS, in the order wanted. records: the ids wanted ("1";
    None: all in ludb.csv). cache: folder of the memory maps (None: the user's own cache folder).

    The table, indexed by record, has `subject` (the record: everybody was recorded once), `age` (90 with
    `over_89` where the file says >89), `sex` ("male" or "female"), bool `AFIB` and `AFLT` (fibrillation or
    flutter among the rhythms), the columns of `superclasses`, the official ones of diagnoses from `Rhythms`
    on, a statement to a line; `samples`, `invalid_samples` (filled by straight lines), `flat_leads` (no
    change for a second) and `saturated_leads` (at rest at an extreme beyond 2 mV).

    A single record that cannot be used is left out and listed in `excluded`. Raises FileNotFoundError for a
    missing folder or CSV; ValueError for a missing column, an unknown record or lead.
    """
    root, leads = Path(root), check_leads(leads)
    records = None if records is None else tuple(map(str, records))
    request = signal_store.Request("ludb", str(root.resolve()), float(SAMPLING_RATE), leads, records)
    return signal_store.recordings(request, _plan, cache)


def _plan(request: signal_store.Request) -> signal_store.Plan:
    """How to read `request`: the table of the recordings to try, and what is left out from the start."""
    root = Path(request.root)
    before = signal_store.states(request.root, (TABLE,))
    table = signal_store.requested_rows(read_table(root), request.records, root / TABLE)
    reasons = _find_faults(table)
    return signal_store.Plan(
        table=_describe(table[reasons == ""]),
        samples=SAMPLES,
        read=partial(read, leads=request.channels),
        extensions=(".hea", ".dat"),
        read_before=before,
        excluded=[(record, f"{FOLDER}/{record}", why) for record, why in reasons[reasons != ""].items()],
    )


def read_table(root: Path | str) -> pd.DataFrame:
    """ludb.csv as text without blanks around it, indexed by ID.

    Raises FileNotFoundError when folder or file is missing, ValueError for missing columns or repeated IDs.
    """
    path = Path(root) / TABLE
    table = signal_store.read_csv(path, COLUMNS, GET_IT, dtype=str, keep_default_na=False)
    table = table.apply(lambda column: column.str.strip())
    if table["ID"].duplicated().any():
        raise ValueError(
            f"{path} lists ID {table.loc[table['ID'].duplicated(), 'ID'].iloc[0]} twice: {GET_IT} again"
        )
    return table.set_index("ID").rename_axis("record")


def _find_faults(table: pd.DataFrame) -> pd.Series:
    """Why each record cannot be used, judged by its row alone: str, empty where it can."""
    reasons = pd.Series("", index=table.index, dtype=object)
    odd = ~(table["Age"].isin(["", OVER_89]) | _years(table).between(0, OLDEST))
    reasons[odd] = "its age " + table["Age"].map(repr) + f" in {TABLE} is not 0 to {OLDEST}: correct it"
    reasons[table["Rhythms"] == ""] = f"no rhythm in {TABLE}: correct it"
    named = [re.fullmatch(r"\d{1,9}", record, re.ASCII) is not None for record in table.index]
    reasons[~np.array(named, dtype=bool)] = f"ID is no number ({TABLE}): refused"
    return reasons


def _years(table: pd.DataFrame) -> pd.Series:
    """Ages as numbers, NaN where they are none."""
    return pd.to_numeric(table["Age"], errors="coerce")


def _describe(table: pd.DataFrame) -> pd.DataFrame:
    """The table of the recordings; `file` says where each is."""
    statements = table["Rhythms"].str.split("\n")
    about = pd.DataFrame(
        {
            "subject": table.index.astype("int64"),
            "age": _years(table).where(table["Age"] != OVER_89, 90),
            "over_89": table["Age"] == OVER_89,
            "sex": table["Sex"].map({"M": "male", "F": "female"}),
            "AFIB": [any(one.strip() == "Atrial fibrillation" for one in own) for own in statements],
            "AFLT": [any(one.startswith("Atrial flutter") for one in own) for own in statements],
            "file": [f"{FOLDER}/{record}" for record in table.index],
        },
        index=table.index,
    )
    return about.join(superclasses(table)).join(table[list(COLUMNS[3:])])


def superclasses(table: pd.DataFrame) -> pd.DataFrame:
    """PTB-XL's superclasses of the diagnoses in ludb.csv: bool (records, 6), by SUPERCLASS_OF.

    NORM: sinus rhythm or sinus bradycardia, with nothing else listed but the electric axis. HYP counts left
    atrial entries, as PTB-XL's LAO/LAE; `HYP_without_LA`, the last column, does not.
    """
    found = pd.DataFrame(False, index=table.index, columns=[*SUPERCLASSES, "HYP_without_LA"])
    for superclass, column, begins in SUPERCLASS_OF:
        found[superclass] |= table[column].map(partial(_has_statement, begins=begins))
    others = table["Hypertrophies"].str.replace(r"(?im)^left atrial.*$", "", regex=True)
    found["HYP_without_LA"] = others.str.strip() != ""
    rhythm = table["Rhythms"].str.strip().str.lower().isin(NORMAL_RHYTHMS)
    found["NORM"] = rhythm & (table[list(COLUMNS[3:])].drop(columns=list(BESIDE_NORMAL)) == "").all(axis=1)
    return found


def _has_statement(statements: str, begins: tuple[str, ...]) -> bool:
    """Whether one of the statements, a line each, begins with one of these words, in either case."""
    starts = tuple(words.lower() for words in begins)
    return any(line.strip().lower().startswith(starts) for line in statements.split("\n"))


def read(stem: str, leads: tuple[str, ...]) -> np.ndarray:
    """The leads of a record, in that order: its integers as they are, int16 (leads, 5000) in uV.

    stem: path without extension. Raises Unreadable (MissingLeads) when the record is damaged or not stored as
    in the release.
    """
    header = waveforms.read_header(f"{stem}.hea")
    found = header.samples, header.sampling_rate
    if header.layout is None or found != (SAMPLES, SAMPLING_RATE):
        raise Unreadable(
            f"header says {found[0]} samples at {found[1]:g} Hz, expected {SAMPLES} at {SAMPLING_RATE} Hz in"
            f" format 16: {AGAIN}"
        )
    rows = waveforms.lead_positions(header.layout.channels, leads)
    folder, slash, _ = stem.rpartition("/")
    return waveforms.read_digital(folder + slash + header.file, header)[list(rows)]


def waves(
    root: Path | str, leads: Iterable[str] = LEADS, records: Iterable[str | int] | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The waves that cardiologists marked, a row for each, and what is left out (record, file, reason).

    leads, records: as of `load`. The table has `record`, `lead`, `wave` ("P", "QRS" or "T") and, in samples,
    `onset`, `peak` and `end`: Int64, onset or end NA where they were not marked. Bounds without a peak
    between them are no wave. Raises FileNotFoundError and ValueError as `load`.
    """
    root, leads = Path(root), check_leads(leads)
    records = None if records is None else tuple(map(str, records))
    listed = signal_store.requested_rows(read_table(root), records, root / TABLE)
    reasons = _find_faults(listed)
    excluded = [(record, f"{FOLDER}/{record}", why) for record, why in reasons[reasons != ""].items()]
    rows = []
    for record in listed.index[reasons == ""]:
        try:
            of_record = [
                (record, lead, *wave)
                for lead in leads
                for wave in _read_waves(root / FOLDER / f"{record}.{lead.lower()}")
            ]
        except Unreadable as error:
            excluded.append((record, f"{FOLDER}/{record}", str(error)))
        else:
            rows += of_record
    table = pd.DataFrame(rows, columns=["record", "lead", "wave", "onset", "peak", "end"])
    return table.astype(dict.fromkeys(("onset", "peak", "end"), "Int64")), signal_store.exclusions(excluded)


def _read_waves(path: Path) -> list[tuple]:
    """The waves of one lead: name, onset, peak and end of each, None where not marked."""
    marks = annotation_files.read(path, last=SAMPLES - 1)
    if unknown := set(marks.symbols) - {"(", ")", *WAVES}:
        raise Unreadable(f"{path.name} has marks of no wave ({' '.join(sorted(unknown))}): {AGAIN}")
    symbols, samples = ["", *marks.symbols, ""], [None, *marks.samples.tolist(), None]
    return [
        (
            WAVES[symbols[i]],
            samples[i - 1] if symbols[i - 1] == "(" else None,
            samples[i],
            samples[i + 1] if symbols[i + 1] == ")" else None,
        )
        for i in range(len(symbols))
        if symbols[i] in WAVES
    ]
