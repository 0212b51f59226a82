import errno
import os

import numpy as np
import pytest
import wfdb

import tiny_sets
from biosignals.data import annotation_files
from biosignals.data.waveforms import Unreadable

SAMPLES = [0, 30, 30, 1200, 70_000]
SYMBOLS, NOTES = "+NVN+", ["(AFIB", "", "late", "", "(N"]


@pytest.fixture
def path(tmp_path):
    tiny_sets.write_annotations(tmp_path / "100.atr", SAMPLES, SYMBOLS, NOTES, sampling_rate=360)
    return tmp_path / "100.atr"


def test_marks_are_those_that_wfdb_reads(path):
    found, expected = annotation_files.read(path), wfdb.rdann(str(path.with_suffix("")), "atr")
    assert found.samples.tolist() == SAMPLES == expected.sample.tolist()
    assert list(found.symbols) == list(SYMBOLS) == expected.symbol
    assert list(found.notes) == NOTES and found.sampling_rate == expected.fs == 360


def test_a_file_without_marks_has_none(tmp_path):
    (tmp_path / "1.atr").write_bytes(annotation_files.END)
    found = annotation_files.read(tmp_path / "1.atr")
    assert not len(found.samples) and found.symbols == found.notes == () and found.sampling_rate is None


def cut(path, size):
    path.write_bytes(path.read_bytes()[:size])


def write_backwards(path):
    back = (-20 % (1 << 32)).to_bytes(4, "little")
    path.write_bytes(b"\x40\x04\x00\xec" + back[2:] + back[:2] + b"\x01\x04" + annotation_files.END)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: path.unlink(), "100.atr cannot be read .*No such file.*download the set again"),
        (lambda path: cut(path, -2), "100.atr is cut short"),
        (lambda path: cut(path, -3), "100.atr is cut short"),
        (lambda path: cut(path, 0), "100.atr is cut short"),
        (lambda path: path.write_bytes(bytes(annotation_files.LARGEST_FILE + 2)), "100.atr is too large"),
        (lambda path: path.write_bytes(b"\x01\x04\xff\xfc\x00\x00"), "100.atr cannot be read"),
        (lambda path: path.write_bytes(b"\x01\xd0\x00\x00"), "100.atr has marks of no kind"),
        (write_backwards, "100.atr has annotations that go back in time"),
    ],
)
def test_damaged_files_are_refused_with_their_reason(path, damage, reason):
    damage(path)
    with pytest.raises(Unreadable, match=reason):
        annotation_files.read(path)


def test_marks_beyond_the_recording_are_refused(path):
    assert annotation_files.read(path, last=70_000).samples[-1] == 70_000
    with pytest.raises(Unreadable, match="an annotation at sample 70000, but its recording ends at 69999"):
        annotation_files.read(path, last=69_999)


def test_a_failing_disk_is_no_fault_of_the_file(path, monkeypatch):
    def fail(*_, **__):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(wfdb, "rdann", fail)
    with pytest.raises(OSError, match="Input/output error") as caught:
        annotation_files.read(path)
    assert not isinstance(caught.value, ValueError)


def test_any_bytes_are_read_or_refused(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(300):
        content = rng.integers(0, 256, rng.integers(1, 40) * 2, dtype=np.uint8).tobytes()
        (tmp_path / "1.atr").write_bytes(content + annotation_files.END)
        try:
            found = annotation_files.read(tmp_path / "1.atr", last=1 << 20)
        except Unreadable:
            continue
        assert len(found.samples) == len(found.symbols) == len(found.notes), i
        assert all(isinstance(symbol, str) for symbol in found.symbols)
        assert (np.diff(found.samples) >= 0).all() and found.samples.max(initial=0) <= 1 << 20
