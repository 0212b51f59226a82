import json

import numpy as np
import pandas as pd
import pytest

from biosignals.data import bidmc as reader
from biosignals.data import preparation
from biosignals.signals.beats import median_beat, r_peaks
from biosignals.signals.pulses import feet, fit_width
from biosignals.simulate import bidmc

RECORDS, MINUTES = 20, 0.5


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("simulated") / "bidmc"
    bidmc.write(root, RECORDS, seed=1, minutes=MINUTES)
    return root


@pytest.fixture(scope="module")
def recordings(root, tmp_path_factory):
    return reader.load(root, cache=tmp_path_factory.mktemp("cache"))


def test_the_loader_reads_all_of_it(recordings):
    assert len(recordings) == RECORDS and recordings.excluded.empty
    assert recordings.signals.shape == (RECORDS, 2, MINUTES * 60 * 125 + 1)
    assert not recordings.table["invalid_samples"].any()


def test_files_are_laid_out_as_in_the_release(root):
    headers = [path.read_text().splitlines()[0] for path in sorted(root.glob("bidmc_csv/*_Signals.csv"))]
    assert len(headers) == RECORDS and len(set(headers)) > 1
    assert all(header.startswith("Time [s], ") for header in headers)
    assert {name for header in headers for name in header.split(", ")[1:]} == {
        "RESP",
        "PLETH",
        "II",
        "V",
        "AVR",
    }
    text = (root / "bidmc_csv/bidmc_01_Fix.txt").read_text()
    assert text.startswith("bidmc_01\nSignals: ") and "\nMIMIC II matched wdb ID: s0" in text
    assert (root / "RECORDS").read_text().split()[0] == "bidmc01"
    table = pd.read_csv(root / "bidmc_csv/bidmc_01_Signals.csv", skipinitialspace=True)
    np.testing.assert_allclose(np.diff(table["Time [s]"]), 0.008, atol=1e-9)


def test_the_full_size_has_46_subjects_and_some_records_lack_leads():
    subjects = bidmc._subjects(np.random.default_rng(0), 53)
    counts = np.bincount(subjects)
    assert len(counts) == 46 and sorted(counts)[-3:] == [2, 4, 4]
    assert len(bidmc._subjects(np.random.default_rng(0), 1)) == 1
    names = [bidmc._columns(np.random.default_rng(seed)) for seed in range(1000)]
    assert 0.04 < np.mean(["V" not in own for own in names]) < 0.12
    assert 0.07 < np.mean(["AVR" not in own for own in names]) < 0.16


def test_each_pulse_follows_its_beat(recordings):
    lags = []
    for ecg, pleth in recordings.physical():
        beats, starts = r_peaks(ecg, 125), feet(preparation.pulse_waves.smooth(pleth, 125)) / 100
        after = [starts[starts > beat / 125].min(initial=np.inf) - beat / 125 for beat in beats]
        lags.append(np.median(after))
    assert np.all((0.1 < np.array(lags)) & (np.array(lags) < 0.45))
    assert np.std(lags) > 0.005


def test_most_pulses_are_1l(recordings):
    shares = preparation.segment_pulses(recordings, "PLETH").table["type"].value_counts(normalize=True)
    assert shares["1L"] > 0.6 and 0.01 < shares["3"] < 0.35


def test_a_subject_is_known_again_by_ecg_and_by_pulse(recordings):
    subjects = recordings.table["subject"].to_numpy()
    pulses = preparation.segment_pulses(recordings, "PLETH")
    shapes = fit_width(pulses.signals[:, 0], pulses.table["samples"].to_numpy(), 50, "resample")
    of_record = pulses.table["recording"].to_numpy()
    shapes = np.array([shapes[of_record == record].mean(axis=0) for record in recordings.table.index])
    beats = np.array([median_beat(x[:1], r_peaks(x[0], 125), 125)[0] for x in recordings.physical()])
    same = (subjects[:, None] == subjects) & ~np.eye(len(subjects), dtype=bool)
    assert same.any()
    for features in (shapes, beats):
        apart = np.linalg.norm(features[:, None] - features, axis=-1)
        others = apart[~same & ~np.eye(len(subjects), dtype=bool)]
        assert np.median(apart[same]) < np.median(others) / 2


def contents(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path):
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        bidmc.write(tmp_path / name, 2, seed, minutes=0.25)
    one, again, other = (contents(tmp_path / name) for name in "abc")
    assert one == again
    assert one["bidmc_csv/bidmc_01_Signals.csv"] != other["bidmc_csv/bidmc_01_Signals.csv"]


def test_real_data_are_never_overwritten_and_sizes_are_checked(root, tmp_path):
    assert json.loads((root / "SIMULATED.json").read_text())["records"] == RECORDS
    with pytest.raises(FileExistsError, match="not empty"):
        bidmc.write(root, 1)
    for records, minutes in ((0, 1), (100, 1), (1, 0.1)):
        with pytest.raises(ValueError, match="records must be|minutes must be at least 0.25"):
            bidmc.write(tmp_path / "none", records, minutes=minutes)
