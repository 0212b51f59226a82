"""Filters for signals of shape (..., samples): each takes something away, wanted or not."""

import math
from functools import lru_cache

import numpy as np
import pywt
import scipy


def bandpass(
    x: np.ndarray,
    low: float | None,
    high: float | None,
    sampling_rate: float,
    order: int = 2,
    zero_phase: bool = True,
) -> np.ndarray:
    """Keep what lies between `low` and `high` Hz with a Butterworth filter; None leaves that side open.

    x: (..., samples), returned in its shape and float dtype. `zero_phase` filters forwards and backwards: no
    delay, twice the order, but not causal. The causal filter starts as if the first value had always been
    there. Raises ValueError for edges that the sampling rate cannot hold.
    """
    edges = _edges(low, high, sampling_rate)
    kind = "bandpass" if len(edges) == 2 else "lowpass" if low is None else "highpass"
    return apply_sections(_butterworth(order, tuple(edges), kind, sampling_rate), x, zero_phase)


@lru_cache(1024)
def _butterworth(order: int, edges: tuple[float, ...], kind: str, sampling_rate: float) -> np.ndarray:
    """Second-order sections (n, 6) of a Butterworth filter; the design takes longer than to filter a beat."""
    edge = edges if len(edges) == 2 else edges[0]
    return scipy.signal.butter(order, edge, kind, fs=sampling_rate, output="sos")


def fir_bandpass(x: np.ndarray, low: float, high: float, sampling_rate: float) -> np.ndarray:
    """Keep what lies between `low` and `high` Hz with a finite impulse response of 3.3 / `low` seconds
    (Hamming window), without delay.

    x: (..., samples), returned in its shape and float dtype; beyond its ends it is mirrored. Raises
    ValueError for edges that the sampling rate cannot hold.
    """
    edges, x = _edges(low, high, sampling_rate), np.asarray(x)
    half = round(1.65 * sampling_rate / low)
    taps = scipy.signal.firwin(2 * half + 1, edges, pass_zero=False, fs=sampling_rate)
    ends = [(0, 0)] * (x.ndim - 1) + [(half, half)]
    wide = np.pad(x, ends, mode="reflect")
    filtered = scipy.signal.oaconvolve(wide, taps.reshape(*[1] * (x.ndim - 1), -1), mode="valid", axes=-1)
    return filtered.astype(x.dtype if x.dtype.kind == "f" else float)


def _edges(low: float | None, high: float | None, sampling_rate: float) -> list[float]:
    """The edges of a band that are given; ValueError where the sampling rate cannot hold them."""
    edges = [edge for edge in (low, high) if edge is not None]
    if not edges or min(edges) <= 0 or max(edges) >= sampling_rate / 2 or edges != sorted(set(edges)):
        raise ValueError(f"band {low} to {high} Hz does not fit between 0 and half of {sampling_rate:g} Hz")
    return edges


def apply_sections(sections: np.ndarray, x: np.ndarray, zero_phase: bool) -> np.ndarray:
    """Second-order sections (n, 6) run over the last axis of x: (..., samples), float32 stays float32."""
    x = np.asarray(x)
    dtype = x.dtype if x.dtype.kind == "f" else float
    if zero_phase:
        return scipy.signal.sosfiltfilt(sections, x, axis=-1).astype(dtype)
    start = scipy.signal.sosfilt_zi(sections)
    start = start.reshape(len(sections), *[1] * (x.ndim - 1), 2) * x[..., :1]
    return scipy.signal.sosfilt(sections, x, axis=-1, zi=start)[0].astype(dtype)


def remove_baseline(x: np.ndarray, sampling_rate: float) -> np.ndarray:
    """Subtract the wander under an ECG: a median over 0.2 s drops the QRS, one over 0.6 s then P and T.

    x: (..., samples), returned in its shape and dtype. After de Chazal et al. (2004).
    """
    baseline = np.asarray(x)
    for width in (0.2, 0.6):
        samples = 2 * round(width * sampling_rate / 2) + 1
        # In one dimension it is ten times faster than in several.
        baseline = np.apply_along_axis(scipy.ndimage.median_filter, -1, baseline, samples, mode="nearest")
    return x - baseline


def denoise_wavelet(x: np.ndarray, strength: float = 1.0) -> np.ndarray:
    """Shrink small wavelet coefficients, which are mostly noise, towards zero and keep the large ones.

    x: (..., samples), returned in its shape and dtype. Four levels of the symlet 8. The noise of each signal
    is read from the median of its finest coefficients, the threshold is `strength` times sigma * sqrt(2 log
    samples), soft (Donoho and Johnstone 1994).
    """
    x = np.asarray(x)
    approximation, *details = pywt.wavedec(x, "sym8", level=4, axis=-1)
    sigma = np.median(np.abs(details[-1]), axis=-1, keepdims=True) / 0.6745
    threshold = strength * sigma * np.sqrt(2 * np.log(x.shape[-1]))
    details = [np.sign(d) * np.maximum(np.abs(d) - threshold, 0) for d in details]
    return pywt.waverec([approximation, *details], "sym8", axis=-1)[..., : x.shape[-1]].astype(x.dtype)


def resample(x: np.ndarray, sampling_rate: float, new_rate: float) -> np.ndarray:
    """Change the sampling rate, with the low-pass filter that keeps higher frequencies from folding back.

    x: (..., samples). Returns (..., ceil(samples * new_rate / sampling_rate)) in its float dtype. Raises
    ValueError for rates that are no whole numbers of Hz.
    """
    if sampling_rate != int(sampling_rate) or new_rate != int(new_rate) or new_rate <= 0:
        raise ValueError(f"rates must be whole numbers of Hz above zero, not {sampling_rate} and {new_rate}")
    common = math.gcd(int(sampling_rate), int(new_rate))
    x = np.asarray(x)
    up, down = int(new_rate) // common, int(sampling_rate) // common
    return scipy.signal.resample_poly(x, up, down, axis=-1, padtype="line").astype(
        x.dtype if x.dtype.kind == "f" else float
    )


def delay(x: np.ndarray, y: np.ndarray, sampling_rate: float) -> float:
    """Seconds by which y follows x: the slope of the phase of their cross-spectrum, 2 to 30 Hz.

    x, y: (..., samples) with the same content; many signals are averaged. Positive when y is later.
    """
    samples = x.shape[-1]
    segment = min(samples, int(4 * sampling_rate))
    frequency, cross = scipy.signal.csd(x, y, sampling_rate, nperseg=segment, axis=-1)
    cross = cross.reshape(-1, len(frequency)).sum(axis=0)
    band = (frequency >= 2) & (frequency <= 30)
    angle, weight = np.unwrap(np.angle(cross[band])), np.abs(cross[band])
    return float(-np.average(angle / frequency[band], weights=weight) / (2 * np.pi))
