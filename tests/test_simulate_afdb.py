import numpy as np
import pytest

from biosignals.data import afdb as reader
from biosignals.data import rhythms
from biosignals.simulate import afdb


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("simulated") / "afdb"
    afdb.write(root, 6, seed=1, hours=2)
    return root


def test_the_loader_reads_all_of_it(root):
    recordings, excluded = reader.find(root)
    assert len(recordings) == 6 and excluded.empty
    assert (root / "RECORDS").read_text().split() == [one.name for one in recordings]
    assert all(1.9 < one.seconds / 3600 <= 2 for one in recordings)


def test_intervals_in_fibrillation_are_irregular(root):
    recordings, _ = reader.find(root)
    table, intervals = rhythms.windows(recordings)
    assert 0.1 < table["AFIB"].mean() < 0.7 and {"N", "AFIB"} <= set(table["rhythm"])
    counts = table["intervals"].to_numpy()
    assert 20 < np.median(counts) < 70
    variation = np.array([np.abs(np.diff(row[:count])).mean() for row, count in zip(intervals, counts)])
    pure = {name: variation[(table["rhythm"] == name) & (counts > 9)] for name in ("N", "AFIB")}
    assert np.median(pure["AFIB"]) > 2 * np.median(pure["N"])


def test_the_same_seed_gives_the_same_bytes_and_sizes_are_checked(root, tmp_path):
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        afdb.write(tmp_path / name, 1, seed, hours=0.2)
    one, again, other = (
        [(tmp_path / name / f"04015.{extension}").read_bytes() for extension in ("atr", "qrs")]
        for name in "abc"
    )
    assert one == again and one[1] != other[1]
    with pytest.raises(FileExistsError, match="not empty"):
        afdb.write(root, 1)
    with pytest.raises(ValueError, match="hours must be at least 0.1"):
        afdb.write(tmp_path / "none", 1, hours=0)
