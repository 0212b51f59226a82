"""What is read: signals with named channels and units, and the refusal of what cannot be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real

import numpy as np

from biosignals.data.channel_names import DERIVED, LEADS

LARGEST_FILE = 1 << 28  # bytes, of a recording and of a model
MOST_INVALID = 0.1  # share of a channel that may be missing and is then filled by straight lines
INVALID = -32768  # by which recorders of 16 bits mark a sample as missing, in whatever unit
NOT_DERIVED = (
    0.5  # mean error of the other limb leads as made of I and II; PTB-XL's are below, other orders above
)


class InvalidRecording(ValueError):
    """A recording that a model was not made for, or that cannot be read; the message says why and what to do.

    args: the message's lines. What files and cards call themselves may hold anything: as text, only what is
    printable is left.
    """

    def __str__(self) -> str:
        return "\n".join(printable(str(line)) for line in self.args)


@dataclass(frozen=True)
class Signal:
    """A recording: float32 (channels, samples), each channel's name and unit, and the sampling rate in Hz.

    others: its channels that are sampled at other rates, a Signal for each rate.
    """

    values: np.ndarray
    channels: tuple[str, ...]
    units: tuple[str, ...]
    sampling_rate: float
    others: tuple[Signal, ...] = ()


def printable(text: str) -> str:
    """A text with escapes in place of what a terminal would obey rather than show."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def check_signal(signal: Signal) -> Signal:
    """The signal as it is. Raises InvalidRecording for values, names, a shape or a rate that cannot be."""
    if not isinstance(signal.values, np.ndarray) or signal.values.dtype.kind not in "fiu":
        raise InvalidRecording("its values are no real numbers in an array")
    for texts in (signal.channels, signal.units):
        if not isinstance(texts, tuple | list) or not all(isinstance(text, str) for text in texts):
            raise InvalidRecording("names of channels and units must be text, one for each channel")
    if (
        signal.values.ndim != 2
        or not len(signal.values) == len(signal.channels) == len(signal.units)
        or not signal.values.size
    ):
        shape, count = signal.values.shape, len(signal.channels)
        raise InvalidRecording(
            f"values of shape {shape} for {count} channels: they must be (channels, samples)"
        )
    if not isinstance(signal.sampling_rate, Real) or not 0 < signal.sampling_rate < 1e5:
        raise InvalidRecording(f"a sampling rate of {signal.sampling_rate} Hz")
    for other in signal.others:
        check_signal(other)
    return signal


def by_rate(signals: list[tuple[np.ndarray, str, str, float]]) -> Signal:
    """One Signal of `signals`, a tuple each: values (samples,), name, unit, sampling rate.

    Those of the highest rate, with `others` for the other rates.
    """
    rates = sorted({rate for *_, rate in signals}, reverse=True)
    parts = []
    for rate in rates:
        values, names, units, _ = zip(*(one for one in signals if one[-1] == rate), strict=True)
        parts.append(Signal(np.stack(values).astype(np.float32, copy=False), names, units, float(rate)))
    first, *others = parts
    return Signal(first.values, first.channels, first.units, first.sampling_rate, tuple(others))


def filled(values: np.ndarray) -> np.ndarray:
    """Lines drawn over missing samples (NaN) of `values` (channels, samples), as in training; same shape.

    Not where more than a tenth of a channel is missing.
    """
    for channel in values:
        missing = np.isnan(channel)
        if 0 < missing.mean() <= MOST_INVALID:
            time = np.arange(len(channel))
            channel[missing] = np.interp(time[missing], time[~missing], channel[~missing])
    return values


def usual_leads(values: np.ndarray) -> tuple[str, ...]:
    """Names for the rows of `values` (leads, samples) that have none, in the order in which ECGs are stored.

    One row is an ECG's lead, which one is not said; eight are I, II, V1-V6; twelve are LEADS. Raises
    InvalidRecording for any other number, and for twelve of which III is not II - I and so on.
    """
    if len(values) == 1:
        return ("ECG",)
    if len(values) == 8:
        return (*LEADS[:2], *LEADS[6:])
    if len(values) != 12:
        raise InvalidRecording(f"its {len(values)} channels have no names")
    if not derived_error(values[:6], list(DERIVED)) <= NOT_DERIVED:
        raise InvalidRecording(
            f"its 12 channels have no names, and are not {', '.join(LEADS)} in this order: III is not II - I"
        )
    return LEADS


def derived_error(values: np.ndarray, derived: Sequence[str]) -> float:
    """How far limb leads are from what I and II make of them: mean error, as a share of all mean sizes.

    values: (leads, samples), I and II, then `derived`, some of DERIVED.
    """
    limb = values - np.nanmedian(values, axis=1, keepdims=True)
    expected = np.array([DERIVED[name] for name in derived]) @ limb[:2]
    return float(np.nanmean(np.abs(limb[2:] - expected)) / np.nanmean(np.abs(limb)))
