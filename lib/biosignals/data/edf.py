"""EDF, EDF+ and BDF files: header, scales, times of the data records, samples.

Kemp et al., A simple format for exchange of digitized polygraphic recordings, Electroencephalography and
Clinical Neurophysiology 82 (1992); Kemp and Olivan, European data format 'plus', Clinical Neurophysiology 114
(2003); BDF is BioSemi's form with 24 bits. Read here as leniently as programs write them: blanks may be NUL,
decimals may stand after a comma, and the number of data records may be unknown or too small.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from biosignals.data.errors import Damaged, Unreadable
from biosignals.data.units import microvolts

MOST_SIGNALS = 512  # a header that says more is damaged
HIGHEST = 1e9  # uV; limits that lie beyond are no limits
BLOCK = 1 << 24  # bytes read at a time
FIELDS = (  # of each signal: bytes, in the header's order
    ("label", 16), ("transducer", 80), ("unit", 8), ("physical_min", 8), ("physical_max", 8),
    ("digital_min", 8), ("digital_max", 8), ("prefiltering", 80), ("samples", 8), ("reserved", 32),
)  # fmt: skip
ONSET = re.compile(rb"([+-]\d+(?:[.,]\d*)?)(?:\x15[\d.,]*)?\x14")  # of a data record, by its first annotation
LEAST_GAP = 0.01  # seconds between two data records; less is how their times are rounded
CLOCK = 1e-3  # share by which the recorder's clock may be wrong


@dataclass(frozen=True)
class EdfSignal:
    """A signal: physical value = gain * (digital + offset), in `unit`; gain None where limits give no scale.

    samples: in each data record, from its byte `first` on.
    """

    label: str
    unit: str
    gain: float | None
    offset: float
    samples: int
    first: int
    sampling_rate: float


@dataclass(frozen=True)
class EdfFile:
    """What a header says: `signals`, and `annotations` that lie among them.

    records: data records there are, of `seconds` each, from byte `start` on. width: bytes of a sample. kind:
    "EDF+C", "EDF+D", "BDF+C", "BDF+D" or whatever else stands in the reserved field.
    """

    path: Path
    records: int
    seconds: float
    start: int
    width: int
    kind: str
    signals: tuple[EdfSignal, ...]
    annotations: tuple[EdfSignal, ...]

    @property
    def record_size(self) -> int:
        """Bytes of a data record."""
        return self.width * sum(signal.samples for signal in (*self.signals, *self.annotations))


def open_file(path: Path) -> EdfFile:
    """The header of an EDF, EDF+ or BDF file.

    Raises Damaged, an Unreadable, when it is damaged or cut short; Unreadable if it has no signals.
    """
    with open(path, "rb") as file:
        fixed = file.read(256)
        width = {b"0": 2, b"\xff": 3}.get(fixed[:1], 0)
        if not width or (width == 3 and fixed[1:8] != b"BIOSEMI"):
            raise Damaged("is no EDF file")
        size, count = _whole(fixed[184:192], "size"), _whole(fixed[252:256], "number of signals")
        if not 1 <= count <= MOST_SIGNALS or size != 256 * (1 + count):
            raise Damaged(f"is damaged ({count} signals, a header of {size} bytes)")
        content = file.read(256 * count)
        there = os.fstat(file.fileno()).st_size - size
    said, seconds = _whole(fixed[236:244], "number of data records"), _number(fixed[244:252])
    rows, place = {}, 0
    for field, length in FIELDS:
        rows[field] = [content[place + i * length :][:length] for i in range(count)]
        place += count * length
    if len(content) < 256 * count:
        raise Damaged(f"is cut short (its header has {256 + len(content)} bytes of {size})")
    every, first = [], 0
    for row in zip(*(rows[field] for field, _ in FIELDS), strict=True):
        signal = _signal(dict(zip(rows, row, strict=True)), first, seconds)
        every.append(signal)
        first += width * signal.samples
    annotations = [signal for signal in every if signal.label in ("EDF Annotations", "BDF Annotations")]
    signals = [signal for signal in every if signal not in annotations]
    if not signals:
        raise Unreadable("holds annotations and no signals")
    if not 0 < seconds < np.inf:
        raise Damaged(f"gives its data records a duration of {_text(fixed[244:252]) or 'nothing'}")
    records = max(there, 0) // first if first else 0
    if records < said:
        raise Damaged(f"is cut short ({records} data records, its header says {said})")
    if not records:
        raise Damaged("holds no data record")
    return EdfFile(
        path, records, seconds, size, width, _text(fixed[192:236]), tuple(signals), tuple(annotations)
    )


def _signal(fields: dict[str, bytes], first: int, seconds: float) -> EdfSignal:
    samples = _whole(fields["samples"], "number of samples")
    if samples < 0:
        raise Damaged(f"is damaged ({samples} samples in a data record)")
    physical = [_number(fields[f"physical_{end}"]) for end in ("min", "max")]
    digital = [_number(fields[f"digital_{end}"]) for end in ("min", "max")]
    gain, offset, unit = None, 0.0, _text(fields["unit"])
    near = (np.abs(physical) * (microvolts(unit) or 1.0) <= HIGHEST).all()  # no NaN is
    if near and np.isfinite(digital).all() and np.ptp(physical) and np.ptp(digital):
        gain = (physical[1] - physical[0]) / (digital[1] - digital[0])
        offset = physical[1] / gain - digital[1]
    rate = samples / seconds if seconds else 0.0
    return EdfSignal(_text(fields["label"]), unit, gain, offset, samples, first, rate)


def _text(field: bytes) -> str:
    """A field without the blanks, or NULs, around it; Latin-1 where it is no UTF-8."""
    try:
        text = field.decode("utf-8")
    except UnicodeDecodeError:
        text = field.decode("latin-1")
    return text.replace("\0", " ").strip()


def _number(field: bytes) -> float:
    """The number in a field, NaN where there is none."""
    try:
        return float(_text(field).replace(",", "."))
    except ValueError:
        return np.nan


def _whole(field: bytes, what: str) -> int:
    number = _number(field)
    if not number.is_integer():
        raise Damaged(f"is damaged (its {what} is {_text(field)!r})")
    return int(number)


def refuse_gaps(file: EdfFile) -> None:
    """Raises Unreadable when the data records do not follow each other, by the times that they bear.

    EDF+ says so in its reserved field, which programs get wrong either way; EDF has no times.
    """
    discontinuous = file.kind[3:5] == "+D"
    found = {record: match for record, match in enumerate(_times(file)) if match}
    if discontinuous and len(found) < file.records:
        raise Unreadable(f"may have gaps in time ({file.kind[:5]} without times): cut it into its parts")
    if not found:
        return
    records = np.array(list(found))
    onsets = np.array([float(match[1].replace(b",", b".")) for match in found.values()])
    expected = onsets[0] + (records - records[0]) * file.seconds
    late = np.diff(onsets - expected, prepend=0)
    wrong = (np.abs(late) > LEAST_GAP) | (np.abs(onsets - expected) > LEAST_GAP + CLOCK * expected)
    if wrong.any():
        first = int(wrong.argmax())
        raise Unreadable(
            f"has gaps in time (data record {records[first] + 1} starts at {onsets[first]:g} s, not at"
            f" {expected[first]:g} s): cut it into its parts"
        )


def _times(file: EdfFile) -> list[re.Match | None]:
    """The time that each data record bears, None for one without."""
    if not file.annotations:
        return [None]
    first, length = file.annotations[0].first, file.width * file.annotations[0].samples
    return [
        ONSET.match(row[first : first + length].tobytes().lstrip(b"\0"))
        for block in _blocks(file, 0, file.records)
        for row in block
    ]


def _blocks(file: EdfFile, first: int, last: int) -> Iterator[np.ndarray]:
    """Data records `first` to `last` as they are on disk, some at a time: uint8 (records, bytes).

    They are read, for where a disk fails a memory map ends the process.
    """
    step = max(1, BLOCK // file.record_size)
    with open(file.path, "rb") as opened:
        opened.seek(file.start + first * file.record_size)
        for start in range(first, last, step):
            content = opened.read(min(step, last - start) * file.record_size)
            yield np.frombuffer(content, dtype=np.uint8).reshape(-1, file.record_size)


def read(file: EdfFile, signals: Sequence[EdfSignal], start: int, stop: int) -> np.ndarray:
    """Samples `start` to `stop` of signals of one rate in their units: float32 (signals, samples).

    Counts of a signal without a scale. Only this stretch is read. Raises IndexError when it reaches past the
    recording.
    """
    length = signals[0].samples
    if not 0 <= start < stop <= file.records * length:
        raise IndexError(f"samples {start} to {stop} are not in {file.path.name}")
    found = np.empty((len(signals), stop - start), dtype=np.float32)
    record = start // length
    for block in _blocks(file, record, -(-stop // length)):
        begin = max(start - record * length, 0)
        end = min(stop - record * length, len(block) * length)
        place = record * length + begin - start
        for row, signal in zip(found, signals, strict=True):
            part = block[:, signal.first : signal.first + file.width * length]
            digital = _as_integers(np.ascontiguousarray(part), file.width)[begin:end]
            row[place : place + end - begin] = (
                digital if signal.gain is None else (digital + signal.offset) * signal.gain
            )
        record += len(block)
    return found


def _as_integers(rows: np.ndarray, width: int) -> np.ndarray:
    """Little-endian integers of `width` bytes, 2 or 3, in uint8 `rows`: int (samples,)."""
    if width == 2:
        return rows.reshape(-1).view("<i2")
    low, middle, high = rows.reshape(-1, 3).T
    return low.astype(np.int32) + (middle.astype(np.int32) << 8) + (high.view(np.int8).astype(np.int32) << 16)
