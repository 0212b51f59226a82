"""Long EEG recordings in EDF files: opened by their header, read in stretches, cut into windows.

Kemp et al., A simple format for exchange of digitized polygraphic recordings, Electroencephalography and
Clinical Neurophysiology 82 (1992). A recording of many hours never takes more memory than one batch of
windows.
"""

from __future__ import annotations

import os
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from biosignals.data import edf, signal_store
from biosignals.data.channel_names import channel_names
from biosignals.data.errors import AGAIN, Damaged, StorageError, Unreadable, reading
from biosignals.data.recordings import Recordings
from biosignals.data.units import microvolts
from biosignals.progress import tqdm
from biosignals.signals import windows as signal_windows

SCALE = 0.2  # uV per count of a collected window: below the step of CHB-MIT's EDFs (0.4), and holds 6.5 mV
BATCH = 64  # windows read at a time

Seizures = tuple[tuple[float, float], ...]  # start and end of each, seconds


@dataclass(frozen=True)
class EegRecording:
    """One EDF or BDF file, of which only the header has been read.

    subject: whose it is. name: unique in its set ("chb01_03"). path: of the EDF file.
    channels: the names wanted, in order; a name the file repeats is told apart by "-1" ("T8-P8", "T8-P8-1").
    sampling_rate: Hz. samples: per channel. seizures: (start, end) of each, seconds, in order.
    """

    subject: str
    name: str
    path: Path
    channels: tuple[str, ...]
    sampling_rate: float
    samples: int
    seizures: Seizures = ()

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.samples / self.sampling_rate


def open_recording(
    path: Path | str,
    subject: str,
    name: str,
    channels: Iterable[str],
    sampling_rate: float,
    seizures: Iterable[tuple[float, float]] = (),
) -> EegRecording:
    """The recording in EDF or BDF file `path`, by its header and the times of its data records.

    sampling_rate: the one expected, Hz. Raises Unreadable (a ValueError) for a file that is missing, damaged,
    cut short, has gaps in time, is sampled at another rate or without one of `channels`, and for a seizure
    that does not lie in the recording.
    """
    path, channels = Path(path), tuple(channels)
    file, signals = _open_signals(path, channels)
    with reading(path), _naming(path):
        edf.refuse_gaps(file)
    rate = signals[0].sampling_rate
    if rate != sampling_rate:
        raise Unreadable(f"{path} is sampled at {rate:g} Hz, expected {sampling_rate:g} Hz: leave it out")
    recording = EegRecording(
        subject, name, path, channels, rate, file.records * signals[0].samples,
        tuple(sorted((float(start), float(end)) for start, end in seizures)),
    )  # fmt: skip
    for start, end in recording.seizures:
        if not 0 <= start < end <= recording.seconds:
            raise Unreadable(
                f"{path} lasts {recording.seconds:g} s, but a seizure is annotated from {start:g} to"
                f" {end:g} s: file and annotation do not belong together, {AGAIN}"
            )
    return recording


def usable(
    dataset: str, root: Path, recordings: list[EegRecording], excluded: list[tuple]
) -> tuple[list[EegRecording], pd.DataFrame]:
    """Both as they are, `excluded` as a table.

    Raises ValueError when there is no recording, StorageError when folder `root` has gone.
    """
    if not root.is_dir():
        raise StorageError(f"{root} went away while its recordings were opened: load again when it is there")
    if not recordings:
        why = f"{excluded[0][1]} {excluded[0][2]}" if excluded else "there is none"
        raise ValueError(
            f"no recording of {dataset} in {root} can be used ({len(excluded)} left out; one: {why})"
        )
    return recordings, signal_store.exclusions(excluded)


def _open_signals(path: Path, channels: tuple[str, ...]) -> tuple[edf.EdfFile, list[edf.EdfSignal]]:
    """An EDF file and its signals `channels`, in that order."""
    with reading(path), _naming(path):
        file = edf.open_file(path)
    names = channel_names(signal.label for signal in file.signals)
    missing = [name for name in channels if name.casefold() not in names]
    if missing or not channels:
        wanted, present = ", ".join(missing) or "(none named)", ", ".join(s.label for s in file.signals)
        raise Unreadable(f"{path} has no channel {wanted}; it holds {present}: leave it out or ask for these")
    for name in channels:
        if names.count(name.casefold()) > 1:
            raise Unreadable(f"{path} has several channels that may be {name}: leave it out")
    signals = [file.signals[names.index(name.casefold())] for name in channels]
    _refuse_bad_scales(path, signals)
    return file, signals


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Puts a file's path in front of what `edf` says is wrong with it."""
    try:
        yield
    except Unreadable as error:
        raise type(error)(f"{path} {error.args[0]}") from error


def _refuse_bad_scales(path: Path, signals: list[edf.EdfSignal]) -> None:
    """Raises Unreadable when signals differ in sampling rate, are no voltages or have no usable scale."""
    rates = {signal.sampling_rate for signal in signals}
    if len(rates) > 1 or not 0 < min(rates) < np.inf:
        some = ", ".join(f"{rate:g}" for rate in sorted(rates))
        raise Unreadable(f"{path} has channels sampled at {some} Hz, expected one rate: leave it out")
    for signal in signals:
        if microvolts(signal.unit) is None:
            raise Unreadable(
                f"{path} gives {signal.label} in {signal.unit!r}, expected uV, mV or V: leave it out"
            )
        if signal.gain is None:
            raise Damaged(f"{path} has no usable scale for {signal.label}")


def read(recording: EegRecording, start: int, stop: int) -> np.ndarray:
    """Samples `start` to `stop` of a recording: float32 (channels, samples), uV.

    Only this stretch is loaded. Raises IndexError when it reaches past the recording, Unreadable when the
    file has been damaged since it was opened.
    """
    if not 0 <= start < stop <= recording.samples:
        raise IndexError(
            f"samples {start} to {stop} are not in {recording.name}, which has {recording.samples}"
        )
    file, signals = _open_signals(recording.path, recording.channels)
    rate, samples = signals[0].sampling_rate, file.records * signals[0].samples
    if rate != recording.sampling_rate or samples < recording.samples:
        raise Unreadable(f"{recording.path} has changed since it was opened: open it again")
    with reading(recording.path):
        stretch = edf.read(file, signals, start, stop)
    for row, signal in zip(stretch, signals):
        row *= microvolts(signal.unit)
    return stretch


def window_starts(recording: EegRecording, seconds: float, step: float) -> np.ndarray:
    """Where windows of `seconds` that follow each other by `step` start: float64 (n,), seconds.

    Raises Unreadable when the recording is shorter than one window, ValueError for windows of no whole number
    of samples.
    """
    length, hop = _in_samples(recording, seconds), _in_samples(recording, step)
    if recording.samples < length:
        raise Unreadable(
            f"{recording.path} lasts {recording.seconds:g} s, less than a window of "
            f"{seconds:g} s: leave it out"
        )
    return signal_windows.window_starts(recording.samples, length, hop, flush=False) / recording.sampling_rate


def _in_samples(recording: EegRecording, seconds: float) -> int:
    samples = round(seconds * recording.sampling_rate)
    if samples < 1 or abs(samples - seconds * recording.sampling_rate) > 1e-6:
        raise ValueError(f"{seconds:g} s is no whole number of samples at {recording.sampling_rate:g} Hz")
    return samples


def windows(
    recording: EegRecording,
    seconds: float,
    step: float,
    sampling_rate: float | None = None,
    chosen: np.ndarray | None = None,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The windows of a recording, up to 64 at a time: starts in seconds (n,), float32 (n, channels, samples).

    Windows last `seconds` and start each `step` seconds; each is resampled to `sampling_rate` Hz (None: as it
    is) and without its mean, see signals.windows.prepare; uV. chosen: bool (windows,), one for each of
    window_starts: only these. Raises ValueError for other choices, and what `read` and `window_starts` raise.
    """
    rate = recording.sampling_rate
    length, hop = _in_samples(recording, seconds), _in_samples(recording, step)
    count = len(window_starts(recording, seconds, step))
    chosen = np.ones(count, dtype=bool) if chosen is None else np.asarray(chosen, dtype=bool)
    if chosen.shape != (count,):
        raise ValueError(f"{chosen.size} choices do not fit the {count} windows of {recording.name}")
    batch = max(1, min(BATCH, BATCH * length // hop))  # windows far apart: no long stretch between them
    for first in range(0, count, batch):
        rows = first + np.flatnonzero(chosen[first : first + batch])
        if rows.size:
            stretch = read(recording, rows[0] * hop, rows[-1] * hop + length)
            cut = signal_windows.windows(stretch[None], length, hop)[0, rows - rows[0]]
            yield rows * hop / rate, signal_windows.prepare(cut, rate, sampling_rate or rate)


def is_seizure(starts: np.ndarray, seconds: float, seizures: Iterable[tuple[float, float]]) -> np.ndarray:
    """Which windows, by their `starts` (n,) in seconds, overlap one of `seizures` (start, end): bool (n,)."""
    starts = np.asarray(starts, dtype=float)
    found = np.zeros(starts.shape, dtype=bool)
    for start, end in seizures:
        found |= (starts < end) & (starts + seconds > start)
    return found


def collect(
    dataset: str,
    recordings: Iterable[EegRecording],
    seconds: float,
    step: float,
    sampling_rate: float,
    background: float = 1.0,
    seed: int = 0,
    cache: Path | str | None = None,
) -> Recordings:
    """Windows of many recordings: all with a seizure and a random share `background` of the others.

    Signals are int16 (windows, channels, samples) in units of 0.2 uV (beyond 6.5 mV cut off), a memory map
    kept below `cache` (None: the user's own cache folder) and made again when an EDF file has changed. See
    `windows` for how they are made. The choice in one recording depends on `seed` and its name, not on the
    other recordings.

    The table has a row per window: `subject`, `recording`, `start` (s), bool `seizure` (it overlaps one),
    `samples`; indexed by "recording@start". A recording that cannot be read or does not change at all is
    listed in `excluded`. Raises ValueError when nothing is left, or the recordings differ in channels.
    """
    recordings = list(recordings)
    if not recordings:
        raise ValueError(f"no recording of {dataset} to collect windows of")
    names = Counter(recording.name for recording in recordings)
    if len(names) < len(recordings):
        raise ValueError(
            f"{names.most_common(1)[0][0]} stands more than once among the recordings: name each once"
        )
    for other in recordings:
        if other.channels != recordings[0].channels:
            raise ValueError(
                f"{recordings[0].name} and {other.name} differ in channels: open both with the same ones"
            )
    root = os.path.commonpath([recording.path.resolve().parent for recording in recordings])
    request = {"seconds": seconds, "step": step, "sampling_rate": sampling_rate}
    request |= {"background": background, "seed": seed}
    return signal_store.keep(
        cache, f"{dataset}-windows-{sampling_rate:g}",
        [dataset, root, request, [asdict(recording) for recording in recordings]], root,
        lambda place: _write(place, dataset, recordings, root, **request), dtype="<i2", dataset=dataset,
        scale=SCALE, unit="uV", sampling_rate=float(sampling_rate), channels=recordings[0].channels,
    )  # fmt: skip


def _write(
    place: Path, dataset: str, recordings: list[EegRecording], root: str,
    seconds: float, step: float, sampling_rate: float, background: float, seed: int,
) -> None:  # fmt: skip
    """Writes the chosen windows of `recordings` into the empty folder `place`, as `signal_store` has it."""
    files = {recording.name: os.path.relpath(recording.path.resolve(), root) for recording in recordings}
    sources = signal_store.states(root, files.values())
    tables, excluded, shape = [], [], None
    bar = tqdm(recordings, desc=f"cutting {dataset}", unit=" recordings", mininterval=1)
    with open(place / "signals.bin", "wb") as file:
        for recording in bar:
            begin = file.tell()
            try:
                starts = window_starts(recording, seconds, step)
                chosen = _choose(recording, starts, seconds, background, seed)
                changes = not chosen.any()
                for _, x in windows(recording, seconds, step, sampling_rate, chosen):
                    counts = np.clip(np.rint(x / SCALE), -32767, 32767).astype("<i2")
                    file.write(counts.tobytes())
                    shape, changes = counts.shape[1:], changes or counts.any()
                if not changes:
                    raise Unreadable(f"{recording.path} does not change at all: leave it out")
            except Unreadable as error:
                file.seek(begin)
                file.truncate()
                excluded.append((recording.name, files[recording.name], str(error)))
            else:
                tables.append(_table(recording, starts[chosen], seconds))
    signal_store.refuse_changes(root, sources)
    signal_store.refuse_nothing(f"window of {dataset} in {root}", sum(map(len, tables)), excluded)
    table = pd.concat([table for table in tables if len(table)], ignore_index=True).assign(samples=shape[1])
    signal_store.finish(place, table, excluded, sources, [len(table), *shape])


def _choose(
    recording: EegRecording, starts: np.ndarray, seconds: float, background: float, seed: int
) -> np.ndarray:
    """Which windows, by their starts (n,), are collected: bool (n,)."""
    generator = np.random.default_rng([seed, zlib.crc32(recording.name.encode())])
    drawn = generator.random(len(starts)) < background
    return drawn | is_seizure(starts, seconds, recording.seizures)


def _table(recording: EegRecording, starts: np.ndarray, seconds: float) -> pd.DataFrame:
    """The table of the windows of `recording` that start at `starts` (n,), in seconds."""
    return pd.DataFrame(
        {
            "window": [f"{recording.name}@{start:.10g}" for start in starts],
            "subject": recording.subject,
            "recording": recording.name,
            "start": starts,
            "seizure": is_seizure(starts, seconds, recording.seizures),
        }
    )
