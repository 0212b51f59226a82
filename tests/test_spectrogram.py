import numpy as np
import pytest
import torch
from scipy import signal

from biosignals.signals import spectrogram

RATE = 100
TONE = torch.from_numpy(np.cos(2 * np.pi * 12.5 * np.arange(400) / RATE))


def test_a_column_is_the_spectrum_of_the_window_around_its_middle():
    x = np.random.default_rng(0).normal(size=400)
    found = spectrogram.spectrogram(torch.from_numpy(x), window=32, rows=64, bins=40)
    start = 205 - 16  # the middle of cell 20, at 204.5, to the nearest even sample 204
    frame = x[start - 1 : start + 31] * signal.windows.hann(32)
    np.testing.assert_allclose(found[:, 20], np.abs(np.fft.rfft(frame, 128))[:64], rtol=1e-4, atol=1e-4)


def test_a_tone_lies_in_the_row_of_its_frequency():
    assert spectrogram.spectrogram(TONE, 64, 64, 50)[:, 25].argmax() == 16  # 12.5 of 50 Hz


def test_a_tone_lies_where_the_mel_scale_has_it():
    found = spectrogram.mel_spectrogram(TONE, 64, 20, 50, RATE)
    place = spectrogram.mel(12.5) / spectrogram.mel(50) * 21 - 1
    assert found.shape == (20, 50) and abs(found[:, 25].argmax() - place) <= 1


def test_mel_is_nearly_a_straight_line_below_50_hz():
    hertz = np.linspace(0, 50, 101)
    line = hertz * spectrogram.mel(50) / 50
    assert np.abs(spectrogram.mel(hertz) - line).max() < 0.02 * line.max()
    assert spectrogram.mel(1000) == pytest.approx(1000, abs=1)


def test_mel_filters_sum_to_one_and_need_frequencies():
    np.testing.assert_allclose(spectrogram.mel_filters(16, 64, RATE).sum(1), 1, rtol=1e-5)
    with pytest.raises(ValueError, match="too few"):
        spectrogram.mel_filters(64, 16, RATE)


@pytest.mark.parametrize("window", [3, 200])
def test_windows_that_do_not_fit_are_refused(window):
    with pytest.raises(ValueError, match="a window has 4 to 128 samples"):
        spectrogram.spectrogram(TONE, window, 64, 40)
