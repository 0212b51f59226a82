"""Files and folders that appear whole or not at all: also where a process is killed, two write the same, or a
disk is full.
"""

import errno
import fcntl
import functools
import glob
import mmap
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

HEX = "[0-9a-f]"  # in patterns of names, of which `secrets.token_hex` gives the random part
FULL = (errno.ENOSPC, errno.EDQUOT)
NO_ROOM = 1 << 20  # bytes; NumPy and HDF5 do not say that a disk is full, only that a write failed


class DiskFull(OSError):
    """A disk without room for what is written. The message says where, how much is needed, and what to do."""

    needed = 0  # bytes


@contextmanager
def writing(path: Path | str, needed: int = 0) -> Iterator[Path]:
    """A temporary file beside `path`, with its suffix, which takes its place when the block ends well.

    Removes what killed processes left half-written in this folder. needed: bytes that the block writes, 0
    where that is not known. Raises DiskFull.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.unfinished{path.suffix}")
    with _writer_in(path.parent.absolute()):
        try:
            yield unfinished
            os.replace(unfinished, path)
        except OSError as error:
            _raise_if_full(error, path, unfinished, needed)
            raise
        finally:
            unfinished.unlink(missing_ok=True)


@contextmanager
def replacing(place: Path, needed: int = 0) -> Iterator[Path]:
    """A temporary folder that becomes `place` when the block ends well and is removed when it does not.

    needed: bytes that the block writes, 0 where that is not known. Raises DiskFull.
    """
    draft, old = (place.with_name(f".{place.name}-{secrets.token_hex(4)}") for _ in range(2))
    draft.mkdir(parents=True)
    try:
        yield draft
        if place.exists():
            os.replace(place, old)
            shutil.rmtree(old, ignore_errors=True)  # first: a kill leaves nothing beside a whole `place`
        os.replace(draft, place)
    except OSError as error:
        _raise_if_full(error, place, draft, needed)
        raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def locked(place: Path, waiting: str = "") -> Iterator[None]:
    """One process at a time makes `place` while others wait; removes what a killed one left half-made.

    waiting: what to print where another process has to be waited for.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    path = _lock_of(place)
    while True:
        with open(path, "w") as lock:
            if waiting and _try_lock(lock.fileno()) is False:
                print(waiting, file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)  # released when the file closes, also by a kill
            if not _is_at(lock.fileno(), path):  # whoever held it has removed it
                continue
            try:
                for half_made in place.parent.glob(f".{glob.escape(place.name)}-{HEX * 8}"):
                    shutil.rmtree(half_made, ignore_errors=True)
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def remove_left_lock(place: Path) -> None:
    """Removes the lock of a whole `place` that a killed process left behind; one that is held stays."""
    path = _lock_of(place)
    with suppress(OSError), _opened(path) as descriptor:  # none is there, or nobody may write here
        if _try_lock(descriptor) and _is_at(descriptor, path):
            path.unlink()


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """An empty folder in the system's place for temporary files, removed when the block ends.

    Each is locked while its process lives; those of killed processes are removed. Raises DiskFull.
    """
    place = Path(tempfile.gettempdir())
    for left in place.glob(f"biosignals-{HEX * 16}.unfinished"):
        with suppress(OSError), _opened(left) as descriptor:  # another user's, or gone meanwhile
            if _try_lock(descriptor):
                shutil.rmtree(left, ignore_errors=True)
    folder, descriptor = _locked_folder(place)
    try:
        yield folder
    except OSError as error:
        _raise_if_full(error, folder, folder)
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def size_below(path: Path) -> int:
    """Bytes of a file, or of all files below a folder; 0 where there is none."""
    if path.is_file():
        return path.stat().st_size
    places = (os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names)
    return sum(os.lstat(place).st_size for place in places)


def size_in_words(size: float) -> str:
    """A number of bytes as people say it."""
    if size >= 1e8:
        return f"{size / 1e9:.1f} GB"
    return f"{size / 1e6:.0f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"


def is_full(error: OSError, folder: Path) -> bool:
    """Whether an error says that the disk of a folder has no room."""
    silent = error.errno is None and shutil.disk_usage(folder).free < NO_ROOM
    return isinstance(error, DiskFull) or error.errno in FULL or silent


def release(array: np.ndarray) -> None:
    """Give back the memory of what was read of a memory map, as `array` may be; what is read again comes from
    the file.
    """
    pages = getattr(array, "_mmap", None)
    if pages is not None and array.mode == "r" and hasattr(mmap, "MADV_DONTNEED"):
        pages.madvise(mmap.MADV_DONTNEED)


@contextmanager
def _writer_in(folder: Path) -> Iterator[None]:
    """Says to other processes, while the block runs, that somebody writes in a folder."""
    _sweep(folder)
    with _opened(folder) as descriptor:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield


@functools.cache
def _sweep(folder: Path) -> None:
    """Removes what killed processes left half-written in a folder, unless somebody writes there: once."""
    with _opened(folder) as descriptor:
        if _try_lock(descriptor):
            for half_written in folder.glob(f".*.{HEX * 8}.unfinished*"):
                half_written.unlink(missing_ok=True)


def _locked_folder(place: Path) -> tuple[Path, int]:
    """A new folder and its descriptor, locked before another process could take it for one that was left."""
    while True:
        folder = place / f"biosignals-{secrets.token_hex(8)}.unfinished"
        folder.mkdir(mode=0o700)
        with suppress(FileNotFoundError):
            descriptor = os.open(folder, os.O_RDONLY)
            if _try_lock(descriptor) is not False and folder.exists():
                return folder, descriptor
            os.close(descriptor)


def _lock_of(place: Path) -> Path:
    return place.with_name(f".{place.name}.lock")


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool | None:
    """True when it is locked now, False while another holds it, None on a file system without locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is the one that has this path."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _raise_if_full(error: OSError, place: Path, unfinished: Path, needed: int = 0) -> None:
    """DiskFull, where an error of writing `place` says so; unfinished: what was written of it."""
    if not is_full(error, place.parent):
        return
    written = size_below(unfinished) + getattr(error, "needed", 0)
    amount = f"about {size_in_words(needed)}" if needed > written else f"more than {size_in_words(written)}"
    full = DiskFull(
        f"{place}: the disk is full; free space needed: {amount}. Make room, or choose a folder on another "
        "disk, and run again."
    )
    full.needed = max(needed, written)
    raise full from error
