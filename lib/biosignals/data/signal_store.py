"""Keeps what was read from a set as an int16 memory map, so that the next time it opens at once.

A cache folder holds

    signals.bin     int16, (recordings, channels, samples), 1 uV a count
    table.json      the recordings' table
    excluded.json   what was left out and why
    sources.json    every file it was made from, with size and time of change
    manifest.json   shape of the signals, sizes and checksums of the files above; written last

It is written under a temporary name and renamed when complete. A folder without a manifest, cut short, or
made from files that have changed since is not opened but made again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pooch
from tqdm import tqdm

from biosignals import caching
from biosignals.data import waveforms
from biosignals.data.recordings import Recordings, as_slice

VERSION = 1  # of the cache's layout and of what the loaders make of the files: raise it when either changes
LARGE = 1 << 24  # bytes
FILES = ("signals.bin", "table.json", "excluded.json", "sources.json")
BLOCK = 64  # recordings read at a time


@dataclass(frozen=True)
class Request:
    """What somebody asked for; one cache folder per request. `records` None: all."""

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
    tables: files below the root that the table was made from.
    excluded: (record, file, reason) of what was left out already.
    """

    table: pd.DataFrame
    samples: int
    read: Callable[[str], np.ndarray]
    extensions: tuple[str, ...]
    tables: tuple[str, ...]
    excluded: list[tuple]


def recordings(request: Request, plan: Callable[[], Plan], folder: Path | str | None = None) -> Recordings:
    """The recordings of `request`: from their cache below `folder`, or read as `plan()` says and then cached.

    folder None: the user's own cache folder, pooch.os_cache("biosignals"). Raises ValueError when no
    recording can be used, and whatever `plan` raises.
    """
    folder = Path(folder or pooch.os_cache("biosignals"))
    key = hashlib.sha256(json.dumps([VERSION, asdict(request)], default=str).encode()).hexdigest()[:16]
    place = folder / f"{request.dataset}-{request.sampling_rate:g}-{key}"
    make_once(place, request.root, lambda draft: write(draft, request, plan()))
    return open_signals(
        place, "<i2", dataset=request.dataset, scale=1 / waveforms.COUNTS_PER_MILLIVOLT, unit="mV",
        sampling_rate=request.sampling_rate, channels=request.channels,
    )  # fmt: skip


def requested_rows(
    listed: pd.Series | pd.DataFrame, records: tuple | None, path: Path
) -> pd.Series | pd.DataFrame:
    """The rows of `listed`, read from `path`, for `records` (None: all), once each; ValueError for unknown ones."""
    if records is None:
        return listed
    unknown = set(records) - set(listed.index)
    if unknown:
        some = ", ".join(sorted(unknown)[:5])
        raise ValueError(f"{path} lacks {len(unknown)} records asked for: {some}")
    return listed.loc[list(dict.fromkeys(records))]


def make_once(place: Path, root: str, write: Callable[[Path], None]) -> None:
    """Has `write` fill the empty folder `place`, unless it is whole and made from the files below `root` as they are."""
    if is_current(place, root):
        return
    with caching.locked(place):
        if not is_current(place, root):  # another process may have made it meanwhile
            with caching.replacing(place) as draft:
                write(draft)


def is_current(place: Path, root: str) -> bool:
    """Whether folder `place` holds a whole cache, made from the files below `root` as they are now."""
    try:
        files = json.loads((place / "manifest.json").read_text())["files"]
        if files != {name: describe(place / name) for name in FILES}:
            return False
        sources = json.loads((place / "sources.json").read_text())
        return all(state(f"{root}/{file}") == known for file, known in sources.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def open_signals(place: Path, dtype: str, **about) -> Recordings:
    """The recordings kept in folder `place`; the first column of their table holds the ids. about: what is not kept."""
    shape = json.loads((place / "manifest.json").read_text())["shape"]
    signals = np.memmap(place / "signals.bin", dtype=dtype, mode="r", shape=tuple(shape))
    table = read_table(place / "table.json")
    excluded = read_table(place / "excluded.json")
    return Recordings(signals=signals, table=table.set_index(table.columns[0]), excluded=excluded, **about)


def write(place: Path, request: Request, plan: Plan) -> None:
    """Reads the recordings of `plan` into the empty folder `place`."""
    files = [file + extension for file in plan.table["file"] for extension in plan.extensions]
    sources = {file: state(f"{request.root}/{file}") for file in [*plan.tables, *files]}
    (place / "sources.json").write_text(json.dumps(sources))
    facts, problems = [], []
    buffer = np.empty((BLOCK, len(request.channels), plan.samples), dtype="<i2")
    with open(place / "signals.bin", "wb") as file, progress_bar(request, plan) as progress:
        for start in range(0, len(plan.table), BLOCK):
            block = plan.table["file"].iloc[start : start + BLOCK]
            signals, known, unreadable = read_block(block, request, plan, buffer)
            signals.tofile(file)
            facts.append(known)
            problems += unreadable
            progress.update(len(block))
    refuse_missing_leads(request, len(plan.table), problems)
    excluded = [*plan.excluded, *((record, file, str(error)) for record, file, error in problems)]
    refuse_nothing(request, len(plan.table) - len(problems), excluded)
    facts = {name: np.concatenate([known[name] for known in facts]) for name in facts[0]}
    table = plan.table.drop(columns="file").loc[facts.pop("record")].assign(**facts).reset_index()
    excluded = pd.DataFrame(excluded, columns=["record", "file", "reason"], dtype=object)
    excluded = excluded.astype({"record": plan.table.index.dtype})
    shape = [len(table), len(request.channels), plan.samples]
    finish(place, table, excluded, shape, request=asdict(request))


def finish(place: Path, table: pd.DataFrame, excluded: pd.DataFrame, shape: list[int], **about) -> None:
    """Writes what lies beside the signals and their sources, and last the manifest, which says that all is there."""
    write_table(place / "table.json", table)
    write_table(place / "excluded.json", excluded)
    files = {name: describe(place / name) for name in FILES}
    (place / "manifest.json").write_text(json.dumps(about | {"shape": shape, "files": files}, default=str))


def progress_bar(request: Request, plan: Plan) -> tqdm:
    return tqdm(total=len(plan.table), desc=f"reading {request.dataset}", unit=" records", mininterval=1)


def read_block(
    files: pd.Series, request: Request, plan: Plan, buffer: np.ndarray
) -> tuple[np.ndarray, dict, list[tuple]]:
    """Reads the recordings `files` (record id > path below the root) into `buffer`, which has room for them.

    Returns signals int16 (n, channels, samples), what is known of these n (name > values), and
    (record, file, error) of those that could not be read.
    """
    read, lengths, problems = [], [], []
    for record, file in files.items():
        try:
            counts = plan.read(f"{request.root}/{file}")
        except waveforms.Unreadable as error:
            problems.append((record, file, error))
            continue
        buffer[len(read), :, : counts.shape[1]] = counts
        buffer[len(read), :, counts.shape[1] :] = 0
        read.append(record)
        lengths.append(counts.shape[1])
    signals, lengths = buffer[: len(read)], np.array(lengths, dtype=np.int64)
    invalid, unfilled = fill_missing(signals, lengths, request.channels)
    problems += [(read[i], files[read[i]], error) for i, error in unfilled.items()]
    usable = [i for i in range(len(read)) if i not in unfilled]
    signals = signals[as_slice(np.array(usable, dtype=np.intp))]
    known = {"record": np.array(read, dtype=files.index.dtype)[usable], "samples": lengths[usable]}
    known["invalid_samples"] = invalid[usable]
    return signals, known | count_flaws(signals, lengths[usable], request.sampling_rate), problems


def fill_missing(
    signals: np.ndarray, lengths: np.ndarray, channels: tuple[str, ...]
) -> tuple[np.ndarray, dict[int, waveforms.Unreadable]]:
    """Draws lines over missing samples of `signals` (n, channels, samples), in place.

    Returns how many were missing in each recording, int (n,), and the errors of those that miss too many, by position.
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


def count_flaws(signals: np.ndarray, lengths: np.ndarray, sampling_rate: float) -> dict[str, np.ndarray]:
    """How many leads of each recording are flat, and how many saturated, within its length: int (n,) each."""
    if (lengths != signals.shape[-1]).any():
        alone = [(signal[None, :, :length], np.array([length])) for signal, length in zip(signals, lengths)]
        flaws = [count_flaws(signal, length, sampling_rate) for signal, length in alone]
        return {name: np.concatenate([flaw[name] for flaw in flaws]) for name in flaws[0]}
    return {
        "flat_leads": waveforms.flat(signals, sampling_rate).sum(axis=1),
        "saturated_leads": waveforms.saturated(signals, sampling_rate).sum(axis=1),
    }


def refuse_missing_leads(request: Request, planned: int, problems: list[tuple]) -> None:
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


def refuse_nothing(request: Request, usable: int, excluded: list[tuple]) -> None:
    """ValueError when no recording is left, with the commonest reasons."""
    if not usable:
        reasons = Counter(reason for _, _, reason in excluded).most_common(3)
        why = "; ".join(f"{count} x {reason}" for reason, count in reasons) or "none is asked for or listed"
        raise ValueError(f"no recording of {request.dataset} in {request.root} can be used: {why}")


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Writes `table` without its index: JSON, column name > type and values."""
    columns = {name: [str(column.dtype), column.tolist()] for name, column in table.items()}
    path.write_text(json.dumps(columns, default=lambda missing: None))  # only pd.NA is not known to JSON


def read_table(path: Path) -> pd.DataFrame:
    """The table that write_table wrote to `path`."""
    columns = json.loads(path.read_text())
    return pd.DataFrame({name: pd.Series(values, dtype=dtype) for name, (dtype, values) in columns.items()})


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


def state(path: str) -> str:
    """Size and time of last change (ns) of a file, "absent" when there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return "absent"
    return f"{found.st_size} {found.st_mtime_ns}"
