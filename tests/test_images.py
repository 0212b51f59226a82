import numpy as np
import pytest
import torch

from biosignals.signals.images import record_image


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
