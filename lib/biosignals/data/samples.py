"""A few recordings of a large set, drawn so that its folds, classes and subjects are among them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from biosignals.data import chbmit, cinc2017, helsinki, ptbxl

RARE_FIRST = ("AFIB", "HYP", "CD", "STTC", "MI", "NORM")  # in PTB-XL


def choose(dataset: str, root: Path, count: int, there: Iterable[str]) -> tuple | None:
    """Ids of `count` of the recordings that are `there`, in folder `root`, the same each time; None: no fewer
    than all.

    They are drawn from each of the set's groups in turn, so that rare classes are more frequent than in the
    set. Raises what reading the set's tables raises.
    """
    if dataset not in GROUPS:
        return None
    groups = GROUPS[dataset](root)
    groups = groups[groups.index.astype(str).isin(list(there))]
    if len(groups) <= count:
        return None
    shuffled = groups.sample(frac=1, random_state=0)
    turns = shuffled.groupby(shuffled).cumcount()
    return tuple(turns.sort_values(kind="stable").index[:count])


def _of_ptbxl(root: Path) -> pd.Series:
    """Fold and rarest class of each record."""
    database, statements = ptbxl.read_database(root), ptbxl.read_statements(root)
    classes = statements.loc[statements["diagnostic"] == 1, "diagnostic_class"].to_dict()

    def rarest(text: str) -> str:
        codes = ptbxl.parse_codes(text) or {}
        present = {classes.get(code, code) for code in codes}
        return next((name for name in RARE_FIRST if name in present), "none")

    return database["strat_fold"].astype(str) + " " + database["scp_codes"].map(rarest)


def _of_cinc2017(root: Path) -> pd.Series:
    """Label of each record that is not set aside."""
    aside = root / cinc2017.SET_ASIDE
    return cinc2017.read_reference(root).drop(
        aside.read_text().split() if aside.is_file() else [], errors="ignore"
    )


def _of_chbmit(root: Path) -> pd.Series:
    """Case of each recording with a seizure; the others, most of the set's 40 GB, are in no group."""
    cases = {}
    for summary in sorted(root.glob("chb[0-9][0-9]/*-summary.txt")):
        for name, listed in chbmit.read_summary(summary).items():
            if listed.seizures:
                cases[Path(name).stem] = summary.parent.name
    return pd.Series(cases, dtype=object)


def _of_helsinki(root: Path) -> pd.Series:
    """Whether an expert sees a seizure, for each neonate."""
    seizures = helsinki.annotations(root)["A"].max()
    seizures.index = [f"eeg{number}" for number in seizures.index]
    return seizures.astype(str)


GROUPS = {
    "ptb-xl": _of_ptbxl,
    "cinc2017": _of_cinc2017,
    "chb-mit": _of_chbmit,
    "helsinki": _of_helsinki,
}
