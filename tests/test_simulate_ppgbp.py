import numpy as np
import openpyxl
import pytest

from biosignals.data import ppgbp as reader
from biosignals.data import preparation
from biosignals.simulate import ppgbp


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("simulated") / "ppg-bp"
    ppgbp.write(root, 60, seed=1)
    return root


@pytest.fixture(scope="module")
def recordings(root, tmp_path_factory):
    return reader.load(root, cache=tmp_path_factory.mktemp("cache"))


def test_the_loader_reads_all_of_it(root, recordings):
    assert recordings.signals.shape == (180, 1, 2100) and recordings.excluded.empty
    assert set(recordings.table["stage"]) == {0, 1, 2, 3}
    text = (root / "0_subject/2_1.txt").read_text()
    assert text.endswith("\t") and text.count("\t") == 2100 and text[4:7] == ".0\t"
    (sheet,) = openpyxl.load_workbook(root / "PPG-BP dataset.xlsx")
    assert [cell.value for cell in sheet[2]] == list(ppgbp.COLUMNS)


def test_stages_follow_from_the_pressure_and_pressure_from_age(recordings):
    table = recordings.table.drop_duplicates("subject")
    edges = np.searchsorted([120, 140, 160], table["systolic"], side="right")
    assert (table["stage"] == edges).all()
    assert np.corrcoef(table["age"], table["systolic"])[0, 1] > 0.3


def test_segments_hold_pulses(recordings):
    pulses = preparation.segment_pulses(recordings, "PPG")
    assert pulses.table["recording"].nunique() > 0.7 * len(recordings)
    rates = 60 / (pulses.table["samples"] / pulses.sampling_rate)
    expected = recordings.table.loc[pulses.table["recording"], "heart_rate"].to_numpy()
    assert np.median(np.abs(rates - expected) / expected) < 0.1


def test_the_same_seed_gives_the_same_recordings_and_real_data_are_safe(root, tmp_path):
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        ppgbp.write(tmp_path / name, 1, seed)
    one, again, other = ((tmp_path / name / "0_subject/2_3.txt").read_bytes() for name in "abc")
    assert one == again and one != other
    with pytest.raises(FileExistsError, match="not empty"):
        ppgbp.write(root, 1)
