"""A simulated PhysioNet/CinC Challenge 2017 training set in the official layout (Clifford et al. 2017)."""

from pathlib import Path

import numpy as np
from numpy.random import Generator

from biosignals.progress import tqdm
from biosignals.signals.filters import bandpass
from biosignals.simulate import files, heart, noise

SAMPLING_RATE = 300
COUNTS = {"N": 5050, "A": 738, "O": 2456, "~": 284}  # the full set: normal, fibrillation, other, noisy

# What "other" holds: disease or rhythm, and its share.
OTHER = {"premature atrial": 0.22, "premature ventricular": 0.20, "slow": 0.10, "fast": 0.14, "flutter": 0.05,
         "irregular": 0.09, "CRBBB": 0.06, "CLBBB": 0.04, "1AVB": 0.05, "ISC_": 0.05}  # fmt: skip


def write(root: str | Path, records: int, seed: int = 0) -> None:
    """Write `training2017/` with `A00001.mat`, `A00001.hea`, ... and `REFERENCE.csv`, classes N, A, O and ~.

    Signals are lead I of a handheld recorder: 300 Hz, int16, 1000 counts per mV, 9-61 s. The same seed gives
    the same bytes. Files appear whole, and `SIMULATED.json` last. Raises FileExistsError where `root` is not
    empty, ValueError for fewer than one record.
    """
    root = files.begin(root, records=(records, 1))
    folder = root / "training2017"
    folder.mkdir()
    rng = np.random.default_rng([seed, 0])
    labels = rng.permutation(_labels(records))
    names = [f"A{position:05d}" for position in range(1, records + 1)]
    for position, name in enumerate(tqdm(names, desc="simulating CinC 2017", unit="record")):
        rng = np.random.default_rng([seed, 1, position])
        _write_record(folder / name, files.to_counts(_record(rng, labels[position])), _clock(rng))
    files.write(folder / "REFERENCE.csv", "".join(f"{name},{label}\n" for name, label in zip(names, labels)))
    files.finish(root, records, seed)


def _labels(records: int) -> np.ndarray:
    """Labels with the shares of the full set, to the nearest record."""
    edges = np.rint(np.cumsum(list(COUNTS.values())) / sum(COUNTS.values()) * records).astype(int)
    return np.repeat(list(COUNTS), np.diff(edges, prepend=0))


def _record(rng: Generator, label: str) -> np.ndarray:
    """One recording (samples,) in mV."""
    seconds = _duration(rng) if label != "~" else rng.choice([_duration(rng), rng.uniform(9, 30)])
    samples = round(seconds * SAMPLING_RATE)
    own = heart.healthy(rng, rng.uniform(20, 90), rng.random() < 0.5)
    if label == "A":
        rhythm = heart.fibrillation(rng, seconds, np.exp(rng.normal(np.log(88), 0.22)))
    elif label == "O":
        own, rhythm = _other(rng, own, seconds)
    else:
        rhythm = heart.sinus(
            rng, seconds, np.exp(rng.normal(np.log(72), 0.15)), 0.03 * np.exp(rng.normal(0, 0.5))
        )

    beats = heart.leads(heart.electrodes(own, rhythm, samples, SAMPLING_RATE, rng))[0]
    total = beats * np.exp(rng.normal(0.25, 0.25)) + _hands(rng, samples, noisy=label == "~")
    if rng.random() < 0.2:  # held the wrong way round
        total = -total
    return _recorder(total)


def _duration(rng: Generator) -> float:
    """Most recordings last 30 s, some 60 s, the others anything between 9 and 61 s."""
    return float(
        rng.choice([30.0, 60.0, rng.uniform(9, 30), rng.uniform(30, 61)], p=[0.73, 0.12, 0.13, 0.02])
    )


def _other(rng: Generator, own: heart.Heart, seconds: float) -> tuple[heart.Heart, heart.Rhythm]:
    """A heart that is neither normal nor in fibrillation."""
    what = rng.choice(list(OTHER), p=list(OTHER.values()))
    rate = np.exp(rng.normal(np.log(74), 0.15))
    share = rng.uniform(0.04, 0.25)
    rhythms = {
        "premature atrial": lambda: heart.sinus(rng, seconds, rate, premature=share, ventricular=False),
        "premature ventricular": lambda: heart.sinus(rng, seconds, rate, premature=share),
        "slow": lambda: heart.sinus(rng, seconds, rng.uniform(38, 54)),
        "fast": lambda: heart.sinus(rng, seconds, rng.uniform(100, 150), 0.015),
        "flutter": lambda: heart.flutter(rng, seconds),
        "irregular": lambda: heart.sinus(rng, seconds, rate, rng.uniform(0.08, 0.16)),
    }
    if what in rhythms:
        return own, rhythms[what]()
    return heart.afflict(own, what, rng.uniform(0.3, 1.0), rng), heart.sinus(rng, seconds, rate)


def _hands(rng: Generator, samples: int, noisy: bool) -> np.ndarray:
    """What two hands on two electrodes add, (samples,) in mV: drift, hum, tremor, slips, a settling start."""
    size = (rng, 1, samples, SAMPLING_RATE)
    restless = np.exp(rng.normal(0, 0.7)) * (4 if noisy else 1)
    total = noise.disturb(*size, drift=0.15 * restless, hum=0.001 * restless, tremor=0.006 * restless)[0]
    grip = noise.bursts(rng, samples, SAMPLING_RATE)
    total += restless * (0.015 + 0.12 * grip) * noise.movement(*size)[0]
    total += restless * 0.01 * grip * noise.muscle(*size)[0]
    if rng.random() < 0.5:
        total += rng.normal(0, 0.8) * np.exp(-np.arange(samples) / SAMPLING_RATE / rng.uniform(0.2, 1.0))
    return total


def _recorder(millivolts: np.ndarray) -> np.ndarray:
    """The recorder's own band, 0.5-40 Hz."""
    return bandpass(millivolts, 0.5, 40, SAMPLING_RATE, zero_phase=False)


def _clock(rng: Generator) -> str:
    """Time and date as the headers give them."""
    second = int(rng.integers(7 * 3600, 20 * 3600))
    month, year = int(rng.integers(1, 13)), int(rng.integers(2000, 2015))
    return f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d} {1}/{month:02d}/{year}"


def _write_record(path: Path, counts: np.ndarray, clock: str) -> None:
    """Write `path`.mat (MATLAB version 4: one int16 matrix `val`, 1 x samples) and its WFDB header."""
    header = np.array([30, 1, len(counts), 0, 4], "<i4").tobytes() + b"val\0"
    files.write(path.with_name(path.name + ".mat"), header + counts.astype("<i2").tobytes())
    text = f"{path.name} 1 {SAMPLING_RATE} {len(counts)} {clock} \r\n"
    text += f"{path.name}.mat 16+24 1000/mV 16 0 {counts[0]} 0 0 ECG \r\n"
    files.write(path.with_name(path.name + ".hea"), text)
