import shutil

import numpy as np
import pandas as pd
import pytest
import wfdb

import tiny_sets
from biosignals.data import ludb


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("sets") / "ludb"
    tiny_sets.write_ludb(root)
    return root


@pytest.fixture
def root(written, tmp_path):
    return shutil.copytree(written, tmp_path / "ludb")


@pytest.fixture
def load(root, tmp_path):
    return lambda **options: ludb.load(root, cache=tmp_path / "cache", **options)


def test_signals_are_the_stored_integers_in_microvolts_whatever_the_gains_say(root, load):
    recordings = load()
    assert recordings.signals.shape == (3, 12, 5000) and recordings.channels == ludb.LEADS
    assert (recordings.unit, recordings.scale, recordings.sampling_rate) == ("mV", 0.001, 500)
    for record, signals in zip(recordings.table.index, recordings.signals):
        stored = wfdb.rdrecord(str(root / "data" / record), physical=False)
        assert min(stored.adc_gain) > 1500  # a span of 1 mV, which is not the voltage
        np.testing.assert_array_equal(signals, stored.d_signal.T)


def test_the_table_has_rhythms_and_diagnoses(load):
    table = load().table
    assert table.index.tolist() == ["1", "2", "3"] and table["subject"].tolist() == [1, 2, 3]
    assert table["age"].tolist() == [51, 90, 53] and table["over_89"].tolist() == [False, True, False]
    assert table["sex"].tolist() == ["female", "male", "male"]
    assert table["AFIB"].tolist() == [False, True, False] and table["AFLT"].tolist() == [False, False, True]
    assert table.loc["1", "Hypertrophies"] == "Left ventricular overload\nLeft ventricular hypertrophy"
    assert table.loc["2", "Rhythms"] == "Atrial fibrillation\nAberrant conduction"


def test_leads_and_records_are_those_asked_for(load):
    recordings = load(leads=("V6", "II"), records=[3, "1"])
    assert recordings.table.index.tolist() == ["3", "1"]
    np.testing.assert_array_equal(recordings.signals[0], tiny_sets.noise(3, 12, 5000).T[[11, 1]])
    with pytest.raises(ValueError, match="ludb.csv lacks 1 records asked for: 201"):
        load(records=[201])
    with pytest.raises(ValueError, match="leads must be some of"):
        load(leads=("v7",))


def test_waves_are_the_marks_that_wfdb_reads(root):
    waves, excluded = ludb.waves(root, leads=("I", "V6"))
    assert excluded.empty and len(waves) == 3 * 2 * 4
    one = waves[(waves["record"] == "2") & (waves["lead"] == "V6")].reset_index(drop=True)
    marks = wfdb.rdann(str(root / "data/2"), "v6")
    peaks = [sample for sample, symbol in zip(marks.sample, marks.symbol) if symbol in "pNt"]
    assert one["peak"].tolist() == peaks == [120, 180, 350, 4999]
    assert one["wave"].tolist() == ["P", "QRS", "T", "QRS"]
    assert one["onset"].tolist()[:3] == [100, 160, 300] and one["end"].tolist()[:3] == [140, 210, 400]
    assert one[["onset", "end"]].iloc[3].isna().all()  # the last QRS has no bounds


def test_bounds_without_a_wave_between_them_are_none(root):
    tiny_sets.write_annotations(root / "data/1.i", [10, 20, 30, 40, 50], "()(N)")
    waves, _ = ludb.waves(root, leads=("I",), records=["1"])
    assert waves[["wave", "onset", "peak", "end"]].to_numpy().tolist() == [["QRS", 30, 40, 50]]


def edit(root, name, old, new):
    path = root / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def cut(root, name, size):
    path = root / "data" / name
    path.write_bytes(path.read_bytes()[:size])


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda root: cut(root, "2.dat", -2), "2.dat is cut short .119998 bytes, its header says 120000."),
        (lambda root: (root / "data/2.dat").unlink(), "2.dat cannot be read .No such file"),
        (lambda root: (root / "data/2.hea").unlink(), "2.hea cannot be read .No such file"),
        (lambda root: edit(root, "data/2.hea", "2 12 500 5000", "2 12 250 5000"), "5000 samples at 250 Hz"),
        (lambda root: edit(root, "data/2.hea", "2 12 500 5000", "2 12 500 4000"), "4000 samples at 500 Hz"),
        (lambda root: edit(root, "data/2.hea", " v6", " v5"), "no lead V6"),
        (
            lambda root: edit(root, "data/2.hea", ".dat 16 ", ".dat 16 1e999(0)/mV 16 0 0 0 0 i\n#"),
            "header is damaged .by its gain a count is 0 uV",
        ),
        (lambda root: edit(root, "data/2.hea", "2.dat", "../1.dat"), "file outside of its folder"),
        (
            lambda root: edit(root, "ludb.csv", ">89", "-5"),
            "its age '-5' in ludb.csv is not 0 to 120: correct it",
        ),
        (lambda root: edit(root, "ludb.csv", ">89", "300"), "its age '300' in ludb.csv is not 0 to 120"),
        (lambda root: edit(root, "ludb.csv", ">89", "inf"), "its age 'inf' in ludb.csv is not 0 to 120"),
        (
            lambda root: edit(root, "ludb.csv", "Atrial fibrillation\nAberrant conduction", ""),
            "no rhythm in ludb.csv",
        ),
        (lambda root: edit(root, "ludb.csv", "\n2,", "\n../2,"), "ID is no number"),
    ],
)
def test_a_damaged_record_is_left_out_and_listed(root, load, damage, reason):
    damage(root)
    recordings = load()
    assert recordings.table.index.tolist() == ["1", "3"]
    assert recordings.excluded["record"].str.endswith("2").tolist() == [True]
    assert recordings.excluded["reason"].str.contains(reason).all(), recordings.excluded["reason"].tolist()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda root: cut(root, "2.v3", -2), "2.v3 is cut short"),
        (lambda root: (root / "data/2.avr").unlink(), "2.avr cannot be read"),
        (
            lambda root: tiny_sets.write_annotations(root / "data/2.i", [5], "V"),
            "2.i has marks of no wave .V.",
        ),
        (
            lambda root: tiny_sets.write_annotations(root / "data/2.i", [5000], "N"),
            "annotation at sample 5000",
        ),
        (lambda root: edit(root, "ludb.csv", ">89", "-5"), "its age '-5'"),
    ],
)
def test_a_record_with_damaged_marks_has_no_waves_and_is_listed(root, damage, reason):
    damage(root)
    waves, excluded = ludb.waves(root)
    assert set(waves["record"]) == {"1", "3"} and excluded["record"].tolist() == ["2"]
    assert excluded["reason"].str.contains(reason).all(), excluded["reason"].tolist()


def test_a_table_that_is_none_is_refused(root, load):
    edit(root, "ludb.csv", "\n2,", "\n1,")
    with pytest.raises(ValueError, match="ludb.csv lists ID 1 twice"):
        load()
    edit(root, "ludb.csv", "Rhythms", "Rhythm")
    with pytest.raises(ValueError, match="ludb.csv lacks the column Rhythms"):
        ludb.waves(root)
    (root / "ludb.csv").unlink()
    with pytest.raises(FileNotFoundError, match="ludb.csv is not in .*make data"):
        load()


NOTHING = dict.fromkeys(ludb.COLUMNS[3:], "") | {
    "Rhythms": "Sinus rhythm",
    "Electric axis of the heart": "Electric axis of the heart: left axis deviation",
}


@pytest.mark.parametrize(
    "listed, expected",
    [
        ({}, {"NORM"}),
        ({"Rhythms": "Sinus bradycardia"}, {"NORM"}),
        ({"Rhythms": "Sinus tachycardia"}, set()),
        ({"Rhythms": "Atrial fibrillation"}, set()),
        ({"Extrasystolies": "Atrial extrasystole: undefined"}, set()),
        ({"Other states": "Early repolarization syndrome"}, set()),
        ({"Cardiac pacing": "P-synchrony"}, set()),
        ({"Ischemia": "Stemi: septal"}, {"MI"}),
        ({"Ischemia": "Ischemia: apical\nScar formation: septal"}, {"MI", "STTC"}),
        ({"Ischemia": "Undefined ischemia/scar/supp.nstemi: apical"}, {"STTC"}),
        (
            {
                "Non-specific repolarization abnormalities": "Non-specific repolarization abnormalities: septal"
            },
            {"STTC"},
        ),
        ({"Conduction abnormalities": "Iii degree av-block"}, {"CD"}),
        ({"Conduction abnormalities": "Sinoatrial blockade, undefined"}, set()),
        ({"Hypertrophies": "Left ventricular overload"}, {"HYP", "HYP_without_LA"}),
        ({"Hypertrophies": "Left atrial hypertrophy"}, {"HYP"}),
        ({"Hypertrophies": "Left atrial overload\nRight atrial overload"}, {"HYP", "HYP_without_LA"}),
    ],
)
def test_diagnoses_are_put_into_ptb_xls_superclasses(listed, expected):
    found = ludb.superclasses(pd.DataFrame([NOTHING | listed])).iloc[0]
    assert set(found[found].index) == expected
