import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biosignals.signals.windows import crops, mean_over_time, standardise, windows


@given(samples=st.integers(1, 60), length=st.integers(1, 60), step=st.integers(1, 60))
def test_windows_are_the_pieces_they_should_be(samples, length, step):
    x = np.arange(2 * 3 * samples).reshape(2, 3, samples)
    if length > samples:
        with pytest.raises(ValueError, match="do not fit"):
            windows(x, length, step)
        return
    cut = windows(x, length, step)
    starts = range(0, samples - length + 1, step)
    assert cut.shape == (2, len(starts), 3, length)
    for i, start in enumerate(starts):
        np.testing.assert_array_equal(cut[:, i], x[:, :, start : start + length])


def test_windows_take_no_memory():
    x = np.zeros((10, 12, 1000), np.int16)
    assert np.shares_memory(windows(x, 250, 125), x)


def test_crops_start_where_they_are_told():
    x = np.arange(2 * 3 * 20).reshape(2, 3, 20)
    cut = crops(x, 5, np.array([0, 15]))
    np.testing.assert_array_equal(cut[0], x[0, :, :5])
    np.testing.assert_array_equal(cut[1], x[1, :, 15:])
    assert not np.shares_memory(cut, x)


@pytest.mark.parametrize("start", [-1, 16])
def test_crops_outside_of_a_recording_are_refused(start):
    with pytest.raises(IndexError, match="do not fit"):
        crops(np.zeros((2, 3, 20)), 5, np.array([0, start]))


@pytest.mark.parametrize("axis", [-1, (-2, -1)])
def test_standardise_gives_mean_zero_and_deviation_one(axis):
    x = np.random.default_rng(0).normal(5, 3, (4, 2, 500)) * np.array([1, 10])[:, None]
    scaled = standardise(x, axis)
    np.testing.assert_allclose(scaled.mean(axis), 0, atol=1e-6)
    np.testing.assert_allclose(scaled.std(axis), 1, atol=1e-6)
    assert scaled.dtype == np.float32


def test_a_record_scaled_as_a_whole_keeps_its_leads_in_proportion():
    x = np.random.default_rng(0).normal(size=(1, 2, 500)) * np.array([1, 10])[:, None]
    by_record, by_lead = standardise(x, (-2, -1)), standardise(x)
    assert by_record[0, 1].std() / by_record[0, 0].std() == pytest.approx(10, rel=0.1)
    assert by_lead[0, 1].std() / by_lead[0, 0].std() == pytest.approx(1, rel=0.01)


def test_a_flat_lead_becomes_zero():
    assert (standardise(np.full((1, 1, 100), 7.0)) == 0).all()


def test_half_precision_does_not_overflow():
    x = np.full((1, 1, 70_000), 2.0, np.float16)
    x[..., ::2] = 0
    assert np.isfinite(standardise(x)).all()
    assert standardise(x).std() == pytest.approx(1, rel=1e-3)


def test_overlapping_windows_give_their_mean_at_each_instant():
    values = np.array([[0.0], [1.0], [np.nan], [3.0]])
    edges, means = mean_over_time(np.array([0.0, 1.0, 2.0, 6.0]), values, 2.0, end=7.0)
    np.testing.assert_array_equal(edges, [0, 1, 2, 3, 4, 6, 7])
    np.testing.assert_array_equal(means[:, 0], [0, 0.5, 1, np.nan, np.nan, 3])


def test_times_that_differ_by_rounding_are_one():
    starts = np.arange(1000) * 0.1
    edges, means = mean_over_time(starts, np.ones((1000, 2)), 0.2)
    assert len(edges) == 1002 and (means == 1).all()
