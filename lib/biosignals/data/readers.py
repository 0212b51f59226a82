"""Any file that holds a recording > signals with named channels and units."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path

import numpy as np

from biosignals.data import waveforms

UNITS = {"v": 1e6, "mv": 1e3, "uv": 1.0, "µv": 1.0, "μv": 1.0}  # in microvolts
LARGEST_FILE = 1 << 28  # bytes, of a recording and of a model
HIGHEST = 50_000.0  # microvolts; more than skin ever shows: the unit is another
LOWEST = 5.0  # microvolts; a recording of which no channel spans as much is in another unit, too
WFDB = (".hea", ".dat", ".mat")
FILE_TYPES = (*WFDB, ".edf", ".csv", ".h5")


class InvalidRecording(ValueError):
    """A recording that a model was not made for, or that cannot be read; the message says why and what to do.

    args: the message's lines. What files and cards call themselves may hold anything: as text, only what is
    printable is left.
    """

    def __str__(self) -> str:
        return "\n".join(printable(str(line)) for line in self.args)


@dataclass(frozen=True)
class Signal:
    """A recording: float32 (channels, samples), each channel's name and unit, and the sampling rate in Hz."""

    values: np.ndarray
    channels: tuple[str, ...]
    units: tuple[str, ...]
    sampling_rate: float


def printable(text: str) -> str:
    """A text with escapes in place of what a terminal would obey rather than show."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


# Reading a recording


def read(path: Path | str, sampling_rate: float | None = None, unit: str = "mV") -> Signal:
    """A recording from a WFDB record (its .hea, .dat or .mat), EDF (.edf), CSV (.csv) or HDF5 file (.h5).

    EDF: of channels sampled at several rates, those of the highest. CSV: a column per channel, in `unit`,
    named in the first row; a column `time` in seconds gives the sampling rate, or else `sampling_rate` does.
    HDF5: a data set `signals` (channels, samples) with attributes `channels`, `sampling_rate`, `unit`; or a
    record of SPH. Raises InvalidRecording for anything else, for damaged files and for those that point to
    files elsewhere.
    """
    try:
        path = Path(path)
    except TypeError:
        raise InvalidRecording(
            f"a recording is a file, an array (channels, samples) or a Signal, no {type(path).__name__}"
        ) from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # readers warn of damage that is refused here
            return check_signal(_read(path, sampling_rate, unit))
    except (InvalidRecording, waveforms.Unreadable) as error:
        raise InvalidRecording(f"{path.name}: {error}") from error
    except Exception as error:  # whatever a damaged file makes a reader raise
        raise InvalidRecording(f"{path.name}: cannot be read ({type(error).__name__}: {error})") from error


def from_array(values: np.ndarray, channels: Sequence[str], sampling_rate: float, unit: str = "mV") -> Signal:
    """A recording from `values` (channels, samples). Raises InvalidRecording as `check_signal`."""
    if isinstance(channels, str):
        raise InvalidRecording("names of channels must be text, one for each channel in a list")
    try:
        values, channels, sampling_rate = np.asarray(values), tuple(channels), float(sampling_rate)
    except Exception as error:  # whatever an object that is no array raises
        raise InvalidRecording(
            f"no recording: an array, names of its channels and its sampling rate ({error})"
        ) from error
    signal = check_signal(Signal(values, channels, (unit,) * len(channels), sampling_rate))
    with np.errstate(over="ignore"):  # infinity is refused
        return replace(signal, values=values.astype(np.float32))


def _read(path: Path, sampling_rate: float | None, unit: str) -> Signal:
    kind = path.suffix.lower()
    if kind not in FILE_TYPES:
        raise InvalidRecording(f"a recording is one of {', '.join(FILE_TYPES)}")
    if not path.is_file():
        raise InvalidRecording(f"there is no such file in {path.parent}")
    if path.stat().st_size > LARGEST_FILE:
        raise InvalidRecording(f"more than {LARGEST_FILE >> 20} MiB; cut it first")
    if kind == ".csv":
        return _read_csv(path, sampling_rate, unit)
    return {".edf": _read_edf, ".h5": _read_h5}.get(kind, _read_wfdb)(path)


def _read_wfdb(path: Path) -> Signal:
    place = path.with_suffix(".hea")
    header = waveforms.read_header(str(place))
    if header.layout is None:
        return _read_other_wfdb(place)
    if not waveforms.is_inside(header.file):
        raise InvalidRecording("its header names a file outside of its folder")
    if 2 * len(header.layout.channels) * header.samples > LARGEST_FILE:
        raise InvalidRecording(f"more than {LARGEST_FILE >> 20} MiB; cut it first")
    counts = waveforms.read_digital(str(place.parent / header.file), header)
    names = header.layout.channels
    microvolts = waveforms.to_microvolts(counts, header.layout, tuple(range(len(names))))
    values = np.where(microvolts == waveforms.INVALID, np.nan, microvolts).astype(np.float32)
    return Signal(_filled(values), names, ("uV",) * len(names), header.sampling_rate)


def _read_other_wfdb(place: Path) -> Signal:
    """What the plain reader leaves to the wfdb package: other formats, and units that are no voltages."""
    import wfdb

    stem = str(place.with_suffix("").resolve())
    header = wfdb.rdheader(stem)  # whose rules are those by which it is read below
    if isinstance(header, wfdb.MultiRecord):
        raise InvalidRecording("a record of several segments; ask about one of them")
    if not header.file_name or not all(map(waveforms.is_inside, header.file_name)):
        raise InvalidRecording("its header names no file, or one outside of its folder")
    bytes_there = sum((place.parent / file).stat().st_size for file in set(header.file_name))
    samples = sum(each or 1 for each in header.samps_per_frame) * (header.sig_len or 0)
    if max(bytes_there, samples) > LARGEST_FILE:
        raise InvalidRecording(f"more than {LARGEST_FILE >> 20} MiB; cut it first")
    record = wfdb.rdrecord(stem)
    values = np.asarray(record.p_signal.T, dtype=np.float32)
    return Signal(
        _filled(values), tuple(name or "" for name in record.sig_name), tuple(record.units), float(record.fs)
    )


def _filled(values: np.ndarray) -> np.ndarray:
    """Lines drawn over missing samples (NaN), as in training; not where they are too many."""
    time = np.arange(values.shape[1])
    for lead in values:
        missing = np.isnan(lead)
        if 0 < missing.mean() <= waveforms.MOST_INVALID:
            lead[missing] = np.interp(time[missing], time[~missing], lead[~missing])
    return values


def _read_edf(path: Path) -> Signal:
    import edfio

    from biosignals.data import eeg

    records = eeg.read_length(path)
    edf = edfio.read_edf(path, lazy_load_data=True, header_encoding="latin-1")
    if edf.num_data_records != records:
        raise InvalidRecording(f"cut short: {edf.num_data_records} data records, its header says {records}")
    if edf.reserved.startswith("EDF+D"):
        raise InvalidRecording("has gaps in time (EDF+D); ask about its parts")
    rate = max(signal.sampling_frequency for signal in edf.signals)
    chosen = [place for place, signal in enumerate(edf.signals) if signal.sampling_frequency == rate]
    names, signals = eeg.channel_names(edf.labels), [edf.signals[place] for place in chosen]
    return Signal(
        np.stack([signal.data.astype(np.float32) for signal in signals]),
        tuple(names[place].removeprefix("ecg ") for place in chosen),
        tuple(signal.physical_dimension for signal in signals), float(rate),
    )  # fmt: skip


def _read_csv(path: Path, sampling_rate: float | None, unit: str) -> Signal:
    with open(path, encoding="utf-8-sig", newline="") as file:
        names = [name.strip() for name in next(csv.reader(file))]
        table = np.loadtxt(file, delimiter=",", comments=None, ndmin=2).T
    if len(table) != len(names):
        raise InvalidRecording(f"{len(names)} names in its first row, {len(table)} columns below")
    timed = [name.lower() in ("time", "time [s]") for name in names]
    if any(timed):
        times = table[timed.index(True)]
        even, step = np.linspace(times[0], times[-1], len(times), retstep=True)
        if not step > 0 or not np.abs(times - even).max() <= step / 2:  # they may be rounded
            raise InvalidRecording("its times do not go on in equal steps")
        sampling_rate = 1 / step
    if sampling_rate is None:
        raise InvalidRecording("give its sampling rate, or a column `time` in seconds")
    channels = tuple(name for name, is_time in zip(names, timed, strict=True) if not is_time)
    return Signal(
        table[~np.array(timed)].astype(np.float32), channels, (unit,) * len(channels), float(sampling_rate)
    )


def _read_h5(path: Path) -> Signal:
    import h5py

    from biosignals.data import sph

    with h5py.File(path, "r") as file:
        name = "signals" if "signals" in file else "ecg"  # which follows no link to another file
        signals = sph.own_dataset(file, name)
        if (
            signals is None
            or signals.ndim != 2
            or signals.dtype.kind not in "fiu"
            or signals.size > LARGEST_FILE // 4
        ):
            raise InvalidRecording("needs a data set `signals` of its own, (channels, samples)")
        values = signals[:].astype(np.float32)
        if name == "ecg":
            return Signal(values, sph.LEADS, ("mV",) * len(sph.LEADS), float(sph.SAMPLING_RATE))
        channels = tuple(map(_text, np.atleast_1d(signals.attrs["channels"])))
        units = (_text(signals.attrs["unit"]),) * len(channels)
        return Signal(values, channels, units, float(signals.attrs["sampling_rate"]))


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


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
    return signal
