"""Hostile and damaged archives are refused and leave nothing behind; sound ones come out whole."""

import errno
import gzip
import io
import random
import shutil
import stat
import tarfile
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biosignals import caching
from biosignals.data import archives
from biosignals.data.archives import ArchiveError, is_archive, safe_path, unpack


def make_zip(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def make_tar(path, members, mode="w:gz"):
    with tarfile.open(path, mode) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def assert_refused(archive, folder, reason):
    with pytest.raises(ArchiveError, match=reason) as caught:
        unpack(archive, folder / "out")
    assert archive.name in str(caught.value)
    assert [path.name for path in folder.iterdir()] == [archive.name]


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("mode", ["zip", "w", "w:gz", "w:xz"])
def test_sound_archive_comes_out_whole(tmp_path, mode):
    members = [("records/a.h5", b"one" * 1000), ("records/deep/b.h5", b""), ("readme.txt", b"text")]
    archive = tmp_path / "set.archive"
    make_zip(archive, members) if mode == "zip" else make_tar(archive, members, mode)

    assert is_archive(archive)
    unpack(archive, tmp_path / "out")

    assert contents(tmp_path / "out") == dict(members)


@pytest.mark.parametrize(
    "name", ["../escaped", "a/../../escaped", "/absolute", "C:\\windows", "a\\..\\b", "a\nb"]
)
def test_unsafe_names_are_refused(tmp_path, name):
    folder = tmp_path / "downloads"
    folder.mkdir()
    assert_refused(
        make_zip(folder / "bad.zip", [("fine", b"1"), (name, b"2")]), folder, "not a safe file name"
    )
    (folder / "bad.zip").unlink()
    assert_refused(
        make_tar(folder / "bad.tgz", [("fine", b"1"), (name, b"2")]), folder, "not a safe file name"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["downloads"]


@given(st.text(alphabet="./\\:a~ \0", max_size=30))
def test_a_safe_path_stays_inside_the_folder(tmp_path_factory, name):
    folder = tmp_path_factory.getbasetemp()
    try:
        path = safe_path(folder, name)
    except ArchiveError:
        return
    assert folder.resolve() in path.resolve().parents or path.resolve() == folder.resolve()


def test_links_are_refused(tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    assert_refused(make_zip(tmp_path / "bad.zip", [(link, b"/etc/passwd")]), tmp_path, "link")
    (tmp_path / "bad.zip").unlink()

    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE):
        info = tarfile.TarInfo("link")
        info.type, info.linkname = kind, "/etc/passwd"
        with tarfile.open(tmp_path / "bad.tar", "w") as archive:
            archive.addfile(info)
        assert_refused(tmp_path / "bad.tar", tmp_path, "link")


@pytest.mark.parametrize("members", [[("a", b"1"), ("a", b"2")], [("a", b"1"), ("a/b", b"2")]])
def test_members_in_each_others_way_are_refused(tmp_path, members):
    assert_refused(make_tar(tmp_path / "bad.tgz", members), tmp_path, "not unpacked")


def test_content_beyond_proportion_is_refused(tmp_path):
    bomb = [(f"zeros{number}", bytes(1 << 20)) for number in range(4)]
    assert_refused(make_zip(tmp_path / "bomb.zip", bomb), tmp_path, "grows beyond")
    (tmp_path / "bomb.zip").unlink()
    assert_refused(make_tar(tmp_path / "bomb.tgz", bomb), tmp_path, "grows beyond")


def test_too_many_members_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MOST_MEMBERS", 10)
    crowd = [(str(number), b"") for number in range(11)]
    assert_refused(make_zip(tmp_path / "crowd.zip", crowd), tmp_path, "more than 10 members")


def test_damaged_archives_are_refused(tmp_path):
    content = bytes(range(256)) * 100
    archive = make_zip(tmp_path / "damaged.zip", [("a", content)])
    damaged = bytearray(archive.read_bytes())
    damaged[60] ^= 0xFF
    archive.write_bytes(damaged)
    assert_refused(archive, tmp_path, "not unpacked")
    archive.unlink()

    archive = make_tar(tmp_path / "short.tgz", [("a", content)])
    archive.write_bytes(archive.read_bytes()[:-20])
    assert_refused(archive, tmp_path, "not unpacked")


def mutated(content, rng):
    """`content` with a bit turned, or a few bytes replaced, lost, doubled or set to zero, or cut short."""
    data, at, length = bytearray(content), rng.randrange(len(content)), rng.randrange(1, 40)
    piece = data[at : at + length]
    how = rng.randrange(6)
    if how == 0:
        data[at] ^= 1 << rng.randrange(8)
    elif how == 1:
        del data[at:]
    else:
        data[at : at + length] = [rng.randbytes(length), b"", piece * 2, bytes(len(piece))][how - 2]
    return bytes(data)


@pytest.mark.parametrize("mode", ["zip", "w", "w:gz", "w:bz2", "w:xz"])
def test_every_damage_is_one_clear_error_or_does_none(tmp_path, mode, monkeypatch):
    monkeypatch.setattr(archives, "tqdm", lambda members, *_, **__: members)
    members = [("records/a.h5", bytes(range(256)) * 4), ("empty.txt", b""), ("b.csv", b"A1,N\n" * 40)]
    archive = tmp_path / "set.archive"
    make_zip(archive, members) if mode == "zip" else make_tar(archive, members, mode)
    sound, rng, refused = archive.read_bytes(), random.Random(0), 0
    for _ in range(200):
        archive.write_bytes(mutated(sound, rng))
        try:
            is_archive(archive)
            unpack(archive, tmp_path / "out")
        except ArchiveError as error:
            refused += 1
            assert str(error).startswith(f"{archive} is not unpacked: ")
            assert [path.name for path in tmp_path.iterdir()] == [archive.name]
            continue
        found = contents(tmp_path / "out")
        shutil.rmtree(tmp_path / "out")
        if mode == "w":  # which has checksums of names and sizes only
            found = {name: len(content) for name, content in found.items()}
            assert found == {name: len(content) for name, content in members}
        else:
            assert found == dict(members)
    assert refused >= 70


@pytest.mark.parametrize("name", ["a" * 300, "folder/" + "ü" * 150 + ".csv", "b" * 300 + "/c"])
def test_names_that_are_too_long_are_refused(tmp_path, name):
    assert_refused(make_zip(tmp_path / "long.zip", [("fine", b"1"), (name, b"2")]), tmp_path, "255 bytes")
    (tmp_path / "long.zip").unlink()
    assert_refused(make_tar(tmp_path / "long.tgz", [("fine", b"1"), (name, b"2")]), tmp_path, "255 bytes")


def test_paths_that_are_too_long_are_refused(tmp_path):
    name = "/".join(["folder" * 30] * 40)
    assert_refused(make_zip(tmp_path / "long.zip", [(name, b"")]), tmp_path, "File name too long")


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("start", [0, 1024, -10240])
def test_holes_of_zeros_do_not_pass_for_the_end_of_a_tar_file(tmp_path, mode, start):
    members = [("a", b"1"), ("b", b"2"), ("c", b"3")]
    data = bytearray(make_tar(tmp_path / "whole.tar", members, "w").read_bytes())
    data[start : start + 512] = bytes(512)
    (tmp_path / "whole.tar").unlink()
    archive = tmp_path / "hole.tar"
    archive.write_bytes(gzip.compress(data) if mode == "w:gz" else data)
    assert_refused(archive, tmp_path, "not unpacked")


def test_a_hole_in_a_zip_files_list_does_not_pass_for_empty_files(tmp_path):
    archive = make_zip(tmp_path / "hole.zip", [("a", b"1" * 99), ("b", b"2" * 99)])
    data = archive.read_bytes()
    entry = data.index(b"PK\1\2")
    archive.write_bytes(data[: entry + 10] + bytes(18) + data[entry + 28 :])  # method, date, checksum, sizes
    assert_refused(archive, tmp_path, "'a' is 0 bytes long, or 99")


def test_a_list_of_fewer_members_than_counted_is_refused(tmp_path):
    archive = make_zip(tmp_path / "short.zip", [("a", b"1"), ("b", b"2")])
    data = bytearray(archive.read_bytes())
    comment = data.index(b"PK\1\2") + 32  # its length, which now takes in the second member
    data[comment] = 47
    archive.write_bytes(data)
    assert_refused(archive, tmp_path, "lists 1 members of 2")


def test_an_archive_of_no_files_is_refused(tmp_path):
    assert_refused(make_zip(tmp_path / "none.zip", []), tmp_path, "holds no files")


class FullDisk(io.BytesIO):
    def write(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_a_full_disk_is_no_fault_of_the_archive(tmp_path, monkeypatch, make):
    archive = make(tmp_path / "set.archive", [("a", bytes(300_000)), ("b", b"2")])
    monkeypatch.setattr(archives, "open", lambda path, mode: FullDisk(), raising=False)
    monkeypatch.setattr(archives, "HIGHEST_RATIO", 10_000)
    with pytest.raises(
        caching.DiskFull, match=r"out: the disk is full; free space needed: .*kB. Make room"
    ) as full:
        unpack(archive, tmp_path / "out")
    assert make is make_tar or "about 300 kB" in str(full.value)
    assert [path.name for path in tmp_path.iterdir()] == [archive.name]
