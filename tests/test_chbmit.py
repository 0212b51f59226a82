import errno
import os
import re
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biosignals.data import chbmit, edf, eeg
from biosignals.signals.eeg_features import ar2
from test_eeg import noise, write_edf

LABELS = [name.removesuffix("-1") for name in chbmit.CHANNELS]  # the files name T8-P8 twice
HEAD = """Data Sampling Rate: 256 Hz
*************************

Channels in EDF Files:
**********************
Channel 1: FP1-F7
Channel 2: -

"""


def entry(name, seizures=(), times=("11:42:54", "25:02:03"), numbered=False, count=None, space=""):
    lines = [f"File Name: {name}"]
    if times:
        lines += [f"File Start Time: {times[0]}", f"File End Time: {times[1]}"]
    lines.append(f"Number of Seizures in File: {len(seizures) if count is None else count}")
    for number, (start, end) in enumerate(seizures, 1):
        which = f"Seizure {number}" if numbered else "Seizure"
        lines += [f"{which} Start Time: {space}{start} seconds", f"{which} End Time: {space}{end} seconds"]
    return "\n".join(lines) + "\n\n"


def write_summary(root, case, text):
    (root / case).mkdir(parents=True, exist_ok=True)
    (root / case / f"{case}-summary.txt").write_text(text)


def write_recording(root, name, seconds=20, rate=256, labels=LABELS):
    case = name[:5]
    write_edf(root / case / f"{name}.edf", noise(len(labels), seconds, rate), rate, labels)


ENTRIES = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.from_regex(r"chb01_[0-9]{2}\+?\.edf", fullmatch=True),
            "seizures": st.lists(
                st.tuples(st.integers(0, 9000), st.integers(1, 600)).map(lambda pair: (pair[0], sum(pair))),
                max_size=4,
            ),
            "times": st.sampled_from([None, ("11:42:54", "12:42:54"), ("0:46:38", "24:01:00")]),
            "numbered": st.booleans(),
            "space": st.sampled_from(["", " ", "  "]),
        }
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda one: one["name"],
)


@settings(max_examples=50)
@given(entries=ENTRIES, changed=st.booleans(), newline=st.sampled_from(["\n", "\r\n"]))
def test_any_summary_is_read_as_it_was_written(tmp_path_factory, entries, changed, newline):
    between = (
        "Channels changed:\n*****************\nChannel 1: FP1-F7\nChannel 2: T8-P8\n\n" if changed else ""
    )
    path = tmp_path_factory.mktemp("summary") / "chb01-summary.txt"
    path.write_bytes((HEAD + between.join(entry(**one) for one in entries)).replace("\n", newline).encode())
    listed = chbmit.read_summary(path)
    assert list(listed) == [one["name"] for one in entries]
    for one, found in zip(entries, listed.values(), strict=True):
        assert (found.start, found.end) == (one["times"] or (None, None))
        assert found.seizures == tuple(one["seizures"])
        assert found.sampling_rate == 256 and found.fault == ""


@pytest.mark.parametrize("text", ["", "Data Sampling Rate: 256 Hz\n", entry("chb01_01.edf"), "\x00\xff" * 50])
def test_what_is_no_summary_is_refused(tmp_path, text):
    write_summary(tmp_path, "chb01", text)
    with pytest.raises(ValueError, match="chb01-summary.txt is no summary .*make data"):
        chbmit.read_summary(tmp_path / "chb01/chb01-summary.txt")
    with pytest.raises(FileNotFoundError, match="chb02-summary.txt does not exist: .*make data"):
        chbmit.read_summary(tmp_path / "chb02-summary.txt")


@pytest.fixture
def root(tmp_path):
    write_summary(
        tmp_path,
        "chb01",
        HEAD
        + entry("chb01_01.edf")
        + entry("chb01_03.edf", [(5, 12)])
        + entry("chb01_04.edf", [(1, 4), (8, 20)], numbered=True),
    )
    write_summary(tmp_path, "chb21", HEAD + entry("chb21_01.edf", [(2, 3)], times=None))
    write_summary(
        tmp_path, "chb02", HEAD + entry("chb02_16.edf", [(3, 9)]) + entry("chb02_16+.edf", [(0, 9)])
    )
    for name in ("chb01_01", "chb01_03", "chb01_04", "chb21_01", "chb02_16", "chb02_16+"):
        write_recording(tmp_path, name)
    return tmp_path


def test_recordings_come_with_patient_and_seizures(root):
    recordings, excluded = chbmit.find(root)
    assert excluded.empty
    assert {(one.name, one.subject, one.seizures) for one in recordings} == {
        ("chb01_01", "chb01", ()),
        ("chb01_03", "chb01", ((5, 12),)),
        ("chb01_04", "chb01", ((1, 4), (8, 20))),
        ("chb02_16", "chb02", ((3, 9),)),
        ("chb02_16+", "chb02", ((0, 9),)),
        ("chb21_01", "chb01", ((2, 3),)),
    }
    assert all(one.channels == chbmit.CHANNELS and one.seconds == 20 for one in recordings)
    np.testing.assert_allclose(eeg.read(recordings[0], 0, 5120), noise(23, 20, 256), atol=0.01)


def test_summaries_speak_for_themselves_without_any_recording(tmp_path):
    first = entry("chb01_01.edf", [(10, 30), (100, 160)], times=("23:30:00", "00:30:00"))
    write_summary(tmp_path, "chb01", HEAD + first + entry("chb01_02.edf", [(5, 2)]))
    write_summary(tmp_path, "chb24", HEAD + entry("chb24_01.edf", [(1, 9)], times=None))
    files, seizures = chbmit.read_summaries(tmp_path)
    assert files.file.tolist() == ["chb01_01.edf", "chb24_01.edf"], "a file with a fault is left out"
    assert files.seconds[0] == 3600 and np.isnan(files.seconds[1])
    assert seizures[["case", "start", "end", "onset"]].to_numpy().tolist() == [
        ["chb01", 10, 30, ""], ["chb01", 100, 160, ""], ["chb24", 1, 9, ""]
    ]  # fmt: skip
    with pytest.raises(FileNotFoundError, match="chb01-summary.txt.*make data"):
        chbmit.read_summaries(tmp_path / "elsewhere")


def test_where_a_seizure_begins_is_read_where_it_is_said_of_all(tmp_path):
    said = entry("chb01_01.edf", [(10, 30), (100, 160)], numbered=True)
    said = re.sub(r"(Seizure (\d) End Time: .*\n)", r"\1Seizure \2 Onset: T\2\n", said)
    of_one = entry("chb01_02.edf", [(1, 9), (20, 30)]) + "Seizure Onset: FZ\n"
    write_summary(tmp_path, "chb01", HEAD + said + of_one)
    _, seizures = chbmit.read_summaries(tmp_path)
    assert seizures.onset.tolist() == ["T1", "T2", "", ""]
    assert seizures.start.tolist() == [10, 100, 1, 20]


def change_summary(root, old, new):
    path = root / "chb01/chb01-summary.txt"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def cut(root):
    path = root / "chb01/chb01_03.edf"
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    "damage, reason",
    [
        (cut, "chb01_03.edf is cut short .*download"),
        (lambda root: (root / "chb01/chb01_03.edf").unlink(), "listed in chb01-summary.txt but not there"),
        (lambda root: write_recording(root, "chb01_03", labels=LABELS[1:]), "no channel FP1-F7; it holds F7"),
        (lambda root: write_recording(root, "chb01_03", rate=200), "sampled at 200 Hz, expected 256 Hz"),
        (lambda root: write_recording(root, "chb01_03", seconds=11), "lasts 11 s, but .* from 5 to 12 s"),
        (lambda root: change_summary(root, ": 12 sec", ": 4 sec"), "chb01_03.edf has a seizure that ends"),
        (lambda root: change_summary(root, "Seizure End Time: 12 seconds\n", ""), "but 1 starts and 0 ends"),
        (
            lambda root: change_summary(root, "Number of Seizures in File: 1\n", ""),
            "chb01_03.edf has no number of seizures in chb01-summary",
        ),
        (
            lambda root: change_summary(root, "File Name: chb01_03.edf", "File Name: ../chb01_03.edf"),
            "not listed in chb01-summary.txt, so that its seizures are unknown",
        ),
        (
            lambda root: change_summary(
                root, "File Name: chb01_03.edf", entry("chb01_03.edf") + "File Name: chb01_03.edf"
            ),
            "is listed twice",
        ),
    ],
)  # fmt: skip
def test_a_recording_that_cannot_be_used_is_left_out_and_listed(root, damage, reason):
    damage(root)
    recordings, excluded = chbmit.find(root)
    assert {one.name for one in recordings} == {"chb01_01", "chb01_04", "chb02_16", "chb02_16+", "chb21_01"}
    one = excluded[excluded["file"] == "chb01/chb01_03.edf"]
    assert one["record"].tolist() == ["chb01_03"] and one["reason"].str.contains(reason).all(), one[
        "reason"
    ].item()


def test_a_case_without_summary_is_left_out(root):
    (root / "chb21/chb21-summary.txt").unlink()
    recordings, excluded = chbmit.find(root)
    assert len(recordings) == 5 and excluded["record"].tolist() == ["chb21_01"]
    assert "chb21-summary.txt does not exist" in excluded["reason"].item()


def test_an_empty_folder_and_nothing_left_are_told_with_the_remedy(root, tmp_path_factory):
    with pytest.raises(FileNotFoundError, match="no folder chb01 to chb24 in .*make data"):
        chbmit.find(tmp_path_factory.mktemp("empty"))
    for path in root.glob("*/*.edf"):
        path.unlink()
    with pytest.raises(ValueError, match="no recording of chb-mit in .*6 left out.*make data"):
        chbmit.find(root)


def test_excerpts_are_whole_seizures(tmp_path):
    write_edf(tmp_path / "excerpts/chb21_19_seizure.edf", noise(23, 7, 256), 256, LABELS)
    write_edf(tmp_path / "excerpts/chb02_16_seizure.edf", noise(22, 7, 256), 256, LABELS[1:])
    (one,), excluded = chbmit.find_seizure_excerpts(tmp_path)
    assert (one.subject, one.name, one.seizures) == ("chb01", "chb21_19_seizure", ((0, 7),))
    assert excluded["record"].tolist() == ["chb02_16_seizure"]
    with pytest.raises(FileNotFoundError, match="no file chb.*_seizure.edf"):
        chbmit.find_seizure_excerpts(tmp_path / "excerpts")


def write_windows(root, **changes):
    arrays = {
        "X": noise(23 * 4, 1, 2560).reshape(4, 23, 2560).astype(np.float32),
        "subject": np.array(["chb21", "chb02", "chb02", "chb02"]),
        "record": np.array(["chb21_19", "chb02_16", "chb02_16", "chb02_16"]),
        "seizure": np.array([1, 1, 0, 1]),
        "channels": np.array(LABELS),
        "fs": np.array(256),
    } | changes
    (root / "excerpts").mkdir(exist_ok=True)
    np.savez(root / "excerpts/windows.npz", **arrays)
    return arrays["X"]


def test_windows_are_those_of_the_file(tmp_path):
    signals = write_windows(tmp_path)
    windows = chbmit.load_windows(tmp_path)
    np.testing.assert_array_equal(windows.physical(), signals)
    assert windows.channels == chbmit.CHANNELS and windows.sampling_rate == 256 and windows.unit == "uV"
    table = windows.table
    assert table["subject"].tolist() == ["chb01", "chb02", "chb02", "chb02"]
    assert table["recording"].tolist() == ["chb21_19", "chb02_16", "chb02_16", "chb02_16+"]
    assert table["seizure"].tolist() == [True, True, False, True] and table.index.is_unique


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"X": np.full((4, 23, 2560), np.nan, np.float32)}, "signals are"),
        ({"X": np.zeros((3, 23, 2560), np.float32)}, "4 labels for 3 windows"),
        ({"channels": np.array(LABELS[::-1])}, "expected the 23 usual ones"),
        ({"fs": np.array(200)}, "at 200 Hz"),
        ({"record": np.array([{"a": 1}] * 4, dtype=object)}, "allow_pickle"),
    ],
)
def test_a_file_that_does_not_hold_windows_is_refused(tmp_path, changes, reason):
    write_windows(tmp_path, **changes)
    with pytest.raises(ValueError, match=f"windows.npz cannot be read .*{reason}"):
        chbmit.load_windows(tmp_path)


def test_a_missing_or_damaged_file_of_windows_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="windows.npz does not exist"):
        chbmit.load_windows(tmp_path)
    write_windows(tmp_path)
    path = tmp_path / "excerpts/windows.npz"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ValueError, match="windows.npz cannot be read"):
        chbmit.load_windows(tmp_path)


def test_a_failing_disk_aborts(root, monkeypatch):
    def fail(*_, **__):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(edf, "open", fail, raising=False)
    with pytest.raises(OSError, match="Input/output error"):
        chbmit.find(root)


def features(case="chb01", count=100):
    """Features as the excerpt stores them, for two recordings of a case and one that is not certain."""
    values = np.random.default_rng(5).normal(0, 1, (3, count, 23, 2)).astype(np.float32)
    return dict(zip((f"{case}_03", f"{case}_21", f"{case}_03_preictal_from_9s"), values))


def write_features(root, arrays, case="chb01"):
    write_summary(root, case, HEAD + entry(f"{case}_03.edf") + entry(f"{case}_21.edf", [(30, 90)]))
    (root / "features").mkdir(exist_ok=True)
    np.savez(root / f"features/{case}_ar2.npz", **arrays)


def test_features_are_read_with_the_seizures_of_the_summary(tmp_path):
    arrays = features("chb21")
    write_features(tmp_path, arrays, "chb21")
    (first, second), excluded = chbmit.load_ar2(tmp_path)
    np.testing.assert_array_equal(second.features, arrays["chb21_21"])
    assert (first.name, first.subject, first.seizures) == ("chb21_03", "chb01", ())  # chb21 is chb01
    assert (second.name, second.seizures) == ("chb21_21", ((30, 90),))
    assert second.times[:2].tolist() == [1500 / 256, 2000 / 256] and len(second.times) == 100
    assert excluded["record"].tolist() == ["chb21_03_preictal_from_9s"]
    assert "no recording of chb21-summary.txt" in excluded["reason"].item()


def test_features_are_computed_from_edf_files_where_there_is_no_file_of_them(root):
    recordings, excluded = chbmit.load_ar2(root)
    opened, left_out = chbmit.find(root)
    assert [one.name for one in recordings] == [one.name for one in opened] and len(excluded) == len(left_out)
    for found, one in zip(recordings, opened):
        x = eeg.read(one, 0, one.samples)
        assert (
            found.features.shape == ((one.samples - 1000) // 500, 23, 2)
            and found.features.dtype == np.float32
        )
        assert (found.seizures, found.subject) == (one.seizures, one.subject)
        for j, end in enumerate(range(1500, one.samples + 1, 500)):
            np.testing.assert_allclose(found.features[j], ar2(x[:, end - 501 : end]), atol=1e-6)


def test_long_recordings_give_the_same_features_piece_by_piece(root, monkeypatch):
    one = chbmit.find(root)[0][0]
    whole = chbmit.compute_ar2(one).features
    monkeypatch.setattr(eeg, "BATCH", 2)
    np.testing.assert_array_equal(chbmit.compute_ar2(one).features, whole)
    with pytest.raises(eeg.Unreadable, match="lasts 5.85547 s, too short"):
        chbmit.compute_ar2(replace(one, samples=1499))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (np.zeros((9, 22, 2), np.float32), "is float32 .9, 22, 2., expected float32 .n, 23, 2."),
        (np.zeros((9, 23, 2)), "is float64"),
        (np.zeros((0, 23, 2), np.float32), "expected float32"),
        (np.float32(1), "is float32 .., expected"),
        (np.full((99, 23, 2), np.inf, np.float32), "no finite numbers"),
        (np.array([{"a": 1}], dtype=object), "chb01_21 cannot be read .*allow_pickle"),
        (np.zeros((9, 23, 2), np.float32), "ends at 21 s, before a seizure that lasts until 90 s"),
    ],
)
def test_features_that_cannot_be_used_are_left_out_and_listed(tmp_path, changed, reason):
    write_features(tmp_path, features() | {"chb01_21": changed})
    (only,), excluded = chbmit.load_ar2(tmp_path)
    assert only.name == "chb01_03"
    text = excluded.set_index("record").loc["chb01_21", "reason"]
    assert re.search(reason, text), text


def test_a_file_that_holds_no_features_is_refused(tmp_path):
    write_features(tmp_path, features())
    path = tmp_path / "features/chb01_ar2.npz"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ValueError, match="chb01_ar2.npz cannot be read"):
        chbmit.load_ar2(tmp_path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("chb01_03.npy", bytes(9))
        archive.infolist()[0].file_size = chbmit.LARGEST_FEATURES + 1
    with pytest.raises(ValueError, match="cannot be read"):
        chbmit.load_ar2(tmp_path)
    (tmp_path / "chb01/chb01-summary.txt").unlink()
    with pytest.raises(FileNotFoundError, match="chb01-summary.txt does not exist"):
        chbmit.load_ar2(tmp_path)


def lengthen(path, records):
    """Makes an EDF file of one-second records longer; what is added holds zeros, and takes no room."""
    content = bytearray(path.read_bytes())
    size = (len(content) - int(content[184:192])) // int(content[236:244])
    content[236:244] = b"%-8d" % records
    path.write_bytes(content)
    os.truncate(path, int(content[184:192]) + records * size)


def test_an_hour_is_read_whole(tmp_path):
    write_summary(tmp_path, "chb01", HEAD + entry("chb01_03.edf", [(2996, 3036)]))
    write_recording(tmp_path, "chb01_03", seconds=4)
    lengthen(tmp_path / "chb01/chb01_03.edf", 3600)
    (one,), excluded = chbmit.find(tmp_path)
    assert (one.seconds, one.samples, one.seizures) == (3600, 921_600, ((2996, 3036),)) and excluded.empty
    np.testing.assert_allclose(eeg.read(one, 0, 1024), noise(23, 4, 256), atol=0.01)
    zero = eeg.read(one, 921_600 - 256, 921_600)
    assert zero.shape == (23, 256) and np.abs(zero).max() < 0.01
    windows = eeg.collect("chb-mit", [one], 10, 10, 64, cache=tmp_path / "cache")
    assert windows.signals.shape == (360, 23, 640) and windows.table["seizure"].sum() == 5
