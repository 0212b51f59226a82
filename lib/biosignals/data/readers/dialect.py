"""How a table of text is written: what separates its cells, where its rows begin, what stands above them."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from biosignals.data.channel_names import LEADS, canonical
from biosignals.data.readers import programs, times
from biosignals.data.readers.signal import InvalidRecording
from biosignals.data.units import microvolts

ROWS = 50  # from which a dialect is told
MOSTLY = 0.9  # of rows, and of a column's cells
SEPARATORS = ("\t", ";", "|", ",", " ")
ONE_COLUMN = "\n"  # its separator
NUMBER = re.compile(r"[-+\u2212]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:e[-+]?\d+)?", re.IGNORECASE)
LONGEST_LINE = 1000  # characters of information; some searches take the square of a line's length
MISSING = ("", "-", "nan", "na", "n/a", "null", "none")
# As devices spell hertz in the languages of those who use them: Hz, Hertz, hercios, герц, 赫兹, ヘルツ ...
HERTZ = re.compile(
    r"(?<!\d)(?<!\d[.,])(\d+(?:[.,]\d+)?)\s*([kк]?)"
    r"(?:hz|hert|herc|г(?:ерц|ц)|赫|ヘルツ|헤르츠|χερτζ|هرتز|הרץ|เฮิร|sps\b|samples?\s*(?:/|per)\s*s)",
    re.IGNORECASE,
)
RATE = re.compile(
    r"(?:sampl\w*\W*(?:rate|freq\w*)|fs|sfreq|frequency)(?:\W*(k?)hz)?\W+(\d+(?:[.,]\d+)?)\W*", re.IGNORECASE
)
INTERVAL = re.compile(r"sampl\w*\W*(?:interval|period)\W*(\d+(?:[.,]\d+)?)\s*(\w+)\W*", re.IGNORECASE)
SAMPLING = re.compile(r"sampl|sfreq|abtast|messrate|muestre|échantillon|campiona|amostra", re.IGNORECASE)
NO_RATE = re.compile(  # what else has hertz: bounds of filters, mains, hearts
    r"filt|notch|mains|power\W?line|line\W?freq|(?:high|low|band)\W?pass|\b[hl]pf?\b|cut\W?off|band\W?width|heart|pulse|"
    r"\d\s*(?:-|–|to|~|\.\.+)\s*\d[\d.,]*\s*k?hz",
    re.IGNORECASE,
)
SCALE = re.compile(
    r"(?:adc\W*|analog\w*\W*)?(?:gain|lsb|resolution|sensitivity|scal\w*)\b\D*\d.*", re.IGNORECASE
)
FORM_OF_TIMES = re.compile(r"[hmsdy:./\s]*mm?:ss[hmsdy:./\s]*", re.IGNORECASE)  # hh:mm:ss.mmm


@dataclass(frozen=True)
class Dialect:
    """How a table is written.

    separator, decimal: between cells, and in numbers. first: the line with the first row, from 0. names,
    units: of the columns, empty text where not given, name None where a column holds no signal. rates (Hz),
    unit, lead: of all, as lines above the table say; rates are several where it is not clear which is meant.
    scale: the line that gives a gain, or empty text.
    """

    separator: str
    decimal: str
    first: int
    names: tuple[str | None, ...]
    units: tuple[str, ...]
    rates: tuple[float, ...] = ()
    unit: str = ""
    lead: str = ""
    scale: str = ""


def detect(lines: list[str]) -> Dialect:
    """The dialect of a table that begins with `lines`. Raises InvalidRecording where no rows hold numbers."""
    known = programs.header(lines)
    written = [line for line in lines[known.first if known else 0 :] if line.strip()]
    separator = _separator(written)
    rows = [cells(line, separator) for line in written[-ROWS:]]
    width = Counter(map(len, rows)).most_common(1)[0][0] if rows else 0
    rows = [row for row in rows if len(row) == width]
    numeric = [_are_values([row[column] for row in rows]) for column in range(width)]
    if not any(numeric):
        raise InvalidRecording(
            "holds no columns of numbers: a table has a column per channel, named in its first row"
        )
    ends_empty = width > 1 and not any(row[-1] for row in rows)  # by a separator at the end of each row
    if known:
        decimal = _decimal(lines[known.first :], separator)
        of_rows = known.fit(width, ends_empty)
        return Dialect(separator, decimal, known.first, of_rows.names, of_rows.units, (known.rate,))
    first = next(
        number for number in range(len(lines)) if _starts(lines[number : number + 2], separator, numeric)
    )
    above = [line for line in lines[:first] if line.strip()]
    named = len(above) > 1 and _fit_columns(_heads(above[-2], separator, width), width)
    units, above = _taken(above, separator, width, ends_empty, partial(_are_units, named=named))
    names, above = _taken(above, separator, width, ends_empty, partial(_are_names, ends_empty=ends_empty))
    return Dialect(
        separator,
        _decimal(lines[first:], separator),
        first,
        names,
        units,
        _rates(above),
        *_information(above),
    )


def _decimal(rows: list[str], separator: str) -> str:
    """What stands before decimals in the numbers of rows."""
    numbers = "".join(cell for row in rows for cell in cells(row, separator) if NUMBER.fullmatch(cell))
    return "," if "," in numbers and "." not in numbers else "."


def cells(line: str, separator: str) -> list[str]:
    """The cells of a line, without blanks and quotes around them."""
    if separator == ONE_COLUMN:
        parts = [line]
    elif separator == " ":
        parts = line.split()
    else:
        parts = next(csv.reader([line], delimiter=separator), [])
    return [part.strip().strip("\"'").strip() for part in parts]


def _heads(line: str, separator: str, width: int) -> list[str]:
    """The cells of a line above rows of `width` cells. Between blanks, a name may hold some of its own."""
    row = cells(line, separator)
    if separator == " " and len(row) > width:
        apart = re.split(r"\s{2,}|\t", line.strip()) if len(line) <= LONGEST_LINE else []
        if len(apart) == width:
            return apart
        if width == 2 and times.is_name(row[0]):
            return [row[0], " ".join(row[1:])]
    return row


def _is_value(cell: str) -> bool:
    return NUMBER.fullmatch(cell) is not None or cell.lower() in MISSING or times.is_time(cell)


def _are_values(column: list[str]) -> bool:
    """Whether a column holds values, and not only missing ones."""
    there = [cell for cell in column if cell.lower() not in MISSING]
    return len(there) > 0 and sum(map(_is_value, column)) >= MOSTLY * len(column)


def _separator(lines: list[str]) -> str:
    """The separator by which most cells of the last lines are values."""
    scores = {}
    for separator in (*SEPARATORS, ONE_COLUMN):
        rows = [cells(line, separator) for line in lines[-ROWS:]]
        width, often = Counter(map(len, rows)).most_common(1)[0] if rows else (0, 0)
        if (width > 1 or separator == ONE_COLUMN) and often >= MOSTLY * len(rows):
            values = [_is_value(cell) for row in rows for cell in row]
            scores[separator] = sum(values) / max(len(values), 1)
    best = max(scores, key=lambda separator: scores[separator], default=ONE_COLUMN)
    if best == "," and scores[","] == scores.get(ONE_COLUMN):
        return _of_one_comma(lines)
    return best


def _of_one_comma(lines: list[str]) -> str:
    """What separates the cells of rows such as 12,345: the comma, or nothing, if it is that of decimals."""
    texts = [line.strip("\"' ") for line in lines]
    rows = [text for text in texts if NUMBER.fullmatch(text)]
    if not rows:
        return ","
    if any("," not in row or row.startswith("-0,") or re.search(r",0\d", row) for row in rows):
        return ONE_COLUMN
    pairs = [cells(text, ",") for text in texts if not NUMBER.fullmatch(text)]
    if any(len(pair) == 2 and all(map(_is_value, pair)) for pair in pairs):  # 12,-345
        return ","
    names = cells(lines[texts.index(rows[0]) - 1], ",")
    if len(names) == 2 and not any(map(_is_value, names)) and microvolts(names[1]) is None:
        return ","
    raise InvalidRecording(f"is {rows[0]} one number or two? Write a point in numbers, or name the columns")


def _starts(lines: list[str], separator: str, numeric: list[bool]) -> bool:
    """Whether the first of two lines is a row: values in all `numeric` columns, and not names 0, 1, 2 ..."""
    row, *after = (cells(line, separator) for line in lines)
    if len(row) != len(numeric) or not any(re.search(r"\d", cell) for cell in row):
        return False
    if _are_counts(row) and after and any("." in cell or "," in cell for cell in after[0]):
        return False
    return all(_is_value(cell) for cell, is_numeric in zip(row, numeric, strict=True) if is_numeric)


def _are_counts(row: list[str]) -> bool:
    """Whether cells are 0, 1, 2 ..., as pandas writes columns without names, maybe after an empty one."""
    counts = [str(number) for number in range(len(row))]
    return len(row) > 1 and row in (counts, ["", *counts[:-1]])


def _taken(
    above: list[str], separator: str, width: int, ends_empty: bool, fits: Callable[[list[str], str], bool]
) -> tuple[tuple[str, ...], list[str]]:
    """The cells of the last line above where they fit the columns, else empty ones; and the lines left."""
    row = _heads(above[-1], separator, width) if above else []
    if len(row) == width - 1:  # of a program that gives its row numbers no name, or ends only rows so
        row = [*row, ""] if ends_empty else ["", *row]
    if len(row) == width and any(row) and fits(row, above[-1]):
        return ("",) * width if _are_counts(row) else tuple(row), above[:-1]
    return ("",) * width, above


def _fit_columns(row: list[str], width: int) -> bool:
    """Whether a row may name the columns: as many cells, none of them a number or a unit of voltage but V."""
    return len(row) == width and not any(NUMBER.fullmatch(cell) or _is_voltage(cell) for cell in row)


def _is_voltage(cell: str) -> bool:
    """Whether a cell is a unit of voltage, and not one that may be the name of a lead, too."""
    return cell != "V" and microvolts(cell) is not None


def _are_units(row: list[str], _: str, named: bool) -> bool:
    """Whether a row gives units; one under names may give others than those known, too."""
    if named and any(map(_is_voltage, row)) and not any(map(NUMBER.fullmatch, row)):
        return True
    known = [times.is_unit(cell) or microvolts(cell) is not None for cell in row]
    return any(known) and all(
        one or cell.lower() in MISSING or FORM_OF_TIMES.fullmatch(cell) or times.is_count(cell)
        for one, cell in zip(known, row, strict=True)
    )


def _are_names(row: list[str], line: str, ends_empty: bool) -> bool:
    if len(row) == 1:  # not information, such as Unit,mV
        return re.search(r"[,;:=\t]|^\W", line) is None
    if len(row) == 2 and (_is_voltage(row[1]) or (ends_empty and _lead_in(*row))):
        return False
    return _are_counts(row) or not any(NUMBER.fullmatch(cell) for cell in row)


def _rates(lines: list[str]) -> tuple[float, ...]:
    """The sampling rates (Hz) that lines above a table give, as "Sample Rate,512 hertz", "# fs: 250".

    Those of which a line says that they are; or else whatever has hertz and is no filter's.
    """
    stated, others = [], []
    for line in _short(lines):
        sampling = SAMPLING.search(line)
        found = HERTZ.search(line, sampling.start() if sampling else 0)
        if named := RATE.fullmatch(line):
            stated.append(_hertz(named[2], named[1]))
        elif (step := INTERVAL.fullmatch(line)) and times.is_unit(step[2]):
            seconds = float(step[1].replace(",", ".")) * times.SECONDS[step[2].casefold()]
            stated.append(seconds and 1 / seconds)
        elif found and sampling:
            stated.append(_hertz(found[1], found[2]))
        elif found and not NO_RATE.search(line):
            others.append(_hertz(found[1], found[2]))
    low, high = times.USUAL
    rates = [rate for rate in stated if rate] or [rate for rate in others if low <= rate <= high]
    return tuple(dict.fromkeys(rates))


def _hertz(number: str, kilo: str) -> float:
    """A rate in hertz: of "0.5" kHz, 500; of "1,000", 1000, for no recorder has 1 Hz."""
    rate = float(number.replace(",", ".")) * (1000 if kilo else 1)
    is_grouped = rate < times.USUAL[0] and re.fullmatch(r"\d{1,3}[.,]\d{3}", number) is not None
    return 1000 * rate if is_grouped else rate


def _short(lines: list[str]) -> list[str]:
    """Lines of information without the marks of comments around them; searches in long ones take too long."""
    return [line.strip("#%/ ") for line in lines if len(line) <= LONGEST_LINE]


def _information(lines: list[str]) -> tuple[str, str, str]:
    """Unit, lead and line with a gain above a table, as "Unit,mV", "Lead: II", "# gain: 200"."""
    unit, lead, scale = "", "", ""
    for line in _short(lines):
        key, _, value = re.sub(r"\s*[,;:=\t]\s*", "\n", line, count=1).partition("\n")
        value = value.strip(" \"',;")
        if microvolts(value) is not None:
            unit = unit or value
        elif SCALE.fullmatch(line):
            scale = scale or line
        else:
            lead = lead or _lead_in(key, value)
    return unit, lead, scale


def _lead_in(key: str, value: str) -> str:
    """The lead in information such as "Lead" and "II", in any language "Lead" and "Lead I"; or empty text."""
    key = key.strip(" \"'")
    if not key or canonical(key).upper() in LEADS:
        return ""
    if value.casefold().startswith(key.casefold()):
        lead = value[len(key) :].strip()
        return lead if canonical(lead) in ("i", "ii", "iii") else ""
    return value if canonical(f"{key} {value}").upper() in LEADS else ""
