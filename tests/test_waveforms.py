import errno
import os
import re
import sys

import numpy as np
import pytest
import scipy.io
import wfdb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tiny_sets
from biosignals.data import readers, waveforms

NAMES = ("I", "II", "V1")


@st.composite
def records(draw):
    """Counts (samples, leads) with a gain and a baseline for each lead, and an order of leads to ask for."""
    leads = draw(st.integers(1, 4))
    extremes = st.sampled_from([-32768, -32767, 0, 32767])
    values = st.lists(extremes | st.integers(-32768, 32767), min_size=leads, max_size=leads)
    counts = np.array(draw(st.lists(values, min_size=1, max_size=30)), dtype=np.int16)
    gains = draw(
        st.lists(st.sampled_from([1000.0, 200.0, 4880.0, 0.5, 204.8]), min_size=leads, max_size=leads)
    )
    baselines = draw(st.lists(st.integers(-2000, 2000), min_size=leads, max_size=leads))
    names = draw(st.permutations(["I", "II", "aVR", "V1"]))[:leads]
    wanted = draw(st.permutations(names))[: draw(st.integers(1, leads))]
    return counts, gains, baselines, names, wanted


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records())
def test_reads_what_wfdb_reads(tmp_path, record):
    counts, gains, baselines, names, wanted = record
    tiny_sets.write_record(tmp_path / "r", counts, 100, names, gains, baselines)

    header = waveforms.read_header(f"{tmp_path}/r.hea")
    stored = wfdb.rdrecord(str(tmp_path / "r"), physical=False).d_signal.T
    assert np.array_equal(waveforms.read_digital(f"{tmp_path}/{header.file}", header), stored)

    theirs = 1000 * wfdb.rdrecord(str(tmp_path / "r")).p_signal.T[[names.index(name) for name in wanted]]
    if (np.abs(theirs) > 32767.5 + 1e-6).mean(axis=1).max() > 0.1:
        with pytest.raises(waveforms.Unreadable, match="beyond 32 mV .* gain, baseline or unit is wrong"):
            waveforms.read(tmp_path / "r", tuple(wanted), 100)
        return
    ours = waveforms.read(tmp_path / "r", tuple(wanted), 100)
    assert np.array_equal(ours == waveforms.INVALID, np.isnan(theirs))
    valid = ~np.isnan(theirs)
    assert np.abs(ours[valid] - np.clip(theirs[valid], -32767, 32767)).max(initial=0) <= 0.5 + 1e-6


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_header_is_refused_or_read_but_never_crashes(tmp_path, data):
    counts = tiny_sets.noise(0, 3, 50)
    tiny_sets.write_record(tmp_path / "r", counts, 100, NAMES)
    header = bytearray((tmp_path / "r.hea").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        header[data.draw(st.integers(0, len(header) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "r.hea").write_bytes(header)
    try:
        read = waveforms.read(tmp_path / "r", NAMES, 100)
    except waveforms.Unreadable:
        return
    assert read.dtype == np.int16 and read.shape[0] == 3


def test_counts_of_one_microvolt_come_out_unchanged(tmp_path):
    counts = tiny_sets.noise(1, 3, 200)
    tiny_sets.write_record(tmp_path / "r", counts, 100, NAMES)
    assert np.array_equal(waveforms.read(tmp_path / "r", NAMES, 100, 200), counts.T)


@pytest.mark.parametrize("fmt", ["212", "24", "32", "80"])
def test_other_formats_are_left_to_wfdb(tmp_path, fmt):
    counts = np.clip(tiny_sets.noise(2, 3, 100), -100, 100)
    tiny_sets.write_record(tmp_path / "r", counts, 100, NAMES, fmt=fmt)
    assert waveforms.read_header(f"{tmp_path}/r.hea").layout is None
    assert np.array_equal(waveforms.read(tmp_path / "r", ("V1", "I"), 100), counts.T[[2, 0]])


@pytest.mark.parametrize(
    "old, new", [("1000.0(0)/mV", "1000.0(0)"), (" 16 1000", " 16x1 1000"), (".dat 16 ", ".dat 16:0 ")]
)
def test_headers_that_leave_out_or_spell_out_defaults_give_the_same(tmp_path, old, new):
    counts = tiny_sets.noise(3, 3, 100)
    tiny_sets.write_record(tmp_path / "r", counts, 100, NAMES)
    text = (tmp_path / "r.hea").read_text()
    assert old in text
    (tmp_path / "r.hea").write_text("# a comment\n" + text.replace(old, new).replace("\n", "\r\n"))
    assert np.array_equal(waveforms.read(tmp_path / "r", NAMES, 100), counts.T)


@pytest.mark.parametrize("fmt", ["16", "212"])
def test_the_micro_sign_is_no_volt(tmp_path, fmt):
    # The package wfdb drops what is not ASCII: "/\u00b5V" becomes "/V".
    counts = tiny_sets.noise(3, 3, 100)
    tiny_sets.write_record(tmp_path / "r", counts, 100, NAMES, gain=1, fmt=fmt)
    change_header(tmp_path / "r.hea", "/mV", "/\u00b5V")
    assert np.array_equal(waveforms.read(tmp_path / "r", NAMES, 100), counts.T)


def test_a_mat_file_whose_beginning_would_be_samples_is_refused(tmp_path):
    scipy.io.savemat(tmp_path / "r.mat", {"val": tiny_sets.noise(3, 1, 512).T}, format="4")
    (tmp_path / "r.hea").write_text("r 1 300 500\nr.mat 16 1000/mV 16 0 0 0 0 ECG\n")
    with pytest.raises(waveforms.Unreadable, match=r"r\.mat is no MATLAB 4 file"):
        waveforms.read(tmp_path / "r", ("ECG",), 300)


@pytest.mark.parametrize("form", ["16+24", "16x1+24"])
@pytest.mark.parametrize("version", ["4", "5"])
def test_a_mat_file_saved_again_as_another_type_is_refused(tmp_path, form, version):
    counts = tiny_sets.noise(3, 1, 500).T
    (tmp_path / "r.hea").write_text(f"r 1 300 500\nr.mat {form} 1000/mV 16 0 0 0 0 ECG\n")
    scipy.io.savemat(tmp_path / "r.mat", {"val": counts}, format="4")
    assert np.array_equal(waveforms.read(tmp_path / "r", ("ECG",), 300), counts)
    saved = counts.astype(float) if version == "4" else counts
    scipy.io.savemat(tmp_path / "r.mat", {"val": saved}, format=version)
    with pytest.raises(waveforms.Unreadable, match=r"r\.mat is no MATLAB 4 file.*saved again"):
        waveforms.read(tmp_path / "r", ("ECG",), 300)


def test_headers_may_begin_with_a_byte_order_mark_and_hold_blank_lines(tmp_path):
    counts = tiny_sets.noise(3, 3, 100)
    tiny_sets.write_record(tmp_path / "r", counts, 100, NAMES)
    text = (tmp_path / "r.hea").read_text().replace("\n", "\n \n")
    (tmp_path / "r.hea").write_text("# a comment\n" + text, encoding="utf-8-sig")
    assert np.array_equal(waveforms.read(tmp_path / "r", NAMES, 100), counts.T)


def test_several_signal_files_are_read_through_wfdb(tmp_path):
    counts = tiny_sets.noise(4, 2, 100)
    tiny_sets.write_record(tmp_path / "r", counts, 100, ("I", "II"))
    for lead in (0, 1):
        counts[:, lead].astype("<i2").tofile(tmp_path / f"r{lead}.dat")
    lines = (tmp_path / "r.hea").read_text().splitlines()
    lines[1:3] = [line.replace("r.dat", f"r{lead}.dat") for lead, line in enumerate(lines[1:3])]
    (tmp_path / "r.hea").write_text("\n".join(lines) + "\n")
    assert np.array_equal(waveforms.read(tmp_path / "r", ("II", "I"), 100), counts.T[[1, 0]])


def test_names_of_several_words_are_read_through_wfdb(tmp_path):
    counts = tiny_sets.noise(4, 2, 100)
    tiny_sets.write_record(tmp_path / "r", counts, 100, ("lead I", "II"))
    assert np.array_equal(waveforms.read(tmp_path / "r", ("II", "lead I"), 100), counts.T[[1, 0]])


def test_leads_are_found_by_name_in_any_case(tmp_path):
    counts = tiny_sets.noise(5, 3, 100)
    tiny_sets.write_record(tmp_path / "r", counts, 100, ("V1", "aVR", "I"))
    assert np.array_equal(waveforms.read(tmp_path / "r", ("I", "AVR", "V1"), 100), counts.T[[2, 1, 0]])


def change_header(path, old, new):
    path.write_text(path.read_text().replace(old, new))


def cut(path, size):
    path.write_bytes(path.read_bytes()[:size])


def set_byte(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda folder: (folder / "r.hea").unlink(), "r.hea cannot be read.*download"),
        (lambda folder: (folder / "r.dat").unlink(), "r.dat cannot be read.*download"),
        (
            lambda folder: cut(folder / "r.dat", 599),
            "r.dat is cut short .599 bytes, its header says 600.*download",
        ),
        (lambda folder: set_byte(folder / "r.dat", 7), "r.dat does not fit its header's checksums"),
        (lambda folder: cut(folder / "r.hea", 40), "header is damaged.*download"),
        (lambda folder: (folder / "r.hea").write_text(""), "header is damaged"),
        (
            lambda folder: change_header(folder / "r.hea", "r 3 100 100", "r 3 100 99999999999"),
            "header is damaged",
        ),
        (lambda folder: change_header(folder / "r.hea", "r 3 100 100", "r 3 nan 100"), "header is damaged"),
        (
            lambda folder: change_header(folder / "r.hea", "r.dat", "../r.dat"),
            "file outside of its folder.*refused",
        ),
        (
            lambda folder: change_header(folder / "r.hea", "r.dat", "/etc/passwd"),
            "file outside of its folder.*refused",
        ),
        (lambda folder: (folder / "r.hea").write_bytes(b"r 3 100 100\n" * 9999), "too large"),
        (lambda folder: change_header(folder / "r.hea", "/mV", "/mmHg"), "units are mmHg"),
        (
            lambda folder: change_header(folder / "r.hea", "r 3 100 100", "r 3 250 100"),
            "sampled at 250 Hz, expected 100",
        ),
        (
            lambda folder: change_header(folder / "r.hea", "r 3 100 100", "r 3 100 50"),
            "50 samples long, expected 100",
        ),
        (lambda folder: change_header(folder / "r.hea", "0 II\n", "0 I\n"), "no lead II"),
        (lambda folder: change_header(folder / "r.hea", "0 V1\n", "0 ii\n"), "no lead V1"),
    ],
)
def test_a_damaged_record_is_refused_with_its_reason(tmp_path, damage, message):
    tiny_sets.write_record(tmp_path / "r", tiny_sets.noise(6, 3, 100), 100, NAMES)
    damage(tmp_path)
    with pytest.raises(waveforms.Unreadable, match=message):
        waveforms.read(tmp_path / "r", NAMES, 100, 100)


def test_a_lead_that_stands_twice_is_refused(tmp_path):
    tiny_sets.write_record(tmp_path / "r", tiny_sets.noise(6, 3, 100), 100, NAMES)
    change_header(tmp_path / "r.hea", "0 V1\n", "0 I\n")
    with pytest.raises(waveforms.Unreadable, match="stands twice"):
        waveforms.read(tmp_path / "r", ("I", "II"), 100)


def test_missing_leads_say_what_there_is(tmp_path):
    tiny_sets.write_record(tmp_path / "r", tiny_sets.noise(6, 3, 100), 100, NAMES)
    with pytest.raises(waveforms.MissingLeads, match="no lead V6; it holds I, II, V1") as error:
        waveforms.read(tmp_path / "r", ("I", "V6"), 100)
    assert error.value.present == NAMES


@pytest.mark.parametrize(
    "name", ["../x", "a/../../x", "/etc/passwd", "", "a b", None, float("nan"), "C:\\x", "~root"]
)
def test_names_that_leave_the_folder_are_not_inside(name):
    assert not waveforms.is_inside(name)


def test_plain_relative_names_are_inside():
    assert waveforms.is_inside("records100/00000/00001_lr")


def test_short_gaps_become_straight_lines():
    counts = np.tile(np.arange(100, dtype=np.int16) * 10, (2, 1))
    gaps = counts.copy()
    gaps[0, [0, 40, 41, 42]] = gaps[1, 99] = waveforms.INVALID
    filled = waveforms.fill_missing(gaps, ("I", "II"))
    counts[0, 0], counts[1, 99] = counts[0, 1], counts[1, 98]  # beyond the ends the nearest value
    assert np.array_equal(filled, counts)


def test_a_lead_with_more_than_a_tenth_missing_is_refused():
    counts = np.zeros((2, 100), dtype=np.int16)
    counts[1, :11] = waveforms.INVALID
    with pytest.raises(waveforms.Unreadable, match="lead II misses 11%"):
        waveforms.fill_missing(counts, ("I", "II"))


@pytest.mark.parametrize(
    "start, length, expected", [(0, 100, True), (37, 100, True), (37, 99, False), (900, 100, True)]
)
def test_flat_means_no_change_for_a_second(start, length, expected):
    counts = tiny_sets.noise(7, 2, 1000).T.copy()
    counts[0, start : start + length] = 5
    assert waveforms.flat(counts, 100).tolist() == [expected, False]


@pytest.mark.parametrize(
    "level, start, length, expected",
    [
        (3000, 400, 5, True),
        (-3000, 400, 5, True),
        (3000, 400, 4, False),
        (1900, 400, 50, False),
        (3000, 981, 19, False),
    ],
)
def test_saturated_means_resting_at_a_far_extreme(level, start, length, expected):
    counts = tiny_sets.noise(8, 2, 1000).T.copy()
    counts[0, start : start + length] = level
    assert waveforms.saturated(counts, 100).tolist() == [expected, False]


def test_very_short_recordings_are_neither_flat_nor_saturated():
    counts = np.full((2, 3), 5000, dtype=np.int16)
    assert not waveforms.flat(counts, 100).any() and not waveforms.saturated(counts, 100).any()


@pytest.mark.parametrize("fmt", ["16", "212"])  # the direct reader's, and one that is left to wfdb
@pytest.mark.parametrize("gain", ["1e999", "1e300", "1e-300", "1e-9"])
def test_gains_that_no_recorder_has_are_refused(tmp_path, fmt, gain):
    tiny_sets.write_record(
        tmp_path / "r", tiny_sets.noise(0, 2, 100), 100, ("I", "II"), gain=[200.0, 2000.0], fmt=fmt
    )
    change_header(tmp_path / "r.hea", "2000", gain)
    with pytest.raises(waveforms.Unreadable, match="by its gain a count is|is no signal's line"):
        waveforms.read(tmp_path / "r", ("I", "II"), 100)


ABSURD = (
    "1e999 -1e999 nan inf -1 0 1e-999 1e300 99999999999999999999 2147483649 0x10 \0 +-5 1000(1e9) x".split(
        " "
    )
)


@pytest.mark.parametrize("fmt", ["16", "212"])
def test_whatever_number_a_header_gives_it_is_refused_or_makes_sense(tmp_path, fmt):
    counts = np.clip(tiny_sets.noise(0, 2, 50), -900, 900)
    tiny_sets.write_record(tmp_path / "r", counts, 100, NAMES[:2], fmt=fmt)
    header = (tmp_path / "r.hea").read_text()
    for number in re.finditer(r"-?\d+(\.\d+)?", header):
        for absurd in ABSURD:
            (tmp_path / "r.hea").write_text(header[: number.start()] + absurd + header[number.end() :])
            try:
                read = waveforms.read(tmp_path / "r", NAMES[:2], 100)
            except waveforms.Unreadable:
                continue
            assert read.dtype == np.int16 and len(read) == 2 and np.ptp(read, axis=1).all(), (number, absurd)


def test_long_counts_may_be_finer(tmp_path):
    tiny_sets.write_record(tmp_path / "r", tiny_sets.noise(0, 2, 100), 100, NAMES[:2], gain=1e8, fmt="24")
    assert waveforms.read(tmp_path / "r", NAMES[:2], 100).shape == (2, 100)


def test_a_package_that_is_missing_is_no_fault_of_a_record(tmp_path, monkeypatch):
    tiny_sets.write_record(tmp_path / "r", tiny_sets.noise(0, 2, 100), 100, NAMES[:2], fmt="212")
    monkeypatch.setitem(sys.modules, "wfdb", None)
    for read in (
        lambda: waveforms.read(tmp_path / "r", NAMES[:2], 100),
        lambda: readers.read(tmp_path / "r.hea"),
    ):
        with pytest.raises(ImportError):
            read()


def test_comments_are_given_without_their_mark(tmp_path):
    tiny_sets.write_record(tmp_path / "r", tiny_sets.noise(0, 1, 10), 100, ("I",))
    assert waveforms.read_header(f"{tmp_path}/r.hea").comments == ()
    with open(tmp_path / "r.hea", "a") as header:
        header.write("# persistent atrial fibrillation\n#age: 51\n")
    assert waveforms.read_header(f"{tmp_path}/r.hea").comments == (
        "persistent atrial fibrillation",
        "age: 51",
    )


@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE, errno.ESTALE])
def test_a_fault_of_the_system_is_no_fault_of_a_record(tmp_path, monkeypatch, number):
    tiny_sets.write_record(tmp_path / "r", tiny_sets.noise(0, 1, 10), 100, ("I",))

    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(waveforms.os, "open", fail)
    with pytest.raises(waveforms.StorageError, match=f"r.hea: {os.strerror(number)}.*load again"):
        waveforms.read(tmp_path / "r", ("I",), 100)
