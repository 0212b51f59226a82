"""Recordings of your own: a folder of files, and a table of whom each is of and what it shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import pandas as pd

from biosignals.data import readers, signal_store
from biosignals.data.channel_names import LEADS, canonical
from biosignals.data.readers import InvalidRecording, Signal
from biosignals.data.recordings import Recordings
from biosignals.data.units import microvolts
from biosignals.progress import tqdm
from biosignals.signals.resampling import resample

FILE, SUBJECT, FOLD = "file", "subject", "fold"  # columns of the table that are no labels
SAME_RATE = 1e-3  # relative: times in a file are rounded
LARGEST = 1 << 33  # bytes of all signals together
SHOWN = 5  # of many files or values, those that an error names


def load(
    folder: Path | str, table: Path | str, labels: Sequence[str] | None = None, *,
    channels: Sequence[str] | None = None, resample_to: float | None = None,
    sampling_rate: float | None = None, unit: str | None = None,
) -> Recordings:  # fmt: skip
    """The recordings in `folder` that a table lists: float32 (N, channels, longest), in mV where they are
    voltages.

    folder: holds files of the kinds that `readers.read` reads (WFDB, EDF, CSV, HDF5 and others), also in
    folders of its own. table: a CSV file with a row for each recording: `file`, as it lies in the folder;
    `subject`, whom it is of; and labels, which are 0 or 1. labels: the columns that are labels (None: all
    others); what is none stays in the recordings' table as it is. `fold` is none: 1 to 10, where folds are
    given.

    channels: those wanted, by name, "I" for "ECG I" and "Lead I" too (None: those that all have).
    resample_to: Hz, for recordings at different rates. sampling_rate (Hz), unit (None: mV): of files that do
    not say theirs, as CSV.

    The table of the recordings is indexed by `file` and has `subject`, `samples`, labels as bool, and the
    other columns. A file that cannot be read, holds NaN or has no row is listed in `excluded`. Raises
    FileNotFoundError for a table or files that are not there; ValueError for a table without these columns,
    unknown subjects, labels that are no 0 or 1, different rates, channels or units, and where none is left.
    """
    folder, table = Path(folder), Path(table)
    rows, paths = list_files(folder, table, labels)
    signals, excluded = {}, []
    for name, path in tqdm(paths.items(), desc="reading", unit=" files", leave=False):
        try:
            signals[name] = _read(path, sampling_rate, unit)
        except InvalidRecording as error:
            excluded.append((name, name, str(error)))
    signal_store.refuse_nothing(f"recording of {table}", len(signals), excluded)
    unlisted = _unlisted(folder, table, paths.values())
    excluded += [(name, name, f"has no row in {table.name}") for name in unlisted]
    signals = _choose_channels(signals, channels)
    signals, one_unit = _to_one_unit(signals)
    signals = _to_one_rate(signals, resample_to)
    first = next(iter(signals.values()))
    values, samples = _stack([signal.values for signal in signals.values()])
    rows = rows.set_index(FILE).loc[list(signals)].assign(samples=samples)
    return Recordings(
        "own", values, 1.0, one_unit, first.sampling_rate, first.channels, rows,
        signal_store.exclusions(excluded), kind="real",
    )  # fmt: skip


def list_files(
    folder: Path | str, table: Path | str, labels: Sequence[str] | None = None
) -> tuple[pd.DataFrame, dict[str, Path]]:
    """The rows of a table as `load` reads it, and the path of each of its files by its name in the table.

    Raises FileNotFoundError and ValueError for the table and for files that are not there, as `load`.
    """
    rows = _read_table(Path(table), labels)
    return rows, _find_files(Path(folder), rows[FILE], Path(table))


def rate_and_unit(
    path: Path, sampling_rate: float | None, unit: str | None
) -> tuple[float | None, str | None]:
    """What to read a file with: sampling rate (Hz) and unit as given, none for files that say theirs."""
    own = path.suffix.lower() in (*readers.WFDB, *readers.EDF)
    return (None, None) if own else (sampling_rate, unit)


def label_columns(table: Path | str) -> list[str]:
    """The columns of a table that may be labels: all but `file`, `subject` and `fold`.

    Raises FileNotFoundError and ValueError as `load`.
    """
    return [name for name in _read_text(Path(table)) if name not in (FILE, SUBJECT, FOLD)]


# The table


def _read_table(path: Path, labels: Sequence[str] | None = None) -> pd.DataFrame:
    """The table: `file` and `subject` as text, labels as bool, folds as numbers, other columns as they are.

    labels: as in `load`. Raises FileNotFoundError where it is missing, and ValueError, with the remedy, for
    missing columns, cells or rows, files that are listed twice, and labels or folds that are none.
    """
    rows = _read_text(path)
    missing = [name for name in (FILE, SUBJECT, *(labels or ())) if name not in rows]
    if missing:
        meant = get_close_matches(missing[0], rows.columns, 1)
        hint = f"; is it {meant[0]!r}? Rename it" if meant else ""
        raise ValueError(
            f"{path.name} has no column {missing[0]!r}{hint}. It has {', '.join(rows)}; it needs {FILE}, "
            f"{SUBJECT} and a column for each label"
        )
    _refuse(rows[FILE] == "", path, rows, f"no {FILE}: name it, or delete the row")
    unknown = (
        f"no {SUBJECT}: write whom it is of, or delete the row; recordings of one person must not be parted"
    )
    _refuse(rows[SUBJECT] == "", path, rows, unknown)
    _refuse(
        rows[FILE].duplicated(), path, rows, "a file that is listed above already: delete one of the rows"
    )
    first = rows[SUBJECT].groupby(rows[SUBJECT].str.casefold()).transform("first")
    spelt = (
        "a subject that is written otherwise above: write alike what is one person, as parts are made by it"
    )
    _refuse(rows[SUBJECT] != first, path, rows, spelt)
    if labels is None:
        labels = [name for name in rows if name not in (FILE, SUBJECT, FOLD)]
    if not labels:
        raise ValueError(f"{path.name} has no labels: add a column of 0 and 1 for each question")
    values = {name: _as_label(rows[name], path, rows) for name in labels}
    if FOLD in rows:
        values[FOLD] = _as_fold(rows[FOLD], path, rows)
    others = {name: _as_it_is(rows[name]) for name in rows if name not in (FILE, SUBJECT, *values)}
    return rows[[FILE, SUBJECT]].assign(**values, **others)


def _read_text(path: Path) -> pd.DataFrame:
    """A CSV file as text, its cells without blanks around them; parted by commas, semicolons or tabs."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            head = file.readline()
        separator = max(",;\t", key=head.count)
        rows = pd.read_csv(
            path,
            sep=separator,
            dtype=str,
            keep_default_na=False,
            encoding="utf-8-sig",
            skip_blank_lines=False,
        ).fillna("")
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path} does not exist: it is the table of files, subjects and labels"
        ) from None
    except (ValueError, OSError) as error:  # no table, no text, a folder
        raise ValueError(f"{path} is no table ({error}): save it as CSV in UTF-8") from error
    rows = rows.rename(columns=str.strip).apply(lambda column: column.str.strip())
    rows = rows[(rows != "").any(axis=1)]  # its index counts lines still
    if rows.empty:
        raise ValueError(f"{path.name} lists no recordings")
    return rows


def _refuse(wrong: pd.Series, path: Path, rows: pd.DataFrame, why: str) -> None:
    """ValueError that names the first of the rows that are wrong, as a text editor counts them."""
    if wrong.any():
        place = int(np.flatnonzero(wrong)[0])
        more = f" (and {wrong.sum() - 1} more)" if wrong.sum() > 1 else ""
        line = rows.index[place] + 2
        raise ValueError(f"{path.name}, line {line}{more}, {rows[FILE].iloc[place] or 'file'}: {why}")


def _as_label(text: pd.Series, path: Path, rows: pd.DataFrame) -> pd.Series:
    """A column of 0 and 1 as bool."""
    values = pd.to_numeric(text, errors="coerce")
    wrong = ~values.isin([0, 1])
    if wrong.any():
        found = text[wrong].iloc[0]
        others = [name for name in rows if name not in (FILE, SUBJECT, FOLD, text.name)]
        what = f"is {found!r}" if found else "is empty"
        _refuse(
            wrong, path, rows,
            f"{text.name} {what}, a label is 0 or 1. If {text.name} is no label, name those that are: "
            f"labels={others}. If it has several values, make a column of 0 and 1 for each "
            "(pandas.get_dummies)",
        )  # fmt: skip
    return values == 1


def _as_fold(text: pd.Series, path: Path, rows: pd.DataFrame) -> pd.Series:
    values = pd.to_numeric(text, errors="coerce")
    _refuse(~values.isin(range(1, 11)), path, rows, "fold is no number from 1 to 10, of which 10 is the test")
    return values.astype("int64")


def _as_it_is(text: pd.Series) -> pd.Series:
    """Numbers where all cells are some or empty, else text; an empty cell is missing."""
    values = pd.to_numeric(text, errors="coerce")
    return values if (values.notna() | (text == "")).all() else text.where(text != "", None)


# The files


def _find_files(folder: Path, names: Iterable[str], table: Path) -> dict[str, Path]:
    """The file of each name in a table, which may lack the extension.

    Raises FileNotFoundError for a missing folder or files, ValueError for names that lead out of the folder
    or may be several files, and for two names of one recording.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder: name the one that the files of {table.name} lie in")
    found, missing = {}, []
    for name in names:
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ValueError(
                f"{table.name}: {name} lies outside of {folder}; move it there, or name another folder"
            )
        if not path.is_file():
            path = _with_extension(path, name, table)
        if path is None:
            missing.append(name)
        found[name] = path
    if missing:
        there = [str(path.relative_to(folder)) for path in sorted(folder.rglob("*")) if path.is_file()]
        meant = get_close_matches(missing[0], there, 1)
        hint = f"; is {missing[0]} {meant[0]}?" if meant else f"; files are named as they lie in {folder}"
        raise FileNotFoundError(
            f"{len(missing)} of the {len(found)} files of {table.name} are not there: {_some(missing)}{hint}"
        )
    first: dict[Path, str] = {}
    for name, path in found.items():
        other = first.setdefault(_recording_of(path), name)
        if other != name:
            raise ValueError(f"{table.name}: {other} and {name} are one recording: delete one of the rows")
    return found


def _with_extension(path: Path, name: str, table: Path) -> Path | None:
    """The file of a name without extension, None where there is none. ValueError for several recordings."""
    there = [path.with_name(path.name + kind) for kind in readers.FILE_TYPES]
    there = [one for one in there if one.is_file()]
    if len({_recording_of(one) for one in there}) > 1:
        some = " or ".join(one.name for one in there)
        raise ValueError(f"{table.name}: {name} may be {some}: write its extension")
    return there[0] if there else None


def _recording_of(path: Path) -> Path:
    """What all files of one recording have in common."""
    path = path.resolve()
    return path.with_suffix("") if path.suffix.lower() in readers.WFDB else path


def _unlisted(folder: Path, table: Path, used: Iterable[Path]) -> list[str]:
    """Recordings in the folder, of the kinds that are used, which no row of the table names."""
    stems, kinds = {table.resolve().with_suffix("")}, set()
    for path in used:
        stems.add(path.resolve().with_suffix(""))
        kinds.add(path.suffix)
    files = [path for path in sorted(folder.rglob("*")) if path.suffix in kinds]
    return [str(path.relative_to(folder)) for path in files if path.resolve().with_suffix("") not in stems]


def _read(path: Path, sampling_rate: float | None, unit: str | None) -> Signal:
    """One recording; sampling_rate and unit: of files that do not say theirs.

    Raises InvalidRecording as `readers.read`, and for NaN.
    """
    signal = readers.read(path, *rate_and_unit(path, sampling_rate, unit))
    if not np.isfinite(signal.values).all():
        raise InvalidRecording(f"{path.name}: holds NaN or infinity")
    return signal


# Recordings that are alike


def _choose_channels(signals: dict[str, Signal], channels: Sequence[str] | None) -> dict[str, Signal]:
    """Each recording with the channels named, in that order; None: those of the first, which all must have.

    A file that samples channels at several rates gives those of one. Raises ValueError for a recording that
    lacks a channel or has it twice, naming those that all have.
    """
    channels = [channels] if isinstance(channels, str) else channels
    if channels is None:
        channels = _channels_of_all(signals)
    return {name: _with_channels(name, one, tuple(channels)) for name, one in signals.items()}


def _channels_of_all(signals: dict[str, Signal]) -> tuple[str, ...]:
    """The channels of the first recording. ValueError where others have other channels."""
    present = [set(_keys(one.channels)) for one in signals.values()]
    common, first = set.intersection(*present), next(iter(signals.values())).channels
    if all(names == common for names in present):
        return _as_leads(first)
    groups = _describe_groups(signals, lambda one: tuple(one.channels), ", ".join)
    shared = [channel for channel, key in zip(first, _keys(first), strict=True) if key in common]
    remedy = f"all have {', '.join(shared)}: channels={shared}" if shared else "load them apart"
    raise ValueError(f"recordings of different channels: {groups}; {remedy}")


def _as_leads(channels: tuple[str, ...]) -> tuple[str, ...]:
    """The names of channels, an ECG's leads as they are usually written."""
    leads = [canonical(channel).upper() for channel in channels]
    names = [lead if lead in LEADS else name.strip() for lead, name in zip(leads, channels, strict=True)]
    return tuple(names) if len(set(names)) == len(set(channels)) else channels


def _with_channels(name: str, one: Signal, wanted: tuple[str, ...]) -> Signal:
    """A recording with the channels wanted, of those that are sampled at one rate."""
    faults = []
    for part in (one, *one.others):
        keys = _keys(part.channels)
        counts = {channel: keys.count(key) for channel, key in zip(wanted, _keys(wanted), strict=True)}
        if set(counts.values()) == {1}:
            places = [keys.index(key) for key in _keys(wanted)]
            units = tuple(part.units[place] for place in places)
            return Signal(part.values[places], wanted, units, part.sampling_rate)
        channel, count = next((channel, count) for channel, count in counts.items() if count != 1)
        what = f"no channel {channel}" if not count else f"{count} channels {channel}"
        faults.append(f"{what} at {part.sampling_rate:g} Hz, where it has {', '.join(part.channels)}")
    raise ValueError(f"{name} has {'; '.join(faults)}. Choose other channels, or delete its row")


def _keys(channels: Sequence[str]) -> list[str]:
    """What channels are compared by: the lead where one is meant, unless two names would then be one."""
    plain = [channel.strip().casefold() for channel in channels]
    leads = [canonical(channel) for channel in channels]
    return leads if len(set(leads)) == len(set(plain)) else plain


def _to_one_unit(signals: dict[str, Signal]) -> tuple[dict[str, Signal], str]:
    """The recordings in mV where they are voltages, else as they are, and their unit.

    Raises ValueError for channels in units that cannot be brought together.
    """
    units = {unit.strip() for one in signals.values() for unit in one.units}
    if all(microvolts(unit) for unit in units):
        return {name: _in_millivolts(one) for name, one in signals.items()}, "mV"
    if len(units) > 1:
        groups = _describe_groups(signals, lambda one: tuple(zip(one.channels, one.units)), _named_units)
        raise ValueError(
            f"channels in different units: {groups}; choose channels of one kind: channels=[...]"
        )
    return signals, next(iter(units))


def _named_units(pairs: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{channel} in {unit or 'no unit'}" for channel, unit in pairs)


def _in_millivolts(one: Signal) -> Signal:
    factors = np.array([microvolts(unit) for unit in one.units], dtype=np.float32) / 1000
    return Signal(one.values * factors[:, None], one.channels, ("mV",) * len(factors), one.sampling_rate)


def _to_one_rate(signals: dict[str, Signal], rate: float | None) -> dict[str, Signal]:
    """The recordings at `rate` Hz (None: at the one that they have), low-passed first where it is lower.

    Raises ValueError for recordings at different rates where none is given.
    """
    rates = Counter(round(one.sampling_rate, 3) for one in signals.values())
    usual = rates.most_common(1)[0][0]
    if rate is None and not all(np.isclose(one, usual, rtol=SAME_RATE) for one in rates):
        groups = _describe_groups(signals, lambda one: round(one.sampling_rate, 3), "{:g} Hz".format)
        raise ValueError(
            f"recordings at different rates: {groups}; resample_to={usual:g} brings them to the most common"
        )
    rate = float(usual if rate is None else rate)
    if not rate > 0:
        raise ValueError(f"resample_to must be above 0 Hz, not {rate:g}")
    return {name: _at_rate(one, rate) for name, one in signals.items()}


def _at_rate(one: Signal, rate: float) -> Signal:
    same = np.isclose(one.sampling_rate, rate, rtol=SAME_RATE)
    values = one.values if same else resample(one.values, one.sampling_rate, rate)
    return Signal(values, one.channels, one.units, rate)


def _stack(parts: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Signals (channels, samples) in one array (n, channels, longest), zeros behind them; their lengths."""
    samples = np.array([part.shape[1] for part in parts])
    shape = (len(parts), len(parts[0]), samples.max())
    size = 4 * np.prod(shape, dtype=float)
    if size > LARGEST:
        raise ValueError(
            f"recordings of {samples.min():,} to {samples.max():,} samples, each filled up to the longest, "
            f"need {size / 1e9:.0f} GB: cut long ones into files of like lengths first"
        )
    values = np.zeros(shape, dtype=np.float32)
    for row, part in zip(values, parts, strict=True):
        row[:, : part.shape[1]] = part
    return values, samples


def _describe_groups(
    signals: dict[str, Signal], group: Callable[[Signal], object], show: Callable[..., str]
) -> str:
    """How many recordings are of each group, with the first of each."""
    groups: dict[object, list[str]] = {}
    for name, one in signals.items():
        groups.setdefault(group(one), []).append(name)
    parts = sorted(groups.items(), key=lambda item: -len(item[1]))[:SHOWN]
    return "; ".join(f"{len(names)} of {show(value)} ({names[0]})" for value, names in parts)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
