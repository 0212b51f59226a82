"""PTB-XL and CinC 2017 as one set of rhythms."""

import numpy as np
import pandas as pd
import pytest

import tiny_sets
from biosignals.data import cinc2017, ptbxl, rhythm_classes


@pytest.fixture
def sets(tmp_path):
    tiny_sets.write_ptbxl(tmp_path / "ptb-xl", records=4, sampling_rate=500)
    tiny_sets.write_cinc2017(tmp_path / "cinc2017", lengths=(3000, 2700, 15_000, 3000))
    lead = ptbxl.load(tmp_path / "ptb-xl", sampling_rate=500, leads=["I"], cache=tmp_path / "cache")
    return lead, cinc2017.load(tmp_path / "cinc2017", cache=tmp_path / "cache")


def test_each_window_has_the_class_of_its_recording(sets):
    joined, classes = rhythm_classes.join(*sets)
    found = pd.Series(np.array(rhythm_classes.CLASSES)[classes.argmax(axis=1)])
    of_ptbxl = found[(joined.table.dataset == "ptb-xl").to_numpy()]
    assert (classes.sum(axis=1) == 1).all() and joined.sampling_rate == 100
    assert of_ptbxl.tolist() == ["N", "A", "O", "N"]  # the third says nothing of its rhythm
    of_cinc = found[(joined.table.dataset == "cinc2017").to_numpy()].groupby(
        joined.table.recording[(joined.table.dataset == "cinc2017").to_numpy()].to_numpy()
    )
    assert of_cinc.first().to_dict() == {"A00001": "N", "A00002": "A", "A00003": "O", "A00004": "~"}
    assert of_cinc.size()["A00003"] == 3  # 50 s: windows from 0, 15 and 20 s


def test_a_recording_of_ten_seconds_is_repeated_until_it_fills_a_window(sets):
    found = rhythm_classes.windows(sets[0])
    assert found.signals.shape == (4, 1, 3000)
    assert np.array_equal(found.signals[..., :1000], found.signals[..., 1000:2000])


@pytest.mark.parametrize("further", ["AFLT", "PVC", "SBRAD"])
def test_sinus_rhythm_with_another_rhythm_is_not_normal(further):
    table = pd.DataFrame({"scp_codes": [f"{{'SR': 0.0, '{further}': 0.0}}", "{'SR': 0.0, 'NORM': 80.0}"]})
    assert rhythm_classes.of_ptbxl(table).tolist() == ["O", "N"]


def test_whole_recordings_keep_their_own_lengths(sets):
    found = rhythm_classes.whole(*sets)
    assert found.signals.shape == (8, 1, 5000) and found.table.samples.max() == 5000
    assert found.table.loc["ptb-xl:1", "samples"] == 1000 and not found.signals[0, :, 1000:].any()
    joined, _ = rhythm_classes.join(*sets)
    assert np.array_equal(found.signals[0, :, :1000], joined.signals[0, :, :1000])
