"""The benchmark compares like with like, and its page shows what it wrote."""

import numpy as np
import pandas as pd
import pytest

import bench
from biosignals import simulate
from biosignals.data import ptbxl
from biosignals.signals import scalogram
from biosignals.training.recipe import Recipe
from conftest import ROOT

TABLE = pd.read_csv(ROOT / "book/bench.csv", keep_default_na=False, dtype=str)


def test_a_scalogram_that_is_the_integral_is_measured_and_another_stops_the_benchmark(monkeypatch):
    monkeypatch.setattr(bench, "optional", lambda package: None)
    rows = bench.scalograms(signals=2, samples=400, sampling_rate=100, bins=50, rounds=1)
    assert [row.way for row in rows] == ["biosignals", "PyWavelets, fft"]
    assert rows[0].times == 1 and rows[0].difference < 1e-5 < rows[1].difference

    ours = scalogram.scalogram
    monkeypatch.setattr(scalogram, "scalogram", lambda *args: ours(*args) * 1.001)
    with pytest.raises(ValueError, match="away from the integral"):
        bench.scalograms(signals=2, samples=400, sampling_rate=100, bins=50, rounds=1)


def test_packages_that_are_not_installed_are_left_out_with_a_sentence(capsys):
    assert bench.optional("no_such_package") is None
    assert "no_such_package is left out of the comparison" in capsys.readouterr().out


def test_a_repeated_set_has_the_recordings_of_its_source_again_and_again(tmp_path):
    simulate.ptbxl.write(tmp_path / "source", 3)
    files = bench.repeat(tmp_path / "source", tmp_path / "repeated", 7)
    once = ptbxl.load(tmp_path / "source", cache=tmp_path / "cache")
    found = ptbxl.load(tmp_path / "repeated", cache=tmp_path / "cache")
    assert len(files) == 14 and len(found) == 7 and found.excluded.empty
    assert np.array_equal(found.signals, once.signals[np.arange(7) % 3])


def test_the_times_of_others_are_said_in_ours_and_numbers_as_people_read_them(tmp_path):
    rows = bench.compare("loading", {"biosignals": 0.5, "a loop": 6172.8}, {"biosignals": 2e-7})
    bench.write([*rows, bench.Row("measured on", "a machine")], tmp_path / "table.csv")
    assert (tmp_path / "table.csv").read_text().splitlines() == [
        "measurement,by,ms,times ours,largest difference",
        "loading,biosignals,500,1,2e-07",
        'loading,a loop,"6,170,000","12,300",',
        "measured on,a machine,,,",
    ]


def test_operations_and_memory_grow_with_the_batch():
    small, large = Recipe(epochs=1, batch_size=4), Recipe(epochs=1, batch_size=8)
    assert bench.operations("student-4k", 8, small) == 2 * bench.operations("student-4k", 4, small) > 0
    assert bench.step_memory("student-4k", small) < bench.step_memory("student-4k", large)


def test_the_page_shows_a_table_with_every_measurement():
    page = (ROOT / "book/speed.md").read_text()
    assert ":file: bench.csv" in page
    text = "\n".join(TABLE.measurement)
    for word in (
        "first load",
        "opened again",
        "64 times",
        "128 times",
        *bench.NETS,
        "EDF",
        "import biosignals",
    ):
        assert word in text
    assert (TABLE["times ours"][TABLE.by == "biosignals"].isin(["1", ""])).all()
    assert list(pd.read_csv(ROOT / "book/full.csv").net) == list(bench.NETS)
