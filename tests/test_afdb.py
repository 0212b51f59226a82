from itertools import pairwise

import numpy as np
import pytest
import wfdb

import tiny_sets
from biosignals.data import afdb, rhythms

HOURS = 10
BEATS = np.cumsum(np.random.default_rng(0).integers(150, 250, 45_000))
BEATS = BEATS[BEATS < HOURS * 3600 * 250].tolist()
CHANGES = {30: "(N", 102_584: "(AFIB", 119_604: "(N", 4_000_000: "(AFL", 4_100_000: "(J", 8_000_000: "(AFIB"}


@pytest.fixture
def root(tmp_path):
    tiny_sets.write_afdb(tmp_path / "afdb", "04015", BEATS, CHANGES)
    tiny_sets.write_afdb(tmp_path / "afdb", "00735", BEATS[:500], {56: "(AFIB"})
    return tmp_path / "afdb"


def test_a_whole_record_has_wfdbs_beats_and_rhythms(root):
    (short, long), excluded = afdb.find(root)
    assert excluded.empty and (short.subject, long.subject) == ("00735", "04015")
    beats, changes = (wfdb.rdann(str(root / "04015"), extension) for extension in ("qrs", "atr"))
    np.testing.assert_array_equal(long.beats, beats.sample)
    assert beats.fs == long.sampling_rate == 250 and long.samples == BEATS[-1] + 1 > 44_000 * 200
    first, *known = long.episodes
    assert first == (0, 0.12, "")  # unknown before the first mark
    assert [round(start * 250) for start, _, _ in known] == changes.sample.tolist()
    assert [f"({name}" for _, _, name in known] == [note.strip("\0") for note in changes.aux_note]
    assert short.episodes[1][2] == "AFIB" and short.seconds == (BEATS[499] + 1) / 250


def test_beats_and_windows_say_the_rhythm(root):
    (_, long), _ = afdb.find(root)
    table = rhythms.beats([long])
    np.testing.assert_allclose(table["rr"].iloc[1:], np.diff(BEATS) / 250)
    edges = np.searchsorted(list(CHANGES), BEATS, side="right")
    names = np.array(["", *(note[1:] for note in CHANGES.values())], dtype=object)
    assert table["rhythm"].tolist() == names[edges].tolist()
    windows, intervals = rhythms.windows([long])
    assert len(windows) == len(intervals) == long.samples // 7500
    assert (
        abs(windows["AFIB"].sum() * 30 - long.share("AFIB", np.zeros(1), long.seconds)[0] * long.seconds) < 60
    )
    for row in (0, 17, len(windows) - 1):
        start = windows["start"].iloc[row] * 250
        inside = [(b - a) / 250 for a, b in pairwise(BEATS) if start <= b < start + 7500]
        np.testing.assert_allclose(intervals[row, : windows["intervals"].iloc[row]], inside, rtol=1e-6)
        assert not intervals[row, len(inside) :].any()


def test_the_length_is_the_headers_where_there_are_signals(root, tmp_path):
    counts = tiny_sets.noise(0, 2, 150_000)
    tiny_sets.write_record(root / "00735", counts, 250, afdb.LEADS, gain=200, fmt="212")
    (short, _), _ = afdb.find(root)
    assert short.samples == 150_000 and short.episodes[-1][1] == 600
    windows = rhythms.collect("afdb", [short], 10, 10, ("ECG1",), tmp_path / "cache")
    assert len(windows) == 60 and windows.table["AFIB"].all()
    expected, _ = wfdb.rdsamp(str(root / "00735"))
    np.testing.assert_allclose(np.concatenate(windows.physical()[:, 0]), expected[:, 0], atol=5.1e-4)


def test_a_header_of_no_signals_is_not_needed(root):
    (root / "00735.hea").write_text("00735 0 250 9661440\n")
    assert afdb.find(root)[1].empty


def cut(root, extension, size):
    path = root / f"00735.{extension}"
    path.write_bytes(path.read_bytes()[:size])


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda root: (root / "00735.qrs").unlink(), "00735.qrs cannot be read .No such file"),
        (lambda root: (root / "00735.atr").unlink(), "00735.atr cannot be read .No such file"),
        (lambda root: cut(root, "qrs", -2), "00735.qrs is cut short"),
        (lambda root: cut(root, "atr", 0), "00735.atr is cut short"),
        (lambda root: (root / "00735.qrs").write_bytes(b"\0\0"), "00735.qrs marks no beat"),
        (lambda root: (root / "00735.atr").write_bytes(b"\0\0"), "00735.atr marks no rhythm"),
        (
            lambda root: tiny_sets.write_annotations(root / "00735.qrs", [9], "N", sampling_rate=360),
            "00735.qrs is sampled at 360 Hz, expected 250 Hz",
        ),
        (lambda root: (root / "00735.dat").write_bytes(b""), "00735.hea cannot be read"),
    ],
)
def test_a_damaged_record_is_left_out_and_listed(root, damage, reason):
    damage(root)
    (only,), excluded = afdb.find(root)
    assert only.name == "04015" and excluded["record"].tolist() == ["00735"]
    assert excluded["reason"].str.contains(reason).all(), excluded["reason"].tolist()


def test_missing_folders_and_records_are_named_with_their_remedy(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist: .*make data"):
        afdb.find(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="no records 04015.atr .*make data"):
        afdb.find(tmp_path)
    (tmp_path / "04015.qrs").write_bytes(b"")
    with pytest.raises(ValueError, match="no recording of afdb .* can be used: 1 x 04015.atr cannot be read"):
        afdb.find(tmp_path)
