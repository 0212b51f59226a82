"""Reads WFDB records as int16 counts of one microvolt.

The plain case is read directly: one signal file, format 16, one sample per frame, no skew. Everything else
that WFDB allows is left to `wfdb_records`. Format: https://wfdb.io/spec, header files and signal files.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from biosignals.data import wfdb_records
from biosignals.data.errors import (  # noqa: F401 (others look for them here)
    AGAIN,
    FILE_FAULTS,
    Damaged,
    MissingLeads,
    StorageError,
    Unreadable,
    fault,
    reading,
    storage_error,
)
from biosignals.data.units import microvolts
from biosignals.data.wfdb_records import LARGEST_FILE, LARGEST_HEADER

COUNTS_PER_MILLIVOLT = 1000
INVALID = -32768  # the value by which format 16 marks a sample as missing
ROWS = 25  # of a file, over whose mean what rounding adds to their times is small
MOST_INVALID = 0.1  # share of a lead that may be missing and is then filled by straight lines


@dataclass(frozen=True)
class Layout:
    """How a plain record's samples are stored: a channel's uV = (count - baseline) * microvolts_per_count."""

    channels: tuple[str, ...]
    microvolts_per_count: tuple[float, ...]
    baselines: tuple[int, ...]
    offset: int  # bytes before the first sample
    in_microvolts: bool  # every count is 1 uV already


@dataclass(frozen=True)
class Header:
    """What a WFDB header says. samples: 0 when not said. layout: None when the record is not plain.

    comments: its lines that begin with "#", without it.
    """

    sampling_rate: float
    samples: int
    layout: Layout | None = None
    file: str = ""
    checksums: tuple[int, ...] = ()
    comments: tuple[str, ...] = ()


def is_inside(name: object) -> bool:
    """Whether `name`, from a set's table, is a plain relative path that stays below the set's folder."""
    if not isinstance(name, str) or ".." in name.split("/"):
        return False
    return re.fullmatch(r"[\w-][\w./-]*", name) is not None


def read_header(path: str) -> Header:
    """The header in file `path`. Raises Damaged, an Unreadable, where it is missing, broken or leads away."""
    content = read_bytes(path, LARGEST_HEADER + 1)
    if len(content) > LARGEST_HEADER:
        raise Damaged("header is too large to be a WFDB header")
    lines = wfdb_records.lines(content)
    try:
        header = _parse_header([line for line in lines if line[0] != "#"])
        comments = tuple(line[1:].strip() for line in lines if line[0] == "#")
        return replace(header, comments=comments) if comments else header
    except Unreadable:
        raise
    except (IndexError, ValueError, OverflowError) as error:
        raise Damaged(f"header is damaged ({error})") from error


def read_bytes(path: str, most: int = LARGEST_FILE) -> bytes:
    """The first `most` bytes of file `path`, all when it is shorter. Raises as `reading`."""
    try:
        descriptor = os.open(path, os.O_RDONLY)  # a third of the cost of open(): there are 40,000 files
        try:
            return os.read(descriptor, min(most, LARGEST_FILE))
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        raise fault(error, path) from error


def _parse_header(lines: list[str]) -> Header:
    """The header in `lines`, comments taken out. IndexError or ValueError when they make no sense."""
    record = lines[0].split()
    count = int(record[1])
    rate = float(record[2].split("/")[0].split("(")[0]) if len(record) > 2 else 250.0
    samples = int(record[3]) if len(record) > 3 else 0
    if samples > LARGEST_FILE or not math.isfinite(rate):
        raise ValueError(f"it announces {samples} samples at {rate} Hz")
    if count < 1 or len(lines) < count + 1:
        raise ValueError(f"it announces {count} signals and describes {len(lines) - 1}")
    signals = lines[1 : count + 1]
    fields = " ".join(signals).split()
    plain = len(fields) == 9 * count and len(set(fields[::9])) == 1 and set(fields[7::9]) == {"0"}
    files = fields[:1] if plain else [line.split()[0] for line in signals]
    if "/" in "".join(files):
        raise Damaged("header names a file outside of its folder: refused")
    if not "".join(files).isprintable():
        raise ValueError("control characters in the name of a file")
    if not plain or "/" in record[0] or samples < 1:  # fields left out, several segments, length not said
        return Header(rate, max(samples, 0))
    layout = _parse_layout(" ".join(fields[1::9] + fields[2::9] + fields[4::9] + fields[8::9]))
    return Header(rate, samples, layout, files[0], tuple(map(int, fields[6::9])))


@lru_cache(maxsize=256)  # nearly all records of a set are laid out alike
def _parse_layout(described: str) -> Layout | None:
    """The layout of signals so described, None when it is not plain. ValueError when a field makes no sense.

    described: all formats, then all gains, ADC zeros and names, divided by blanks.
    A format "16+24" is format 16 after 24 bytes; a gain "1000.0(5)/mV" means 1000 counts per mV around a
    baseline of 5, which is the ADC zero where it is left out.
    """
    fields = described.split()
    count = len(fields) // 4
    formats, gains, zeros, names = (tuple(fields[i : i + count]) for i in range(0, 4 * count, count))
    form, _, offset = formats[0].partition("+")
    matches = [re.fullmatch(r"([\d.]+(?:[eE][+-]?\d+)?)(?:\((-?\d+)\))?/(\w+)", gain) for gain in gains]
    if form != "16" or len(set(formats)) > 1 or not all(matches):
        return None
    counts_per_unit, baselines, units = zip(*(match.groups() for match in matches))
    if not all(map(float, counts_per_unit)) or not all(map(microvolts, units)):
        return None
    factors = tuple(microvolts(unit) / float(gain) for unit, gain in zip(units, counts_per_unit))
    baselines = tuple(int(baseline or zero) for baseline, zero in zip(baselines, zeros))
    for factor, baseline in zip(factors, baselines):
        wfdb_records.refuse_absurd(factor, baseline, int(offset or 0))
    return Layout(
        channels=names,
        microvolts_per_count=factors,
        baselines=baselines,
        offset=int(offset or 0),
        in_microvolts=set(factors) == {1.0} and not any(baselines),
    )


def read_digital(path: str, header: Header) -> np.ndarray:
    """Counts in signal file `path` as stored: int16 (channels, samples). Only for a header with a layout.

    Raises Damaged, an Unreadable, when the file is missing, shorter than the header says, or does not fit its
    checksums (a checksum of 0 says nothing: CinC 2017 has it everywhere), and Unreadable for a .mat file of
    another kind.
    """
    channels, offset = len(header.layout.channels), header.layout.offset
    size = offset + 2 * channels * header.samples
    content = read_bytes(path, size)
    if len(content) < size:
        raise Damaged(f"{header.file} is cut short ({len(content)} bytes, its header says {size})")
    if header.file.lower().endswith(".mat"):
        wfdb_records.check_matlab_header(header.file, content[:offset], "16", channels, header.samples)
    frames = np.frombuffer(content, dtype="<i2", offset=offset).reshape(header.samples, channels)
    counts = np.ascontiguousarray(frames.T)
    # WFDB's checksum: 16 bits, overflow dropped.
    sums = tuple(np.add.reduce(counts, axis=1, dtype=np.int16).tolist())
    if sums != header.checksums:
        _compare_checksums(header.file, header.checksums, sums)
    return counts


def _compare_checksums(file: str, said: Iterable[int], found: Iterable[int]) -> None:
    """Raises Damaged unless the sums of samples are those that a header gives; 0 says nothing."""
    if any(one and (one - other) % 65536 for one, other in zip(said, found)):
        raise Damaged(f"{file} does not fit its header's checksums")


def read(
    stem: Path | str, channels: tuple[str, ...], sampling_rate: float, samples: int | None = None
) -> np.ndarray:
    """The leads `channels` of a record, in that order: int16 (channels, samples) in uV.

    stem: path without extension. The record may hold its leads in any order, and more of them. A missing
    sample is INVALID. Raises Unreadable when the record has another sampling rate or length (samples None:
    any), lacks a lead (MissingLeads) or is damaged.
    """
    header = read_header(f"{stem}.hea")
    if header.layout is None:
        with reading(f"{stem}.hea"):
            return _read_other(stem, channels, sampling_rate, samples)
    _check_rate_and_length(header.sampling_rate, header.samples, sampling_rate, samples)
    rows = lead_positions(header.layout.channels, channels)
    folder, slash, _ = str(stem).rpartition("/")
    return to_microvolts(read_digital(folder + slash + header.file, header), header.layout, rows)


def check_times(times: np.ndarray, sampling_rate: float) -> None:
    """Raises Unreadable unless `times` (rows,), in seconds, go on evenly at `sampling_rate`, within 2 %.

    They may be rounded to about a step: 8 minutes at 125 Hz with five significant digits end as 479.98,
    479.98, 479.99. So it is not each step that counts, nor their median, but the line through all times. Lost
    rows show by one step that is as long as two, or where the means of many rows leave that line.
    """
    if len(times) < 2 or not np.isfinite(times).all():
        raise Unreadable("it has a row without a time, or no rows: leave it out")
    rows = np.arange(len(times)) - (len(times) - 1) / 2
    step = (rows @ times) / (rows @ rows)
    off = times - times.mean() - step * rows
    steps, blocks = np.diff(times), off[: len(off) // ROWS * ROWS].reshape(-1, ROWS).mean(axis=1)
    uneven = np.concatenate(
        [
            np.flatnonzero((steps < 0) | (steps >= 1.9 * step)),
            np.flatnonzero(np.abs(blocks) > 0.45 * step) * ROWS,
        ]
    )
    if len(uneven):
        near = f"near {times[uneven[0]]:g} s"
        raise Unreadable(f"its times do not go on evenly {near}, so that rows were lost: leave it out")
    if not 0.98 < 1 / (step * sampling_rate) < 1.02:
        found = f"sampled at {1 / step:g} Hz by its times"
        raise Unreadable(f"{found}, expected {sampling_rate:g} Hz: leave it out")


def _check_rate_and_length(found_rate: float, found_samples: int, rate: float, samples: int | None) -> None:
    """Unreadable unless a record has the set's sampling rate and length (found 0 samples: not said)."""
    if found_rate != rate:
        raise Unreadable(f"sampled at {found_rate:g} Hz, expected {rate:g} Hz")
    if samples is not None and found_samples not in (0, samples):
        raise Unreadable(f"{found_samples} samples long, expected {samples}")


@lru_cache(maxsize=256)
def lead_positions(present: tuple[str, ...], wanted: tuple[str, ...]) -> tuple[int, ...]:
    """Where the wanted leads stand among those present. Names compare without case (aVR is AVR).

    Raises MissingLeads when one is not there, Unreadable when a name stands twice.
    """
    where = {name.upper(): position for position, name in enumerate(present)}
    missing = [name for name in wanted if name.upper() not in where]
    if missing:
        raise MissingLeads(f"no lead {', '.join(missing)}; it holds {', '.join(present)}", present)
    if len(where) < len(present):
        raise Unreadable(f"a lead's name stands twice: {', '.join(present)}")
    return tuple(where[name.upper()] for name in wanted)


def to_microvolts(digital: np.ndarray, layout: Layout, rows: tuple[int, ...]) -> np.ndarray:
    """Rows of `digital` (channels, samples) as int16 uV (rows, samples); exact at 1000 counts per mV."""
    counts = digital if rows == tuple(range(len(digital))) else digital[list(rows)]
    if layout.in_microvolts:
        return counts
    baselines = np.array([layout.baselines[row] for row in rows])[:, None]
    factors = np.array([layout.microvolts_per_count[row] for row in rows])[:, None]
    return as_counts(np.where(counts == INVALID, np.nan, (counts - baselines) * factors))


def as_counts(values: np.ndarray) -> np.ndarray:
    """Microvolts `values` as int16 in the same shape, rounded, clipped to +-32,767; NaN becomes INVALID.

    Raises Unreadable where more than a tenth of a lead (last axis) would be clipped.
    """
    counts = np.rint(values)
    beyond = (np.abs(counts) > 32767).mean(axis=-1).max()
    if beyond > MOST_INVALID:
        raise Unreadable(
            f"a lead lies beyond 32 mV for {beyond:.0%} of its length: its gain, baseline or unit is wrong"
        )
    return np.where(np.isnan(counts), INVALID, np.clip(counts, -32767, 32767)).astype(np.int16)


def _read_other(
    stem: Path | str, channels: tuple[str, ...], sampling_rate: float, samples: int | None
) -> np.ndarray:
    """`read` for whatever the direct reader does not take."""
    found = wfdb_records.read(Path(f"{stem}.hea"), LARGEST_FILE)
    rows = lead_positions(tuple(channel.name for channel in found), channels)
    chosen = [found[row] for row in rows]
    for channel in chosen:
        _check_rate_and_length(channel.sampling_rate, len(channel.values), sampling_rate, samples)
    factors = [microvolts(channel.unit) for channel in chosen]
    if None in factors:
        units = ", ".join(channel.unit for channel in chosen)
        raise Unreadable(f"its units are {units}, expected V, mV or uV")
    return as_counts(np.stack([channel.values * factor for channel, factor in zip(chosen, factors)]))


def fill_missing(counts: np.ndarray, channels: tuple[str, ...]) -> np.ndarray:
    """int16 counts (channels, samples) with lines drawn over missing samples, in the same shape.

    Raises Unreadable if a lead misses over a tenth.
    """
    missing = counts == INVALID
    for name, share in zip(channels, missing.mean(axis=1)):
        if share > MOST_INVALID:
            raise Unreadable(f"lead {name} misses {share:.0%} of its samples")
    counts = counts.copy()
    time = np.arange(counts.shape[1])
    for lead, gaps in zip(counts, missing):
        lead[gaps] = np.rint(np.interp(time[gaps], time[~gaps], lead[~gaps]))
    return counts


def flat(counts: np.ndarray, sampling_rate: float) -> np.ndarray:
    """Which leads of counts (..., samples) do not change at all for a second or longer: bool (...)."""
    second = round(sampling_rate)
    quarters = counts[..., :: max(second // 4, 1)]
    same = quarters[..., 1:] == quarters[..., :-1]  # a flat second holds three such in a row
    found = _has_run(same, 3)
    found[found] = _has_run(np.diff(counts[found], axis=-1) == 0, second - 1)
    return found


def saturated(counts: np.ndarray, sampling_rate: float) -> np.ndarray:
    """Which leads of counts (..., samples) rest at an extreme beyond 2 mV for 50 ms or longer: bool (...).

    The first and last 0.2 s do not count: recorders pad them with a constant.
    """
    edge, length = round(0.2 * sampling_rate), max(round(0.05 * sampling_rate), 3)
    counts = counts[..., edge:-edge]
    found = np.zeros(counts.shape[:-1], dtype=bool)
    for extreme in (counts.max(axis=-1, initial=0), counts.min(axis=-1, initial=0)):
        far = np.abs(extreme.astype(np.int32)) >= 2 * COUNTS_PER_MILLIVOLT
        found[far] |= _has_run(counts[far] == extreme[far, None], length)
    return found


def _has_run(true: np.ndarray, length: int) -> np.ndarray:
    """Where bool (..., n) holds a run of `length` or more True: bool (...)."""
    found = 1  # true[..., i] now says whether so many are True from i on
    while found < length:
        step = min(found, length - found)
        true = true[..., :-step] & true[..., step:]
        found += step
    return true.any(axis=-1)
