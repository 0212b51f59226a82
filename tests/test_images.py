import numpy as np
import pytest
import torch

from biosignals.signals.images import paper_image, record_image, scan


@pytest.mark.parametrize("shape", [(1000, 12), (100, 300), (182, 256)])
def test_a_picture_is_the_record_resized_bilinearly(shape):
    samples, leads = shape
    records = np.random.default_rng(0).normal(3, 2, (5, leads, samples)).astype(np.float32)
    found = record_image(records, 182, 256)
    assert found.shape == (5, 182, 256) and found.dtype == np.float32
    matrices = torch.from_numpy(records.swapaxes(1, 2))[:, None]
    resized = torch.nn.functional.interpolate(matrices, (182, 256), mode="bilinear", antialias=True)
    expected = (resized - resized.mean((2, 3), keepdim=True)) / resized.std(
        (2, 3), keepdim=True, correction=0
    )
    np.testing.assert_allclose(found, expected[:, 0].numpy(), atol=1e-4)


def test_each_picture_has_mean_0_and_deviation_1_and_a_flat_one_is_zero():
    records = np.random.default_rng(0).normal(3, 2, (4, 12, 500)) * np.array([1, 0.01, 100, 0])[:, None, None]
    found = record_image(records, 182, 256)
    np.testing.assert_allclose(found.mean((1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(found.std((1, 2)), [1, 1, 1, 0], atol=1e-4)


def test_time_runs_down_and_leads_run_across():
    records = np.zeros((1, 12, 1000), np.float32)
    records[0, 3, 500:600] = 1
    row, column = np.unravel_index(record_image(records, 182, 256)[0].argmax(), (182, 256))
    assert 500 <= (row + 0.5) * 1000 / 182 <= 600 and 3 <= (column + 0.5) * 12 / 256 <= 4


def page(x, **size):
    return paper_image(x.astype(np.float32), 100, **{"height": 96, "width": 192} | size)


def test_a_page_has_twelve_traces_of_a_quarter_of_the_recording_each():
    records = np.zeros((1, 12, 1000))
    records[0, 4, 250:500:2] = 1  # aVL, the second of the second column, in its own quarter
    records[0, 4, 600:] = 5  # which its quarter does not show
    empty = page(np.zeros((1, 12, 1000)))[0]
    rows, columns = np.where(page(records)[0] > empty + 0.1)
    assert 32 <= rows.min() and rows.max() < 64 and 48 <= columns.min() and columns.max() < 96


def test_ink_stands_where_the_voltage_is_and_squares_behind():
    records = np.zeros((1, 12, 1000))
    records[0, 0, 100:250] = 0.75  # a step around the median: 0.75 mV are 8 of 32 rows
    drawn = page(records)[0, :32, :48]
    before, after = drawn[:, 5].argmax(), drawn[:, 40].argmax()
    assert before - after == 8 and drawn.max() == 1
    paper = page(np.zeros((1, 12, 1000)))[0]
    assert set(np.unique(paper[:10].round(2))) <= {0, np.float32(0.2)}


def test_a_page_shows_twelve_leads():
    with pytest.raises(ValueError, match="twelve leads, not 3"):
        page(np.zeros((1, 3, 1000)))


def test_a_scan_is_the_page_with_other_noise_for_each_and_the_same_again():
    pages = page(np.random.default_rng(0).normal(0, 0.3, (2, 12, 1000)).repeat(2, axis=0)[:2])
    found = scan(pages)
    assert found.shape == pages.shape and found.dtype == np.float32
    assert found.min() >= 0 and found.max() <= 1
    assert np.array_equal(found, scan(pages)) and not np.array_equal(found, scan(pages, seed=1))
    assert not np.array_equal(found[0], found[1])
    assert np.corrcoef(found.ravel(), pages.ravel())[0, 1] > 0.2
