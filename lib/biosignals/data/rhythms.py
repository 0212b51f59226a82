"""Long ECG recordings whose rhythm is annotated: beats and episodes, in tables, and windows of their signals.

A beat is marked at its R peak. A mark "+" with the note "(AFIB" says that from there on the rhythm is atrial
fibrillation, until the next such mark.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from biosignals.data import signal_store, waveforms
from biosignals.data.annotation_files import Annotations
from biosignals.data.recordings import Recordings
from biosignals.data.waveforms import Unreadable
from biosignals.progress import tqdm
from biosignals.signals import windows as signal_windows

BEATS = frozenset("NLRBAaJSVrFejnE/fQ?")  # symbols of beats among those of annotations
CHANGE = "+"  # the symbol of a change of rhythm
LONGEST_INTERVAL = 5.0  # seconds; between beats further apart something is missing

Episodes = tuple[tuple[float, float, str], ...]  # start and end in seconds, rhythm; one after the other


@dataclass(frozen=True)
class RhythmRecording:
    """One recording by its annotations; its signals, if it has any, have not been read.

    subject: whose it is. name: unique in its set. path: of its files, without extension. sampling_rate: Hz.
    samples: its length. beats: R peaks, int64 (n,), in samples. types: the beats' symbols, (n,) str ("N"
    normal, "A" premature atrial, "V" ventricular). episodes: "N", "AFIB", "AFL", "J" (junctional) or "" where
    unknown. diagnosis: of the whole recording, "" where there is none.
    """

    subject: str
    name: str
    path: Path
    sampling_rate: float
    samples: int
    beats: np.ndarray
    types: np.ndarray
    episodes: Episodes
    diagnosis: str = ""

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.samples / self.sampling_rate

    def share(self, rhythm: str, starts: np.ndarray, seconds: float) -> np.ndarray:
        """What part of each window of `seconds` is of `rhythm`; starts: (windows,) s. float64 (windows,)."""
        starts = np.asarray(starts, dtype=float)
        total = np.zeros(starts.shape)
        for start, end, name in self.episodes:
            if name == rhythm:
                total += np.clip(np.minimum(end, starts + seconds) - np.maximum(start, starts), 0, None)
        return total / seconds


def beats_of(marks: Annotations) -> tuple[np.ndarray, np.ndarray]:
    """Where the beats among `marks` are, int64 (n,) in samples, and their symbols, str (n,)."""
    symbols = np.array(marks.symbols, dtype=object)
    chosen = np.array([symbol in BEATS for symbol in marks.symbols], dtype=bool)
    return marks.samples[chosen], symbols[chosen]


def episodes_of(marks: Annotations, sampling_rate: float, samples: int, first: str = "") -> Episodes:
    """The episodes that the changes of rhythm among `marks` part a recording of `samples` into.

    first: the rhythm before the first change. Episodes of no length are left out.
    """
    changes = [
        (sample / sampling_rate, note[1:])
        for sample, symbol, note in zip(marks.samples.tolist(), marks.symbols, marks.notes)
        if symbol == CHANGE and note.startswith("(")
    ]
    starts = [(0.0, first), *changes]
    ends = [*(start for start, _ in changes), samples / sampling_rate]
    return tuple((start, end, name) for (start, name), end in zip(starts, ends) if start < end)


def beats(recordings: Iterable[RhythmRecording]) -> pd.DataFrame:
    """A row per beat: `recording`, `subject`, `sample`, `time` (s), `type`, `rr`, `rhythm`.

    rr: seconds since the beat before; NaN for a recording's first and for more than 5 s, a gap. rhythm: that
    of the episode which the beat is in.
    """
    tables = []
    for one in recordings:
        times = one.beats / one.sampling_rate
        edges = [start for start, _, _ in one.episodes]
        place = np.searchsorted(edges, times, side="right") - 1
        names = np.array([*(name for _, _, name in one.episodes), ""], dtype=object)  # -1: before all
        columns = {"recording": one.name, "subject": one.subject, "sample": one.beats, "time": times}
        columns |= {"type": one.types, "rr": _intervals(one), "rhythm": names[place]}
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def _intervals(recording: RhythmRecording) -> np.ndarray:
    """Seconds from each beat's predecessor to it, (beats,); NaN where none is known."""
    intervals = np.diff(recording.beats, prepend=np.nan) / recording.sampling_rate
    return np.where(intervals > LONGEST_INTERVAL, np.nan, intervals)


def windows(
    recordings: Iterable[RhythmRecording], seconds: float = 30, step: float = 30
) -> tuple[pd.DataFrame, np.ndarray]:
    """Windows of `seconds` that start each `step` seconds: a table, and the intervals between their beats.

    The table has `recording`, `subject`, `start` (s), `rhythm` (the one that takes most of the window),
    `afib_share` and `afl_share` (0 to 1), bool `AFIB` (half of it or more) and `intervals`, their number. The
    second value is float32 (windows, intervals): seconds, zero after a window's last. An interval
    belongs to the window which its second beat is in; gaps, see `beats`, are left out. An end that fills no
    window is, too. Raises ValueError where no window fits.
    """
    tables, series = [], []
    for one in recordings:
        starts = window_starts(one, seconds, step)
        intervals = _intervals(one)
        known = np.isfinite(intervals)
        times, intervals = one.beats[known] / one.sampling_rate, intervals[known]
        bounds = np.searchsorted(times, [starts, starts + seconds])
        own = [intervals[first:last] for first, last in bounds.T]
        tables.append(_describe(one, starts, seconds).assign(intervals=np.diff(bounds, axis=0)[0]))
        series += own
    if not series:
        raise ValueError(f"no recording lasts {seconds:g} s: ask for shorter windows")
    padded = np.zeros((len(series), max(map(len, series))), dtype=np.float32)
    for row, own in zip(padded, series):
        row[: len(own)] = own
    return pd.concat(tables, ignore_index=True), padded


def window_starts(recording: RhythmRecording, seconds: float, step: float) -> np.ndarray:
    """Where windows of `seconds` each `step` seconds start: float64 (n,), seconds.

    Raises ValueError for lengths below a sample.
    """
    length, hop = (round(value * recording.sampling_rate) for value in (seconds, step))
    if min(length, hop) < 1:
        raise ValueError(f"windows of {seconds:g} s each {step:g} s are shorter than a sample")
    return signal_windows.window_starts(recording.samples, length, hop, flush=False) / recording.sampling_rate


def _describe(recording: RhythmRecording, starts: np.ndarray, seconds: float) -> pd.DataFrame:
    """The table of the windows of `recording` that start at `starts` (n,), in seconds."""
    names = sorted({name for _, _, name in recording.episodes} | {"AFIB", "AFL"})
    shares = np.stack([recording.share(name, starts, seconds) for name in names])
    afib, afl = shares[names.index("AFIB")], shares[names.index("AFL")]
    return pd.DataFrame(
        {
            "recording": recording.name,
            "subject": recording.subject,
            "start": starts,
            "rhythm": np.array(names, dtype=object)[shares.argmax(axis=0)],
            "afib_share": afib,
            "afl_share": afl,
            "AFIB": afib >= 0.5,
        }
    )


def collect(
    dataset: str,
    recordings: Iterable[RhythmRecording],
    seconds: float,
    step: float,
    leads: Iterable[str],
    cache: Path | str | None = None,
) -> Recordings:
    """Windows of the recordings' signals: int16 (windows, leads, samples) at 1000 counts per mV, as recorded.

    Windows last `seconds` and start each `step` seconds; an end that fills none is left out. leads: in the
    order wanted. cache: folder of the memory map (None: the user's own cache folder).

    The table, indexed by "recording@start", has what `windows` says of each but the intervals, `diagnosis`,
    `samples` and `flat_leads` (no change for a second). A recording without signals or leads, too short or
    damaged, is listed in `excluded`. Raises ValueError when nothing is left, or recordings differ in sampling
    rate.
    """
    recordings, leads = list(recordings), tuple(leads)
    rates = {recording.sampling_rate for recording in recordings}
    if len(rates) != 1:
        raise ValueError(f"recordings of one sampling rate are needed, not of {sorted(rates)} Hz")
    root = os.path.commonpath([recording.path.resolve().parent for recording in recordings])
    names = [recording.name for recording in recordings]
    return signal_store.keep(
        cache, f"{dataset}-windows", [dataset, root, seconds, step, leads, names], root,
        lambda place: _write(place, dataset, recordings, root, seconds, step, leads), dtype="<i2",
        dataset=dataset, scale=1 / waveforms.COUNTS_PER_MILLIVOLT, unit="mV", sampling_rate=rates.pop(),
        channels=leads,
    )  # fmt: skip


def _write(
    place: Path, dataset: str, recordings: list[RhythmRecording], root: str, seconds: float, step: float,
    leads: tuple[str, ...],
) -> None:  # fmt: skip
    """Writes the windows of `recordings` into the empty folder `place`, as `signal_store` lays it out."""
    stems = {recording.name: os.path.relpath(recording.path.resolve(), root) for recording in recordings}
    files = [stem + extension for stem in stems.values() for extension in (".hea", ".dat", ".atr", ".qrs")]
    sources = signal_store.states(root, files)
    tables, excluded, length = [], [], round(seconds * recordings[0].sampling_rate)
    bar = tqdm(recordings, desc=f"cutting {dataset}", unit=" recordings", mininterval=1)
    with open(place / "signals.bin", "wb") as file:
        for recording in bar:
            try:
                starts = window_starts(recording, seconds, step)
                counts = _cut(recording, starts, length, leads)
            except Unreadable as error:
                excluded.append((recording.name, stems[recording.name], str(error)))
                continue
            file.write(counts)
            tables.append(
                _describe(recording, starts, seconds).assign(
                    diagnosis=recording.diagnosis,
                    samples=length,
                    flat_leads=waveforms.flat(counts, recording.sampling_rate).sum(axis=1),
                )
            )
    signal_store.refuse_changes(root, sources)
    signal_store.refuse_nothing(f"recording of {dataset} in {root}", len(tables), excluded)
    table = pd.concat(tables, ignore_index=True)
    table.insert(0, "window", table["recording"] + "@" + table["start"].map("{:.10g}".format))
    signal_store.finish(place, table, excluded, sources, [len(table), len(leads), length])


def _cut(recording: RhythmRecording, starts: np.ndarray, length: int, leads: tuple[str, ...]) -> np.ndarray:
    """The windows of `length` samples from `starts` (n,), in seconds: int16 (n, leads, length)."""
    if not len(starts):
        raise Unreadable(f"lasts {recording.seconds:g} s, less than a window")
    counts = waveforms.read(recording.path, leads, recording.sampling_rate, recording.samples)
    counts = waveforms.fill_missing(counts, leads)
    first = np.rint(starts * recording.sampling_rate).astype(int)
    return np.ascontiguousarray(
        np.lib.stride_tricks.sliding_window_view(counts, length, axis=-1)[:, first].swapaxes(0, 1)
    )
