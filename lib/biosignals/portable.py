"""Models to take away: an ONNX file, the card beside it, and what they say of a recording from outside.

A model is NAME.onnx, from signals in their unit as recorded to probabilities, and NAME.json, its card. It answers about recordings
that it was made for and refuses others; what it says is a statistic of its training set, not a diagnosis.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import edfio
import h5py
import numpy as np
import onnxruntime
import pandas as pd
import wfdb

from biosignals.signals.filters import resample

UNITS = {"v": 1e6, "mv": 1e3, "uv": 1.0, "µv": 1.0, "μv": 1.0}  # in microvolts
LARGEST_FILE = 1 << 30  # bytes
LARGEST_CARD = 1 << 20
HIGHEST = 50_000.0  # microvolts; more than skin ever shows: the unit is another
KINDS = (".hea", ".dat", ".edf", ".csv", ".h5")


class Refused(ValueError):
    """A recording that a model was not made for, or that cannot be read; the message says why and what to do."""


@dataclass(frozen=True)
class Card:
    """What a model is for.

    channels, unit ("mV", "uV"), sampling_rate (Hz), samples: of its input. classes and their thresholds: of its output;
    exclusive: whether just one of the classes is true. scores: records of `results`. limits: what it must not be used for.
    """

    model: str
    task: str
    channels: tuple[str, ...]
    unit: str
    sampling_rate: float
    samples: int
    classes: tuple[str, ...]
    exclusive: bool
    thresholds: tuple[float, ...]
    trained_on: str
    scores: tuple[dict, ...]
    params: int
    bytes: int
    latency_ms: float
    limits: tuple[str, ...]


@dataclass(frozen=True)
class Signal:
    """A recording: float32 (channels, samples) in microvolts, its channels' names and its sampling rate in Hz."""

    values: np.ndarray
    channels: tuple[str, ...]
    sampling_rate: float


def write_card(card: Card, model: Path) -> Path:
    """Write a card beside its model, NAME.json beside NAME.onnx."""
    place = Path(model).with_suffix(".json")
    unfinished = place.with_suffix(f".{os.getpid()}.part")
    unfinished.write_text(json.dumps(dataclasses.asdict(card), indent=1, allow_nan=False) + "\n")
    os.replace(unfinished, place)
    return place


def read_card(model: Path) -> Card:
    """The card beside a model. Raises Refused where it is missing or damaged."""
    place = Path(model).with_suffix(".json")
    try:
        if place.stat().st_size > LARGEST_CARD:
            raise Refused(f"{place}: too large for a card")
        values = json.loads(place.read_text())
        values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        return Card(**values)
    except FileNotFoundError:
        raise Refused(f"{place}: there is no card; a model needs the .json that came with its .onnx") from None
    except (json.JSONDecodeError, UnicodeDecodeError, TypeError, AttributeError) as error:
        raise Refused(f"{place}: not a model's card ({error})") from error


# Reading a recording


def read(path: Path, sampling_rate: float | None = None) -> Signal:
    """A recording from a WFDB record (.hea or .dat), EDF (.edf), CSV (.csv) or HDF5 file (.h5).

    CSV: a column per channel, in mV, named in the first row; a column `time` in seconds gives the sampling rate, or else
    `sampling_rate` does. HDF5: a data set `signals` (channels, samples) with attributes `channels`, `sampling_rate`, `unit`.
    Raises Refused for anything else.
    """
    path = Path(path)
    if path.suffix.lower() not in KINDS:
        raise Refused(f"{path.name}: a recording is one of {', '.join(KINDS)}")
    if not path.is_file():
        raise Refused(f"{path}: there is no such file")
    if path.stat().st_size > LARGEST_FILE:
        raise Refused(f"{path.name}: more than {LARGEST_FILE >> 20} MiB; cut it first")
    readers = {".edf": _read_edf, ".csv": _read_csv, ".h5": _read_h5}
    try:
        signal = readers.get(path.suffix.lower(), _read_wfdb)(path, sampling_rate)
    except Refused:
        raise
    except Exception as error:  # whatever a damaged file makes a reader raise
        raise Refused(f"{path.name}: cannot be read ({type(error).__name__}: {error})") from error
    return _checked(signal, path.name)


def from_array(values: np.ndarray, channels: Sequence[str], sampling_rate: float, unit: str = "mV") -> Signal:
    """A recording from an array (channels, samples). Raises Refused for a shape, unit or rate that cannot be."""
    values = np.asarray(values)
    if values.ndim != 2 or len(values) != len(channels):
        raise Refused(f"an array of shape {values.shape} for {len(channels)} channels: it must be (channels, samples)")
    return _checked(Signal(_microvolts(values, [unit] * len(values)), tuple(channels), float(sampling_rate)), "array")


def _read_wfdb(path: Path, sampling_rate: float | None) -> Signal:
    record = wfdb.rdrecord(str(path.with_suffix("").resolve()))
    return Signal(_microvolts(record.p_signal.T, record.units), tuple(record.sig_name), float(record.fs))


def _read_edf(path: Path, sampling_rate: float | None) -> Signal:
    signals = edfio.read_edf(path).signals
    rates = {signal.sampling_frequency for signal in signals}
    fastest = max(rates)
    signals = [signal for signal in signals if signal.sampling_frequency == fastest]
    values = np.stack([signal.data for signal in signals])
    units = [signal.physical_dimension for signal in signals]
    return Signal(_microvolts(values, units), tuple(signal.label for signal in signals), float(fastest))


def _read_csv(path: Path, sampling_rate: float | None) -> Signal:
    table = pd.read_csv(path, skipinitialspace=True)
    times = {name.strip().lower(): name for name in table}.get("time")
    if times is not None:
        steps = np.diff(table.pop(times).to_numpy(float))
        if not len(steps) or steps.min() <= 0 or np.ptp(steps) > 0.01 * steps.mean():
            raise Refused(f"{path.name}: its times do not go on in equal steps")
        sampling_rate = 1 / steps.mean()
    if sampling_rate is None:
        raise Refused(f"{path.name}: give its sampling rate, or a column `time` in seconds")
    values = table.to_numpy(np.float64).T
    return Signal(_microvolts(values, ["mV"] * len(values)), tuple(map(str.strip, table)), float(sampling_rate))


def _read_h5(path: Path, sampling_rate: float | None) -> Signal:
    with h5py.File(path, "r") as file:
        signals = file["signals"]
        if signals.ndim != 2 or signals.size > LARGEST_FILE // 4:
            raise Refused(f"{path.name}: `signals` must be (channels, samples)")
        channels = [name.decode() if isinstance(name, bytes) else str(name) for name in signals.attrs["channels"]]
        unit, rate = str(signals.attrs["unit"]), float(signals.attrs["sampling_rate"])
        return Signal(_microvolts(signals[:], [unit] * len(channels)), tuple(channels), rate)


def _microvolts(values: np.ndarray, units: Sequence[str]) -> np.ndarray:
    unknown = sorted({unit for unit in units if str(unit).strip().lower() not in UNITS})
    if unknown:
        raise Refused(f"signals in {', '.join(map(repr, unknown))}: they must be in V, mV or uV")
    factors = np.array([UNITS[str(unit).strip().lower()] for unit in units])
    return (np.asarray(values, dtype=np.float64) * factors[:, None]).astype(np.float32)


def _checked(signal: Signal, name: str) -> Signal:
    if signal.values.ndim != 2 or len(signal.values) != len(signal.channels) or not signal.values.size:
        raise Refused(f"{name}: {signal.values.shape} values for {len(signal.channels)} channels")
    if not 0 < signal.sampling_rate < 1e5:
        raise Refused(f"{name}: a sampling rate of {signal.sampling_rate} Hz")
    return signal


# Asking a model


def predict(source: Path | Signal, model: Path, sampling_rate: float | None = None) -> pd.DataFrame:
    """What a model says of a recording: a row per class with its probability, threshold, and whether it lies above.

    source: a file that `read` takes, or a Signal (see `from_array`). Longer recordings are cut into windows of the model's length
    that overlap by half; the probability is their mean. Raises Refused for a recording without the model's channels, shorter than
    its window, sampled more slowly than it learnt, with NaN, without any movement, or with values that no body gives.
    """
    card = read_card(model)
    signal = source if isinstance(source, Signal) else read(source, sampling_rate)
    name = "recording" if isinstance(source, Signal) else Path(source).name
    windows = _windows(signal, card, name)
    probabilities = _session(model, card).run(None, {"signals": windows})[0].mean(0)
    found = pd.DataFrame({"probability": probabilities, "threshold": card.thresholds}, index=pd.Index(card.classes, name="class"))
    return found.assign(above=found.probability >= found.threshold)


def _windows(signal: Signal, card: Card, name: str) -> np.ndarray:
    x = signal.values[_positions(signal, card, name)]
    if not np.isfinite(x).all():
        raise Refused(f"{name}: holds NaN or infinity")
    if np.abs(x).max() > HIGHEST:
        raise Refused(f"{name}: values up to {np.abs(x).max() / 1e3:,.0f} mV; is its unit right?")
    if (np.ptp(x, axis=1) == 0).any():
        still = [card.channels[row] for row in np.flatnonzero(np.ptp(x, axis=1) == 0)]
        raise Refused(f"{name}: {', '.join(still)} stands still")
    if signal.sampling_rate < 0.99 * card.sampling_rate:
        raise Refused(f"{name}: {signal.sampling_rate:g} Hz; {card.model} needs {card.sampling_rate:g} Hz or more")
    x = resample(x, signal.sampling_rate, card.sampling_rate) / UNITS[card.unit.lower()]
    if x.shape[1] < card.samples:
        seconds = card.samples / card.sampling_rate
        raise Refused(f"{name}: {x.shape[1] / card.sampling_rate:.1f} s; {card.model} needs {seconds:g} s or more")
    last = x.shape[1] - card.samples
    starts = np.append(np.arange(0, last, card.samples // 2), last)
    return np.stack([x[:, start : start + card.samples] for start in starts]).astype(np.float32)


def _positions(signal: Signal, card: Card, name: str) -> list[int]:
    places = {channel.strip().lower(): place for place, channel in reversed(list(enumerate(signal.channels)))}
    missing = [channel for channel in card.channels if channel.lower() not in places]
    if missing:
        raise Refused(f"{name}: {card.model} needs {', '.join(missing)}; the recording has {', '.join(signal.channels)}")
    return [places[channel.lower()] for channel in card.channels]


def _session(model: Path, card: Card) -> onnxruntime.InferenceSession:
    try:
        session = onnxruntime.InferenceSession(Path(model), providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own exceptions have no common name
        raise Refused(f"{Path(model).name}: ONNX Runtime cannot load it ({error})") from error
    takes = tuple(session.get_inputs()[0].shape[1:])
    if takes != (len(card.channels), card.samples):
        raise Refused(f"{Path(model).name}: takes {takes}, its card says {(len(card.channels), card.samples)}")
    return session
