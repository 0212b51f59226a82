"""Scores and alarms of a net over long recordings: from the file afterwards, or while the signal comes in."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
import torch
from torch import nn

from biosignals.data.eeg import EegRecording
from biosignals.deployment import plausibility
from biosignals.evaluation.events import Alarm, AlarmRule, ScoredRecording, alarms
from biosignals.signals.windows import prepare, smooth
from biosignals.training.predict import prepare_for_inference

_FLAT = 1e-3  # microvolts peak to peak: no amplifier resolves so little
_UNIT_SECONDS = 60  # after which a stream's unit is judged, as that of a file is by all of it


def detect(
    net: nn.Module, windows: Iterable[tuple[np.ndarray, np.ndarray]]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each window's start (seconds), its score from 0 to 1 and whether it is usable, (n,) each.

    windows: batches of starts (b,) and signals, float32 (b, channels, samples) in microvolts; one batch at a
    time is held. The score, float32, is the sigmoid of the net's one logit. A graphics card is used where
    there is one.

    A window with a NaN or infinite sample, or flat in all channels (a cable is off), is not usable: it scores
    0 without the net. Raises ValueError for a net with other outputs, for one that gives NaN, and for signals
    that move as no EEG in microvolts does.
    """
    starts, scores, usable, swings = [np.empty(0)], [np.empty(0, np.float32)], [np.empty(0, bool)], []
    prepared = None
    for first, signals in windows:
        if prepared is None and len(signals):
            prepared = prepare_for_inference(net, signals[:1])
        starts.append(first)
        swings.append(_swings(signals))
        usable.append(_usable(signals))
        scores.append(_scores(prepared, signals, usable[-1]))
    if swings:
        found = np.concatenate(swings)
        # Resampling makes a constant waver; signals in volts move by as little.
        plausibility.refuse_swing(found[found > _FLAT] if (found > _FLAT).any() else found, plausibility.EEG)
    return np.concatenate(starts), np.concatenate(scores), np.concatenate(usable)


class StreamingDetector:
    """Alarms while the signal comes in, in chunks of any length: the same as of `detect` and `alarms` later.

    channels, sampling_rate (Hz): of the signal fed. net_rate (Hz): to which each window is resampled for the
    net, by `signals.windows.prepare`, as the windows of a file are. seconds, step: length of the windows and
    time from one start to the next. rule: as in `alarms`. Windows without a usable signal score 0, as in
    `detect`.

    Each window is scored by itself, so that scores and alarms do not depend on how the signal is cut.
    `detect` takes batches, whose rounding may differ by 1e-6; an alarm then differs only if a mean score lies
    that close to the threshold. Held in memory: samples of less than one window beside the chunk, and one
    score per window.

    scores: one per window so far.

    Raises ValueError for windows that are not whole numbers of samples at this rate, or longer steps than
    windows, for a net that does not take the prepared windows, and, after a minute or at the end, for signals
    that move as no EEG in microvolts does.
    """

    def __init__(
        self, net: nn.Module, *, channels: int, sampling_rate: float, net_rate: float, seconds: float,
        step: float, rule: AlarmRule,
    ):  # fmt: skip
        self.channels, self.sampling_rate, self.net_rate = channels, sampling_rate, net_rate
        self.seconds, self.rule = seconds, rule
        self._length, self._stride = (_whole(length, sampling_rate) for length in (seconds, step))
        if self._stride > self._length:
            raise ValueError(f"a step of {step:g} s leaves gaps between windows of {seconds:g} s")
        self._net = self._checked(net)
        self.scores: list[float] = []
        self._pieces: list[np.ndarray] = []
        self._held = 0
        self._swings: list[float] = []  # of the windows in which anything moves
        self._run = 0  # windows over the threshold in a row, up to now
        self._finished = False

    def feed(self, chunk: np.ndarray) -> list[Alarm]:
        """Take the next samples, float32 (channels, any number) in microvolts; return the alarms that they
        raise.

        An alarm is returned once, when it is raised; its `end` is then the time up to which it has lasted.
        Samples that were lost are to be fed as NaN, so that time goes on. Raises ValueError for another
        number of channels, for signals in another unit and after `finish`.
        """
        if self._finished:
            raise ValueError("this recording is finished; make a new detector for the next one")
        chunk = np.array(chunk, dtype=np.float32)  # a copy: drivers fill the same buffer again
        if chunk.ndim != 2 or len(chunk) != self.channels:
            raise ValueError(f"chunks are ({self.channels} channels, samples), not {chunk.shape}")
        chunk[~np.isfinite(chunk)] = np.nan
        self._pieces.append(chunk)
        self._held += chunk.shape[1]
        if self._held < self._length:
            return []
        samples, raised = np.concatenate(self._pieces, axis=1), []
        firsts = range(0, self._held - self._length + 1, self._stride)
        for first in firsts:
            raised += self._score(samples[:, first : first + self._length])
        rest = samples[:, firsts[-1] + self._stride :].copy()
        self._pieces, self._held = [rest], rest.shape[1]
        return raised

    def finish(self) -> list[Alarm]:
        """End the recording: all its alarms, with their ends. Samples that fill no window are left out."""
        self._finished = True
        self._refuse_unit()
        starts = np.array([self._start(window) for window in range(len(self.scores))])
        return alarms(starts, np.array(self.scores), self.seconds, self.rule)

    def _start(self, window: int) -> float:
        return window * self._stride / self.sampling_rate

    def _score(self, window: np.ndarray) -> list[Alarm]:
        """Adds a window's score; the alarm that it completes."""
        self._swings += [float(swing) for swing in _swings(window[None]) if swing > 0]
        if len(self._swings) == -(-_UNIT_SECONDS * self.sampling_rate // self._stride):
            self._refuse_unit()
        signal = prepare(window[None], self.sampling_rate, self.net_rate)
        self.scores.append(float(_scores(self._net, signal, _usable(signal))[0]))
        mean = smooth(self.scores[-self.rule.smoothing :], self.rule.smoothing)[-1]
        self._run = self._run + 1 if mean >= self.rule.threshold else 0
        if self._run != self.rule.consecutive:
            return []
        latest = len(self.scores) - 1
        now = self._start(latest) + self.seconds
        return [Alarm(self._start(latest - self._run + 1), now, now)]

    def _refuse_unit(self) -> None:
        plausibility.refuse_swing(np.array(self._swings), plausibility.EEG)

    def _checked(self, net: nn.Module) -> nn.Module:
        empty = np.zeros((1, self.channels, self._length), np.float32)
        signal = prepare(empty, self.sampling_rate, self.net_rate)
        try:
            prepared = prepare_for_inference(net, signal)
            _scores(prepared, signal, np.array([True]))
        except (RuntimeError, ValueError) as error:
            raise ValueError(
                f"the net does not take windows of {self.channels} channels and {signal.shape[2]} samples, "
                f"{self.seconds:g} s at {self.net_rate:g} Hz: {error}"
            ) from error
        return prepared


def _whole(seconds: float, sampling_rate: float) -> int:
    samples = round(seconds * sampling_rate)
    if samples < 1 or abs(samples - seconds * sampling_rate) > 1e-6:
        raise ValueError(f"{seconds:g} s are no whole number of samples at {sampling_rate:g} Hz")
    return samples


def _swings(signals: np.ndarray) -> np.ndarray:
    """Peak to peak of the liveliest channel of windows (n, channels, samples), 0 where not finite: (n,)."""
    finite = np.isfinite(signals).all((1, 2))
    return np.ptp(np.where(finite[:, None, None], signals, 0), axis=2).max(1)


def _usable(signals: np.ndarray) -> np.ndarray:
    """Whether windows (n, channels, samples) are finite and not flat in all channels, (n,)."""
    return _swings(signals) > _FLAT


def _scores(net: nn.Module, signals: np.ndarray, usable: np.ndarray) -> np.ndarray:
    scores = np.zeros(len(signals), np.float32)
    if usable.any():
        device = next(net.parameters()).device
        with torch.inference_mode():
            logits = net(torch.from_numpy(np.ascontiguousarray(signals[usable])).to(device)).float()
        if logits.ndim != 2 or logits.shape[1] != 1:
            raise ValueError(f"the net gives {tuple(logits.shape)}, not (windows, 1) logits")
        scores[usable] = logits.sigmoid()[:, 0].cpu().numpy()
    if not np.isfinite(scores).all():
        raise ValueError("the net gives NaN; are its weights finite, and are the signals in microvolts?")
    return scores


def group_by_recording(
    recordings: Iterable[EegRecording], table: pd.DataFrame, scores: np.ndarray
) -> list[ScoredRecording]:
    """Window scores (n,) sorted into their recordings, to be scored as events.

    table: of the windows, a row each, with `recording` and `start`, as `eeg.collect` gives it with all
    windows kept. Returns one per recording that has windows, in the order of `recordings`.
    """
    rows = table.reset_index(drop=True).groupby("recording").indices
    starts = table["start"].to_numpy()
    return [
        ScoredRecording(starts[rows[r.name]], scores[rows[r.name]], r.seizures, r.seconds)
        for r in recordings
        if r.name in rows
    ]
