"""HDF5 files: `signals` with channels, rate and unit; records of SPH (`ecg`) and CODE-15 % (`tracings`)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from biosignals.data.readers.signal import (
    INVALID,
    LARGEST_FILE,
    InvalidRecording,
    Signal,
    filled,
    usual_leads,
)
from biosignals.data.sph import own_dataset
from biosignals.data.units import microvolts

# What attributes of the data set or of the file, or data sets beside it, are called.
RATE = ("sampling_rate", "sampling_frequency", "sample_rate", "samplingrate", "sfreq", "fs", "frequency")
UNIT = ("unit", "units")
NAMES = (
    "channels", "channel", "channel_names", "ch_names", "leads", "lead", "lead_names", "sig_name", "names",
    "labels", "label",
)  # fmt: skip
SCALE = (
    "gain", "adc_gain", "scale", "scale_factor", "scaling", "conversion", "conversion_factor", "lsb",
)  # fmt: skip
OFFSET = ("offset", "add_offset", "baseline", "adc_zero")
MISSING = ("_fillvalue", "missing_value")
MOST_STATED = 10_000  # values of such a data set


class Kind(NamedTuple):
    """What a data set of a name and type is where the file does not say: sampling rate (Hz) and unit."""

    data: str
    dtype: str
    rate: float | None
    unit: str | None


KINDS = (
    Kind("ecg", "float16", 500.0, "mV"),  # SPH
    # Ribeiro et al., CODE-15 %, Zenodo 4916206 (2021), states no unit; the PhysioNet Challenge 2025 reads mV.
    Kind("tracings", "float", 400.0, "mV"),
    Kind("signals", "float", None, "mV"),
    Kind("ecg", "float", None, "mV"),
    Kind("signals", "int", None, None),  # counts, or whatever unit the file states
    Kind("ecg", "int", None, None),
)


def read(path: Path, sampling_rate: float | None, unit: str | None, record: str | None) -> Signal:
    """The signals in an HDF5 file. Missing samples, NaN or infinite, are filled by lines.

    sampling_rate, unit: where the file states none. record: of `tracings` of several recordings, an
    `exam_id`, or a number from 0 where there is none. Raises InvalidRecording for a file without such
    signals, rate or unit, and for what it states otherwise than it is given.
    """
    with h5py.File(path, "r") as file:
        kind, data = _kind(file)
        rates, units, names, scale, offset, missing = (
            _stated(file, data, keys) for keys in (RATE, UNIT, NAMES, SCALE, OFFSET, MISSING)
        )
        values = _values(file, data, record)
    if not (_are(scale, 1) and _are(offset, 0)):
        raise InvalidRecording(
            "states a scale or an offset, which is not applied here: store its signals in their unit"
        )
    names = _split(names, values.shape)
    values = _upright(values, len(names))
    if kind.data == "tracings":  # zeros make all of one length
        recorded = np.flatnonzero(values.any(axis=0))
        values = values[:, recorded[0] : recorded[-1] + 1] if recorded.size else values
    values[~np.isfinite(values) | np.isin(values, [INVALID, *map(float, missing)])] = np.nan
    units = _split(units, values.shape) or [unit or kind.unit or ""]
    if unit and any(microvolts(each) != microvolts(unit) for each in units):
        raise InvalidRecording(f"it states its unit as {', '.join(units)}, and {unit} is asked for")
    if not any(units):
        raise InvalidRecording("holds whole numbers of no stated unit: add an attribute `unit`")
    stated = {_hertz(rate) for rate in rates}
    rate = next(iter(stated), sampling_rate or kind.rate)
    if rate is None or len(stated) > 1:
        raise InvalidRecording("does not state one sampling rate: add an attribute `sampling_rate`, in Hz")
    channels = tuple(names or usual_leads(values))
    if len(units) == 1:
        units *= len(channels)
    return Signal(filled(values), channels, tuple(units), float(rate))


def _kind(file: h5py.File) -> tuple[Kind, h5py.Dataset]:
    """The data set that holds the signals, and of what kind it is."""
    for kind in KINDS:
        data = own_dataset(file, kind.data)
        if data is not None and data.ndim in (1, 2, 3) and kind.dtype in data.dtype.name:
            return kind, data
    raise InvalidRecording("needs a data set `signals` of its own, (channels, samples)")


def _stated(file: h5py.File, data: h5py.Dataset, keys: tuple[str, ...]) -> list:
    """The values of one of `keys` among the attributes and small data sets of a file: none, one or more."""
    for attributes in (data.attrs, file.attrs):
        for key in attributes:
            if key.casefold().removesuffix("_hz") in keys:
                return _values_of(attributes[key])
    for key in file:
        beside = own_dataset(file, key) if key.casefold().removesuffix("_hz") in keys else None
        if beside is not None and beside.size <= MOST_STATED:
            return _values_of(beside[()])
    return []


def _values_of(stated: object) -> list:
    return [value.decode() if isinstance(value, bytes) else value for value in np.ravel(stated).tolist()]


def _split(texts: list, shape: tuple[int, ...]) -> list[str]:
    """Texts, also where all stand in one: "I, II, III", or "I II III" for signals with three rows."""
    texts = list(map(str, texts))
    if len(texts) != 1:
        return texts
    words = re.split(r"[\s,;|]+", texts[0].strip())
    return words if len(words) in shape or re.search("[,;|]", texts[0]) else texts


def _are(stated: list, number: float) -> bool:
    """Whether all that is stated is one number."""
    try:
        return {float(value) for value in stated} <= {number}
    except ValueError:
        return False


def _hertz(stated: object) -> float:
    """The number in "500", 500, "500 Hz" or "0.5 kHz"."""
    number = str(stated).casefold().removesuffix("hz").strip()
    return 1000 * float(number.removesuffix("k")) if number.endswith("k") else float(number)


def _values(file: h5py.File, data: h5py.Dataset, record: str | None) -> np.ndarray:
    """The samples of one recording, float32 in two dimensions."""
    if np.prod(data.shape[data.ndim == 3 :]) > LARGEST_FILE // 4:
        raise InvalidRecording(f"more than {LARGEST_FILE >> 20} MiB; cut it first")
    if data.ndim < 3:
        return np.atleast_2d(data[()].astype(np.float32))
    exams = own_dataset(file, "exam_id")
    numbers = range(len(data)) if exams is None or len(exams) != len(data) else exams[()].tolist()
    names = list(map(str, numbers))
    if record is None and len(names) == 1:
        return data[0].astype(np.float32)
    if record is None or record not in names:
        some = ", ".join(names[:3]) + " ..." * (len(names) > 3)
        raise InvalidRecording(f"holds {len(names):,} recordings ({some}): name one as its record")
    return data[names.index(record)].astype(np.float32)


def _upright(values: np.ndarray, count: int) -> np.ndarray:
    """Values as (channels, samples), turned where the number of names, or of an ECG's leads, says so."""
    usual = (count,) if count else (1, 8, 12)
    return values if len(values) in usual or values.shape[1] not in usual else np.ascontiguousarray(values.T)
