"""WF-PPG: pulse waves at wrist and finger of 27 people, six windows of four minutes at changing pressure.

Ho et al., WF-PPG: a wrist-finger dual-channel dataset for studying the impact of contact pressure on PPG
morphology, Sci Data 12:200 (2025); on figshare. The layout was read from the authors' preprocessing code, so
files are looked for in any folder below the root and columns are taken by name::

    0_preprocessed_1000.csv   window 0 of subject 1000, 100 Hz: Time (s), PPG_In_G_AC, ...
    0_indices_1000.csv        its pulses: first sample and the one after the last, at the
                              finger (ref_s, ref_e) and the wrist (in_s, in_e), and their
                              types (ref_t, in_t)

The types come from a rule (signals.pulses), not from a physician.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from biosignals.data import signal_store
from biosignals.data.recordings import Recordings
from biosignals.data.waveforms import AGAIN, Unreadable, check_times, reading
from biosignals.progress import tqdm
from biosignals.signals import pulses
from biosignals.signals.pulses import SAMPLING_RATE, TYPES

# _AC: upright and level at its feet. _LPF_10Hz: the light that comes back, which more blood makes less.
CHANNELS = (
    "PPG_In_G_AC", "PPG_In_G_LPF_10Hz", "PPG_In_IR_LPF_10Hz", "PPG_In_R_LPF_10Hz",
    "PPG_Ref_G_AC", "PPG_Ref_IR_AC", "PPG_Ref_R_AC",
    "PPG_Ref_G_LPF_10Hz", "PPG_Ref_IR_LPF_10Hz", "PPG_Ref_R_LPF_10Hz",
)  # fmt: skip
COLUMNS = ("ref_s", "ref_e", "in_s", "in_e", "in_t", "ref_t")
MOST_ROWS = 100 * 3600  # of a window; a file with more is damaged
GET_IT = 'get the set with make data SETS="wf-ppg"'


@dataclass(frozen=True)
class Window:
    """One window of one subject and its two files, None where one is not there."""

    subject: str
    number: int
    table: Path | None
    signals: Path | None

    @property
    def name(self) -> str:
        """Subject and number: "1000-0"."""
        return f"{self.subject}-{self.number}"


def find(root: Path | str) -> list[Window]:
    """The windows below `root`, by subject and number. Raises FileNotFoundError without the folder."""
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"folder {root} does not exist: {GET_IT}")
    files = {}
    for path in sorted(root.rglob("*.csv")):
        if match := re.fullmatch(r"(\d{1,3})_(indices|preprocessed)_(\w+)\.csv", path.name, re.ASCII):
            number, kind, subject = match.groups()
            files.setdefault((subject, int(number)), {}).setdefault(kind, path)
    return [
        Window(subject, number, found.get("indices"), found.get("preprocessed"))
        for (subject, number), found in sorted(files.items())
    ]


def complete(root: Path | str) -> list[Window]:
    """The windows below `root` of which both the table and the signals are there."""
    return [window for window in find(root) if window.table and window.signals]


def tables(root: Path | str) -> pd.DataFrame:
    """All tables of pulses below `root`: `subject`, `window` and COLUMNS, a row per pulse.

    Raises FileNotFoundError when there is none, ValueError when one cannot be read.
    """
    found = [window for window in find(root) if window.table]
    if not found:
        raise FileNotFoundError(f"no table of pulses (0_indices_1000.csv, ...) below {root}: {GET_IT}")
    read = [
        _read_table(window.table).assign(subject=window.subject, window=window.number) for window in found
    ]
    return pd.concat(read, ignore_index=True)[["subject", "window", *COLUMNS]]


def pressures(root: Path | str) -> pd.Series:
    """The mean reading of the wrist's pressure sensor in each window ("1000-0"), in the sensor's own units.

    Raises FileNotFoundError for a missing folder, ValueError when a file of signals cannot be read.
    """
    found = {}
    for window in find(root):
        if window.signals:
            found[window.name] = float(np.nanmean(_read_signal(window.signals, "Pressure_In")))
    return pd.Series(found, name="pressure", dtype=float)


def _read_table(path: Path) -> pd.DataFrame:
    """One table of pulses: COLUMNS, positions as int64, types as text. Unreadable when it is none."""
    table = _read_csv(path, COLUMNS, str)
    try:
        return table.astype(dict.fromkeys(COLUMNS[:4], "int64"))
    except (ValueError, OverflowError) as error:
        raise Unreadable(f"{path.name} has a position that is no whole number ({error}): {AGAIN}") from error


def _read_signal(path: Path, channel: str) -> np.ndarray:
    """A column of a file of signals: float64 (samples,). Unreadable unless sampled at 100 Hz without gaps."""
    table = _read_csv(path, ("Time", channel), float)
    if table.iloc[-1:].isna().any(axis=None):  # where a file was cut short, the rest of a row
        table = table.iloc[:-1]
    check_times(table["Time"].to_numpy(), SAMPLING_RATE)
    return table[channel].to_numpy()


def _read_csv(path: Path, columns: tuple[str, ...], dtype: type) -> pd.DataFrame:
    """The named columns of a CSV file, in that order; Unreadable when it is no such file or lacks one."""
    with reading(path):
        header = [name.strip() for name in pd.read_csv(path, nrows=0).columns]
        missing = [name for name in columns if name not in header]
        if missing:
            raise Unreadable(
                f"{path.name} has no column {', '.join(missing)}; it has {', '.join(header)}: {AGAIN}"
            )
        wanted = [header.index(name) for name in columns]
        table = pd.read_csv(
            path,
            header=0,
            names=header,
            usecols=wanted,
            dtype=dtype,
            nrows=MOST_ROWS + 1,
            skipinitialspace=True,
        )
        if len(table) > MOST_ROWS:
            raise Unreadable(f"{path.name} has more than {MOST_ROWS} rows: {AGAIN}")
        return table[list(columns)]


def load(root: Path | str, channel: str = "PPG_In_G_AC", cache: Path | str | None = None) -> Recordings:
    """The pulses of a WF-PPG folder: float32 (N, 1, longest) at 100 Hz, maximum 1, padded with zeros.

    root: holds the files named above. channel: one of CHANNELS; what is raw light is turned upright and
    levelled by a cubic spline through the table's feet. cache: folder of the memory map (None: the user's own
    cache folder).

    The table, indexed by "subject-window@start", has `subject`, `recording` ("subject-window"), `window`,
    `start` (s), `samples` and `type`: the released one of the wrist for channels _In_, of the finger for
    _Ref_.

    A window that cannot be read and a pulse that cannot be used are listed in `excluded`. Raises
    FileNotFoundError for a missing folder, ValueError for an unknown channel or when no pulse is left.
    """
    if channel not in CHANNELS:
        raise ValueError(f"no channel {channel!r} in WF-PPG: choose one of {', '.join(CHANNELS)}")
    root = Path(root).resolve()
    windows = find(root)
    return signal_store.keep(
        cache, f"wf-ppg-{channel}", [str(root), channel, windows], str(root),
        lambda place: _write(place, root, windows, channel), dtype="<f4", dataset="wf-ppg", scale=1.0,
        unit="maximum", sampling_rate=float(SAMPLING_RATE), channels=(channel,),
    )  # fmt: skip


def _write(place: Path, root: Path, windows: list[Window], channel: str) -> None:
    """Cuts the pulses of `windows` into the empty folder `place`, as `signal_store` lays it out, float32."""
    files = [path for window in windows for path in (window.table, window.signals) if path]
    sources = signal_store.states(str(root), [str(path.relative_to(root)) for path in files])
    rows, parts, excluded = [], [], []
    for window in tqdm(windows, desc="cutting wf-ppg", unit=" windows", mininterval=1):
        where = str((window.signals or window.table).relative_to(root))
        try:
            with reading(where):
                found, part, faults = _cut(window, channel)
        except Unreadable as error:
            excluded.append((window.name, where, str(error)))
            continue
        rows += found
        parts.append(part)
        excluded += [(record, where, why) for record, why in faults]
    signal_store.refuse_changes(str(root), sources)
    signal_store.refuse_nothing(f"recording of wf-ppg in {root}", len(rows), excluded)
    signals, lengths = pulses.pad(rows)
    signals[:, None].astype("<f4").tofile(place / "signals.bin")
    table = pd.concat(parts, ignore_index=True).assign(samples=lengths)
    signal_store.finish(place, table, excluded, sources, [len(rows), 1, signals.shape[-1]])


def _cut(window: Window, channel: str) -> tuple[list[np.ndarray], pd.DataFrame, list[tuple[str, str]]]:
    """The usable pulses of a window, a table with a row for each, and (record, reason) of those left out."""
    if not window.table or not window.signals:
        lacking = "table of pulses (indices)" if window.signals else "signals (preprocessed)"
        raise Unreadable(f"a window without its {lacking}: {GET_IT}")
    site = "in" if "_In_" in channel else "ref"
    table = _read_table(window.table)
    if table.empty:
        raise Unreadable(f"{window.table.name} lists no pulse: leave it out")
    starts, ends = table[f"{site}_s"].to_numpy(), table[f"{site}_e"].to_numpy()
    x = _read_signal(window.signals, channel)
    if not channel.endswith("_AC"):
        x = _upright(x, starts, ends)
    names = [f"{window.name}@{start}" for start in starts]
    reasons = [_find_fault(x, *pulse) for pulse in zip(starts, ends, table[f"{site}_t"])]
    usable = np.array([not why for why in reasons], dtype=bool)
    rows = [x[start:end] / x[start:end].max() for start, end in zip(starts[usable], ends[usable])]
    kept = pd.DataFrame(
        {
            "pulse": np.array(names, dtype=object)[usable],
            "subject": window.subject,
            "recording": window.name,
            "window": window.number,
            "start": starts[usable] / SAMPLING_RATE,
            "type": table.loc[usable, f"{site}_t"].to_numpy(),
        }
    )
    return rows, kept, [(name, why) for name, why in zip(names, reasons) if why]


def _upright(light: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Light (samples,) turned upside down and, where there are two feet or more, levelled at them."""
    feet = np.unique(np.concatenate([starts, ends]))
    feet = feet[(feet >= 0) & (feet < len(light))]
    feet = feet[np.isfinite(light[feet])]
    return pulses.level(-light, feet) if len(feet) > 1 else -light


def _find_fault(x: np.ndarray, start: int, end: int, label: str) -> str:
    """Why the pulse from sample `start` to `end` of signal x cannot be used; empty where it can."""
    if label not in TYPES:
        return f"unknown type {label!r}, expected {' '.join(TYPES)}"
    if end <= start:
        return f"ends at sample {end}, before it begins at {start}"
    if start < 0 or end > len(x):
        return f"lies at samples {start} to {end}, but the signal has {len(x)}: {AGAIN}"
    if not pulses.FEWEST <= end - start <= pulses.LONGEST:
        return f"{end - start} samples long, expected {pulses.FEWEST} to {pulses.LONGEST}"
    pulse = x[start:end]
    if not np.isfinite(pulse).all():
        return f"misses {np.count_nonzero(~np.isfinite(pulse))} of its samples"
    if np.ptp(pulse) == 0 or pulse.max() <= 0:
        return "is constant" if np.ptp(pulse) == 0 else "does not rise above its feet"
    return ""
