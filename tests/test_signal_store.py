import errno
import json
import multiprocessing
import os
import threading

import numpy as np
import pandas as pd
import pytest

import test_bidmc
import test_wfppg
import tiny_sets
from biosignals import caching
from biosignals.data import bidmc, cinc2017, ptbxl, signal_store, waveforms, wfppg


@pytest.fixture
def root(tmp_path):
    tiny_sets.write_ptbxl(tmp_path / "set")
    return tmp_path / "set"


@pytest.fixture
def reads(monkeypatch):
    """Counts how often a set's files are read instead of its cache."""
    calls, write = [], signal_store.write

    def counted(*args):
        calls.append(args)
        return write(*args)

    monkeypatch.setattr(signal_store, "write", counted)
    return calls


def folders_of(place):
    return [path for path in place.iterdir() if path.is_dir()]


def folder_of(place):
    (folder,) = folders_of(place)
    return folder


def same(one, other):
    pd.testing.assert_frame_equal(one.table, other.table)
    pd.testing.assert_frame_equal(one.excluded, other.excluded)
    return np.array_equal(one.signals, other.signals)


def test_the_second_time_opens_the_memory_map_without_reading_the_set(root, tmp_path, reads):
    first = ptbxl.load(root, cache=tmp_path / "cache")
    second = ptbxl.load(root, cache=tmp_path / "cache")
    assert len(reads) == 1
    assert isinstance(second.signals, np.memmap) and same(first, second)
    assert (second.dataset, second.unit, second.scale, second.sampling_rate) == ("ptb-xl", "mV", 0.001, 100.0)


def test_the_cache_can_not_be_written_through(root, tmp_path):
    with pytest.raises(ValueError, match="read-only"):
        ptbxl.load(root, cache=tmp_path / "cache").signals[0, 0, 0] = 1


def rewrite(path):
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "change",
    [
        lambda root: tiny_sets.write_record(
            root / "records100/00000/00002_lr", tiny_sets.noise(99, 12, 1000), 100, ptbxl.LEADS
        ),
        lambda root: os.utime(root / "records100/00000/00002_lr.dat", ns=(1, 1)),
        lambda root: (root / "records100/00000/00003_lr.dat").unlink(),
        lambda root: (root / ptbxl.DATABASE).write_text(
            (root / ptbxl.DATABASE).read_text().replace("40.0", "41.0")
        ),
        lambda root: os.utime(root / ptbxl.STATEMENTS, ns=(1, 1)),
    ],
    ids=["record", "time", "removed", "database", "statements"],
)
def test_a_changed_source_is_read_again(root, tmp_path, reads, change):
    ptbxl.load(root, cache=tmp_path / "cache")
    change(root)
    again = ptbxl.load(root, cache=tmp_path / "cache")
    assert len(reads) == 2
    assert same(again, ptbxl.load(root, cache=tmp_path / "other"))
    assert folder_of(tmp_path / "cache").is_dir()  # the old one is gone


def test_a_file_that_comes_back_is_noticed(root, tmp_path):
    path = root / "records100/00000/00003_lr.dat"
    content = path.read_bytes()
    path.unlink()
    assert len(ptbxl.load(root, cache=tmp_path / "cache")) == 5
    path.write_bytes(content)
    assert len(ptbxl.load(root, cache=tmp_path / "cache")) == 6


@pytest.mark.parametrize(
    "name", ["signals.bin", "table.json", "excluded.json", "sources.json", "manifest.json"]
)
@pytest.mark.parametrize("damage", ["cut", "empty", "gone"])
def test_a_cache_cut_short_is_made_again(root, tmp_path, reads, name, damage):
    first = ptbxl.load(root, cache=tmp_path / "cache")
    expected, path = np.array(first.signals), folder_of(tmp_path / "cache") / name
    content = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes(content[:-1] if damage == "cut" else b"")
    again = ptbxl.load(root, cache=tmp_path / "cache")
    assert len(reads) == 2 and np.array_equal(again.signals, expected)


@pytest.mark.parametrize("name", ["table.json", "excluded.json", "sources.json", "manifest.json"])
def test_a_cache_with_a_changed_byte_is_made_again(root, tmp_path, reads, name):
    ptbxl.load(root, cache=tmp_path / "cache")
    rewrite(folder_of(tmp_path / "cache") / name)
    ptbxl.load(root, cache=tmp_path / "cache")
    assert len(reads) == 2


@pytest.mark.parametrize(
    "content", ["[]", "null", '{"files": 3}', '{"files": {}}', '{"files": {"/etc/hosts": 1}}']
)
def test_a_foreign_manifest_is_not_believed(root, tmp_path, reads, content):
    ptbxl.load(root, cache=tmp_path / "cache")
    (folder_of(tmp_path / "cache") / "manifest.json").write_text(content)
    assert len(ptbxl.load(root, cache=tmp_path / "cache")) == 6
    assert len(reads) == 2


@pytest.mark.parametrize("shape", ["[7, 12, 1000]", "[5, 12, 1000]", "[6, 12, -1000]", "[6]", "[1e99]", "7"])
def test_a_cache_with_another_shape_is_made_again(root, tmp_path, reads, shape):
    expected = np.array(ptbxl.load(root, cache=tmp_path / "cache").signals)
    manifest = folder_of(tmp_path / "cache") / "manifest.json"
    manifest.write_text(manifest.read_text().replace("[6, 12, 1000]", shape))
    again = ptbxl.load(root, cache=tmp_path / "cache")
    assert len(reads) == 2 and np.array_equal(again.signals, expected)


def test_a_killed_reading_leaves_nothing_behind_that_opens(root, tmp_path, monkeypatch, reads):
    def stop(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(signal_store, "write_table", stop)
        with pytest.raises(KeyboardInterrupt):
            ptbxl.load(root, cache=tmp_path / "cache")
    assert folders_of(tmp_path / "cache") == []
    assert len(ptbxl.load(root, cache=tmp_path / "cache")) == 6


@pytest.mark.parametrize("large", [0, 1 << 24])
def test_a_file_with_a_hole_is_not_the_file_that_was_written(tmp_path, monkeypatch, large):
    monkeypatch.setattr(signal_store, "LARGE", large)
    content = np.random.default_rng(0).bytes(8_000_000)
    (tmp_path / "whole").write_bytes(content)
    (tmp_path / "hole").write_bytes(content[:5_000_000] + bytes(40_000) + content[5_040_000:])
    assert signal_store.describe(tmp_path / "whole") == signal_store.describe(tmp_path / "whole")
    assert signal_store.describe(tmp_path / "whole") != signal_store.describe(tmp_path / "hole")


def test_what_a_killed_process_left_is_removed(root, tmp_path):
    ptbxl.load(root, cache=tmp_path / "cache")
    place = folder_of(tmp_path / "cache")
    place.rename(place.with_name(f".{place.name}-0123abcd"))
    assert len(ptbxl.load(root, cache=tmp_path / "cache")) == 6
    assert folder_of(tmp_path / "cache") == place


def test_other_requests_have_caches_of_their_own(root, tmp_path, reads):
    ptbxl.load(root, cache=tmp_path / "cache")
    ptbxl.load(root, leads=("V1", "I"), cache=tmp_path / "cache")
    ptbxl.load(root, records=[2, 3], cache=tmp_path / "cache")
    assert len(reads) == 3 and len(folders_of(tmp_path / "cache")) == 3
    assert ptbxl.load(root, leads=("V1", "I"), cache=tmp_path / "cache").channels == ("V1", "I")


def test_of_several_readers_at_once_one_reads_and_the_others_wait(root, tmp_path, reads):
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(ptbxl.load(root, cache=tmp_path / "cache")))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(reads) == 1 and len(found) == 4 and all(same(one, found[0]) for one in found)


def test_a_table_comes_back_as_it_was(tmp_path):
    table = pd.DataFrame(
        {
            "number": [0.1, np.nan, 1e300],
            "count": [1, 2, 3],
            "flag": [True, False, True],
            "text": ['a "b"\n', np.nan, ""],
            "missing": np.array([np.nan] * 3, dtype=object),
            "mixed": ["1", None, 1],
            "subject": pd.array([1, pd.NA, 3], dtype="Int64"),
        }
    )
    signal_store.write_table(tmp_path / "table.json", table)
    json.loads((tmp_path / "table.json").read_text())
    pd.testing.assert_frame_equal(signal_store.read_table(tmp_path / "table.json"), table)


def fails(*args, **options):
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


def test_a_whole_cache_opens_where_nothing_can_be_written(root, tmp_path, monkeypatch):
    first = ptbxl.load(root, cache=tmp_path / "cache")
    for name in ("locked", "replacing", "writing"):
        monkeypatch.setattr(caching, name, fails)
    assert same(first, ptbxl.load(root, cache=tmp_path / "cache"))
    with pytest.raises(waveforms.StorageError, match="other.*: Read-only file system. .* load again"):
        ptbxl.load(root, cache=tmp_path / "other")


def test_a_full_disk_is_told_by_the_folder_and_leaves_nothing(root, tmp_path, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(signal_store, "write_table", full)
        with pytest.raises(OSError, match="cache/ptb-xl-100-.*: the disk is full"):
            ptbxl.load(root, cache=tmp_path / "cache")
    assert folders_of(tmp_path / "cache") == []
    assert len(ptbxl.load(root, cache=tmp_path / "cache")) == 6


def while_it_is_read(monkeypatch, happens):
    """Has something happen once, after the third record was read."""
    read, calls = waveforms.read, []

    def watched(*args, **options):
        calls.append(args)
        if len(calls) == 4:
            happens()
        return read(*args, **options)

    monkeypatch.setattr(waveforms, "read", watched)


CHANGES = {
    "the folder goes": lambda root: root.rename(root.with_name("gone")),
    "a part of it goes": lambda root: (root / "records100").rename(root / "gone"),
    "a record that was read": lambda root: os.utime(root / "records100/00000/00001_lr.dat", ns=(1, 1)),
    "a record to be read goes": lambda root: (root / "records100/00000/00006_lr.dat").unlink(),
    "the table": lambda root: (root / ptbxl.DATABASE).write_text(""),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_set_that_changes_while_it_is_read_is_not_kept(root, tmp_path, monkeypatch, change):
    with monkeypatch.context() as patch:
        while_it_is_read(patch, lambda: change(root))
        with pytest.raises(waveforms.StorageError, match="changed or went away while .* load again"):
            ptbxl.load(root, cache=tmp_path / "cache")
    assert folders_of(tmp_path / "cache") == []


def test_a_table_that_changed_before_its_records_were_looked_at_is_noticed(root, tmp_path, monkeypatch):
    def late(database):
        patch.undo()
        (root / ptbxl.DATABASE).write_text((root / ptbxl.DATABASE).read_text().replace("40.0", "41.0"))
        return parse(database)

    parse = ptbxl._parse_all
    with monkeypatch.context() as patch:
        patch.setattr(ptbxl, "_parse_all", late)
        with pytest.raises(waveforms.StorageError, match="changed or went away"):
            ptbxl.load(root, cache=tmp_path / "cache")
    assert 41 in ptbxl.load(root, cache=tmp_path / "cache").table["age"].tolist()


@pytest.mark.parametrize("name", ["cinc2017", "bidmc"])
def test_a_recording_that_is_mended_after_a_plan_looked_at_it_is_noticed(tmp_path, monkeypatch, name):
    if name == "cinc2017":
        tiny_sets.write_cinc2017(tmp_path)
        loader, file = cinc2017, tmp_path / "training2017/A00002.hea"
    else:
        for number in (1, 2):
            test_bidmc.write_record(tmp_path, number)
        loader, file = bidmc, tmp_path / "bidmc_csv/bidmc_02_Fix.txt"
    content, plan = file.read_bytes(), signal_store.Plan
    file.unlink()

    def late(**parts):
        file.write_bytes(content)
        return plan(**parts)

    with monkeypatch.context() as patch:
        patch.setattr(signal_store, "Plan", late)
        with pytest.raises(waveforms.StorageError, match=f"{file.name} changed or went away"):
            loader.load(tmp_path, cache=tmp_path / "cache")
    assert loader.load(tmp_path, cache=tmp_path / "cache").excluded.empty


def test_what_a_plan_left_out_is_read_when_it_is_mended(tmp_path):
    """Headers of CinC 2017, texts of BIDMC and the signals of WF-PPG are looked at before the recordings."""
    tiny_sets.write_cinc2017(tmp_path / "cinc2017")
    test_bidmc.write_record(tmp_path / "bidmc", 1)
    test_bidmc.write_record(tmp_path / "bidmc", 2)
    test_wfppg.write_window(tmp_path / "wf-ppg", 0)
    test_wfppg.write_window(tmp_path / "wf-ppg", 1)
    files = {
        cinc2017: tmp_path / "cinc2017/training2017/A00002.hea",
        bidmc: tmp_path / "bidmc/bidmc_csv/bidmc_02_Fix.txt",
        wfppg: tmp_path / "wf-ppg/1_preprocessed_1000.csv",
    }
    for loader, file in files.items():
        content, name = file.read_bytes(), loader.__name__.rpartition(".")[2]
        root = tmp_path / {"wfppg": "wf-ppg"}.get(name, name)
        file.unlink()
        assert len(loader.load(root, cache=tmp_path / "cache").excluded) == 1
        file.write_bytes(content)
        assert loader.load(root, cache=tmp_path / "cache").excluded.empty


def test_of_two_processes_one_reads_and_both_have_all_of_it(root, tmp_path, monkeypatch):
    context = multiprocessing.get_context("fork")
    start, write = context.Barrier(2), signal_store.write

    def log(line):
        with open(tmp_path / "log", "a") as file:
            file.write(f"{line}\n")

    def load():
        monkeypatch.setattr(signal_store, "write", lambda *args: log("reads") or write(*args))
        start.wait()
        found = ptbxl.load(root, cache=tmp_path / "cache")
        log(same(found, expected))

    expected = ptbxl.load(root, cache=tmp_path / "alone")
    workers = [context.Process(target=load) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted((tmp_path / "log").read_text().split()) == ["True", "True", "reads"]
    assert len(list((tmp_path / "cache").iterdir())) == 1
