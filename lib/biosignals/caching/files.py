"""Files and folders that appear whole or not at all."""

import fcntl
import mmap
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np


@contextmanager
def writing(path: Path | str) -> Iterator[Path]:
    """A temporary file beside `path`, with its suffix, which takes its place when the block ends well."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
    try:
        yield unfinished
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def replacing(place: Path) -> Iterator[Path]:
    """A temporary folder that becomes `place` when the block ends well and is removed when it does not."""
    draft, old = (place.with_name(f".{place.name}-{secrets.token_hex(4)}") for _ in range(2))
    draft.mkdir(parents=True)
    try:
        yield draft
        if place.exists():
            os.replace(place, old)
        os.replace(draft, place)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def locked(place: Path) -> Iterator[None]:
    """One process at a time makes `place` while others wait; removes what a killed one left half-made."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with open(place.with_name(f".{place.name}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # released when the file closes, also by a kill
        for half_made in place.parent.glob(f".{place.name}-*"):
            shutil.rmtree(half_made, ignore_errors=True)
        yield


def release(array: np.ndarray) -> None:
    """Give back the memory of what was read of a memory map, as `array` may be; what is read again comes from
    the file.
    """
    pages = getattr(array, "_mmap", None)
    if pages is not None and array.mode == "r" and hasattr(mmap, "MADV_DONTNEED"):
        pages.madvise(mmap.MADV_DONTNEED)
