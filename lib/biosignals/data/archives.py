"""Unpacks archives that came from elsewhere."""

import errno
import os
import re
import stat
import struct
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Self

from biosignals import caching
from biosignals.progress import tqdm

MOST_MEMBERS = 200_000
LARGEST_CONTENT = 100 * 10**9  # bytes
HIGHEST_RATIO = 100  # bytes unpacked for a byte of archive
LONGEST_NAME = 255  # bytes, on the usual file systems
CHUNK = 1 << 20
FARTHEST_END = (1 << 16) + 22  # bytes; a zip file's end record and the longest comment after it
SIZE_COMES_LATER = 8  # a flag of zip members: the header in front of the content does not tell its size
MOST_PADDING = 64  # chunks of zeros after the end of a tar archive

# Of the system's errors, those that an archive's content causes: names that collide or that the file system
# does not take, places before the archive's beginning. Others, such as a full disk, are no fault of it.
OF_CONTENT = (
    None, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL,
)  # fmt: skip


class ArchiveError(ValueError):
    """An archive that is damaged or must not be unpacked."""


def is_archive(path: Path) -> bool:
    """Whether a file is a zip or tar archive (by its content, not its name)."""
    try:
        return zipfile.is_zipfile(path) or tarfile.is_tarfile(path)
    except Exception as error:
        if _is_of_system(error):
            raise
        return False


def unpack(archive: Path, folder: Path) -> None:
    """Unpacks a zip or tar file into `folder`, which appears when everything is in it.

    Raises ArchiveError, and leaves nothing behind, for what is no archive, absolute paths, "..", links,
    special files, names that come twice or are too long, encrypted and damaged archives, and for content
    beyond all proportion. Raises DiskFull.
    """
    limit = min(LARGEST_CONTENT, HIGHEST_RATIO * archive.stat().st_size + CHUNK)
    try:
        if not is_archive(archive):
            raise ArchiveError("it is no zip or tar archive, or one that is cut short or damaged")
        is_zip = zipfile.is_zipfile(archive)
        members = (_zip_members if is_zip else _tar_members)(archive)
        with caching.replacing(folder, _content_of_zip(archive) if is_zip else 0) as draft:
            _write(tqdm(members, f"unpacking {archive.name}", unit=" files"), draft, limit)
    except Exception as error:  # damage makes zipfile, tarfile and the decompressors raise almost anything
        if _is_of_system(error):
            raise
        raise ArchiveError(f"{archive} is not unpacked: {str(error) or type(error).__name__}.") from error


def safe_path(folder: Path, name: str) -> Path:
    """The path of name below folder; ArchiveError if it would lie outside or is no portable file name."""
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or name.startswith("/") or re.search(r"[\\:\x00-\x1f]", name):
        raise ArchiveError(f"{_shortened(name)} is not a safe file name")
    if max(len(part.encode("utf-8", "surrogatepass")) for part in parts) > LONGEST_NAME:
        raise ArchiveError(
            f"{_shortened(name)} is not a safe file name: it has more than {LONGEST_NAME} bytes"
        )
    return folder.joinpath(*parts)


def _shortened(name: str) -> str:
    return repr(name if len(name) <= 80 else f"{name[:80]}...")


def _is_of_system(error: Exception) -> bool:
    """Whether an error says nothing of an archive: the disk is full, or the folder must not be written to."""
    return isinstance(error, caching.DiskFull) or isinstance(error, OSError) and error.errno not in OF_CONTENT


def _write(members: Iterable[tuple], folder: Path, limit: int) -> None:
    number = written = 0
    for number, (name, size, source) in enumerate(members, start=1):
        if number > MOST_MEMBERS:
            raise ArchiveError(f"more than {MOST_MEMBERS} members")
        path = safe_path(folder, name)
        (path if source is None else path.parent).mkdir(parents=True, exist_ok=True)
        if source is None:  # a folder
            continue
        with source() as data, open(path, "xb") as out:
            while chunk := data.read(CHUNK):
                written += len(chunk)
                if written > limit:
                    raise ArchiveError(f"content grows beyond {limit} bytes")
                out.write(chunk)
            if out.tell() != size:
                raise ArchiveError(f"{_shortened(name)} has {out.tell()} bytes of {size}")
    if not number:
        raise ArchiveError("it holds no files")


def _content_of_zip(path: Path) -> int:
    """Bytes that a zip file announces."""
    with zipfile.ZipFile(path) as archive:
        return sum(info.file_size for info in archive.infolist())


def _zip_members(path: Path) -> Iterator[tuple]:
    with zipfile.ZipFile(path) as archive:
        _check_directory(archive)
        for info in archive.infolist():
            if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise ArchiveError(f"{_shortened(info.filename)} is a link or a special file")
            yield info.orig_filename, info.file_size, None if info.is_dir() else partial(archive.open, info)


def _check_directory(archive: zipfile.ZipFile) -> None:
    """ArchiveError where the list of members, which alone zipfile looks at, is not what the rest of the file
    says: a hole in it would pass for files that are empty or not there.
    """
    file, size = archive.fp, os.fstat(archive.fp.fileno()).st_size
    file.seek(-min(size, FARTHEST_END), os.SEEK_END)
    end = file.read()
    (count,) = struct.unpack_from("<H", end, end.rfind(b"PK\5\6") + 10)
    listed = len(archive.infolist())
    if count not in (listed & 0xFFFF, 0xFFFF):  # 16 bits, which some tools let overflow
        raise ArchiveError(f"it lists {listed} members of {count}")
    for info in archive.infolist():
        file.seek(info.header_offset + 22)
        (size,) = struct.unpack("<L", file.read(4))
        if not info.flag_bits & SIZE_COMES_LATER and size not in (info.file_size, 0xFFFFFFFF):
            raise ArchiveError(f"{_shortened(info.filename)} is {info.file_size} bytes long, or {size}")


def _tar_members(path: Path) -> Iterator[tuple]:
    with tarfile.open(path, tarinfo=_Header) as archive:
        for info in archive:
            if not (info.isfile() or info.isdir()):
                raise ArchiveError(f"{_shortened(info.name)} is a link or a special file")
            yield info.name, info.size, None if info.isdir() else partial(archive.extractfile, info)
        # To the end of the file, where a checksum over all may stand.
        for number, padding in enumerate(iter(partial(archive.fileobj.read, CHUNK), b"")):
            if padding.strip(b"\0") or number > MOST_PADDING:
                raise ArchiveError("content follows after its end")


class _Header(tarfile.TarInfo):
    """A member's header. One that is damaged or missing is an error, which tarfile takes for the archive's
    end.
    """

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(archive)
        except tarfile.HeaderError as error:
            if isinstance(error, tarfile.EOFHeaderError):  # type: ignore[attr-defined]
                raise  # zeros: the end indeed
            raise tarfile.ReadError(
                f"the header after {archive.offset} bytes is damaged or missing"
            ) from error
