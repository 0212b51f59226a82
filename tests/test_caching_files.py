"""Files appear whole where processes are killed, write the same or fill the disk; what the dead left is removed."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from biosignals import caching
from biosignals.caching import Cache, DiskFull, files

HALF_WAY = """
import sys
from pathlib import Path
from biosignals import caching
with caching.{} as unfinished:
    {}
    print(unfinished, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def start(request):
    """Starts a process that is half-way through a block of `caching`: the process, and what it has not finished."""

    def start(call: str, action: str = "pass") -> tuple[subprocess.Popen, Path]:
        command = [sys.executable, "-c", HALF_WAY.format(call, action)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        request.addfinalizer(lambda: (process.kill(), process.communicate()))
        return process, Path(process.stdout.readline().strip())

    return start


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# Half-written files


def test_a_half_written_file_of_a_killed_process_is_removed_by_the_next_that_writes_there(tmp_path, start):
    killed, left = start(f"writing(Path('{tmp_path}/a.npz'))", "unfinished.write_text('half')")
    killed.kill()
    killed.wait()
    (tmp_path / ".mine.txt").write_text("a hidden file of the user's")
    assert left.exists()
    with caching.writing(tmp_path / "b.npz") as unfinished:
        unfinished.write_text("whole")
    assert names(tmp_path) == {"b.npz", ".mine.txt"}


def test_a_half_written_file_of_a_living_process_stays(tmp_path, start):
    living, unfinished = start(f"writing(Path('{tmp_path}/a.txt'))", "unfinished.write_text('whole')")
    with caching.writing(tmp_path / "b.txt") as other:
        other.write_text("b")
    assert unfinished.exists()
    living.communicate("\n")
    assert (tmp_path / "a.txt").read_text() == "whole" and names(tmp_path) == {"a.txt", "b.txt"}


def test_two_writers_of_one_file_do_not_mix_even_with_one_process_id(tmp_path):
    with caching.writing(tmp_path / "a.txt") as first:
        first.write_text("first")
        with caching.writing(tmp_path / "a.txt") as second:
            second.write_text("second")
    assert (tmp_path / "a.txt").read_text() == "first" and names(tmp_path) == {"a.txt"}


# Half-made folders


@pytest.mark.parametrize(("name", "longer"), [("af-12-0", "af-12-0-30"), ("a[1]", "a[1]-2"), ("a*", "a*b")])
def test_a_half_made_folder_is_removed_but_not_that_of_a_longer_name(tmp_path, name, longer):
    own, other = tmp_path / f".{name}-0123abcd", tmp_path / f".{longer}-0123abcd"
    for folder in (own, other, tmp_path / "a1"):
        folder.mkdir()
    with caching.locked(tmp_path / name):
        assert names(tmp_path) - {f".{name}.lock"} == {other.name, "a1"}


def test_a_killed_holder_of_a_lock_is_not_waited_for(tmp_path, start):
    killed, _ = start(f"locked(Path('{tmp_path}/place'))")
    killed.kill()
    with caching.locked(tmp_path / "place"):
        pass
    assert names(tmp_path) == set()


def test_a_lock_that_a_killed_process_left_beside_a_whole_place_goes_and_a_held_one_stays(tmp_path, start):
    holder, _ = start(f"locked(Path('{tmp_path}/place'))")
    caching.remove_left_lock(tmp_path / "place")
    assert names(tmp_path) == {".place.lock"}
    holder.kill()
    holder.wait()
    caching.remove_left_lock(tmp_path / "place")
    assert names(tmp_path) == set()
    caching.remove_left_lock(tmp_path / "place")


def test_who_waits_for_another_process_says_so(tmp_path, start, monkeypatch):
    other, _ = start(f"locked(Path('{tmp_path}/place'))")
    told = []

    def tell(text: str, file) -> None:
        told.append(text)
        other.kill()

    monkeypatch.setattr(files, "print", tell, raising=False)
    for _ in range(2):
        with caching.locked(tmp_path / "place", waiting="waiting for another"):
            assert told == ["waiting for another"]


def test_one_at_a_time_is_in_a_lock_although_each_removes_its_file(tmp_path):
    inside, most = [], []

    def enter(number: int) -> None:
        for _ in range(20):
            with caching.locked(tmp_path / "place"):
                inside.append(number)
                most.append(len(inside))
                os.sched_yield()
                inside.remove(number)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(enter, range(8)))
    assert len(most) == 160 and max(most) == 1 and names(tmp_path) == set()


def test_a_kill_leaves_nothing_beside_a_whole_folder(tmp_path):
    (tmp_path / "place").mkdir()
    code = f"""
import os, shutil, signal
from pathlib import Path
from biosignals import caching
shutil.rmtree = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
with caching.replacing(Path('{tmp_path}/place')) as draft:
    (draft / "new").touch()
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    assert not (tmp_path / "place").exists() or names(tmp_path) == {"place"}
    with caching.locked(tmp_path / "place"):
        assert names(tmp_path) <= {"place", ".place.lock"}


def test_a_lock_spares_what_another_process_makes_beside_it(tmp_path):
    with caching.replacing(tmp_path / "set-5-0-0.5") as other, caching.locked(tmp_path / "set-5-0"):
        assert other.is_dir()


# Temporary folders


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The system's place for temporary files, of this process and of those that it starts."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_temporary_folders_of_killed_processes_are_removed_and_others_stay(temporary, start):
    action = "(unfinished / 'weights.ckpt').write_text('large')"
    (killed, left), (living, used) = (start("temporary_folder()", action) for _ in range(2))
    killed.kill()
    killed.wait()
    for name in ("fit-of-another-program", "biosignals-analysis", "biosignals-0123456789abcdef"):
        (temporary / name).mkdir()
    before = names(temporary)
    with caching.temporary_folder() as own:
        assert names(temporary) == before - {left.name} | {own.name}
        assert (used / "weights.ckpt").exists()
    living.communicate("\n")
    assert names(temporary) == before - {left.name, used.name}


def test_a_temporary_folder_is_removed_also_where_its_block_fails(temporary):
    with pytest.raises(RuntimeError), caching.temporary_folder() as folder:
        (folder / "a").write_text("a")
        raise RuntimeError
    assert names(temporary) == set()


def test_an_entry_that_travels_takes_less_room_than_that_of_this_machine(tmp_path):
    cache = Cache(tmp_path / "here", tmp_path / "travels")
    caching.fetch(cache, ("x",), lambda: np.zeros(100_000), export=True)
    (own,), (exported,) = ([*folder.iterdir()] for folder in (cache.folder, cache.exported))
    assert exported.stat().st_size < own.stat().st_size / 50
    assert np.array_equal(caching.fetch(cache, ("x",), pytest.fail, export=True), np.zeros(100_000))


# A full disk


def fill(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_an_entry_that_does_not_fit_on_the_disk_says_how_much_is_needed(tmp_path, monkeypatch):
    monkeypatch.setattr(np.lib.format, "write_array", fill)
    with pytest.raises(DiskFull, match=r"results/\w+\.npz: the disk is full.*about 8 MB\. Make room"):
        caching.fetch(Cache(tmp_path / "results"), ("x",), lambda: np.zeros(1_000_000))
    assert names(tmp_path / "results") == set()


def test_a_folder_that_does_not_fit_on_the_disk_says_how_much_was_written(tmp_path):
    with (
        pytest.raises(DiskFull, match=r"place: the disk is full.*more than 1 MB"),
        caching.replacing(tmp_path / "place") as draft,
    ):
        (draft / "a").write_bytes(bytes(1_000_000))
        with caching.writing(draft / "b", 200_000):
            fill()
    assert names(tmp_path) == set()


def test_a_failed_write_on_a_full_disk_says_so_although_the_error_does_not(tmp_path, monkeypatch):
    """As NumPy's tofile and HDF5, whose errors have no number."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=5000))
    with pytest.raises(DiskFull), caching.replacing(tmp_path / "place"):
        raise OSError("4096 requested and 0 written")
    monkeypatch.undo()
    with pytest.raises(OSError, match="requested") as error, caching.replacing(tmp_path / "place"):
        raise OSError("4096 requested and 0 written")
    assert not isinstance(error.value, DiskFull)


def test_other_errors_stay_what_they_are(tmp_path):
    with pytest.raises(PermissionError), caching.writing(tmp_path / "a"):
        raise PermissionError(errno.EACCES, "Permission denied")


@pytest.mark.parametrize(
    ("size", "words"), [(12, "0 kB"), (5e5, "500 kB"), (3e6, "3 MB"), (4.2e10, "42.0 GB")]
)
def test_sizes_in_words(size, words):
    assert caching.size_in_words(size) == words
