"""Tiny data sets in the official layouts, written with wfdb and pandas: what the loaders' tests read."""

from pathlib import Path

import numpy as np
import pandas as pd
import wfdb

from biosignals.data import ptbxl

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
        "age": np.where(number == 1, 300.0, 40.0 + number),
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
