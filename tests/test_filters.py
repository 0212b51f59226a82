import numpy as np
import pytest
import pywt
from scipy import signal

from biosignals.signals.filters import (
    bandpass,
    delay,
    denoise_wavelet,
    fir_bandpass,
    remove_baseline,
    resample,
)

TIME = np.arange(5000) / 500
MIDDLE = slice(1000, 4000)


def sine(frequency, time=TIME):
    return np.sin(2 * np.pi * frequency * time)


def rms(x):
    return np.sqrt(np.mean(np.square(x)))


@pytest.mark.parametrize("zero_phase", [True, False])
def test_bandpass_keeps_its_band_and_removes_the_rest(zero_phase):
    kept = bandpass(sine(10), 1, 40, 500, order=4, zero_phase=zero_phase)
    assert rms(kept[MIDDLE]) == pytest.approx(rms(sine(10)), rel=0.02)
    for frequency in (0.1, 120):
        assert rms(bandpass(sine(frequency), 1, 40, 500, order=4, zero_phase=zero_phase)[MIDDLE]) < 0.02


def test_the_finite_filter_keeps_its_band_in_place_and_removes_the_rest():
    kept = fir_bandpass(sine(10) + 3, 0.5, 40, 500)
    np.testing.assert_allclose(kept[MIDDLE], sine(10)[MIDDLE], atol=0.01)
    for frequency in (0.05, 120):
        assert rms(fir_bandpass(sine(frequency), 0.5, 40, 500)[MIDDLE]) < 0.02


def test_only_the_zero_phase_filter_leaves_a_wave_in_its_place():
    delayed = bandpass(sine(10), None, 20, 500, zero_phase=False)
    in_place = bandpass(sine(10), None, 20, 500, zero_phase=True)
    assert np.corrcoef(in_place[MIDDLE], sine(10)[MIDDLE])[0, 1] > 0.999
    assert np.corrcoef(delayed[MIDDLE], sine(10)[MIDDLE])[0, 1] < 0.9


def test_the_causal_filter_does_not_look_ahead():
    x = np.zeros(1000)
    x[500] = 1
    assert (bandpass(x, 1, 40, 500, zero_phase=False)[:500] == 0).all()


def test_a_constant_passes_a_causal_highpass_without_a_step_at_the_start():
    assert np.abs(bandpass(np.full(1000, 3.0), 0.5, None, 500, zero_phase=False)).max() < 1e-9


def test_remove_baseline_takes_wander_and_leaves_spikes():
    wander, spikes = sine(0.2), np.zeros_like(TIME)
    spikes[::400] = 1
    clean = remove_baseline(wander + spikes, 500)
    assert rms((clean - spikes)[MIDDLE]) < 0.1 * rms(wander)
    assert clean[::400][2:-2] == pytest.approx(np.ones(len(TIME[::400]) - 4), abs=0.15)


def test_wavelet_denoising_brings_a_real_ecg_closer_to_itself():
    ecg = pywt.data.ecg() / 200.0
    noisy = ecg + np.random.default_rng(0).normal(0, 0.1, len(ecg))
    clean = denoise_wavelet(noisy)
    assert rms(clean - ecg) < 0.75 * rms(noisy - ecg)
    np.testing.assert_allclose(denoise_wavelet(noisy, strength=0), noisy, atol=1e-9)


@pytest.mark.parametrize("length", [999, 1000, 1001])
@pytest.mark.parametrize("change", [
    lambda x: bandpass(x, 0.5, 40, 100), lambda x: bandpass(x, 0.5, 40, 100, zero_phase=False),
    lambda x: remove_baseline(x, 100), denoise_wavelet, lambda x: fir_bandpass(x, 0.5, 40, 100),
])  # fmt: skip
def test_every_signal_is_filtered_by_itself_and_keeps_its_shape(change, length):
    x = np.random.default_rng(0).normal(size=(2, 3, length)).astype(np.float32)
    together = change(x)
    assert together.shape == x.shape and together.dtype == np.float32
    np.testing.assert_allclose(together[1, 2], change(x[1, 2]), atol=1e-5)


def test_resample_keeps_slow_waves_and_does_not_fold_fast_ones():
    slow, fast = resample(sine(5), 500, 100), resample(sine(90), 500, 100)
    np.testing.assert_allclose(slow[100:-100], sine(5)[::5][100:-100], atol=0.01)
    assert rms(fast[100:-100]) < 0.01 < rms(sine(90)[::5])


@pytest.mark.parametrize(("old", "new"), [(500, 100), (300, 125), (100, 500), (360, 100)])
def test_resample_agrees_with_the_fourier_method(old, new):
    time = np.arange(4 * old) / old
    expected = signal.resample(sine(8, time), 4 * new)
    assert resample(sine(8, time), old, new)[new:-new] == pytest.approx(expected[new:-new], abs=0.02)


@pytest.mark.parametrize("seconds", [-0.002, 0.0, 0.00125, 0.01])
def test_delay_is_found_to_a_fraction_of_a_sample(seconds):
    rng = np.random.default_rng(0)
    tones = [(rng.normal(), frequency, rng.uniform(0, 6)) for frequency in np.arange(1, 35, 0.7)]
    x, y = (
        sum(a * np.sin(2 * np.pi * f * (TIME - lag) + phase) for a, f, phase in tones) for lag in (0, seconds)
    )
    assert delay(x[::5], y[::5], 100) == pytest.approx(seconds, abs=1e-4)


@pytest.mark.parametrize("wrong", [
    lambda: bandpass(TIME, 1, 60, 100), lambda: bandpass(TIME, 0, 10, 100),
    lambda: bandpass(TIME, 10, 1, 100), lambda: bandpass(TIME, None, None, 100),
    lambda: resample(TIME, 100, 33.3), lambda: fir_bandpass(TIME, 1, 60, 100),
])  # fmt: skip
def test_impossible_requests_are_refused(wrong):
    with pytest.raises(ValueError):
        wrong()
