import errno
import os
import zipfile

import numpy as np
import pandas as pd
import pytest

import tiny_sets
from biosignals.data import ppgbp, splits, waveforms

SUBJECTS = {
    2: {
        "Systolic Blood Pressure(mmHg)": 161,
        "Diastolic Blood Pressure(mmHg)": 89,
        "Hypertension": "Stage 2 hypertension",
    },
    3: {"Sex(M/F)": "Male", "Age(year)": 50, "Diabetes": "Type 2 Diabetes"},
    10: {"Systolic Blood Pressure(mmHg)": 130, "Hypertension": "Prehypertension"},
}


@pytest.fixture
def root(tmp_path):
    tiny_sets.write_ppgbp(tmp_path / "ppg-bp", SUBJECTS)
    return tmp_path / "ppg-bp"


@pytest.fixture
def load(root, tmp_path):
    return lambda **options: ppgbp.load(root, cache=tmp_path / "cache", **options)


def test_counts_are_those_of_the_text_files(load):
    recordings = load()
    assert recordings.signals.shape == (9, 1, 2100) and recordings.excluded.empty
    assert (recordings.unit, recordings.scale, recordings.sampling_rate) == ("count", 1.0, 1000)
    assert recordings.table.index.tolist() == [f"{i}_{k}" for i in (2, 3, 10) for k in (1, 2, 3)]
    for row, (subject, segment) in enumerate(recordings.table[["subject", "segment"]].to_numpy()):
        np.testing.assert_array_equal(
            recordings.physical([row])[0, 0], tiny_sets.ppgbp_counts(subject, segment)
        )


def test_the_table_has_pressure_stage_and_what_is_known_of_the_subject(root, load):
    table = load().table
    first = table.loc[["2_1", "3_1", "10_1"]]
    assert first["subject"].tolist() == [2, 3, 10] and first["sex"].tolist() == ["female", "male", "female"]
    assert first["systolic"].tolist() == [161, 118, 130] and first["diastolic"].tolist() == [89, 76, 76]
    assert first["hypertension"].tolist() == ["Stage 2 hypertension", "Normal", "Prehypertension"]
    assert first["stage"].tolist() == [3, 0, 1] and first["age"].tolist() == [45, 50, 45]
    assert first["diabetes"].tolist() == [None, "Type 2 Diabetes", None]
    official = pd.read_excel(root / ppgbp.TABLE, header=1, engine="openpyxl").set_index("subject_ID")
    np.testing.assert_allclose(table["bmi"], official.loc[table["subject"], "BMI(kg/m^2)"])


def test_segments_may_be_longer_and_touch_the_converters_ends(root, load):
    counts = tiny_sets.ppgbp_counts(3, 2, 4200)
    counts[:3], counts[100:110] = 0, 4095
    tiny_sets.write_segment(root, "3_2", counts)
    recordings = load()
    assert recordings.signals.shape[-1] == 4200
    assert recordings.table["samples"].tolist() == [2100] * 4 + [4200] + [2100] * 4
    assert recordings.table.loc["3_2", "clipped"] == 13 and recordings.table["clipped"].sum() == 13


def test_segments_are_those_asked_for_wherever_the_archive_put_them(root, load, tmp_path):
    (tmp_path / "unpacked").mkdir()
    root.rename(tmp_path / "unpacked/Data File")
    (tmp_path / "unpacked").rename(root)
    assert load(records=["10_3", "2_1"]).table.index.tolist() == ["10_3", "2_1"]
    with pytest.raises(ValueError, match="lacks 1 records asked for: 4_1"):
        load(records=["4_1"])


def test_a_segment_that_two_subjects_have_is_left_out_of_both(root, load):
    tiny_sets.write_segment(root, "10_2", tiny_sets.ppgbp_counts(2, 3))
    tiny_sets.write_segment(root, "3_1", tiny_sets.ppgbp_counts(3, 2))  # of one subject: no harm
    recordings = load()
    assert recordings.excluded["record"].tolist() == ["2_3", "10_2"] and len(recordings) == 7
    assert recordings.excluded["reason"].str.contains("is the same for subjects 2 and 10").all()
    assert load(records=["2_1", "2_3"]).table.index.tolist() == ["2_1"]
    train, test = (np.flatnonzero(recordings.table["subject"] == subject) for subject in (2, 10))
    splits.check_disjoint(recordings.table, train, test)
    with pytest.raises(ValueError, match="must stay together"):
        splits.check_disjoint(recordings.table, train[:1], train[1:])


def change(root, **values):
    tiny_sets.write_ppgbp(
        root, SUBJECTS | {3: {name.replace("_", " "): value for name, value in values.items()}}
    )


def write(root, content):
    (root / "0_subject/3_2.txt").write_bytes(content)


GOOD = b"".join(b"%d.0\t" % (1500 + i % 7) for i in range(2100))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (
            lambda root: (root / "0_subject/3_2.txt").unlink(),
            "3_2.txt cannot be read .No such file.*download",
        ),
        (lambda root: write(root, GOOD[:9000]), "3_2.txt has 1286 samples, expected 2100 or more"),
        (lambda root: write(root, b""), "3_2.txt has 0 samples"),
        (lambda root: write(root, GOOD * 30), "3_2.txt has 63000 samples"),
        (
            lambda root: write(root, GOOD.replace(b"1501.0", b"1x")),
            "3_2.txt cannot be read .could not convert",
        ),
        (lambda root: write(root, GOOD.replace(b"1501.0", b"nan")), "no whole numbers of 0 to 4095"),
        (lambda root: write(root, GOOD.replace(b"1501.0", b"1e999")), "no whole numbers of 0 to 4095"),
        (lambda root: write(root, GOOD.replace(b"1501.0", b"4096.0")), "no whole numbers of 0 to 4095"),
        (lambda root: write(root, GOOD.replace(b"1501.0", b"-5.0")), "no whole numbers of 0 to 4095"),
        (lambda root: write(root, GOOD.replace(b"1501.0", b".7")), "no whole numbers of 0 to 4095"),
        (
            lambda root: (root / "0_subject/3_2.txt").rename(root / "0_subject/3_2b.txt"),
            "3_2.txt cannot be read|not named by",
        ),
    ],
)
def test_a_damaged_segment_is_left_out_and_listed(root, load, damage, reason):
    damage(root)
    recordings = load()
    assert recordings.table.index.tolist() == ["2_1", "2_2", "2_3", "3_1", "3_3", "10_1", "10_2", "10_3"]
    assert set(recordings.excluded["record"]) <= {"3_2", "3_2b"}
    assert recordings.excluded["reason"].str.contains(reason).all(), recordings.excluded["reason"].tolist()


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"Age(year)": -5}, "Age.year. in PPG-BP dataset.xlsx is not 0 to 120: correct it"),
        ({"Age(year)": 300}, "is not 0 to 120"),
        ({"Age(year)": "old"}, "is not 0 to 120"),
        ({"Age(year)": None}, "is not 0 to 120"),
        ({"Systolic_Blood_Pressure(mmHg)": 1e300}, "Systolic.* is not 40 to 300"),
        ({"Diastolic_Blood_Pressure(mmHg)": 118}, "diastolic pressure in .* is not below the systolic one"),
        ({"Hypertension": "Stage 3"}, "Hypertension in .* is not one of Normal, Prehypertension"),
        ({"Height(cm)": 1.6}, "Height.cm. in .* is not 50 to 250"),
    ],
)
def test_a_subject_with_absurd_values_is_left_out_and_listed(root, load, values, reason):
    change(root, **values)
    recordings = load()
    assert set(recordings.table["subject"]) == {2, 10}
    assert recordings.excluded["record"].tolist() == ["3_1", "3_2", "3_3"]
    assert recordings.excluded["reason"].str.contains(reason).all(), recordings.excluded["reason"].tolist()


def test_segments_of_nobody_are_listed(root, load):
    tiny_sets.write_segment(root, "7_1", tiny_sets.ppgbp_counts(7, 1))
    excluded = load().excluded
    assert excluded["record"].tolist() == ["7_1"]
    assert excluded["reason"].item() == "subject 7 is not in PPG-BP dataset.xlsx: leave it out"


def make_bomb(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", bytes(ppgbp.LARGEST_TABLE + 1))


@pytest.mark.parametrize(
    ("damage", "error", "reason"),
    [
        (lambda path: path.unlink(), FileNotFoundError, "no PPG-BP dataset.xlsx in .*make data"),
        (lambda path: path.write_bytes(b"no zip"), ValueError, "PPG-BP dataset.xlsx cannot be read"),
        (
            lambda path: path.write_bytes(path.read_bytes()[:-100]),
            ValueError,
            "PPG-BP dataset.xlsx cannot be read",
        ),
        (make_bomb, ValueError, "more than 16 MiB when unpacked"),
        (
            lambda path: pd.DataFrame({"a": [1]}).to_excel(path),
            ValueError,
            "lacks the column subject_ID, Sex",
        ),
    ],
)
def test_a_table_that_is_none_is_refused(root, load, damage, error, reason):
    damage(root / ppgbp.TABLE)
    with pytest.raises(error, match=reason):
        load()


def test_a_subject_listed_twice_is_refused(root, load):
    table = pd.read_excel(root / ppgbp.TABLE, header=1, engine="openpyxl")
    pd.concat([table, table.iloc[:1]]).to_excel(root / ppgbp.TABLE, startrow=1)
    with pytest.raises(ValueError, match="lists subject 2 twice"):
        load()


def test_a_failing_disk_aborts(load, monkeypatch):
    def fail(*_, **__):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(waveforms.os, "read", fail)
    with pytest.raises(OSError, match="Input/output error"):
        load()


def test_repeated_and_clipped_segments_are_left_out_unless_nothing_else_is_there(root, load):
    tiny_sets.write_segment(root, "3_3", tiny_sets.ppgbp_counts(3, 1))
    counts = tiny_sets.ppgbp_counts(2, 2)
    counts[:50] = 4095
    tiny_sets.write_segment(root, "2_2", counts)
    for segment in (1, 2, 3):  # all that there is of this subject
        tiny_sets.write_segment(root, f"10_{segment}", np.where(np.arange(2100) < 30, 4095, 1000 + segment))
    recordings = load()
    left_out = recordings.table.index[~ppgbp.usable(recordings)]
    assert left_out.tolist() == ["2_2", "3_3"]
