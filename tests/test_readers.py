"""Files of every kind are read as they are or refused, whatever they hold."""

import os

import edfio
import h5py
import numpy as np
import pytest
import wfdb
from hypothesis import given
from hypothesis import strategies as st

from biosignals.data import readers
from biosignals.data.readers import wfdb as readers_wfdb
from made_recordings import (
    WRITERS,
    ecg,
    write_edf,
    write_h5,
    write_h5_of_fixed_length,
    write_other_wfdb,
    write_wfdb,
)


@pytest.mark.parametrize("name", ["record.hea", "record.edf", "record.csv", "record.h5"])
@given(content=st.binary(max_size=400))
def test_no_bytes_whatever_get_more_than_a_refusal(tmp_path_factory, name, content):
    place = tmp_path_factory.mktemp("bytes") / name
    place.write_bytes(content)
    with pytest.raises(readers.InvalidRecording, match=name):
        readers.read(place)


@pytest.mark.parametrize(
    "write",
    [
        write_edf,
        write_h5_of_fixed_length,
        write_wfdb,
        write_other_wfdb,
    ],
)
def test_damaged_files_are_read_or_refused(tmp_path_factory, write):
    place = write(tmp_path_factory.mktemp("damaged"), ecg(seconds=1, rate=20), 20, ("I", "II"))
    whole = place.read_bytes()

    @given(
        length=st.integers(0, 30),
        damage=st.dictionaries(st.integers(0, len(whole) - 1), st.integers(0, 255), max_size=4),
    )
    def read_damaged(length, damage):
        content = bytearray(whole)
        for where, byte in damage.items():
            content[where] = byte
        place.write_bytes(content[: len(content) - length])
        try:
            found = readers.read(place)
        except readers.InvalidRecording as error:
            assert place.name in str(error)
        else:
            assert found.values.shape == (len(found.channels), found.values.size // len(found.channels))

    read_damaged()


def test_an_edf_file_that_is_cut_short_is_refused(tmp_path):
    place = write_edf(tmp_path, ecg(), 100, ("I", "II"))
    whole = place.read_bytes()
    for length in (400, 500, len(whole) - 256):
        place.write_bytes(whole[:-length])
        with pytest.raises(readers.InvalidRecording, match=r"record\.edf"):
            readers.read(place)


@pytest.mark.parametrize("write", [*WRITERS, write_other_wfdb])
def test_files_that_are_too_large_are_refused(tmp_path, monkeypatch, write):
    place = write(tmp_path, ecg(), 100, ("I", "II"))
    for module in (readers, readers_wfdb):
        monkeypatch.setattr(module, "LARGEST_FILE", 1100)  # more than a header, less than any signals
    with pytest.raises(readers.InvalidRecording, match="cut it first"):
        readers.read(place)


@pytest.mark.parametrize(
    "name, message",
    [
        ("none.edf", "there is no such file"),
        ("a.exe", "a recording is one of"),
        ("a.xml", r"a\.xml: is an ECG in XML .HL7 aECG.*: export it as EDF or CSV"),
        ("a.DCM", "is DICOM: export it"),
        ("a.npy", "a NumPy array: give it to biosignals.predict"),
        ("a.csv.gz", "is compressed: unpack it"),
        ("a.atr", "is annotations: ask about the record's header"),
        ("a.acq", "is AcqKnowledge's format: export it"),
    ],
)
def test_files_that_are_none_are_refused_with_their_format_and_what_to_do(name, message, tmp_path):
    with pytest.raises(readers.InvalidRecording, match=message):
        readers.read(tmp_path / name)


def test_values_without_names_are_refused():
    with pytest.raises(readers.InvalidRecording, match="channels, samples"):
        readers.from_array(ecg()[0], ("I",), 100)


def test_nobody_is_told_to_download_a_file_of_ones_own(tmp_path):
    for write, ending in ((write_wfdb, ".dat"), (write_edf, ".edf"), (write_h5, ".h5")):
        place = write(tmp_path, ecg(), 100, ("I", "II")).with_suffix(ending)
        place.write_bytes(place.read_bytes()[:-300])
        with pytest.raises(readers.InvalidRecording) as error:
            readers.read(place)
        assert "download" not in str(error.value)
    (tmp_path / "alone.mat").write_bytes(bytes(100))
    with pytest.raises(readers.InvalidRecording, match=r"alone.hea is not beside it; without one, save"):
        readers.read(tmp_path / "alone.mat")
    (tmp_path / "alone.dat").write_bytes(bytes(100))
    with pytest.raises(
        readers.InvalidRecording, match="with its WFDB header, and alone.hea is not beside it"
    ):
        readers.read(tmp_path / "alone.dat")


def test_uneven_times_and_missing_rates_are_refused(tmp_path):
    np.savetxt(tmp_path / "a.csv", ecg().T, delimiter=",", header="I,II", comments="")
    with pytest.raises(readers.InvalidRecording, match="give its sampling rate"):
        readers.read(tmp_path / "a.csv")
    assert readers.read(tmp_path / "a.csv", 100.0).sampling_rate == 100.0
    times = np.arange(400) / 100
    times[200:] += 3
    np.savetxt(
        tmp_path / "b.csv",
        np.column_stack([times, ecg().T]),
        delimiter=",",
        header="time,I,II",
        comments="",
    )
    with pytest.raises(readers.InvalidRecording, match="equal steps"):
        readers.read(tmp_path / "b.csv")


@pytest.mark.parametrize("decimals, rate", [(3, 360), (6, 360), (3, 1000), (2, 100)])
def test_times_may_be_rounded(tmp_path, decimals, rate):
    x = ecg(rate=rate)
    place = tmp_path / "a.csv"
    table = np.column_stack([np.round(np.arange(x.shape[1]) / rate, decimals), x.T])
    np.savetxt(place, table, delimiter=",", header="time,I,II", comments="")
    assert readers.read(place).sampling_rate == pytest.approx(rate, rel=1e-3)
    np.savetxt(place, np.delete(table, [50, 51, 52], axis=0), delimiter=",", header="time,I,II", comments="")
    with pytest.raises(readers.InvalidRecording, match="equal steps"):
        readers.read(place)


def test_text_in_hdf5_may_be_of_fixed_length(tmp_path):
    found = readers.read(write_h5_of_fixed_length(tmp_path, ecg(), 100, ("I", "II")))
    assert found.units == ("V", "V") and found.channels == ("I", "II")


@pytest.mark.parametrize(
    "link",
    [h5py.ExternalLink("other.h5", "/signals"), h5py.SoftLink("/inner"), h5py.ExternalLink("none.h5", "/x")],
)
def test_links_in_hdf5_are_refused_and_not_followed(tmp_path, link):
    x = ecg()
    write_h5(tmp_path, x, 100, ("I", "II")).rename(tmp_path / "other.h5")
    with h5py.File(tmp_path / "record.h5", "w") as file:
        file["inner"] = x
        file["signals"] = link
    os.utime(tmp_path / "other.h5", (0, 1))
    with pytest.raises(readers.InvalidRecording, match="of its own"):
        readers.read(tmp_path / "record.h5")
    assert (tmp_path / "other.h5").stat().st_atime == 0  # nobody opened it


@pytest.mark.parametrize("name", ["../secret.dat", "/tmp/secret.dat", "..", "a\\b.dat", "s3://a/b.dat"])
@pytest.mark.parametrize("form", ["16", "212"])
def test_headers_that_name_files_elsewhere_are_refused(tmp_path, name, form):
    (tmp_path / "secret.dat").write_bytes(bytes(8000))
    (tmp_path / "set").mkdir()
    header = tmp_path / "set/record.hea"
    header.write_text(
        "record 2 100 400\n" + "".join(f"{name} {form} 1000/mV 16 0 0 0 0 {lead}\n" for lead in ("I", "II"))
    )
    with pytest.raises(readers.InvalidRecording, match="outside of its folder"):
        readers.read(header)


def test_the_file_that_is_read_is_the_one_that_the_header_names(tmp_path):
    # The package wfdb drops what is not ASCII: it would open r.dat.
    for file in ("r.dat", "ré.dat"):
        (tmp_path / file).write_bytes(bytes(4000 if file == "r.dat" else 1))
    (tmp_path / "record.hea").write_text("record 1 100 800\nré.dat 212 1000/mV 12 0 0 0 0 I\n")
    with pytest.raises(readers.InvalidRecording, match="ré.dat is cut short"):
        readers.read(tmp_path / "record.hea")


def test_headers_that_announce_too_much_are_refused(tmp_path):
    (tmp_path / "r.dat").write_bytes(bytes(4000))
    (tmp_path / "record.hea").write_text("record 1 100 9000000\nr.dat 212x9000 1000/mV 12 0 0 0 0 I\n")
    with pytest.raises(readers.InvalidRecording, match="cut short"):
        readers.read(tmp_path / "record.hea")


@pytest.mark.parametrize("ending", [".hea", ".dat", ".HEA"])
def test_a_record_is_found_by_any_of_its_files(tmp_path, ending):
    place = write_wfdb(tmp_path, ecg(), 100, ("I", "II"))
    if ending == ".HEA":
        place = place.rename(place.with_suffix(".HEA"))
    found = readers.read(place.with_suffix(ending))
    np.testing.assert_allclose(found.values, ecg(), atol=1e-3)


def test_channels_of_every_rate_are_read(tmp_path):
    fast, slow = ecg(rate=200, channels=1), ecg(rate=50)
    span = {"physical_dimension": "mV", "physical_range": (-5, 5)}
    signals = [edfio.EdfSignal(fast[0], 200, label="ECG", **span)]
    signals += [edfio.EdfSignal(row, 50, label=label, **span) for row, label in zip(slow, "AB", strict=True)]
    edfio.Edf(signals, data_record_duration=1).write(tmp_path / "r.edf")
    found = readers.read(tmp_path / "r.edf")
    assert (found.channels, found.sampling_rate) == (("ecg",), 200)
    (other,) = found.others
    assert (other.channels, other.sampling_rate) == (("a", "b"), 50)
    np.testing.assert_allclose(other.values, slow, atol=1e-3)
    assert readers.read(tmp_path / "r.edf", 50).sampling_rate == 200
    with pytest.raises(readers.InvalidRecording, match="sampled at 200 and 50 Hz, and 100 Hz is asked for"):
        readers.read(tmp_path / "r.edf", 100)


def test_channels_may_be_renamed(tmp_path):
    place = write_edf(tmp_path, ecg(), 100, ("ECG1", "ECG2"))
    assert readers.read(place, rename={"ECG2": "I"}).channels == ("ecg1", "I")
    with pytest.raises(readers.InvalidRecording, match="no channel ecg3; it has ecg1, ecg2"):
        readers.read(place, rename={"ECG3": "I"})


def test_edf_signals_without_a_scale_are_in_no_unit(tmp_path):
    place = write_edf(tmp_path, ecg(), 100, ("I", "II"))
    content = bytearray(place.read_bytes())
    content[256 + 2 * 104 : 256 + 2 * 104 + 16] = b"0       -5000   "
    content[256 + 2 * 112 : 256 + 2 * 112 + 16] = b"0       5000    "
    place.write_bytes(content)
    assert readers.read(place).units == ("counts, for its header gives no usable limits", "uV")


def test_other_formats_of_wfdb_are_read_and_gaps_filled(tmp_path):
    x = ecg()
    x[0, 100:110] = np.nan
    wfdb.wrsamp(
        "record", 100, ["mV", "NU"], ["I", "RESP"], p_signal=x.T, fmt=["212", "212"], write_dir=str(tmp_path)
    )
    found = readers.read(tmp_path / "record.hea")
    assert found.units == ("mV", "NU")
    filled = np.interp(np.arange(400), np.flatnonzero(np.isfinite(x[0])), x[0][np.isfinite(x[0])])
    np.testing.assert_allclose(found.values[0], filled, atol=0.01)
