"""WFDB records of any format and spelling, for the files that people bring and for sets with unusual ones.

Format: https://wfdb.io/spec, header files and signal files. The header is read here, as leniently as the
programs that write it; samples that are not plain integers are decoded by the `wfdb` package, from a header
and file names that it knows. `waveforms` reads the plain records of a set, much faster.
"""

from __future__ import annotations

import re
import struct
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from biosignals.data.errors import Damaged, Unreadable
from biosignals.data.units import microvolts

LARGEST_FILE = 1 << 28  # bytes; a header that says more is damaged
LARGEST_HEADER = 65536  # bytes; a 12-lead header has about 600
LONGEST_LINE = 1000  # characters
MOST_SIGNALS = 1000
BLOCK = 1 << 20  # samples decoded at a time
FINEST, COARSEST = 1e-4, 1e4  # microvolts per count of 16 bits; a header that says less or more is damaged
LONG_FORMATS = ("24", "32", "524")  # whose counts may be as much finer as they are longer
HIGHEST_BASELINE = 1 << 31  # counts, likewise
# Bytes per sample (None: compressed) and the count that marks a missing sample, of each format.
FORMATS = {
    "8": (1, None), "16": (2, -(1 << 15)), "24": (3, -(1 << 23)), "32": (4, -(1 << 31)),
    "61": (2, -(1 << 15)), "80": (1, -(1 << 7)), "160": (2, -(1 << 15)), "212": (3 / 2, -(1 << 11)),
    "310": (4 / 3, -(1 << 9)), "311": (4 / 3, -(1 << 9)), "508": (None, -(1 << 7)),
    "516": (None, -(1 << 15)), "524": (None, -(1 << 23)),
}  # fmt: skip
INTEGERS = {"16": "<i2", "32": "<i4", "61": ">i2"}
MATLAB_TYPES = {"16": 30, "32": 20, "61": 1030, "80": 50}  # of a matrix, by the format of its numbers
SEGMENT_LINE = re.compile(r"([\w-]+|~)\s+(\d{1,12})")
SIGNAL_LINE = re.compile(
    r"""(?P<file>\S+|[^/\\]+?)\s+(?P<format>\d+)(?:x(?P<per_frame>\d+))?(?::(?P<skew>\d+))?(?:\+(?P<offset>\d+))?
    (?:\s+(?P<gain>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(?:\((?P<baseline>-?\d+)\))?(?:/(?P<unit>\S+))?
    (?:\s+(?P<resolution>-?\d+)(?:\s+(?P<zero>-?\d+)(?:\s+(?P<initial>-?\d+)(?:\s+(?P<checksum>-?\d+)
    (?:\s+(?P<block>-?\d+))?)?)?)?)?)?
    (?:\s+(?P<name>(?(block)\S|(?!(?:nan|inf\w*)[/(])[^\s\d.+-]).*))?""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Line:
    """A signal's line in a header: physical value = (count - baseline) / gain, in `unit`.

    per_frame: samples in each frame. skew: frames by which it lags. offset: bytes before the first sample.
    initial: first count, of format 8. checksum: sum of all counts modulo 65536; 0 says nothing.
    """

    file: str
    format: str
    per_frame: int
    skew: int
    offset: int
    gain: float
    baseline: int
    unit: str
    initial: int
    checksum: int
    name: str


@dataclass(frozen=True)
class Header:
    """A header: frames per second, frames (0: not said) and the line of each signal that has a file."""

    frame_rate: float
    frames: int
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Channel:
    """A signal: float32 (samples,) in `unit`, NaN where a sample is missing; sampling rate in Hz."""

    name: str
    unit: str
    sampling_rate: float
    values: np.ndarray


def lines(content: bytes) -> list[str]:
    """The lines of a header file that are not empty, without blanks around them."""
    wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    return [line for line in map(str.strip, text.splitlines()) if line]


def read_header(path: Path) -> Header:
    """The header in file `path`.

    Raises Damaged, an Unreadable, when it is damaged; Unreadable for a record of several segments or without
    signal files.
    """
    fields, signals = _record_line(path)
    try:
        name, count, rate = fields[0], int(fields[1]), _rate(fields[2]) if len(fields) > 2 else 250.0
    except (IndexError, ValueError) as error:
        raise Damaged(f"header is damaged: {' '.join(fields)!r} is no record line") from error
    if "/" in name:
        raise Unreadable("a record of several segments; ask about one of them")
    if not count:
        raise Unreadable("its header names no signal file")
    if not 1 <= count <= min(len(signals), MOST_SIGNALS):
        raise Damaged(f"header is damaged: it announces {count} signals and describes {len(signals)}")
    frames = int(fields[3]) if len(fields) > 3 and fields[3].isdecimal() else 0
    parsed = [_parse_line(line) for line in signals[:count]]
    there = tuple(line for line in parsed if line.file != "~" and line.format != "0")  # no null signals
    if not there:
        raise Unreadable("its header names no signal file")
    return Header(rate, frames, there)


def _record_line(path: Path) -> tuple[list[str], list[str]]:
    """The fields of a header's first line, and its other lines, without comments."""
    with open(path, "rb") as file:
        content = file.read(LARGEST_HEADER + 1)
    if len(content) > LARGEST_HEADER:
        raise Damaged("header is too large to be a WFDB header")
    record, *others = [line for line in lines(content) if line[0] != "#"] or [""]
    blanks = path.stem.count(" ") if record.startswith(f"{path.stem} ") else 0  # in the name of the record
    return record.split(" ", blanks)[-1].split(), others


def _rate(field: str) -> float:
    """Frames per second in "250", "250/360" or "250/360(0)"."""
    rate = float(re.split(r"[/(]", field)[0])
    if not 0 < rate < 1e7:
        raise ValueError(f"a sampling rate of {rate} Hz")
    return rate


def _parse_line(line: str) -> Line:
    """What a signal's line says, with WFDB's defaults for what it leaves out; Unreadable for nonsense."""
    match = SIGNAL_LINE.fullmatch(line) if len(line) <= LONGEST_LINE else None
    if match is None:
        raise Damaged(f"header is damaged: {line[:80]!r} is no signal's line")
    found = match.groupdict()
    name = found["file"]
    if re.search(r"[/\\]", name) or name in (".", "..") or not name.isprintable():
        raise Unreadable("its header names a file outside of its folder: refused")
    number = {key: int(found[key] or 0) for key in ("skew", "offset", "zero", "initial", "checksum")}
    gain, unit = float(found["gain"] or 0) or 200.0, found["unit"] or "mV"
    baseline = int(found["baseline"] or number["zero"])
    try:
        refuse_absurd((microvolts(unit) or 1.0) / gain, baseline, number["offset"], found["format"])
    except ValueError as error:
        raise Damaged(f"header is damaged ({error})") from error
    return Line(
        file=name, format=found["format"], per_frame=int(found["per_frame"] or 1), skew=number["skew"],
        offset=number["offset"], gain=gain, baseline=baseline, unit=unit, initial=number["initial"],
        checksum=number["checksum"] % 65536, name=found["name"] or "",
    )  # fmt: skip


def refuse_absurd(factor: float, baseline: int, offset: int, form: str = "16") -> None:
    """Raises ValueError for microvolts per count, a baseline and a first byte that no recorder writes in a
    format.
    """
    finest = FINEST / (1 << 16) if form in LONG_FORMATS else FINEST
    if not finest <= abs(factor) <= COARSEST:
        raise ValueError(f"by its gain a count is {factor:g} uV")
    if abs(baseline) > HIGHEST_BASELINE:
        raise ValueError(f"it gives a baseline of {float(baseline):g} counts")
    if not 0 <= offset <= LARGEST_FILE:
        raise ValueError(f"its samples start at byte {float(offset):g}")


def read(path: Path, largest: int) -> list[Channel]:
    """The signals of the record whose header is `path`, decoded in blocks.

    A file that lacks no more than its last frame is read without it. largest: samples of all signals
    together that are read at most. Of several segments, one follows the other, with NaN where one is missing.
    Raises Unreadable for a record that is longer, damaged, cut short by more, does not fit its checksums or
    has segments of different signals.
    """
    fields, listed = _record_line(path)
    if fields and "/" in fields[0]:
        return _read_segments(path, fields, listed, largest)
    return _read_segment(path, largest)


def _read_segments(path: Path, fields: list[str], listed: list[str], largest: int) -> list[Channel]:
    """The signals of a record of several segments; fields, listed: of its header."""
    count = fields[0].partition("/")[2]
    if not count.isdecimal() or not 0 < int(count) <= len(listed):
        raise Damaged(f"header is damaged: it announces {count} segments and lists {len(listed)}")
    try:
        rate = _rate(fields[2]) if len(fields) > 2 else 250.0
    except ValueError as error:
        raise Damaged(f"header is damaged ({error})") from error
    parts: list[tuple[int, list[Channel] | None]] = []
    too_long = Unreadable(f"it holds more than {largest:,} samples; cut it first")
    held = 0
    for line in listed[: int(count)]:
        segment = SEGMENT_LINE.fullmatch(line)
        if segment is None:
            raise Damaged(f"header is damaged: {line[:80]!r} is no segment's line")
        name, frames = segment[1], int(segment[2])
        if not frames:  # it says how others are laid out
            continue
        channels = None if name == "~" else _read_segment(_find(path.parent, f"{name}.hea"), largest)
        parts.append((frames, channels))
        held += sum(len(one.values) for one in channels or ())
        if held > largest:
            raise too_long
    there = [channels for _, channels in parts if channels]
    kinds = {tuple((one.name, one.unit, one.sampling_rate) for one in channels) for channels in there}
    if len(kinds) != 1:
        raise Unreadable("its segments hold different signals; ask about one of them")
    if sum(frames for frames, _ in parts) / rate * sum(one.sampling_rate for one in there[0]) > largest:
        raise too_long
    return [_join(number, parts, one, rate) for number, one in enumerate(there[0])]


def _join(number: int, parts: list[tuple[int, list[Channel] | None]], like: Channel, rate: float) -> Channel:
    """Signal `number` of all segments, (frames, signals) each, which is as `like`."""
    values = []
    for frames, channels in parts:
        length = round(frames * like.sampling_rate / rate)
        found = np.full(length, np.nan, np.float32) if channels is None else channels[number].values
        if len(found) != length:
            raise Damaged(f"one of its segments has {len(found)} samples, its header says {length}")
        values.append(found)
    return replace(like, values=np.concatenate(values))


def _read_segment(path: Path, largest: int) -> list[Channel]:
    header = read_header(path)
    files = {line.file: _find(path.parent, line.file) for line in header.lines}
    frames = _frames(header, files)
    if frames * sum(line.per_frame for line in header.lines) > largest:
        raise Unreadable(f"it holds more than {largest:,} samples; cut it first")
    found: dict[int, np.ndarray] = {}
    for name, file in files.items():
        own = [number for number, line in enumerate(header.lines) if line.file == name]
        found |= dict(zip(own, _read_file(file, [header.lines[number] for number in own], header, frames)))
    return [
        Channel(
            line.name or f"signal {number + 1}", line.unit, header.frame_rate * line.per_frame, found[number]
        )
        for number, line in enumerate(header.lines)
    ]


def _find(folder: Path, name: str) -> Path:
    """File `name` in `folder`, whatever the case of its letters; Unreadable where it is not."""
    if (folder / name).is_file():
        return folder / name
    for path in folder.iterdir():
        if path.name.casefold() == name.casefold() and path.is_file():
            return path
    raise Damaged(f"{name}, which its header names, is not beside it")


def _frames(header: Header, files: dict[str, Path]) -> int:
    """How many frames can be read of what the header announces; Unreadable where files are too short."""
    there = []
    for name, file in files.items():
        own = [line for line in header.lines if line.file == name]
        form, offset = own[0].format, own[0].offset
        if not all(line.per_frame for line in own):
            raise Damaged(f"header is damaged: no samples in a frame of {name}")
        if form not in FORMATS or any((line.format, line.offset) != (form, offset) for line in own):
            forms = ", ".join(sorted({line.format for line in own}))
            raise Unreadable(f"{name} is of format {forms}, which is not known")
        per_frame = sum(line.per_frame for line in own)
        width, _ = FORMATS[form]
        if width is not None:
            there.append((int((file.stat().st_size - offset) / width) // per_frame, name))
            with open(file, "rb") as opened:
                check_matlab_header(name, opened.read(min(offset, 1024)), form, per_frame, header.frames)
        elif not header.frames:
            raise Unreadable("its header does not say how long it is")
    if not there:
        return header.frames
    fewest, name = min(there)
    if fewest < 1 or fewest < header.frames - 1:  # some sets lack the last byte of each file
        raise Damaged(f"{name} is cut short ({max(fewest, 0)} samples, its header says {header.frames})")
    return min(fewest, header.frames or fewest)


def check_matlab_header(name: str, start: bytes, form: str, channels: int, samples: int) -> None:
    """Refuses a .mat file that is not the matrix (channels, samples) for which its WFDB header was made.

    name: of the file. start: all its bytes before the first sample. form: its WFDB format. Raises Unreadable
    for a file that a program saved again, as another type or in another version, and for a header by which it
    has no such beginning. Format: Level 4 in MathWorks' MAT-File Format.
    """
    if not name.lower().endswith(".mat") or form not in MATLAB_TYPES:
        return
    fields = struct.unpack("<5i", start[:20]) if len(start) >= 20 else (0,) * 5
    kind, rows, columns, imaginary, length = fields
    if (
        (kind, imaginary, length) != (MATLAB_TYPES[form], 0, len(start) - 20)
        or (rows != channels and channels > 1)
        or rows * columns < channels * samples
    ):
        raise Unreadable(
            f"{name} is no MATLAB 4 file of {channels} x {samples} numbers in format {form}, as its header"
            " says: it was saved again, or is damaged; take the one that came with the header"
        )


def _read_file(file: Path, own: list[Line], header: Header, frames: int) -> list[np.ndarray]:
    """The signals of one file, in their units: float32 (samples,) each, NaN where a sample is missing.

    Where the checksums do not fit, a header made shorter by hand is told by those of the whole file.
    """
    missing = FORMATS[own[0].format][1]
    found = [np.empty(frames * line.per_frame, dtype=np.float32) for line in own]
    sums, first = np.zeros(len(own), dtype=np.int64), 0
    for block in _decode(file, own, frames):
        for number, (line, counts) in enumerate(zip(own, block, strict=True)):
            values = (counts - np.float64(line.baseline)) / line.gain
            values[counts == missing] = np.nan
            found[number][first * line.per_frame :][: len(values)] = values
            sums[number] += counts.sum(dtype=np.int64)
        first += len(block[0]) // own[0].per_frame
    said = np.array([line.checksum for line in own])
    whole = header.frames in (0, frames) and not any(line.skew for line in own)
    if whole and not _fits(said, sums) and not _fits(said, _sums(file, own)):
        raise Damaged(
            f"{file.name} does not fit its header's checksums: one of the two was changed, or is damaged "
            "(a checksum of 0 says nothing)"
        )
    return found


def _fits(said: np.ndarray, sums: np.ndarray) -> bool:
    return bool(((said == 0) | (said == sums % 65536)).all())


def _sums(file: Path, own: list[Line]) -> np.ndarray:
    """The sum of each signal's counts over the whole of a file: int64 (signals,)."""
    width, _ = FORMATS[own[0].format]
    if width is None:
        return np.full(len(own), -1)
    frames = int((file.stat().st_size - own[0].offset) / width) // sum(line.per_frame for line in own)
    sums = np.zeros(len(own), dtype=np.int64)
    for block in _decode(file, own, frames):
        sums += [counts.sum(dtype=np.int64) for counts in block]
    return sums


def _decode(file: Path, own: list[Line], frames: int) -> Iterator[list[np.ndarray]]:
    """The counts of a file's signals in blocks of frames: int (samples,) of each signal."""
    per_frame = sum(line.per_frame for line in own)
    step = max(1, BLOCK // per_frame)
    if own[0].format == "8":  # differences, of which no stretch makes sense alone
        step = frames
    starts = range(0, frames, step)
    kind = INTEGERS.get(own[0].format)
    if kind and not any(line.skew for line in own):
        ends = np.cumsum([line.per_frame for line in own])
        with open(file, "rb") as opened:  # where a disk fails, a memory map would end the process
            opened.seek(own[0].offset)
            for start in starts:
                count = min(step, frames - start) * per_frame
                block = np.fromfile(opened, dtype=kind, count=count).reshape(-1, per_frame)
                yield [column.reshape(-1) for column in np.split(block, ends[:-1], axis=1)]
        return
    import wfdb

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "0.dat").symlink_to(file.resolve())
        text = [f"record {len(own)} 250 {frames}"]
        for line in own:
            form = f"{line.format}x{line.per_frame}:{line.skew}+{line.offset}"
            text.append(f"0.dat {form} 1(0)/NU 0 0 {line.initial} 0 0 signal")
        (Path(folder) / "record.hea").write_text("\n".join(text) + "\n")
        for start in starts:
            stop = min(start + step, frames)
            try:
                record = wfdb.rdrecord(
                    f"{folder}/record", start, stop, physical=False, smooth_frames=False, return_res=32
                )
            except ValueError as error:
                raise Damaged(f"{file.name} is damaged, or not of format {own[0].format}") from error
            yield record.e_d_signal
