"""Files and folders that appear whole or not at all."""

import fcntl
import glob
import mmap
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np


@contextmanager
def writing(path: Path | str) -> Iterator[Path]:
    """A temporary file beside `path`, with its suffix, which takes its place when the block ends well.

    One process at a time writes it while others wait; what a killed one left half-written is overwritten.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.stem}.unfinished{path.suffix}")
    with _emptied(unfinished):
        try:
            yield unfinished
            os.replace(unfinished, path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise


@contextmanager
def _emptied(path: Path) -> Iterator[None]:
    """File `path` is there, empty and locked for this block, or until a kill."""
    while True:
        with open(path, "ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if _lies_at(path, file):  # whoever held it may have moved or removed it
                file.truncate(0)
                yield
                return


def _lies_at(path: Path, file: IO[bytes]) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


@contextmanager
def replacing(place: Path) -> Iterator[Path]:
    """A temporary folder that becomes `place` when the block ends well and is removed when it does not."""
    draft, old = (place.with_name(f".{place.name}-{secrets.token_hex(4)}") for _ in range(2))
    draft.mkdir(parents=True)
    try:
        yield draft
        if place.exists():
            os.replace(place, old)
            shutil.rmtree(old, ignore_errors=True)  # first: a kill leaves nothing beside a whole `place`
        os.replace(draft, place)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def locked(place: Path) -> Iterator[None]:
    """One process at a time makes `place` while others wait; removes what a killed one left half-made."""
    place.parent.mkdir(parents=True, exist_ok=True)
    path = place.with_name(f".{place.name}.lock")
    while True:
        with open(path, "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # released when the file closes, also by a kill
            if not _lies_at(path, lock):  # whoever held it has removed it
                continue
            try:
                for half_made in place.parent.glob(f".{glob.escape(place.name)}-{'[0-9a-f]' * 8}"):
                    shutil.rmtree(half_made, ignore_errors=True)
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def release(array: np.ndarray) -> None:
    """Give back the memory of what was read of a memory map, as `array` may be; what is read again comes from
    the file.
    """
    pages = getattr(array, "_mmap", None)
    if pages is not None and array.mode == "r" and hasattr(mmap, "MADV_DONTNEED"):
        pages.madvise(mmap.MADV_DONTNEED)
