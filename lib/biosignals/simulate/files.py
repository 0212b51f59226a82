"""Files whole or not at all, WFDB headers and annotations."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from biosignals.caching import writing

MARK = "SIMULATED.json"  # in every simulated set's folder, written last
VERSION = 2  # of the simulator: raise it whenever the same seed gives other files


def write(path: Path, content: bytes | str) -> None:
    """Write a file so that it is never seen half-written; text is UTF-8 with its own line ends."""
    data = content.encode() if isinstance(content, str) else content
    with writing(path, len(data)) as unfinished:
        unfinished.write_bytes(data)


def begin(root: str | Path, **options: tuple[float, float]) -> Path:
    """Make the folder of a simulated release; options: the value of each and the least that it may be.

    Raises ValueError for an option below that, FileExistsError for a folder in use, so that real data is
    safe.
    """
    for name, (value, least) in options.items():
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")
    root = Path(root)
    root.mkdir(parents=True, exist_ok=True)
    if any(root.iterdir()):
        raise FileExistsError(f"{root} is not empty: simulate into a new folder, or remove this one first")
    return root


def finish(root: Path, records: int, seed: int, **options: float) -> None:
    """Say last, when all is written, that the release is simulated, with which options and of what size."""
    mark = {"records": records, "seed": seed, "version": VERSION} | options | contents(root)
    write(root / MARK, json.dumps(mark) + "\n")


def contents(root: Path) -> dict[str, int]:
    """The number of files below a folder and their bytes, hidden ones and the mark apart."""
    sizes = [
        os.path.getsize(os.path.join(folder, name))
        for folder, _, names in os.walk(root)
        for name in names
        if name[0] != "." and name != MARK
    ]
    return {"files": len(sizes), "bytes": sum(sizes)}


def write_wfdb(path: Path, millivolts: np.ndarray, sampling_rate: int, leads: Sequence[str]) -> None:
    """Write `path`.dat and `path`.hea: WFDB format 16, 1000 counts per mV. millivolts: (leads, samples)."""
    counts = np.ascontiguousarray(to_counts(millivolts).T, dtype="<i2")
    checksums = counts.sum(axis=0, dtype=np.int64) % 65536
    signals = (
        f"{path.name}.dat 16 1000.0(0)/mV 16 0 {first} {checksum} 0 {lead}\n"
        for lead, first, checksum in zip(leads, counts[0], checksums)
    )
    write(path.with_name(path.name + ".dat"), counts.tobytes())
    header = f"{path.name} {len(leads)} {sampling_rate} {len(counts)}\n"
    write(path.with_name(path.name + ".hea"), header + "".join(signals))


def write_annotations(
    path: Path, sampling_rate: int, samples: np.ndarray, symbols: Sequence[str], notes: Sequence[str] = ()
) -> None:
    """Write a WFDB annotation file; its extension names the annotator. samples: (n,), in any order."""
    import wfdb

    order = np.argsort(samples, kind="stable")
    wfdb.wrann(  # whose extensions are letters only: "v1" is none
        path.stem, "unfinished", np.asarray(samples)[order], [symbols[i] for i in order],
        aux_note=[notes[i] for i in order] if notes else None, fs=sampling_rate, write_dir=str(path.parent),
    )  # fmt: skip
    os.replace(path.with_suffix(".unfinished"), path)


def to_counts(millivolts: np.ndarray) -> np.ndarray:
    """`millivolts` in counts of 1 microvolt, held at the converter's limits: int16, the same shape."""
    return np.clip(np.rint(millivolts * 1000), -32767, 32767).astype(np.int16)
