"""EDF and BDF files are read as edfio reads them, and as leniently as programs write them."""

import dataclasses

import edfio
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from biosignals.data import edf
from biosignals.data.errors import Unreadable

SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
KINDS = {"edf": (edfio.Edf, edfio.EdfSignal), "bdf": (edfio.Bdf, edfio.BdfSignal)}


def write(path, rates=(8, 4), records=5, kind="edf", annotations=None, unit="uV", **options):
    """A file of one-second data records with noise, and what edfio reads from it, in physical units."""
    file, signal = KINDS[kind]
    random = np.random.default_rng(0)
    signals = [
        signal(
            random.uniform(-300, 300, rate * records), rate, label=f"S{number}", physical_dimension=unit,
            physical_range=(-400, 500), **options,
        )
        for number, rate in enumerate(rates)
    ]  # fmt: skip
    file(signals, data_record_duration=1, annotations=annotations).write(path)
    return [signal.data for signal in signals]


def edit(path, start, text, length=8):
    content = bytearray(path.read_bytes())
    content[start : start + length] = text.encode("latin-1").ljust(length)
    path.write_bytes(content)


def read_all(path):
    file = edf.open_file(path)
    return [edf.read(file, [signal], 0, file.records * signal.samples)[0] for signal in file.signals]


@SHARED
@given(
    rates=st.lists(st.integers(1, 20), min_size=1, max_size=4), records=st.integers(1, 6),
    kind=st.sampled_from(["edf", "bdf"]), digital=st.sampled_from([(-2048, 2047), (-32768, 32767), (0, 4095)]),
    data=st.data(),
)  # fmt: skip
def test_any_stretch_is_what_edfio_reads(tmp_path, rates, records, kind, digital, data):
    path = tmp_path / "r.edf"  # what it is stands in the file, not in its name
    expected = write(path, rates, records, kind, digital_range=digital)
    file = edf.open_file(path)
    for signal, physical in zip(file.signals, expected, strict=True):
        stop = data.draw(st.integers(1, len(physical)))
        start = data.draw(st.integers(0, stop - 1))
        found = edf.read(file, [signal], start, stop)
        np.testing.assert_array_equal(found, physical[None, start:stop].astype(np.float32))


@pytest.mark.parametrize("block", [1, 30, 100])
def test_stretches_are_the_same_whatever_the_blocks(tmp_path, monkeypatch, block):
    expected = np.stack(write(tmp_path / "r.edf", (8, 8), 9))
    monkeypatch.setattr(edf, "BLOCK", block)
    file = edf.open_file(tmp_path / "r.edf")
    found = edf.read(file, file.signals[::-1], 11, 61)
    np.testing.assert_array_equal(found, expected[::-1, 11:61].astype(np.float32))


def test_limits_may_run_downwards(tmp_path):
    # A negative gain turns a signal over, as amplifiers with inverted inputs write it.
    (physical,) = write(tmp_path / "r.edf", rates=(8,))
    edit(tmp_path / "r.edf", 256 + 104, "500")
    edit(tmp_path / "r.edf", 256 + 112, "-400")
    np.testing.assert_allclose(read_all(tmp_path / "r.edf")[0], 100 - physical, atol=1e-4)


def blank_as_nul(path):
    content = path.read_bytes()
    path.write_bytes(content[:768].replace(b" ", b"\0") + content[768:])


@pytest.mark.parametrize(
    "slip",
    [
        blank_as_nul,
        lambda path: edit(path, 236, "-1"),  # the recorder was not stopped
        lambda path: edit(path, 236, "3"),
        lambda path: edit(path, 256 + 2 * 104, "-400,0"),
        lambda path: edit(path, 244, "1,0"),
        lambda path: path.write_bytes(path.read_bytes() + b"\0" * 11),
    ],
)
def test_slips_of_writing_programs_change_nothing(tmp_path, slip):
    expected = write(tmp_path / "r.edf")
    slip(tmp_path / "r.edf")
    for found, physical in zip(read_all(tmp_path / "r.edf"), expected, strict=True):
        np.testing.assert_array_equal(found, physical.astype(np.float32))
    assert [signal.label for signal in edf.open_file(tmp_path / "r.edf").signals] == ["S0", "S1"]


@pytest.mark.parametrize(
    "start, text", [(104, "0"), (104, ""), (104, "500"), (120, "32767"), (112, "nan"), (112, "1e300")]
)
def test_limits_that_give_no_scale_give_none(tmp_path, start, text):
    write(tmp_path / "r.edf")
    edit(tmp_path / "r.edf", 256 + 2 * start, text)
    if text == "0":
        edit(tmp_path / "r.edf", 256 + 2 * 112, "0")
    first, second = edf.open_file(tmp_path / "r.edf").signals
    assert first.gain is None and second.gain is not None


@pytest.mark.parametrize(
    "damage, reason",
    [
        (
            lambda path: path.write_bytes(path.read_bytes()[:-1]),
            "cut short .4 data records, its header says 5",
        ),
        (
            lambda path: path.write_bytes(path.read_bytes()[:700]),
            "cut short .its header has 700 bytes of 768",
        ),
        (lambda path: path.write_bytes(path.read_bytes()[:770]), "cut short .0 data records"),
        (lambda path: (edit(path, 236, "-1"), path.write_bytes(path.read_bytes()[:770])), "no data record"),
        (lambda path: edit(path, 244, "0"), "duration of 0"),
        (lambda path: edit(path, 256 + 2 * 216, "many"), "number of samples is 'many'"),
        (lambda path: edit(path, 0, "1"), "no EDF file"),
    ],
)
def test_what_is_no_such_file_is_refused_with_its_reason(tmp_path, damage, reason):
    write(tmp_path / "r.edf")
    damage(tmp_path / "r.edf")
    with pytest.raises(Unreadable, match=reason):
        edf.open_file(tmp_path / "r.edf")


def write_plus(path, kind, onsets, duration=1.0):
    """An EDF+ file whose data records bear these onsets; None for one without a time."""
    room = [edfio.EdfAnnotation(0, None, "x" * 20)]
    write(path, (8,), len(onsets), annotations=room)
    content = bytearray(path.read_bytes())
    content[192:236] = kind.encode().ljust(44)
    file = edf.open_file(path)
    (signal,) = file.annotations
    for record, onset in enumerate(onsets):
        start = file.start + record * file.record_size + signal.first
        text = b"" if onset is None else f"+{onset:g}\x14\x14\0".encode()
        content[start : start + 2 * signal.samples] = text.ljust(2 * signal.samples, b"\0")
    path.write_bytes(content)


@pytest.mark.parametrize("kind", ["EDF+C", "EDF+D", ""])
@pytest.mark.parametrize("offset", [0, 0.5])
def test_records_that_follow_each_other_have_no_gaps_whatever_the_header_says(tmp_path, kind, offset):
    write_plus(tmp_path / "r.edf", kind, [offset + second for second in range(6)])
    edf.refuse_gaps(edf.open_file(tmp_path / "r.edf"))


@pytest.mark.parametrize("kind", ["EDF+C", "EDF+D", ""])
@pytest.mark.parametrize("onsets", [[0, 1, 2, 102, 103], [0, 1, 1.5, 2.5], [0, 1, 2.02, 3.02], [3, 2, 1]])
def test_records_that_do_not_follow_each_other_are_gaps_whatever_the_header_says(tmp_path, kind, onsets):
    write_plus(tmp_path / "r.edf", kind, onsets)
    with pytest.raises(Unreadable, match="gaps in time"):
        edf.refuse_gaps(edf.open_file(tmp_path / "r.edf"))


def test_times_may_be_rounded_but_must_not_drift(tmp_path):
    thirds = [round(record / 3, 3) for record in range(30)]
    write_plus(tmp_path / "r.edf", "EDF+D", thirds)
    edit(tmp_path / "r.edf", 244, "0.333333")
    edf.refuse_gaps(edf.open_file(tmp_path / "r.edf"))
    write_plus(tmp_path / "r.edf", "EDF+D", [1.005 * second for second in range(30)])
    with pytest.raises(Unreadable, match="gaps in time"):
        edf.refuse_gaps(edf.open_file(tmp_path / "r.edf"))


def test_records_without_times_are_trusted_only_where_the_header_says_that_they_follow(tmp_path):
    write_plus(tmp_path / "r.edf", "EDF+C", [None] * 4)
    edf.refuse_gaps(edf.open_file(tmp_path / "r.edf"))
    write_plus(tmp_path / "r.edf", "EDF+D", [None] * 4)
    with pytest.raises(Unreadable, match="without times"):
        edf.refuse_gaps(edf.open_file(tmp_path / "r.edf"))


def test_gaps_are_found_by_the_times_that_there_are_however_they_are_written(tmp_path):
    for onsets in ([0, 1, None, 3, None, 5], [None, 7, 8, None]):
        write_plus(tmp_path / "r.edf", "EDF+C", onsets)
        edf.refuse_gaps(edf.open_file(tmp_path / "r.edf"))
    write_plus(tmp_path / "r.edf", "EDF+C", [None, 1, None, 8])
    with pytest.raises(Unreadable, match="data record 4 starts at 8 s, not at 3 s"):
        edf.refuse_gaps(edf.open_file(tmp_path / "r.edf"))
    write_plus(tmp_path / "r.edf", "EDF+C", [0.5, 1.5, 8.5])
    content = (tmp_path / "r.edf").read_bytes()
    (tmp_path / "r.edf").write_bytes(content.replace(b".5\x14", b",5\x14"))
    with pytest.raises(Unreadable, match=r"data record 3 starts at 8.5 s, not at 2.5 s"):
        edf.refuse_gaps(edf.open_file(tmp_path / "r.edf"))


def test_a_file_of_annotations_alone_says_so(tmp_path):
    edfio.Edf([], annotations=[edfio.EdfAnnotation(0, None, "x")]).write(tmp_path / "r.edf")
    with pytest.raises(Unreadable, match="annotations and no signals"):
        edf.open_file(tmp_path / "r.edf")


def test_only_the_recording_can_be_read(tmp_path):
    write(tmp_path / "r.edf")
    file = edf.open_file(tmp_path / "r.edf")
    for start, stop in ((-1, 3), (0, 41), (5, 4), (5, 5)):
        with pytest.raises(IndexError):
            edf.read(file, file.signals[:1], start, stop)
    assert dataclasses.replace(file, records=1).record_size == 24
