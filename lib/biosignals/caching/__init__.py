"""The one disk cache: a result is found again by a key of everything that made it, and written whole or not
at all.

joblib.Memory was considered. It hashes a function's source text but not the code and classes which that uses,
takes a net by its pickle, and has no second key by which another machine finds a result.
"""

from .files import locked, release, replacing, writing
from .key import Key, Local, Rows
from .provenance import provenance
from .store import Cache, Entry, call, fetch, fetch_entry, with_provenance

__all__ = [
    "Cache", "Entry", "Key", "Local", "Rows", "call", "fetch", "fetch_entry", "locked", "provenance",
    "release", "replacing", "with_provenance", "writing",
]  # fmt: skip
