"""Tiny data sets in the official layouts, written with wfdb and pandas: what the loaders' tests read."""

from pathlib import Path

import numpy as np
import pandas as pd
import wfdb

from biosignals.data import ludb, ptbxl

SCP_CODES = [
    "{'NORM': 100.0, 'SR': 0.0}",
    "{'IMI': 35.0, 'AFIB': 0.0}",
    "{'LVH': 100.0, 'CRBBB': 100.0}",
    "{'SR': 0.0}",
]
STATEMENTS = {
    "NORM": "NORM",
    "IMI": "MI",
    "NDT": "STTC",
    "CRBBB": "CD",
    "LVH": "HYP",
    "AFIB": None,
    "SR": None,
}


def noise(seed: int, leads: int, samples: int) -> np.ndarray:
    """Counts int16 (samples, leads), none of them flat."""
    return np.random.default_rng(seed).integers(-900, 900, (samples, leads)).astype(np.int16)


def write_record(
    path: Path, counts: np.ndarray, sampling_rate: float, names, gain=1000.0, baseline=0, fmt="16"
) -> None:
    """One WFDB record from counts (samples, leads)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    leads = counts.shape[1]
    wfdb.wrsamp(
        path.name,
        fs=sampling_rate,
        units=["mV"] * leads,
        sig_name=list(names),
        d_signal=counts.astype(np.int64),
        fmt=[fmt] * leads,
        adc_gain=[float(value) for value in np.broadcast_to(gain, leads)],
        baseline=[int(value) for value in np.broadcast_to(baseline, leads)],
        write_dir=str(path.parent),
    )


def ptbxl_database(records: int) -> pd.DataFrame:
    """A table like ptbxl_database.csv: two records a patient, patients in folds 1, 2, ... 10, 1, ..."""
    number = np.arange(records)
    names = [f"{i // 1000 * 1000:05d}/{i:05d}" for i in number + 1]
    columns = dict.fromkeys([*ptbxl.NUMBER_COLUMNS, *ptbxl.TEXT_COLUMNS], np.nan)
    columns |= dict.fromkeys(ptbxl.BOOL_COLUMNS, True)
    columns |= {
        "patient_id": 700.0 + number // 2,
        "age": np.where(number == 1, 300.0, 40.0 + number % 50),
        "sex": number % 2,
        "report": 'sinus rhythm, normal "ecg"\nsecond line',
        "scp_codes": [SCP_CODES[i % len(SCP_CODES)] for i in number],
        "strat_fold": number // 2 % 10 + 1,
        "filename_lr": [f"records100/{name}_lr" for name in names],
        "filename_hr": [f"records500/{name}_hr" for name in names],
    }
    return pd.DataFrame(columns, index=pd.Index(number + 1, name="ecg_id"))


def write_ptbxl(root: Path, records: int = 6, sampling_rate: int = 100, names=ptbxl.LEADS) -> pd.DataFrame:
    """A PTB-XL folder whose record i holds noise(i); returns its database."""
    database = ptbxl_database(records)
    root.mkdir(parents=True, exist_ok=True)
    database.to_csv(root / ptbxl.DATABASE)
    statements = pd.DataFrame(
        {"description": "", "diagnostic_class": pd.Series(STATEMENTS), "form": np.nan, "rhythm": np.nan}
    )
    statements.assign(diagnostic=statements["diagnostic_class"].notna().map({True: 1.0})).to_csv(
        root / ptbxl.STATEMENTS
    )
    for record, file in database[ptbxl.FILE_COLUMN[sampling_rate]].items():
        write_record(root / file, noise(record, len(names), 10 * sampling_rate), sampling_rate, names)
    return database


def write_mat(path: Path, counts: np.ndarray, sampling_rate: int = 300) -> None:
    """A CinC 2017 record: a MATLAB 4 file, and a WFDB header that skips the file's first 24 bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = np.array([30, 1, len(counts), 0, 4], dtype="<i4").tobytes() + b"val\0"
    path.with_suffix(".mat").write_bytes(head + counts.astype("<i2").tobytes())
    path.with_suffix(".hea").write_bytes(
        f"{path.name} 1 {sampling_rate} {len(counts)} 05:05:15 1/05/2014 \r\n"
        f"{path.name}.mat 16+24 1000/mV 16 0 {counts[0]} 0 0 ECG \r\n".encode()
    )


def write_cinc2017(root: Path, lengths=(3000, 2700, 4000, 3000), labels="NAO~") -> list[str]:
    """A CinC 2017 folder whose record i holds noise(i); returns the records' names."""
    names = [f"A{i:05d}" for i in range(1, len(lengths) + 1)]
    for i, (name, length) in enumerate(zip(names, lengths, strict=True)):
        write_mat(root / "training2017" / name, noise(i, 1, length)[:, 0])
    reference = "".join(f"{name},{label}\n" for name, label in zip(names, labels, strict=True))
    (root / "training2017" / "REFERENCE.csv").write_text(reference)
    return names


def write_annotations(path: Path, samples, symbols, notes=None, sampling_rate: float | None = None) -> None:
    """A WFDB annotation file; wfdb writes none whose extension holds a number, as LUDB's "v1" does."""
    wfdb.wrann(
        path.stem,
        "letters",
        np.asarray(samples),
        list(symbols),
        aux_note=notes and list(notes),
        fs=sampling_rate,
        write_dir=str(path.parent),
    )
    path.with_suffix(".letters").rename(path)


LUDB_LEADS = "i ii iii avr avl avf v1 v2 v3 v4 v5 v6".split()
LUDB_ROWS = {  # record > sex, age, rhythms, hypertrophies, as ludb.csv has them
    "1": ("F\n", "51\n", "Sinus bradycardia", "Left ventricular overload\nLeft ventricular hypertrophy"),
    "2": ("M\n", ">89\n", "Atrial fibrillation\nAberrant conduction", ""),
    "3": ("M\n", "53\n", "Atrial flutter, typical", ""),
}
LUDB_MARKS = ([100, 120, 140, 160, 180, 210, 300, 350, 400, 4999], "(p)(N)(t)N")


def write_ludb(root: Path) -> None:
    """A LUDB folder of three whole records: record i holds noise(i), its marks are LUDB_MARKS in each lead."""
    (root / "data").mkdir(parents=True)
    table = pd.DataFrame("", index=LUDB_ROWS, columns=ludb.COLUMNS[1:]).rename_axis("ID")
    for record, (sex, age, rhythms, hypertrophies) in LUDB_ROWS.items():
        table.loc[record, ["Sex", "Age", "Rhythms", "Hypertrophies"]] = sex, age, rhythms, hypertrophies
        counts = noise(int(record), 12, 5000)
        write_record(root / "data" / record, counts, 500, LUDB_LEADS, np.ptp(counts.astype(float), 0), 6)
        for lead in LUDB_LEADS:
            write_annotations(root / f"data/{record}.{lead}", *LUDB_MARKS, sampling_rate=500)
    table.to_csv(root / "ludb.csv")


def write_cpsc2021(folder: Path, name: str, samples: int, changes=(), diagnosis="non") -> None:
    """One CPSC 2021 record of noise: a beat each 150 samples from 30 on; changes: sample > note."""
    folder.mkdir(parents=True, exist_ok=True)
    gain, baseline = 30383.487698624056, -3411
    write_record(folder / name, noise(samples, 2, samples), 200, ("I", "II"), gain, baseline)
    with open(folder / f"{name}.hea", "a") as header:
        header.write(f"# {diagnosis} atrial fibrillation\n")
    marks = [(sample, "N", "") for sample in range(30, samples, 150)]
    marks += [(sample, "+", note) for sample, note in dict(changes).items()]
    write_annotations(folder / f"{name}.atr", *zip(*sorted(marks)))


def write_afdb(root: Path, name: str, beats, changes) -> None:
    """One AFDB record without signals; beats: samples; changes: sample > note."""
    root.mkdir(parents=True, exist_ok=True)
    write_annotations(root / f"{name}.qrs", beats, "N" * len(beats), sampling_rate=250)
    write_annotations(root / f"{name}.atr", list(changes), "+" * len(changes), list(changes.values()), 250)


PPGBP_ROW = {  # of a healthy subject, in the release's columns
    "Sex(M/F)": "Female", "Age(year)": 45, "Height(cm)": 152, "Weight(kg)": 63,
    "Systolic Blood Pressure(mmHg)": 118, "Diastolic Blood Pressure(mmHg)": 76, "Heart Rate(b/m)": 97,
    "BMI(kg/m^2)": 27.268005540166204, "Hypertension": "Normal", "Diabetes": None,
    "cerebral infarction": None, "cerebrovascular disease": None,
}  # fmt: skip


def write_ppgbp(root: Path, subjects: dict[int, dict], samples: int = 2100) -> None:
    """A PPG-BP folder: of each subject three segments of noise, and a row that differs from PPGBP_ROW."""
    (root / "0_subject").mkdir(parents=True, exist_ok=True)
    rows = [
        {"Num.": i, "subject_ID": subject} | PPGBP_ROW | own
        for i, (subject, own) in enumerate(subjects.items(), 1)
    ]
    with pd.ExcelWriter(root / "PPG-BP dataset.xlsx", engine="openpyxl") as book:
        pd.DataFrame(rows).to_excel(book, index=False, startrow=1)
    for subject in subjects:
        for segment in (1, 2, 3):
            write_segment(root, f"{subject}_{segment}", ppgbp_counts(subject, segment, samples))


def ppgbp_counts(subject: int, segment: int, samples: int = 2100) -> np.ndarray:
    """The counts that write_ppgbp gives a segment, int64 (samples,)."""
    return np.random.default_rng([subject, segment]).integers(1500, 2500, samples)


def write_segment(root: Path, name: str, counts) -> None:
    """One segment in PPG-BP's text format."""
    (root / "0_subject" / f"{name}.txt").write_text("".join(f"{count:.1f}\t" for count in counts))
