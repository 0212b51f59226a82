"""Reads WFDB records as int16 counts of one microvolt.

The plain case is read directly: one signal file, format 16, one sample per frame, no skew. Everything else that
WFDB allows is left to the `wfdb` package. Format: https://wfdb.io/spec/header-files.html and signal-files.html.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

COUNTS_PER_MILLIVOLT = 1000
INVALID = -32768  # the value by which format 16 marks a sample as missing
MOST_INVALID = 0.1  # share of a lead that may be missing and is then filled by straight lines
LONGEST = 10_000_000  # samples; a header that says more is damaged
LARGEST_HEADER = 65536  # bytes; a 12-lead header has about 600
COUNTS_PER_UNIT = {"mV": 1000.0, "uV": 1.0, "µV": 1.0, "V": 1e6}


class Unreadable(ValueError):
    """A record that cannot be used; the message says why and what to do."""


class MissingLeads(Unreadable):
    """A record without the leads asked for. `present`: those it has."""

    def __init__(self, message: str, present: tuple[str, ...]):
        super().__init__(message)
        self.present = present


@dataclass(frozen=True)
class Header:
    """What a WFDB header says of a record. `plain`: whether the direct reader understands it in full."""

    sampling_rate: float
    samples: int
    channels: tuple[str, ...]
    counts_per_unit: tuple[float, ...]
    baselines: tuple[int, ...]
    units: tuple[str, ...]
    checksums: tuple[int, ...]
    files: tuple[str, ...]
    offset: int
    plain: bool


def is_inside(name: str) -> bool:
    """Whether `name`, as listed in a set's table, is a plain relative path that stays below the set's folder."""
    return isinstance(name, str) and bool(re.fullmatch(r"[\w-][\w./-]*", name)) and ".." not in name.split("/")


def read_header(path: Path) -> Header:
    """The header in file `path` (.hea). Unreadable when it is missing, damaged or names files outside its folder."""
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST_HEADER + 1)
    except FileNotFoundError:
        raise Unreadable("header is missing: download the set again") from None
    if len(content) > LARGEST_HEADER:
        raise Unreadable("header is too large to be a WFDB header: download the set again")
    lines = [line for line in content.decode("utf-8", "replace").splitlines() if line.strip() and not line.startswith("#")]
    try:
        return parse_header(lines)
    except (IndexError, ValueError) as error:
        if isinstance(error, Unreadable):
            raise
        raise Unreadable(f"header is damaged ({error}): download the set again") from error


def parse_header(lines: list[str]) -> Header:
    """The header whose lines (without comments) are `lines`. IndexError or ValueError when they make no sense."""
    record = lines[0].split()
    count = int(record[1])
    rate = float(record[2].split("/")[0].split("(")[0]) if len(record) > 2 else 250.0
    samples = int(record[3]) if len(record) > 3 else 0
    if samples > LONGEST or not math.isfinite(rate):
        raise ValueError(f"it announces {samples} samples at {rate} Hz")
    if "/" in record[0] or samples < 1 or count < 1:  # several segments, or a length to be guessed: rare, left to wfdb
        return Header(rate, samples, (), (), (), (), (), (), 0, plain=False)
    if len(lines) < count + 1:
        raise ValueError(f"it announces {count} signals and describes {len(lines) - 1}")
    # file, format, gain, resolution, zero, first value, checksum, block size, description
    signals = [line.split(None, 8) for line in lines[1 : count + 1]]
    files = tuple(dict.fromkeys(signal[0] for signal in signals))
    if any("/" in file or "\\" in file for file in files):
        raise Unreadable(f"header names a file outside of its folder ({files[0]}): refused")
    if any(len(signal) < 9 for signal in signals):  # fields left out: wfdb knows the defaults
        return Header(rate, samples, (), (), (), (), (), files, 0, plain=False)
    formats = [parse_format(signal[1]) for signal in signals]
    gains = [parse_gain(signal[2], signal[4]) for signal in signals]
    return Header(
        sampling_rate=rate,
        samples=samples,
        channels=tuple(signal[8].strip() for signal in signals),
        counts_per_unit=tuple(gain for gain, _, _ in gains),
        baselines=tuple(baseline for _, baseline, _ in gains),
        units=tuple(unit for _, _, unit in gains),
        checksums=tuple(int(signal[6]) for signal in signals),
        files=files,
        offset=formats[0][1],
        plain=len(files) == 1 and len(set(formats)) == 1 and formats[0][0] == "16",
    )


@lru_cache(maxsize=1024)
def parse_format(text: str) -> tuple[str, int]:
    """Format and byte offset: "16+24" is ("16", 24); frames or skew stay part of the format ("16x4")."""
    form, _, offset = text.partition("+")
    return form.removesuffix("x1"), int(offset or 0)


@lru_cache(maxsize=1024)
def parse_gain(text: str, zero: str) -> tuple[float, int, str]:
    """Counts per unit, baseline and unit: "1000.0(0)/mV" is (1000.0, 0, "mV"). A gain of 0 stands for 200 (WFDB)."""
    match = re.fullmatch(r"(-?[\d.]+(?:e[+-]?\d+)?)(?:\((-?\d+)\))?(?:/(\S+))?", text)
    if not match:
        raise ValueError(f"gain {text!r}")
    gain, baseline, unit = match.groups()
    return float(gain) or 200.0, int(zero if baseline is None else baseline), unit or "mV"


def read_digital(stem: Path, header: Header) -> np.ndarray:
    """Counts as stored: int16 (channels, samples), a view of what was read. Only for a plain header.

    Unreadable when the signal file is missing, shorter than the header says, or its checksums do not fit (a
    checksum of 0 says nothing: CinC 2017 has it everywhere).
    """
    path = stem.parent / header.files[0]
    channels = len(header.channels)
    size = 2 * channels * header.samples
    try:
        with open(path, "rb") as file:
            found = os.fstat(file.fileno()).st_size
            file.seek(header.offset)
            content = file.read(size) if found >= header.offset + size else b""
    except FileNotFoundError:
        raise Unreadable(f"signal file {path.name} is missing: download the set again") from None
    if len(content) < size:
        raise Unreadable(
            f"signal file {path.name} is cut short ({found} bytes, its header says {header.offset + size}):"
            " download the set again"
        )
    frames = np.frombuffer(content, dtype="<i2").reshape(header.samples, channels)
    sums = frames.sum(axis=0, dtype=np.int16).tolist()
    if any(checksum and (checksum - found) % 65536 for checksum, found in zip(header.checksums, sums)):
        raise Unreadable(f"signal file {path.name} does not fit its header's checksum: download the set again")
    return frames.T


def read(stem: Path, channels: tuple[str, ...], sampling_rate: float, samples: int | None = None) -> np.ndarray:
    """The leads `channels` of record `stem` (path without extension), in that order: int16 (channels, samples), 1 uV a count.

    The record may hold its leads in any order and more of them. A missing sample is INVALID. Unreadable when the
    record has another sampling rate or length (samples None: any), lacks a lead (MissingLeads) or is damaged.
    """
    header = read_header(stem.with_name(stem.name + ".hea"))
    check_rate_and_length(header.sampling_rate, header.samples, sampling_rate, samples)
    if header.plain and all(unit in COUNTS_PER_UNIT for unit in header.units):
        rows = lead_positions(header.channels, channels)
        return to_microvolts(read_digital(stem, header), header, rows)
    return read_with_wfdb(stem, channels, sampling_rate, samples)


def check_rate_and_length(found_rate: float, found_samples: int, rate: float, samples: int | None) -> None:
    """Unreadable unless a record has the sampling rate and length that the set promises (found 0 samples: not said)."""
    if found_rate != rate:
        raise Unreadable(f"sampled at {found_rate:g} Hz, expected {rate:g} Hz")
    if samples is not None and found_samples not in (0, samples):
        raise Unreadable(f"{found_samples} samples long, expected {samples}")


def lead_positions(present: tuple[str, ...], wanted: tuple[str, ...]) -> list[int]:
    """Where the wanted leads stand among those present. Names compare without case (aVR is AVR)."""
    where = {name.upper(): position for position, name in enumerate(present)}
    missing = [name for name in wanted if name.upper() not in where]
    if missing:
        raise MissingLeads(f"no lead {', '.join(missing)}; it holds {', '.join(present)}", present)
    if len(where) < len(present):
        raise Unreadable(f"a lead's name stands twice: {', '.join(present)}")
    return [where[name.upper()] for name in wanted]


def to_microvolts(digital: np.ndarray, header: Header, rows: list[int]) -> np.ndarray:
    """Rows of `digital` (channels, samples) as int16 microvolts; exact where the file has 1000 counts per mV."""
    factors = [COUNTS_PER_UNIT[header.units[row]] / header.counts_per_unit[row] for row in rows]
    counts = digital if rows == list(range(len(digital))) else digital[rows]
    if all(factor == 1 for factor in factors) and not any(header.baselines[row] for row in rows):
        return counts
    baselines = np.array([header.baselines[row] for row in rows])[:, None]
    return as_counts(np.where(counts == INVALID, np.nan, (counts - baselines) * np.array(factors)[:, None]))


def as_counts(microvolts: np.ndarray) -> np.ndarray:
    """float microvolts as int16, rounded and clipped to +-32,767; NaN becomes INVALID."""
    counts = np.clip(np.rint(microvolts), -32767, 32767)
    return np.where(np.isnan(counts), INVALID, counts).astype(np.int16)


def read_with_wfdb(stem: Path, channels: tuple[str, ...], sampling_rate: float, samples: int | None) -> np.ndarray:
    """`read` for whatever the direct reader does not take, by the wfdb package."""
    import wfdb

    try:
        record = wfdb.rdrecord(str(stem))
    except Exception as error:  # wfdb raises what its parsing happens to meet
        raise Unreadable(f"wfdb cannot read it ({error}): download the set again") from error
    check_rate_and_length(record.fs, record.sig_len, sampling_rate, samples)
    rows = lead_positions(tuple(record.sig_name), channels)
    units = [record.units[row] for row in rows]
    unknown = [unit for unit in units if unit not in COUNTS_PER_UNIT]
    if unknown:
        raise Unreadable(f"unit {unknown[0]!r} is not a voltage")
    factors = np.array([COUNTS_PER_UNIT[unit] for unit in units])
    return as_counts((record.p_signal[:, rows] * factors).T)


def fill_missing(counts: np.ndarray, channels: tuple[str, ...]) -> np.ndarray:
    """(channels, samples) with straight lines in place of missing samples; Unreadable if a lead misses more than a tenth."""
    missing = counts == INVALID
    for name, share in zip(channels, missing.mean(axis=1)):
        if share > MOST_INVALID:
            raise Unreadable(f"lead {name} misses {share:.0%} of its samples")
    counts = counts.copy()
    time = np.arange(counts.shape[1])
    for lead, gaps in zip(counts, missing):
        lead[gaps] = np.rint(np.interp(time[gaps], time[~gaps], lead[~gaps]))
    return counts


def held(counts: np.ndarray, level: np.ndarray, length: int) -> np.ndarray:
    """Whether each lead of (..., samples) stays exactly at its `level` (...) for `length` samples in a row: bool (...)."""
    at_level = counts == level[..., None]
    result = np.zeros(counts.shape[:-1], dtype=bool)
    for index in np.argwhere(at_level.sum(axis=-1) >= length):  # few leads get this far
        result[tuple(index)] = longest_run(at_level[tuple(index)]) >= length
    return result


def longest_run(true: np.ndarray) -> int:
    """Length of the longest run of True in a bool array (n,)."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], true.astype(np.int8), [0]))))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def flat(counts: np.ndarray, sampling_rate: float) -> np.ndarray:
    """Which leads of int16 (..., samples) do not change at all for a second or longer: bool (...)."""
    second = round(sampling_rate)
    half = max(second // 2, 1)
    whole = counts.shape[-1] // half * half
    blocks = counts[..., :whole].reshape(*counts.shape[:-1], -1, half)
    candidates = (blocks.max(axis=-1) == blocks.min(axis=-1)).any(axis=-1)  # a second holds a whole half-second block
    result = np.zeros(counts.shape[:-1], dtype=bool)
    for index in np.argwhere(candidates):
        same = np.diff(counts[tuple(index)]) == 0
        result[tuple(index)] = longest_run(same) + 1 >= second
    return result


def saturated(counts: np.ndarray, sampling_rate: float) -> np.ndarray:
    """Which leads of int16 (..., samples) rest at their extreme, beyond 2 mV, for 50 ms or longer: bool (...)."""
    length = max(round(0.05 * sampling_rate), 3)
    limit = 2 * COUNTS_PER_MILLIVOLT
    high, low = counts.max(axis=-1), counts.min(axis=-1)
    return (held(counts, high, length) & (high >= limit)) | (held(counts, low, length) & (low <= -limit))
