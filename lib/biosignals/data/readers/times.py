"""A table's column of times > its sampling rate."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from biosignals.data.readers.signal import InvalidRecording

SECONDS = {  # in one unit of time
    "s": 1.0, "sec": 1.0, "secs": 1.0, "second": 1.0, "seconds": 1.0,
    "ms": 1e-3, "msec": 1e-3, "millis": 1e-3, "millisecond": 1e-3, "milliseconds": 1e-3,
    "us": 1e-6, "\u03bcs": 1e-6, "usec": 1e-6, "microseconds": 1e-6, "ns": 1e-9, "nanoseconds": 1e-9,
    "min": 60.0, "mins": 60.0, "minute": 60.0, "minutes": 60.0, "h": 3600.0, "hours": 3600.0, "days": 86400.0,
    "с": 1.0, "сек": 1.0, "мс": 1e-3, "秒": 1.0, "毫秒": 1e-3, "ミリ秒": 1e-3, "초": 1.0,
}  # fmt: skip
TIME_OF_DAY = re.compile(r"(?<!\d)(?:(\d+):)?(\d+):(\d{2}(?:[.,]\d+|:\d{3})?)(?![:\d])")
STAMP = re.compile(
    r"[\[(]?(?:[\d./-]+[T\s])?\d+:\d{2}(?::\d{2})?(?:[.,]\d+|:\d{3})?\s*(?:[ap]m|z|utc|[+-]\d{2}:?\d{2})?(?:\s[\d./-]+)?[\])]?",
    re.IGNORECASE,
)
NAME = re.compile(
    r"(?:.*[\s_])?(?:date|time|datetime|timestamps?|ts|t|elapsed|uhrzeit|zeit|zeitstempel|temps|tiempo|tempo|hora|tijd|tid"
    r"|czas|čas|idő|aika|zaman|χρόνος|время|时间|時間|時刻|시간)(?:[\s_\[(].*)?"
)
COUNT = re.compile(
    r"unnamed.*|index|idx|samples?(?:[\s_]*(?:#|no\.?|number|index))?|#|no\.?|nr\.?|n|row", re.IGNORECASE
)
UNSAID = ("s", "ms", "us", "ns", "min", "days")  # units that names of columns leave out, the commonest first
# Since 1970 (or 2000), which tells the unit of times that do not say theirs.
EPOCHS = {"s": (1e8, 1e10), "ms": (1e11, 1e13), "us": (1e14, 1e16), "ns": (1e17, 1e19)}
USUAL = (20.0, 2500.0)  # Hz, of ECG and EEG; times in seconds that say otherwise are in another unit
FEW = 10  # times, of which a last digit 0 may be chance
MOST_READ = 2000  # times whose decimals are counted
AGREE = 0.01  # share by which two statements of a rate may differ


class UnevenTimes(InvalidRecording):
    """Times that do not go on in equal steps: rows are missing, or stand twice."""


def is_time(text: str) -> bool:
    """Whether a cell is a time of day, or a date with one."""
    return STAMP.fullmatch(text) is not None


def is_name(text: str) -> bool:
    """Whether a column of this name holds times ("Elapsed time", "ms")."""
    return NAME.fullmatch(text.casefold()) is not None or is_unit(text)


def is_unit(text: str) -> bool:
    """Whether a text is a unit of time ("ms", "[s]")."""
    return text.strip("[]()").casefold() in SECONDS


def is_count(name: str) -> bool:
    """Whether a column of this name numbers the rows ("sample", "Unnamed: 0")."""
    return COUNT.fullmatch(name) is not None


def sampling_rate(times: pd.Series, unit: str, given: float | None, how: str = "asked for") -> float:
    """The rate (Hz) at which `times`, numbers or texts, go on.

    unit: of numbers, a key of SECONDS; empty where it is not said: then seconds, or what fits the rate
    `given` or a date since 1970. how: the rate is given. Times may be rounded. Raises InvalidRecording for
    times that do not go on in equal steps, contradict the rate given or give none that a recorder has.
    """
    if times.dtype.kind not in "iuf":
        numbers, unit = _of_day(times), "s"
    else:
        numbers = times.to_numpy(dtype=float)
    rounding = _rounding(numbers)
    step = _step(numbers, rounding)
    unsure = rounding / (numbers[-1] - numbers[0])  # share by which the rate is not known
    if not unit:
        unit = next((name for name, (low, high) in EPOCHS.items() if low < abs(numbers[0]) < high), "")
    rates = {name: 1 / (step * SECONDS[name]) for name in ([unit] if unit else UNSAID)}
    rate = next(iter(rates.values()))
    if given is not None:
        if any(abs(one / given - 1) <= AGREE + unsure for one in rates.values()) or (not unit and step == 1):
            return given
        raise InvalidRecording(f"its times give {rate:g} Hz, and {given:g} Hz is {how}: one of them is wrong")
    if unsure > AGREE:
        raise InvalidRecording("its times are rounded too coarsely to tell the sampling rate: give it")
    if not unit and not USUAL[0] <= rate <= USUAL[1]:
        likely = [f"in {name}" for name, one in rates.items() if USUAL[0] <= one <= USUAL[1]]
        likely = ["a count of samples"] if step == 1 else likely or ["in another unit"]
        raise InvalidRecording(
            f"its time, taken as seconds, gives {rate:g} Hz; is it {' or '.join(likely)}?"
            " Name its unit, as in `time (ms)`, or give the sampling rate"
        )
    whole = round(rate)
    return float(whole) if abs(whole / rate - 1) <= max(unsure, 1e-6) else rate


def _step(times: np.ndarray, rounding: float) -> float:
    """The step by which times go on; InvalidRecording where one is another by more than rounding."""
    if not np.isfinite(times).all():
        raise InvalidRecording(f"row {int(np.argmin(np.isfinite(times))) + 1} has no time")
    step = (times[-1] - times[0]) / max(len(times) - 1, 1)
    if not step > 0:
        raise InvalidRecording("its times do not go on")
    most = max(step / 2, rounding * 1.001)
    wrong = np.abs(np.diff(times) - step) > most
    if rounding >= step / 2:  # a row could be missing unseen
        wrong |= np.abs(times - np.linspace(times[0], times[-1], len(times)))[1:] > most
    if wrong.any():
        row = int(np.where(wrong, np.abs(np.diff(times) - np.median(np.diff(times))), -1).argmax()) + 1
        jump = f"from {times[row - 1]:.10g} to {times[row]:.10g} in row {row + 1}"
        raise UnevenTimes(f"its times do not go on in equal steps: {jump}")
    return step


def _rounding(times: np.ndarray) -> float:
    """To what times are rounded, by the decimals that they are written with.

    Programs that write five digits, say, write fewer decimals where more stand before: the fewest count.
    """
    some = times[np.linspace(0, len(times) - 1, min(len(times), MOST_READ)).astype(int)]
    decimals: dict[int, list[int]] = {}
    for time in some[np.isfinite(some)]:
        whole, _, fraction = np.format_float_positional(abs(time), trim="-").partition(".")
        decimals.setdefault(len(whole.lstrip("0")), []).append(len(fraction))
    return max((10.0 ** -max(lengths) for lengths in decimals.values() if len(lengths) >= FEW), default=0.0)


def _of_day(texts: pd.Series) -> np.ndarray:
    """Seconds of texts with a time of day, from its first on; midnight and noon are passed."""
    seconds = np.full(len(texts), np.nan)
    for row, text in enumerate(texts):
        if found := TIME_OF_DAY.search(str(text)):
            hours, minutes, rest = found.groups()
            seconds[row] = 3600 * int(hours or 0) + 60 * int(minutes) + float(re.sub("[,:]", ".", rest))
    steps = np.diff(seconds)
    back = np.where(steps < -80_000, 86_400, np.where((steps < -43_000) & (steps > -43_201), 43_200, 0))
    return seconds + np.concatenate([[0], np.cumsum(back)])
