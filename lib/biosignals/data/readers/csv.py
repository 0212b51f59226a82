"""Tables of text: CSV in the dialects that programs write, and what watches and chest straps export.

Read is a column per channel, with or without names, under lines of other information. The separator may be a
comma, semicolon, tab, bar or blank, decimals may stand after a comma, and units in the names, in a row of
their own, or in the lines above. Apple Health's ECGs, in any language, and Polar's are such tables; Withings
writes a row per recording, with all its samples in one cell.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from biosignals.data.channel_names import is_some_lead
from biosignals.data.readers import dialect, times
from biosignals.data.readers.signal import INVALID, InvalidRecording, Signal, filled, usual_leads
from biosignals.data.units import microvolts

LONGEST_NAME = 200  # characters; a longer one is not searched for a unit
HEAD = 1 << 18  # bytes from which the dialect is told
MOST_COLUMNS, FEW_COLUMNS = (
    1000,
    64,
)  # more than the one are rows; up to the other may be more than there are rows
# I (mV), time_ms, I in mV, and I..mV. as R writes the first.
LONGEST_SHOWN = 40  # characters of a row that is no row
NEW_LINE = re.compile(r"\r\n|\r|\n")
NAME_AND_UNIT = re.compile(
    r"(.*?)\s*(?:[\[(/,]\s*(\w+)\s*[\])]?|(?:\s+in\s+|[\s_-])([^\W_]{2,})|\.\.([^\W_]+)\.)"
)
THOUSANDS = r"[-+\u2212]?\d{1,3}(?:[.,'\s]\d{3})+(?:[.,]\d+)?"
LIST = re.compile(r"(?:^|[\"',;\t])[^\S\t]*\[\s*[-+.\d]+\s*,")  # a cell that holds many samples


class Column(NamedTuple):
    """A column: values, numbers (NaN where missing) or texts; its name and unit, empty where not given."""

    values: pd.Series
    name: str
    unit: str


def read(path: Path, sampling_rate: float | None, unit: str | None, record: str | None) -> Signal:
    """The recording in a table. Missing cells are filled by lines.

    sampling_rate: where it gives none. unit: where it gives none (None: mV). record: of a file with a
    recording in each row, its number or its first cell. Raises InvalidRecording for a table that cannot be
    understood, gives no rate, or contradicts sampling_rate or unit.
    """
    with open(path, "rb") as file:
        content = file.read(HEAD)
    encoding = _encoding(content)
    lines = NEW_LINE.split(content.decode(encoding, "replace"))
    is_whole = len(content) < HEAD
    if not is_whole:
        lines = lines[:-1]  # which may be cut
    if any(LIST.search(line) for line in lines[: dialect.ROWS]):
        return _read_listed(path, encoding, unit, record)
    _refuse_wide(lines, is_whole)
    written = dialect.detect(lines)
    # In one column, an empty line is a missing sample, unless all are written with one between them.
    empty = sum(not line.strip() for line in lines[written.first : -1])
    sparse = written.separator == dialect.ONE_COLUMN and empty < (1 - dialect.MOSTLY) * len(lines)
    columns = _columns(path, encoding, written, skip_blank_lines=not sparse)
    return _signal(columns, written, sampling_rate, unit)


def _refuse_wide(lines: list[str], is_whole: bool) -> None:
    """Raises InvalidRecording for a table with a row for each channel, by most of its last lines.

    is_whole: they are all of it.
    """
    written = [line for line in lines if line.strip()]
    widths = sorted(
        max(len(line.split()), *(line.count(separator) + 1 for separator in ("\t", ";", "|", ",")))
        for line in written[-dialect.ROWS :]
    )
    width = widths[len(widths) // 2] if widths else 0
    if width > MOST_COLUMNS or (is_whole and width > max(FEW_COLUMNS, len(written))):
        raise InvalidRecording(
            f"has rows of {width} cells: a table has a column for each channel and a row for each sample, so"
            " turn it"
        )


def _encoding(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    for zeros, encoding in ((content[1::2], "utf-16-le"), (content[::2], "utf-16-be")):
        if zeros.count(0) > len(zeros) / 2:
            return encoding
    try:
        content[:-4].decode("utf-8")  # the last character may be cut
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8-sig"


def _columns(path: Path, encoding: str, written: dialect.Dialect, skip_blank_lines: bool) -> list[Column]:
    """The columns of a table that hold anything."""
    separator = {" ": r"\s+", dialect.ONE_COLUMN: "\t"}.get(written.separator, written.separator)
    with open(path, encoding=encoding, errors="replace") as file:
        for _ in range(written.first):  # pandas takes a quotation mark in them for the begin of a cell
            file.readline()
        try:
            table = pd.read_csv(
                file, sep=separator, header=None, names=range(len(written.names)), index_col=False,
                decimal=written.decimal, na_values=dialect.MISSING, skipinitialspace=True, low_memory=False,
                skip_blank_lines=skip_blank_lines,
            )  # fmt: skip
        except pd.errors.ParserError as error:
            found = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error))
            if found is None:
                raise
            line = written.first + int(found[2])
            raise InvalidRecording(f"line {line} has {found[3]} cells, those before it {found[1]}") from error
    texts, table = table, table.apply(_as_numbers, decimal=written.decimal)
    numeric = table.select_dtypes("number").columns
    numbers = table[numeric].notna().any(axis=1).to_numpy()
    table = table[: len(table) - numbers[::-1].argmax()]  # without lines of text at the end
    _refuse_text(texts[numeric][: len(table)], numbers[: len(table)])
    for column in table:
        _refuse_thousands(texts[column][: len(table)], table[column])
    return [
        Column(table[number], *_name_and_unit(name, unit))
        for number, (name, unit) in enumerate(zip(written.names, written.units, strict=True))
        if name is not None and table[number].notna().any()
    ]


def _as_numbers(column: pd.Series, decimal: str) -> pd.Series:
    """A column as float64 where most of its cells are numbers, if in quotes; else as it is."""
    if column.dtype.kind in "iuf":
        return column
    texts = column.astype(str).str.strip(" '\"").str.replace(decimal, ".", regex=False)
    texts = texts.str.replace("\u2212", "-", regex=False)
    numbers = pd.to_numeric(texts, errors="coerce")
    return numbers if numbers.notna().sum() >= dialect.MOSTLY * column.notna().sum() else column


def _refuse_text(texts: pd.DataFrame, numbers: np.ndarray) -> None:
    """Raises InvalidRecording for text among rows, as of a pause.

    texts: of columns of numbers, (rows, columns). numbers: whether a row holds one, (rows,).
    """
    wrong = ~numbers & texts.notna().any(axis=1).to_numpy()
    if wrong.any():
        row = int(wrong.argmax())
        text = " ".join(str(cell) for cell in texts.iloc[row] if pd.notna(cell))
        raise InvalidRecording(
            f"its row {row + 1} is text, {text[:LONGEST_SHOWN]!r}: delete it, or cut the file there if"
            " samples are missing"
        )


def _refuse_thousands(texts: pd.Series, numbers: pd.Series) -> None:
    """Raises InvalidRecording where a column's texts hold digits and are no number, as 1,234.5 in English, or
    where it holds both 512 and 1.372, which is more than a thousand in other languages.
    """
    remedy = "write numbers without separators of thousands"
    if texts.dtype.kind not in "iuf":
        is_text = numbers.dtype.kind not in "iuf"
        wrong = texts.astype(str).str.fullmatch(THOUSANDS) if is_text else _are_digits(texts) & numbers.isna()
        if wrong.sum() > is_text * (1 - dialect.MOSTLY) * len(texts):
            row = wrong.idxmax()
            raise InvalidRecording(f"its row {row + 1} holds {texts[row]}, which is no number: {remedy}")
        if is_text:
            return
    size = numbers.abs().to_numpy(dtype=float)
    fraction = size % 1 > 0
    broken = size[fraction & np.isfinite(size)]
    hundreds = (~fraction & (size >= 100) & (size < 1000)).any()
    if hundreds and len(broken) and ((broken >= 1) & (broken < 100)).all():
        thousandths = np.abs(1000 * broken - np.rint(1000 * broken)) < 1e-6
        if thousandths.all() and (np.abs(100 * broken - np.rint(100 * broken)) > 1e-6).mean() > 0.5:
            raise InvalidRecording(
                f"is {broken[0]:g} in it that, or {1000 * broken[0]:.0f}? {remedy.capitalize()}"
            )


def _are_digits(texts: pd.Series) -> pd.Series:
    return texts.astype(str).str.contains(r"\d")


def _name_and_unit(label: str, unit: str) -> tuple[str, str]:
    """A column's name, and its unit, which may stand beside it: "I (mV)", "time_ms".

    Raises InvalidRecording where `unit`, from another row, is another voltage.
    """
    found = NAME_AND_UNIT.fullmatch(label) if len(label) <= LONGEST_NAME else None
    inside = next(filter(None, found.groups()[1:]), "") if found else ""
    unit = unit.strip("[]()")
    if inside and (microvolts(inside) is not None or times.is_unit(inside)):
        if microvolts(unit) not in (None, microvolts(inside)):
            raise InvalidRecording(
                f"gives {found[1].strip()} in {inside} and in {unit}: one of them is wrong"
            )
        return found[1].strip(), inside
    return label, "" if unit.lower() in dialect.MISSING or dialect.FORM_OF_TIMES.fullmatch(unit) else unit


def _signal(
    columns: list[Column], written: dialect.Dialect, given_rate: float | None, given_unit: str | None
) -> Signal:
    """The channels among columns, at the rate of the times among them."""
    kinds = [_kind(column, alone=len(columns) == 1) for column in columns]
    clocks = [column for column, kind in zip(columns, kinds, strict=True) if kind == "times"]
    found = [column for column, kind in zip(columns, kinds, strict=True) if kind == "samples"]
    if not found:
        raise InvalidRecording("it has no column of samples")
    units = [column.unit or written.unit for column in found]
    stated = sorted({unit for unit in units if microvolts(unit) is not None})
    if given_unit and any(microvolts(unit) != microvolts(given_unit) for unit in stated):
        raise InvalidRecording(f"it gives its values in {', '.join(stated)}, and {given_unit} is asked for")
    if written.scale and not (given_unit or all(units)):
        raise InvalidRecording(
            f"states a scale, {written.scale!r}, and no unit: write its values in mV, and their unit in the"
            " name of the column, as in `I (mV)`"
        )
    values = np.stack([column.values.to_numpy(dtype=np.float32) for column in found])
    values[~np.isfinite(values) | (values == INVALID)] = np.nan
    return Signal(
        filled(values), tuple(_names(found, values, written.lead)),
        tuple(unit or given_unit or "mV" for unit in units), _rate(clocks, written.rates, given_rate),
    )  # fmt: skip


def _kind(column: Column, alone: bool) -> str:
    """What a column holds: "times", "samples", the "count" of its rows, or "text"."""
    name, values = column.name.casefold(), column.values
    if values.dtype.kind not in "iuf":
        return "times" if times.is_time(str(values.iloc[0]).strip("'\" ")) else "text"
    if name and times.is_name(name):
        return "times"
    steps = np.diff(values)
    if alone or not len(steps):
        return "samples"
    if times.is_unit(column.unit) and 0 <= steps.min() and 0 < steps.max():  # not lengths, as of beats in ms
        return "times"
    if (not name or times.is_count(name)) and (steps == 1).all():
        return "count"
    goes_on = not name and 0 <= steps.min() and 0 < steps.max() <= 3 * steps.mean()  # as rounded times do
    return "times" if goes_on else "samples"


def _names(columns: list[Column], values: np.ndarray, lead: str) -> list[str]:
    """Names of channels, those in the usual order where none has one.

    lead: the one that a line above the table names.
    """
    if lead and len(columns) == 1 and (not columns[0].name or is_some_lead(columns[0].name)):
        return [lead]
    if not any(column.name for column in columns):
        try:
            return list(usual_leads(values))
        except InvalidRecording:
            pass
    return [column.name or f"column {number}" for number, column in enumerate(columns, 1)]


def _rate(clocks: list[Column], stated: tuple[float, ...], given: float | None) -> float:
    """The rate of times that go on in equal steps; else stated or given.

    Times with a unit must do so. Others, as those at which a phone got some samples together, need not where
    there are better ones.
    """
    known, how = (given, "asked for") if given else (stated[0] if len(stated) == 1 else None, "stated")
    faults = []
    for clock in sorted(clocks, key=lambda clock: not clock.unit):
        unit = next((text for text in (clock.unit, clock.name) if times.is_unit(text)), "")
        try:
            return times.sampling_rate(clock.values, unit.casefold(), known, how)
        except InvalidRecording as fault:
            if clock.unit and isinstance(fault, times.UnevenTimes):
                raise
            faults.append(fault)
    if faults:
        raise faults[0]
    if len(stated) > 1 and not given:
        some = " and ".join(f"{rate:g}" for rate in stated)
        raise InvalidRecording(f"states {some} Hz: give its sampling rate")
    rate = given if len(stated) > 1 else next(iter(stated), given)
    if not rate:
        raise InvalidRecording("give its sampling rate, or a column `time` in seconds")
    return float(rate)


def _read_listed(path: Path, encoding: str, given_unit: str | None, record: str | None) -> Signal:
    """A recording of a file that holds one in each row, as Withings' Health Mate exports them.

    By the README of that export, values are in uV where a watch took them (wear position 0 or 1: a wrist) and
    in mV where a blood pressure monitor did (2 or 3: an arm).
    """
    with open(path, encoding=encoding, errors="replace") as file:
        separator = ";" if ";" in file.readline() else ","
    table = pd.read_csv(path, dtype=str, encoding=encoding, keep_default_na=False, sep=separator)
    table.columns = [str(name).strip().casefold() for name in table]
    listed = [name for name in table if table[name].str.startswith("[").any()]
    if len(listed) != 1 or "frequency" not in table:
        raise InvalidRecording(
            "holds lists of samples, but not as Withings' signal.csv, with its column Frequency: write one"
            " sample in each row"
        )
    table = table[table[listed[0]].str.startswith("[")]
    rows = {str(number): row for number, (_, row) in enumerate(table.iterrows(), 1)}
    chosen = [row for number, row in rows.items() if record in (None, number, row.iloc[0])]
    if len(chosen) != 1:
        some = ", ".join(f"{number} ({row.iloc[0]})" for number, row in rows.items())
        raise InvalidRecording(f"holds {len(rows)} recordings: name one as its record, of {some[:300]}")
    row = chosen[0]
    unit = {"2": "mV", "3": "mV"}.get(str(row.get("wear position", "")).strip(), "uV")
    values = np.array([json.loads(row[listed[0]])], dtype=np.float32)
    return Signal(values, ("ECG",), (given_unit or unit,), float(row["frequency"]))
