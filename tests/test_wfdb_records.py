"""WFDB records of every format and spelling are read as the wfdb package reads them, where it can."""

import struct

import numpy as np
import pytest
import wfdb

from biosignals.data import wfdb_records
from biosignals.data.errors import Unreadable

LARGEST = 1 << 20


def counts(frames=1000, signals=2, most=100, seed=0):
    return np.random.default_rng(seed).integers(-most, most, (frames, signals))


def write(folder, x, form="16", **options):
    """A record `r` of counts x (frames, signals)."""
    options = {"adc_gain": [200.0] * x.shape[1], "baseline": [10] * x.shape[1], **options}
    names = ["I", "lead II"][: x.shape[1]]
    wfdb.wrsamp(
        "r", 250, ["mV"] * x.shape[1], names, d_signal=x, fmt=[form] * x.shape[1],
        write_dir=str(folder), **options,
    )  # fmt: skip
    return folder / "r.hea"


def read(header):
    return wfdb_records.read(header, LARGEST)


def values(header):
    return np.stack([channel.values for channel in read(header)])


def edit(path, *changes):
    text = path.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)


@pytest.mark.parametrize("form", ["16", "24", "32", "80", "212", "310", "311", "508", "516", "524"])
@pytest.mark.parametrize("block", [64, 1 << 20])
def test_every_format_is_read_as_wfdb_does_whatever_the_blocks(tmp_path, monkeypatch, form, block):
    monkeypatch.setattr(wfdb_records, "BLOCK", block)
    if form in ("310", "311"):  # which wfdb does not write
        random = np.random.default_rng(1)
        (tmp_path / "r.dat").write_bytes(random.bytes(2000 // 3 * 4))
        lines = "".join(f"r.dat {form} 200(10)/mV 10 0 0 0 0 {name}\n" for name in "ab")
        (tmp_path / "r.hea").write_text(f"r 2 250 999\n{lines}")
        header = tmp_path / "r.hea"
    else:
        header = write(tmp_path, counts(), form)
    expected = wfdb.rdrecord(str(header.with_suffix(""))).p_signal.T
    np.testing.assert_allclose(values(header), expected, rtol=1e-6, equal_nan=True)


def test_formats_of_differences_and_of_other_bytes_are_read_as_wfdb_does(tmp_path, monkeypatch):
    monkeypatch.setattr(wfdb_records, "BLOCK", 64)
    x = np.cumsum(counts(most=20), axis=0).clip(-2000, 2000)
    steps = np.diff(x, axis=0, prepend=0)
    (tmp_path / "r.dat").write_bytes(steps.astype(np.int8).tobytes())
    (tmp_path / "r.hea").write_text("r 2 250 1000\nr.dat 8 200 12 0 0 0 0 a\nr.dat 8 200 12 0 0 0 0 b\n")
    np.testing.assert_allclose(values(tmp_path / "r.hea"), x.T / 200, rtol=1e-6)
    (tmp_path / "r.dat").write_bytes(x.astype(">i2").tobytes())
    edit(tmp_path / "r.hea", (" 8 ", " 61 "))
    np.testing.assert_allclose(values(tmp_path / "r.hea"), x.T / 200, rtol=1e-6)
    (tmp_path / "r.dat").write_bytes((x + 32768).astype("<u2").tobytes())
    edit(tmp_path / "r.hea", (" 61 ", " 160 "))
    np.testing.assert_allclose(values(tmp_path / "r.hea"), x.T / 200, rtol=1e-6)


def test_missing_samples_are_nan_and_nothing_is_clipped(tmp_path):
    x = counts(most=3000)
    x[5, 0] = -32768
    header = write(tmp_path, x, adc_gain=[1.0, 1.0], baseline=[0, 0])
    found = values(header)
    assert np.isnan(found[0, 5]) and np.isnan(found).sum() == 1
    np.testing.assert_array_equal(found[1], x[:, 1])


def test_a_signal_may_be_turned_over_and_have_any_unit(tmp_path):
    header = write(tmp_path, counts())
    edit(header, ("200.0(10)/mV", "-200(10)/\u00b5V"))
    np.testing.assert_allclose(values(header), (counts().T - 10) / -200, rtol=1e-6)
    assert [channel.unit for channel in read(header)] == ["\u00b5V", "\u00b5V"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16"])
def test_headers_come_in_any_encoding_with_blank_lines_and_comments(tmp_path, encoding):
    header = write(tmp_path, counts())
    text = "# made by \u00c9\n\n" + header.read_text().replace("/mV", "/\u00b5V").replace("\n", "\r\n \r\n")
    header.write_bytes(text.encode(encoding))
    np.testing.assert_allclose(values(header), (counts().T - 10) / 200, rtol=1e-6)
    assert {channel.unit for channel in read(header)} == {"\u00b5V"}


@pytest.mark.parametrize(
    "name", ["rec 1.dat", "rec+1.dat", "rec(1).dat", "rec[1].dat", "r\u00e9c.dat", "a, b&c.dat", "R.DAT"]
)
@pytest.mark.parametrize("form", ["16", "212"])
def test_files_may_have_any_name_in_their_folder(tmp_path, name, form):
    header = write(tmp_path, counts(), form)
    expected = values(header)
    (tmp_path / "r.dat").rename(tmp_path / name)
    edit(header, ("r.dat", "r.dat" if name == "R.DAT" else name))
    np.testing.assert_array_equal(values(header), expected)


def test_a_records_name_may_hold_blanks(tmp_path):
    header = write(tmp_path, counts())
    expected = values(header)
    edit(header, ("r 2 250", "lead 1 of 2 2 250"))
    other = header.rename(tmp_path / "lead 1 of 2.hea")
    np.testing.assert_array_equal(values(other), expected)
    assert {channel.sampling_rate for channel in read(other)} == {250}


def test_names_of_signals_are_as_written(tmp_path):
    assert [channel.name for channel in read(write(tmp_path, counts()))] == ["I", "lead II"]
    assert [channel.name for channel in read(write(tmp_path, counts(), "212"))] == ["I", "lead II"]


def test_a_length_of_0_is_that_of_the_file(tmp_path):
    for form in ("16", "212"):
        header = write(tmp_path, counts(), form)
        edit(header, ("r 2 250 1000", "r 2 250 0"))
        assert values(header).shape == (2, 1000)
        edit(header, ("r 2 250 0", "r 2 250"))
        assert values(header).shape == (2, 1000)


def test_one_frame_too_few_is_read_and_more_are_a_file_cut_short(tmp_path):
    header = write(tmp_path, counts(999, 1), "212")
    whole = (tmp_path / "r.dat").read_bytes()
    expected = values(header)
    (tmp_path / "r.dat").write_bytes(whole[:-1])  # as some sets of PhysioNet are
    np.testing.assert_array_equal(values(header), expected[:, :998])
    (tmp_path / "r.dat").write_bytes(whole[:-4])
    with pytest.raises(Unreadable, match=r"r\.dat is cut short .996 samples, its header says 999"):
        read(header)


def test_null_signals_have_no_samples(tmp_path):
    header = write(tmp_path, counts(signals=1))
    edit(header, ("r 1 ", "r 2 "))
    header.write_text(header.read_text() + "~ 0 200/mV 12 0 0 0 0 II\n")
    assert [channel.name for channel in read(header)] == ["I"]
    edit(header, ("r.dat 16", "~ 0"))
    with pytest.raises(Unreadable, match="names no signal file"):
        read(header)


@pytest.mark.parametrize("form", ["16", "212"])
def test_several_samples_in_a_frame_are_a_higher_rate(tmp_path, form):
    x = counts(4000, 1)
    header = write(tmp_path, x, form)
    edit(header, ("r 1 250 4000", "r 1 62.5 1000"), (f"r.dat {form} ", f"r.dat {form}x4 "))
    (channel,) = read(header)
    assert channel.sampling_rate == 250
    np.testing.assert_allclose(channel.values, (x[:, 0] - 10) / 200, rtol=1e-6)


def test_signals_of_one_file_may_have_different_rates(tmp_path):
    x = counts(1000, 3).astype("<i2")
    x.tofile(tmp_path / "r.dat")
    (tmp_path / "r.hea").write_text(
        "r 2 125 1000\nr.dat 16x2 200 12 0 0 0 0 fast\nr.dat 16 200 12 0 0 0 0 slow\n"
    )
    fast, slow = read(tmp_path / "r.hea")
    assert (fast.sampling_rate, slow.sampling_rate) == (250, 125)
    np.testing.assert_allclose(fast.values, x[:, :2].reshape(-1) / 200, rtol=1e-6)
    np.testing.assert_allclose(slow.values, x[:, 2] / 200, rtol=1e-6)


def test_a_skewed_signal_is_shifted_as_wfdb_does(tmp_path, monkeypatch):
    header = write(tmp_path, counts())
    lines = header.read_text().splitlines()
    lines[1] = lines[1].replace("r.dat 16 ", "r.dat 16:3 ")
    header.write_text("\n".join(lines) + "\n")
    expected = wfdb.rdrecord(str(header.with_suffix(""))).p_signal.T
    for block in (64, 1 << 20):
        monkeypatch.setattr(wfdb_records, "BLOCK", block)
        np.testing.assert_allclose(values(header), expected, rtol=1e-6, equal_nan=True)


@pytest.mark.parametrize("form", ["16", "212"])
def test_checksums_tell_damage_from_a_header_made_shorter_by_hand(tmp_path, form):
    header = write(tmp_path, counts(), form)
    expected = values(header)
    edit(header, ("r 2 250 1000", "r 2 250 700"))
    np.testing.assert_array_equal(values(header), expected[:, :700])
    content = bytearray((tmp_path / "r.dat").read_bytes())
    content[30] ^= 1
    (tmp_path / "r.dat").write_bytes(content)
    with pytest.raises(Unreadable, match="does not fit its header's checksums"):
        read(header)


def test_headers_of_the_challenges_are_read(tmp_path):
    # As the PhysioNet/CinC Challenges 2020 and 2021 release them: a date of their own, MATLAB 4 files.
    x = counts(500, 2).astype("<i2")
    matlab = struct.pack("<5i4s", 30, 2, 500, 0, 4, b"val")
    (tmp_path / "E00001.mat").write_bytes(matlab + x.tobytes())
    lines = "".join(f"E00001.mat 16+24 1000/mV 16 0 0 0 0 {name}\n" for name in ("I", "II"))
    for record in ("E00001", "E00001.mat"):
        (tmp_path / "E00001.hea").write_text(f"{record} 2 500 500 05-May-2020 14:50:55\n{lines}#Age: 56\n")
        np.testing.assert_allclose(values(tmp_path / "E00001.hea"), x.T / 1000, rtol=1e-6)


@pytest.mark.parametrize(
    "header",
    [
        struct.pack("<5i4s", 0, 1, 500, 0, 4, b"val"),  # double
        struct.pack("<5i4s", 30, 1, 400, 0, 4, b"val"),  # shorter
        struct.pack("<5i4s", 30, 2, 500, 0, 4, b"val"),  # of two signals
        struct.pack("<5i4s", 30, 1, 500, 0, 8, b"signal"),
        b"MATLAB 5.0 MAT-file Plat",
        bytes(24),
    ],
)
def test_a_mat_file_that_was_saved_again_is_refused(tmp_path, header):
    (tmp_path / "r.mat").write_bytes(header + counts(500, 2).astype("<i2").tobytes())
    signals = struct.unpack("<5i", header[:20])[1] if header[0] == 30 else 1
    (tmp_path / "r.hea").write_text("r 1 300 500\nr.mat 16+24 1000/mV 16 0 0 0 0 ECG\n")
    if signals == 2:
        (tmp_path / "r.hea").write_text("r 3 300 300\n" + "r.mat 16+24 1000/mV 16 0 0 0 0 ECG\n" * 3)
    with pytest.raises(Unreadable, match=r"r\.mat is no MATLAB 4 file.*saved again"):
        read(tmp_path / "r.hea")


def test_a_mat_file_has_a_beginning_that_is_no_samples(tmp_path):
    (tmp_path / "r.mat").write_bytes(b"MATLAB 5.0 MAT-file Plat" + counts(500, 1).astype("<i2").tobytes())
    (tmp_path / "r.hea").write_text("r 1 300 500\nr.mat 16 1000/mV 16 0 0 0 0 ECG\n")
    with pytest.raises(Unreadable, match=r"r\.mat is no MATLAB 4 file"):
        read(tmp_path / "r.hea")


def segments(folder, *listed, rate=250):
    (folder / "many.hea").write_text(
        f"many/{len(listed)} 2 {rate} 0\n" + "".join(f"{one}\n" for one in listed)
    )
    return folder / "many.hea"


def test_segments_follow_each_other_with_nothing_where_one_is_missing(tmp_path):
    expected = values(write(tmp_path, counts()))
    layout = "layout 2 250 0\n" + "".join(f"~ 0 200/mV 12 0 0 0 0 {name}\n" for name in ("I", "lead II"))
    (tmp_path / "layout.hea").write_text(layout)
    header = segments(tmp_path, "layout 0", "r 1000", "~ 50", "r 1000")
    found = values(header)
    np.testing.assert_array_equal(
        found, np.concatenate([expected, np.full((2, 50), np.nan), expected], axis=1)
    )
    assert [(one.name, one.sampling_rate) for one in read(header)] == [("I", 250), ("lead II", 250)]


def test_segments_that_do_not_belong_together_are_refused(tmp_path):
    write(tmp_path, counts())
    for listed, reason in (
        (("r 1000", "r 900"), "one of its segments has 1000 samples, its header says 900"),
        (("r 1000", "other 1000"), "segments hold different signals; ask about one of them"),
        (("r 1000", "many 1000"), "several segments"),  # of itself
        (("r 1000", "none 1000"), "none.hea, which its header names, is not beside it"),
    ):
        text = (tmp_path / "r.hea").read_text().replace("r 2 250", "other 2 250").replace("lead II", "V5")
        (tmp_path / "other.hea").write_text(text)
        with pytest.raises(Unreadable, match=reason):
            read(segments(tmp_path, *listed))
    for listed in (("r 1000", "r 1000"), ("r 1000", "~ 999999999999")):
        with pytest.raises(Unreadable, match="more than 3,000 samples"):
            wfdb_records.read(segments(tmp_path, *listed), 3000)


def test_signals_without_a_name_are_numbered(tmp_path):
    header = write(tmp_path, counts())
    edit(header, (" I\n", "\n"), (" lead II\n", "\n"))
    assert [channel.name for channel in read(header)] == ["signal 1", "signal 2"]


@pytest.mark.parametrize(
    "text, reason",
    [
        ("", "no record line"),
        ("r\n", "no record line"),
        ("r 1 nan 10\nr.dat 16\n", "no record line"),
        ("r 2 250 10\nr.dat 16\n", "announces 2 signals and describes 1"),
        ("r 0 250 9205760\n", "^its header names no signal file"),  # of annotations alone
        ("r/3 1 250 10\na 5\nb 5\n", "announces 3 segments and lists 2"),
        ("r/2 1 0 10\na 5\nb 5\n", "header is damaged .a sampling rate of 0.0 Hz"),
        ("r/2 1 250 10\n../a 5\nb 5\n", "'../a 5' is no segment's line"),
        ("r/1 1 250 10\n~ 5\n", "segments hold different signals"),
        ("r 1 250 10\n../r.dat 16\n", "outside of its folder"),
        ("r 1 250 10\n.. 16\n", "outside of its folder"),
        ("r 1 250 10\na\\b.dat 16\n", "outside of its folder"),
        ("r 1 250 10\nnone.dat 16\n", "none.dat, which its header names, is not beside it"),
        ("r 1 250 10\nr.dat 17\n", "format 17, which is not known"),
        ("r 1 250 10\nr.dat 16x0\n", "no samples in a frame"),
        ("r 1 250 10\nr.dat\n", "no signal's line"),
        ("r 1 250 10\nr.dat 16 1e9.0/mV 16 0 0 0 0 I\n", "no signal's line"),
        ("r 1 250 10\nr.dat 16 nan/mV 16 0 0 0 0 I\n", "no signal's line"),
        ("r 1 250 10\nr.dat 16 inf(0)/mV 16 0 0 0 0 I\n", "no signal's line"),
        ("r 1 250 10\nr.dat 516 200/mV 16 0 0 0 0 I\n", "r.dat is damaged, or not of format 516"),
        ("r 1 250 10\nr.dat 16 1e-300/mV 16 0 0 0 0 I\n", "by its gain a count is"),
        ("r 1 250 10\nr.dat 16 200(9999999999)/mV 16 0 0 0 0 I\n", "baseline of 1e.10 counts"),
        ("r 1 250 10\nr.dat 16+999999999 200/mV 16 0 0 0 0 I\n", "start at byte 1e.09"),
        ("r 1 250 10\nr.dat 16" + " 1" * 600 + "\n", "no signal's line"),
        ("r 1 250 99999999999\nr.dat 16\n", "cut short"),
        ("r 1 250 1000\nr.dat 16 200\n", "more than 500 samples; cut it first"),
    ],
)
def test_a_header_that_makes_no_sense_is_refused_with_its_reason(tmp_path, text, reason):
    write(tmp_path, counts(signals=1))
    (tmp_path / "r.hea").write_text(text)
    with pytest.raises(Unreadable, match=reason):
        wfdb_records.read(tmp_path / "r.hea", 500)
