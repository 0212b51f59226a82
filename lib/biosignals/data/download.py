"""Downloads official releases of public data sets: `python -m biosignals.data.download ptb-xl --folder data`.

What arrives lies in `FOLDER/NAME.incomplete` until every file is there and verified. Then that folder gets
its final name; for a set that lost files, they are moved to their places. Other files in a set's folder are
left alone. An interrupted download goes on where it stopped, which neither pooch nor `caching.writing`
offers: both begin anew.
"""

import argparse
import glob
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
from biosignals.data import set_folder
from biosignals.data.archives import ArchiveError, safe_path, unpack
from biosignals.data.catalogue import CATALOGUE, SERVERS, Release
from biosignals.data.set_folder import MARKER
from biosignals.progress import tqdm

CHECKSUMS = "SHA256SUMS.txt"  # PhysioNet's list of files
ARCHIVES = (".zip", ".tar", ".tgz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz")
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


class WebPage(DownloadError):
    """A page, such as one that asks for a login, in place of a file."""

    def __init__(self, url: str):
        super().__init__(
            f"{url}: the server sends a page, not the file, and it was not kept. Does the network ask for a "
            "login? Open the address in a browser, then run again."
        )


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
        amounts = [caching.size_in_words(amount) for amount in (release.size, release.disk)]
        size = f"about {amounts[0]} to download, {amounts[1]} on disk"
    return f"{name:9} {release.title}\n          {size}; licence {release.licence}; {release.page}"


def fetch(names: Iterable[str], folder: str | Path) -> list[Path]:
    """Downloads, verifies and unpacks sets into folder/name and returns these folders.

    A set that is already whole is skipped, and one that lost or changed files is repaired. Left alone are a
    folder that this function did not make, and files in a set's folder that are not of the release. Raises
    ValueError for an unknown name, DownloadError for what keeps a set from being whole, ArchiveError for an
    archive or a file name that is not safe.
    """
    names = list(dict.fromkeys(names))
    if unknown := [name for name in names if name not in CATALOGUE]:
        raise ValueError(f"unknown data set {', '.join(unknown)}: choose from {', '.join(CATALOGUE)}")
    for name in names:
        print(_describe(name, CATALOGUE[name]))
    with requests.Session() as session:
        return [_fetch_set(name, CATALOGUE[name], Path(folder), session) for name in names]


def _fetch_set(name: str, release: Release, folder: Path, session) -> Path:
    target = folder / name
    if _is_whole(target):
        caching.remove_left_lock(target)
    else:
        with caching.locked(target, waiting=f"{target}: waiting for another process that downloads it"):
            if not _is_whole(target):  # the other one may have got it meanwhile
                _complete(name, release, target, session)
                return target
    print(f"{target}: already complete")
    return target


def _is_whole(target: Path) -> bool:
    if target.exists() and not (target / MARKER).is_file():
        raise DownloadError(
            f"{target} is not from this command and is left alone. Move it away or choose another folder."
        )
    contents = set_folder.read_contents(target)
    return bool(contents) and set_folder.has_all(contents, [target])


def _complete(name: str, release: Release, target: Path, session) -> None:
    """Downloads what a set lacks; what there is of it stays where it is until all of that has arrived."""
    incoming = target.with_name(f"{target.name}.incomplete")
    if target.exists():
        print(f"{target}: files changed since the download; checking each and getting what is missing")
    incoming.mkdir(parents=True, exist_ok=True)
    known = set_folder.read_contents(target) | set_folder.read_contents(incoming)
    needed = release.disk or 0
    try:
        files = _list_files(release, incoming, session)
        needed = max(needed, sum(file.size or 0 for file in files))
        listed = tqdm(files, f"{name}: what is here")
        done = {file for file in listed if _is_there(file, known, incoming, target)}
        _require_space(incoming, target, needed)
        _fetch_files(name, release, files, done, incoming, target, session)
        unverified = [file.path for file in files if file.checksum is None]
        for path in unverified:
            print(f"{name}: {path} has no published checksum; its size and an archive's own CRC were checked")
        for file in files if release.archives else []:
            _unpack(file.path, incoming, known)
        about = {"title": release.title, "page": release.page, "licence": release.licence}
        _put_into_place(files, known, incoming, target, about | {"without_checksum": unverified})
    except OSError as error:
        if not caching.is_full(error, target.parent):
            raise
        missing = needed - _size_here(incoming, target)
        raise _no_room(incoming, max(missing, getattr(error, "needed", 0), CHUNK)) from error


def _fetch_files(
    name: str, release: Release, files: list, done: set, incoming: Path, target: Path, session
) -> None:
    """Downloads what is not done, a few files at a time; the first failure stops the rest."""
    total = release.size if any(file.size is None for file in files) else sum(file.size for file in files)
    print(f"{name}: {len(files)} files, {total / 1e9:.2f} GB, {len(done)} files already here")
    pool, stop = ThreadPoolExecutor(WORKERS), threading.Event()
    with tqdm(total=total, desc=name, unit="B", unit_scale=True, smoothing=0.05) as bar:
        places = {file: (incoming / file.path, target / file.path) for file in done}
        bar.update(sum(file.size or max(map(_size, places[file])) for file in done))

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
    except WebPage as error:
        raise DownloadError(f"{release.page}: cannot read the publisher's list. {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise DownloadError(f"{release.page}: cannot read the publisher's list: {error!r}") from error
    if not files:
        raise DownloadError(f"{release.page}: the publisher lists no files. Run again later.")
    return files


def _physionet(release: Release, incoming: Path, session) -> list[RemoteFile]:
    (project,) = release.records
    checksums = {}
    try:
        text = _read_list(f"{SERVERS['physionet']}/{project}/{CHECKSUMS}", incoming, session)
        for line in text.splitlines():
            found = re.fullmatch(r"([0-9a-fA-F]{64})\s+(\S.*)", line)
            if found is None:
                raise ValueError(f"{line[:80]!r} is no checksum with the name of a file")
            checksums[found[2]] = f"sha256:{found[1]}"
        (incoming / CHECKSUMS).write_text(text)
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
    may_be_page = checksum is not None or path.suffix.lower() in (".html", ".htm")
    failures = shown = 0
    try:
        while True:
            before = _size(part)
            try:
                for size in _transfer(url, part, session, may_be_page):
                    progress(size - shown)
                    shown = size
                break
            except (Interrupted, *INTERRUPTIONS) as error:
                failures = 1 if _size(part) > before else failures + 1
                if failures >= ATTEMPTS:
                    raise DownloadError(f"{url}: {error}. Run again later to go on.") from error
                time.sleep(BACKOFF * 2 ** (failures - 1))
        _verify(url, path, checksum, may_be_page)
    except DownloadError:
        progress(-shown)
        raise
    except requests.RequestException as error:
        raise DownloadError(f"{url}: {error}") from error
    os.replace(part, path)
    _note(path).unlink()


def _verify(url: str, path: Path, checksum: str | None, may_be_page: bool) -> None:
    """DownloadError, and nothing is kept, where what arrived is not the file."""
    part = _part(path)
    is_page = _is_page(part)
    if _matches(part, checksum) if checksum else may_be_page or not is_page:
        return
    part.unlink()
    _note(path).unlink()
    if is_page:
        raise WebPage(url)
    raise DownloadError(
        f"{url}: its checksum is not the published {checksum}, so {path} was not kept. "
        "Run again; if it stays so, the file changed at the publisher or on the way."
    )


def _transfer(url: str, part: Path, session, may_be_page: bool) -> Iterator[int]:
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
        kind = response.headers.get("Content-Type", "").lower()
        if kind.startswith("text/html") and status != 416 and not may_be_page:
            raise WebPage(url)
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


def _is_page(path: Path) -> bool:
    with open(path, "rb") as file:
        beginning = file.read(1024).lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return beginning.startswith(b"<") and (b"<html" in beginning or b"<!doctype html" in beginning)


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


def _is_there(file: RemoteFile, known: set_folder.Contents, incoming: Path, target: Path) -> bool:
    """Whether a published file, or what was in it, has arrived or is in its place."""
    arrived, place = safe_path(incoming, file.path), safe_path(target, file.path)
    if arrived.is_file():
        return file.checksum is None or _matches(arrived, file.checksum)
    if place.is_file() and file.checksum is not None:
        return _matches(place, file.checksum)
    made = {file.path: known.get(file.path, {})}
    return any(made.values()) and set_folder.has_all(made, [target, incoming, _unpacked(arrived)])


def _unpack(path: str, incoming: Path, known: set_folder.Contents) -> None:
    """Unpacks an archive that has arrived beside itself, notes what was in it and removes it.

    ArchiveError for one that cannot be unpacked, which is removed, so that the next run gets it anew.
    """
    archive = safe_path(incoming, path)
    if not archive.name.lower().endswith(ARCHIVES) or not archive.is_file():
        return
    unpacked = _unpacked(archive)
    for half_made in archive.parent.glob(f".{glob.escape(unpacked.name)}-*"):  # by a run that was killed
        shutil.rmtree(half_made)
    try:
        unpack(archive, unpacked)
    except ArchiveError as error:
        archive.unlink()
        raise ArchiveError(f"{error} It was removed: run again to download it anew.") from error
    known[path] = set_folder.sizes_below(unpacked)
    set_folder.write_contents(incoming, known, {})
    archive.unlink()


def _put_into_place(
    files: list[RemoteFile], known: set_folder.Contents, incoming: Path, target: Path, about: dict
) -> None:
    """Makes the folder of what arrived the set's, or moves what arrived to its places in the set."""
    folder = target if target.exists() else incoming
    aside = set_folder.free_name(target.with_name(f"{target.name}.replaced"))
    names = [file.path for file in files] + [CHECKSUMS] * (incoming / CHECKSUMS).is_file()
    paths = {name: list(known.get(name) or [name]) for name in names}
    for name in names:
        unpacked = _unpacked(incoming / name)
        for path in paths[name]:
            for source in (unpacked / path, incoming / path):
                if source.is_file() and source != folder / path:
                    set_folder.move(source, folder, path, aside)
        set_folder.remove_empty(unpacked)
    contents = {name: {path: _size(folder / path) for path in paths[name]} for name in names}
    set_folder.write_contents(folder, contents, about)
    if folder == incoming:
        os.replace(incoming, target)
    else:
        (incoming / MARKER).unlink(missing_ok=True)
        set_folder.remove_empty(incoming)


def _unpacked(archive: Path) -> Path:
    return archive.with_name(archive.name + ".unpacked")


def _size_here(incoming: Path, target: Path) -> int:
    return caching.size_below(incoming) + caching.size_below(target)


def _require_space(incoming: Path, target: Path, needed: float) -> None:
    missing = needed - _size_here(incoming, target) - shutil.disk_usage(incoming).free
    if missing > 0:
        raise _no_room(incoming, missing)


def _no_room(incoming: Path, missing: float) -> DownloadError:
    return DownloadError(
        f"{incoming}: the disk is full; {caching.size_in_words(missing)} more of free space are needed. Make "
        "room or choose another folder, then run again: what has arrived is kept."
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
