import numpy as np
import pytest

from biosignals.data import cpsc2021 as reader
from biosignals.signals.beats import r_peaks
from biosignals.simulate import cpsc2021


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("simulated") / "cpsc2021"
    cpsc2021.write(root, 9, seed=1, minutes=1.5)
    return root


def test_the_loader_reads_all_of_it(root, tmp_path):
    recordings = reader.load(root, cache=tmp_path)
    assert recordings.excluded.empty and recordings.table["recording"].nunique() == 9
    share = recordings.table.groupby("diagnosis")["afib_share"].mean()
    assert share["non atrial fibrillation"] == 0 and share["persistent atrial fibrillation"] > 0.99
    assert 0.1 < share["paroxysmal atrial fibrillation"] < 0.9
    assert abs(np.median(recordings.physical()) - 4) < 1  # an offset as in the set
    assert (root / "Training_set_I/RECORDS").read_text().split()[-1] == "data_2_3"


def test_beats_are_where_the_signal_has_r_peaks(root, tmp_path):
    recordings = reader.load(root, seconds=60, step=60, leads=("I", "II"), cache=tmp_path)
    marked = {one.name: one.beats for one in reader.find(root)[0]}
    found = matched = 0
    for record, signal in zip(recordings.table["recording"], recordings.physical()):
        peaks = r_peaks(signal, 200)
        near = np.abs(peaks[:, None] - marked[record]).min(axis=1) <= 15
        found, matched = found + len(peaks), matched + near.sum()
    assert matched > 0.93 * found


def test_beats_in_fibrillation_are_irregular(root):
    spread = {}
    for one in reader.find(root)[0]:
        intervals = np.diff(one.beats) / 200
        spread.setdefault(one.diagnosis.split()[0], []).append(np.std(intervals) / np.mean(intervals))
    assert max(spread["non"]) < min(spread["persistent"])


def test_the_same_seed_gives_the_same_bytes_and_sizes_are_checked(root, tmp_path):
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        cpsc2021.write(tmp_path / name, 1, seed, minutes=0.5)
    one, again, other = (
        [(tmp_path / name / f"Training_set_I/data_0_1.{end}").read_bytes() for end in ("dat", "hea", "atr")]
        for name in "abc"
    )
    assert one == again and one != other
    with pytest.raises(FileExistsError, match="not empty"):
        cpsc2021.write(root, 1)
    with pytest.raises(ValueError, match="minutes must be at least 0.5"):
        cpsc2021.write(tmp_path / "none", 1, minutes=0.1)
