"""What loaders make of damaged files, and long work of kills: `make torture` writes the counts to book/torture.csv.

tests/test_torture.py does a little of both.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import functools
import hashlib
import http.server
import io
import json
import os
import re
import shutil
import signal
import tempfile
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import h5py
import numpy as np
import onnx
import pandas as pd
import torch
from tqdm import tqdm

import test_bidmc
import test_chbmit
import test_helsinki
import test_wfppg
import tiny_sets
from biosignals.caching import Cache, files
from biosignals.compression import export
from biosignals.data import (
    bidmc,
    chbmit,
    cinc2017,
    download,
    eeg,
    helsinki,
    ptbxl,
    sources,
    sph,
    wfppg,
)
from biosignals.data.catalogue import Release
from biosignals.data.recordings import Recordings
from biosignals.training.fit import Fit, TrainingData, fit
from biosignals.training.recipe import Recipe
from test_eeg import noise, write_edf

RECORDS, DAMAGED = 20, 12  # of a set that is read; how many of them are damaged at a time
HANGS = 60  # seconds after which a reader counts as hung

# Damage

NUMBERS = (
    "1e999 -1e999 nan inf -1 0 -5 1e-999 0.5 99999999999999999999 2147483648 0x10 1/0 , \0 1\0 +-5 300(1e30) x"
).split(" ")


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """A file's content after one to three random changes."""
    for _ in range(rng.integers(1, 4)):
        content = CHANGES[rng.integers(len(CHANGES))](content, rng)
    return content


def _flip(content: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.integers(1, 9)):
        if changed:
            changed[rng.integers(len(changed))] = rng.integers(256)
    return bytes(changed)


def _cut(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: rng.integers(len(content) + 1)]


def _replace_stretch(content: bytes, rng: np.random.Generator) -> bytes:
    """A stretch is lost, doubled, or becomes zeros or chance."""
    start, length = rng.integers(len(content) + 1), rng.integers(1, 200)
    stretch = content[start : start + length]
    other = (b"", 2 * stretch, bytes(len(stretch)), rng.bytes(len(stretch)))[rng.integers(4)]
    return content[:start] + other + content[start + length :]


def _replace_number(content: bytes, rng: np.random.Generator) -> bytes:
    """One of the numbers in the first 4 KB becomes another, with as many characters where there is room."""
    found = list(re.finditer(rb"-?\d+(?:\.\d+)?", content[:4096]))
    if not found:
        return _flip(content, rng)
    place, number = found[rng.integers(len(found))], NUMBERS[rng.integers(len(NUMBERS))].encode()
    length = place.end() - place.start()
    number = number.ljust(length)[:length] if rng.random() < 0.3 else number
    return content[: place.start()] + number + content[place.end() :]


def _change_lines(content: bytes, rng: np.random.Generator) -> bytes:
    """A line is lost, doubled or swapped with another."""
    lines = content.split(b"\n")
    one, other = rng.integers(len(lines), size=2)
    kind = rng.integers(3)
    if kind == 0:
        del lines[one]
    elif kind == 1:
        lines.insert(other, lines[one])
    else:
        lines[one], lines[other] = lines[other], lines[one]
    return b"\n".join(lines)


CHANGES = (_flip, _cut, _replace_stretch, _replace_number, _replace_number, _change_lines)

# Sets of twenty records, and what reads them


@dataclass(frozen=True)
class Reader:
    """A loader with a small set.

    write: makes the set in an empty folder. load: (root, cache) > recordings. records: ids, in order. files:
    kinds of files that a record is made of, as path(number of the record). tables: files of the whole set.
    """

    write: Callable[[Path], None]
    load: Callable[[Path, Path], Recordings]
    records: list
    files: dict[str, Callable[[int], str]]
    tables: tuple[str, ...]


def _write_ptbxl(root: Path, fmt: str = "16") -> None:
    tiny_sets.write_ptbxl(root, RECORDS)
    for record in range(1, RECORDS + 1) if fmt != "16" else ():
        counts = tiny_sets.noise(record, 12, 1000)
        tiny_sets.write_record(root / _ptbxl_file("")(record - 1), counts, 100, ptbxl.LEADS, fmt=fmt)


def _ptbxl_file(extension: str) -> Callable[[int], str]:
    return lambda number: f"records100/00000/{number + 1:05d}_lr{extension}"


def _write_sph(root: Path) -> None:
    names, rng = [f"A{i + 1:05d}" for i in range(RECORDS)], np.random.default_rng(0)
    (root / "records").mkdir(parents=True)
    for name in names:
        with h5py.File(root / f"records/{name}.h5", "w") as file:
            file.create_dataset("ecg", data=rng.uniform(-2, 2, (12, 1000)).astype(np.float16))
    about = {"ECG_ID": names, "AHA_Code": "22;23", "Patient_ID": names, "Age": 50, "Sex": "M", "N": 1000}
    pd.DataFrame(about).to_csv(root / "metadata.csv", index=False)
    pd.DataFrame({"Code": [1, 22, 23], "Description": ""}).to_csv(root / "code.csv", index=False)


def _write_bidmc(root: Path) -> None:
    for number in range(RECORDS):
        with mock.patch.dict(test_bidmc.ORDERS, {number: test_bidmc.ORDERS[1]}):
            test_bidmc.write_record(root, number, 300)


def _write_wfppg(root: Path) -> None:
    for number in range(RECORDS):
        test_wfppg.write_window(root, number)


def _write_chbmit(root: Path) -> None:
    names = [f"chb01_{number + 1:02d}" for number in range(RECORDS)]
    entries = [test_chbmit.entry(f"{name}.edf", [(2, 3)]) for name in names]
    test_chbmit.write_summary(root, "chb01", test_chbmit.HEAD + "".join(entries))
    for name in names:
        write_edf(root / f"chb01/{name}.edf", noise(23, 4, 256), 256, test_chbmit.LABELS)


def _load_chbmit(root: Path, cache: Path) -> Recordings:
    recordings, excluded = chbmit.find(root)
    collected = eeg.collect("chb-mit", recordings, 2, 2, 64, cache=cache)
    return _with_exclusions(collected, excluded)


def _write_helsinki(root: Path) -> None:
    root.mkdir(parents=True)
    for number in range(RECORDS):
        write_edf(root / f"eeg{number + 1}.edf", noise(19, 4, 256), 256, test_helsinki.LABELS)
    for expert in helsinki.EXPERTS:
        columns = {number + 1: [0, 1, 1, 0] for number in range(RECORDS)}
        test_helsinki.write_annotations(root, expert, columns)


def _with_exclusions(recordings: Recordings, excluded: pd.DataFrame) -> Recordings:
    return Recordings(**vars(recordings) | {"excluded": pd.concat([excluded, recordings.excluded])})


def _numbered(text: str) -> list[str]:
    return [text % (number + 1) for number in range(RECORDS)]


PTBXL = {
    "load": lambda root, cache: ptbxl.load(root, cache=cache),
    "records": list(range(1, RECORDS + 1)),
    "files": {"header": _ptbxl_file(".hea"), "signals": _ptbxl_file(".dat")},
}
READERS = {
    "ptb-xl": Reader(_write_ptbxl, tables=(ptbxl.DATABASE, ptbxl.STATEMENTS), **PTBXL),
    "ptb-xl, format 212": Reader(functools.partial(_write_ptbxl, fmt="212"), tables=(), **PTBXL),
    "cinc2017": Reader(
        lambda root: tiny_sets.write_cinc2017(root, [1500] * RECORDS, "NAO~" * (RECORDS // 4)),
        lambda root, cache: cinc2017.load(root, cache=cache),
        _numbered("A%05d"),
        {
            "header": lambda number: f"training2017/A{number + 1:05d}.hea",
            "signals": lambda number: f"training2017/A{number + 1:05d}.mat",
        },
        ("training2017/REFERENCE.csv",),
    ),
    "sph": Reader(
        _write_sph,
        lambda root, cache: sph.load(root, cache=cache),
        _numbered("A%05d"),
        {"h5": lambda number: f"records/A{number + 1:05d}.h5"},
        ("metadata.csv", "code.csv"),
    ),
    "bidmc": Reader(
        _write_bidmc,
        lambda root, cache: bidmc.load(root, cache=cache),
        [f"bidmc{number:02d}" for number in range(RECORDS)],
        {
            "csv": lambda number: f"bidmc_csv/bidmc_{number:02d}_Signals.csv",
            "text": lambda number: f"bidmc_csv/bidmc_{number:02d}_Fix.txt",
        },
        (),
    ),
    "wf-ppg": Reader(
        _write_wfppg,
        lambda root, cache: wfppg.load(root, cache=cache),
        [f"1000-{number}" for number in range(RECORDS)],
        {
            "csv": lambda number: f"{number}_preprocessed_1000.csv",
            "pulses": lambda number: f"{number}_indices_1000.csv",
        },
        (),
    ),
    "chb-mit": Reader(
        _write_chbmit,
        _load_chbmit,
        _numbered("chb01_%02d"),
        {"edf": lambda number: f"chb01/chb01_{number + 1:02d}.edf"},
        ("chb01/chb01-summary.txt",),
    ),
    "helsinki": Reader(
        _write_helsinki,
        lambda root, cache: helsinki.load(root, 2, 2, cache=cache),
        _numbered("eeg%d"),
        {"edf": lambda number: f"eeg{number + 1}.edf"},
        ("annotations_2017_A.csv", "annotations_2017_C.csv"),
    ),
}


class Set:
    """The set of a reader in `folder`, and what is loaded of it undamaged."""

    def __init__(self, reader: Reader, folder: Path):
        self.reader, self.root, self.cache = reader, folder / "set", folder / "cache"
        reader.write(self.root)
        self.whole = self._load()

    def damage_records(self, kind: str, rng: np.random.Generator) -> Counter:
        """Damages one file each of twelve records: how many are "read" then, and how many "left out".

        AssertionError when loading fails, a record is neither, or others are not what they were.
        """
        numbers = rng.choice(RECORDS, DAMAGED, replace=False)
        files = [self.root / self.reader.files[kind](number) for number in numbers]
        found = self._load_damaged(files, rng)
        names = [self.reader.records[number] for number in numbers]
        reasons = found.excluded.set_index("record")["reason"]
        excluded = {str(record).partition("@")[0] for record in reasons.index}
        outcomes = Counter()
        for name in names:
            is_read = name in _records_of(found).to_numpy()
            assert is_read or str(name) in excluded, f"{name} is neither read nor left out"
            outcomes["read" if is_read else "left out"] += 1
        assert reasons.map(bool).all()
        self._compare(found, set(self.reader.records) - set(names))
        return outcomes

    def damage_table(self, table: str, rng: np.random.Generator) -> Counter:
        """Damages a file of the whole set: whether the set is "read" then or "refused"; else as above."""
        try:
            found = self._load_damaged([self.root / table], rng)
        except (ValueError, FileNotFoundError) as error:
            assert Path(table).name in str(error) or "can be used" in str(error), repr(error)
            return Counter({"refused": 1})
        self._compare(found, set())
        return Counter({"read" if len(found.excluded) == 0 else "left out": 1})

    def _load_damaged(self, files: list[Path], rng: np.random.Generator) -> Recordings:
        contents = [file.read_bytes() for file in files]
        try:
            for file, content in zip(files, contents, strict=True):
                file.write_bytes(damaged(content, rng))
            return self._load()
        finally:
            for file, content in zip(files, contents, strict=True):
                file.write_bytes(content)

    def _load(self) -> Recordings:
        """In memory: the cache is removed, for files may change twice in the clock's smallest step."""
        try:
            with quiet():
                found = self.reader.load(self.root, self.cache)
            return Recordings(**vars(found) | {"signals": np.array(found.signals)})
        finally:
            shutil.rmtree(self.cache, ignore_errors=True)

    def _compare(self, found: Recordings, intact: set) -> None:
        """All `intact` records are there, and what has the id of a recording of the whole set is the same."""
        assert intact <= set(_records_of(found))
        if intact or not self.reader.files.keys() & {"pulses"}:
            own = _records_of(self.whole).isin(intact) if intact else slice(None)
            ids = [one for one in self.whole.table.index[own] if one in found.table.index]
            assert len(ids) == len(set(ids))
            for one in ids:
                before, now = self.whole.table.index.get_loc(one), found.table.index.get_loc(one)
                length = self.whole.table["samples"].iloc[before]
                other = found.signals[now, :, :length] != self.whole.signals[before, :, :length]
                place = np.argwhere(other)[:1].tolist()
                assert not place, f"{one} is another recording now, in {other.sum()} samples from {place} on"


def _records_of(recordings: Recordings) -> pd.Series:
    """The record that each recording, window or pulse is of."""
    return recordings.table.get("recording", recordings.table.index.to_series())


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without progress bars."""
    with contextlib.redirect_stderr(io.StringIO()):
        yield


# Kills


@dataclass(frozen=True)
class Work:
    """Long work that is killed. run: does it, or what is left of it, in a folder; gives what came out of it.

    made: what it works on, made once in a folder of its own.
    """

    made: Callable[[Path], object]
    run: Callable[[object, Path], object]


def _store(root: Path, folder: Path) -> str:
    found = cinc2017.load(root, cache=folder)
    return digest(found.signals, found.table.to_csv(), found.excluded.to_csv())


def _make_store(folder: Path) -> Path:
    tiny_sets.write_cinc2017(folder, [9000] * 200, "NAO~" * 50)
    return folder


def _simulate(_: object, folder: Path) -> str:
    root = sources.locate("wf-ppg", None, folder, 1, minutes=0.25).root
    return digest(*(path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()))


def _make_examples(_: Path) -> TrainingData:
    rng, targets = np.random.default_rng(0), np.eye(2, dtype=np.float32)[np.arange(32) % 2]
    table = pd.DataFrame({"subject": range(32), "samples": 100})
    signals = rng.normal(size=(32, 2, 100)).astype(np.float32)
    recordings = Recordings("made", signals, 1.0, "mV", 100.0, ("a", "b"), table)
    return TrainingData(recordings, targets, np.arange(32))


def _fit(data: TrainingData, folder: Path) -> Fit:
    recipe = Recipe(epochs=1, batch_size=16, crop=None)
    return fit("student-57k", data, recipe, cache=Cache(folder / "own", folder / "exported"))


def _fit_entry(data: TrainingData, folder: Path) -> str:
    found = _fit(data, folder)
    return digest(*(value.numpy() for value in found.net.state_dict().values()), found.history.to_csv())


def _export_predictions(data: TrainingData, folder: Path) -> str:
    return digest(_fit(data, folder).predict(data.recordings, np.arange(32), export=True))


def _make_model(_: Path) -> onnx.ModelProto:
    weights = np.random.default_rng(0).normal(size=(1000, 3000)).astype(np.float32)
    made = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])],
        "net",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, (1, 1000))],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, (1, 3000))],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    return onnx.helper.make_model(made, opset_imports=[onnx.helper.make_opsetid("", export.OPSET)])


def _export(model: onnx.ModelProto, folder: Path) -> str:
    return digest(export.save_model(model, folder / "net.onnx").read_bytes())


class _Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


def _make_release(folder: Path) -> str:
    """A release of two archives, served at the address that is given back until the process ends."""
    folder.mkdir(parents=True)
    rng, listed = np.random.default_rng(0), []
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(_Files, directory=str(folder))
    )
    url = f"http://127.0.0.1:{server.server_address[1]}"
    for name in ("a.zip", "b.zip"):
        with zipfile.ZipFile(folder / name, "w") as archive:
            for number in range(150):
                archive.writestr(f"{name[0]}/{number:03d}.dat", rng.bytes(3000))
        content = (folder / name).read_bytes()
        listed.append(
            {
                "name": name,
                "size": len(content),
                "computed_md5": hashlib.md5(content).hexdigest(),
                "download_url": f"{url}/{name}",
            }
        )
    (folder / "1").mkdir()
    (folder / "1/files").write_text(json.dumps(listed))
    if os.fork() == 0:  # a process of its own: a fork of one with a thread may hang
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
        server.serve_forever(poll_interval=0.01)
    server.server_close()
    return url


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(0)


def _download(url: str, folder: Path) -> str:
    release = Release("A set", "CC0 1.0", url, "figshare", ("1",), 1e6, 2e6, archives=True)
    places = mock.patch.multiple(download, CATALOGUE={"set": release}, SERVERS={"figshare": url})
    with places, contextlib.redirect_stdout(io.StringIO()):
        (root,) = download.fetch(["set"], folder)
    return digest(*(path.read_bytes() for path in sorted(root.rglob("*.dat"))))


WORKS = {
    "signal store": Work(_make_store, _store),
    "simulation": Work(lambda folder: None, _simulate),
    "cache entry of a fit": Work(_make_examples, _fit_entry),
    "export of predictions": Work(_make_examples, _export_predictions),
    "export of a model": Work(_make_model, _export),
    "download and unpacking": Work(_make_release, _download),
}


class Trial:
    """One kind of work, with what it gives and leaves when nobody kills it."""

    def __init__(self, work: Work, folder: Path):
        torch.set_num_threads(1)  # others would not live on in a fork
        self.work, self.folder = work, folder / "work"
        self.made = work.made(folder / "made")
        with quiet():
            self.result, self.left = work.run(self.made, self.folder), self._list()
        shutil.rmtree(self.folder)
        started = time.perf_counter()
        self._run_killed(float("inf"))
        self.seconds = time.perf_counter() - started
        shutil.rmtree(self.folder)

    def kill(self, rng: np.random.Generator) -> str:
        """Kills the work at a random moment and does it again: "interrupted", or "finished" before the kill.

        AssertionError unless it then gives what it should and leaves no file behind that it otherwise does not.
        """
        finished = self._run_killed(rng.uniform(0, 1.05 * self.seconds))
        try:
            files._sweep.cache_clear()  # the next run is another process
            with quiet():
                assert self.work.run(self.made, self.folder) == self.result, "another result after a kill"
            assert self._list() == self.left, f"left behind: {self._list() ^ self.left}"
        finally:
            shutil.rmtree(self.folder)
        return "finished" if finished else "interrupted"

    def _run_killed(self, seconds: float) -> bool:
        """Whether the work ended by itself within `seconds`, after which its process is killed."""
        process = os.fork()
        if process == 0:
            status, tempfile.tempdir = 1, str(self.folder.parent)  # what a kill leaves there goes with it
            tqdm.set_lock(threading.RLock())  # its own, which all forks share, would stay locked by a kill
            try:
                with quiet():
                    self.work.run(self.made, self.folder)
                status = 0
            finally:
                os._exit(status)
        if seconds < float("inf"):
            time.sleep(seconds)
            os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        self.folder.mkdir(exist_ok=True)
        assert status in (0, signal.SIGKILL), f"the work failed, {status}"
        return status == 0

    def _list(self) -> set[str]:
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*")}


def digest(*parts: np.ndarray | bytes | str) -> str:
    """A hash of arrays (any shape), bytes and texts."""
    found = hashlib.sha256()
    for part in parts:
        found.update(part.encode() if isinstance(part, str) else np.ascontiguousarray(part).tobytes())
    return found.hexdigest()


# The long form


def main() -> None:
    """Kills and damages for long, and writes the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=300, help="over all kinds of work")
    parser.add_argument("--seconds", type=float, default=60, help="of damage for each reader")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--table", type=Path, default=Path("book/torture.csv"))
    options = parser.parse_args()
    rows = []
    for name, work in WORKS.items():
        with tempfile.TemporaryDirectory() as folder:
            counts = kill_often(Trial(work, Path(folder)), options.kills // len(WORKS), options.seed)
        rows.append([f"kill: {name}", counts["interrupted"], counts["finished"], counts["failed"]])
        print(*rows[-1], flush=True)
    for name, reader in READERS.items():
        with tempfile.TemporaryDirectory() as folder:
            counts = damage_long(Set(reader, Path(folder)), options.seconds, options.seed)
        bad = counts["left out"] + counts["refused"]
        rows.append([f"damage: {name}", bad, counts["read"], counts["failed"]])
        print(*rows[-1], flush=True)
    columns = ["trial", "made good or refused", "no effect", "failed"]
    pd.DataFrame(rows, columns=columns).to_csv(options.table, index=False)


def kill_often(trial: Trial, times: int, seed: int) -> Counter:
    """How many of so many kills of a work "interrupted" it, came when it had "finished", or "failed"."""
    rng, counts = np.random.default_rng(seed), Counter()
    for _ in range(times):
        try:
            counts[trial.kill(rng)] += 1
        except AssertionError as error:
            print(error, flush=True)
            counts["failed"] += 1
    return counts


def damage_long(made: Set, seconds: float, seed: int) -> Counter:
    """How many damaged files were "read" nonetheless, "left out", "refused" (tables) or "failed"."""
    rng, counts, end = np.random.default_rng(seed), Counter(), time.monotonic() + seconds
    while time.monotonic() < end:
        for kind in (*made.reader.files, *made.reader.tables):
            faulthandler.dump_traceback_later(HANGS, exit=True)
            try:
                counts += (
                    made.damage_records(kind, rng)
                    if kind in made.reader.files
                    else made.damage_table(kind, rng)
                )
            except Exception as error:  # noqa: BLE001 - a crash is what is looked for
                print(f"{kind}: {error!r}", flush=True)
                counts["failed"] += 1
    faulthandler.cancel_dump_traceback_later()
    return counts


if __name__ == "__main__":
    main()
