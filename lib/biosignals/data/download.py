"""Downloads official releases of public data sets: `python -m biosignals.data.download ptb-xl --folder data`.

A set is put together in `FOLDER/NAME.incomplete`. Only when every file is there and verified does that folder
get its final name, or do its files take the place of those of a set that lost some: `FOLDER/NAME` stays where
it is until something better is whole, and a reader's own files stay in it. An interrupted download goes on
where it stopped, which neither pooch nor `caching.writing` offers: both begin anew.
"""

import argparse
import json
import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pooch
import requests

from biosignals import caching
from biosignals.data.archives import ArchiveError, is_archive, safe_path, unpack
from biosignals.data.catalogue import CATALOGUE, SERVERS, Release
from biosignals.progress import tqdm

MARKER = "DOWNLOADED.json"  # in a set's folder, written last: what is of it, and how large
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz")
ATTEMPTS = 5  # without a byte of progress, before a file is given up
BACKOFF = 2.0  # seconds before the second attempt, doubled for each further one
WORKERS = 4  # files at a time: PTB-XL is 87,000 small ones
CHUNK = 1 << 16  # bytes; what a broken connection can cost
LARGEST_LIST = 64 << 20  # bytes; the longest list of files and checksums, PTB-XL's, has less than 10 MB

INTERRUPTIONS = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)


class DownloadError(RuntimeError):
    """A download that failed; the message names the file and the remedy."""


class Missing(DownloadError):
    """A file that the server does not have."""


class Interrupted(Exception):
    """A transfer that stopped and is worth another attempt."""


@dataclass(frozen=True)
class RemoteFile:
    """One file of a release: its path below the set's folder and where to get it."""

    path: str
    urls: tuple[str, ...]  # tried in this order
    checksum: str | None  # "sha256:..." or "md5:...", as published
    size: int | None = None


def _describe(name: str, release: Release) -> str:
    """Two lines about a set: what it is, size, licence and page."""
    size = "size told when the download starts"
    if release.size and release.disk:
        size = f"about {_bytes(release.size)} to download, {_bytes(release.disk)} on disk"
    return f"{name:9} {release.title}\n          {size}; licence {release.licence}; {release.page}"


def _bytes(size: float) -> str:
    """A number of bytes in words."""
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.0f} MB"


def fetch(names: Iterable[str], folder: str | Path) -> list[Path]:
    """Downloads, verifies and unpacks sets into folder/name and returns these folders.

    A set that is already whole is skipped, one that lost or changed files is repaired, files that are not its
    own stay as they are, and a folder that this function did not make is left alone. Raises ValueError for an
    unknown name, DownloadError for what keeps a set from being whole, ArchiveError for an archive or a file
    name that is not safe.
    """
    names = list(dict.fromkeys(names))
    if unknown := [name for name in names if name not in CATALOGUE]:
        raise ValueError(f"unknown data set {', '.join(unknown)}: choose from {', '.join(CATALOGUE)}")
    for name in names:
        print(_describe(name, CATALOGUE[name]))
    with requests.Session() as session:
        found = []
        for name in names:
            with caching.locked(Path(folder) / name):  # one process at a time
                found.append(_fetch_set(name, CATALOGUE[name], Path(folder), session))
        return found


def _fetch_set(name: str, release: Release, folder: Path, session) -> Path:
    target, incoming = folder / name, folder / f"{name}.incomplete"
    if target.exists():
        if _is_whole(target):
            print(f"{target}: already complete")
            return target
        print(f"{target}: files changed since the download; checking each and getting what is missing")
    incoming.mkdir(parents=True, exist_ok=True)

    files = _list_files(release, incoming, session)
    for file in files:
        _take_over(target, incoming, file)
    done = {file for file in tqdm(files, f"{name}: what is here") if _is_there(incoming, file)}
    _require_space(incoming, max(release.disk or 0, sum(file.size or 0 for file in files)))
    _fetch_files(name, release, files, done, incoming, session)
    unverified = [file.path for file in files if file.checksum is None]
    for path in unverified:
        print(f"{name}: {path} has no published checksum; its size and an archive's own CRC were checked")
    if release.archives:
        _unpack_all([incoming / file.path for file in files], incoming)

    about = {"title": release.title, "page": release.page, "licence": release.licence}
    marker = about | {"without_checksum": unverified, "files": _sizes(incoming)}
    if target.exists():
        _move_into(target, incoming)
    else:
        os.replace(incoming, target)
    with caching.writing(target / MARKER) as unfinished:
        unfinished.write_text(json.dumps(marker, indent=1))
    return target


def _fetch_files(name: str, release: Release, files: list, done: set, incoming: Path, session) -> None:
    """Downloads what is not done, a few files at a time; the first failure stops the rest."""
    total = release.size if any(file.size is None for file in files) else sum(file.size for file in files)
    print(f"{name}: {len(files)} files, {total / 1e9:.2f} GB, {len(done)} files already here")
    pool, stop = ThreadPoolExecutor(WORKERS), threading.Event()
    with tqdm(total=total, desc=name, unit="B", unit_scale=True, smoothing=0.05) as bar:
        bar.update(sum(file.size or _size(incoming / file.path) for file in done))

        def progress(count: int) -> None:
            bar.update(count)
            if stop.is_set():
                raise DownloadError("stopped, because another file failed")

        def one(file: RemoteFile) -> None:
            path = safe_path(incoming, file.path)
            path.parent.mkdir(parents=True, exist_ok=True)
            download(file.urls, path, file.checksum, session, progress)

        try:
            for _ in pool.map(one, [file for file in files if file not in done]):
                pass
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)


# What the publishers offer


def _list_files(release: Release, incoming: Path, session) -> list[RemoteFile]:
    try:
        files = PUBLISHERS[release.publisher](release, incoming, session)
    except (KeyError, TypeError, ValueError) as error:
        raise DownloadError(f"{release.page}: cannot read the publisher's list: {error!r}") from error
    if not files:
        raise DownloadError(f"{release.page}: the publisher lists no files. Run again later.")
    return files


def _physionet(release: Release, incoming: Path, session) -> list[RemoteFile]:
    (project,) = release.records
    checksums = {}
    try:
        text = _read_list(f"{SERVERS['physionet']}/{project}/SHA256SUMS.txt", incoming, session)
        for line in text.splitlines():
            digest, path = line.split(maxsplit=1)
            if not re.fullmatch(r"[0-9a-fA-F]{64}", digest):
                raise ValueError(f"{digest[:80]!r} is no SHA-256")
            checksums[path] = f"sha256:{digest}"
        (incoming / "SHA256SUMS.txt").write_text(text)
    except Missing:
        if not release.only:  # some challenges come without a list of checksums
            raise
    bases = [f"{SERVERS[server]}/{project}" for server in ("physionet mirror", "physionet")]
    return [
        RemoteFile(path, tuple(f"{base}/{quote(path)}" for base in bases), checksums.get(path))
        for path in release.only or checksums
    ]


def _figshare(release: Release, incoming: Path, session) -> list[RemoteFile]:
    listed = []
    for article in release.records:
        url = f"{SERVERS['figshare']}/{article}/files?page_size=1000"
        listed += json.loads(_read_list(url, incoming, session))
    return [
        RemoteFile(one["name"], (one["download_url"],), f"md5:{one['computed_md5']}", int(one["size"]))
        for one in listed
    ]


def _zenodo(release: Release, incoming: Path, session) -> list[RemoteFile]:
    (record,) = release.records
    listed = json.loads(_read_list(f"{SERVERS['zenodo']}/{record}", incoming, session))["files"]
    names = [release.rename.get(one["key"], one["key"]) for one in listed]
    return [
        RemoteFile(name, (one["links"]["self"],), one["checksum"], int(one["size"]))
        for name, one in zip(names, listed, strict=True)
    ]


PUBLISHERS = {"physionet": _physionet, "figshare": _figshare, "zenodo": _zenodo}


def _read_list(url: str, incoming: Path, session) -> str:
    path = incoming / "list-of-files"
    for old in (path, _part(path), _note(path)):
        old.unlink(missing_ok=True)
    download([url], path, session=session)
    if _size(path) > LARGEST_LIST:
        raise DownloadError(f"{url}: the list of files has more than {LARGEST_LIST} bytes and is not read")
    text = path.read_text(encoding="utf-8")
    path.unlink()
    return text


# One file


def download(
    urls: Iterable[str], path: Path, checksum: str | None = None, session=requests, progress=None
) -> None:
    """Downloads one file to path, from the first of the urls that has it, and verifies its checksum.

    Bytes gather in path + ".part", with the server's ETag (or date) and size beside them; the next call goes
    on from there while the server still offers the same file. progress is called with numbers of bytes.
    Raises DownloadError when no url has the file whole.
    """
    error = None
    for url in urls:
        try:
            return _download_from(url, path, checksum, session, progress or (lambda count: None))
        except DownloadError as failed:
            if not isinstance(failed, Missing) or error is None or isinstance(error, Missing):
                error = failed  # what was wrong elsewhere says more than what is missing here
    raise error


def _download_from(url: str, path: Path, checksum: str | None, session, progress) -> None:
    part = _part(path)
    failures = shown = 0
    try:
        while True:
            before = _size(part)
            try:
                for size in _transfer(url, part, session):
                    progress(size - shown)
                    shown = size
                break
            except (Interrupted, *INTERRUPTIONS) as error:
                failures = 1 if _size(part) > before else failures + 1
                if failures >= ATTEMPTS:
                    raise DownloadError(f"{url}: {error}. Run again later to go on.") from error
                time.sleep(BACKOFF * 2 ** (failures - 1))
        if checksum and not _matches(part, checksum):
            part.unlink()
            _note(path).unlink()
            raise DownloadError(
                f"{url}: its checksum is not the published {checksum}, so {path} was not kept. "
                "Run again; if it stays so, the file changed at the publisher or on the way."
            )
    except DownloadError:
        progress(-shown)
        raise
    except requests.RequestException as error:
        raise DownloadError(f"{url}: {error}") from error
    os.replace(part, path)
    _note(path).unlink()


def _transfer(url: str, part: Path, session) -> Iterator[int]:
    """Writes what is missing of one file to part and yields the size so far."""
    note = part.with_name(part.name + ".json")
    known = _read_note(note) if part.is_file() else None
    have = _size(part) if known else 0
    if known and known["size"] == have:
        yield have
        return
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with session.get(url, headers=headers, stream=True, timeout=(20, 60)) as response:
        status = response.status_code
        if status in (408, 425, 429) or status >= 500:
            raise Interrupted(f"the server answers {status} {response.reason}")
        if status not in (200, 206, 416):
            missing = Missing if status in (403, 404, 410) else DownloadError
            raise missing(f"{url}: the server answers {status} {response.reason}. Was the file moved?")
        kind = response.headers.get("Content-Type", "") if status in (200, 206) else ""
        if kind.startswith("text/html") and not url.endswith((".html", ".htm")):
            raise DownloadError(
                f"{url}: the server sends a page, not the file. Does it want a login? Run again later."
            )
        resumed = status == 206
        length = response.headers.get("Content-Length")
        size = (have if resumed else 0) + int(length) if length else None
        version = response.headers.get("ETag") or response.headers.get("Last-Modified")
        offered = {"version": version, "size": size}
        starts_here = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if status == 416 or resumed and not (starts_here and offered == known):
            part.unlink(missing_ok=True)
            raise Interrupted("the file changed on the server")
        if not resumed:
            part.unlink(missing_ok=True)
            note.write_text(json.dumps(offered))
        with open(part, "ab") as out:
            for chunk in response.iter_content(CHUNK):
                out.write(chunk)
                yield out.tell()
    if size is not None and _size(part) != size:
        raise Interrupted(f"the connection closed after {_size(part)} of {size} bytes")


def _part(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def _note(path: Path) -> Path:
    return path.with_name(path.name + ".part.json")


def _read_note(note: Path) -> dict | None:
    try:
        return json.loads(note.read_text())
    except (OSError, ValueError):  # cut short by a kill: the file starts over
        return None


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _matches(path: Path, checksum: str) -> bool:
    algorithm, _, digest = checksum.partition(":")
    return pooch.file_hash(str(path), alg=algorithm) == digest.lower()


# A set's folder


def _is_whole(target: Path) -> bool:
    if not (target / MARKER).is_file():
        raise DownloadError(
            f"{target} is not from this command and is left alone. Move it away or choose another folder."
        )
    try:
        files = json.loads((target / MARKER).read_text())["files"]
        return all(_size(target / path) == size for path, size in files.items())
    except (OSError, ValueError, LookupError, TypeError, AttributeError):  # a marker that was damaged
        return False


def _take_over(target: Path, incoming: Path, file: RemoteFile) -> None:
    """Puts a file that the set has whole beside those that are downloaded, as a link where that can be."""
    there, here = safe_path(target, file.path), safe_path(incoming, file.path)
    if file.checksum and there.is_file() and not here.exists() and _matches(there, file.checksum):
        here.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(there, here)
        except OSError:  # a file system without links
            shutil.copyfile(there, here)


def _move_into(target: Path, incoming: Path) -> None:
    """Puts each file of the whole set `incoming` into its place in `target`, where other files stay."""
    for path in _sizes(incoming):
        place = target / path
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            os.replace(incoming / path, place)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise DownloadError(
                f"{place} of the set is in the way of another: move {error.filename}"
            ) from error
    shutil.rmtree(incoming)


def _is_there(incoming: Path, file: RemoteFile) -> bool:
    path = safe_path(incoming, file.path)
    if path.is_file():
        return file.checksum is None or _matches(path, file.checksum)
    return _unpacked(path).is_dir()


def _unpack_all(paths: list[Path], incoming: Path) -> None:
    """Unpacks each archive beside itself; when all are there, moves what they hold into the set's folder."""
    for path in paths:
        for half_made in incoming.glob(f".{_unpacked(path).name}-*"):  # by a run that was killed
            shutil.rmtree(half_made)
        if path.is_file() and is_archive(path):
            unpack(path, _unpacked(path))
            path.unlink()
        elif path.is_file() and path.suffix in ARCHIVES:
            path.unlink()
            raise DownloadError(
                f"{path.name} is no archive, perhaps a page that was sent in its place: it was not kept. "
                "Run again later."
            )
    for unpacked in filter(Path.is_dir, map(_unpacked, paths)):
        for entry in unpacked.iterdir():
            place = incoming / entry.name
            if place.is_dir():
                shutil.rmtree(place)
            os.replace(entry, place)
        unpacked.rmdir()


def _unpacked(archive: Path) -> Path:
    return archive.with_name(archive.name + ".unpacked")


def _sizes(folder: Path) -> dict[str, int]:
    """The bytes of each file below a folder, by its path there, the marker apart."""
    paths = (Path(place, name) for place, _, names in os.walk(folder) for name in names)
    sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in paths}
    return {path: size for path, size in sorted(sizes.items()) if path != MARKER}


def _require_space(incoming: Path, needed: float) -> None:
    missing = needed - sum(_sizes(incoming).values()) - shutil.disk_usage(incoming).free
    if missing > 0:
        raise DownloadError(
            f"{incoming}: {missing / 1e9:.1f} GB more of free disk space are needed. "
            "Make room or choose another folder, then run again."
        )


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(description="Download the official releases of public data sets.")
    parser.add_argument("names", nargs="*", metavar="SET", help="none: list the sets with size and licence")
    parser.add_argument("--folder", default="data", help="where a folder per set is made (default: data)")
    options = parser.parse_args(arguments)
    if not options.names:
        print("\n".join(_describe(name, release) for name, release in CATALOGUE.items()))
        return 0
    try:
        fetch(options.names, options.folder)
    except KeyboardInterrupt:
        print("\nInterrupted. The same command goes on from here.", file=sys.stderr)
        return 130
    except (DownloadError, ArchiveError, ValueError, OSError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
