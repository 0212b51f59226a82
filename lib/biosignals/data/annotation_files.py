"""WFDB annotation files: marks at samples of a recording, such as beats, changes of rhythm, ends of waves.

Format: https://wfdb.io/spec, annotation files; read by the wfdb package.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from biosignals.data.waveforms import AGAIN, Unreadable, reading

LARGEST_FILE = 1 << 22  # bytes; the 60,000 beats of ten hours take 120 KB
END = b"\0\0"  # the last two bytes of every annotation file


class Annotations(NamedTuple):
    """The marks of one file, in order.

    samples: int64 (n,). symbols: "N" for a normal beat, "+" for a change of rhythm, ... notes: a text for
    each mark, "(AFIB" where fibrillation begins, mostly empty. sampling_rate: Hz, None where not said.
    """

    samples: np.ndarray
    symbols: tuple[str, ...]
    notes: tuple[str, ...]
    sampling_rate: float | None


def read(path: Path | str, last: int | None = None) -> Annotations:
    """The annotations in file `path`, whose extension names the annotator ("100.atr").

    last: the highest sample that a mark may have (None: any). Raises Unreadable for a file that is missing,
    cut, damaged, or has marks out of order or beyond `last`.
    """
    import wfdb  # more than a second, for which sets without annotations need not wait

    name, stem, extension = os.path.basename(path), *os.path.splitext(path)
    with reading(path):
        _check_size_and_end(path)
        found = wfdb.rdann(str(stem), extension[1:])
    samples = found.sample
    if not all(isinstance(symbol, str) for symbol in found.symbol):
        raise Unreadable(f"{name} has marks of no kind that WFDB knows: {AGAIN}")
    if (samples < 0).any() or (np.diff(samples) < 0).any():
        raise Unreadable(f"{name} has annotations that go back in time: {AGAIN}")
    if last is not None and samples.max(initial=0) > last:
        raise Unreadable(
            f"{name} has an annotation at sample {samples.max()}, but its recording ends at {last}: {AGAIN}"
        )
    notes = tuple(note.strip("\0 ") for note in found.aux_note)
    return Annotations(samples, tuple(found.symbol), notes, found.fs)


def _check_size_and_end(path: Path | str) -> None:
    """Unreadable for a file that is larger than any, or without its end mark."""
    with open(path, "rb") as file:
        content = file.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise Unreadable(f"{os.path.basename(path)} is too large to be an annotation file: {AGAIN}")
    if len(content) % 2 or not content.endswith(END):
        raise Unreadable(f"{os.path.basename(path)} is cut short (it has no end mark): {AGAIN}")
