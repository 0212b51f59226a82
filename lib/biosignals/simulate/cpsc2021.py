"""A simulated CPSC 2021 in the official layout: Holter ECGs with episodes of atrial fibrillation."""

from pathlib import Path

import numpy as np
from numpy.random import Generator

from biosignals.progress import tqdm
from biosignals.simulate import files, heart, noise

SAMPLING_RATE = 200
PER_PATIENT = 3  # records
DIAGNOSES = ("paroxysmal", "non", "persistent")  # of the patients in turn
EDGE = 30  # samples at a record's ends without marks of beats
GAIN, BASELINE = 20_000, -80_000  # counts per mV; an offset of 4 mV, as the set's headers have


def write(root: str | Path, records: int, seed: int = 0, minutes: float = 4) -> None:
    """Write `Training_set_I/` with `RECORDS` and `data_0_1.hea`, `.dat`, `.atr`, ...: leads I and II, 200 Hz.

    Each patient has up to three records of about `minutes`. The same seed gives the same bytes.
    `SIMULATED.json` appears last. Raises FileExistsError where `root` is not empty, ValueError for fewer than
    one record or less than half a minute.
    """
    root = files.begin(root, records=(records, 1), minutes=(minutes, 0.5))
    folder = root / "Training_set_I"
    folder.mkdir()
    names = [f"data_{i // PER_PATIENT}_{i % PER_PATIENT + 1}" for i in range(records)]
    for position, name in enumerate(tqdm(names, desc="simulating CPSC 2021", unit="record")):
        patient = position // PER_PATIENT
        rng = np.random.default_rng([seed, 1, position])
        own = heart.healthy(np.random.default_rng([seed, 2, patient]), 65)
        _write_record(folder / name, rng, own, DIAGNOSES[patient % len(DIAGNOSES)], minutes * 60)
    files.write(folder / "RECORDS", "".join(f"{name}\n" for name in names))
    files.finish(root, records, seed, minutes=minutes)


def _write_record(path: Path, rng: Generator, own: heart.Heart, diagnosis: str, seconds: float) -> None:
    import wfdb

    pieces = _pieces(rng, diagnosis, round(seconds * rng.uniform(0.8, 1.2) * SAMPLING_RATE))
    signals, samples, symbols, notes, start = [], [], [], [], 0
    for fibrillating, length in pieces:
        rhythm = _rhythm(rng, fibrillating, length / SAMPLING_RATE)
        signals.append(heart.leads(heart.electrodes(own, rhythm, length, SAMPLING_RATE, rng))[:2])
        places = np.rint(rhythm.beats * SAMPLING_RATE).astype(int)
        inside = (places >= EDGE) & (places < length - EDGE)
        samples += (start + places[inside]).tolist()
        symbols += np.where(rhythm.ectopic, "V", np.where(rhythm.premature, "A", "N"))[inside].tolist()
        notes += [""] * int(inside.sum())
        if fibrillating:
            samples += [start, min(start + length, sum(own for _, own in pieces) - 1)]
            symbols, notes = [*symbols, "+", "+"], [*notes, "(AFIB", "(N"]
        start += length
    total = np.concatenate(signals, axis=1)
    total += noise.disturb(rng, 2, start, SAMPLING_RATE, drift=0.08, tremor=0.01)
    counts = np.clip(np.rint((total + 4) * GAIN + BASELINE), -32767, 32767).astype(np.int64)
    wfdb.wrsamp(
        path.name, SAMPLING_RATE, ["mV"] * 2, ["I", "II"], d_signal=counts.T, fmt=["16"] * 2,
        adc_gain=[GAIN] * 2, baseline=[BASELINE] * 2, comments=[f"{diagnosis} atrial fibrillation"],
        write_dir=str(path.parent),
    )  # fmt: skip
    files.write_annotations(path.with_suffix(".atr"), SAMPLING_RATE, np.array(samples), symbols, notes)


def _pieces(rng: Generator, diagnosis: str, samples: int) -> list[tuple[bool, int]]:
    """Whether in fibrillation, and for how many samples: pieces that follow each other."""
    if diagnosis != "paroxysmal":
        return [(diagnosis == "persistent", samples)]
    pieces, left = [], samples
    while left > 20 * SAMPLING_RATE:
        length = round(rng.uniform(8, 60) * SAMPLING_RATE)
        pieces.append((len(pieces) % 2 == 1, min(length, left)))
        left -= pieces[-1][1]
    return [*pieces, (len(pieces) % 2 == 1, left)] if left else pieces


def _rhythm(rng: Generator, fibrillating: bool, seconds: float) -> heart.Rhythm:
    if fibrillating:
        return heart.fibrillation(rng, seconds, np.exp(rng.normal(np.log(95), 0.2)))
    return heart.sinus(rng, seconds, rng.uniform(55, 90), premature=rng.choice([0, 0.05]), ventricular=False)
