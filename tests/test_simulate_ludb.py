import json

import numpy as np
import pytest

from biosignals.data import ludb as reader
from biosignals.signals.quality import einthoven_error
from biosignals.simulate import ludb

RECORDS = 13


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("simulated") / "ludb"
    ludb.write(root, RECORDS, seed=1)
    return root


@pytest.fixture(scope="module")
def recordings(root, tmp_path_factory):
    return reader.load(root, cache=tmp_path_factory.mktemp("cache"))


def test_the_loader_reads_all_of_it(root, recordings):
    assert recordings.signals.shape == (RECORDS, 12, 5000) and recordings.excluded.empty
    assert recordings.table["AFIB"].sum() == 1  # 15 of 200
    assert (root / "RECORDS").read_text().split()[0] == "data/1"
    assert (
        einthoven_error(recordings.physical()).max() <= 0.0021
    )  # to the microvolt: the integers are not scaled


def test_waves_are_where_the_signal_moves(root, recordings):
    waves, excluded = reader.waves(root)
    assert excluded.empty and not waves.isna().any(axis=None)
    assert ((waves["onset"] < waves["peak"]) & (waves["peak"] < waves["end"])).all()
    fibrillating = recordings.table.index[recordings.table["AFIB"]]
    assert "P" not in set(waves.loc[waves["record"].isin(fibrillating), "wave"])
    moved = {"inside": [], "outside": []}
    of_lead = waves[waves["lead"] == "II"].groupby("record")
    for record, leads in zip(recordings.table.index, recordings.physical()):
        inside = np.zeros(5000, dtype=bool)
        own = of_lead.get_group(record)
        for onset, end in own.loc[own["wave"] == "QRS", ["onset", "end"]].to_numpy(int):
            inside[onset : end + 1] = True
        steps = np.abs(np.diff(leads)).max(axis=0)
        moved["inside"].append(steps[inside[1:]].mean())
        moved["outside"].append(steps[~inside[1:]].mean())
    ratio = np.array(moved["inside"]) / np.array(moved["outside"])
    assert ratio.min() > 2 and np.median(ratio) > 4, ratio


def test_the_same_seed_gives_the_same_bytes_and_real_data_are_safe(root, tmp_path):
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        ludb.write(tmp_path / name, 1, seed)
    files = [sorted(path for path in (tmp_path / name).rglob("*") if path.is_file()) for name in "abc"]
    one, again, other = ([path.read_bytes() for path in some] for some in files)
    assert one == again and len(one) == 2 + 12 + 3 and one != other
    assert json.loads((root / "SIMULATED.json").read_text())["records"] == RECORDS
    with pytest.raises(FileExistsError, match="not empty"):
        ludb.write(root, 1)
