from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from biosignals.data.recordings import Recordings, concatenate


@pytest.fixture
def recordings(tmp_path):
    counts = np.arange(6 * 3 * 10, dtype=np.int16).reshape(6, 3, 10)
    counts.tofile(tmp_path / "signals")
    signals = np.memmap(tmp_path / "signals", dtype=np.int16, mode="r", shape=counts.shape)
    table = pd.DataFrame({"subject": range(6), "samples": 10}, index=pd.Index(list("abcdef"), name="record"))
    return Recordings("ptb-xl", signals, 0.001, "mV", 100.0, ("I", "II", "V1"), table)


def test_physical_is_counts_times_scale_in_float32(recordings):
    physical = recordings.physical()
    assert physical.dtype == np.float32
    assert np.allclose(physical, np.asarray(recordings.signals) / 1000)
    assert np.array_equal(recordings.physical([4, 1]), physical[[4, 1]])


@pytest.mark.parametrize(
    "rows, names",
    [
        ([4, 1], "eb"),
        ([-1], "f"),
        (np.array([True, False, True, False, False, True]), "acf"),
        (slice(2, 4), None),
        ([], ""),
        (np.zeros(6, dtype=bool), ""),
        (3, "d"),
    ],
)
def test_take_keeps_signals_and_table_together(recordings, rows, names):
    if names is None:
        rows, names = np.arange(6)[rows], "cd"
    taken = recordings.take(rows)
    assert "".join(taken.table.index) == names and len(taken) == len(names)
    assert np.array_equal(taken.signals, recordings.signals[["abcdef".index(name) for name in names]])


def test_neighbouring_rows_stay_a_view_of_the_file(recordings):
    taken = recordings.take([2, 3, 4]).lead("I", "II")
    assert isinstance(taken.signals, np.memmap) and np.shares_memory(taken.signals, recordings.signals)


@pytest.mark.parametrize("rows", [[6], [-7], [True, False], [0.5], [[1, 2]]])
def test_rows_that_do_not_fit_are_refused(recordings, rows):
    with pytest.raises(IndexError, match="recordings|rows"):
        recordings.take(rows)


def test_lead_picks_channels_by_name_in_the_order_given(recordings):
    picked = recordings.lead("V1", "I")
    assert picked.channels == ("V1", "I")
    assert np.array_equal(picked.signals, recordings.signals[:, [2, 0]])


def test_a_missing_lead_is_named_with_those_there(recordings):
    with pytest.raises(KeyError, match="no channel V6 .* I, II, V1"):
        recordings.lead("I", "V6")


def test_signals_must_match_table_and_channels(recordings):
    with pytest.raises(ValueError, match="do not match"):
        Recordings("x", recordings.signals, 1.0, "mV", 100.0, ("I",), recordings.table)
    with pytest.raises(ValueError, match="channels, samples"):
        Recordings("x", recordings.signals[0], 1.0, "mV", 100.0, ("I",), recordings.table)


def of_another_set(recordings):
    subjects = pd.array(["x", pd.NA, "y", "y", "z", "z"], dtype="string")
    table = recordings.table.assign(subject=subjects, label="N")
    return replace(recordings, dataset="cinc2017", table=table, kind="excerpt")


def test_sets_become_one_in_which_nobody_is_mistaken_for_another(recordings):
    both = concatenate([replace(recordings, kind="real"), of_another_set(recordings)])
    assert (both.dataset, both.kind, len(both)) == ("ptb-xl+cinc2017", "excerpt", 12)
    assert list(both.table.index[[0, 6]]) == ["ptb-xl:a", "cinc2017:a"]
    assert list(both.table.subject[[0, 6, 7, 8]]) == ["ptb-xl:0", "cinc2017:x", "cinc2017:b", "cinc2017:y"]
    assert set(both.table) == {"subject", "samples", "dataset"}
    assert np.array_equal(both.signals[6:], recordings.signals)


def test_sets_that_do_not_fit_are_refused(recordings):
    other = of_another_set(recordings)
    with pytest.raises(ValueError, match="sampling_rate must be the same.*cinc2017: 50"):
        concatenate([recordings, replace(other, sampling_rate=50.0)])
    with pytest.raises(ValueError, match="one length"):
        concatenate([recordings, replace(other, signals=other.signals[:, :, :5])])
    with pytest.raises(ValueError, match="different sets"):
        concatenate([recordings, recordings])
