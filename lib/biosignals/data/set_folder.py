"""The folder of a downloaded set: what lies there of each published file, and how a file gets to its place.

`DOWNLOADED.json`, written last, names what each published file became in the folder: itself, or what was in
an archive. Whatever else lies there is the user's, or the system's such as `.DS_Store`: no change of the set,
and never removed.
"""

import filecmp
import itertools
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from biosignals import caching
from biosignals.data.archives import safe_path

MARKER = "DOWNLOADED.json"

Contents = dict[str, dict[str, int]]  # published file > path below the folder > bytes


def read_contents(folder: Path) -> Contents:
    """What each published file became in a folder; empty where that cannot be read."""
    try:
        files = json.loads((folder / MARKER).read_text())["files"]
        return {name: {path: int(size) for path, size in made.items()} for name, made in files.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}


def write_contents(folder: Path, contents: Contents, about: dict) -> None:
    """Writes the folder's DOWNLOADED.json; about: what else it says."""
    with caching.writing(folder / MARKER) as unfinished:
        unfinished.write_text(json.dumps(about | {"files": contents}, indent=1))


def has_all(contents: Contents, folders: Iterable[Path]) -> bool:
    """Whether every file is in one of the folders, with its size."""
    made = [item for one in contents.values() for item in one.items()]
    return all(any(_size(folder / path) == size for folder in folders) for path, size in made)


def sizes_below(folder: Path) -> dict[str, int]:
    """The files below a folder: path > bytes."""
    return {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in folder.rglob("*")
        if path.is_file()
    }


def move(source: Path, folder: Path, path: str, aside: Path) -> None:
    """Moves a file to `path` below a folder; what is in its way there, and is not the same, to `aside`."""
    place = safe_path(folder, path)
    in_the_way = [step for step in place.parents if folder in step.parents and _is_no_folder(step)]
    if os.path.lexists(place) and not (place.is_file() and filecmp.cmp(source, place, shallow=False)):
        in_the_way.append(place)
    for other in in_the_way:
        kept = aside / other.relative_to(folder)
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(other, kept)
        print(f"{other} was no file of the set and is now {kept}")
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(source, place)


def free_name(place: Path) -> Path:
    """`place`, or the first of place-2, place-3... where nothing lies."""
    others = (place.with_name(f"{place.name}-{number}") for number in itertools.count(2))
    return next(one for one in itertools.chain([place], others) if not os.path.lexists(one))


def remove_empty(folder: Path) -> None:
    """Removes a folder and those below it, as far as they hold no files."""
    for place, _, _ in os.walk(folder, topdown=False):
        if not os.listdir(place):
            os.rmdir(place)


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def _is_no_folder(path: Path) -> bool:
    return os.path.lexists(path) and not path.is_dir()
