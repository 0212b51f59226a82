"""Entries on disk: arrays with what made them, in a folder of this machine or in one that travels with the
project.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from .files import writing
from .key import Key, Local
from .provenance import provenance

DAMAGE = (OSError, ValueError, KeyError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error)
Entry = tuple[dict[str, np.ndarray], dict]  # arrays, and what is known of how they were made
NUMBERS = "portable_numbers"  # the array of an exported entry that holds its key's numbers
DROPPED = 11  # of the 23 bits of a float32's fraction, in what travels: at most 1.3e-4 of a number

_written: set[Path] = set()  # by this process: what `refit` need not compute twice


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

    def fetch(
        self, key: Key, make: Callable[[], Entry], having: str = "", export: str | None = None
    ) -> Entry:
        """The entry of a key: the exported one, else that of this machine, else what `make()` gives now.

        having: how the name of an array begins that it must hold; an exported entry may hold fewer than that
        of this machine. export: how the names of those arrays begin that are to travel with the project, ""
        for all, None for none. What is known of an entry that travels says under `entry` how its file is
        called.
        """
        place, exported = self._exported_entry(key)
        if self.refit and place not in _written:
            exported = None
        entry, own = exported, self._place(key)
        if entry is None or not _holds(entry, having):
            entry = None if self.refit and own not in _written else read_entry(own)
        if entry is None or not _holds(entry, having):
            entry = make()
            _write(own, *entry)
        if export is not None and self.exported is not None:
            travels = {name: rounded(array) for name, array in entry[0].items() if name.startswith(export)}
            if exported is None or not travels.keys() <= exported[0].keys():
                _write(place, travels | {NUMBERS: _flat(key)}, entry[1], compressed=True)
            # Rounded here as in any clone, so that all compute the same from it.
            entry = entry[0] | travels, entry[1] | {"entry": place.stem}
        return entry

    def _place(self, key: Key) -> Path:
        return self.folder / f"{key.exact}.npz"

    def _exported_entry(self, key: Key) -> tuple[Path, Entry | None]:
        """The exported entry of a key and its file; without one, the file where it would be."""
        if self.exported is None:
            return self._place(key), None
        places = sorted(self.exported.glob(f"{key.portable}-*.npz"))
        for place in places:
            entry = read_entry(place)
            if entry is not None and _is_close(entry[0].pop(NUMBERS, np.zeros(0)), key):
                return place, entry
        free = next(number for number in count() if self._numbered(key, number) not in places)
        return self._numbered(key, free), None

    def _numbered(self, key: Key, number: int) -> Path:
        return self.exported / f"{key.portable}-{number}.npz"


def fetch(
    cache: Cache | None, parts: tuple, compute: Callable[[], np.ndarray], export: bool = False
) -> np.ndarray:
    """The array (any, shape) that `compute()` gives, or gave before for the same `parts`.

    export: put it among the entries that travel with the project. Raises TypeError as `Key.of`.
    """
    return fetch_entry(cache, parts, partial(with_provenance, compute), export)[0]["array"]


def fetch_entry(cache: Cache | None, parts: tuple, make: Callable[[], Entry], export: bool = False) -> Entry:
    """Arrays (any, shape) by name and how they were made, as `make()` gives them, or gave for the same
    `parts`: see `fetch`.
    """
    if cache is None:
        return make()
    return cache.fetch(cache.key(*parts), make, export="" if export else None)


def with_provenance(compute: Callable[[], np.ndarray]) -> Entry:
    """The entry of an array (any, shape) that `compute()` gives now."""
    return {"array": compute()}, provenance()


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


def rounded(array: np.ndarray) -> np.ndarray:
    """An array (any, shape) of float32 with DROPPED bits less in each number, which compresses well; others
    as they are.
    """
    if array.dtype != np.float32:
        return array
    bits = np.ascontiguousarray(array).view(np.uint32) + np.uint32(1 << (DROPPED - 1))
    short = (bits & np.uint32(-(1 << DROPPED) & 0xFFFFFFFF)).view(np.float32)
    return np.where(np.isfinite(array), short, array).reshape(array.shape)


def _holds(entry: Entry, having: str) -> bool:
    return any(name.startswith(having) for name in entry[0])


def _write(path: Path, arrays: dict[str, np.ndarray], about: dict, compressed: bool = False) -> None:
    """Write an entry whole or not at all. Weights hardly become smaller, and a short fit takes less time than
    to compress them: only what travels is compressed, by bzip2, which makes it a quarter smaller than NumPy's
    own way.
    """
    method = zipfile.ZIP_BZIP2 if compressed else zipfile.ZIP_STORED
    members = {"about": np.array(json.dumps(about)), **arrays}
    needed = sum(array.nbytes for array in members.values())
    with writing(path, needed) as unfinished, zipfile.ZipFile(unfinished, "w", method) as file:
        for name, array in members.items():
            with file.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
    _written.add(path)


def read_entry(path: Path) -> Entry | None:
    """The entry in a file; None where there is none, or one that was cut or damaged: its checksums fail."""
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
