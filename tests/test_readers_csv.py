"""Tables of text are read in the dialects that programs and devices write, or refused with the reason."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from biosignals.data import readers
from biosignals.data.channel_names import canonical
from biosignals.data.units import microvolts

SAMPLES, RATE = 1000, 250.0
TIMES = np.arange(SAMPLES) / RATE
SINE = np.round(0.8 * np.sin(2 * np.pi * 1.2 * TIMES) + 0.1 * np.cos(40 * TIMES), 3)
OTHER = np.round(0.5 * SINE - 0.01, 3)


def table(*columns, sep=",", decimal=".", form="{:.3f}"):
    """Rows of the columns; whole numbers and texts as they are."""
    cells = [
        [
            (form.format(value) if isinstance(value, float) else str(value)).replace(".", decimal)
            for value in column
        ]
        for column in (list(column) for column in columns)
    ]
    return "\n".join(map(sep.join, zip(*cells, strict=True))) + "\n"


def milli(step=4):
    return range(0, step * SAMPLES, step)


def micro(values=SINE):
    return np.rint(1000 * values).astype(int)


def write(folder, text, encoding="utf-8", name="r.csv"):
    (folder / name).write_bytes(text.encode(encoding))
    return folder / name


def check(signal, channels=("I",), unit="mV"):
    """The signal is SINE (and OTHER), in a unit, at RATE."""
    assert (signal.channels, set(signal.units), signal.sampling_rate) == (channels, {unit}, RATE)
    factor = 1 if unit.lower() == "mv" else 1000
    np.testing.assert_allclose(
        signal.values, factor * np.stack([SINE, OTHER][: len(channels)]), atol=2e-3 * factor
    )


DIALECTS = {
    "plain": "time,I\n" + table(TIMES, SINE),
    "semicolons": "time;I\n" + table(TIMES, SINE, sep=";"),
    "semicolons and decimal commas": "Zeit [s];I\n" + table(TIMES, SINE, sep=";", decimal=","),
    "tabs": "time\tI\n" + table(TIMES, SINE, sep="\t"),
    "tabs and decimal commas": "time\tI\n" + table(TIMES, SINE, sep="\t", decimal=","),
    "blanks": "  time      I\n" + table(TIMES, SINE, sep="   "),
    "bars": "time|I\n" + table(TIMES, SINE, sep="|"),
    "Excel's sep": "sep=;\ntime;I\n" + table(TIMES, SINE, sep=";", decimal=","),
    "quotes": '"time","I"\n' + table([f'"{t:.3f}"' for t in TIMES], [f'"{x:.3f}"' for x in SINE]),
    "quoted decimal commas": '"time","I"\n'
    + table([f'"{t:.3f}"'.replace(".", ",") for t in TIMES], [f'"{x:.3f}"'.replace(".", ",") for x in SINE]),
    "commas at the end": "time,I,\n" + table(TIMES, SINE, [""] * SAMPLES),
    "commas at the end of rows alone": "time,I\n" + table(TIMES, SINE, [""] * SAMPLES),
    "commas at the end under lines of information": "Sample rate,250 Hz\nUnit,mV\nLead,Lead I\n\n"
    + table(SINE, [""] * SAMPLES),
    "another sign for minus": "time,I\n" + table(TIMES, SINE).replace("-", "\u2212"),
    "a byte order mark": "\ufefftime,I\n" + table(TIMES, SINE),
    "lines of DOS": ("time,I\n" + table(TIMES, SINE)).replace("\n", "\r\n"),
    "lines of old Macs": ("time,I\n" + table(TIMES, SINE)).replace("\n", "\r"),
    "an empty line": "time,I\n\n" + table(TIMES, SINE),
    "a quotation mark above": '# A display of 5"\n# fs: 250\nI\n' + table(SINE),
    "an empty line between all": "# fs: 250\nI\n" + table(SINE).replace("\n", "\n\n"),
    "a last line of text": "time,I\n" + table(TIMES, SINE) + "end of file\n",
    "powers of ten": "time,I\n" + table(TIMES, SINE, form="{:.6e}"),
    "a unit in the name": "Time (s),I (mV)\n" + table(TIMES, SINE),
    "a row of units": "time,I\ns,mV\n" + table(TIMES, SINE),
    "a row of units with others than voltages": "time,I,ABP\ns,mV,mmHg\n" + table(TIMES, SINE, [80] * SAMPLES),
    "a row of units that is all that tells the times": "Elapsed;I\nms;mV\n" + table(milli(), SINE, sep=";"),
    "a unit in place of a name": "time,mV\n" + table(TIMES, SINE),
    "a unit in Russian": "time,I (\u043c\u0412)\n" + table(TIMES, SINE),
    "a unit shortened otherwise": "time,I [mVolt]\n" + table(TIMES, SINE),
    "a row of units that names one for the times, too": "time,I\nmV,mV\n" + table(TIMES, SINE),
    "PhysioNet's": "'Elapsed time','I'\n'hh:mm:ss.mmm','mV'\n" + table([f"'0:{t:06.3f}'" for t in TIMES], SINE),
    "PhysioNet's with dates": "'Time and date','I'\n'hh:mm:ss.mmm dd/mm/yyyy','mV'\n"
    + table([f"'[12:00:{t:06.3f} 02/01/2000]'" for t in TIMES], SINE),
    "milliseconds": "time_ms,I\n" + table(milli(), SINE),
    "milliseconds in a row of units": "Time;I\nms;mV\n" + table(milli(), SINE, sep=";"),
    "minutes": "time (min),I\n" + table(TIMES / 60, SINE, form="{:.9f}"),
    "seconds since 1970": "timestamp,I\n" + table(1.7e9 + TIMES, SINE),
    "milliseconds since 1970": "timestamp,I\n" + table([1_700_000_000_000 + t for t in milli()], SINE),
    "nanoseconds since 1970": "time,I\n" + table([1_700_000_000_000_000_000 + t * 10**6 for t in milli()], SINE),
    "dates": "timestamp,I\n"
    + table(pd.date_range("2023-01-01T23:59:58", periods=SAMPLES, freq="4ms").strftime("%Y-%m-%dT%H:%M:%S.%f"), SINE),
    "dates of America": "date,I\n"
    + table(
        pd.date_range("2023-01-01T12:59:58", periods=SAMPLES, freq="4ms").strftime("%m/%d/%Y %I:%M:%S.%f %p"), SINE
    ),
    "a column of text": "time,I,beat\n" + table(TIMES, SINE, ["N" if i % 200 == 0 else "" for i in range(SAMPLES)]),
    "a rate above": "# sampling_rate: 250\n# unit: mV\nI\n" + table(SINE),
    "another rate above": "Sampling Frequency (Hz): 250\nI\n" + table(SINE),
    "bounds of filters above": "# Notch filter: 50 Hz\n# Band: 0.05-150 Hz\n# LP 100 Hz\n# 250 Hz\nI\n" + table(SINE),
    "a rate among bounds of filters": "Mains frequency,50 Hz\nHeart rate,1.2 Hz\nSample Rate,250 Hz\n\nI\n" + table(SINE),
    "a rate in kilohertz": "# Sampling rate: 0.25 kHz\nI\n" + table(SINE),
    "an interval": "Sampling interval: 4 ms\nI\n" + table(SINE),
    "the lead above": "Lead: I\nfs: 250\nECG\n" + table(SINE),
    "rdsamp's": "   Elapsed time       I\n   hh:mm:ss.mmm    (mV)\n"
    + table([f"    0:{t:06.3f}" for t in TIMES], SINE, sep="   "),
    "LabChart's": "Interval=\t0.004 s\nExcelDateTime=\t4.4E+04\t01/01/2021 10:00\nTimeFormat=\tStartOfBlock\n"
    "DateFormat=\t\nChannelTitle=\tI\nRange=\t2.000 mV\n" + table(TIMES, SINE, sep="\t"),
    "AcqKnowledge's": "r.acq\n4 msec/sample\n1 channels\nI\nmV\nmin,CH1,\n,1000,\n"
    + table([f"{t / 60:.6g}" for t in TIMES], SINE, [""] * SAMPLES),
    "a unit behind a dash": "time,I-mV\n" + table(TIMES, SINE),
    "a unit behind a word": "time,I in mV\n" + table(TIMES, SINE),
    "units in names as R has them": "Time..s.,I..mV.\n" + table(TIMES, SINE),
    "whole numbers at the end": "ms;I\n" + table(milli(), [*SINE[:-60], *[0] * 60], sep=";", decimal=","),
    "a colon before milliseconds": "Time,I\n" + table([f"10:00:0{int(t)}:{t % 1 * 1000:03.0f}" for t in TIMES], SINE),
    "times in Russian": "Время (с);I (mV)\n" + table(TIMES, SINE, sep=";", decimal=","),
    "times in Chinese": "时间,I\n" + table(TIMES, SINE),
    "days": "time (days),I\n" + table(44197.5 + TIMES / 86400, SINE, form="{:.12f}"),
    "an end of file of DOS": "time,I\r\n" + table(TIMES, SINE).replace("\n", "\r\n") + "\x1a",
    "pandas'": ",time,I\n" + table(range(SAMPLES), TIMES, SINE),
    "R's": '"time" "I"\n' + table([f'"{i}"' for i in range(1, SAMPLES + 1)], TIMES, SINE, sep=" "),
}  # fmt: skip


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_holds_the_same_signal(tmp_path, dialect):
    signal = readers.read(write(tmp_path, DIALECTS[dialect]))
    if signal.channels[1:] == ("ABP",):
        assert signal.units[1] == "mmHg"
        signal = replace(signal, values=signal.values[:1], channels=("I",), units=signal.units[:1])
    if dialect == "a unit in place of a name":
        assert signal.channels == ("ECG",)
        signal = replace(signal, channels=("I",))
    if dialect == "whole numbers at the end":
        assert not signal.values[0, -60:].any()
        signal.values[0, -60:] = SINE[-60:]
    if "Russian" in dialect or "otherwise" in dialect:
        signal = replace(signal, units=("mV",) if microvolts(signal.units[0]) == 1000 else signal.units)
    check(signal)


@pytest.mark.parametrize(
    "encoding, name", [("utf-16", "r.csv"), ("utf-16-le", "r.csv"), ("cp1252", "r.txt"), ("utf-8", "R.TSV")]
)
def test_encodings_and_endings(tmp_path, encoding, name):
    text = "time,I (\u00b5V)\n" + table(TIMES, micro())
    check(readers.read(write(tmp_path, text, encoding, name)), unit="\u00b5V")


@pytest.mark.parametrize(
    "text, channels",
    [
        ("I,II\n" + table(SINE, OTHER), ("I", "II")),
        ("'sample #','I','II'\n" + table(range(SAMPLES), SINE, OTHER), ("I", "II")),
        (pd.DataFrame({"I": SINE, "II": OTHER}).to_csv(), ("I", "II")),
        (pd.DataFrame(np.stack([SINE, OTHER], axis=1)).to_csv(index=False), ("column 1", "column 2")),
        (pd.DataFrame(np.stack([SINE, OTHER], axis=1)).to_csv(), ("column 1", "column 2")),
        (table(SINE, OTHER), ("column 1", "column 2")),
        (table(SINE), ("ECG",)),
        (table(SINE, decimal=","), ("ECG",)),
        ("I\n" + table(SINE, decimal=","), ("I",)),
        ("time,I\n" + table(range(SAMPLES), SINE), ("I",)),  # times that count samples
        ("time,I\n" + table(milli(), SINE), ("I",)),
        ("time,I\n" + table(TIMES, SINE, form="{:.2f}"), ("I",)),
    ],
)
def test_a_rate_that_is_given_counts_where_a_table_states_none(tmp_path, text, channels):
    signal = readers.read(write(tmp_path, text), RATE)
    assert signal.channels == channels and signal.sampling_rate == RATE
    np.testing.assert_allclose(signal.values, np.stack([SINE, OTHER][: len(channels)]), atol=6e-3)


def test_twelve_columns_without_names_are_in_the_usual_order_only_where_einthoven_confirms_it(tmp_path):
    random = np.random.default_rng(0)
    one, two = np.cumsum(random.normal(0, 0.05, (2, 500)), axis=1)
    limb = [one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2]
    leads = np.stack([*limb, *random.normal(0, 0.1, (6, 500))])
    usual = readers.read(write(tmp_path, table(*leads)), 100)
    assert usual.channels[:7] == ("I", "II", "III", "AVR", "AVL", "AVF", "V1")
    backwards = readers.read(write(tmp_path, table(*leads[::-1])), 100)
    assert backwards.channels[0] == "column 1"


def test_times_rounded_to_five_digits_have_their_rate(tmp_path):
    # BIDMC writes 99.992, 100, 100.01, 100.02, 100.02 ...
    times = [f"{t:.5g}" for t in 95 + np.arange(1250) / 125]
    found = readers.read(write(tmp_path, "Time [s],I\n" + table(times, np.resize(SINE, 1250))))
    assert found.sampling_rate == 125


@pytest.mark.parametrize("lost", [1, 3])
@pytest.mark.parametrize("decimals", [3, 6])
def test_lost_rows_are_noticed(tmp_path, lost, decimals):
    keep = np.r_[0:300, 300 + lost : SAMPLES]
    text = "time,I\n" + table(TIMES[keep], SINE[keep], form=f"{{:.{decimals}f}}")
    with pytest.raises(readers.InvalidRecording, match="equal steps: from 1.196 to 1.2"):
        readers.read(write(tmp_path, text))


@pytest.mark.parametrize(
    "text, given, reason",
    [
        (
            "time,I\n" + table(TIMES, SINE),
            {"sampling_rate": 500},
            "times give 250 Hz, and 500 Hz is asked for",
        ),
        ("fs: 250\nI\n" + table(SINE), {"sampling_rate": 500}, "sampled at 250 Hz, and 500 Hz is asked for"),
        ("time,I (uV)\n" + table(TIMES, SINE), {"unit": "mV"}, "values in uV, and mV is asked for"),
        ("time,I\n" + table(TIMES / 60, SINE, form="{:.9f}"), {}, "gives 15000 Hz; is it in min?"),
        ("time,I\n" + table(milli(), SINE), {}, r"gives 0.25 Hz; is it in ms\?.*time .ms."),
        ("time,I\n" + table(range(SAMPLES), SINE), {}, "gives 1 Hz; is it a count of samples?"),
        ("I\n" + table(SINE), {}, "give its sampling rate"),
        ("time,I\n" + table(TIMES, SINE) + "1,2,3\n", {}, "line 1002 has 3 cells, those before it 2"),
        ("time,I\n" + table(TIMES[::-1], SINE), {}, "do not go on"),
        ("time,I\n" + table([f"10:00:0{int(t)}" for t in TIMES], SINE), {}, "rounded too coarsely"),
        ("time\n" + table(TIMES), {}, "no column of samples"),
        ("a text\nof words\n", {}, "no columns of numbers"),
        ("time,I\n", {}, "no columns of numbers"),
        ("", {}, "no columns of numbers"),
        (
            "time,I\n" + table([*TIMES[:500], *TIMES[:500]], SINE),
            {},
            "equal steps: from 1.996 to 0 in row 501",
        ),
        (
            "time;I (uV)\n" + table(TIMES, [f"{x:,.1f}" for x in 3000 * SINE], sep=";"),
            {},
            r"row 20 holds 1,\d{3}\.\d, which is no number: write numbers without separators of thousands",
        ),
        (
            "time,I (uV)\n" + table(TIMES, [f'"{x:,.1f}"' for x in 1300 * SINE]),
            {},
            r"row 36 holds 1,\d{3}\.\d, which is no number",
        ),
        (
            "I (uV)\n" + table([f"{x:,}".replace(",", ".") for x in micro(3 * SINE)]),
            {"sampling_rate": 250},
            r"is 1\.\d{3} in it that, or 1\d{3}\? Write numbers without separators of thousands",
        ),
        (table([f"{i},5" for i in range(1, SAMPLES)]), {"sampling_rate": 250}, "is 1,5 one number or two?"),
        ("# High pass: 0.5 Hz\n# Low pass: 150 Hz\nI\n" + table(SINE), {}, "give its sampling rate"),
        ("ECG: 250 Hz\nACC: 50 Hz\nI\n" + table(SINE), {}, "states 250 and 50 Hz: give its sampling rate"),
        ("fs: 500\ntime,I\n" + table(TIMES, SINE), {}, "times give 250 Hz, and 500 Hz is stated"),
        ("time,I\n" + table(44197.5 + TIMES / 86400, SINE, form="{:.10f}"), {}, "is it in days?"),
        (
            "# fs: 250\n# gain: 200\nI\n" + table(micro()),
            {},
            "states a scale, 'gain: 200', and no unit: write",
        ),
        ("1524579602.0\n64.0\n" + table(SINE), {"sampling_rate": 64}, "sampling rate of 64 Hz, as Empatica"),
        (
            "\n".join(table(row, sep=",").replace("\n", ",") for row in (SINE, OTHER)),
            {"sampling_rate": 250},
            "turn it",
        ),
        (table(*np.resize(SINE, (80, 40))), {"sampling_rate": 250}, "has rows of 80 cells"),
        (
            "Interval=\t0 s\nChannelTitle=\tI\nRange=\t1 mV\n" + table(SINE),
            {},
            "header of LabChart is damaged",
        ),
        ("<!DOCTYPE html><p>404</p>\n1,2\n3,4", {}, "is a web page"),
        ("PK\3\4" + table(SINE), {}, "is a spreadsheet or an archive: save its table as CSV"),
        ("%PDF-1.4\n" + table(SINE), {}, "is a picture of an ECG"),
        ('{"samples": [1, 2]}\n', {}, "is JSON"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_its_reason(tmp_path, text, given, reason):
    with pytest.raises(readers.InvalidRecording, match=reason):
        readers.read(write(tmp_path, text), **given)


def test_a_table_may_have_many_columns_and_more_rows(tmp_path):
    wide = np.resize(SINE, (80, 100))
    assert readers.read(write(tmp_path, table(*wide)), 250).values.shape == (80, 100)


def test_the_lead_above_a_table_is_the_one_of_its_only_column(tmp_path):
    for above, names in (
        ("# Lead: II\n# fs: 250\n", "ECG"),
        ("Lead;II\nUnit;mV\n", "time;ECG"),
        ("", "time Lead II"),
        ("", "   Elapsed time       Lead II"),
    ):
        columns = (SINE,) if "fs" in above else (TIMES, SINE)
        text = f"{above}{names}\n{table(*columns, sep=';' if ';' in names else ' ')}"
        assert canonical(readers.read(write(tmp_path, text)).channels[0]) == "ii"


def test_units_are_found_in_names_of_several_words(tmp_path):
    found = readers.read(write(tmp_path, "time_s,ecg_lead_i_uV\n" + table(TIMES, micro())))
    check(replace(found, channels=("I",)), unit="uV")


def test_channels_of_programs_have_their_own_units(tmp_path):
    above = "r.acq\n250 samples/second\n2 channels\nECG\nmV\nRSP\nVolts\nsec\tCH1\tCH2\n\t1000\t1000\n"
    found = readers.read(write(tmp_path, above + table(TIMES, SINE, OTHER, sep="\t"), name="r.txt"))
    assert (found.channels, found.units, found.sampling_rate) == (("ECG", "RSP"), ("mV", "Volts"), RATE)
    above = "Interval=\t4 ms\nChannelTitle=\tI\tII\nRange=\t10.000 V\t2.000 mV\n"
    found = readers.read(write(tmp_path, above + table(TIMES, SINE / 1000, OTHER, sep="\t", form="{:.6f}")))
    assert (found.channels, found.units, found.sampling_rate) == (("I", "II"), ("V", "mV"), RATE)
    with pytest.raises(readers.InvalidRecording, match="names 2 channels above rows of 1 cells"):
        readers.read(write(tmp_path, above + table(SINE)))


def opensignals(**changes):
    device = {
        "column": ["nSeq", "DI", "CH1"],
        "label": ["CH1"],
        "sensor": ["ECG"],
        "sampling rate": 250,
    } | changes
    above = f"# OpenSignals Text File Format\n# {json.dumps({'00:07': device})}\n# EndOfHeader\n"
    return above + table(np.arange(SAMPLES) % 16, [0] * SAMPLES, SINE, [""] * SAMPLES, sep="\t")


def test_opensignals_is_read_where_its_values_have_units(tmp_path):
    check(readers.read(write(tmp_path, opensignals(convertedValues=1), name="r.txt")), ("ECG",))
    for given in ({}, {"sampling_rate": 250, "unit": "mV"}):
        with pytest.raises(
            readers.InvalidRecording, match="OpenSignals' text of its converter's counts: export"
        ):
            readers.read(write(tmp_path, opensignals(), name="r.txt"), **given)
    with pytest.raises(readers.InvalidRecording, match="header of OpenSignals is damaged"):
        readers.read(write(tmp_path, opensignals(convertedValues=1, label=None), name="r.txt"))


def test_the_mark_of_a_missing_sample_is_no_sample(tmp_path):
    marked = micro()
    marked[500:505] = -32768
    found = readers.read(write(tmp_path, "time,I (uV)\n" + table(TIMES, marked)))
    rest = np.delete(np.arange(SAMPLES), range(500, 505))
    np.testing.assert_allclose(found.values[0], np.interp(range(SAMPLES), rest, marked[rest]), atol=0.01)


def test_pairs_of_whole_numbers_are_not_taken_for_numbers_with_decimals(tmp_path):
    # As long as no value is below zero, a row looks like one number with a decimal comma.
    positive = micro(SINE) + 2000
    positive[:20] -= 2500
    found = readers.read(write(tmp_path, "time_ms,I\n" + table(milli(), positive)))
    assert (found.channels, found.sampling_rate) == (("I",), RATE)
    np.testing.assert_array_equal(found.values[0], positive)


def test_lost_rows_are_noticed_by_times_with_a_unit_whatever_others_say(tmp_path):
    phone = pd.date_range("2023-01-01T10:00", periods=SAMPLES, freq="4ms").strftime("%Y-%m-%dT%H:%M:%S.%f")
    sensor = [599_616_000_000_000_000 + 4_000_000 * (i + 100 * (i >= 400)) for i in range(SAMPLES)]
    text = "Phone timestamp;sensor timestamp [ns];ecg [uV]\n" + table(phone, sensor, micro(), sep=";")
    with pytest.raises(readers.InvalidRecording, match="equal steps.* in row 401"):
        readers.read(write(tmp_path, text))


def test_other_lists_of_samples_than_withings_are_refused_with_the_remedy(tmp_path):
    text = 'date,samples,scaling\n2021-01-01,"[1, 2, 3, 4]",10922\n'
    with pytest.raises(readers.InvalidRecording, match=r"not as Withings.*write one sample in each row"):
        readers.read(write(tmp_path, text))


def test_empty_cells_are_filled_by_lines_where_they_are_few(tmp_path):
    cells = [f"{x:.3f}" for x in SINE]
    cells[100], cells[200], cells[201], cells[300] = "", "-", "NaN", "inf"
    found = readers.read(write(tmp_path, "time,I\n" + table(TIMES, cells)))
    expected = SINE.copy()
    gaps = [100, 200, 201, 300]
    expected[gaps] = np.interp(gaps, np.delete(np.arange(SAMPLES), gaps), np.delete(SINE, gaps))
    np.testing.assert_allclose(found.values[0], expected, atol=1e-3)
    cells[: SAMPLES // 5] = [""] * (SAMPLES // 5)
    assert np.isnan(readers.read(write(tmp_path, "time,I\n" + table(TIMES, cells))).values).any()


APPLE = {
    "en": "Name,Jane\nDate of Birth,\"Jan 1, 1980\"\nRecorded Date,2020-01-01 10:00:00 +0100\nSymptoms,\n"
          "Software Version,1.90\nDevice,\"Watch6,7\"\nSample Rate,250 hertz\n\n\nLead,Lead I\nUnit,\u00b5V\n\n",
    "de": "Name\nGeburtstag,\"27.03.1987\"\nSymptome,\nSoftwareversion,1.13\nGer\u00e4t,\"Watch4,2\"\n"
          "Messrate,250,000\u00a0Hertz\n\n\nAbleitung,Ableitung I\nEinheit,\u00b5V\n\n",
    "ru": "\u0418\u043c\u044f,\u041c\n\u0427\u0430\u0441\u0442\u043e\u0442\u0430,250 \u0413\u0446\n\n"
          "\u041e\u0442\u0432\u0435\u0434\u0435\u043d\u0438\u0435,\u041e\u0442\u0432\u0435\u0434\u0435\u043d\u0438\u0435 I\n"
          "\u0415\u0434\u0438\u043d\u0438\u0446\u0430,\u00b5V\n\n",
    "ja": "\u540d\u524d,\u592a\u90ce\n\u30b5\u30f3\u30d7\u30eb\u30ec\u30fc\u30c8,250\u30d8\u30eb\u30c4\n\n"
          "\u30ea\u30fc\u30c9,\u30ea\u30fc\u30c9I\n\u5358\u4f4d,\u00b5V\n\n",
}  # fmt: skip


@pytest.mark.parametrize("language", APPLE)
@pytest.mark.parametrize("decimal", [".", ","])
def test_apple_health_exports_are_read_in_any_language(tmp_path, language, decimal):
    # A value a line, without zeros at its end: with commas they look like two columns of whole numbers.
    lines = [f"{1000 * x + 0.12 * (i % 3):.3f}".rstrip("0").rstrip(".") for i, x in enumerate(SINE)]
    text = APPLE[language] + "\n".join(lines).replace(".", decimal) + "\n"
    check(readers.read(write(tmp_path, text)), unit="\u00b5V")


def test_polar_sensor_logger_is_read(tmp_path):
    steps = np.arange(SAMPLES) / 130
    phone = pd.Timestamp("2023-01-01T10:00") + pd.to_timedelta(np.round(steps + 0.02 * np.sin(steps), 3), "s")
    text = "Phone timestamp;sensor timestamp [ns];timestamp [ms];ecg [uV]\n" + table(
        phone.strftime("%Y-%m-%dT%H:%M:%S.%f"), [599616000000000000 + round(t * 1e9) for t in steps],
        np.round(1000 * steps, 1), micro(), sep=";", form="{:.1f}",
    )  # fmt: skip
    found = readers.read(write(tmp_path, text, name="Polar_H10_ECG.txt"))
    assert (found.channels, found.units, found.sampling_rate) == (("ecg",), ("uV",), 130)
    np.testing.assert_array_equal(found.values[0], micro())


def withings(*rows):
    """An export with a row for each (wear position, values)."""
    head = "Date,Type,Frequency,Duration,Wear Position,Signal\n"
    lines = [f'2023-01-0{n} 10:00:00,ecg,250,4,{position},"{json.dumps(list(map(float, values)))}"\n'
             for n, (position, values) in enumerate(rows, 1)]  # fmt: skip
    return head + "".join(lines)


def test_withings_health_mate_is_read_row_by_row(tmp_path):
    one = write(tmp_path, withings((1, micro())))
    check(readers.read(one), ("ECG",), "uV")
    several = write(tmp_path, withings((1, micro(OTHER)), (3, SINE)))
    for record in ("2", "2023-01-02 10:00:00"):
        check(readers.read(several, record=record), ("ECG",), "mV")
    for record in (None, "3"):
        with pytest.raises(readers.InvalidRecording, match=r"holds 2 recordings: name one.*2 .2023-01-02"):
            readers.read(several, record=record)


def test_an_empty_line_among_lines_of_one_number_is_a_missing_sample(tmp_path):
    lines = table(SINE).splitlines()
    lines[500] = ""
    found = readers.read(write(tmp_path, "\n".join(["fs: 250", "I", *lines]) + "\n\n"))
    expected = SINE.copy()
    expected[500] = SINE[[499, 501]].mean()
    check(replace(found, values=found.values + (SINE - expected)))


LONG = 100_000  # characters, which a search that takes their square does not get through in minutes
HOSTILE = {
    "digits": "1" * LONG,
    "a rate that never comes": "sampling rate" + "-" * LONG + "!",
    "blanks": "a" + " " * LONG + "b",
    "tabs": "a" + "\t" * LONG + "b",
}


@pytest.mark.parametrize("line", HOSTILE.values(), ids=HOSTILE)
def test_lines_made_to_take_forever_are_read_over(line, tmp_path):
    check(readers.read(write(tmp_path, f"{line}\ntime,I\n{table(TIMES, SINE)}")))


def test_a_name_made_to_take_forever_is_a_name(tmp_path):
    name = "I" + " " * LONG + "(mV) or so"
    found = readers.read(write(tmp_path, f"time,{name}\n{table(TIMES, SINE)}"))
    assert (found.channels, found.sampling_rate) == ((name,), RATE)
    np.testing.assert_allclose(found.values[0], SINE, atol=2e-3)
