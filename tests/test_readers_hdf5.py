"""HDF5 files are read by what they state, records of SPH and CODE-15 % by what those sets are known to hold."""

import h5py
import numpy as np
import pytest

from biosignals.data import readers

LEADS = ("I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6")


def twelve(samples=600, seed=0):
    """Twelve leads in mV, (12, samples), of which the limb leads follow from I and II."""
    random = np.random.default_rng(seed)
    one, two = np.cumsum(random.normal(0, 0.05, (2, samples)), axis=1)
    limb = [one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2]
    return np.stack([*limb, *np.cumsum(random.normal(0, 0.05, (6, samples)), axis=1)]).astype(np.float32)


def write(folder, name="signals", values=None, beside=(), of_file=(), ending=".h5", **attributes):
    """A file with a data set, its attributes, those of the file, and data sets beside it."""
    path = folder / f"r{ending}"
    with h5py.File(path, "w") as file:
        data = file.create_dataset(name, data=twelve() if values is None else values)
        data.attrs.update(attributes)
        file.attrs.update(dict(of_file))
        for key, value in dict(beside).items():
            file[key] = value
    return path


STATED = {"channels": list(LEADS), "sampling_rate": 100, "unit": "mV"}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"units": "mV", "unit": None},
        {"unit": ["mV"] * 12},
        {"channels": ",".join(LEADS)},
        {"channels": " ".join(LEADS)},
        {"channels": None, "lead_names": np.array(LEADS, dtype=np.bytes_)},
        {"sampling_rate": [100.0]},
        {"sampling_rate": "100 Hz"},
        {"sampling_rate": "0.1 kHz"},
        {"sampling_rate": None, "fs": 100},
    ],
)
@pytest.mark.parametrize("name", ["signals", "ecg"])
@pytest.mark.parametrize("turned", [False, True])
def test_what_a_file_states_is_read_however_it_is_written(tmp_path, changes, name, turned):
    stated = {key: value for key, value in {**STATED, **changes}.items() if value is not None}
    values = twelve().T if turned else twelve()
    in_attributes = readers.read(write(tmp_path, name, values, **stated))
    for found in (
        in_attributes,
        readers.read(write(tmp_path, name, values, of_file=stated, ending=".hdf5")),
        readers.read(write(tmp_path, name, values, beside=stated)),
    ):
        assert (found.channels, set(found.units), found.sampling_rate) == (LEADS, {"mV"}, 100)
        np.testing.assert_array_equal(found.values, twelve())


def test_a_record_of_sph_is_known_by_its_type(tmp_path):
    values = twelve().astype(np.float16)
    found = readers.read(write(tmp_path, "ecg", values))
    assert (found.channels, found.units[0], found.sampling_rate) == (LEADS, "mV", 500)
    np.testing.assert_array_equal(found.values, values)
    for rate, names in (("sampling_rate", "channels"), ("Sampling_Rate_Hz", "channel"), ("fs_hz", "label")):
        stated = {names: list(LEADS[::-1]), rate: 250}
        other = readers.read(write(tmp_path, "ecg", values, **stated))
        assert (other.channels, other.sampling_rate) == (LEADS[::-1], 250)


@pytest.mark.parametrize(
    "values, given, reason",
    [
        (twelve(), {}, "does not state one sampling rate"),
        ((1000 * twelve()).astype(np.int16), {}, "whole numbers of no stated unit"),
        (twelve()[::-1], {"sampling_rate": 100}, "III is not II - I"),
        (twelve()[:5], {"sampling_rate": 100}, "5 channels have no names"),
    ],
)
def test_what_is_no_record_of_sph_is_not_taken_for_one(tmp_path, values, given, reason):
    with pytest.raises(readers.InvalidRecording, match=reason):
        readers.read(write(tmp_path, "ecg", values), **given)


def test_what_a_file_does_not_state_may_be_given(tmp_path):
    found = readers.read(write(tmp_path, "ecg", (1000 * twelve()).astype(np.int16)), 100, "uV")
    assert (found.channels, found.units[0], found.sampling_rate) == (LEADS, "uV", 100)
    eight = readers.read(write(tmp_path, "signals", twelve()[[0, 1, *range(6, 12)]]), 100)
    assert eight.channels == ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
    assert readers.read(write(tmp_path, "signals", twelve()[0]), 100).channels == ("ECG",)


@pytest.mark.parametrize(
    "changes, given, reason",
    [
        ({}, {"unit": "uV"}, "states its unit as mV, and uV is asked for"),
        ({}, {"sampling_rate": 500}, "sampled at 100 Hz, and 500 Hz is asked for"),
        ({"sampling_rate": [100, 200]}, {}, "one sampling rate"),
        ({"add_offset": -2000.0}, {}, "states a scale or an offset"),
        ({"gain": "1000 adu/mV"}, {}, "states a scale or an offset"),
        ({"gain": 1000.0}, {}, "states a scale or an offset, which is not applied"),
    ],
)
def test_contradictions_are_refused(tmp_path, changes, given, reason):
    with pytest.raises(readers.InvalidRecording, match=reason):
        readers.read(write(tmp_path, **{**STATED, **changes}), **given)


def tracings(*records):
    """Records as CODE-15 % stores them: (records, 4096, 12), zeros on both sides of each."""
    padded = np.zeros((len(records), 4096, 12), np.float32)
    for row, record in zip(padded, records, strict=True):
        row[648 : 648 + record.shape[1]] = record.T
    return padded


def test_code_15_is_read_record_by_record(tmp_path):
    one, two = twelve(2800), twelve(2800, seed=1)
    alone = readers.read(write(tmp_path, "tracings", tracings(one), ending=".hdf5"))
    assert (alone.channels, alone.units[0], alone.sampling_rate) == (LEADS, "mV", 400)
    np.testing.assert_array_equal(alone.values, one)
    both = write(tmp_path, "tracings", tracings(one, two), beside={"exam_id": [1169160, 2873686]})
    np.testing.assert_array_equal(readers.read(both, record="2873686").values, two)
    for record in (None, "1"):
        with pytest.raises(
            readers.InvalidRecording, match=r"holds 2 recordings .1169160, 2873686.: name one"
        ):
            readers.read(both, record=record)
    unnamed = write(tmp_path, "tracings", tracings(one, two)[..., [0, 1, *range(6, 12)]])
    eight = readers.read(unnamed, record="1")
    assert eight.channels == ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
    np.testing.assert_array_equal(eight.values, two[[0, 1, *range(6, 12)]])


def test_samples_that_are_no_numbers_are_filled_by_lines_where_they_are_few(tmp_path):
    values = twelve().astype(np.float16)
    values[3, 50], values[4, 60:62] = np.inf, np.nan
    found = readers.read(write(tmp_path, "ecg", values)).values
    assert np.isfinite(found).all()
    assert found[3, 50] == pytest.approx((found[3, 49] + found[3, 51]) / 2)


def test_marks_of_missing_samples_are_no_samples(tmp_path):
    values = np.rint(1000 * twelve()).astype(np.int16)
    marked = values.copy()
    marked[1, 50], marked[2, 70] = -32768, 9999
    stated = {**STATED, "values": marked, "unit": "uV", "_FillValue": np.int16(9999)}
    found = readers.read(write(tmp_path, **stated)).values
    for row, place in ((1, 50), (2, 70)):
        around = values[row, [place - 1, place + 1]].astype(float)
        assert found[row, place] == pytest.approx(around.mean())
