"""A simulated SPH database in the official layout (Liu et al. 2022, Sci Data 9:272)."""

import io
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from numpy.random import Generator

from biosignals.progress import tqdm
from biosignals.simulate import files, heart, noise

SAMPLING_RATE = 500
FIBRILLATION_SHARE, FEWEST_FIBRILLATING = 0.035, 4
RETURNING = 0.045  # share of records of a patient who was there before

CODES = {  # AHA/ACC/HRS statements and modifiers that occur here
    "1": "Normal ECG", "21": "Sinus tachycardia", "22": "Sinus bradycardia", "23": "Sinus arrhythmia",
    "30": "Atrial premature complex(es)", "50": "Atrial fibrillation", "51": "Atrial flutter",
    "60": "Ventricular premature complex(es)", "101": "Left anterior fascicular block",
    "104": "Left bundle-branch block", "105": "Incomplete right bundle-branch block",
    "106": "Right bundle-branch block", "142": "Left ventricular hypertrophy",
    "147": "T-wave abnormality", "161": "Inferior MI", "346": "With a rapid ventricular response",
}  # fmt: skip
# Of the records without fibrillation.
RHYTHMS = {"1": 0.635, "22": 0.16, "21": 0.05, "23": 0.075, "30": 0.03, "60": 0.04, "51": 0.01}
DISEASES = {"147": "NDT", "105": "IRBBB", "106": "CRBBB", "142": "LVH", "101": "LAFB", "104": "CLBBB",
            "161": "IMI"}  # fmt: skip
DISEASE_SHARE = 0.3  # of the records that would be normal but for it


def write(root: str | Path, records: int, seed: int = 0) -> None:
    """Write `metadata.csv`, `code.csv` and `records/A00001.h5`, ...: float16 (12, N) in mV, 500 Hz, 10-56 s.

    About 3.5 % of the records are of fibrillation, four at least if there are eight records. The same seed
    gives the same recordings. Files appear whole, and `SIMULATED.json` last. Raises FileExistsError where
    `root` is not empty, ValueError for fewer than one record.
    """
    root = files.begin(root, records=(records, 1))
    (root / "records").mkdir()
    people = _draw_records(np.random.default_rng([seed, 0]), records)
    codes, lengths = [], []
    for position, person in enumerate(tqdm(people.to_dict("records"), desc="simulating SPH", unit="record")):
        rng = np.random.default_rng([seed, 1, position])
        anatomy = np.random.default_rng([seed, 2, int(person["Patient_ID"][1:])])
        millivolts, found = _record(rng, anatomy, person)
        files.write(root / "records" / f"{person['ECG_ID']}.h5", _hdf5(millivolts))
        codes.append(found)
        lengths.append(millivolts.shape[1])
    metadata = people.assign(AHA_Code=codes, N=lengths)
    columns = ["ECG_ID", "AHA_Code", "Patient_ID", "Age", "Sex", "N", "Date"]
    files.write(root / "metadata.csv", metadata[columns].to_csv(index=False))
    files.write(
        root / "code.csv", pd.DataFrame(CODES.items(), columns=["Code", "Description"]).to_csv(index=False)
    )
    files.finish(root, records, seed)


def _draw_records(rng: Generator, records: int) -> pd.DataFrame:
    """One row per recording: name, patient, age, sex, date, and whether it is of fibrillation."""
    new = rng.random(records) > RETURNING
    if records > 3:
        new[-1] = False  # somebody comes back even in a small set
    new[0] = True
    patient = np.where(new, np.cumsum(new) - 1, (rng.random(records) * (np.cumsum(new) - 1)).astype(int))
    days = np.sort(rng.integers(0, 366, records))  # August 2019 to August 2020
    fibrillating = np.zeros(records, dtype=bool)
    count = max(round(FIBRILLATION_SHARE * records), min(FEWEST_FIBRILLATING, records // 2))
    fibrillating[rng.choice(records, count, replace=False)] = True
    return pd.DataFrame(
        {
            "ECG_ID": [f"A{position:05d}" for position in range(1, records + 1)],
            "Patient_ID": [f"S{number:05d}" for number in patient + 1],
            "Age": np.clip(rng.normal(50, 17, records), 18, 95).astype(int)[patient],
            "Sex": np.where(rng.random(records) < 0.55, "M", "F")[patient],
            "Date": (pd.Timestamp("2019-08-01") + pd.to_timedelta(days, unit="D")).strftime("%Y-%m-%d"),
            "fibrillating": fibrillating,
        }
    )


def _record(rng: Generator, anatomy: Generator, person: dict) -> tuple[np.ndarray, str]:
    """One recording, (12, samples) in mV, and its statements; `anatomy` is the patient's generator."""
    seconds = 10.0 if rng.random() < 0.8 else rng.uniform(10, 56)
    samples = round(seconds * SAMPLING_RATE)
    own = heart.healthy(anatomy, person["Age"], person["Sex"] == "M")
    if person["fibrillating"]:
        rate = np.exp(rng.normal(np.log(88), 0.25))
        rhythm, codes = heart.fibrillation(rng, seconds, rate), ["50+346" if rate > 100 else "50"]
    else:
        rhythm, codes = _rhythm(rng, seconds)
    if codes == ["1"] and rng.random() < DISEASE_SHARE:
        codes = [str(rng.choice(list(DISEASES)))]
        own = heart.afflict(own, DISEASES[codes[0]], rng.uniform(0.5, 1.0), rng)
    potentials = heart.electrodes(own, rhythm, samples, SAMPLING_RATE, rng)
    potentials += noise.disturb(
        rng, 9, samples, SAMPLING_RATE, drift=0.008, hum=0.0005, tremor=0.002
    )  # filtered
    return heart.leads(potentials), ";".join(codes)


def _rhythm(rng: Generator, seconds: float) -> tuple[heart.Rhythm, list[str]]:
    """A rhythm other than fibrillation and its statements."""
    code = str(rng.choice(list(RHYTHMS), p=list(RHYTHMS.values())))
    if code == "51":
        return heart.flutter(rng, seconds), [code]
    rates = {"22": rng.uniform(42, 58), "21": rng.uniform(102, 130)}
    rate = rates.get(code, rng.uniform(62, 95))
    variation = rng.uniform(0.08, 0.14) if code == "23" else 0.025 * np.exp(rng.normal(0, 0.4))
    premature = rng.uniform(0.06, 0.2) if code in ("30", "60") else 0.0
    rhythm = heart.sinus(rng, seconds, rate, variation, premature, ventricular=code == "60")
    inside = (rhythm.beats > 0) & (rhythm.beats < seconds)
    if premature and not (rhythm.premature & inside).any():
        return rhythm, ["1"]  # the extra beats did not come while it was recorded
    return rhythm, ["22", "23"] if code == "22" and rng.random() < 0.2 else [code]


def _hdf5(millivolts: np.ndarray) -> bytes:
    """An HDF5 file with one dataset `ecg` (12, samples), float16 in mV."""
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file.create_dataset("ecg", data=millivolts.astype(np.float16), compression="gzip", track_times=False)
    return content.getvalue()
