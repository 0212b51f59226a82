"""A simulated LUDB in the official layout (Kalyakulina et al. 2020, IEEE Access 8:186181)."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.random import Generator

from biosignals.progress import tqdm
from biosignals.simulate import files, heart, noise

SAMPLING_RATE, SAMPLES = 500, 5000
LEADS = tuple(lead.lower() for lead in heart.LEADS)
RHYTHMS = {  # how many of the 200
    "Sinus rhythm": 143, "Sinus bradycardia": 25, "Atrial fibrillation": 15, "Sinus arrhythmia": 10,
    "Sinus tachycardia": 4, "Atrial flutter, typical": 3,
}  # fmt: skip
DISEASES = {  # SCP-ECG statement > column and words of the table
    "LVH": ("Hypertrophies", "Left ventricular hypertrophy"),
    "IRBBB": ("Conduction abnormalities", "Incomplete right bundle branch block"),
    "LAFB": ("Conduction abnormalities", "Left anterior hemiblock"),
    "ISCIN": ("Ischemia", "Ischemia: inferior wall"),
}
COLUMNS = (
    "ID,Sex,Age,Rhythms,Electric axis of the heart,Conduction abnormalities,Extrasystolies,Hypertrophies,"
    "Cardiac pacing,Ischemia,Non-specific repolarization abnormalities,Other states"
).split(",")
REACH = 2.2  # standard deviations of a bump from its centre to where a wave begins or ends


def write(root: str | Path, records: int, seed: int = 0) -> None:
    """Write `ludb.csv`, `RECORDS` and `data/` with `1.hea`, `1.dat` and `1.i`, `1.ii`, ..., `1.v6`.

    12 leads, 500 Hz, 10 s; the integers are microvolts, the gains stretch each lead to a span of 1 mV. The
    same seed gives the same bytes. `SIMULATED.json` appears last. Raises FileExistsError where `root` is not
    empty, ValueError for fewer than one record.
    """
    root = files.begin(root, records=(records, 1))
    (root / "data").mkdir()
    edges = np.rint(np.cumsum(list(RHYTHMS.values())) / sum(RHYTHMS.values()) * records).astype(int)
    rhythms = np.repeat(list(RHYTHMS), np.diff(edges, prepend=0))
    rhythms = np.random.default_rng([seed, 0]).permutation(rhythms)
    rows = []
    for position, rhythm in enumerate(tqdm(rhythms, desc="simulating LUDB", unit="record")):
        rng = np.random.default_rng([seed, 1, position])
        rows.append(_write_record(root / "data" / str(position + 1), rng, str(rhythm)))
    files.write(root / "ludb.csv", pd.DataFrame(rows, columns=COLUMNS).to_csv(index=False))
    files.write(root / "RECORDS", "".join(f"data/{row['ID']}\n" for row in rows))
    files.finish(root, records, seed)


def _write_record(path: Path, rng: Generator, rhythm: str) -> dict[str, str]:
    """Write one record; returns its row of the table."""
    age, male = int(np.clip(rng.normal(52, 19), 11, 95)), rng.random() < 115 / 200
    row = dict.fromkeys(COLUMNS, "")
    row |= {"ID": path.name, "Sex": "M\n" if male else "F\n", "Age": f"{age}\n" if age < 90 else ">89\n"}
    row |= {"Rhythms": rhythm}
    own = heart.healthy(rng, age, male)
    if rng.random() < 0.5:
        code = str(rng.choice(list(DISEASES)))
        own = heart.afflict(own, code, rng.uniform(0.4, 1.0), rng)
        row[DISEASES[code][0]] = DISEASES[code][1]
    beats = _rhythm(rng, rhythm)
    potentials = heart.electrodes(own, beats, SAMPLES, SAMPLING_RATE, rng)
    waves = _waves(own, beats)
    clean = heart.leads(potentials)
    total = clean + heart.leads(noise.disturb(rng, 9, SAMPLES, SAMPLING_RATE, drift=0.01, tremor=0.003))
    _write_signals(path, files.to_counts(total).T)
    for lead, signal in zip(LEADS, clean):
        samples, symbols = [], []
        for symbol, onset, end in waves:
            peak = onset + np.abs(signal[onset : end + 1] - signal[onset]).argmax()
            samples += [onset, min(max(peak, onset + 1), end - 1), end]
            symbols += ["(", symbol, ")"]
        files.write_annotations(path.with_suffix(f".{lead}"), SAMPLING_RATE, np.array(samples), symbols)
    return row


def _rhythm(rng: Generator, name: str) -> heart.Rhythm:
    """When the chambers beat in a rhythm of that name."""
    seconds = SAMPLES / SAMPLING_RATE
    if name == "Atrial fibrillation":
        return heart.fibrillation(rng, seconds, np.exp(rng.normal(np.log(85), 0.2)))
    if name.startswith("Atrial flutter"):
        return heart.flutter(rng, seconds)
    rates = {"Sinus bradycardia": rng.uniform(44, 58), "Sinus tachycardia": rng.uniform(101, 115)}
    variation = 0.12 if name == "Sinus arrhythmia" else 0.025
    return heart.sinus(rng, seconds, rates.get(name, rng.uniform(60, 90)), variation)


def _waves(own: heart.Heart, rhythm: heart.Rhythm) -> list[tuple[str, int, int]]:
    """Symbol, onset and end, in samples, of each wave that lies wholly in the record, one after the other."""
    stretch = np.clip(0.65 * rhythm.cycle.mean() + 0.35 * rhythm.cycle, 0.3, 1.8) ** 0.42  # as in electrodes
    spans = [("N", *_span(own.ventricles, slice(None), beat)) for beat in rhythm.beats]
    spans += [
        ("t", *_span(own.recovery, [heart.T], beat, factor)) for beat, factor in zip(rhythm.beats, stretch)
    ]
    spans += [("p", *_span(own.atria, slice(None), time - own.conduction)) for time in rhythm.atria]
    waves, last = [], 0
    for symbol, onset, end in sorted(spans, key=lambda span: span[1]):
        onset = max(onset, last + 1)
        if end < SAMPLES and end - onset > 0.02 * SAMPLING_RATE:
            waves.append((symbol, onset, end))
            last = end
    return waves


def _span(waves: heart.Waves, rows: slice | list[int], time: float, stretch: float = 1.0) -> tuple[int, int]:
    """Where bumps `rows` of `waves`, repeated at `time` (s), begin and end, in samples."""
    onset = (waves.centre - REACH * waves.rise)[rows].min()
    end = (waves.centre + REACH * waves.fall)[rows].max()
    return tuple(round((time + stretch * edge) * SAMPLING_RATE) for edge in (onset, end))


def _write_signals(path: Path, counts: np.ndarray) -> None:
    """Write `path`.dat and .hea; counts: (samples, leads)."""
    import wfdb

    wfdb.wrsamp(
        path.name, SAMPLING_RATE, ["mV"] * len(LEADS), list(LEADS), d_signal=counts.astype(np.int64),
        fmt=["16"] * len(LEADS), adc_gain=np.ptp(counts.astype(float), axis=0).tolist(),
        baseline=np.rint(counts.mean(axis=0)).astype(int).tolist(), write_dir=str(path.parent),
    )  # fmt: skip
