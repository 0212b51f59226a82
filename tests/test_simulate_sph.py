import json

import h5py
import numpy as np
import pandas as pd
import pytest

from biosignals.data import sph as reader
from biosignals.signals.rhythm import rhythm_features
from biosignals.simulate import heart, sph

RECORDS = 24


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("simulated") / "sph"
    sph.write(root, RECORDS, seed=1)
    return root


@pytest.fixture(scope="module")
def metadata(root):
    return pd.read_csv(root / "metadata.csv", dtype={"AHA_Code": str})


def test_metadata_has_the_official_columns_and_a_row_per_file(root, metadata):
    assert list(metadata) == ["ECG_ID", "AHA_Code", "Patient_ID", "Age", "Sex", "N", "Date"]
    assert metadata["ECG_ID"].tolist() == [f"A{i:05d}" for i in range(1, RECORDS + 1)]
    assert sorted(path.stem for path in (root / "records").iterdir()) == metadata["ECG_ID"].tolist()
    assert metadata["Sex"].isin(["M", "F"]).all() and metadata["Age"].between(18, 95).all()
    assert pd.to_datetime(metadata["Date"], format="%Y-%m-%d").between("2019-08-01", "2020-08-31").all()


def test_files_hold_twelve_leads_in_half_precision_that_agree(root, metadata):
    for record, samples in zip(metadata["ECG_ID"], metadata["N"]):
        with h5py.File(root / f"records/{record}.h5") as file:
            assert list(file) == ["ecg"] and file["ecg"].dtype == np.float16
            data = file["ecg"][:].astype(np.float64)
        assert data.shape == (12, samples) and 5000 <= samples <= 28000 and np.isfinite(data).all()
        rounding = 0.002 * np.abs(data[:6]).max() + 1e-4
        assert np.abs(data[2] - (data[1] - data[0])).max() < rounding
        assert np.abs(data[3] + (data[0] + data[1]) / 2).max() < rounding
    assert (metadata["N"] == 5000).mean() > 0.5 and (metadata["N"] > 5000).any()


def test_every_code_is_explained(root, metadata):
    known = set(pd.read_csv(root / "code.csv", dtype=str)["Code"])
    assert set(metadata["AHA_Code"].str.split("[;+]").explode()) <= known


def test_some_fibrillate_and_somebody_comes_back(metadata):
    fibrillating = metadata["AHA_Code"].str.split("[;+]").map(lambda codes: "50" in codes)
    assert fibrillating.sum() == 4
    assert metadata["Patient_ID"].nunique() < RECORDS
    assert (metadata.groupby("Patient_ID")["Sex"].nunique() == 1).all()


def test_the_share_of_fibrillation_is_that_of_the_release():
    people = sph._draw_records(np.random.default_rng(0), 20_000)
    assert people["fibrillating"].mean() == pytest.approx(0.035)
    assert 0.95 < people["Patient_ID"].nunique() / len(people) < 0.96


def test_the_loader_reads_it_all(root, tmp_path):
    recordings = reader.load(root, cache=tmp_path)
    assert len(recordings) == RECORDS and recordings.excluded.empty and recordings.channels == heart.LEADS
    assert recordings.table["AFIB"].sum() == 4 and not recordings.table["flat_leads"].any()


def test_fibrillating_beats_are_irregular(root, tmp_path):
    recordings = reader.load(root, leads=["II"], cache=tmp_path)
    chosen = recordings.table["AFIB"] | (recordings.table["codes"] == "1")
    recordings = recordings.take(chosen.to_numpy())
    table = recordings.table
    found = rhythm_features(recordings.physical()[:, 0], 500, table["samples"])["RR_mad"].to_numpy()
    assert np.median(found[table["AFIB"]]) > 3 * np.median(found[~table["AFIB"]])


def test_the_same_seed_gives_the_same_recordings_and_another_seed_others(tmp_path):
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        sph.write(tmp_path / name, 3, seed)
    one, again, other = (contents(tmp_path / name) for name in "abc")
    assert one == again
    assert (
        one["records/A00001.h5"] != other["records/A00001.h5"]
        and one["metadata.csv"] != other["metadata.csv"]
    )


def contents(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_real_data_are_never_overwritten_and_the_mark_says_what_was_asked(root):
    assert json.loads((root / "SIMULATED.json").read_text())["records"] == RECORDS
    with pytest.raises(FileExistsError, match="not empty"):
        sph.write(root, 3)


def test_at_least_one_record(tmp_path):
    with pytest.raises(ValueError, match="at least 1"):
        sph.write(tmp_path / "none", 0)
    sph.write(tmp_path / "one", 1)
    assert len(pd.read_csv(tmp_path / "one/metadata.csv")) == 1
