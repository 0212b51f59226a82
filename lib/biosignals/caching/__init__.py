"""The one disk cache: a result is found again by a key of everything that made it, and written whole or not
at all.

joblib.Memory was considered. It hashes a function's source text but not the code and classes which that uses,
takes a net by its pickle, and has no second key by which another machine finds a result.
"""

from .files import (
    DiskFull,
    is_full,
    locked,
    release,
    remove_left_lock,
    replacing,
    size_below,
    size_in_words,
    temporary_folder,
    writing,
)
from .key import Key, Local, Rows
from .provenance import provenance
from .store import Cache, Entry, call, fetch, fetch_entry, read_entry, with_provenance

__all__ = [
    "Cache", "DiskFull", "Entry", "Key", "Local", "Rows", "call", "fetch", "fetch_entry", "is_full", "locked",
    "provenance", "read_entry", "release", "remove_left_lock", "replacing", "size_below", "size_in_words",
    "temporary_folder", "with_provenance", "writing",
]  # fmt: skip
