"""A simulated PPG-BP in the official layout (Liang et al. 2018, Sci Data 5:180020).

Blood pressure rises with age and with the stiffness of the arteries, which also makes the pulse's echo large
and early: the shape tells something of the pressure, and not much.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import openpyxl
from numpy.random import Generator

from biosignals.caching import writing
from biosignals.progress import tqdm
from biosignals.simulate import files, heart, noise, pulse

SAMPLING_RATE, SAMPLES, SEGMENTS = 1000, 2100, 3
HIGHEST = 4095
STAGES = {119: "Normal", 139: "Prehypertension", 159: "Stage 1 hypertension", 400: "Stage 2 hypertension"}
TITLE = ["Cardiovascular Dataset Information File", *[None] * 9, "Hospital Electronic Medical Record"]
COLUMNS = (
    "Num.,subject_ID,Sex(M/F),Age(year),Height(cm),Weight(kg),Systolic Blood Pressure(mmHg),"
    "Diastolic Blood Pressure(mmHg),Heart Rate(b/m),BMI(kg/m^2),Hypertension,Diabetes,cerebral infarction,"
    "cerebrovascular disease"
).split(",")


def write(root: str | Path, records: int, seed: int = 0) -> None:
    """Write `PPG-BP dataset.xlsx` and `0_subject/2_1.txt`, ...: three segments of each subject, 1000 Hz.

    records: number of subjects. The same seed gives the same recordings. Files appear whole, and
    `SIMULATED.json` last. Raises FileExistsError where `root` is not empty, ValueError for fewer than one
    subject.
    """
    root = files.begin(root, records=(records, 1))
    (root / "0_subject").mkdir()
    book = openpyxl.Workbook()
    book.active.title = "cardiovascular dataset"
    for row in (TITLE, COLUMNS):
        book.active.append(row)
    for position in tqdm(range(records), desc="simulating PPG-BP", unit="subject"):
        rng = np.random.default_rng([seed, 1, position])
        about, segments = _subject(rng)
        book.active.append([position + 1, position + 2, *about])
        for number, counts in enumerate(segments, 1):
            text = "".join(f"{count:.1f}\t" for count in counts)
            files.write(root / "0_subject" / f"{position + 2}_{number}.txt", text)
    with writing(root / "PPG-BP dataset.xlsx") as unfinished:
        book.save(unfinished)
    files.finish(root, records, seed)


def _subject(rng: Generator) -> tuple[list, list[np.ndarray]]:
    """What the table says of one subject, from the sex on, and the segments, (samples,) in counts."""
    age, male, stiffness = int(rng.uniform(20, 89)), rng.random() < 104 / 219, rng.normal()
    height = round(rng.normal(168 if male else 157, 6))
    weight = round(rng.normal(23.5, 3) * (height / 100) ** 2)
    systolic = round(np.clip(108 + 0.55 * (age - 20) + 12 * stiffness + rng.normal(0, 10), 82, 190))
    diastolic = round(np.clip(0.56 * systolic + rng.normal(0, 7), 42, systolic - 20))
    rate = round(np.clip(rng.normal(73, 10), 52, 106))
    stage = next(name for highest, name in STAGES.items() if systolic <= highest)
    diabetes = "Diabetes" if rng.random() < 0.17 else None
    about = ["Male" if male else "Female", age, height, weight, systolic, diastolic, rate]
    about += [weight / (height / 100) ** 2, stage, diabetes, None, None]
    artery = pulse.finger(rng, age)
    artery = replace(
        artery, echo=artery.echo * np.exp(0.3 * stiffness), delay=artery.delay - 0.008 * stiffness
    )
    return about, [_segment(rng, artery, rate) for _ in range(SEGMENTS)]


def _segment(rng: Generator, artery: pulse.Artery, rate: float) -> np.ndarray:
    """One segment: counts of 0 to 4095, (2100,)."""
    rhythm = heart.sinus(rng, SAMPLES / SAMPLING_RATE + 1, rate)
    beats, cycle = rhythm.beats[:-1], np.diff(rhythm.beats)
    ones = np.ones(len(beats))
    blood = pulse.wave(artery, beats, cycle, ones, ones, SAMPLES, SAMPLING_RATE)
    blood += 0.1 * noise.wander(rng, 1, SAMPLES, SAMPLING_RATE)[0] + rng.normal(0, 0.003, SAMPLES)
    return np.clip(np.rint(1800 + rng.uniform(200, 700) * blood), 0, HIGHEST)
