"""Scalograms by a continuous wavelet transform that computes only what is kept.

The transform at scale a compares the signal x with a wavelet psi, stretched a times and moved to b:

    W(a, b) = 1 / sqrt(a) * integral of x(t) * conj(psi((t - b) / a)) dt

For each a it is a convolution, so in frequencies a product: the signal's spectrum times sqrt(a) * conj(psi^(a
* w)). Wavelets, their names, scales and signs are those of PyWavelets; their spectra psi^ are known in closed
form.

A picture keeps far fewer times than the signal has samples. Keeping every s-th value of a signal folds its
spectrum: frequencies a whole number of turns per s samples apart become one. We fold before the way back from
frequencies to times, which is then as short as the picture is wide, and multiply only where a wavelet's
spectrum is not zero.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, gcd, log, pi, sqrt

import numpy as np
import pywt
import torch
from scipy.fft import next_fast_len
from torch import Tensor

TOLERANCE = 1e-5  # what of a wavelet, beside its peak, is taken as zero
ROUNDING = 1e-9  # by which a scale made from a frequency may miss a bound
CHUNK_BYTES = 2**23  # of coefficients at a time, however many signals: they stay in a processor's cache
NAMES = "cmorB-C (B the bandwidth, C the centre frequency, as in cmor1.5-1.0), cgau1 and mexh"


def scalogram(signals: Tensor, scales: np.ndarray, wavelet: str, bins: int | None = None) -> Tensor:
    """Magnitude of the wavelet transform of real signals: float32 (..., scales, bins), on their device.

    signals: (..., samples). wavelet: `cmorB-C` (complex Morlet), `cgau1` (first derivative of a complex
    Gaussian) or `mexh` (Mexican hat). scales: (n,), in samples. Times lie in the middle of `bins` equal
    cells, between samples where they fall there, as `times` says; without `bins` each sample has its own.
    Beyond its borders a signal is zero: within a wavelet's length of them coefficients show the border, least
    where the mean was taken away first.

    Equal to the integral for signals without content above half the sampling rate. Raises ValueError for
    unknown wavelets, signals with NaN or infinity or that never change, and scales out of bounds: the
    frequency of the smallest must not pass half the sampling rate, a period of the largest must fit into the
    signal.
    """
    keep = _real_magnitude if _mother(wavelet).real else _complex_magnitude
    return _transformed(signals, scales, wavelet, bins, keep, torch.float32)


def coefficients(signals: Tensor, scales: np.ndarray, wavelet: str, bins: int | None = None) -> Tensor:
    """The wavelet transform itself, magnitude and phase: complex64 (..., scales, bins); else as `scalogram`.

    Raises ValueError as `scalogram`, and for `mexh`, which is real and has no phase.
    """
    if _mother(wavelet).real:
        raise ValueError(f"{wavelet} is a real wavelet, whose coefficients have no phase: take cmor1.5-1.0")
    return _transformed(signals, scales, wavelet, bins, torch.view_as_complex, torch.complex64)


def _transformed(
    signals: Tensor, scales: np.ndarray, wavelet: str, bins: int | None,
    keep: Callable[[Tensor], Tensor], dtype: torch.dtype,
) -> Tensor:  # fmt: skip
    """What `keep` makes of the coefficients (n, scales, bins, real and imaginary part), in chunks."""
    signals = torch.as_tensor(signals, dtype=torch.float32)
    samples, scales = signals.shape[-1], np.atleast_1d(np.asarray(scales, dtype=float))
    bins = samples if bins is None else bins
    _check_scales(scales, wavelet, samples, bins)
    _check_signals(signals)
    plan = _plan(wavelet, tuple(scales.tolist()), samples, bins, signals.device)
    flat = signals.reshape(-1, samples)
    pictures = torch.empty(len(flat), len(scales), bins, dtype=dtype, device=signals.device)
    size = max(CHUNK_BYTES // (8 * len(scales) * plan.wide), 1)
    for start in range(0, len(flat), size):
        spectrum = torch.fft.fft(flat[start : start + size], plan.length) * plan.ramp
        folded = torch.zeros(
            len(spectrum), len(scales), plan.wide, dtype=spectrum.dtype, device=signals.device
        )
        for places, rows, weights in plan.folds:
            folded[:, rows].addcmul_(spectrum[:, None, places], weights)
        kept = torch.view_as_real(torch.fft.ifft(folded))[..., :bins, :]
        pictures[start : start + size] = keep(kept)
    return pictures.reshape(*signals.shape[:-1], len(scales), bins)


def _real_magnitude(kept: Tensor) -> Tensor:
    return kept[..., 0].abs()


def _complex_magnitude(kept: Tensor) -> Tensor:
    """In a third of the time that abs of complex numbers takes on CPUs, which guards overflow."""
    squares = kept.square()
    return (squares[..., 0] + squares[..., 1]).sqrt()


def scales_for(frequencies: np.ndarray, wavelet: str, sampling_rate: float) -> np.ndarray:
    """Scales (n,), in samples, at which a wavelet is centred on `frequencies` (n,), in Hz.

    PyWavelets rounds a wavelet's centre frequency to the inverse of its support, 1/16 for `mexh`. Raises
    ValueError for an unknown wavelet.
    """
    _mother(wavelet)
    return pywt.central_frequency(wavelet) * sampling_rate / np.asarray(frequencies, dtype=float)


def times(samples: int, bins: int) -> np.ndarray:
    """Where a picture's columns lie, in samples from the first: the middles of equal cells, (bins,)."""
    return (np.arange(bins) + 0.5) * samples / bins - 0.5


# Wavelets


@dataclass(frozen=True)
class Mother:
    """A wavelet at scale 1.

    spectrum: its Fourier transform at angular frequencies, conjugated where that is complex.
    band: angular frequencies beyond which the spectrum is zero.
    reach: time on either side of its middle beyond which the wavelet is zero.
    real: whether the wavelet is; its spectrum at negative frequencies is then that at positive ones.
    """

    spectrum: Callable[[Tensor], Tensor]
    band: tuple[float, float]
    reach: float
    real: bool


def _mother(name: str) -> Mother:
    morlet = re.fullmatch(r"cmor(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)", name)
    if morlet and min(map(float, morlet.groups())) > 0:
        return _complex_morlet(*map(float, morlet.groups()))
    if name == "cgau1":
        return _complex_gaussian()
    if name == "mexh":
        return _mexican_hat()
    raise ValueError(f"unknown wavelet {name!r}; known are {NAMES}")


def _complex_morlet(bandwidth: float, centre: float) -> Mother:
    """exp(-t^2 / B) exp(2 pi i C t) / sqrt(pi B)"""
    middle, half = 2 * pi * centre, 2 * sqrt(log(1 / TOLERANCE) / bandwidth)
    return Mother(
        spectrum=lambda w: torch.exp(-bandwidth / 4 * (w - middle) ** 2),
        band=(middle - half, middle + half), reach=sqrt(bandwidth * log(1 / TOLERANCE)), real=False,
    )  # fmt: skip


def _complex_gaussian() -> Mother:
    """The derivative of exp(-i t) exp(-t^2), scaled to energy 1."""
    size = sqrt(pi) / sqrt(2 * sqrt(pi / 2))
    return Mother(
        spectrum=lambda w: -1j * size * w * torch.exp(-((w + 1) ** 2) / 4),
        band=(-9, 7), reach=4, real=False,
    )  # fmt: skip


def _mexican_hat() -> Mother:
    """2 / sqrt(3 sqrt(pi)) (1 - t^2) exp(-t^2 / 2)"""
    size = 2 / sqrt(3 * sqrt(pi)) * sqrt(2 * pi)
    return Mother(lambda w: size * w**2 * torch.exp(-(w**2) / 2), band=(-6, 6), reach=6, real=True)


# Transform


@dataclass(frozen=True)
class Plan:
    """What a transform needs beside its signals.

    wide: times that are computed. length: of the signals with the zeros behind them. ramp: see `_ramp`.
    folds: see `_folds`.
    """

    wide: int
    length: int
    ramp: Tensor
    folds: list[tuple[Tensor, slice, Tensor]]


@lru_cache(maxsize=4)  # the recordings of a set come in many batches, all of one length
def _plan(wavelet: str, scales: tuple[float, ...], samples: int, bins: int, device: torch.device) -> Plan:
    mother = _mother(wavelet)
    wide = _padded_bins(samples, bins, mother.reach * max(scales))
    length = wide * samples // bins
    ramp = torch.from_numpy(_ramp(length, samples, bins)).to(device)
    return Plan(wide, length, ramp, list(_folds(mother, np.array(scales), wide, length, device)))


def _padded_bins(samples: int, bins: int, reach: float) -> int:
    """Width of a picture that goes on into zeros for as long as the largest wavelet reaches.

    The transform goes round in a circle, so that one stretch of zeros parts the end from the start. The
    smallest width that is a whole number of samples and quick to transform.
    """
    unit = bins // gcd(samples, bins)
    return unit * next_fast_len(ceil((bins + reach * bins / samples) / unit))


def _ramp(length: int, samples: int, bins: int) -> np.ndarray:
    """What each of a signal's frequencies is multiplied by, whatever the scale: complex64 (length,).

    A shift to the time of the first bin, and the share of times that are kept.
    """
    shift = np.exp(2j * pi * np.fft.fftfreq(length) * times(samples, bins)[0])
    return (shift * bins / samples).astype(np.complex64)


def _folds(
    mother: Mother, scales: np.ndarray, wide: int, length: int, device: torch.device
) -> Iterator[tuple[Tensor, slice, Tensor]]:
    """The spectrum in stretches of `wide` frequencies, which fold onto each other, unless all are zero there.

    Yields a stretch's places in the spectrum (wide,), the scales that reach it, the wavelets there (scales,
    wide). A real wavelet needs positive frequencies only, twice, as the real part is taken in the end.
    """
    stretches = ceil(length / 2 / wide)
    for stretch in range(0 if mother.real else -stretches, stretches):
        first, last = 2 * pi * stretch * wide / length, 2 * pi * ((stretch + 1) * wide - 1) / length
        reached = np.flatnonzero((scales * last > mother.band[0]) & (scales * first < mother.band[1]))
        if len(reached) == 0:
            continue
        rows = slice(reached[0], reached[-1] + 1)
        place = torch.arange(stretch * wide, (stretch + 1) * wide, device=device)
        scale = torch.tensor(scales[rows, None], dtype=torch.float32, device=device)
        weights = (
            (2 if mother.real else 1) * scale.sqrt() * mother.spectrum(scale * (2 * pi / length * place))
        )
        yield place % length, rows, weights * (2 * place.abs() < length)  # up to half the sampling rate


# Checks


def _check_scales(scales: np.ndarray, wavelet: str, samples: int, bins: int) -> None:
    if scales.ndim != 1 or len(scales) == 0 or not (np.isfinite(scales) & (scales > 0)).all():
        raise ValueError("scales must be a list of at least one number, all finite and above zero")
    if bins < 1:
        raise ValueError(f"a scalogram has at least one time bin, not {bins}")
    centre = pywt.central_frequency(wavelet)
    if scales.min() < 2 * centre * (1 - ROUNDING):
        raise ValueError(
            f"scale {scales.min():g} of {wavelet} lies above half the sampling rate; "
            f"the smallest is {2 * centre:g}"
        )
    if scales.max() > samples * centre * (1 + ROUNDING):
        raise ValueError(
            f"{samples} samples are too short for scale {scales.max():g} of {wavelet}, one period of "
            f"which takes {scales.max() / centre:.0f}; the largest scale is {samples * centre:g}"
        )


def _check_signals(signals: Tensor) -> None:
    finite = signals.isfinite().all(-1)
    if not finite.all():
        bad = int((~finite).sum())
        raise ValueError(
            f"{bad} of {finite.numel()} signals hold NaN or infinity; leave them out or fill them first"
        )
    constant = (signals == signals[..., :1]).all(-1)
    if constant.any():
        raise ValueError(
            f"{int(constant.sum())} of {constant.numel()} signals never change; leave them out first"
        )
