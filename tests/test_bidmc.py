import errno
import os
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biosignals.data import bidmc, preparation
from test_pulses import wave

ORDERS = {1: "RESP PLETH V AVR II".split(), 2: "II PLETH RESP V".split(), 7: "PLETH RESP II V AVR".split()}


def values(number, samples=1500):
    """Columns of record `number`, to 0.001: noise, and a pulse wave in PLETH."""
    rng = np.random.default_rng(number)
    columns = {name: rng.normal(0.4, 0.2, samples).round(3) for name in ("II", "RESP", "V", "AVR")}
    return columns | {"PLETH": (0.5 + 0.2 * wave(125, samples / 125, drift=False)).round(3)}


def write_record(root, number, samples=1500, rate=125, subject="s01182"):
    folder = root / "bidmc_csv"
    folder.mkdir(parents=True, exist_ok=True)
    own = values(number, samples)
    table = pd.DataFrame(
        {"Time [s]": np.arange(samples) / rate} | {f" {name}": own[name] for name in ORDERS[number]}
    )
    table.to_csv(folder / f"bidmc_{number:02d}_Signals.csv", index=False)
    text = f"bidmc_{number:02d}\nAge: 90+\nMIMIC II matched wdb ID: {subject}\n"
    text += "MIMIC II data segment: 2688-03-25\n"
    (folder / f"bidmc_{number:02d}_Fix.txt").write_text(text)


@pytest.fixture
def root(tmp_path):
    for number, subject in ((1, "s01182"), (2, "s00020"), (7, "s01182")):
        write_record(tmp_path / "bidmc", number, subject=subject)
    return tmp_path / "bidmc"


@pytest.fixture
def load(root, tmp_path):
    return lambda **options: bidmc.load(root, cache=tmp_path / "cache", **options)


def test_only_records_of_eight_minutes_are_complete(root):
    assert bidmc.complete(root) == []
    write_record(root, 2, samples=60_001)
    assert bidmc.complete(root) == ["bidmc02"]
    (root / "bidmc_csv/bidmc_07_Signals.csv").write_text("Time [s], II, PLETH\n")
    assert bidmc.complete(root) == ["bidmc02"]


def test_channels_are_found_by_name_in_any_order(load):
    recordings = load()
    assert (
        recordings.channels == ("II", "PLETH")
        and recordings.sampling_rate == 125
        and recordings.excluded.empty
    )
    assert recordings.signals.shape == (3, 2, 1500) and recordings.signals.dtype == np.int16
    for number, signals in zip((1, 2, 7), recordings.physical()):
        np.testing.assert_allclose(signals, [values(number)["II"], values(number)["PLETH"]], atol=1e-6)
    table = recordings.table
    assert table.index.tolist() == ["bidmc01", "bidmc02", "bidmc07"] and (table["samples"] == 1500).all()
    assert table["subject"].tolist() == ["s01182", "s00020", "s01182"]


def test_records_without_a_channel_are_left_out_and_a_channel_nobody_has_is_refused(load):
    recordings = load(channels=["AVR"])
    assert recordings.table.index.tolist() == ["bidmc01", "bidmc07"]
    assert recordings.excluded["reason"].tolist() == ["no lead AVR; it holds II, PLETH, RESP, V"]
    with pytest.raises(ValueError, match="3 of 3 recordings .* most hold only RESP, PLETH, V, AVR, II"):
        load(channels=["II", "ABP"])
    with pytest.raises(ValueError, match="each once"):
        load(channels=["II", "II"])


def test_records_are_those_asked_for(load):
    assert load(records=["bidmc07"]).table.index.tolist() == ["bidmc07"]
    with pytest.raises(ValueError, match="lacks 1 records asked for: bidmc99"):
        load(records=["bidmc99"])


def edit(root, old, new, name="bidmc_02_Signals.csv"):
    path = root / "bidmc_csv" / name
    path.write_text(path.read_text().replace(old, new))


def cut(root, lines):
    path = root / "bidmc_csv/bidmc_02_Signals.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:lines]) + "\n0.5,0.1")


def without(root, name):
    (root / "bidmc_csv" / name).unlink()


@pytest.mark.parametrize(
    "damage, reason",
    [
        (
            lambda root: cut(root, 900),
            "bidmc_02_Signals.csv has 900 samples, expected 1500.*download the set again",
        ),
        (lambda root: write_record(root, 2, rate=250), "sampled at 250 Hz by its times, expected 125 Hz"),
        (lambda root: edit(root, "Time [s]", "II"), "has 'II' in its first column, expected Time"),
        (lambda root: edit(root, " PLETH", " II"), "no lead PLETH"),
        (lambda root: edit(root, " RESP", " V"), "a lead's name stands twice"),
        (lambda root: edit(root, "\n0.8,", "\n0.8,x"), "bidmc_02_Signals.csv cannot be read .*download"),
        (
            lambda root: (root / "bidmc_csv/bidmc_02_Signals.csv").write_bytes(pickle.dumps(list(range(9)))),
            "bidmc_02_Signals.csv (?:cannot be read|has .* in its first column)",
        ),
        (lambda root: without(root, "bidmc_02_Fix.txt"), "bidmc_02_Fix.txt cannot be read"),
        (
            lambda root: edit(root, "matched wdb ID", "number", "bidmc_02_Fix.txt"),
            "bidmc_02_Fix.txt names no MIMIC II subject",
        ),
    ],
)
def test_a_damaged_record_is_left_out_and_listed(root, load, damage, reason):
    damage(root)
    recordings = load()
    assert recordings.table.index.tolist() == ["bidmc01", "bidmc07"]
    (row,) = recordings.excluded.itertuples(index=False)
    assert row.record == "bidmc02" and row.file == "bidmc_csv/bidmc_02_Signals"
    assert pd.Series([row.reason]).str.contains(reason).item(), row.reason


def test_missing_samples_are_filled_by_lines_or_too_many(root, load):
    lines = (root / "bidmc_csv/bidmc_01_Signals.csv").read_text().splitlines()
    for row in (100, 101, 102):
        time, *_ = lines[row].split(",")
        lines[row] = f"{time},NaN,NaN,NaN,NaN,NaN"
    (root / "bidmc_csv/bidmc_01_Signals.csv").write_text("\n".join(lines) + "\n")
    recordings = load()
    assert recordings.table["invalid_samples"].tolist() == [6, 0, 0]
    expected = np.linspace(values(1)["II"][98], values(1)["II"][102], 5)
    np.testing.assert_allclose(recordings.physical([0])[0, 0, 98:103], expected, atol=0.001)


def test_missing_folders_are_named_with_their_remedy(tmp_path):
    with pytest.raises(FileNotFoundError, match="bidmc_csv does not exist: .*make data"):
        bidmc.load(tmp_path, cache=tmp_path / "cache")
    (tmp_path / "bidmc_csv").mkdir()
    with pytest.raises(FileNotFoundError, match="no bidmc_01_Signals.csv.*make data"):
        bidmc.load(tmp_path, cache=tmp_path / "cache")


@settings(max_examples=15)
@given(
    st.permutations("RESP PLETH V AVR II ABP".split()), st.integers(2, 40), st.sampled_from(["", " ", "  "])
)
def test_any_order_of_columns_reads_the_same(tmp_path_factory, order, samples, blank):
    path = tmp_path_factory.mktemp("record") / "bidmc_01_Signals.csv"
    counts = np.random.default_rng(samples).integers(-3000, 3000, (6, samples))
    table = pd.DataFrame({"Time [s]": np.arange(samples) / 125})
    for position, name in enumerate(["RESP", "PLETH", "V", "AVR", "II", "ABP"]):
        table[blank + name] = counts[position] / 1000
    table[["Time [s]", *(blank + name for name in order)]].to_csv(path, index=False)
    found = bidmc.read(str(path.with_suffix("")), ("II", "PLETH"), samples)
    np.testing.assert_array_equal(found, counts[[4, 1]])


def test_pulses_of_recordings_keep_their_subject_and_have_derived_types(load):
    recordings = load()
    found = preparation.segment_pulses(recordings, "PLETH")
    assert (
        found.channels == ("PLETH",)
        and found.sampling_rate == 100
        and found.scale == 1
        and found.unit == "maximum"
    )
    assert found.signals.shape[1] == 1 and found.signals.dtype == np.float32
    assert (found.signals.max(axis=-1) == 1).all()
    counts = found.table.groupby("recording").size()
    assert counts.index.tolist() == ["bidmc01", "bidmc02", "bidmc07"] and counts.between(11, 15).all()
    assert found.table.groupby("recording")["subject"].first().tolist() == ["s01182", "s00020", "s01182"]
    assert (found.table["type"] == "1L").mean() > 0.9
    assert found.table["start"].between(0, 12).all() and (found.table["samples"] - 80).abs().max() < 8


def test_recordings_without_pulses_are_listed(root, load):
    path = root / "bidmc_csv/bidmc_02_Signals.csv"
    table = pd.read_csv(path)
    table[" PLETH"] = 0.5
    table.to_csv(path, index=False)
    found = preparation.segment_pulses(load(), "PLETH")
    assert found.table["recording"].unique().tolist() == ["bidmc01", "bidmc07"]
    assert found.excluded["record"].tolist() == ["bidmc02"] and "constant" in found.excluded["reason"].item()
    with pytest.raises(ValueError, match="no pulse of bidmc in channel PLETH"):
        preparation.segment_pulses(load(records=["bidmc02"]), "PLETH")
    with pytest.raises(KeyError, match="no channel ABP"):
        preparation.segment_pulses(load(), "ABP")


def test_a_failing_disk_aborts(load, monkeypatch):
    def fail(*_, **__):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(bidmc.pd, "read_csv", fail)
    with pytest.raises(OSError, match="Input/output error"):
        load()


def write_times(root, samples, form, lost=slice(0, 0)):
    """Record 1 with times as `form` writes them, less the rows `lost`."""
    write_record(root, 1, samples)
    path = root / "bidmc_csv/bidmc_01_Signals.csv"
    head, *rows = path.read_text().splitlines()
    texts = [form % (k / 125) + row[row.index(",") :] for k, row in enumerate(rows)]
    del texts[lost]
    path.write_text("\n".join([head, *texts]) + "\n")


def test_a_record_as_released_has_60001_rows_and_rounded_times(tmp_path):
    write_times(tmp_path / "official", 60_001, "%.5g")
    recordings = bidmc.load(tmp_path / "official", cache=tmp_path / "cache")
    assert recordings.signals.shape == (1, 2, 60_001) and recordings.excluded.empty
    np.testing.assert_allclose(
        recordings.physical([0])[0], [values(1, 60_001)["II"], values(1, 60_001)["PLETH"]], atol=1e-6
    )


@pytest.mark.parametrize("form", ["%.5g", "%.3f"])
@pytest.mark.parametrize("rows", [2, 33, 500])
def test_lost_rows_are_not_passed_over(tmp_path, form, rows):
    write_times(tmp_path / "gap", 60_001, form, slice(40_000, 40_000 + rows))
    with pytest.raises(ValueError, match="times do not go on evenly near (319|320).*rows were lost"):
        bidmc.load(tmp_path / "gap", cache=tmp_path / "cache")
