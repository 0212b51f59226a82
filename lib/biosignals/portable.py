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
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Real
from pathlib import Path
from typing import get_args, get_origin, get_type_hints

import numpy as np
import onnxruntime

from biosignals import kept
from biosignals.data import waveforms
from biosignals.signals.resampling import resample

UNITS = {"v": 1e6, "mv": 1e3, "uv": 1.0, "µv": 1.0, "μv": 1.0}  # in microvolts
LARGEST_FILE = 1 << 28  # bytes, of a recording and of a model
LARGEST_CARD = 1 << 20
HIGHEST = 50_000.0  # microvolts; more than skin ever shows: the unit is another
LOWEST = 5.0  # microvolts; a recording of which no channel spans as much is in another unit, too
STILL = 1.0  # seconds of one value, after which a channel stands still, as in `waveforms.flat`
WFDB = (".hea", ".dat", ".mat")
KINDS = (*WFDB, ".edf", ".csv", ".h5")
TOGETHER = ("mean", "maximum")
NO_DIAGNOSIS = "Probabilities as this model learnt them from its training set, unlike your patients. This is not a diagnosis."


class Refused(ValueError):
    """A recording that a model was not made for, or that cannot be read; the message says why and what to do.

    args: the message's lines. What files and cards call themselves may hold anything: as text, only what is printable is left.
    """

    def __str__(self) -> str:
        return "\n".join(printable(str(line)) for line in self.args)


class OtherChannels(Refused):
    """A recording without the model's channels."""


@dataclass(frozen=True)
class Card:
    """What a model is for, and how to ask it.

    channels, unit ("mV", "uV"), sampling_rate (Hz), samples: of its input, one window. stands_for: other names under which a channel
    may come, {"ECG": "I"}, where a recording has no more channels than these. step: seconds from one window's start to the next.
    together: "mean", of those of a recording's windows in which every channel moves, cut after the whole of it has been resampled; or
    "maximum", for long recordings in which something comes and goes: there each window is resampled by itself, as a monitor would,
    and scores are the mean of `smoothing` windows, of which none lies ahead. classes and their thresholds: of the output; exclusive:
    whether just one of the classes is true. scores: records of `results`. latency_ms: of one window. limits: what it must not be used
    for.
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

    probabilities: of the recording, (classes,). windows: of each window, (windows, classes), which starts at `starts`, seconds; NaN
    for those that the mean leaves out.
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
        left_out = int(np.isnan(self.windows).any(axis=1).sum())
        if left_out:
            lines.append(f"{left_out} of {len(self.windows)} windows are left out: a channel stands still in them")
        return "\n".join(printable(line) for line in [*lines, NO_DIAGNOSIS])


def printable(text: str) -> str:
    """A text with escapes in place of what a terminal would obey rather than show."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 3600}:{int(seconds) // 60 % 60:02d}:{int(seconds) % 60:02d}"


# Cards


def write_card(card: Card, model: Path) -> Path:
    """Write a card beside its model, NAME.json beside NAME.onnx. Raises Refused for one that contradicts itself."""
    place = _card_place(model)
    _check_card(card, place)
    unfinished = place.with_suffix(f".{os.getpid()}.part")
    unfinished.write_text(json.dumps(dataclasses.asdict(card), indent=1, allow_nan=False) + "\n")
    os.replace(unfinished, place)
    return place


def read_card(model: Path) -> Card:
    """The card beside a model. Raises Refused where it is missing, damaged or contradicts itself."""
    place = _card_place(model)
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
    except (OSError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise Refused(f"{place}: not a model's card ({error})") from error
    return card


def _card_place(model: Path | str) -> Path:
    try:
        return Path(model).with_suffix(".json")
    except (TypeError, ValueError):
        raise Refused(f"{model!r}: not a model's file") from None


def _check_card(card: Card, place: Path) -> None:
    for name, kind in get_type_hints(Card).items():
        if not _is(getattr(card, name), kind):
            raise Refused(f"{place}: its {name} is of another type; take the model again")
    fits = (
        len(card.classes) == len(card.thresholds) > 0 and len(set(card.channels)) == len(card.channels) > 0
        and card.unit.lower() in UNITS and card.together in TOGETHER
        and 0 < card.sampling_rate < 1e5 and 100 <= card.samples < 1e6 and 0.01 <= card.step * card.sampling_rate / card.samples <= 1
        and 0 < card.smoothing < 1000 and set(card.stands_for.values()) <= set(card.channels)
    )  # fmt: skip
    if not fits:
        raise Refused(f"{place}: a card that contradicts itself; take the model again")


def _is(value: object, kind: type) -> bool:
    """Whether a value has the type that a field of Card declares; as floats, whole numbers pass, NaN and infinity do not."""
    if get_origin(kind) is tuple:
        return isinstance(value, tuple | list) and all(_is(one, get_args(kind)[0]) for one in value)
    if get_origin(kind) is Mapping:
        return isinstance(value, Mapping) and all(isinstance(one, str) for one in (*value, *value.values()))
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < np.inf
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


# Reading a recording


def read(path: Path | str, sampling_rate: float | None = None, unit: str = "mV") -> Signal:
    """A recording from a WFDB record (its .hea, .dat or .mat), EDF (.edf), CSV (.csv) or HDF5 file (.h5).

    EDF: of channels sampled at several rates, those of the highest. CSV: a column per channel, in `unit`, named in the first row;
    a column `time` in seconds gives the sampling rate, or else `sampling_rate` does. HDF5: a data set `signals` (channels, samples)
    with attributes `channels`, `sampling_rate`, `unit`; or a record of SPH. Raises Refused for anything else, for damaged files and
    for those that point to files elsewhere.
    """
    try:
        path = Path(path)
    except TypeError:
        raise Refused(f"a recording is a file, an array (channels, samples) or a Signal, no {type(path).__name__}") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # readers warn of damage that is refused here
            return _checked(_read(path, sampling_rate, unit))
    except (Refused, waveforms.Unreadable) as error:
        raise Refused(f"{path.name}: {error}") from error
    except Exception as error:  # whatever a damaged file makes a reader raise
        raise Refused(f"{path.name}: cannot be read ({type(error).__name__}: {error})") from error


def from_array(values: np.ndarray, channels: Sequence[str], sampling_rate: float, unit: str = "mV") -> Signal:
    """A recording from an array (channels, samples). Raises Refused for values, names, a shape or a rate that cannot be."""
    if isinstance(channels, str):
        raise Refused("names of channels must be text, one for each channel in a list")
    try:
        values, channels, sampling_rate = np.asarray(values), tuple(channels), float(sampling_rate)
    except Exception as error:  # whatever an object that is no array raises
        raise Refused(f"no recording: an array, names of its channels and its sampling rate ({error})") from error
    signal = _checked(Signal(values, channels, (unit,) * len(channels), sampling_rate))
    with np.errstate(over="ignore"):  # infinity is refused
        return replace(signal, values=values.astype(np.float32))


def _read(path: Path, sampling_rate: float | None, unit: str) -> Signal:
    kind = path.suffix.lower()
    if kind not in KINDS:
        raise Refused(f"a recording is one of {', '.join(KINDS)}")
    if not path.is_file():
        raise Refused(f"there is no such file in {path.parent}")
    if path.stat().st_size > LARGEST_FILE:
        raise Refused(f"more than {LARGEST_FILE >> 20} MiB; cut it first")
    if kind == ".csv":
        return _read_csv(path, sampling_rate, unit)
    return {".edf": _read_edf, ".h5": _read_h5}.get(kind, _read_wfdb)(path)


def _read_wfdb(path: Path) -> Signal:
    place = path.with_suffix(".hea")
    header = waveforms.read_header(str(place))
    if header.layout is None:
        return _read_other_wfdb(place)
    if not waveforms.is_inside(header.file):
        raise Refused("its header names a file outside of its folder")
    if 2 * len(header.layout.channels) * header.samples > LARGEST_FILE:
        raise Refused(f"more than {LARGEST_FILE >> 20} MiB; cut it first")
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
        raise Refused("a record of several segments; ask about one of them")
    if not header.file_name or not all(map(waveforms.is_inside, header.file_name)):
        raise Refused("its header names no file, or one outside of its folder")
    bytes_there = sum((place.parent / file).stat().st_size for file in set(header.file_name))
    samples = sum(each or 1 for each in header.samps_per_frame) * (header.sig_len or 0)
    if max(bytes_there, samples) > LARGEST_FILE:
        raise Refused(f"more than {LARGEST_FILE >> 20} MiB; cut it first")
    record = wfdb.rdrecord(stem)
    values = np.asarray(record.p_signal.T, dtype=np.float32)
    return Signal(_filled(values), tuple(name or "" for name in record.sig_name), tuple(record.units), float(record.fs))


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
        even, step = np.linspace(times[0], times[-1], len(times), retstep=True)
        if not step > 0 or not np.abs(times - even).max() <= step / 2:  # they may be rounded
            raise Refused("its times do not go on in equal steps")
        sampling_rate = 1 / step
    if sampling_rate is None:
        raise Refused("give its sampling rate, or a column `time` in seconds")
    channels = tuple(name for name, is_time in zip(names, timed, strict=True) if not is_time)
    return Signal(table[~np.array(timed)].astype(np.float32), channels, (unit,) * len(channels), float(sampling_rate))


def _read_h5(path: Path) -> Signal:
    import h5py

    from biosignals.data import sph

    with h5py.File(path, "r") as file:
        name = "signals" if "signals" in file else "ecg"  # which follows no link to another file
        signals = sph.own_dataset(file, name)
        if signals is None or signals.ndim != 2 or signals.dtype.kind not in "fiu" or signals.size > LARGEST_FILE // 4:
            raise Refused("needs a data set `signals` of its own, (channels, samples)")
        values = signals[:].astype(np.float32)
        if name == "ecg":
            return Signal(values, sph.LEADS, ("mV",) * len(sph.LEADS), float(sph.SAMPLING_RATE))
        channels = tuple(map(_text, np.atleast_1d(signals.attrs["channels"])))
        units = (_text(signals.attrs["unit"]),) * len(channels)
        return Signal(values, channels, units, float(signals.attrs["sampling_rate"]))


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _checked(signal: Signal) -> Signal:
    if not isinstance(signal.values, np.ndarray) or signal.values.dtype.kind not in "fiu":
        raise Refused("its values are no real numbers in an array")
    for texts in (signal.channels, signal.units):
        if not isinstance(texts, tuple | list) or not all(isinstance(text, str) for text in texts):
            raise Refused("names of channels and units must be text, one for each channel")
    if signal.values.ndim != 2 or not len(signal.values) == len(signal.channels) == len(signal.units) or not signal.values.size:
        shape, count = signal.values.shape, len(signal.channels)
        raise Refused(f"values of shape {shape} for {count} channels: they must be (channels, samples)")
    if not isinstance(signal.sampling_rate, Real) or not 0 < signal.sampling_rate < 1e5:
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
    that stands still while others move, or with values that no body gives; and for a model that cannot be run or does not fit its
    card.
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
    x = _chosen(_checked(source), card)
    still = _still(x, source.sampling_rate, card)
    starts, said = _scores(_session(model, card), x, still, source.sampling_rate, card)
    whole = np.nanmean(said, axis=0) if card.together == "mean" else said.max(0)
    return Answer(card, whole, starts, said)


def reply(
    source: Path | str | np.ndarray | Signal, model: Path | str, channels: Sequence[str] | None = None,
    sampling_rate: float | None = None, unit: str = "mV",
) -> str:  # fmt: skip
    """What `predict` answers, as text; where it refuses, "refused: " and the reason."""
    try:
        return str(predict(source, model, channels, sampling_rate, unit))
    except Refused as error:
        return f"refused: {error}"


def probabilities(model: Path | str, signals: np.ndarray) -> np.ndarray:
    """What an ONNX file says of many recordings as its net learnt them, (n, classes), without asking its card.

    signals: float32 (n, channels, samples) in the net's unit, at its sampling rate; of more samples than its window has, the mean over
    windows that overlap by half, as `predict` takes it.
    """

    def ask() -> np.ndarray:
        session = open_model(model)
        length = session.get_inputs()[0].shape[2]
        starts = _window_starts(signals.shape[2], length, length // 2)
        return np.mean([_ask(session, signals[:, :, start : start + length]) for start in starts], axis=0)

    return kept.array(lambda: (Path(model), sys.modules[__name__], signals), ask)


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
    _refuse_values(x, card)
    if signal.sampling_rate < 0.999 * card.sampling_rate:
        raise Refused(f"{signal.sampling_rate:g} Hz; {card.model} needs {card.sampling_rate:g} Hz or more")
    if x.shape[1] / signal.sampling_rate < 0.999 * card.samples / card.sampling_rate:
        seconds = card.samples / card.sampling_rate
        raise Refused(f"{x.shape[1] / signal.sampling_rate:.1f} s; {card.model} needs {seconds:g} s or longer")
    return x / np.float32(UNITS[card.unit.lower()])


def _refuse_values(x: np.ndarray, card: Card) -> None:
    """Refused for values in uV that no body gives."""
    if not np.isfinite(x).all():
        raise Refused("holds NaN or infinity")
    if np.abs(x).max() > HIGHEST:
        raise Refused(f"values up to {np.abs(x).max() / 1e3:,.0f} mV; is its unit right?")
    spans = np.ptp(x, axis=1)
    if 0 < spans.max() < LOWEST:
        raise Refused(f"no channel spans {LOWEST:g} uV; is its unit right?")
    still = [name for name, span in zip(card.channels, spans, strict=True) if not span]
    if still:
        raise Refused(f"{', '.join(still)} never moves")


def _still(x: np.ndarray, rate: float, card: Card) -> np.ndarray:
    """Where channels keep one value for a second (or for a shorter window), bool (channels, samples).

    Refused for a channel that does so too long while another moves: its electrode is off. Where none moves, the recorder paused.
    """
    least = max(2, int(min(STILL, card.samples / card.sampling_rate) * rate))
    still = np.empty(x.shape, dtype=bool)
    for row, signal in zip(still, x, strict=True):
        changes = np.flatnonzero(signal[1:] != signal[:-1]) + 1
        lengths = np.diff(changes, prepend=0, append=len(signal))
        row[:] = np.repeat(lengths >= least, lengths)
    goes_on = ~still.all(axis=0)
    if not goes_on.any():
        raise Refused("none of its channels moves")
    for name, share in zip(card.channels, still[:, goes_on].mean(axis=1), strict=True):
        if share > waveforms.MOST_INVALID:
            raise Refused(f"{name} stands still for {share:.0%} of the time")
    return still


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
    session: onnxruntime.InferenceSession, x: np.ndarray, still: np.ndarray, rate: float, card: Card
) -> tuple[np.ndarray, np.ndarray]:
    """Starts of the windows in seconds, and what the model says of each, (windows, classes).

    A window in which no channel moves, as while a cable is off, says nothing: 0 for the maximum. The mean takes only windows in which
    every channel moves, the others are NaN; Refused if there is none.
    """
    alone, recorded = card.together == "maximum", rate
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
        parts.append(_ask(session, asked))
    said = np.concatenate(parts).astype(np.float64)
    if said.shape[1] != len(card.classes):
        raise Refused(f"{card.model} gives {said.shape[1]} probabilities, its card names {len(card.classes)} classes")
    starts = starts / rate
    # Of the recording itself: resampling may make a constant waver.
    shares = _shares(still, starts * recorded, card.samples / card.sampling_rate * recorded)
    if alone:
        said[(shares == 1).all(axis=1)] = 0
        return starts, _smooth(said, card.smoothing)
    said[(shares > waveforms.MOST_INVALID).any(axis=1)] = np.nan
    if np.isnan(said).all():
        raise Refused("a channel stands still in each of its windows")
    return starts, said


def _shares(still: np.ndarray, starts: np.ndarray, length: float) -> np.ndarray:
    """Share of each window's time in which a channel stands still, (windows, channels)."""
    firsts = np.rint(starts).astype(int)
    return np.stack([still[:, first : first + round(length)].mean(axis=1) for first in firsts])


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
