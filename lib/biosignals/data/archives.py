"""Unpacks archives that came from elsewhere."""

import gzip
import lzma
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath

from biosignals import caching
from biosignals.progress import tqdm

MOST_MEMBERS = 200_000
LARGEST_CONTENT = 100 * 10**9  # bytes
HIGHEST_RATIO = 100  # bytes unpacked for a byte of archive
CHUNK = 1 << 20

DAMAGED = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError)
COLLISIONS = (FileExistsError, NotADirectoryError, IsADirectoryError)


class ArchiveError(ValueError):
    """An archive that is damaged or must not be unpacked."""


def is_archive(path: Path) -> bool:
    """Whether a file is a zip or tar archive (by its content, not its name)."""
    return zipfile.is_zipfile(path) or tarfile.is_tarfile(path)


def unpack(archive: Path, folder: Path) -> None:
    """Unpacks a zip or tar file into `folder`, which appears when everything is in it.

    Raises ArchiveError, and leaves nothing behind, for absolute paths, "..", links, special files, names that
    come twice, encrypted and damaged archives, and for content beyond all proportion.
    """
    limit = min(LARGEST_CONTENT, HIGHEST_RATIO * archive.stat().st_size + CHUNK)
    members = _zip_members if zipfile.is_zipfile(archive) else _tar_members
    written = 0
    try:
        with caching.replacing(folder) as draft:
            bar = tqdm(members(archive), f"unpacking {archive.name}", unit=" files")
            for number, (name, is_folder, source) in enumerate(bar):
                if number >= MOST_MEMBERS:
                    raise ArchiveError(f"more than {MOST_MEMBERS} members")
                path = safe_path(draft, name)
                (path if is_folder else path.parent).mkdir(parents=True, exist_ok=True)
                if is_folder:
                    continue
                with source() as data, open(path, "xb") as out:
                    while chunk := data.read(CHUNK):
                        written += len(chunk)
                        if written > limit:
                            raise ArchiveError(f"content grows beyond {limit} bytes")
                        out.write(chunk)
    except (ArchiveError, RuntimeError, *DAMAGED, *COLLISIONS) as error:
        raise ArchiveError(f"{archive} is not unpacked: {error}. Delete it and download it again.") from error


def safe_path(folder: Path, name: str) -> Path:
    """The path of name below folder; ArchiveError if it would lie outside or is no portable file name."""
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or name.startswith("/") or re.search(r"[\\:\x00-\x1f]", name):
        raise ArchiveError(f"{name!r} is not a safe file name")
    return folder.joinpath(*parts)


def _zip_members(path: Path) -> Iterator[tuple]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise ArchiveError(f"{info.filename!r} is a link or a special file")
            yield info.orig_filename, info.is_dir(), partial(archive.open, info)


def _tar_members(path: Path) -> Iterator[tuple]:
    with tarfile.open(path) as archive:
        for info in archive:
            if not (info.isfile() or info.isdir()):
                raise ArchiveError(f"{info.name!r} is a link or a special file")
            yield info.name, info.isdir(), partial(archive.extractfile, info)
