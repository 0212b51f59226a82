"""Recordings in, recordings out: resampled, cut into windows or pulses, drawn as pictures; features."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from biosignals import caching
from biosignals.caching import Cache
from biosignals.data import splits
from biosignals.data.recordings import Recordings
from biosignals.progress import tqdm
from biosignals.signals import filters
from biosignals.signals import pulses as pulse_waves
from biosignals.signals.images import paper_image, record_image, scan
from biosignals.signals.pulses import SAMPLING_RATE as RATE
from biosignals.signals.scalogram import coefficients, scales_for, scalogram
from biosignals.signals.spectrogram import mel_spectrogram, spectrogram
from biosignals.signals.windows import standardise, window_starts

BATCH = 64  # recordings that are changed at a time
BLOCK = 512  # recordings that features are made of at a time


def resample(recordings: Recordings, sampling_rate: float) -> Recordings:
    """The same recordings at another sampling rate, low-passed first where it is lower; int16, in memory.

    Raises ValueError for recordings that are not int16 and for rates that are no whole numbers of Hz.
    """
    if recordings.signals.dtype != np.int16:
        raise ValueError(f"expected int16 recordings, not {recordings.signals.dtype}")
    parts = [
        filters.resample(
            recordings.signals[i : i + BATCH].astype(np.float32), recordings.sampling_rate, sampling_rate
        )
        for i in range(0, len(recordings), BATCH)
    ]
    signals = np.concatenate([np.clip(np.rint(part), -32767, 32767).astype(np.int16) for part in parts])
    samples = np.ceil(recordings.table["samples"] * sampling_rate / recordings.sampling_rate).astype("int64")
    table = recordings.table.assign(samples=samples)
    return replace(recordings, signals=signals, sampling_rate=float(sampling_rate), table=table)


def cut_windows(recordings: Recordings, seconds: float, step: float, repeat: bool = False) -> Recordings:
    """Windows of `seconds` that start each `step` seconds in each recording, the last flush with its end.

    A recording shorter than a window gives one, filled up with zeros, or with `repeat` by itself, again and
    again. The table repeats the recording's row
    for each window, with `recording` (its id) and `start` (s); `samples` are the window's own.
    """
    length = round(seconds * recordings.sampling_rate)
    lengths = recordings.table["samples"].to_numpy()
    starts = [window_starts(own, length, round(step * recordings.sampling_rate)) for own in lengths]
    rows = np.repeat(np.arange(len(recordings)), [len(own) for own in starts])
    starts = np.concatenate(starts)
    signals = np.zeros((len(rows), len(recordings.channels), length), dtype=recordings.signals.dtype)
    for window, row, start in zip(signals, rows, starts, strict=True):
        piece = recordings.signals[row, :, start : min(start + length, lengths[row])]
        if repeat:
            window[:] = np.take(piece, np.arange(length), axis=-1, mode="wrap")
        else:
            window[:, : piece.shape[-1]] = piece
    table = recordings.table.iloc[rows].assign(
        recording=recordings.table.index[rows], start=starts / recordings.sampling_rate,
        samples=np.minimum(lengths[rows] - starts, length),
    )  # fmt: skip
    return replace(recordings, signals=signals, table=table.reset_index(drop=True))


def extract_features(
    recordings: Recordings,
    describe: Callable,
    cache: Cache | None = None,
    padded: bool = False,
    **options: Any,
) -> np.ndarray:
    """Features of all recordings: float32 (recordings, features); computed once with a cache.

    describe: makes a table or an array, a row for each, of signals (n, channels, samples) in the recordings'
    unit and their sampling rate, as `ecg_features`, `eeg_features`, `rhythm_features` and `rr_intervals` do;
    options: its other arguments. padded: it also takes `lengths` (n,), the samples that are each recording's
    own. Raises what it raises.
    """
    own = recordings.table["samples"].to_numpy()

    def compute() -> np.ndarray:
        parts = []
        for start in tqdm(range(0, len(recordings), BLOCK), desc="features", leave=False):
            rows = np.arange(start, min(start + BLOCK, len(recordings)))
            lengths = {"lengths": own[rows]} if padded else {}
            found = describe(recordings.physical(rows), recordings.sampling_rate, **lengths, **options)
            parts.append(np.asarray(found, dtype=np.float32))
        return np.concatenate(parts)

    signals = caching.Rows(recordings.signals, np.arange(len(recordings)))
    about = recordings.scale, recordings.sampling_rate, own if padded else None, options
    return caching.fetch(cache, (caching.Local(describe), describe.__qualname__, signals, *about), compute)


def record_images(
    recordings: Recordings, height: int = 182, width: int = 256, time_across: bool = False
) -> Recordings:
    """Each record as one grey picture (see `signals.images`), its rows as channels: int16 (n, height, width).

    The second and third image that nets for photographs expect would be copies and are left out: a net on one
    image computes the same with the sum of their weights. In thousandths of a picture's standard deviation;
    time runs down the rows, whose rate is `sampling_rate`, and leads run across, or with `time_across` the
    other way round.
    """

    def draw(x: np.ndarray, _: int) -> np.ndarray:
        if time_across:
            return record_image(x, width, height).swapaxes(1, 2)
        return record_image(x, height, width)

    return _pages(recordings, draw, height, width, "SD", width if time_across else height)


def paper_images(
    recordings: Recordings, height: int = 96, width: int = 192, scanned: bool = False
) -> Recordings:
    """Each record as a page of ECG paper (see `signals.images.paper_image`), its rows as channels, time
    across: int16 (n, height, width), in thousandths of full ink.

    scanned: askew, faded, blurred and noisy, the same for each run. Raises ValueError for recordings of other
    than twelve leads.
    """

    def draw(x: np.ndarray, first: int) -> np.ndarray:
        pages = paper_image(x, recordings.sampling_rate, height, width)
        return scan(pages, seed=first) if scanned else pages

    return _pages(recordings, draw, height, width, "ink", 4 * width)


def _pages(
    recordings: Recordings,
    draw: Callable[[np.ndarray, int], np.ndarray],
    height: int,
    width: int,
    unit: str,
    along: int,
) -> Recordings:
    """Pictures (n, height, width) that `draw` makes of signals and the place of the first, in thousandths;
    `along`: pixels of the whole time.
    """
    pictures = np.empty((len(recordings), height, width), dtype=np.int16)
    for i in range(0, len(recordings), BATCH):
        records = recordings.physical(np.arange(i, min(i + BATCH, len(recordings))))
        pictures[i : i + BATCH] = np.clip(np.rint(1000 * draw(records, i)), -32767, 32767)
    return replace(
        recordings, signals=pictures, scale=0.001, unit=unit,
        sampling_rate=recordings.sampling_rate * along / recordings.signals.shape[2],
        channels=tuple(f"row {i + 1}" for i in range(height)), table=recordings.table.assign(samples=width),
    )  # fmt: skip


def scalograms(
    recordings: Recordings, frequencies: np.ndarray, wavelet: str = "cmor1.5-1.0", bins: int = 128,
    phase: bool = False,
) -> Recordings:  # fmt: skip
    """Magnitudes of each channel's wavelet transform, a channel per lead and frequency (Hz): "II 12.5 Hz".

    phase: with two more images of each lead behind its magnitude, the coefficients' real and imaginary parts:
    magnitude times cosine and sine of the phase, which unlike the angle itself never jump and are small where
    it means nothing.

    float32 in memory (recordings, leads x frequencies, bins), in the recordings' unit: 4 x frequencies x bins
    bytes a lead. A lead's rows lie side by side, so that they reshape to (recordings, leads, frequencies,
    bins). The mean of a recording's own samples is taken away first, so that its borders make no step; the
    columns are the `bins` a recording that `signals.scalogram.times` says. Raises ValueError for channels
    that never change or hold NaN, and for frequencies that the wavelet cannot have in these recordings.
    """
    frequencies = np.atleast_1d(frequencies)
    scales = scales_for(frequencies, wavelet, recordings.sampling_rate)
    names = [f"{hertz:.4g} Hz" for hertz in frequencies]

    def draw(x: torch.Tensor) -> torch.Tensor:
        if not phase:
            return scalogram(x, scales, wavelet, bins)
        found = coefficients(x, scales, wavelet, bins)
        return torch.cat([found.abs(), found.real, found.imag], dim=-2)

    parts = [f"{name}{part}" for part in ("", " real", " imaginary") for name in names]
    return _drawn(recordings, draw, parts if phase else names, bins)


def spectrograms(
    recordings: Recordings, window: float, rows: int = 64, bins: int = 128, mel: bool = False
) -> Recordings:
    """Magnitudes of each channel's short-time Fourier transform, laid out as `scalograms`.

    window: of the transform, in s. rows: frequencies, from 0 to below half the sampling rate; with `mel` they
    lie evenly on the mel scale. Raises ValueError for channels that never change or hold NaN, and as
    `signals.spectrogram`.
    """
    rate = recordings.sampling_rate
    length = round(window * rate)

    def draw(x: torch.Tensor) -> torch.Tensor:
        if mel:
            return mel_spectrogram(x, length, rows, bins, rate)
        return spectrogram(x, length, rows, bins)

    kind = "mel" if mel else "row"
    return _drawn(recordings, draw, [f"{kind} {row + 1}" for row in range(rows)], bins)


def pictures(
    recordings: Recordings, how: str, band: tuple[float, float], bins: int, window: float,
    wavelet: str = "cmor1.5-1.0", rows: int = 64,
) -> Recordings:  # fmt: skip
    """The recordings as `how` says: "raw" as they are, "scalogram", "phase" (a scalogram with phase),
    "spectrogram" or "mel".

    band: lowest and highest frequency of a scalogram, in Hz; window: of a spectrogram, in s. A picture has
    `rows` frequencies and `bins` columns. Raises ValueError for another `how`, and as `scalograms` and
    `spectrograms`.
    """
    if how == "raw":
        return recordings
    if how in ("spectrogram", "mel"):
        return spectrograms(recordings, window, rows, bins, mel=how == "mel")
    if how not in ("scalogram", "phase"):
        raise ValueError(f"no picture {how!r}: there is raw, scalogram, phase, spectrogram, mel")
    return scalograms(recordings, np.geomspace(*band, rows), wavelet, bins, phase=how == "phase")


def _drawn(
    recordings: Recordings, draw: Callable[[torch.Tensor], torch.Tensor], names: list[str], bins: int
) -> Recordings:
    """Pictures of each channel as channels called by lead and `names`; draw: makes (n, channels, names, bins)
    of signals (n, channels, samples) whose mean has been taken away.
    """
    flat = ~(np.ptp(recordings.signals, axis=-1) > 0).all(axis=1)
    if flat.any():
        raise ValueError(
            f"{recordings.dataset}: {flat.sum()} recordings, {recordings.table.index[flat][0]} the first, "
            "have a channel that never changes or holds NaN; leave them out first"
        )
    own, samples = recordings.table["samples"].to_numpy(), recordings.signals.shape[-1]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    signals = np.empty((len(recordings), len(recordings.channels) * len(names), bins), dtype=np.float32)
    for start in tqdm(range(0, len(recordings), BATCH), desc="pictures", leave=False):
        rows = np.arange(start, min(start + BATCH, len(recordings)))
        centred = _centred(recordings.physical(rows), own[rows])
        pictures = draw(torch.from_numpy(centred).to(device))
        signals[rows] = pictures.flatten(1, 2).cpu().numpy()
    return replace(
        recordings, signals=signals, scale=1.0, sampling_rate=recordings.sampling_rate * bins / samples,
        channels=tuple(f"{lead} {name}" for lead in recordings.channels for name in names),
        table=recordings.table.assign(samples=np.ceil(own * bins / samples).astype("int64")),
    )  # fmt: skip


def _centred(x: np.ndarray, own: np.ndarray) -> np.ndarray:
    """x (n, channels, samples) less each channel's mean over its first `own` (n,) samples, zero beyond."""
    inside = np.arange(x.shape[-1]) < own[:, None, None]
    return np.where(inside, x - x.mean(axis=-1, keepdims=True, where=inside), np.float32(0))


def fit_length(recordings: Recordings, width: int, how: str) -> Recordings:
    """The same recordings, float32, with `width` samples each; how: see `signals.pulses.fit_width`."""
    own = recordings.table["samples"].to_numpy()
    signals = pulse_waves.fit_width(recordings.physical(), own, width, how)
    table = recordings.table.assign(samples=np.minimum(own, width) if how == "crop-or-pad" else width)
    return replace(recordings, signals=signals, scale=1.0, table=table)


def filter_and_scale(recordings: Recordings, low: float, high: float) -> Recordings:
    """What lies between `low` and `high` Hz, each recording's smallest value at 0 and its largest at 1,
    float32 in memory; one that is flat is zero.

    Raises ValueError as `filters.fir_bandpass`.
    """
    x = filters.fir_bandpass(recordings.physical(), low, high, recordings.sampling_rate)
    x -= x.min(axis=(1, 2), keepdims=True)
    largest = x.max(axis=(1, 2), keepdims=True)
    scaled = np.divide(x, largest, out=np.zeros_like(x), where=largest > 0)
    return replace(recordings, signals=scaled, scale=1.0, unit="share of the range")


def z_score(recordings: Recordings) -> Recordings:
    """Each channel of each recording at mean 0 and deviation 1, float32 in memory; a flat one is zero."""
    return replace(recordings, signals=standardise(recordings.physical()), scale=1.0, unit="SD")


def assign_folds(recordings: Recordings, test: float, seed: int = 0) -> Recordings:
    """The same recordings with a column `fold` by subject, as `splits.assign_folds` assigns them."""
    return replace(
        recordings,
        table=recordings.table.assign(fold=splits.assign_folds(recordings.table["subject"], test, seed)),
    )


def mean_per_recording(values: np.ndarray, windows: Recordings) -> np.ndarray:
    """Mean of `values` (windows, ...) over each recording's windows: (recordings, ...), in their order."""
    codes, _ = pd.factorize(windows.table["recording"])
    sums = np.zeros((codes.max() + 1, *np.shape(values)[1:]))
    np.add.at(sums, codes, values)
    return sums / np.bincount(codes).reshape(-1, *[1] * (np.ndim(values) - 1))


def segment_pulses(recordings: Recordings, channel: str) -> Recordings:
    """The pulses of one channel at 100 Hz, each labelled by WF-PPG's rule: such labels are called derived.

    channel: an upright pulse wave, "PLETH" in BIDMC. float32 (n, 1, longest), maximum 1, padded with zeros.
    The table has `subject`, `recording` (its id), `start` (s), `samples` and `type`, see signals.pulses. A
    recording without pulses is listed in `excluded`. KeyError for an unknown channel, ValueError when no
    pulse is left.
    """
    one = recordings.lead(channel)
    rows, tables, excluded = [], [], []
    for position, (record, about) in enumerate(one.table.iterrows()):
        own = one.physical([position])[0, 0, : about["samples"]]
        try:
            found, starts = pulse_waves.pulses(own, one.sampling_rate)
            if not found:
                raise ValueError(f"no pulses in {channel}: leave it out")
        except ValueError as error:
            excluded.append((record, channel, str(error)))
            continue
        rows += found
        tables.append(
            pd.DataFrame({"subject": about["subject"], "recording": record, "start": starts / RATE})
        )
    if not rows:
        why = excluded[0][2] if excluded else "there are no recordings"
        raise ValueError(f"no pulse of {recordings.dataset} in channel {channel} can be used: {why}")
    signals, lengths = pulse_waves.pad(rows)
    table = pd.concat(tables, ignore_index=True)
    table = table.assign(samples=lengths, type=pulse_waves.pulse_types(signals, lengths).astype(object))
    excluded = pd.DataFrame(excluded, columns=["record", "file", "reason"], dtype=object)
    return replace(
        one, signals=signals[:, None], scale=1.0, unit="maximum", sampling_rate=float(RATE), table=table,
        excluded=pd.concat([one.excluded, excluded], ignore_index=True),
    )  # fmt: skip
