import errno
import os
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biosignals import simulate
from biosignals.data import wfppg
from biosignals.signals import pulses

FEET = np.arange(50, 700, 75)  # of 8 pulses of 75 samples, and one more
TYPES = ["1", "2E", "2L", "1L", "3", "1", "1", "3"]


def signal():
    """An upright, level wave of pulses of different heights from FEET on."""
    one = np.sin(np.pi * np.arange(75) / 75) ** 2
    x = np.zeros(750)
    for height, foot in enumerate(FEET[:8], 1):
        x[foot : foot + 75] += height * one
    return x


def write_window(root, number=0, subject="1000", x=None, rate=100.0):
    """The two files of one window; the wrist's pulses are the finger's, five samples later."""
    root.mkdir(parents=True, exist_ok=True)
    x = signal() if x is None else x
    wrist = np.roll(x, 5)
    slow = 40_000 + 30 * np.arange(len(x)) / len(x)
    table = pd.DataFrame({
        "Time": 120 + np.arange(len(x)) / rate, "PPG_In_G_LPF_10Hz": slow - wrist,
        "PPG_Ref_G_LPF_10Hz": slow - x, "Pressure_In": 1.0, "PPG_In_G_AC": wrist, "PPG_Ref_G_AC": x,
    })  # fmt: skip
    table.to_csv(root / f"{number}_preprocessed_{subject}.csv")
    places = {"ref_s": FEET[:8], "ref_e": FEET[:8] + 75, "in_s": FEET[:8] + 5, "in_e": FEET[:8] + 80}
    pd.DataFrame(places | {"in_t": TYPES, "ref_t": TYPES[::-1]}).to_csv(
        root / f"{number}_indices_{subject}.csv"
    )


@pytest.fixture
def root(tmp_path):
    write_window(tmp_path / "wf-ppg")
    write_window(tmp_path / "wf-ppg/more", 5, "1031")  # in whatever folder
    return tmp_path / "wf-ppg"


@pytest.fixture
def load(root, tmp_path):
    return lambda **options: wfppg.load(root, cache=tmp_path / "cache", **options)


def edit_table(root, row, **values):
    path = root / "0_indices_1000.csv"
    table = pd.read_csv(path, index_col=0, dtype=str)
    for column, value in values.items():
        table.loc[row, column] = str(value)
    table.to_csv(path)


def test_each_row_is_a_pulse_from_foot_to_foot(load):
    recordings = load()
    assert recordings.signals.shape == (16, 1, 75) and recordings.signals.dtype == np.float32
    assert (recordings.scale, recordings.unit, recordings.sampling_rate) == (1.0, "maximum", 100.0)
    assert recordings.channels == ("PPG_In_G_AC",) and recordings.excluded.empty
    expected = np.sin(np.pi * np.arange(75) / 75) ** 2
    np.testing.assert_allclose(
        recordings.physical()[:, 0], np.tile(expected / expected.max(), (16, 1)), atol=1e-6
    )
    table = recordings.table
    assert table.index[0] == "1000-0@55" and table["type"].tolist() == TYPES * 2
    assert table["subject"].tolist() == ["1000"] * 8 + ["1031"] * 8 and table["window"].unique().tolist() == [
        0,
        5,
    ]
    assert table["recording"].unique().tolist() == ["1000-0", "1031-5"]
    assert table["start"].tolist()[:2] == [0.55, 1.3] and (table["samples"] == 75).all()


def test_finger_channels_have_the_fingers_places_and_types(load):
    table = load(channel="PPG_Ref_G_AC").table
    assert table["type"].tolist() == TYPES[::-1] * 2 and table["start"].tolist()[0] == 0.5


@pytest.mark.parametrize("site", ["In", "Ref"])
def test_raw_light_is_turned_upright_and_levelled(load, site):
    light, level = load(channel=f"PPG_{site}_G_LPF_10Hz"), load(channel=f"PPG_{site}_G_AC")
    assert light.table.equals(level.table)
    np.testing.assert_allclose(light.signals, level.signals, atol=0.01)


def test_it_is_read_once_and_again_when_a_file_changed(root, load):
    assert len(load()) == len(load()) == 16
    edit_table(root, 3, in_t="1")
    assert load().table["type"].tolist()[3] == "1"


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"in_e": 760}, "lies at samples 280 to 760, but the signal has 750: download the set again"),
        ({"in_s": -3}, "lies at samples -3 to 355"),
        ({"in_e": 280}, "ends at sample 280, before it begins at 280"),
        ({"in_e": 281}, "1 samples long, expected 19 to 200"),
        ({"in_e": 600}, "320 samples long, expected 19 to 200"),
        ({"in_t": "4"}, "unknown type '4', expected 1 2E 2L 1L 3"),
        ({"in_s": 0, "in_e": 50}, "is constant"),
    ],
)
def test_a_pulse_that_cannot_be_used_is_left_out_and_listed(root, load, change, reason):
    edit_table(root, 3, **change)
    recordings = load()
    assert len(recordings) == 15 and recordings.table["type"].tolist()[:7] == TYPES[:3] + TYPES[4:]
    (row,) = recordings.excluded.itertuples(index=False)
    assert row.record.startswith("1000-0@") and row.file == "0_preprocessed_1000.csv" and reason in row.reason


def test_pulses_with_nan_or_below_their_feet_are_left_out(root, load):
    x = signal()
    x[FEET[2] + 10] = np.nan
    x[FEET[4] : FEET[5]] = -1 - np.arange(75) % 7
    write_window(root, x=x)
    assert load().excluded["reason"].tolist() == ["misses 1 of its samples", "does not rise above its feet"]


def cut(path):
    text = path.read_text()
    path.write_text(text[: text.rindex("\n", 0, -1) + 4])


DAMAGE = {
    "a missing column": (
        lambda root: pd.read_csv(root / "0_preprocessed_1000.csv").drop(columns="PPG_In_G_AC").to_csv(
            root / "0_preprocessed_1000.csv", index=False),
        "0_preprocessed_1000.csv has no column PPG_In_G_AC; it has .*Time.*: download the set again",
    ),
    "a missing type": (
        lambda root: pd.read_csv(root / "0_indices_1000.csv").drop(columns="in_t").to_csv(
            root / "0_indices_1000.csv"),
        "0_indices_1000.csv has no column in_t",
    ),
    "a table cut short": (lambda root: cut(root / "0_indices_1000.csv"), "0_indices_1000.csv has a position"),
    "a pickle": (
        lambda root: (root / "0_preprocessed_1000.csv").write_bytes(pickle.dumps(np.arange(9))),
        "0_preprocessed_1000.csv (?:cannot be read|has no column)",
    ),
    "an empty file": (lambda root: (root / "0_indices_1000.csv").write_bytes(b""), "indices_1000.csv cannot"),
    "text for numbers": (
        lambda root: (root / "0_preprocessed_1000.csv").write_text("Time,PPG_In_G_AC\n0,a\n"), "cannot be",
    ),
    "another rate": (lambda root: write_window(root, rate=64), "sampled at 64 Hz by its times, expected"),
    "no signals": (lambda root: (root / "0_preprocessed_1000.csv").unlink(), "without its signals.*make"),
    "no table": (lambda root: (root / "0_indices_1000.csv").unlink(), "without its table.*make data"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_a_window_that_cannot_be_read_is_left_out_and_listed(root, load, name):
    damage, reason = DAMAGE[name]
    damage(root)
    recordings = load()
    assert recordings.table["subject"].unique().tolist() == ["1031"]
    assert recordings.excluded["record"].tolist() == ["1000-0"]
    assert recordings.excluded["reason"].str.contains(reason).all(), recordings.excluded["reason"].item()


def test_signals_cut_short_cost_the_pulses_that_are_gone(root, load):
    path = root / "0_preprocessed_1000.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:400]) + "\n399,1")
    recordings = load()
    assert len(recordings) == 8 + 4 and len(recordings.excluded) == 4
    assert recordings.excluded["reason"].str.contains("but the signal has 399").all()


def test_tables_are_read_without_signals(root):
    for path in root.rglob("*_preprocessed_*.csv"):
        path.unlink()
    table = wfppg.tables(root)
    assert list(table) == ["subject", "window", "ref_s", "ref_e", "in_s", "in_e", "in_t", "ref_t"]
    assert len(table) == 16 and table["in_t"].tolist() == TYPES * 2 and table["in_s"].dtype == np.int64
    assert wfppg.complete(root) == []
    with pytest.raises(ValueError, match="no recording of wf-ppg .* 2 x a window without its signals"):
        wfppg.load(root, cache=root / "cache")


def test_what_is_missing_is_named_with_its_remedy(tmp_path, load):
    with pytest.raises(FileNotFoundError, match="nowhere does not exist: .*make data"):
        wfppg.load(tmp_path / "nowhere", cache=tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no table of pulses .*make data"):
        wfppg.tables(tmp_path / "empty")
    with pytest.raises(ValueError, match="no recording of wf-ppg"):
        wfppg.load(tmp_path / "empty", cache=tmp_path)
    with pytest.raises(ValueError, match="no channel 'PLETH' in WF-PPG: choose one of PPG_In_G_AC"):
        load(channel="PLETH")


@settings(max_examples=15)
@given(places=st.lists(st.tuples(st.integers(-20, 800), st.integers(-20, 800)), min_size=1, max_size=8))
def test_any_table_gives_usable_pulses_or_reasons(tmp_path_factory, places):
    root = tmp_path_factory.mktemp("places")
    write_window(root)
    table = pd.DataFrame(places, columns=["in_s", "in_e"]).assign(ref_s=0, ref_e=1, in_t="1", ref_t="1")
    table.to_csv(root / "0_indices_1000.csv")
    try:
        recordings = wfppg.load(root, cache=root / "cache")
    except ValueError as error:
        assert "no recording of wf-ppg" in str(error)
        return
    assert len(recordings) + len(recordings.excluded) == len(places)
    assert (recordings.signals.max(axis=-1) == 1).all()
    assert recordings.table["samples"].between(pulses.FEWEST, pulses.LONGEST).all()


def test_a_failing_disk_aborts(load, monkeypatch):
    def fail(*_, **__):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(wfppg.pd, "read_csv", fail)
    with pytest.raises(OSError, match="Input/output error"):
        load()


@pytest.mark.parametrize("rows", [2, 33])
def test_a_window_that_lost_rows_is_left_out(root, load, rows):
    path = root / "0_preprocessed_1000.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:300] + lines[300 + rows :]))
    found = load()
    assert set(found.table["subject"].astype(str)) == {"1031"}
    assert "rows were lost" in found.excluded["reason"].iloc[0]


def test_a_window_of_official_length_is_read_whole(tmp_path):
    """Four minutes at 100 Hz, with times that count on from window to window."""
    write_window(tmp_path, 5, x=np.tile(signal()[50:650], 40))
    feet = np.arange(0, 23_900, 75)
    places = {
        "ref_s": feet,
        "ref_e": feet + 75,
        "in_s": feet + 5,
        "in_e": feet + 80,
        "in_t": "1",
        "ref_t": "1",
    }
    pd.DataFrame(places).to_csv(tmp_path / "5_indices_1000.csv")
    path = tmp_path / "5_preprocessed_1000.csv"
    later = pd.read_csv(path, index_col=0).assign(Time=lambda table: (table["Time"] + 2000).round(2))
    later.to_csv(path)
    recordings = wfppg.load(tmp_path, cache=tmp_path / "cache")
    assert len(recordings) == len(feet) == 319 and recordings.excluded.empty
    assert recordings.table["start"].iloc[-1] == pytest.approx((feet[-1] + 5) / 100)


def test_pressure_is_the_mean_of_its_column_in_each_window(tmp_path):
    simulate.wfppg.write(tmp_path / "wf-ppg", 1, minutes=0.25)
    found = wfppg.pressures(tmp_path / "wf-ppg")
    assert found.index.tolist() == [f"1000-{window}" for window in range(6)]
    column = pd.read_csv(tmp_path / "wf-ppg" / "3_preprocessed_1000.csv").Pressure_In
    assert found["1000-3"] == pytest.approx(column.mean())
    assert found["1000-4"] > found["1000-0"]
