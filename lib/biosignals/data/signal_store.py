"""Keeps what was read from a set as an int16 memory map, so that the next time it opens at once.

A folder of the store holds

    signals.bin     int16, (recordings, channels, samples), 1 uV a count
    table.json      the recordings' table
    excluded.json   what was left out and why
    sources.json    every file it was made from, with size and time of change
    manifest.json   shape of the signals, sizes and checksums of the files above; written last

It appears when it is complete. A folder without a manifest, cut short, damaged, or made from files that have
changed since is not opened but made again. What a fault of disk or network kept from being read, or what
changed meanwhile, is not kept: those files would be missing for ever.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pooch

from biosignals import caching
from biosignals.data import waveforms
from biosignals.data.errors import spelt_otherwise
from biosignals.data.recordings import Recordings, as_slice
from biosignals.progress import tqdm

VERSION = 3  # of the store's layout and of what the loaders make of the files: raise it when either changes
LARGE = 1 << 24  # bytes
FILES = ("signals.bin", "table.json", "excluded.json", "sources.json")
BLOCK = 64  # recordings read at a time
State = list[int] | None  # of a file: size in bytes and time of its last change in ns; None: absent
# What opening a folder that was cut or damaged may raise, or sources that are out of reach.
DAMAGE = (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)


@dataclass(frozen=True)
class Request:
    """What somebody asked for; one folder per request. `records` None: all."""

    dataset: str
    root: str
    sampling_rate: float
    channels: tuple[str, ...]
    records: tuple | None


@dataclass(frozen=True)
class Plan:
    """How a request is to be read.

    table: a row per recording, indexed by record id; column `file`: path below the root, without extension.
    samples: length of the longest recording.
    read: path without extension > int16 (channels, samples), 1 uV a count; raises waveforms.Unreadable.
    extensions: of the files that make a recording.
    read_before: files below the root that the plan was made from > their state before they were read.
    excluded: (record, file, reason) of what was left out already.
    """

    table: pd.DataFrame
    samples: int
    read: Callable[[str], np.ndarray]
    extensions: tuple[str, ...]
    read_before: dict[str, State]
    excluded: list[tuple]


def recordings(
    request: Request, plan: Callable[[Request], Plan], folder: Path | str | None = None
) -> Recordings:
    """The recordings of `request`: kept below `folder`, or read as `plan(request)` says and then kept.

    folder None: the user's own cache folder. Raises ValueError when no recording can be used, StorageError as
    `keep`, and whatever `plan` raises.
    """
    return keep(
        folder, f"{request.dataset}-{request.sampling_rate:g}", [asdict(request)], request.root,
        lambda place: write(place, request, plan), dtype="<i2", dataset=request.dataset,
        scale=1 / waveforms.COUNTS_PER_MILLIVOLT, unit="mV", sampling_rate=request.sampling_rate,
        channels=request.channels,
    )  # fmt: skip


def keep(
    folder: Path | str | None,
    name: str,
    parts: list,
    root: str,
    write: Callable[[Path], None],
    dtype: str,
    **about,
) -> Recordings:
    """The recordings that `write` puts into an empty folder, once while the files below `root` do not change.

    folder: where they are kept (None: the user's own cache folder, pooch.os_cache("biosignals")). name,
    parts: what tells them from others. dtype: of the signals. about: what of `Recordings` the folder does not
    hold.

    Raises StorageError, and keeps nothing, when disk or network fails or the files change meanwhile.
    """
    key = hashlib.sha256(json.dumps([VERSION, *parts], default=str).encode()).hexdigest()[:16]
    place = Path(folder or pooch.os_cache("biosignals")) / f"{name}-{key}"
    found = _open(place, root, dtype, about)
    if found is not None:
        caching.remove_left_lock(place)
    else:
        try:
            with caching.locked(place):
                found = _open(place, root, dtype, about)  # another process may have made it meanwhile
                if found is None:
                    with caching.replacing(place) as draft:
                        write(draft)
                    found = _open(place, None, dtype, about)
        except OSError as error:
            if error.errno is None:  # said already
                raise
            raise waveforms.storage_error(error, place) from error
    if found is None:
        raise waveforms.StorageError(f"{place} cannot be read again: see to the disk, then load again")
    return found


def read_csv(path: Path, columns: Iterable[str], remedy: str, **options) -> pd.DataFrame:
    """A set's CSV file, which must have `columns`; options: of pandas.read_csv.

    Raises FileNotFoundError when folder or file is missing and ValueError when it cannot be read, with the
    remedy.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(f"folder {path.parent} does not exist{_or_other(path.parent, remedy)}")
    if not path.is_file():
        raise FileNotFoundError(f"{path.name} is not in {path.parent}{_or_other(path, remedy)}")
    with waveforms.reading(path, f"{remedy} again"):
        table = pd.read_csv(path, **options)
    if not isinstance(table.index, pd.RangeIndex):  # pandas takes the first column for names of rows
        raise ValueError(f"{path} has rows with more cells than its header: {remedy} again")
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise ValueError(f"{path} lacks the column {', '.join(missing)}: {remedy} again")
    return table


def _or_other(path: Path, remedy: str) -> str:
    other = spelt_otherwise(path)
    return f", but {other} is: name it, and all files, as published" if other else f": {remedy}"


def requested_rows(
    listed: pd.Series | pd.DataFrame, records: tuple | None, path: Path
) -> pd.Series | pd.DataFrame:
    """The rows of `listed`, read from `path`, for `records` (None: all), once each.

    Raises ValueError for records that are not listed.
    """
    if records is None:
        return listed
    unknown = set(records) - set(listed.index)
    if unknown:
        some = ", ".join(map(str, sorted(unknown)[:5]))
        raise ValueError(f"{path} lacks {len(unknown)} records asked for: {some}")
    return listed.loc[list(dict.fromkeys(records))]


def complete(root: Path | str, files: pd.Series, extensions: Iterable[str]) -> list[str]:
    """The index, as text, of those `files` below `root` that are there with each of the extensions.

    files: paths without extension, indexed by record.
    """
    paths = files.astype(str)
    folders = paths.str.rpartition("/")[0]
    names = {
        f"{folder}/{name}" if folder else name
        for folder in folders.unique()
        if os.path.isdir(os.path.join(root, folder))
        for name in os.listdir(os.path.join(root, folder))
    }
    wanted = tuple(extensions)
    return [str(record) for record, path in paths.items() if all(path + end in names for end in wanted)]


def write(place: Path, request: Request, make_plan: Callable[[Request], Plan]) -> None:
    """Reads the recordings of `make_plan(request)` into the empty folder `place`.

    Raises ValueError when none can be used, StorageError as `keep`.
    """
    plan = make_plan(request)
    sources = plan.read_before | states(request.root, _files(plan))
    facts, problems = [], []
    buffer = np.empty((BLOCK, len(request.channels), plan.samples), dtype="<i2")
    bar = tqdm(total=len(plan.table), desc=f"reading {request.dataset}", unit=" records", mininterval=1)
    with open(place / "signals.bin", "wb") as file, bar:
        for start in range(0, len(plan.table), BLOCK):
            block = plan.table["file"].iloc[start : start + BLOCK]
            signals, known, unreadable = _read_block(block, request, plan, buffer)
            file.write(signals)
            facts.append(known)
            problems += unreadable
            bar.update(len(block))
    refuse_changes(request.root, sources)
    _refuse_missing_leads(request, len(plan.table), problems)
    excluded = [*plan.excluded, *((record, file, str(error)) for record, file, error in problems)]
    usable = len(plan.table) - len(problems)
    refuse_nothing(f"recording of {request.dataset} in {request.root}", usable, excluded)
    facts = {name: np.concatenate([known[name] for known in facts]) for name in facts[0]}
    table = plan.table.drop(columns="file").loc[facts.pop("record")].assign(**facts).reset_index()
    shape = [len(table), len(request.channels), plan.samples]
    finish(place, table, excluded, sources, shape)


def _files(plan: Plan) -> list[str]:
    """The files of a plan's recordings that were not read before, also of those that are left out."""
    stems = [*plan.table["file"], *(file for _, file, _ in plan.excluded if waveforms.is_inside(file))]
    files = [stem + extension for stem in stems for extension in plan.extensions]
    return [file for file in files if file not in plan.read_before]


def refuse_changes(root: str, sources: dict[str, State]) -> None:
    """Raises StorageError when a file is not what it was; sources: file below `root` > its state before."""
    for file, known in sources.items():
        if state(f"{root}/{file}") != known:
            raise waveforms.StorageError(
                f"{root}/{file} changed or went away while the set was read, so that nothing was kept: load "
                "again when its folder is there and nothing writes to it"
            )


def finish(
    place: Path, table: pd.DataFrame, excluded: list[tuple], sources: dict[str, State], shape: list[int]
) -> None:
    """Writes what lies beside the signals, and last the manifest, which says that all is there.

    table: ids in its first column. excluded: (record, file, reason) of each. sources: file below the root >
    its state.
    """
    excluded = exclusions(excluded).astype({"record": table.dtypes.iloc[0]})
    (place / "sources.json").write_text(json.dumps(sources))
    write_table(place / "table.json", table)
    write_table(place / "excluded.json", excluded)
    files = {name: describe(place / name) for name in FILES}
    (place / "manifest.json").write_text(json.dumps({"shape": shape, "files": files}))


def exclusions(rows: list[tuple]) -> pd.DataFrame:
    """A table of what was left out, of (record, file, reason) of each."""
    return pd.DataFrame(rows, columns=["record", "file", "reason"], dtype=object)


def refuse_nothing(what: str, usable: int, excluded: list[tuple]) -> None:
    """Raises ValueError, with the commonest reasons, when none of `what` is usable."""
    if not usable:
        reasons = Counter(reason for _, _, reason in excluded).most_common(3)
        why = "; ".join(f"{count} x {reason}" for reason, count in reasons) or "none is asked for or listed"
        raise ValueError(f"no {what} can be used: {why}")


def _open(place: Path, root: str | None, dtype: str, about: dict[str, Any]) -> Recordings | None:
    """The recordings in folder `place`; None unless it is whole and its sources below `root` as they were.

    root None: the sources have been looked at just now.
    """
    try:
        manifest = json.loads((place / "manifest.json").read_text())
        if manifest["files"] != {name: describe(place / name) for name in FILES}:
            return None
        if root is not None:
            sources = json.loads((place / "sources.json").read_text())
            if sources != states(root, sources):
                return None
        signals = np.memmap(place / "signals.bin", dtype=dtype, mode="r", shape=tuple(manifest["shape"]))
        table, excluded = read_table(place / "table.json"), read_table(place / "excluded.json")
        found = Recordings(
            signals=signals, table=table.set_index(table.columns[0]), excluded=excluded, **about
        )
        return found if signals.nbytes == manifest["files"]["signals.bin"][0] else None
    except DAMAGE:
        return None


def _read_block(
    files: pd.Series, request: Request, plan: Plan, buffer: np.ndarray
) -> tuple[np.ndarray, dict, list[tuple]]:
    """Reads the recordings `files` (record id > path below the root) into `buffer`, which has room for them.

    Returns signals int16 (n, channels, samples), what is known of these n (name > values), and
    (record, file, error) of those that could not be read.
    """
    read, lengths, problems = [], [], []
    for record, file in files.items():
        try:
            with waveforms.reading(file):
                counts = plan.read(f"{request.root}/{file}")
                if counts.shape[1] > plan.samples:
                    length = f"{counts.shape[1]} samples long, expected {plan.samples} at most"
                    raise waveforms.Unreadable(length)
                buffer[len(read), :, : counts.shape[1]] = counts
                buffer[len(read), :, counts.shape[1] :] = 0
        except waveforms.Unreadable as error:
            problems.append((record, file, error))
            continue
        read.append(record)
        lengths.append(counts.shape[1])
    signals, lengths = buffer[: len(read)], np.array(lengths, dtype=np.int64)
    invalid, unfilled = _fill_missing(signals, lengths, request.channels)
    problems += [(read[i], files[read[i]], error) for i, error in unfilled.items()]
    usable = [i for i in range(len(read)) if i not in unfilled]
    signals = signals[as_slice(np.array(usable, dtype=np.intp))]
    known = {"record": np.array(read, dtype=files.index.dtype)[usable], "samples": lengths[usable]}
    known["invalid_samples"] = invalid[usable]
    return signals, known | _count_flaws(signals, lengths[usable], request.sampling_rate), problems


def _fill_missing(
    signals: np.ndarray, lengths: np.ndarray, channels: tuple[str, ...]
) -> tuple[np.ndarray, dict[int, waveforms.Unreadable]]:
    """Draws lines over missing samples of `signals` (n, channels, samples), in place.

    Returns how many were missing in each recording, int (n,), and the errors of those that miss too many, by
    position.
    """
    invalid, problems = np.zeros(len(signals), dtype=np.int64), {}
    if signals.size and signals.min() == waveforms.INVALID:
        invalid = np.count_nonzero(signals == waveforms.INVALID, axis=(1, 2))
        for i in np.flatnonzero(invalid):
            try:
                own = signals[i, :, : lengths[i]]
                own[:] = waveforms.fill_missing(own, channels)
            except waveforms.Unreadable as error:
                problems[int(i)] = error
    return invalid, problems


def _count_flaws(signals: np.ndarray, lengths: np.ndarray, sampling_rate: float) -> dict[str, np.ndarray]:
    """How many leads of each recording are flat, and how many saturated, within its length: int (n,) each."""
    if (lengths != signals.shape[-1]).any():
        alone = [(signal[None, :, :length], np.array([length])) for signal, length in zip(signals, lengths)]
        flaws = [_count_flaws(signal, length, sampling_rate) for signal, length in alone]
        return {name: np.concatenate([flaw[name] for flaw in flaws]) for name in flaws[0]}
    return {
        "flat_leads": waveforms.flat(signals, sampling_rate).sum(axis=1),
        "saturated_leads": waveforms.saturated(signals, sampling_rate).sum(axis=1),
    }


def _refuse_missing_leads(request: Request, planned: int, problems: list[tuple]) -> None:
    """ValueError when most recordings lack a lead asked for: then it is the set that does not fit."""
    lacking = [(file, error) for _, file, error in problems if isinstance(error, waveforms.MissingLeads)]
    if len(lacking) > planned / 2:
        present = Counter(error.present for _, error in lacking).most_common(1)[0][0]
        where = f"{planned} recordings at {request.sampling_rate:g} Hz in {request.root}"
        raise ValueError(
            f"{len(lacking)} of {where} lack leads that were asked for: most hold only {', '.join(present)}"
            f" ({lacking[0][0]} for one). Ask for leads={present}, for another sampling rate, or for the"
            " records that have them."
        )


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Writes `table` without its index: JSON, column name > type and values, plain numbers in base64, texts
    once each, with their positions.
    """
    columns = {name: [str(column.dtype), _to_json(column)] for name, column in table.items()}
    path.write_text(json.dumps(columns, default=lambda missing: None))  # only pd.NA is not known to JSON


def read_table(path: Path) -> pd.DataFrame:
    """The table that write_table wrote to `path`."""
    columns = json.loads(path.read_text())
    return pd.DataFrame({name: _from_json(dtype, values) for name, (dtype, values) in columns.items()})


def _to_json(column: pd.Series) -> list | str | dict:
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "biuf":
        return base64.b64encode(column.to_numpy()).decode()
    values = column.tolist()
    if column.dtype == object and all(isinstance(value, str) or _is_nan(value) for value in values):
        positions, texts = pd.factorize(column)  # -1 where a text is missing
        return {"texts": texts.tolist(), "positions": base64.b64encode(positions.astype("<i4")).decode()}
    return values


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _from_json(dtype: str, values: list | str | dict) -> pd.Series:
    if isinstance(values, str):
        return pd.Series(np.frombuffer(base64.b64decode(values), dtype).copy())
    if isinstance(values, dict):
        texts = np.array([*values["texts"], np.nan], dtype=object)
        return pd.Series(texts[np.frombuffer(base64.b64decode(values["positions"]), "<i4")])
    return pd.Series(values, dtype=dtype)


def describe(file: Path) -> list:
    """Size and SHA-256 of `file`; of a large one, of 256 pieces of 4 KB evenly spread over it.

    The pieces are enough to find what a loss of power leaves of a large file (a part of it, or holes full of
    zeros) and cost milliseconds where the whole would cost seconds.
    """
    with open(file, "rb", buffering=0) as content:
        size = os.fstat(content.fileno()).st_size
        if size <= LARGE:
            return [size, hashlib.sha256(content.read()).hexdigest()]
        digest = hashlib.sha256()
        for position in np.linspace(0, size - 4096, 256, dtype=int):
            content.seek(position)
            digest.update(content.read(4096))
    return [size, digest.hexdigest()]


def states(root: str, files: Iterable[str]) -> dict[str, State]:
    """The `state` of each of `files` below `root`."""
    return {file: state(f"{root}/{file}") for file in files}


def state(path: str) -> State:
    """Size and time of last change (ns) of a file, None when there is none.

    Raises StorageError when that cannot be told.
    """
    try:
        found = os.stat(path)
    except OSError as error:
        if error.errno in waveforms.FILE_FAULTS:
            return None
        raise waveforms.storage_error(error, path) from error
    except ValueError:  # no name of a file
        return None
    return [found.st_size, found.st_mtime_ns]  # a list, as JSON gives it back
