import json

import numpy as np
import pandas as pd
import pytest

from biosignals.data import wfppg as reader
from biosignals.signals import pulses
from biosignals.simulate import wfppg

SUBJECTS, MINUTES = 12, 0.5


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("simulated") / "wf-ppg"
    wfppg.write(root, SUBJECTS, seed=1, minutes=MINUTES)
    return root


@pytest.fixture(scope="module")
def table(root):
    return reader.tables(root)


@pytest.fixture(scope="module")
def wrist(root, tmp_path_factory):
    return reader.load(root, cache=tmp_path_factory.mktemp("cache"))


def test_there_are_six_windows_of_each_subject_with_the_columns_of_the_release(root):
    names = {path.name for path in root.iterdir()} - {"SIMULATED.json"}
    kinds = ("preprocessed", "indices")
    assert names == {
        f"{i}_{kind}_{1000 + s}.csv" for i in range(6) for s in range(SUBJECTS) for kind in kinds
    }
    signals = pd.read_csv(root / "2_preprocessed_1003.csv", index_col=0)
    assert list(signals) == [
        "Time", "PPG_In_G_LPF_10Hz", "PPG_In_IR_LPF_10Hz", "PPG_In_R_LPF_10Hz", "PPG_Ref_G_LPF_10Hz",
        "PPG_Ref_IR_LPF_10Hz", "PPG_Ref_R_LPF_10Hz", "Pressure_In", "ECG", "BP_Sys", "BP_Dia", "SpO2",
        "PPG_In_G_AC", "PPG_Ref_G_AC", "PPG_Ref_IR_AC", "PPG_Ref_R_AC",
    ]  # fmt: skip
    assert len(signals) == MINUTES * 60 * 100 and np.isfinite(signals.to_numpy()).all()
    np.testing.assert_allclose(np.diff(signals["Time"]), 0.01, atol=1e-6)
    indices = pd.read_csv(root / "2_indices_1003.csv", index_col=0)
    assert list(indices) == ["ref_s", "ref_e", "in_s", "in_e", "in_t", "ref_t"]


def test_the_loader_reads_all_of_it(table, wrist):
    assert len(wrist) == len(table) > 6 * SUBJECTS * 15 and wrist.excluded.empty
    assert wrist.table["type"].tolist() == table["in_t"].tolist()
    assert wrist.table["subject"].nunique() == SUBJECTS


def test_types_are_those_of_the_rule_on_the_written_signals(root, wrist, tmp_path):
    finger = reader.load(root, "PPG_Ref_G_AC", cache=tmp_path)
    for recordings in (wrist, finger):
        found = pulses.pulse_types(recordings.signals[:, 0], recordings.table["samples"].to_numpy())
        assert np.mean(found == recordings.table["type"]) > 0.999


def test_raw_light_shows_the_same_pulses(root, wrist, tmp_path):
    light = reader.load(root, "PPG_In_G_LPF_10Hz", cache=tmp_path)
    fit = [
        pulses.fit_width(x.signals[:, 0], x.table["samples"].to_numpy(), 60, "resample")
        for x in (light, wrist)
    ]
    assert np.median(np.abs(fit[0] - fit[1]).max(axis=1)) < 0.1


def test_all_types_come_and_people_and_pressures_differ(table):
    shares = table["in_t"].value_counts(normalize=True)
    assert set(shares.index) == set(pulses.TYPES) and shares["3"] + shares["1"] > 0.6
    assert table["ref_t"].value_counts().idxmax() == "2L"
    by_subject = pd.crosstab(table["subject"], table["in_t"], normalize="index")
    assert by_subject["1"].max() - by_subject["1"].min() > 0.2
    by_window = pd.crosstab(table["window"], table["in_t"], normalize="index")
    assert (
        by_window.loc[[3, 4], "1"].min() > 2 * by_window.loc[[0, 1], "1"].max()
    )  # pressed hard: one late peak


def test_the_pulse_follows_the_ecg_and_colours_are_nearly_alike(root):
    signals = pd.read_csv(root / "0_preprocessed_1001.csv", index_col=0)
    green, infrared = signals["PPG_Ref_G_AC"], signals["PPG_Ref_IR_AC"]
    assert 0.9 < np.corrcoef(green, infrared)[0, 1] < 1
    assert (signals["Pressure_In"] > 0).all() and signals["SpO2"].between(90, 101).all()
    assert signals["BP_Sys"].nunique() == 1 and (signals["BP_Sys"] > signals["BP_Dia"]).all()


def contents(root):
    return {path.name: path.read_bytes() for path in root.iterdir()}


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path):
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        wfppg.write(tmp_path / name, 1, seed, minutes=0.25)
    one, again, other = (contents(tmp_path / name) for name in "abc")
    assert one == again
    assert one["0_preprocessed_1000.csv"] != other["0_preprocessed_1000.csv"]


def test_real_data_are_never_overwritten_and_the_mark_says_what_was_asked(root, tmp_path):
    mark = json.loads((root / "SIMULATED.json").read_text())
    assert (mark["records"], mark["seed"], mark["minutes"]) == (SUBJECTS, 1, MINUTES)
    with pytest.raises(FileExistsError, match="not empty"):
        wfppg.write(root, 1)
    with pytest.raises(ValueError, match="at least 1"):
        wfppg.write(tmp_path / "none", 0)
    with pytest.raises(ValueError, match="minutes must be at least 0.25"):
        wfppg.write(tmp_path / "short", 1, minutes=0.1)
