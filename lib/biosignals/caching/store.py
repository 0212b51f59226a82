"""Entries on disk: arrays with what made them, in a folder of this machine or in one that travels with the
project.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .files import writing
from .key import Key, Local
from .provenance import provenance

DAMAGE = (OSError, ValueError, KeyError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error)
Entry = tuple[dict[str, np.ndarray], dict]  # arrays, and what is known of how they were made
NUMBERS = "portable_numbers"  # the array of an exported entry that holds its key's numbers

_made: set[str] = set()  # keys that this process computed: what `refit` need not compute twice


@dataclass(frozen=True)
class Cache:
    """The folder of entries, and of those that travel with the project.

    exported: committed entries, taken in any clone and on any processor. refit: take nothing that was there
    before.
    """

    folder: Path
    exported: Path | None = None
    refit: bool = False

    def key(self, *parts: Any) -> Key:
        """The key of what these parts make, see `Key.of`. Raises TypeError as it does."""
        return Key.of(*parts, portable=self.exported is not None)

    def load(self, key: Key, having: str = "") -> Entry | None:
        """The entry of a key, the exported one first; None if there is none that is whole.

        having: how the name of one of its arrays begins. An exported entry may hold fewer than that of this
        machine.
        """
        if self.refit and key.exact not in _made:
            return None
        for entry in (self._exported_entry(key)[1], _read(self._place(key))):
            if entry is not None and any(name.startswith(having) for name in entry[0]):
                return entry
        return None

    def save(self, key: Key, arrays: dict[str, np.ndarray], about: dict) -> None:
        """Keep an entry on this machine; arrays: of any shapes, of numbers or text, no objects."""
        _write(self._place(key), arrays, about)
        _made.add(key.exact)

    def export(self, key: Key, arrays: dict[str, np.ndarray], about: dict) -> None:
        """Put an entry's arrays, of any shapes, among those that travel, where there is a folder for them."""
        if self.exported is not None:
            place, _ = self._exported_entry(key)
            _write(place, arrays | {NUMBERS: _flat(key)}, about)

    def is_exported(self, key: Key) -> bool:
        """Whether an entry of this key travels with the project."""
        return self._exported_entry(key)[1] is not None

    def _place(self, key: Key) -> Path:
        return self.folder / f"{key.exact}.npz"

    def _exported_entry(self, key: Key) -> tuple[Path, Entry | None]:
        """The exported entry of a key and its file; without one, the file where it would be."""
        if self.exported is None:
            return self._place(key), None
        places = sorted(self.exported.glob(f"{key.portable}-*.npz"))
        for place in places:
            entry = _read(place)
            if entry is not None and _is_close(entry[0].pop(NUMBERS, np.zeros(0)), key):
                return place, entry
        return self.exported / f"{key.portable}-{len(places)}.npz", None


def fetch(
    cache: Cache | None, parts: tuple, compute: Callable[[], np.ndarray], export: bool = False
) -> np.ndarray:
    """The array (any, shape) that `compute()` gives, or gave before for the same `parts`.

    export: put it among the entries that travel with the project. Raises TypeError as `Key.of`.
    """
    return fetch_with_provenance(cache, parts, compute, export)[0]


def fetch_with_provenance(
    cache: Cache | None, parts: tuple, compute: Callable[[], np.ndarray], export: bool = False
) -> tuple[np.ndarray, dict]:
    """The array (any, shape) as `fetch` gives it, and the versions, commit and hardware that made it."""
    if cache is None:
        return compute(), provenance()
    key = cache.key(*parts)
    entry = cache.load(key)
    if entry is None:
        entry = {"array": compute()}, provenance()
        cache.save(key, *entry)
    if export and not cache.is_exported(key):
        cache.export(key, *entry)
    return entry[0]["array"], entry[1]


def call(cache: Cache | None, function: Callable, *args: Any, **options: Any) -> Any:
    """`function(*args, **options)`, an array or a table of numbers, computed once. Raises TypeError as
    `Key.of`.
    """

    def compute() -> np.ndarray:
        made = function(*args, **options)
        return made.to_records(index=False) if hasattr(made, "to_records") else made

    array = fetch(cache, (Local(function), function.__qualname__, args, options), compute)
    if array.dtype.names is None:
        return array
    from pandas import DataFrame  # only where there are tables

    return DataFrame(array)


def _write(path: Path, arrays: dict[str, np.ndarray], about: dict) -> None:
    with writing(path) as unfinished:
        np.savez_compressed(unfinished, about=np.array(json.dumps(about)), **arrays)


def _read(path: Path) -> Entry | None:
    """An entry; None where there is none, or one that was cut or damaged: its checksums do not hold."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return arrays, json.loads(str(arrays.pop("about")))
    except DAMAGE:
        return None


def _flat(key: Key) -> np.ndarray:
    return np.array([number for part in key.numbers for number in part])


def _is_close(stored: np.ndarray, key: Key) -> bool:
    """Whether the numbers of an exported entry are those of a key, but for rounding."""
    scales = np.array([max(map(abs, part)) for part in key.numbers for _ in part])
    return stored.shape == scales.shape and bool((np.abs(stored - _flat(key)) <= 1e-3 * scales).all())
