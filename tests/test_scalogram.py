from math import pi, sqrt

import numpy as np
import pytest
import pywt
import torch

from biosignals.signals import scalogram

WAVELETS = ["cmor1.5-1.0", "cmor1.0-0.5", "cgau1", "mexh"]


def wavelet_in_time(name, t):
    """The wavelets by their formulas in time, as PyWavelets' documentation has them."""
    if name.startswith("cmor"):
        bandwidth, centre = map(float, name[4:].split("-"))
        return np.exp(-(t**2) / bandwidth + 2j * pi * centre * t) / sqrt(pi * bandwidth)
    if name == "cgau1":
        return -(1j + 2 * t) * np.exp(-1j * t - t**2) / sqrt(2 * sqrt(pi / 2))
    return 2 / sqrt(3 * sqrt(pi)) * (1 - t**2) * np.exp(-(t**2) / 2)


def transform_in_time(x, scales, wavelet, moments, sample=1.0):
    """The transform's integral as a sum over x, whose samples are `sample` apart, at any moments."""
    t = np.arange(len(x)) * sample
    return np.stack([
        (x * wavelet_in_time(wavelet, (t - moments[:, None]) / scale).conj()).sum(1) * sample / sqrt(scale)
        for scale in scales
    ])  # fmt: skip


def safe_scales(largest):
    """Scales at which no spectrum reaches half the sampling rate, so that sums over samples are integrals."""
    return np.geomspace(4, largest, 6)


def distance(found, expected):
    """Largest difference, relative to the largest magnitude."""
    return np.abs(np.asarray(found) - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize("samples, bins", [(1000, 128), (5000, 128), (68, 68), (97, 32), (50, 70), (300, 1)])
@pytest.mark.parametrize("wavelet", WAVELETS)
def test_any_signal_has_the_transform_that_the_formula_gives_borders_included(wavelet, samples, bins):
    x = np.random.default_rng(0).normal(size=samples)
    scales = safe_scales(min(samples * pywt.central_frequency(wavelet), 200))
    found = scalogram.scalogram(torch.tensor(x), scales, wavelet, bins)
    expected = np.abs(transform_in_time(x, scales, wavelet, scalogram.times(samples, bins)))
    assert found.shape == (6, bins) and found.dtype == torch.float32
    assert distance(found, expected) < 1e-4


def test_a_sinusoid_has_its_analytic_transform_away_from_the_borders():
    rate, hertz, scales = 100, 7.3, scalogram.scales_for(np.geomspace(4, 20, 9), "cmor1.5-1.0", 100)
    moments = scalogram.times(1000, 128)
    wave = np.cos(2 * pi * hertz * np.arange(1000) / rate)
    response = np.exp(-1.5 / 4 * (2 * pi * (scales * hertz / rate - 1)) ** 2)
    found = scalogram.scalogram(torch.tensor(wave), scales, "cmor1.5-1.0", 128)
    inside = (moments > 150) & (moments < 850)
    assert distance(found[:, inside], (np.sqrt(scales) * response / 2)[:, None]) < 1e-3


def test_a_gaussian_has_its_analytic_transform_by_the_mexican_hat():
    # Both are Gaussians up to derivatives, so that their product's integral is one of variance 9^2 + scale^2.
    width, middle, moments = 9.0, 140.3, scalogram.times(300, 75)
    scales = np.geomspace(4, 40, 7)
    x = np.exp(-((np.arange(300) - middle) ** 2) / 2 / width**2)
    variance = width**2 + scales[:, None] ** 2
    away = (moments - middle) ** 2 / variance
    size = 2 / sqrt(3 * sqrt(pi)) * sqrt(2 * pi) * width * scales[:, None] ** 2.5 / variance**1.5
    found = scalogram.scalogram(torch.tensor(x), scales, "mexh", 75)
    assert distance(found, np.abs(size * (1 - away) * np.exp(-away / 2))) < 1e-3


def chirp(t):
    """A Gaussian burst (t in samples) whose frequency rises from .03 to .13 a sample."""
    return np.exp(-(((t - 256) / 90) ** 2)) * np.cos(2 * pi * (0.03 * t + 0.1 * t**2 / 2 / 512))


@pytest.mark.parametrize("wavelet", WAVELETS)
def test_a_chirps_transform_is_its_integral_and_pywts_is_further_away(wavelet):
    scales, moments = safe_scales(40), np.arange(512.0)
    expected = transform_in_time(chirp(np.arange(0, 512, 0.125)), scales, wavelet, moments, sample=0.125)
    expected, samples = np.abs(expected), chirp(moments)
    found = scalogram.scalogram(torch.tensor(samples), scales, wavelet)
    ours = distance(found, expected)
    theirs = np.abs(pywt.cwt(samples, scales, wavelet)[0])
    discretisation = distance(theirs, expected)
    assert ours < 1e-3
    # PyWavelets takes the wavelet's integral from a table, and places small scales up to half a sample off.
    assert 1e-3 < discretisation < 0.5
    assert distance(found, theirs) < 1.5 * discretisation


def test_pywts_magnitudes_of_large_scales_are_ours_when_its_table_is_fine():
    scales = np.geomspace(10, 60, 12)
    samples = chirp(np.arange(512.0))
    theirs = np.abs(pywt.cwt(samples, scales, "cmor1.5-1.0", precision=16)[0])
    assert distance(scalogram.scalogram(torch.tensor(samples), scales, "cmor1.5-1.0"), theirs) < 0.02


@pytest.mark.parametrize("wavelet", WAVELETS)
def test_scales_and_frequencies_are_pywts(wavelet):
    scales = np.geomspace(2, 90, 20)
    hertz = pywt.scale2frequency(wavelet, scales) * 250
    np.testing.assert_allclose(scalogram.scales_for(hertz, wavelet, 250), scales)


def test_a_batch_larger_than_a_chunk_equals_its_signals_one_by_one(monkeypatch):
    x = torch.randn(5, 3, 400, generator=torch.manual_seed(0))
    scales = np.geomspace(3, 80, 16)
    monkeypatch.setattr(scalogram, "CHUNK_BYTES", 100_000)
    together = scalogram.scalogram(x, scales, "cmor1.5-1.0", 50)
    assert together.shape == (5, 3, 16, 50)
    torch.testing.assert_close(together[4, 1], scalogram.scalogram(x[4, 1], scales, "cmor1.5-1.0", 50))
    assert scalogram.scalogram(x[:0], scales, "cmor1.5-1.0", 50).shape == (0, 3, 16, 50)


def test_scales_in_any_order_give_rows_in_that_order():
    x, scales = torch.randn(400, generator=torch.manual_seed(0)), np.array([50.0, 3.0, 20.0])
    found = scalogram.scalogram(x, scales, "mexh", 40)
    torch.testing.assert_close(found[[1, 2, 0]], scalogram.scalogram(x, np.sort(scales), "mexh", 40))


def test_columns_are_the_middles_of_equal_cells():
    np.testing.assert_allclose(scalogram.times(68, 68), np.arange(68))
    np.testing.assert_allclose(scalogram.times(10, 2), [2.0, 7.0])
    x = torch.zeros(1000)
    x[700] = 1
    strongest = scalogram.scalogram(x, [2.0], "mexh", 500).argmax()
    assert abs(scalogram.times(1000, 500)[strongest] - 700) <= 1


GOOD = torch.randn(2, 200, generator=torch.manual_seed(0))


def changed(row, value):
    x = GOOD.clone()
    x[row] = value
    return x


@pytest.mark.parametrize(
    "signals, scales, wavelet, bins, message",
    [
        (GOOD, [10], "morl", 20, "unknown wavelet 'morl'.*mexh"),
        (GOOD, [10], "gaus9", 20, "unknown wavelet"),
        (GOOD, [10], "cmor0-1", 20, "unknown wavelet"),
        (GOOD, [], "mexh", 20, "at least one"),
        (GOOD, [10, -1], "mexh", 20, "above zero"),
        (GOOD, [10, np.nan], "mexh", 20, "finite"),
        (GOOD, [1.9], "cmor1.5-1.0", 20, "above half the sampling rate; the smallest is 2"),
        (
            GOOD[:, :68],
            [69],
            "cmor1.5-1.0",
            20,
            "68 samples are too short for scale 69 .* the largest scale is 68",
        ),
        (GOOD, [10], "mexh", 0, "at least one time bin"),
        (changed(1, np.nan), [10], "mexh", 20, "1 of 2 signals hold NaN"),
        (changed(0, np.inf), [10], "mexh", 20, "1 of 2 signals hold NaN or infinity"),
        (changed(0, 3.0), [10], "mexh", 20, "1 of 2 signals never change"),
    ],
)
def test_what_cannot_be_transformed_is_refused_clearly(signals, scales, wavelet, bins, message):
    with pytest.raises(ValueError, match=message):
        scalogram.scalogram(signals, scales, wavelet, bins)


def test_the_bounds_themselves_are_accepted():
    scales = scalogram.scales_for([50, 100 / 200], "cmor1.5-1.0", 100)
    assert scalogram.scalogram(GOOD, scales, "cmor1.5-1.0", 20).isfinite().all()


@pytest.mark.parametrize("wavelet", ["cmor1.5-1.0", "cgau1"])
def test_coefficients_have_the_phase_of_the_formula(wavelet):
    x = np.random.default_rng(0).normal(size=300)
    found = scalogram.coefficients(torch.tensor(x), safe_scales(60), wavelet, 75)
    expected = transform_in_time(x, safe_scales(60), wavelet, scalogram.times(300, 75))
    assert found.dtype == torch.complex64 and distance(found, expected) < 1e-4
    with pytest.raises(ValueError, match="mexh is a real wavelet"):
        scalogram.coefficients(torch.tensor(x), safe_scales(60), "mexh")
