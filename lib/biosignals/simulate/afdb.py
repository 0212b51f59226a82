"""A simulated MIT-BIH Atrial Fibrillation Database in the official layout (Moody and Mark 1983).

Annotations alone, as the official set has them for two of its records: no signals.
"""

from pathlib import Path

import numpy as np

from biosignals.progress import tqdm
from biosignals.simulate import files, heart

SAMPLING_RATE = 250
FIRST = 4015  # the number of the first record
RHYTHMS = {"N": 0.62, "AFIB": 0.35, "AFL": 0.03}  # of episodes in turn, about as of the set's hours


def write(root: str | Path, records: int, seed: int = 0, hours: float = 10) -> None:
    """Write `RECORDS` and, for each record of `hours`, `04015.atr` (rhythms) and `04015.qrs` (beats).

    The same seed gives the same bytes. `SIMULATED.json` appears last. Raises FileExistsError where `root` is
    not empty, ValueError for fewer than one record or less than six minutes.
    """
    root = files.begin(root, records=(records, 1), hours=(hours, 0.1))
    names = [f"{FIRST + 37 * position:05d}" for position in range(records)]
    for position, name in enumerate(tqdm(names, desc="simulating AFDB", unit="record")):
        _write_record(root / name, np.random.default_rng([seed, 1, position]), hours * 3600)
    files.write(root / "RECORDS", "".join(f"{name}\n" for name in names))
    files.finish(root, records, seed, hours=hours)


def _write_record(path: Path, rng: np.random.Generator, seconds: float) -> None:
    """Episodes of the rhythms, each of the length of an exponential distribution, until the time is over."""
    rate, start, beats, changes = rng.uniform(55, 80), 0.0, [], []
    while start < seconds:
        name = str(rng.choice(list(RHYTHMS), p=list(RHYTHMS.values())))
        length = min(max(rng.exponential(seconds / 8), 30), seconds - start)
        rhythms = {
            "N": lambda length=length: heart.sinus(rng, length, rate, premature=0.02),
            "AFIB": lambda length=length: heart.fibrillation(rng, length, 1.3 * rate),
            "AFL": lambda length=length: heart.flutter(rng, length),
        }
        own = rhythms[name]().beats
        own = start + own[(own >= 0.1) & (own < length - 0.1)]
        if len(own):
            changes.append((round(own[0] * SAMPLING_RATE), f"({name}"))
            beats += np.rint(own * SAMPLING_RATE).astype(int).tolist()
        start += length
    kept = [change for i, change in enumerate(changes) if not i or change[1] != changes[i - 1][1]]
    samples, notes = zip(*kept)
    files.write_annotations(
        path.with_suffix(".atr"), SAMPLING_RATE, np.array(samples), "+" * len(kept), notes
    )
    files.write_annotations(path.with_suffix(".qrs"), SAMPLING_RATE, np.array(beats), "N" * len(beats))
