"""Predictions of an exported model for a recording, a file or an array."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime

from biosignals import onnx_files
from biosignals.data import waveforms
from biosignals.data.channel_names import DERIVED, LEADS, canonical, is_further_lead, is_some_lead
from biosignals.data.readers import (
    LARGEST_FILE,
    UNITS,
    InvalidRecording,
    Signal,
    check_signal,
    from_array,
    printable,
    read,
)
from biosignals.data.units import microvolts
from biosignals.deployment import plausibility
from biosignals.deployment.card import Card, read_card
from biosignals.signals.resampling import resample
from biosignals.signals.windows import mean_over_time, runs, smooth, window_starts

STILL = 1.0  # seconds of one value, after which a channel stands still, as in `waveforms.flat`
HIGH_PASS = 0.5  # Hz, below which an ECG has its baseline
SHORTEST = 5.0  # seconds: an ECG of so much is repeated until it fills a longer window
EPISODES = {"af": 30.0}  # seconds that an episode lasts at least, of tasks whose classes come and go
FEW = 3  # channels, one of which may be the one lead that a model needs, whatever they are called
MOST_LINES = 20  # of episodes in a text
DIFFERENT = 0.2  # between two probabilities that are not the same answer
NO_DIAGNOSIS = (
    "Probabilities as this model learnt them from its training set, unlike your patients. "
    "This is not a diagnosis."
)


class MissingChannels(InvalidRecording):
    """A recording without the model's channels."""


class Episode(NamedTuple):
    """Where a class stays above its threshold: from `start` to `end`, seconds; the highest probability."""

    name: str
    start: float
    end: float
    highest: float


@dataclass(frozen=True)
class Prediction:
    """What a model predicts for a recording; as text, with the note that it is no diagnosis.

    probabilities: of the recording, (classes,). windows: of each window, (windows, classes), which starts at
    `starts`, seconds; NaN for those that the mean leaves out. seconds: the recording's length.
    """

    card: Card
    probabilities: np.ndarray
    starts: np.ndarray
    windows: np.ndarray
    seconds: float

    @property
    def above(self) -> np.ndarray:
        """Whether a class reaches its threshold, bool (classes,)."""
        return self.probabilities >= np.asarray(self.card.thresholds)

    @property
    def window(self) -> float:
        """Seconds of a window, in a recording that is shorter all of it."""
        return min(self.card.samples / self.card.sampling_rate, self.seconds)

    @property
    def left_out(self) -> int:
        """How many windows the mean leaves out."""
        return int(np.isnan(self.windows).any(axis=1).sum())

    @property
    def least(self) -> float | None:
        """Seconds that an episode lasts at least; None where the recording is shorter, or the model's classes
        do not come and go.
        """
        least = 0.0 if self.card.aggregation == "maximum" else EPISODES.get(self.card.task)
        return None if least is None or self.seconds < least else least

    def over_time(self) -> tuple[np.ndarray, np.ndarray]:
        """Edges (n + 1,), seconds, and probabilities (n, classes) from each edge to the next: the mean of the
        windows that hold an instant, NaN where none counts.
        """
        return mean_over_time(self.starts, self.windows, self.window, self.seconds)

    def episodes(self) -> list[Episode]:
        """Where classes stay above their thresholds, in the order of classes and of time.

        For models of what comes and goes (`least` is not None): of seizures, windows in a row; of atrial
        fibrillation, `over_time` for 30 s or longer, which a break of less than 30 s does not end.
        """
        if self.least is None:
            return []
        whole = self.card.aggregation == "maximum"
        edges, p = (self.starts, self.windows) if whole else self.over_time()
        ends = np.minimum(edges + self.window, self.seconds) if whole else edges[1:]
        return [
            Episode(name, float(edges[first]), float(ends[stop - 1]), float(np.nanmax(one[first:stop])))
            for name, threshold, one in zip(self.card.classes, self.card.thresholds, p.T, strict=True)
            for first, stop in _lasting(one >= threshold, edges, ends, self.least)
        ]

    def burden(self) -> np.ndarray:
        """Share of the time that a class's episodes take, of that in which windows count, (classes,); NaN
        where there are no episodes to speak of (`least` is None).
        """
        if self.least is None:
            return np.full(len(self.card.classes), np.nan)
        edges, p = self.over_time()
        counted = np.diff(edges) * np.isfinite(p).all(axis=1)
        inside = np.zeros((len(counted), len(self.card.classes)), dtype=bool)
        for name, start, end, _ in self.episodes():
            inside[(edges[:-1] > start - 1e-5) & (edges[1:] < end + 1e-5), self.card.classes.index(name)] = (
                True
            )
        return counted @ inside / counted.sum()

    def __str__(self) -> str:
        width = max(len("class"), *map(len, self.card.classes))
        lines = [f"{self.card.task}, {self.card.model}", f"{'class':{width}}  probability  threshold"]
        columns = (self.card.classes, self.probabilities, self.card.thresholds, self.above)
        for name, p, threshold, above in zip(*columns, strict=True):
            lines.append(f"{name:{width}}  {p:11.3f}  {threshold:9.3f}  {'above' if above else ''}".rstrip())
        lines += self._episode_lines()
        if self.left_out:
            lines.append(
                f"{self.left_out} of {len(self.windows)} windows are left out: a channel stands still in them"
            )
        needed = self.card.samples / self.card.sampling_rate
        if self.window < 0.99 * needed:
            lines.append(f"{self.seconds:.3g} s are repeated to fill a window of {needed:g} s")
        return "\n".join(printable(line) for line in [*lines, NO_DIAGNOSIS])

    def _episode_lines(self) -> list[str]:
        """The burden of each class, and its first episodes."""
        if self.least is None:
            return []
        found, lines = self.episodes(), []
        at_least = f" of {self.least:g} s or longer" if self.least else ""
        for name, burden in zip(self.card.classes, self.burden(), strict=True):
            own = [one for one in found if one.name == name]
            counted = f"{len(own)} episode{'' if len(own) == 1 else 's'}{at_least}"
            lines.append(f"{name}: {counted}, {100 * burden:.1f} % of {clock(self.seconds)}")
            lines += [f"{name} from {clock(e.start)} to {clock(e.end)}, up to {e.highest:.3f}"
                      for e in own[:MOST_LINES]]  # fmt: skip
            if len(own) > MOST_LINES:
                lines.append(f"and {len(own) - MOST_LINES} more")
        return lines


def _lasting(above: np.ndarray, starts: np.ndarray, ends: np.ndarray, least: float) -> list[list[int]]:
    """Runs of True that last `least` seconds, those less than that apart joined: first and stop of each.

    above: bool (n,); starts, ends: of what it speaks of, seconds.
    """
    found: list[list[int]] = []
    for first, stop in runs(above).tolist():
        if ends[stop - 1] - starts[first] < least:
            continue
        if found and starts[first] - ends[found[-1][1] - 1] < least:
            found[-1][1] = stop
        else:
            found.append([first, stop])
    return found


def clock(seconds: float) -> str:
    """Seconds as hours, minutes and seconds, 1:02:03."""
    return f"{int(seconds) // 3600}:{int(seconds) // 60 % 60:02d}:{int(seconds) % 60:02d}"


def predict(
    source: Path | str | np.ndarray | Signal, model: Path | str, channels: Sequence[str] | None = None,
    sampling_rate: float | None = None, unit: str | None = None, record: str | None = None,
    rename: Mapping[str, str] | None = None,
) -> Prediction:  # fmt: skip
    """Probabilities of an exported model for a recording.

    source: a file that `read` takes, with `sampling_rate`, `unit`, `record` and `rename` as there, or an
    array (channels, samples) with `channels`, `sampling_rate` and `unit` (None: mV). model: a file NAME.onnx
    with its card NAME.json beside it. Channels are found by name, in any order; III, aVR, aVL and aVF are
    made of I and II where they are missing. An ECG of 5 s or longer that is shorter than the window is
    repeated until it fills one. Raises InvalidRecording for a recording without the model's channels, shorter
    than that, sampled more slowly than it learnt, in no unit of voltage, with NaN, with a channel that stands
    still while others move, with values that no body gives, or that were scaled, with limb leads that
    contradict each other, or an ECG whose baseline decides the answer; and
    for a model that cannot be run or does not fit its card.
    """
    card = read_card(model)
    if isinstance(source, np.ndarray):
        if channels is None or sampling_rate is None:
            raise InvalidRecording("an array needs the names of its channels and its sampling rate")
        source = from_array(source, channels, sampling_rate, unit)
    if not isinstance(source, Signal):
        signal = read(source, sampling_rate, unit, record, rename)
        try:
            return predict(signal, model)
        except InvalidRecording as error:
            raise type(error)(f"{Path(source).name}: {error}") from error
    x, rate = choose_channels(check_signal(source), card)
    still = _still(x, rate, card)
    session = open_model(model, card)
    starts, windows = _scores(session, x, still, rate, card)
    found = Prediction(card, _whole(windows, card), starts, windows, x.shape[1] / rate)
    if card.unit.lower() == "mv":  # of an ECG; nets for EEG take the mean of each window away
        _refuse_baseline(session, x, still, rate, found)
    return found


def reply(
    source: Path | str | np.ndarray | Signal, model: Path | str, channels: Sequence[str] | None = None,
    sampling_rate: float | None = None, unit: str | None = None, record: str | None = None,
    rename: Mapping[str, str] | None = None,
) -> str:  # fmt: skip
    """What `predict` gives for a source, as text; where it refuses, "refused: " and the reason."""
    try:
        return str(predict(source, model, channels, sampling_rate, unit, record, rename))
    except InvalidRecording as error:
        return f"refused: {error}"


def choose_channels(signal: Signal, card: Card) -> tuple[np.ndarray, float]:
    """The card's channels of a recording, float32 (channels, samples) in the card's unit, and their rate.

    Raises InvalidRecording as `predict`, for what is wrong with channels, rate, length or values.
    """
    part, shares = _found(signal, card)
    rate = part.sampling_rate
    rows = {row: _in_microvolts(part, row) for row in {row: None for share in shares for row in share}}
    x = np.empty((len(shares), part.values.shape[1]), dtype=np.float32)
    for channel, share in zip(x, shares, strict=True):
        channel[:] = sum(factor * rows[row] for row, factor in share.items())
    _refuse_values(x, rate, card)
    plausibility.refuse_scaled(part.values[list(rows)])
    plausibility.refuse_contradiction(x, card.channels)
    if rate < 0.999 * card.sampling_rate:
        raise InvalidRecording(f"{rate:g} Hz; {card.model} needs {card.sampling_rate:g} Hz or more")
    seconds, needed = x.shape[1] / rate, card.samples / card.sampling_rate
    if card.aggregation == "mean":
        needed = min(needed, SHORTEST)
    if seconds < 0.999 * needed:
        raise InvalidRecording(f"{int(10 * seconds) / 10} s; {card.model} needs {needed:g} s or longer")
    x /= np.float32(UNITS[card.unit.lower()])
    return x, rate


def _in_microvolts(signal: Signal, row: int) -> np.ndarray:
    factor = microvolts(signal.units[row])
    if factor is None:
        unit = signal.units[row].strip() or "no unit"
        raise InvalidRecording(f"{signal.channels[row]} is in {unit}; it must be in V, mV or uV")
    return signal.values[row] * np.float32(factor)


def _refuse_values(x: np.ndarray, rate: float, card: Card) -> None:
    """InvalidRecording for values in uV that no body gives."""
    for name, channel in zip(card.channels, x, strict=True):
        missing = 1 - np.isfinite(channel).mean()
        if missing:
            raise InvalidRecording(f"{name} holds NaN or infinity, {missing:.0%} of it")
    highest = max(-x.min(), x.max())
    if highest > plausibility.HIGHEST:
        raise InvalidRecording(f"values up to {highest / 1e3:,.0f} mV; is its unit right?")
    still = [name for name, channel in zip(card.channels, x, strict=True) if not np.ptp(channel)]
    if still:
        raise InvalidRecording(f"{', '.join(still)} never moves")
    if card.unit.lower() == "uv":
        plausibility.refuse_swing(plausibility.swings(x, rate), plausibility.EEG)
        return
    for name, channel in zip(card.channels, x, strict=True):
        plausibility.refuse_swing(plausibility.swings(channel[None], rate), plausibility.ECG, name)


def _still(x: np.ndarray, rate: float, card: Card) -> np.ndarray:
    """Where channels keep one value for a second (or for a shorter window), bool (channels, samples).

    InvalidRecording for a channel that does so too long while another moves: its electrode is off. Where none
    moves, the recorder paused.
    """
    least = max(2, int(min(STILL, card.samples / card.sampling_rate) * rate))
    still = np.empty(x.shape, dtype=bool)
    for row, signal in zip(still, x, strict=True):
        row[:] = False
        equal = runs(signal[1:] == signal[:-1])
        for first, last in equal[equal[:, 1] - equal[:, 0] >= least - 1]:
            row[first : last + 1] = True
    goes_on = ~still.all(axis=0)
    if not goes_on.any():
        raise InvalidRecording("none of its channels moves")
    for name, share in zip(card.channels, still[:, goes_on].mean(axis=1), strict=True):
        if share > waveforms.MOST_INVALID:
            raise InvalidRecording(f"{name} stands still for {share:.0%} of the time")
    return still


def _found(signal: Signal, card: Card) -> tuple[Signal, list[dict[int, float]]]:
    """The part of a recording, of one rate, that has the card's channels; the rows of which each is made.

    MissingChannels where there is none.
    """
    parts = (signal, *signal.others)
    alone = sum(len(part.channels) for part in parts) <= len(card.channels)
    lacking = []
    for part in parts:
        # Among others, a channel called ECG may be any lead, and so may one called ECG2.
        stands = [alone and not is_further_lead(name) and _alias(name, card) for name in part.channels]
        present = [canonical(one or name) for one, name in zip(stands, part.channels, strict=True)]
        shares = {name: _shares_of(canonical(name), present) for name in card.channels}
        missing = [name for name, share in shares.items() if not share]
        if not missing:
            return part, list(shares.values())
        lacking.append(missing)
    raise MissingChannels(_lacks(parts, min(lacking, key=len), card))


def _alias(name: str, card: Card) -> str | None:
    """For which of the card's channels another of this name may stand."""
    for other, channel in card.channel_aliases.items():
        if canonical(name) == canonical(other) or (is_some_lead(name) and is_some_lead(other)):
            return channel
    return None


def _shares_of(wanted: str, present: list[str]) -> dict[int, float]:
    """The rows of which a channel is the sum, with factors: itself, or I and II for a limb lead; or none."""
    names = {wanted: 1.0}
    if wanted not in present and wanted in DERIVED:
        names = dict(zip(("i", "ii"), DERIVED[wanted], strict=True))
    twice = [name for name in names if present.count(name) > 1]
    if twice:
        raise InvalidRecording(f"the name {twice[0]} stands twice")
    return (
        {present.index(name): share for name, share in names.items()} if names.keys() <= set(present) else {}
    )


def _lacks(parts: Sequence[Signal], missing: list[str], card: Card) -> str:
    """What a recording without `missing` channels is told, and asked where one of its own may be meant."""
    present = [name for part in parts for name in part.channels]
    text = f"{card.model} needs {', '.join(missing)}; the recording has {', '.join(present)}"
    unnamed = [name for name in present if _alias(name, card)]
    has_leads = any(canonical(name).upper() in LEADS for name in present)
    if len(card.channels) == 1 and len(present) <= FEW and not has_leads:
        unnamed = unnamed or present  # of a Holter: CH1, CH2, CH3
    if unnamed and len(missing) == 1:
        which = f"is {unnamed[0]}" if len(unnamed) == 1 else f"which of {', '.join(unnamed)} is"
        text += f': {which} lead {missing[0]}? Then rename it, as in --rename "{unnamed[0]}={missing[0]}"'
    return text


def _refuse_baseline(
    session: onnxruntime.InferenceSession, x: np.ndarray, still: np.ndarray, rate: float, found: Prediction
) -> None:
    """InvalidRecording where an ECG's baseline is unlike those of the training set and decides the answer."""
    unlike, how = plausibility.unlike_training(x, found.card.channels, rate)
    if not unlike:
        return
    without = x - np.median(x, axis=1, keepdims=True)
    if unlike == "wanders":
        from biosignals.signals.filters import bandpass  # SciPy, for which others need not wait

        without = bandpass(x, HIGH_PASS, None, rate)
    _, windows = _scores(session, without, still, rate, found.card)
    if np.abs(_whole(windows, found.card) - found.probabilities).max() > DIFFERENT:
        raise InvalidRecording(
            f"its baseline {unlike} {how}, and without that the answer is another:"
            f" high-pass it at {HIGH_PASS:g} Hz first"
        )


def _whole(windows: np.ndarray, card: Card) -> np.ndarray:
    """Probabilities of a recording, (classes,), by those of its windows."""
    return np.nanmean(windows, axis=0) if card.aggregation == "mean" else windows.max(axis=0)


def _scores(
    session: onnxruntime.InferenceSession, x: np.ndarray, still: np.ndarray, rate: float, card: Card
) -> tuple[np.ndarray, np.ndarray]:
    """Starts of the windows in seconds, (windows,), and their probabilities, float64 (windows, classes).

    A window in which no channel moves, as while a cable is off, scores 0 where the maximum counts. The mean
    takes only windows in which every channel moves, the others are NaN; InvalidRecording if there is none.
    """
    alone, recorded = card.aggregation == "maximum", rate
    if not alone:
        x, rate = resample(x, rate, card.sampling_rate), card.sampling_rate
    length = round(card.samples / card.sampling_rate * rate)
    if x.shape[1] < length:
        rounded = x.shape[1] > 0.99 * length  # by a sample or so
        x = np.pad(x, ((0, 0), (0, length - x.shape[1])), mode="edge" if rounded else "wrap")
    starts = window_starts(x.shape[1], length, round(card.step * rate))
    parts = []
    for some in np.split(starts, range(32, len(starts), 32)):  # hours of EEG are not cut at once
        windows = np.stack([x[:, start : start + length] for start in some])
        if alone:
            windows = resample(windows, rate, card.sampling_rate)[:, :, : card.samples]
        parts.append(run(session, windows))
    scores = np.concatenate(parts).astype(np.float64)
    if scores.shape[1] != len(card.classes):
        raise InvalidRecording(
            f"{card.model} gives {scores.shape[1]} probabilities, its card names {len(card.classes)} classes"
        )
    starts = starts / rate
    # Of the recording itself: resampling may make a constant waver.
    shares = _shares(still, starts * recorded, card.samples / card.sampling_rate * recorded)
    if alone:
        scores[(shares == 1).all(axis=1)] = 0
        return starts, smooth(scores, card.smoothing)
    scores[(shares > waveforms.MOST_INVALID).any(axis=1)] = np.nan
    if np.isnan(scores).all():
        raise InvalidRecording("a channel stands still in each of its windows")
    return starts, scores


def _shares(still: np.ndarray, starts: np.ndarray, length: float) -> np.ndarray:
    """Share of each window's time in which a channel stands still, (windows, channels)."""
    firsts = np.rint(starts).astype(int)
    return np.stack([still[:, first : first + round(length)].mean(axis=1) for first in firsts])


def open_model(model: Path | str, card: Card) -> onnxruntime.InferenceSession:
    """The session of a model.

    Raises InvalidRecording where it is missing, damaged or does not fit its card.
    """
    model = Path(model)
    if not model.is_file() or model.stat().st_size > LARGEST_FILE:
        raise InvalidRecording(f"{model}: there is no such model, or it is too large")
    try:
        session = onnx_files.open_session(model)
    except Exception as error:  # ONNX Runtime's own exceptions have no common name
        raise InvalidRecording(
            f"{model.name}: ONNX Runtime cannot load it; take the model again ({error})"
        ) from error
    takes = [(signals.name, tuple(signals.shape[1:])) for signals in session.get_inputs()]
    wanted = (len(card.channels), card.samples)
    if takes != [("signals", wanted)]:
        raise InvalidRecording(f"{model.name} takes {takes}, its card says {wanted}; take both again")
    return session


def run(session: onnxruntime.InferenceSession, windows: np.ndarray) -> np.ndarray:
    """Probabilities (windows, classes) of windows (windows, channels, samples).

    Raises InvalidRecording where the model fails, as a manipulated one may.
    """
    try:
        found = onnx_files.run(session, np.asarray(windows, dtype=np.float32))
    except Exception as error:  # ONNX Runtime's own exceptions have no common name
        raise InvalidRecording(f"ONNX Runtime cannot run the model ({error})") from error
    if np.ndim(found) != 2 or len(found) != len(windows) or not ((found > -0.01) & (found < 1.01)).all():
        raise InvalidRecording("the model gives no probabilities; take it again")
    return found.clip(0, 1)  # eight bits may round beyond
