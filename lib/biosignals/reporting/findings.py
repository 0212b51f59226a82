"""Sentences about results: written by people, their numbers filled in from records."""

from pathlib import Path
from string import Formatter
from typing import Any

import numpy as np
import pandas as pd
import yaml

from biosignals.reporting.records import KEYS
from biosignals.reporting.scoreboard import find_records, interval_text, prevalence

CLAIMS = {
    "above": lambda row: row.delta_low > 0,
    "below": lambda row: row.delta_high < 0,
    "unclear": lambda row: row.delta_low <= 0 <= row.delta_high,
}
"""What a sentence may claim of a record's paired difference, by its interval.

:meta hide-value:
"""
FIGURES = {
    "": ("value", "low", "high"), "score": ("value", None, None),
    "interval": ("value", "low", "high"),
    "difference": ("delta", "delta_low", "delta_high"), "loss": ("delta", "delta_low", "delta_high"),
}  # fmt: skip
COUNTS = {"n": "n_test", "bytes": "bytes", "parameters": "params"}


def fill_in(text: str, named: dict[str, dict], records: pd.DataFrame) -> str:
    """A sentence with numbers in place of its fields: "a forest scores {forest}, {forest.difference} less".

    named: by name, keys and values that tell one record from the others, and `claim`, one of `CLAIMS`, where
    the sentence says how the record's model compares. A field `{forest}` is the score with its interval, of
    an AUPRC with the prevalence where it is known; `.score` and `.interval` are its parts, `.difference` the
    paired difference, `.loss` the same with the other sign, `.n`, `.bytes` and `.parameters` counts. Raises
    ValueError for a field that names no record, for keys that name none or several, and for a claim that the
    record does not bear out.
    """
    rows = {name: _row(keys, records) for name, keys in named.items()}
    filled = []
    for before, field, _, _ in Formatter().parse(text):
        filled.append(before)
        if field is not None:
            name, _, what = field.partition(".")
            if name not in rows:
                raise ValueError(f"{field!r} names none of the sentence's records: {', '.join(rows)}")
            filled.append(_printed(rows[name], what))
    return "".join(filled)


def _row(keys: dict[str, Any], records: pd.DataFrame) -> pd.Series:
    """The one record that some keys name."""
    case = {key: value for key, value in keys.items() if key in KEYS}
    found = find_records(pd.DataFrame([{"condition": ""} | case]), records)
    if len(found) != 1:
        raise ValueError(f"no record of {case}")
    row = found.iloc[0]
    if "claim" in keys and not CLAIMS[keys["claim"]](row):
        raise ValueError(f"not {keys['claim']} {row.versus}, but {_printed(row, 'difference')}: {case}")
    return row


def _printed(row: pd.Series, what: str) -> str:
    """A number of a record as a sentence quotes it."""
    if what in COUNTS:
        return f"{row[COUNTS[what]]:,.0f}"
    if what not in FIGURES:
        raise ValueError(f"{what!r} is none of {', '.join([*filter(None, FIGURES), *COUNTS])}")
    value, low, high = (np.nan if end is None else row[end] for end in FIGURES[what])
    if what == "loss":
        value, low, high = -value, -high, -low
    text = interval_text(pd.Series({"value": value, "low": low, "high": high}))
    if what == "interval":
        return text.partition(" ")[2]
    return f"{text}{prevalence(row)}" if what == "" else text


def headlines_in_markdown(file: Path, records: pd.DataFrame) -> str:
    """The headline findings of a file such as book/findings.yml as cards (sphinx-design), linked to their
    chapters. Raises ValueError as `fill_in`.
    """
    cards = []
    for finding in yaml.safe_load(Path(file).read_text())["headlines"]:
        number, text = (fill_in(finding[part], finding["records"], records) for part in ("number", "text"))
        cards.append(
            f":::{{grid-item-card}} {finding['title']}\n:link: /book/chapters/{finding['chapter']}\n"
            f":link-type: doc\n[{number}]{{.number}} {text}\n:::"
        )
    return "\n".join(["::::{grid} 1 2 3 5", ":gutter: 2", ":class-container: findings", "", *cards, "::::"])


def chapters_in_markdown(file: Path, records: pd.DataFrame) -> str:
    """The chapters of the file with their questions and, where records give one, their answers; else as
    `headlines_in_markdown`.
    """
    parts = []
    for chapter in yaml.safe_load(Path(file).read_text())["chapters"]:
        answer = fill_in(chapter.get("answer", ""), chapter.get("records", {}), records)
        link = f"[{chapter['title']}](/book/chapters/{chapter['chapter']})"
        parts.append(f"{link}\n: *{chapter['question']}* {answer}".rstrip())
    return "\n\n".join(parts)
