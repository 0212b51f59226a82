"""Recordings of one's own: read as they are, or refused with the remedy."""

import edfio
import numpy as np
import pandas as pd
import pytest

from biosignals import load
from biosignals.data import folder as own
from biosignals.data import preparation, splits
from made_recordings import WRITERS, ecg, write_csv, write_edf, write_h5, write_wfdb

NAMES = ("I", "II")


def write(place, count=4, writer=write_wfdb, rate=100, names=NAMES, seconds=4.0, first=0):
    """Files NN/record.*, one in each folder, and what they hold, in mV."""
    files, signals = [], []
    for i in range(first, first + count):
        (place / f"{i:02d}").mkdir(parents=True)
        signals.append(ecg(seconds, rate, len(names), seed=i))
        files.append(str(writer(place / f"{i:02d}", signals[-1], rate, names).relative_to(place)))
    return files, signals


def write_table(place, files, **columns):
    """labels.csv: two files a person, every other one positive."""
    rows = {
        "file": files,
        "subject": [f"p{i // 2}" for i in range(len(files))],
        "af": [i % 2 for i in range(len(files))],
    }
    pd.DataFrame(rows | columns).to_csv(place / "labels.csv", index=False)
    return place / "labels.csv"


@pytest.mark.parametrize("writer", WRITERS)
def test_files_of_each_kind_are_read_in_millivolts(writer, tmp_path):
    files, signals = write(tmp_path, writer=writer)
    found = load(tmp_path, write_table(tmp_path, files))
    np.testing.assert_allclose(found.physical(), signals, atol=2e-3)
    assert (found.dataset, found.kind, found.unit) == ("own", "real", "mV")
    assert found.channels == NAMES
    assert found.sampling_rate == pytest.approx(100) and found.excluded.empty
    assert list(found.table.index) == files and list(found.table.subject) == ["p0", "p0", "p1", "p1"]
    np.testing.assert_array_equal(found.labels("af"), [[0], [1], [0], [1]])


def test_kinds_of_files_may_be_mixed_and_names_lack_their_extension(tmp_path):
    files, signals = [], []
    for i, writer in enumerate((write_wfdb, write_edf, write_csv, write_h5)):
        more = write(tmp_path, 1, writer, first=i)
        files, signals = files + more[0], signals + more[1]
    names = [file.rpartition(".")[0] for file in files]
    found = load(tmp_path, write_table(tmp_path, names))
    np.testing.assert_allclose(found.physical(), signals, atol=2e-3)


def test_shorter_recordings_are_filled_with_zeros(tmp_path):
    files = write(tmp_path, 1)[0] + write(tmp_path, 1, seconds=3.0, first=1)[0]
    found = load(tmp_path, write_table(tmp_path, files))
    assert list(found.table.samples) == [400, 300] and found.signals.shape == (2, 2, 400)
    assert found.signals[1, :, :300].any() and not found.signals[1, :, 300:].any()


def test_other_columns_stay_and_folds_are_taken(tmp_path):
    files, _ = write(tmp_path)
    table = write_table(
        tmp_path, files, age=[40, 50.5, "", 70], ward=["a", "b", "", "a"], fold=[1, 1, 10, 10]
    )
    found = load(tmp_path, table, labels=["af"]).table
    assert found.age.iloc[1] == 50.5 and np.isnan(found.age.iloc[2])
    assert found.ward.iloc[0] == "a" and pd.isna(found.ward.iloc[2])
    assert list(found.fold) == [1, 1, 10, 10]


@pytest.mark.parametrize("separator", [";", "\t"])
def test_tables_as_spreadsheets_write_them(separator, tmp_path):
    files, _ = write(tmp_path)
    rows = pd.read_csv(write_table(tmp_path, files)).rename(columns={"af": " af "})
    rows.to_csv(tmp_path / "labels.csv", sep=separator, index=False, encoding="utf-8-sig")
    assert list(load(tmp_path, tmp_path / "labels.csv").table.af) == [False, True, False, True]


def test_what_is_left_out_is_listed_with_the_reason(tmp_path):
    files, _ = write(tmp_path, 6, writer=write_csv)
    (tmp_path / files[1]).write_text("time, I, II\n0, 1\n")
    numbers = np.loadtxt(tmp_path / files[2], delimiter=",", skiprows=1)
    numbers[:200, 1] = np.nan
    np.savetxt(tmp_path / files[2], numbers, delimiter=",", header="time, I, II", comments="")
    found = load(tmp_path, write_table(tmp_path, files[:5]))
    assert list(found.table.index) == [files[0], files[3], files[4]]
    reasons = dict(zip(found.excluded.record, found.excluded.reason))
    assert set(reasons) == {files[1], files[2], files[5]}
    assert "NaN" in reasons[files[2]] and reasons[files[5]] == "has no row in labels.csv"


def test_where_none_can_be_read_the_reasons_are_named(tmp_path):
    files, _ = write(tmp_path, writer=write_csv)
    for file in files:
        (tmp_path / file).write_text("I, II\n" + "0, 1\n" * 50)
    with pytest.raises(ValueError, match=r"no recording of .*labels.csv can be used: .*sampling rate"):
        load(tmp_path, write_table(tmp_path, files))
    assert load(tmp_path, tmp_path / "labels.csv", sampling_rate=250).sampling_rate == 250


# Tables that cannot be right


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"file": ["00/record.hea", "nowhere", "02/record.hea", "03/record.hea"]},
         "1 of the 4 files of labels.csv are not there: nowhere; files are named as they lie in"),
        ({"file": ["00/record.hea", "01/record.HEA", "02/record.hea", "03/recrd.edf"]}, "is 01/record.HEA 01/record.hea"),
        ({"file": ["00/record.hea"] * 4}, r"line 3 \(and 2 more\), 00/record.hea: a file that is listed above"),
        ({"file": ["", "01/record", "02/record", "03/record"]}, "line 2, file: no file"),
        ({"file": ["../record.hea"] + ["01/record.hea"]}, "lies outside of"),
        ({"subject": ["a", "", "b", None]}, r"line 3 \(and 1 more\), 01/record.hea: no subject: write whom"),
        ({"subject": ["P1", "p2", "p1", "p3"]}, "line 4, 02/record.hea: a subject that is written otherwise above"),
        ({"af": [0, 1, 2, 1]}, r"line 4, 02/record.hea: af is '2', a label is 0 or 1"),
        ({"af": [0, 1, "", 1]}, "line 4, 02/record.hea: af is empty"),
        ({"age": [40, 50, 60, 70]}, r"age is '40', a label .* no label, name those that are: labels=\['af'\]"),
        ({"rhythm": ["N", "A", "N", "N"]}, "rhythm is 'N', .* make a column of 0 and 1 for each"),
        ({"fold": [1, 2, 3, 11]}, "line 5, 03/record.hea: fold is no number from 1 to 10"),
    ],
    ids=["missing", "case", "twice", "no file", "outside", "subject", "spelt", "label", "empty", "age", "words", "fold"],
)  # fmt: skip
def test_a_table_that_cannot_be_right_is_refused_with_line_and_remedy(columns, message, tmp_path):
    files, _ = write(tmp_path)
    count = len(columns.get("file", files))
    table = write_table(tmp_path, files[:count], **columns)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        load(tmp_path, table)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("filename,subject,af\na,b,1\n", "no column 'file'; is it 'filename'. Rename it. It has filename, subject, af"),
        ("file,af\na,1\n", "no column 'subject'. It has file, af; it needs file, subject and a column for each"),
        ("file,subject\na,b\n", "labels.csv has no labels: add a column of 0 and 1"),
        ("file,subject,af\n", "labels.csv lists no recordings"),
        ("", "is no table"),
        ("file,subject,af\na,b,1\na,b,1,2,3\n", "is no table"),
    ],
)  # fmt: skip
def test_what_is_no_table_of_recordings_is_refused(text, message, tmp_path):
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        load(tmp_path, tmp_path / "labels.csv")


def test_one_recording_is_not_read_twice_and_none_is_taken_for_another(tmp_path):
    files, _ = write(tmp_path, 2)
    for twice in (["00/record.hea", "00/record.dat"], ["00/record.hea", "00/../00/record"]):
        with pytest.raises(
            ValueError, match="00/record.hea and .* are one recording: delete one of the rows"
        ):
            load(tmp_path, write_table(tmp_path, twice))
    write_csv(tmp_path / "01", ecg(), 100, NAMES)
    with pytest.raises(
        ValueError, match="01/record may be record.hea or record.dat or record.csv: write its ext"
    ):
        load(tmp_path, write_table(tmp_path, ["00/record", "01/record"]))
    found = load(tmp_path, write_table(tmp_path, files))
    assert list(found.table.index) == files


def test_rows_without_anything_are_none_and_lines_are_counted_with_them(tmp_path):
    files, _ = write(tmp_path, 2)
    text = f"file;subject;af\n{files[0]};p0;1\n\n;;\n{files[1]};p1;%s\n;;\n;;\n"
    (tmp_path / "labels.csv").write_text(text % "0")
    assert list(load(tmp_path, tmp_path / "labels.csv").table.index) == files
    (tmp_path / "labels.csv").write_text(text % "2")
    with pytest.raises(ValueError, match=r"labels.csv, line 5, 01/record.hea: af is '2'"):
        load(tmp_path, tmp_path / "labels.csv")


def test_a_missing_table_or_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"labels.csv does not exist: it is the table of files"):
        load(tmp_path, tmp_path / "labels.csv")
    table = write_table(tmp_path, write(tmp_path)[0])
    with pytest.raises(
        FileNotFoundError, match="no folder: name the one that the files of labels.csv lie in"
    ):
        load(tmp_path / "recordings", table)
    with pytest.raises(ValueError, match="no column 'stroke'"):
        load(tmp_path, table, labels=["stroke"])


# Recordings that are not alike


def test_different_rates_are_refused_and_brought_together(tmp_path):
    files = write(tmp_path, 3)[0] + write(tmp_path, 1, rate=200, first=3)[0]
    table = write_table(tmp_path, files)
    with pytest.raises(
        ValueError, match=r"3 of 100 Hz \(00/record.hea\); 1 of 200 Hz \(03/.*\); resample_to=100"
    ):
        load(tmp_path, table)
    for rate in (100, 50):
        found = load(tmp_path, table, resample_to=rate)
        assert (found.sampling_rate, found.signals.shape) == (rate, (4, 2, 4 * rate))
    np.testing.assert_allclose(
        load(tmp_path, table, resample_to=100).physical()[3], ecg(4.0, 100, seed=3), atol=0.02
    )


def test_different_channels_are_refused_and_chosen_by_name(tmp_path):
    files, signals = write(tmp_path, 3)
    more, (other,) = write(tmp_path, 1, names=("II", "V1", "i"), first=3)
    table = write_table(tmp_path, files + more)
    with pytest.raises(
        ValueError, match=r"3 of I, II \(00/.*\); 1 of II, V1, i .*; all have I, II: channels=\['I', 'II'\]"
    ):
        load(tmp_path, table)
    found = load(tmp_path, table, channels=["I", "II"])
    np.testing.assert_allclose(found.physical(), [*signals, other[[2, 0]]], atol=2e-3)
    assert load(tmp_path, table, channels="II").channels == ("II",)
    with pytest.raises(ValueError, match="00/record.hea has no channel V1 at 100 Hz, where it has I, II"):
        load(tmp_path, table, channels=["V1"])


def test_a_lead_is_the_same_however_a_recorder_calls_it(tmp_path):
    files, (first,) = write(tmp_path, 1)
    more, (second,) = write(tmp_path, 1, names=("Lead II", "ECG I"), first=1)
    found = load(tmp_path, write_table(tmp_path, files + more))
    assert found.channels == NAMES
    np.testing.assert_allclose(found.physical(), [first, second[::-1]], atol=2e-3)


def test_of_files_that_sample_channels_at_several_rates_those_of_one_are_chosen(tmp_path):
    unit = {"physical_dimension": "mV", "physical_range": (-5, 5)}
    for i in range(2):
        signals = [("ECG I", 100, ecg(seed=i)[0]), ("Resp", 25, ecg(rate=25, seed=i)[0])]
        edfio.Edf([edfio.EdfSignal(row, rate, label=name, **unit) for name, rate, row in signals]).write(
            tmp_path / f"{i}.edf"
        )
    table = write_table(tmp_path, ["0.edf", "1.edf"])
    assert load(tmp_path, table).sampling_rate == 100
    slow = load(tmp_path, table, channels="Resp")
    assert (slow.sampling_rate, slow.signals.shape) == (25, (2, 1, 100))
    with pytest.raises(
        ValueError, match="0.edf has no channel Resp at 100 Hz.*; no channel I at 25 Hz, where it has resp"
    ):
        load(tmp_path, table, channels=["I", "Resp"])


def test_channels_in_another_order_are_put_in_that_of_the_first(tmp_path):
    files, (first,) = write(tmp_path, 1)
    more, (second,) = write(tmp_path, 1, names=("II", "I"), first=1)
    found = load(tmp_path, write_table(tmp_path, files + more))
    np.testing.assert_allclose(found.physical(), [first, second[::-1]], atol=2e-3)


def test_recordings_without_a_channel_in_common_are_to_be_loaded_apart(tmp_path):
    files = write(tmp_path, 1)[0] + write(tmp_path, 1, names=("V1", "V2"), first=1)[0]
    with pytest.raises(ValueError, match="different channels.*load them apart"):
        load(tmp_path, write_table(tmp_path, files))


def test_units_that_are_no_voltages_stay_but_are_not_mixed(tmp_path):
    files, signals = [], []
    for i in range(2):
        (tmp_path / f"{i}").mkdir()
        signals.append(ecg(seed=i))
        files.append(
            str(write_h5(tmp_path / f"{i}", signals[-1], 100, NAMES, unit="NU").relative_to(tmp_path))
        )
    found = load(tmp_path, write_table(tmp_path, files))
    assert found.unit == "NU"
    np.testing.assert_allclose(found.physical(), np.array(signals) / 1000, atol=1e-6)
    more, _ = write(tmp_path, 1, first=2)
    with pytest.raises(
        ValueError, match="different units: 2 of I in NU, II in NU .*; 1 of I in mV, II in mV"
    ):
        load(tmp_path, write_table(tmp_path, files + more))


def test_recordings_too_unlike_in_length_are_refused_before_they_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(own, "LARGEST", 1000)
    files = write(tmp_path, 1)[0] + write(tmp_path, 1, seconds=3.0, first=1)[0]
    with pytest.raises(ValueError, match="300 to 400 samples.*cut long ones"):
        load(tmp_path, write_table(tmp_path, files))


def test_what_is_loaded_is_dealt_into_folds_by_subject(tmp_path):
    files, _ = write(tmp_path, 20, seconds=1.0)
    found = preparation.assign_folds(load(tmp_path, write_table(tmp_path, files)), test=0.1)
    assert found.table.groupby("subject").fold.nunique().eq(1).all()
    assert len(splits.groups(found.table)) == 3
