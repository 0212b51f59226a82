"""Downloads against a small server on loopback: whole, interrupted, changed, damaged and hostile."""

import errno
import hashlib
import http.server
import io
import json
import os
import re
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest

from biosignals.data import archives, download
from biosignals.data.catalogue import CATALOGUE, Release
from biosignals.data.download import DownloadError, fetch, main

CONTENT = bytes(range(256)) * 2000


def sha256(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves web.files; web.breaks says after how many bytes the next answers break off."""

    def do_GET(self):
        web = self.server.web
        path = self.path.partition("?")[0]
        requested = self.headers.get("Range")
        web.requests.append((path, requested))
        if web.failures:
            return self.send_error(web.failures.pop(0))
        if path not in web.files:
            return self.send_error(404)
        content = web.files[path]
        start = int(re.fullmatch(r"bytes=(\d+)-", requested)[1]) if requested and web.ranges else 0
        if start >= len(content) and requested and web.ranges:
            return self.send_error(416)
        self.send_response(206 if requested and web.ranges else 200)
        self.send_header("Content-Length", str(len(content) - start))
        if kind := self.server.web.kinds.get(Path(path).name):
            self.send_header("Content-Type", kind)
        self.send_header("ETag", f'"{hashlib.md5(content).hexdigest()}"')
        if requested and web.ranges:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        end = start + web.breaks.pop(0) if web.breaks and len(content) > 10_000 else len(content)
        self.wfile.write(content[start:end])

    def log_message(self, *args):
        pass


@pytest.fixture
def web(monkeypatch):
    monkeypatch.setattr(download, "BACKOFF", 0.001)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    web = SimpleNamespace(files={}, ranges=True, breaks=[], failures=[], requests=[], kinds={})
    web.url = f"http://127.0.0.1:{server.server_address[1]}"
    web.servers = {
        "physionet": f"{web.url}/files",
        "physionet mirror": f"{web.url}/mirror",
        "figshare": f"{web.url}/figshare",
        "zenodo": f"{web.url}/zenodo",
    }
    server.web = web
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield web
    server.shutdown()
    server.server_close()


def make_zip(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def publish_physionet(web, files, at="files", listed=True):
    web.files |= {f"/{at}/set/1.0/{name}": content for name, content in files.items()}
    if listed:
        lines = [f"{hashlib.sha256(content).hexdigest()} {name}\n" for name, content in files.items()]
        web.files["/files/set/1.0/SHA256SUMS.txt"] = "".join(lines).encode()


def publish_figshare(web, article, files):
    web.files |= {f"/ndownloader/{name}": content for name, content in files.items()}
    web.files[f"/figshare/{article}/files"] = json.dumps(
        [
            {
                "name": name,
                "size": len(content),
                "computed_md5": hashlib.md5(content).hexdigest(),
                "download_url": f"{web.url}/ndownloader/{name}",
            }
            for name, content in files.items()
        ]
    ).encode()


def release(publisher="physionet", records=("set/1.0",), **options):
    values = {
        "title": "A set",
        "licence": "CC0 1.0",
        "page": "https://example.org/set",
        "size": 1e6,
        "disk": 1e6,
    }
    return {"set": Release(publisher=publisher, records=records, **(values | options))}


def fetch_set(web, folder, catalogue=None):
    with mock.patch.multiple(download, CATALOGUE=catalogue or release(), SERVERS=web.servers):
        return fetch(["set"], folder)[0]


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# One file


def test_a_file_arrives_whole(web, tmp_path):
    web.files["/file"] = CONTENT
    counts = []
    download.download([f"{web.url}/file"], tmp_path / "file", sha256(CONTENT), progress=counts.append)
    assert contents(tmp_path) == {"file": CONTENT}
    assert sum(counts) == len(CONTENT)


def test_a_broken_connection_is_resumed_where_it_broke(web, tmp_path):
    web.files["/file"] = CONTENT
    web.breaks = [200_000, 100_000]
    counts = []
    download.download([f"{web.url}/file"], tmp_path / "file", sha256(CONTENT), progress=counts.append)
    assert contents(tmp_path) == {"file": CONTENT}
    starts = [int(requested[6:-1]) if requested else 0 for _, requested in web.requests]
    assert len(starts) == 3 and 0 == starts[0] < starts[1] <= 200_000 and starts[1] < starts[2] <= 300_000
    assert sum(counts) == len(CONTENT)


def test_the_next_call_resumes_what_a_call_could_not_finish(web, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    web.files["/file"] = CONTENT
    web.breaks = [200_000]
    url = [f"{web.url}/file"]
    with pytest.raises(DownloadError, match=r"/file.*Run again"):
        download.download(url, tmp_path / "file", sha256(CONTENT))
    assert not (tmp_path / "file").exists()
    download.download(url, tmp_path / "file", sha256(CONTENT))
    assert contents(tmp_path) == {"file": CONTENT}
    assert web.requests[-1][1] != web.requests[0][1] is None


def interrupted(web, tmp_path, content):
    """Leaves the first 200,000 bytes of content as an interrupted download of /file."""
    (tmp_path / "file.part").write_bytes(content[:200_000])
    note = {"version": f'"{hashlib.md5(content).hexdigest()}"', "size": len(content)}
    (tmp_path / "file.part.json").write_text(json.dumps(note))


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("changed", [True, False])
def test_an_interrupted_file_ends_up_as_the_server_has_it_now(web, tmp_path, ranges, changed):
    web.ranges = ranges
    web.files["/file"] = CONTENT[::-1] if changed else CONTENT
    interrupted(web, tmp_path, CONTENT)
    download.download([f"{web.url}/file"], tmp_path / "file")
    assert contents(tmp_path) == {"file": web.files["/file"]}


def test_an_interrupted_file_that_shrank_on_the_server_starts_over(web, tmp_path):
    web.files["/file"] = b"short"
    interrupted(web, tmp_path, CONTENT)
    download.download([f"{web.url}/file"], tmp_path / "file")
    assert contents(tmp_path) == {"file": b"short"}


def test_a_part_without_a_readable_note_starts_over(web, tmp_path):
    web.files["/file"] = CONTENT
    (tmp_path / "file.part").write_bytes(b"who knows")
    (tmp_path / "file.part.json").write_text('{"version": ')
    download.download([f"{web.url}/file"], tmp_path / "file")
    assert contents(tmp_path) == {"file": CONTENT}


def test_a_wrong_checksum_leaves_nothing_and_names_file_and_remedy(web, tmp_path):
    web.files["/file"] = CONTENT
    counts = []
    with pytest.raises(DownloadError, match=r"/file.*checksum.*Run again"):
        download.download([f"{web.url}/file"], tmp_path / "file", sha256(b"other"), progress=counts.append)
    assert contents(tmp_path) == {}
    assert sum(counts) == 0


def test_a_busy_server_is_asked_again(web, tmp_path):
    web.files["/file"] = CONTENT
    web.failures = [503, 429, 500]
    download.download([f"{web.url}/file"], tmp_path / "file", sha256(CONTENT))
    assert contents(tmp_path) == {"file": CONTENT}


def test_a_server_that_stays_busy_is_given_up(web, tmp_path):
    web.failures = [503] * 100
    with pytest.raises(DownloadError, match=r"/file.*503.*Run again"):
        download.download([f"{web.url}/file"], tmp_path / "file")
    assert len(web.requests) == download.ATTEMPTS


def test_a_missing_file_is_not_asked_for_again(web, tmp_path):
    with pytest.raises(DownloadError, match=r"/file.*404"):
        download.download([f"{web.url}/file"], tmp_path / "file")
    assert len(web.requests) == 1


@pytest.mark.parametrize("on_mirror", [None, CONTENT[::-1]])
def test_the_second_address_serves_what_the_first_has_not_or_has_wrong(web, tmp_path, on_mirror):
    web.files["/file"] = CONTENT
    if on_mirror:
        web.files["/mirror/file"] = on_mirror
    urls = [f"{web.url}/mirror/file", f"{web.url}/file"]
    download.download(urls, tmp_path / "file", sha256(CONTENT))
    assert contents(tmp_path) == {"file": CONTENT}


# Sets


def test_physionet_set_with_files_from_mirror_and_origin(web, tmp_path, capsys):
    files = {"RECORDS": b"a/one+", "a/one+.edf": CONTENT}
    publish_physionet(web, files)
    web.files["/mirror/set/1.0/a/one%2B.edf"] = CONTENT
    target = fetch_set(web, tmp_path / "data")

    assert target == tmp_path / "data" / "set"
    found = contents(target)
    assert {name: found[name] for name in files} == files
    assert set(found) == {*files, "SHA256SUMS.txt", download.MARKER}
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["set"]
    out = capsys.readouterr().out
    assert "licence CC0 1.0" in out and "about 1 MB" in out


def test_a_complete_set_is_not_downloaded_again(web, tmp_path):
    publish_physionet(web, {"a": CONTENT})
    fetch_set(web, tmp_path)
    web.requests.clear()
    fetch_set(web, tmp_path)
    assert web.requests == []


def test_a_set_that_lost_or_changed_a_file_is_repaired(web, tmp_path):
    files = {"a": CONTENT, "b": b"small", "c": b"other"}
    publish_physionet(web, files)
    target = fetch_set(web, tmp_path)
    whole = contents(target)
    (target / "b").unlink()
    (target / "c").write_bytes(b"longer than before")
    web.requests.clear()

    fetch_set(web, tmp_path)
    assert contents(target) == whole
    assert not any(path.endswith("/a") for path, _ in web.requests)


@pytest.mark.parametrize("archives", [False, True])
def test_files_that_are_not_the_sets_own_change_nothing_and_stay(web, tmp_path, archives):
    files = {"records.zip": make_zip({"records/A1.mat": CONTENT, "records/A2.mat": b"two"})}
    kind = release(archives=True) if archives else release()
    publish_physionet(web, files if archives else {"records/A1.mat": CONTENT, "records/A2.mat": b"two"})
    target = fetch_set(web, tmp_path, kind)
    own = {".DS_Store": b"x", "._A1.mat": b"x", "records/my_labels.csv": b"A1,AF\n", "notes/a.txt": b"a"}
    for path, content in own.items():
        (target / path).parent.mkdir(exist_ok=True)
        (target / path).write_bytes(content)
    web.requests.clear()
    fetch_set(web, tmp_path, kind)
    assert web.requests == [] and own.items() <= contents(target).items()

    (target / "records/A2.mat").unlink()  # repaired around them
    fetch_set(web, tmp_path, kind)
    assert own.items() <= contents(target).items() and contents(target)["records/A2.mat"] == b"two"
    assert {path.name for path in tmp_path.iterdir()} == {"set"}


def test_a_set_stays_where_it_is_while_the_publisher_cannot_be_reached(web, tmp_path):
    publish_physionet(web, {"a": CONTENT, "b": b"small"})
    target = fetch_set(web, tmp_path)
    (target / "b").unlink()
    web.files.clear()
    with pytest.raises(DownloadError):
        fetch_set(web, tmp_path)
    assert contents(target)["a"] == CONTENT


def test_own_files_beside_a_download_that_goes_on_stay(web, tmp_path):
    publish_figshare(web, "17", {"a.zip": make_zip({"records/A1.h5": CONTENT})})
    own = {"notes.txt": b"mine", "records/my_labels.csv": b"A1,AF"}
    for path, content in own.items():
        (tmp_path / "set.incomplete" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set.incomplete" / path).write_bytes(content)
    found = contents(fetch_set(web, tmp_path, release("figshare", ("17",), archives=True)))
    assert own.items() <= found.items() and found["records/A1.h5"] == CONTENT


def test_what_a_repair_replaces_is_kept_beside_the_set(web, tmp_path, capsys):
    publish_physionet(web, {"a": CONTENT, "records/b": b"small"})
    target = fetch_set(web, tmp_path)
    for mine in (b"edited by hand", b"edited again"):
        (target / "a").write_bytes(mine)
        fetch_set(web, tmp_path)
        assert contents(target)["a"] == CONTENT
    (target / "records/b").unlink()
    (target / "records").rmdir()
    (target / "records").write_bytes(b"a file in the way")
    fetch_set(web, tmp_path)
    assert contents(target)["records/b"] == b"small"
    beside = {path: content for path, content in contents(tmp_path).items() if not path.startswith("set/")}
    assert set(beside.values()) == {b"edited by hand", b"edited again", b"a file in the way"}
    assert all(str(tmp_path / path) in capsys.readouterr().out for path in list(beside)[:1])


def test_a_run_that_is_killed_near_its_end_is_finished_by_the_next(web, tmp_path, monkeypatch):
    publish_figshare(web, "17", {"a.zip": make_zip({"records/A1.h5": CONTENT, "records/A2.h5": b"2"})})
    kind = release("figshare", ("17",), archives=True)
    for step in ("write_contents", "move", "remove_empty", "write_contents"):
        with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
            killed.setattr(download.set_folder, step, mock.Mock(side_effect=KeyboardInterrupt))
            fetch_set(web, tmp_path, kind)
    rename = os.replace
    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        last = mock.Mock(side_effect=KeyboardInterrupt)
        killed.setattr(os, "replace", lambda a, b: last() if b == tmp_path / "set" else rename(a, b))
        fetch_set(web, tmp_path, kind)
    web.requests.clear()
    found = contents(fetch_set(web, tmp_path, kind))
    assert (found["records/A1.h5"], found["records/A2.h5"]) == (CONTENT, b"2")
    assert not any("a.zip" in path for path, _ in web.requests)
    assert {path.name for path in tmp_path.iterdir()} == {"set"}


def test_a_whole_set_is_not_written_to(web, tmp_path, monkeypatch):
    publish_physionet(web, {"a": CONTENT})
    fetch_set(web, tmp_path)
    monkeypatch.setattr(download.caching, "locked", lambda *_: pytest.fail("a folder may be read-only"))
    fetch_set(web, tmp_path)


def test_two_at_once_download_a_set_once(web, tmp_path, monkeypatch, capsys):
    publish_physionet(web, {"a": CONTENT, "b": b"small"})
    monkeypatch.setattr(download, "CATALOGUE", release())
    monkeypatch.setattr(download, "SERVERS", web.servers)
    with ThreadPoolExecutor(2) as pool:
        targets = list(pool.map(lambda _: fetch(["set"], tmp_path)[0], range(2)))
    assert targets == [tmp_path / "set"] * 2 and contents(tmp_path / "set")["a"] == CONTENT
    assert [path for path, _ in web.requests].count("/files/set/1.0/a") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"set"}
    assert "already complete" in capsys.readouterr().out


@pytest.mark.parametrize("damage", ["", "[]", '{"files": 3}', "nonsense"])
def test_a_damaged_marker_is_made_again(web, tmp_path, damage):
    publish_physionet(web, {"a": CONTENT})
    target = fetch_set(web, tmp_path)
    whole = contents(target)
    (target / download.MARKER).write_text(damage)
    fetch_set(web, tmp_path)
    assert contents(target) == whole


def test_a_page_in_place_of_an_archive_is_an_error_and_fetched_anew(web, tmp_path):
    good, page = make_zip({"a/A1.mat": CONTENT}), b"<!doctype html><html>Please log in</html>"
    kind = release(only=("a.zip",), archives=True)
    publish_physionet(web, {"a.zip": page}, at="mirror", listed=False)
    with pytest.raises(DownloadError, match="a.zip: the server sends a page.*run again"):
        fetch_set(web, tmp_path, kind)
    assert not (tmp_path / "set").exists()
    publish_physionet(web, {"a.zip": good}, at="mirror", listed=False)
    assert contents(fetch_set(web, tmp_path, kind))["a/A1.mat"] == CONTENT


@pytest.mark.parametrize("path", ["a.csv", "a.zip"])
def test_what_is_sent_as_a_page_is_no_file(web, tmp_path, path):
    publish_physionet(web, {path: b"<p>Log in</p>"}, at="mirror", listed=False)
    web.kinds[path] = "text/html; charset=utf-8"
    with pytest.raises(DownloadError, match="sends a page, not the file"):
        fetch_set(web, tmp_path, release(only=(path,)))


@pytest.mark.parametrize("path", ["a.csv", "RECORDS", "a.dat"])
def test_a_page_is_known_by_its_content_too(web, tmp_path, path):
    publish_physionet(web, {path: b"\n<!DOCTYPE html>\n<html><body>Log in</body></html>"}, listed=False)
    with pytest.raises(DownloadError, match=rf"{path}: the server sends a page"):
        fetch_set(web, tmp_path, release(only=(path,)))
    web.files[f"/files/set/1.0/{path}"] = b"1,2\n"
    assert contents(fetch_set(web, tmp_path, release(only=(path,))))[path] == b"1,2\n"


def test_a_file_with_the_published_checksum_is_taken_whatever_the_server_calls_it(web, tmp_path):
    files = {"a.dat": CONTENT, "page.html": b"<html>about the set</html>"}
    publish_physionet(web, files)
    web.kinds |= dict.fromkeys(files, "text/html")
    found = contents(fetch_set(web, tmp_path))
    assert {path: found[path] for path in files} == files


@pytest.mark.parametrize("damage", [lambda b: b[:-30], lambda b: b"", lambda b: b"who knows" * 9])
def test_what_should_be_an_archive_and_is_none_is_an_error_and_fetched_anew(web, tmp_path, damage, capsys):
    good = make_zip({"a/A1.mat": CONTENT})
    kind = release(only=("a.zip",), archives=True)
    publish_physionet(web, {"a.zip": damage(good)}, listed=False)
    with mock.patch.multiple(download, CATALOGUE=kind, SERVERS=web.servers):
        assert main(["set", "--folder", str(tmp_path)]) == 1
        assert re.search(r"a.zip is not unpacked.*run again to download it anew", capsys.readouterr().err)
        publish_physionet(web, {"a.zip": good}, listed=False)
        assert main(["set", "--folder", str(tmp_path)]) == 0
    assert contents(tmp_path / "set")["a/A1.mat"] == CONTENT


def test_files_that_are_archives_by_content_only_stay_as_they_are(web, tmp_path):
    table = make_zip({"xl/workbook.xml": b"<workbook/>"})
    publish_figshare(web, "17", {"table.xlsx": table})
    assert (
        contents(fetch_set(web, tmp_path, release("figshare", ("17",), archives=True)))["table.xlsx"] == table
    )


def test_archives_with_one_folder_in_common_are_joined(web, tmp_path):
    archives = {f"{name}.zip": make_zip({f"records/{name}.h5": name.encode()}) for name in ("A1", "A2")}
    publish_figshare(web, "17", archives)
    found = contents(fetch_set(web, tmp_path, release("figshare", ("17",), archives=True)))
    assert (found["records/A1.h5"], found["records/A2.h5"]) == (b"A1", b"A2")


def test_a_page_in_place_of_the_list_of_checksums_is_an_error(web, tmp_path):
    publish_physionet(web, {"a": CONTENT})
    web.files["/files/set/1.0/SHA256SUMS.txt"] = b"<html lang=en>\n<body>Log in\n"
    with pytest.raises(DownloadError, match="cannot read the publisher's list"):
        fetch_set(web, tmp_path)


def test_a_failure_leaves_no_set_and_the_next_run_goes_on(web, tmp_path):
    publish_physionet(web, {"a": CONTENT, "b": b"fine"})
    del web.files["/files/set/1.0/b"]
    with pytest.raises(DownloadError, match="/files/set/1.0/b"):
        fetch_set(web, tmp_path)
    assert not (tmp_path / "set").exists()

    web.files["/files/set/1.0/b"] = b"fine"
    web.requests.clear()
    target = fetch_set(web, tmp_path)
    assert contents(target)["a"] == CONTENT and contents(target)["b"] == b"fine"
    assert not (tmp_path / "set.incomplete").exists()


def test_a_folder_of_someone_else_is_left_alone(web, tmp_path):
    publish_physionet(web, {"a": CONTENT})
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a").write_bytes(b"mine")
    with pytest.raises(DownloadError, match="left alone"):
        fetch_set(web, tmp_path)
    assert contents(tmp_path) == {"set/a": b"mine"}


def test_an_archive_is_unpacked_into_the_set(web, tmp_path, capsys):
    archive = make_zip({"training/A1.mat": CONTENT, "training/REFERENCE.csv": b"A1,N"})
    publish_physionet(web, {"training.zip": archive, "REFERENCE-v3.csv": b"A1,A"}, at="mirror", listed=False)
    web.files["/mirror/set/1.0/unwanted.zip"] = b""
    target = fetch_set(web, tmp_path, release(only=("training.zip", "REFERENCE-v3.csv"), archives=True))
    found = contents(target)
    marker = json.loads(found.pop(download.MARKER))
    assert found == {
        "training/A1.mat": CONTENT,
        "training/REFERENCE.csv": b"A1,N",
        "REFERENCE-v3.csv": b"A1,A",
    }
    assert marker["without_checksum"] == ["training.zip", "REFERENCE-v3.csv"]
    assert "training.zip has no published checksum" in capsys.readouterr().out


def test_an_unpack_that_was_killed_is_done_again(web, tmp_path):
    members = {"records/A1.h5": CONTENT, "records/A2.h5": b"two"}
    publish_figshare(web, "17", {"records.zip": make_zip(members)})
    half = tmp_path / "set.incomplete" / ".records.zip.unpacked-0a1b" / "records"
    half.mkdir(parents=True)
    (half / "A1.h5").write_bytes(CONTENT[:10])
    target = fetch_set(web, tmp_path, release("figshare", ("17",), archives=True))
    found = contents(target)
    del found[download.MARKER]
    assert found == members


def test_an_archive_with_a_way_out_is_refused(web, tmp_path):
    publish_figshare(web, "17", {"records.zip": make_zip({"../../escaped": b"x"})})
    with pytest.raises(ValueError, match=r"records.zip.*escaped.*not a safe file name"):
        fetch_set(web, tmp_path / "data", release("figshare", ("17",), archives=True))
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    assert not (tmp_path / "data" / "set").exists()


def test_figshare_articles_are_joined_and_their_md5_is_verified(web, tmp_path):
    publish_figshare(web, "1", {"metadata.csv": b"ECG_ID"})
    publish_figshare(web, "2", {"code.csv": b"Code"})
    target = fetch_set(web, tmp_path, release("figshare", ("1", "2"), size=None, disk=None))
    assert contents(target)["metadata.csv"] == b"ECG_ID" and contents(target)["code.csv"] == b"Code"

    web.files["/ndownloader/code.csv"] = b"Edoc"
    with pytest.raises(DownloadError, match=r"code.csv.*md5"):
        fetch_set(web, tmp_path / "again", release("figshare", ("1", "2")))


def test_zenodo_record_with_a_renamed_file(web, tmp_path):
    web.files["/content/A"] = b"1,0"
    digest = hashlib.md5(b"1,0").hexdigest()
    one = {
        "key": "A_fixed.csv",
        "size": 3,
        "checksum": f"md5:{digest}",
        "links": {"self": f"{web.url}/content/A"},
    }
    web.files["/zenodo/49"] = json.dumps({"files": [one]}).encode()
    target = fetch_set(web, tmp_path, release("zenodo", ("49",), rename={"A_fixed.csv": "A.csv"}))
    assert contents(target)["A.csv"] == b"1,0"


@pytest.mark.parametrize("name", ["../escaped", "/absolute", "a/../../b"])
def test_a_list_that_points_outside_the_folder_is_refused(web, tmp_path, name):
    line = f"{hashlib.sha256(b'x').hexdigest()} {name}\n"
    web.files["/files/set/1.0/SHA256SUMS.txt"] = line.encode()
    with pytest.raises(ValueError, match="not a safe file name"):
        fetch_set(web, tmp_path / "data")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


@pytest.mark.parametrize("text", [b"", b"<html>maintenance</html>", b"\xff\xfe"])
def test_an_unusable_list_of_files_is_an_error(web, tmp_path, text):
    web.files["/files/set/1.0/SHA256SUMS.txt"] = text
    with pytest.raises(DownloadError, match="https://example.org/set"):
        fetch_set(web, tmp_path)
    assert not (tmp_path / "set").exists()


def test_a_list_that_cannot_be_had_for_now_does_not_pass_for_missing(web, tmp_path):
    publish_physionet(web, {"training.zip": make_zip({"a": b"1"})}, listed=True)
    web.failures = [503] * 100
    with pytest.raises(DownloadError, match="SHA256SUMS.txt.*503"):
        fetch_set(web, tmp_path, release(only=("training.zip",), archives=True))


def test_a_full_disk_is_noticed_before_the_download(web, tmp_path, monkeypatch):
    publish_physionet(web, {"a": CONTENT})
    monkeypatch.setattr(download.shutil, "disk_usage", lambda path: SimpleNamespace(free=1e9))
    with pytest.raises(DownloadError, match=r"41\.6 GB more"):
        fetch_set(web, tmp_path, release(disk=42.6e9))
    assert not any(path.endswith("/a") for path, _ in web.requests)


class FullDisk(io.BytesIO):
    def write(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("where", ["download", "unpack"])
def test_a_disk_that_gets_full_is_named_with_what_is_needed_and_the_next_run_goes_on(
    web, tmp_path, monkeypatch, capsys, where
):
    publish_figshare(web, "17", {"a.zip": make_zip({"a/A1.mat": CONTENT}), "b.csv": b"1"})
    monkeypatch.setattr(
        download, "CATALOGUE", release("figshare", ("17",), archives=True, disk=300e6, size=1e6)
    )
    monkeypatch.setattr(download, "SERVERS", web.servers)
    command = ["set", "--folder", str(tmp_path)]
    module, mode = (download, "ab") if where == "download" else (archives, "xb")
    with monkeypatch.context() as full:
        on_full_disk = lambda path, how="r": FullDisk() if how == mode else open(path, how)  # noqa: SIM115
        full.setattr(module, "open", on_full_disk, raising=False)
        assert main(command) == 1
    told = capsys.readouterr().err
    assert re.search(r"set.incomplete: the disk is full; 0\.3 GB more.*Make room.*run again", told), told
    assert main(command) == 0
    assert contents(tmp_path / "set")["a/A1.mat"] == CONTENT


# The command


def test_an_unknown_name_lists_the_valid_ones(tmp_path, capsys):
    with pytest.raises(ValueError, match="mit-bih: choose from ptb-xl, cinc2017, sph"):
        fetch(["ptb-xl", "mit-bih"], tmp_path)
    assert main(["mit-bih", "--folder", str(tmp_path)]) == 1
    assert "choose from" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_without_names_the_command_lists_the_sets_with_size_and_licence(capsys):
    assert main([]) == 0
    out = capsys.readouterr().out
    for name, one in CATALOGUE.items():
        assert name in out and one.licence in out and one.page in out
    assert "42.6 GB" in out


def test_the_command_says_what_failed(web, tmp_path, capsys, monkeypatch):
    command = ["set", "--folder", str(tmp_path)]
    monkeypatch.setattr(download, "CATALOGUE", release())
    monkeypatch.setattr(download, "SERVERS", web.servers)
    assert main(command) == 1
    assert "SHA256SUMS.txt" in capsys.readouterr().err
    publish_physionet(web, {"a": CONTENT})
    assert main(command) == 0
    assert (tmp_path / "set" / "a").read_bytes() == CONTENT


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_set_of_the_catalogue_is_well_formed(name):
    one = CATALOGUE[name]
    assert one.publisher in download.PUBLISHERS and one.records
    assert one.page.startswith("https://") and one.licence
    assert (one.size is None) == (one.disk is None)
    assert one.size or one.publisher != "physionet"  # whose lists of files hold no sizes
