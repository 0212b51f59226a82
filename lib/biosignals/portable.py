"""Models to take away: an ONNX file, the card beside it, and what they say of a recording from outside.

A model is NAME.onnx, from signals in their unit as recorded to probabilities, and NAME.json, its card. It answers about recordings
that it was made for and refuses others; what it says is a statistic of its training set, not a diagnosis.

Whoever asks once waits for imports more than for the answer: what only some files need is imported where it is used.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnxruntime

from biosignals.data import waveforms
from biosignals.signals.resampling import resample

UNITS = {"v": 1e6, "mv": 1e3, "uv": 1.0, "µv": 1.0, "μv": 1.0}  # in microvolts
LARGEST_FILE = 1 << 28  # bytes, of a recording and of a model
LARGEST_CARD = 1 << 20
HIGHEST = 50_000.0  # microvolts; more than skin ever shows: the unit is another
WFDB = (".hea", ".dat", ".mat")
KINDS = (*WFDB, ".edf", ".csv", ".h5")
TOGETHER = ("mean", "maximum")
NO_DIAGNOSIS = "Probabilities as this model learnt them from its training set, unlike your patients. This is not a diagnosis."


class Refused(ValueError):
    """A recording that a model was not made for, or that cannot be read; the message says why and what to do."""


class OtherChannels(Refused):
    """A recording without the model's channels."""


@dataclass(frozen=True)
class Card:
    """What a model is for, and how to ask it.

    channels, unit ("mV", "uV"), sampling_rate (Hz), samples: of its input, one window. stands_for: other names under which a
    channel may come, {"ECG": "I"}, where a recording has no more channels than these. step: seconds from one window's start to the next. together: "mean", of a recording's windows,
    which are cut after the whole of it has been resampled; or "maximum", for long recordings in which something comes and goes:
    there each window is resampled by itself, as a monitor would, and scores are the mean of `smoothing` windows, of which none lies
    ahead. classes and their thresholds: of the output; exclusive: whether just one of the classes is true. scores: records of
    `results`. latency_ms: of one window. limits: what it must not be used for.
    """

    model: str
    task: str
    channels: tuple[str, ...]
    unit: str
    sampling_rate: float
    samples: int
    step: float
    together: str
    classes: tuple[str, ...]
    exclusive: bool
    thresholds: tuple[float, ...]
    trained_on: str
    scores: tuple[dict, ...]
    params: int
    bytes: int
    latency_ms: float
    limits: tuple[str, ...]
    smoothing: int = 1
    stands_for: Mapping[str, str] = field(default_factory=dict)

    def needs(self) -> str:
        """What a recording must have, in words."""
        names = [" or ".join([name, *self._also(name)]) for name in self.channels]
        seconds = self.samples / self.sampling_rate
        return f"{', '.join(names)}; {self.sampling_rate:g} Hz or more, {seconds:g} s or longer"

    def _also(self, channel: str) -> list[str]:
        return [other for other, name in self.stands_for.items() if name == channel]


@dataclass(frozen=True)
class Signal:
    """A recording: float32 (channels, samples), of each channel its name and unit, and the sampling rate in Hz."""

    values: np.ndarray
    channels: tuple[str, ...]
    units: tuple[str, ...]
    sampling_rate: float


@dataclass(frozen=True)
class Answer:
    """What a model says of a recording; printed, it says too that it is no diagnosis.

    probabilities: of the recording, (classes,). windows: of each window, (windows, classes), which starts at `starts`, seconds.
    """

    card: Card
    probabilities: np.ndarray
    starts: np.ndarray
    windows: np.ndarray

    @property
    def above(self) -> np.ndarray:
        """Whether a class reaches its threshold, bool (classes,)."""
        return self.probabilities >= np.asarray(self.card.thresholds)

    def stretches(self) -> list[tuple[str, float, float, float]]:
        """Where windows in a row reach their threshold: class, start and end in seconds, highest probability."""
        length, found = self.card.samples / self.card.sampling_rate, []
        for name, threshold, p in zip(self.card.classes, self.card.thresholds, self.windows.T, strict=True):
            over = np.concatenate([[False], p >= threshold, [False]])
            for first, stop in np.flatnonzero(np.diff(over)).reshape(-1, 2):
                found.append((name, float(self.starts[first]), float(self.starts[stop - 1] + length), float(p[first:stop].max())))
        return found

    def __str__(self) -> str:
        width = max(len("class"), *map(len, self.card.classes))
        lines = [f"{self.card.task}, {self.card.model}", f"{'class':{width}}  probability  threshold"]
        for name, p, threshold, above in zip(self.card.classes, self.probabilities, self.card.thresholds, self.above, strict=True):
            lines.append(f"{name:{width}}  {p:11.3f}  {threshold:9.3f}  {'above' if above else ''}".rstrip())
        if self.card.together == "maximum":
            lines += [f"{name} from {_clock(start)} to {_clock(end)}, up to {p:.3f}" for name, start, end, p in self.stretches()]
        return "\n".join([*lines, NO_DIAGNOSIS])


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 3600}:{int(seconds) // 60 % 60:02d}:{int(seconds) % 60:02d}"


# Cards


def write_card(card: Card, model: Path) -> Path:
    """Write a card beside its model, NAME.json beside NAME.onnx. Raises Refused for one that contradicts itself."""
    place = Path(model).with_suffix(".json")
    _check_card(card, place)
    unfinished = place.with_suffix(f".{os.getpid()}.part")
    unfinished.write_text(json.dumps(dataclasses.asdict(card), indent=1, allow_nan=False) + "\n")
    os.replace(unfinished, place)
    return place


def read_card(model: Path) -> Card:
    """The card beside a model. Raises Refused where it is missing, damaged or contradicts itself."""
    place = Path(model).with_suffix(".json")
    try:
        if place.stat().st_size > LARGEST_CARD:
            raise Refused(f"{place}: too large for a card")
        values = json.loads(place.read_text())
        card = Card(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})
        _check_card(card, place)
    except FileNotFoundError:
        raise Refused(f"{place}: there is no card; a model needs the .json that came with its .onnx") from None
    except Refused:
        raise
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise Refused(f"{place}: not a model's card ({error})") from error
    return card


def _check_card(card: Card, place: Path) -> None:
    fits = (
        len(card.classes) == len(card.thresholds) > 0 and len(set(card.channels)) == len(card.channels) > 0
        and all(isinstance(name, str) for name in (*card.classes, *card.channels, card.model, card.task, card.unit))
        and card.unit.lower() in UNITS and card.together in TOGETHER and isinstance(card.samples, int)
        and 0 < card.sampling_rate < 1e5 and 100 <= card.samples < 1e6 and 0.01 <= card.step * card.sampling_rate / card.samples <= 1
        and 0 < card.smoothing < 1000 and set(card.stands_for.values()) <= set(card.channels)
        and all(np.isfinite(threshold) for threshold in card.thresholds)
    )  # fmt: skip
    if not fits:
        raise Refused(f"{place}: a card that contradicts itself; take the model again")


# Reading a recording


def read(path: Path | str, sampling_rate: float | None = None, unit: str = "mV") -> Signal:
    """A recording from a WFDB record (its .hea, .dat or .mat), EDF (.edf), CSV (.csv) or HDF5 file (.h5).

    EDF: of channels sampled at several rates, those of the highest. CSV: a column per channel, in `unit`, named in the first row;
    a column `time` in seconds gives the sampling rate, or else `sampling_rate` does. HDF5: a data set `signals` (channels, samples)
    with attributes `channels`, `sampling_rate`, `unit`; or a record of SPH. Raises Refused for anything else, for damaged files and
    for those that point to files elsewhere.
    """
    path = Path(path)
    if path.suffix.lower() not in KINDS:
        raise Refused(f"{path.name}: a recording is one of {', '.join(KINDS)}")
    if not path.is_file():
        raise Refused(f"{path}: there is no such file")
    if path.stat().st_size > LARGEST_FILE:
        raise Refused(f"{path.name}: more than {LARGEST_FILE >> 20} MiB; cut it first")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # readers warn of damage that is refused here
            if path.suffix.lower() == ".csv":
                return _checked(_read_csv(path, sampling_rate, unit))
            return _checked({".edf": _read_edf, ".h5": _read_h5}.get(path.suffix.lower(), _read_wfdb)(path))
    except (Refused, waveforms.Unreadable) as error:
        raise Refused(f"{path.name}: {error}") from error
    except Exception as error:  # whatever a damaged file makes a reader raise
        raise Refused(f"{path.name}: cannot be read ({type(error).__name__}: {error})") from error


def from_array(values: np.ndarray, channels: Sequence[str], sampling_rate: float, unit: str = "mV") -> Signal:
    """A recording from an array (channels, samples). Raises Refused for a shape or rate that cannot be."""
    values, channels = np.asarray(values, dtype=np.float32), tuple(channels)
    return _checked(Signal(values, channels, (unit,) * len(channels), float(sampling_rate)))


def _read_wfdb(path: Path) -> Signal:
    place = path.with_suffix(".hea")
    header = waveforms.read_header(str(place))
    if header.layout is None:
        return _read_other_wfdb(place)
    if not waveforms.is_inside(header.file):
        raise Refused("its header names a file outside of its folder")
    counts = waveforms.read_digital(str(place.parent / header.file), header)
    names = header.layout.channels
    microvolts = waveforms.to_microvolts(counts, header.layout, tuple(range(len(names))))
    values = np.where(microvolts == waveforms.INVALID, np.nan, microvolts).astype(np.float32)
    return Signal(_filled(values), names, ("uV",) * len(names), header.sampling_rate)


def _read_other_wfdb(place: Path) -> Signal:
    """What the plain reader leaves to the wfdb package: other formats, and units that are no voltages."""
    import wfdb

    lines = [line for line in place.read_text("latin-1").splitlines() if line.strip() and line[0] != "#"]
    first = lines[0].split()
    if "/" in first[0]:
        raise Refused("a record of several segments; ask about one of them")
    files = {line.split()[0] for line in lines[1 : int(first[1]) + 1]}
    if not all(map(waveforms.is_inside, files)):
        raise Refused("its header names a file outside of its folder")
    if sum((place.parent / file).stat().st_size for file in files) > LARGEST_FILE:
        raise Refused(f"more than {LARGEST_FILE >> 20} MiB; cut it first")
    record = wfdb.rdrecord(str(place.with_suffix("").resolve()))
    values = np.asarray(record.p_signal.T, dtype=np.float32)
    return Signal(_filled(values), tuple(record.sig_name), tuple(record.units), float(record.fs))


def _filled(values: np.ndarray) -> np.ndarray:
    """Lines drawn over samples that a WFDB file marks as missing (NaN), as in training; not where they are too many."""
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
        raise Refused(f"cut short: {edf.num_data_records} data records, its header says {records}")
    if edf.reserved.startswith("EDF+D"):
        raise Refused("has gaps in time (EDF+D); ask about its parts")
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
        raise Refused(f"{len(names)} names in its first row, {len(table)} columns below")
    timed = [name.lower() in ("time", "time [s]") for name in names]
    if any(timed):
        times = table[timed.index(True)]
        steps = np.diff(times)
        if not len(steps) or not steps.min() > 0 or np.ptp(steps) > 0.01 * steps.mean():
            raise Refused("its times do not go on in equal steps")
        sampling_rate = len(steps) / (times[-1] - times[0])
    if sampling_rate is None:
        raise Refused("give its sampling rate, or a column `time` in seconds")
    channels = tuple(name for name, is_time in zip(names, timed, strict=True) if not is_time)
    return Signal(table[~np.array(timed)].astype(np.float32), channels, (unit,) * len(channels), float(sampling_rate))


def _read_h5(path: Path) -> Signal:
    import h5py

    from biosignals.data import sph

    with h5py.File(path, "r") as file:
        name = "signals" if "signals" in file else "ecg"
        signals = sph.own_dataset(file, name)
        if signals is None or signals.ndim != 2 or signals.dtype.kind not in "fiu" or signals.size > LARGEST_FILE // 4:
            raise Refused("needs a data set `signals` of its own, (channels, samples)")
        values = signals[:].astype(np.float32)
        if name == "ecg":
            return Signal(values, sph.LEADS, ("mV",) * len(sph.LEADS), float(sph.SAMPLING_RATE))
        channels = tuple(name.decode() if isinstance(name, bytes) else str(name) for name in signals.attrs["channels"])
        units = (str(signals.attrs["unit"]),) * len(channels)
        return Signal(values, channels, units, float(signals.attrs["sampling_rate"]))


def _checked(signal: Signal) -> Signal:
    if signal.values.ndim != 2 or len(signal.values) != len(signal.channels) or not signal.values.size:
        shape, count = signal.values.shape, len(signal.channels)
        raise Refused(f"values of shape {shape} for {count} channels: they must be (channels, samples)")
    if not 0 < signal.sampling_rate < 1e5:
        raise Refused(f"a sampling rate of {signal.sampling_rate} Hz")
    return signal


# Asking a model


def predict(
    source: Path | str | np.ndarray | Signal, model: Path | str, channels: Sequence[str] | None = None,
    sampling_rate: float | None = None, unit: str = "mV",
) -> Answer:  # fmt: skip
    """What a model says of a recording.

    source: a file that `read` takes, or an array (channels, samples) with `channels`, `sampling_rate` and `unit`. model: a file
    NAME.onnx with its card NAME.json beside it. Channels are found by name, in any order. Raises Refused for a recording without the
    model's channels, shorter than its window, sampled more slowly than it learnt, in no unit of voltage, with NaN, with a channel
    that never moves, or with values that no body gives; and for a model that cannot be run or does not fit its card.
    """
    card = read_card(model)
    if isinstance(source, np.ndarray):
        if channels is None or sampling_rate is None:
            raise Refused("an array needs the names of its channels and its sampling rate")
        source = from_array(source, channels, sampling_rate, unit)
    if not isinstance(source, Signal):
        signal = read(source, sampling_rate, unit)
        try:
            return predict(signal, model)
        except Refused as error:
            raise type(error)(f"{Path(source).name}: {error}") from error
    x = _chosen(source, card)
    starts, said = _scores(_session(model, card), x, source.sampling_rate, card)
    whole = said.mean(0) if card.together == "mean" else said.max(0)
    return Answer(card, whole, starts, said)


def probabilities(model: Path | str, signals: np.ndarray) -> np.ndarray:
    """What an ONNX file says of many recordings as its net learnt them, (n, classes), without asking its card.

    signals: float32 (n, channels, samples) in the net's unit, at its sampling rate; of more samples than its window has, the mean over
    windows that overlap by half, as `predict` takes it.
    """
    session = open_model(model)
    length = session.get_inputs()[0].shape[2]
    starts = _window_starts(signals.shape[2], length, length // 2)
    return np.mean([_ask(session, signals[:, :, start : start + length]) for start in starts], axis=0)


def open_model(model: Path | str) -> onnxruntime.InferenceSession:
    """An ONNX file ready to run, on one thread. Raises Refused for a file that is none, and for what this runtime does not know."""
    model = Path(model)
    if not model.is_file() or model.stat().st_size > LARGEST_FILE:
        raise Refused(f"{model}: there is no such model, or it is too large")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own exceptions have no common name
        raise Refused(f"{model.name}: ONNX Runtime cannot load it; take the model again ({error})") from error


def _chosen(signal: Signal, card: Card) -> np.ndarray:
    """The card's channels of a recording, float32 (channels, samples) in the card's unit."""
    rows = _positions(signal, card)
    units = [signal.units[row].strip().lower() for row in rows]
    if not set(units) <= UNITS.keys():
        raise Refused(f"its signals are in {', '.join(sorted(set(units) - UNITS.keys())) or 'no unit'}; they must be in V, mV or uV")
    x = signal.values[rows] * np.array([[UNITS[unit]] for unit in units], dtype=np.float32)
    if not np.isfinite(x).all():
        raise Refused("holds NaN or infinity")
    if np.abs(x).max() > HIGHEST:
        raise Refused(f"values up to {np.abs(x).max() / 1e3:,.0f} mV; is its unit right?")
    still = [name for name, moves in zip(card.channels, np.ptp(x, axis=1), strict=True) if not moves]
    if still:
        raise Refused(f"{', '.join(still)} never moves")
    if signal.sampling_rate < 0.999 * card.sampling_rate:
        raise Refused(f"{signal.sampling_rate:g} Hz; {card.model} needs {card.sampling_rate:g} Hz or more")
    if x.shape[1] / signal.sampling_rate < 0.999 * card.samples / card.sampling_rate:
        seconds = card.samples / card.sampling_rate
        raise Refused(f"{x.shape[1] / signal.sampling_rate:.1f} s; {card.model} needs {seconds:g} s or longer")
    return x / np.float32(UNITS[card.unit.lower()])


def _positions(signal: Signal, card: Card) -> list[int]:
    present = [name.strip().lower() for name in signal.channels]
    if len(present) == len(card.channels):  # among others, a channel called ECG may be any lead
        names = {other.lower(): name.lower() for other, name in card.stands_for.items()}
        present = [names.get(name, name) for name in present]
    wanted = [channel.lower() for channel in card.channels]
    missing = [channel for channel in card.channels if channel.lower() not in present]
    if missing:
        raise OtherChannels(f"{card.model} needs {', '.join(missing)}; the recording has {', '.join(signal.channels)}")
    twice = [name for name in wanted if present.count(name) > 1]
    if twice:
        raise Refused(f"the name {twice[0]} stands twice")
    return [present.index(name) for name in wanted]


def _scores(
    session: onnxruntime.InferenceSession, x: np.ndarray, rate: float, card: Card
) -> tuple[np.ndarray, np.ndarray]:
    """Starts of the windows in seconds, and what the model says of each, (windows, classes)."""
    alone = card.together == "maximum"
    if not alone:
        x, rate = resample(x, rate, card.sampling_rate), card.sampling_rate
    length = round(card.samples / card.sampling_rate * rate)
    if x.shape[1] < length:  # by the rounding of one sample
        x = np.pad(x, ((0, 0), (0, length - x.shape[1])), mode="edge")
    starts = _window_starts(x.shape[1], length, round(card.step * rate))
    parts = []
    for some in np.split(starts, range(32, len(starts), 32)):  # hours of EEG are not cut at once
        windows = np.stack([x[:, start : start + length] for start in some])
        asked = resample(windows, rate, card.sampling_rate)[:, :, : card.samples] if alone else windows
        # A window in which no channel moves, as while a cable is off, says nothing.
        parts.append(_ask(session, asked) * (np.ptp(windows, axis=2).max(1) > 0)[:, None])
    said = np.concatenate(parts)
    if said.shape[1] != len(card.classes):
        raise Refused(f"{card.model} gives {said.shape[1]} probabilities, its card names {len(card.classes)} classes")
    return starts / rate, _smooth(said, card.smoothing)


def _smooth(said: np.ndarray, width: int) -> np.ndarray:
    """Mean of each row and of those before it, `width` in all: `events.smooth` of every column."""
    padded = np.pad(said.astype(np.float64), ((width - 1, 0), (0, 0)))
    totals = sum(padded[first : first + len(said)] for first in range(width))
    return totals / np.minimum(np.arange(1, len(said) + 1), width)[:, None]


def _window_starts(samples: int, length: int, step: int) -> np.ndarray:
    """First samples of windows each `step` samples, the last flush with the end."""
    last = samples - length
    return np.append(np.arange(0, last, step), last)


def _session(model: Path | str, card: Card) -> onnxruntime.InferenceSession:
    session = open_model(model)
    takes = [(signals.name, tuple(signals.shape[1:])) for signals in session.get_inputs()]
    if takes != [("signals", (len(card.channels), card.samples))]:
        said = (len(card.channels), card.samples)
        raise Refused(f"{Path(model).name} takes {takes}, its card says {said}; take both again")
    return session


def _ask(session: onnxruntime.InferenceSession, windows: np.ndarray) -> np.ndarray:
    """Probabilities (windows, classes); Refused where the model fails, as one that was tampered with may."""
    parts = []
    for start in range(0, len(windows), 64):
        some = np.ascontiguousarray(windows[start : start + 64], dtype=np.float32)
        try:
            said = session.run(None, {"signals": some})[0]
        except Exception as error:  # ONNX Runtime's own exceptions have no common name
            raise Refused(f"ONNX Runtime cannot run the model ({error})") from error
        if np.ndim(said) != 2 or len(said) != len(some) or not ((said > -0.01) & (said < 1.01)).all():
            raise Refused("the model gives no probabilities; take it again")
        parts.append(said.clip(0, 1))  # eight bits may round beyond
    return np.concatenate(parts)
