"""What a run will read, before it computes anything: for each set where it was looked
for, what is there, how many recordings are taken, what is left out and why.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import chapters
from chapters import ROOT, Need

from biosignals.data import ptbxl, sources
from biosignals.reporting.parameters import WHOLE_SETS

MOST_NAMED = 5  # of the records that are missing


@dataclass
class Row:
    """One set. found: whether recordings of it are there. faults: why the run must not
    begin.
    """

    dataset: str
    place: str
    kind: str
    count: str
    left_out: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    found: bool = False


def take(profile: str, data: str, values: dict[str, dict[str, Any]]) -> list[Row]:
    """A row for each set that the chapters read; values: parameters of each chapter."""
    known, needs = tuple(sources.OFFICIAL), {}
    for chapter, chosen in values.items():
        for need in chapters.needs(chapter, chosen, known):
            needs.setdefault(need.dataset, []).append(need)
    exempt = chapters.read_profile(profile).get("may_be_simulated", [])
    rows = [
        look(needs[one], profile, data, profile in WHOLE_SETS and one not in exempt)
        for one in needs
    ]
    nothing = data and rows and not any(row.found for row in rows)
    if nothing and not any(row.faults for row in rows):
        looked_for = ", ".join(f"{row.place}/" for row in rows)
        rows[0].faults.append(
            f"{data}/ holds none of the sets that are read: looked for {looked_for}"
        )
    for row in rows:
        if row.kind == "simulated" and row.dataset in exempt:
            row.left_out.append("the profile lets it be simulated")
    return rows


def look(needs: list[Need], profile: str, data: str, must_be_real: bool) -> Row:
    """The row of the set that `needs` are of."""
    dataset, place = needs[0].dataset, f"{data}/{needs[0].dataset}" if data else ""
    simulated = Row(
        dataset,
        place,
        "simulated",
        span(need.records or sources.WITHOUT_NUMBER for need in needs),
    )
    if not data:
        if must_be_real:
            simulated.faults.append(
                f"{dataset}: DATA=folder is not given, looked for folder/{dataset}/"
            )
        return simulated
    try:
        found = find(dataset, data)
    except (OSError, ValueError) as error:
        return not_there(simulated, data, str(error).replace(f"{ROOT}/", ""))
    if not found.there:
        return not_there(simulated, data, remedy(place, data) if must_be_real else "")
    row = Row(dataset, place, found.kind, "", found=True)
    if found.kind == "simulated" and must_be_real:
        row.faults.append(
            f"{place}/ is a simulated set, as its {sources.files.MARK} says"
        )
    if found.absent:
        row.left_out.append(f"{len(found.absent):,} that its table names have no files")
    row.count = span(taken(need, found, profile, row) for need in needs)
    return row


@cache  # several chapters ask
def find(dataset: str, data: str) -> sources.Found:
    return sources.find(dataset, ROOT / data)


@cache
def ptbxl_at(root: Path, sampling_rate: int) -> list[str]:
    return ptbxl.complete(root, sampling_rate)


def remedy(place: str, data: str) -> str:
    return f'make data SETS="{Path(place).name}" DATA={data}, or another DATA=folder'


def not_there(row: Row, data: str, fault: str) -> Row:
    """Why a set is not found: another name or place, or else the fault, if any."""
    state = "holds no recordings" if (ROOT / row.place).is_dir() else "is not there"
    row.left_out.append(f"{row.place}/ {state}")
    others = sources.misplaced(row.dataset, ROOT / data)
    if others:
        found = " and ".join(
            f"{os.path.normpath(data + '/' + os.path.relpath(one, ROOT / data))}/"
            for one in others
        )
        row.faults.append(f"found {found}, looked for {row.place}/: rename or move it")
    elif fault:
        row.faults.append(f"{row.place}/ {state}: {fault}")
    return row


def taken(need: Need, found: sources.Found, profile: str, row: Row) -> int:
    """How many recordings are taken; what is left out goes into the row, and what is
    listed and not there.
    """
    there = found.there
    if found.dataset == "ptb-xl":
        rate = need.sampling_rate or 100
        there, where = ptbxl_at(found.root, rate), f"{row.place}/records{rate}"
    else:
        where = row.place
    if need.listed and found.kind != "simulated":
        if not (ROOT / need.listed).is_file():
            add(
                row.faults,
                f"{need.listed}, which lists records of {found.dataset}, is not there",
            )
            return 0
        wanted = (ROOT / need.listed).read_text().split()
        missing = sorted(set(wanted) - set(there), key=lambda name: (len(name), name))
        if missing:
            some = ", ".join(missing[:MOST_NAMED]) + (
                ", ..." if len(missing) > MOST_NAMED else ""
            )
            lacking = f"{len(missing):,} of the {len(wanted):,} records"
            add(row.faults, f"{where}/ lacks {lacking} of {need.listed}: {some}")
        if others := len(set(found.there) - set(wanted)):
            add(row.left_out, f"{others:,} not in {need.listed}")
        return len(wanted) - len(missing)
    aside = (
        sources.ASIDE[found.dataset](found.root)
        if found.dataset in sources.ASIDE
        else []
    )
    kept = len(set(there) - set(aside))
    if aside:
        add(row.left_out, f"{len(there) - kept:,} set aside for a final test")
    if (
        profile not in WHOLE_SETS
        and need.records
        and kept > need.records
        and found.dataset in sources.samples.GROUPS
    ):
        add(
            row.left_out, f"{kept - need.records:,} more than are taken in this profile"
        )
        return need.records
    return kept


def add(reasons: list[str], reason: str) -> None:
    """Each reason once, though several chapters give it; of those that differ in
    numbers the first.
    """
    without = str.maketrans("", "", "0123456789,")
    if reason.translate(without) not in [one.translate(without) for one in reasons]:
        reasons.append(reason)


def span(counts: Iterable[int]) -> str:
    """ "2,630", or from the least to the greatest where they differ."""
    least, *_, greatest = sorted(counts) * 2
    return f"{least:,}" if least == greatest else f"{least:,} to {greatest:,}"


def show(rows: list[Row], profile: str, data: str) -> str:
    """The rows as text, a line each."""
    if not rows:
        return f"Profile {profile}: no sets are read"
    lines = [
        (
            row.dataset,
            f"{row.place}/" if row.place else "-",
            row.kind,
            f"n = {row.count}",
            "; ".join(row.left_out),
        )
        for row in rows
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    cells = [
        "  ".join(
            [*(cell.ljust(width) for cell, width in zip(line, widths)), line[4]]
        ).rstrip()
        for line in lines
    ]
    return "\n".join(
        [
            f"Profile {profile}: set, looked for in, found, recordings taken, left out",
            *cells,
        ]
    )


def simulation_allowed() -> bool:
    return os.environ.get("SIMULATE", "") not in ("", "0")


def refusal(rows: list[Row]) -> str:
    """Why a run must not begin; empty where it may."""
    faults = [fault for row in rows for fault in row.faults]
    if not faults or simulation_allowed():
        return ""
    listed = "\n".join(f"  {fault}" for fault in faults)
    remedy = "With SIMULATE=1 it does without them; such a run is not published"
    return f"The run does not begin:\n{listed}\n{remedy}"


def sets(rows: list[Row]) -> dict[str, list[str]]:
    """What an executed chapter says of the sets that it read: kind and number."""
    return {row.dataset: [row.kind, row.count] for row in rows}
