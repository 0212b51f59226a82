"""Hostile and damaged archives are refused and leave nothing behind; sound ones come out whole."""

import io
import stat
import tarfile
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


@pytest.mark.parametrize("mode", ["zip", "w", "w:gz", "w:xz"])
def test_sound_archive_comes_out_whole(tmp_path, mode):
    members = [("records/a.h5", b"one" * 1000), ("records/deep/b.h5", b""), ("readme.txt", b"text")]
    archive = tmp_path / "set.archive"
    make_zip(archive, members) if mode == "zip" else make_tar(archive, members, mode)

    assert is_archive(archive)
    unpack(archive, tmp_path / "out")

    found = {
        path.relative_to(tmp_path / "out").as_posix(): path.read_bytes()
        for path in (tmp_path / "out").rglob("*")
        if path.is_file()
    }
    assert found == dict(members)


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
