"""The one shared type: recordings of one data set, their signals and what is known of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd


def no_exclusions() -> pd.DataFrame:
    """An empty list of exclusions: columns record, file, reason."""
    return pd.DataFrame({"record": [], "file": [], "reason": []}, dtype=object)


@dataclass(frozen=True)
class Recordings:
    """Recordings of one set, with the same channels and sampling rate.

    - dataset: name of the set, "ptb-xl" or "cinc2017".
    - signals: (N, channels, samples), int16 (usually a memory map) or float32; a shorter recording is padded
      with zeros at its end, `table.samples` says how many samples are its own.
    - scale: unit per count (0.001 for int16 at 1000 counts per mV), 1.0 for float32.
    - unit: "mV", "uV", "maximum" for pulses divided by theirs, "SD" where the standard deviation is 1,
      "count" for a sensor's values without a unit.
    - sampling_rate: in Hz.
    - channels: names, in the order of the second axis of `signals`.
    - table: a row per recording, indexed by record id; always `subject` (NA where unknown) and `samples`.
    - excluded: what was left out and why: columns record, file, reason.
    - kind: "real" (a whole public set), "excerpt", "derived" or "simulated"; "" where nobody said.

    Raises ValueError for signals of another type, or that do not match table and channels.
    """

    dataset: str
    signals: np.ndarray
    scale: float
    unit: str
    sampling_rate: float
    channels: tuple[str, ...]
    table: pd.DataFrame
    excluded: pd.DataFrame = field(default_factory=no_exclusions)
    kind: str = ""

    def __post_init__(self):
        if np.ndim(self.signals) != 3:
            raise ValueError(f"signals must be (recordings, channels, samples), not {np.shape(self.signals)}")
        if self.signals.dtype not in (np.int16, np.float32):
            raise ValueError(
                f"signals are {self.signals.dtype}, they must be float32, or int16 with a scale: "
                "signals.astype(np.float32)"
            )
        if self.signals.shape[:2] != (len(self.table), len(self.channels)):
            rows, channels = len(self.table), len(self.channels)
            raise ValueError(f"signals {self.signals.shape} do not match {rows} rows and {channels} channels")

    def __len__(self) -> int:
        return len(self.table)

    def take(self, rows) -> Recordings:
        """The recordings of `rows`, a boolean mask or integer positions.

        A run of neighbouring rows stays a view (of the memory map); any other choice copies the signals.
        """
        rows = positions(rows, len(self))
        return replace(self, signals=self.signals[as_slice(rows)], table=self.table.iloc[rows])

    def lead(self, *names: str) -> Recordings:
        """The same recordings with only the channels `names`, in that order. KeyError when one is missing."""
        missing = [name for name in names if name not in self.channels]
        if missing or not names:
            wanted, present = ", ".join(missing) or "(none named)", ", ".join(self.channels)
            raise KeyError(f"no channel {wanted} in these recordings of {self.dataset}: they have {present}")
        columns = np.array([self.channels.index(name) for name in names])
        return replace(self, signals=self.signals[:, as_slice(columns)], channels=tuple(names))

    def labels(self, *names: str) -> np.ndarray:
        """Columns `names` of the table as targets: float32 (N, names). KeyError when one is missing."""
        return self.table[list(names)].to_numpy(np.float32)

    def physical(self, rows=None) -> np.ndarray:
        """Signals of `rows` (default: all) in `unit`: float32 (n, channels, samples)."""
        signals = self.signals if rows is None else self.signals[as_slice(positions(rows, len(self)))]
        return np.multiply(signals, np.float32(self.scale), dtype=np.float32)


def concatenate(parts: Sequence[Recordings]) -> Recordings:
    """Recordings of several sets as one, in memory: what a model learns from that is to suit them all.

    Records are called "set:record", subjects "set:subject", where a subject is unknown "set:record"; the
    table has `dataset` and the columns that all the tables have. kind: that of all, "excerpt" where they
    differ and none is simulated, else "simulated". Raises ValueError where channels, rates, units, scales or
    lengths differ, and for a set that is there twice.
    """
    names = [one.dataset for one in parts]
    if len(set(names)) < len(names) or not names:
        raise ValueError(f"different sets are needed, not {', '.join(names) or 'none'}")
    for what in ("channels", "sampling_rate", "unit", "scale"):
        if len({getattr(one, what) for one in parts}) > 1:
            found = ", ".join(f"{one.dataset}: {getattr(one, what)}" for one in parts)
            raise ValueError(f"{what} must be the same in all sets, not {found}")
    if len({one.signals.shape[2] for one in parts}) > 1:
        raise ValueError("recordings must be of one length: cut windows first, preparation.cut_windows")
    tables = []
    for one in parts:
        record = one.dataset + ":" + one.table.index.astype(str).to_series(index=one.table.index)
        subject = (one.dataset + ":" + one.table["subject"].astype("string")).fillna(record)
        table = one.table.assign(dataset=one.dataset, subject=subject.astype(object))
        tables.append(table.set_axis(pd.Index(record, name="record")))
    kinds = {one.kind for one in parts}
    kind = kinds.pop() if len(kinds) == 1 else "simulated" if "simulated" in kinds else "excerpt"
    first = parts[0]
    return Recordings(
        "+".join(names), np.concatenate([one.signals for one in parts]), first.scale, first.unit,
        first.sampling_rate, first.channels, pd.concat(tables, join="inner"),
        pd.concat([one.excluded for one in parts], ignore_index=True), kind,
    )  # fmt: skip


def positions(rows, length: int) -> np.ndarray:
    """Positions (n,) of `rows`, a boolean mask (length,) or integers; IndexError when they do not fit."""
    rows = np.atleast_1d(np.asarray(rows))
    if rows.dtype == bool:
        if rows.shape != (length,):
            raise IndexError(f"a mask of {rows.size} does not fit {length} recordings")
        return np.flatnonzero(rows)
    if rows.size == 0:
        return np.empty(0, dtype=np.intp)
    if not np.issubdtype(rows.dtype, np.integer) or rows.ndim != 1:
        raise IndexError(f"rows must be a boolean mask or integer positions, not {rows.ndim}-d {rows.dtype}")
    outside = rows[(rows < -length) | (rows >= length)]
    if outside.size:
        raise IndexError(f"row {outside[0]} is outside of {length} recordings")
    return np.where(rows < 0, rows + length, rows)


def as_slice(rows: np.ndarray) -> slice | np.ndarray:
    """A slice for a run of neighbouring rows (n,), so that indexing makes a view; else the rows, (n,)."""
    if rows.size and np.array_equal(rows, np.arange(rows[0], rows[0] + rows.size)):
        return slice(int(rows[0]), int(rows[0]) + rows.size)
    return rows
