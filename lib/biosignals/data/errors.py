"""What is wrong with a file that cannot be used, and what is no fault of a file."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

AGAIN = "download the set again"
FILE_FAULTS = {
    getattr(errno, name) for name in "ENOENT ENOTDIR EISDIR ELOOP ENAMETOOLONG EINVAL EILSEQ".split()
}


class Unreadable(ValueError):
    """A recording that cannot be used; the message says why and what to do."""


class Damaged(Unreadable):
    """A file that is not as its set was published. args: why (enough for a file of no set) and the remedy."""

    def __init__(self, reason: str, remedy: str = AGAIN):
        super().__init__(reason, remedy)

    def __str__(self) -> str:
        return ": ".join(self.args)


class StorageError(OSError):
    """A fault of disk, network or permissions, or a set that changed while it was read: no fault of a file.

    Nothing is left out for it, and nothing kept. The message names the file and the remedy.
    """


class MissingLeads(Unreadable):
    """A record without the leads asked for. `present`: those it has."""

    def __init__(self, message: str, present: tuple[str, ...]):
        super().__init__(message)
        self.present = present


@contextmanager
def reading(path: Path | str, remedy: str = AGAIN) -> Iterator[None]:
    """Around the reading of file `path`: whatever its content makes a reader raise becomes Unreadable.

    Raises Damaged, an Unreadable, StorageError for what is no fault of the file; MemoryError, and ImportError
    of an environment that lacks a package, as they are.
    """
    try:
        yield
    except (Unreadable, StorageError, MemoryError, ImportError):
        raise
    except Exception as error:
        raise fault(error, path, remedy) from error


def fault(error: Exception, path: Path | str, remedy: str = AGAIN) -> Damaged | StorageError:
    """What is raised in place of `error`, which the reading of file `path` raised: a fault of the file, or
    none.
    """
    why = error
    if isinstance(error, OSError):
        if error.errno is not None and error.errno not in FILE_FAULTS:
            return storage_error(error, path)
        if other := spelt_otherwise(error.filename or path):
            return Damaged(f"{os.path.basename(path)} is not there, but {other} is", "name it as published")
        why = error.strerror or error
    return Damaged(f"{os.path.basename(path)} cannot be read ({why})", remedy)


def spelt_otherwise(path: Path | str) -> str | None:
    """The name of a file or folder that lies in place of one that is missing, in other letters' case."""
    folder, name = os.path.split(path)
    try:
        changed = os.stat(folder).st_mtime_ns
        return None if os.path.lexists(path) else _names(folder, changed).get(name.casefold())
    except (OSError, ValueError):
        return None


@lru_cache(maxsize=16)  # of a set, many files may be missing
def _names(folder: str, _: int) -> dict[str, str]:
    return {name.casefold(): name for name in os.listdir(folder)}


def storage_error(error: OSError, path: Path | str) -> StorageError:
    """What is raised in place of `error`, which names the file or folder or else happened to `path`."""
    return StorageError(
        f"{error.filename or path}: {error.strerror}. Nothing was kept of what was read: see to the disk, "
        "its free space, the network and the permissions, then load again"
    )
