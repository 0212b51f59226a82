"""Splits of a table of recordings by subject, which refuse to leak.

All return integer positions of rows. A recording of an unknown subject (NA) counts as a subject of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd


def by_fold(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """Rows of each split: "train" (folds 1 to 8), "validation" (9) and "test" (10) > positions (n,).

    Raises ValueError for an empty fold or a subject in two splits.
    """
    wanted = {"train": range(1, 9), "validation": [9], "test": [10]}
    rows = {name: _rows_in_folds(table, folds) for name, folds in wanted.items()}
    check_disjoint(table, *rows.values())
    return rows


def groups(table: pd.DataFrame, size: int = 3) -> list[tuple[np.ndarray, np.ndarray]]:
    """Per group of folds, (rows of the other groups, rows of this group), (n,) each, to predict out of fold.

    The groups are `size` folds each, folds 1 to 3, 4 to 6 and 7 to 9; the test fold, where there is one, is
    in none. Raises ValueError for an empty fold, a subject in two groups or in a group and the test, or a
    size that does not divide nine folds.
    """
    if size not in (1, 3):
        raise ValueError(f"nine folds make nine groups of 1 or three of 3, not groups of {size}")
    rows = [_rows_in_folds(table, range(first, first + size)) for first in range(1, 10, size)]
    test = np.flatnonzero(folds_of(table) == 10)
    check_disjoint(table, *rows, *([test] if len(test) else []))
    return [(np.sort(np.concatenate(rows[:i] + rows[i + 1 :])), rows[i]) for i in range(len(rows))]


def by_subject(subjects: Iterable, shares: Mapping[str, float], seed: int) -> dict[str, np.ndarray]:
    """Rows of each split, (n,), no subject in two: subjects are shuffled and dealt out by `shares` (sum 1).

    subjects: one per row. Raises ValueError when the shares do not sum to 1 or a split stays empty.
    """
    if not np.isclose(sum(shares.values()), 1) or min(shares.values()) <= 0:
        raise ValueError(f"shares must be positive and sum to 1, not {dict(shares)}")
    codes = subject_codes(pd.Series(list(subjects)))
    order = np.random.default_rng(seed).permutation(codes.max() + 1)
    ends = np.rint(np.cumsum(list(shares.values())) * len(order)).astype(int)
    rows = {
        name: np.flatnonzero(np.isin(codes, chosen))
        for name, chosen in zip(shares, np.split(order, ends[:-1]), strict=True)
    }
    empty = [name for name, chosen in rows.items() if not chosen.size]
    if empty:
        raise ValueError(
            f"{len(order)} subjects are too few: nobody is in {empty[0]} ({shares[empty[0]]:.0%})"
        )
    return rows


def assign_folds(subjects: Iterable, test: float, seed: int) -> np.ndarray:
    """A fold for each row, int (n,): a share `test` of the subjects in fold 10, the others in 1 to 9 in turn.

    For sets that come without folds, so that `groups` and `by_fold` serve them too. subjects: one per row,
    all known; the same subjects get the same folds, in whatever rows they come. Raises ValueError for an
    unknown subject (NA), fewer than nine subjects to train on, a share outside of 0 to 1, or no subject for a
    test that was asked for.
    """
    subjects = list(subjects)
    unknown = int(pd.isna(pd.Series(subjects, dtype=object)).sum())
    if unknown:
        raise ValueError(
            f"{unknown} of {len(subjects)} recordings have no subject: give each the one it is of, or a name "
            "of its own where nobody has two"
        )
    names, codes = np.unique(subjects, return_inverse=True)
    tested = round(test * len(names))
    if not 0 <= test < 1 or len(names) - tested < 9 or (test and not tested):
        raise ValueError(
            f"{len(names)} subjects cannot be dealt into nine folds and a test share of {test:.0%}: it takes "
            "nine to train on, one to test. With fewer, give the task groups of your own: Task(groups=...)"
        )
    order = np.random.default_rng(seed).permutation(len(names))
    folds = np.full(len(names), 10)
    folds[order[tested:]] = np.arange(len(names) - tested) % 9 + 1
    return folds[codes]


def stratified_groups(
    targets: np.ndarray, subjects: Iterable, count: int, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """As `groups`, but dealt anew: `count` groups in which every class is about equally frequent.

    Iterative stratification (Sechidis et al. 2011): the rarest class is dealt out first, each subject with
    all its rows to the group that lacks most of that class. targets: 0 or 1, (n, classes). subjects: one per
    row; np.arange(n) deals single rows, so that a subject may be on both sides. Raises ValueError for fewer
    subjects than groups.
    """
    codes = subject_codes(pd.Series(list(subjects)))
    members = codes.max() + 1
    if members < count:
        raise ValueError(f"{members} subjects cannot be dealt into {count} groups")
    of_member = np.zeros((members, targets.shape[1] + 1))  # how often it has each class, and its rows
    np.add.at(of_member, codes, np.column_stack([targets, np.ones(len(targets))]))
    wanted = np.tile(of_member.sum(0) / count, (count, 1))
    order = np.random.default_rng(seed).permutation(members)
    group = np.full(members, -1)
    while (group < 0).any():
        left = order[group[order] < 0]
        frequency = (of_member[left] > 0).sum(0)
        rarest = min(np.flatnonzero(frequency), key=lambda k: frequency[k])
        for member in left[of_member[left, rarest] > 0]:
            group[member] = np.lexsort((-wanted[:, -1], -wanted[:, rarest]))[0]
            wanted[group[member]] -= of_member[member]
    rows = [np.flatnonzero(group[codes] == k) for k in range(count)]
    return [(np.sort(np.concatenate(rows[:k] + rows[k + 1 :])), rows[k]) for k in range(count)]


def first_subjects(subjects: Iterable, rows: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Of `rows` (n,), those of subjects in random order until there are `most`: int, in order.

    For learning curves: with the same seed, a smaller number is part of a larger one. subjects: one per row
    of the whole table. Raises ValueError for `most` below 1.
    """
    if most < 1:
        raise ValueError(f"at least one row is needed, not {most}")
    codes = subject_codes(pd.Series(list(subjects)))
    rank = np.random.default_rng(seed).permutation(codes.max() + 1)[codes[rows]]
    return np.sort(rows[np.argsort(rank, kind="stable")[:most]])


def by_time(
    table: pd.DataFrame, parts: Mapping[str, tuple[float, float]], seconds: float
) -> dict[str, np.ndarray]:
    """Rows (n,) of windows that lie wholly within each part of their recording's time.

    For telling people apart, where everybody must be in every part: what separates train and test is time,
    the gap between the parts. table: `recording`, `start` (s) and `subject` of windows of `seconds`; parts
    are shares of the time that a recording's windows span. Raises ValueError for parts that overlap or touch,
    and for a subject that one of them lacks.
    """
    edges = sorted(parts.values())
    if any(not 0 <= start < end <= 1 for start, end in edges) or any(
        nxt[0] <= before[1] for before, nxt in pairwise(edges)
    ):
        raise ValueError(f"parts must lie within 0 to 1 with gaps between them, not {dict(parts)}")
    first = table.groupby("recording")["start"].transform("min")
    spanned = table.groupby("recording")["start"].transform("max") + seconds - first
    start, end = ((table["start"] - first) / spanned, (table["start"] + seconds - first) / spanned)
    slack = 1e-9  # of rounding
    rows = {
        name: np.flatnonzero((start >= low - slack) & (end <= high + slack))
        for name, (low, high) in parts.items()
    }
    everybody = set(table["subject"])
    for name, chosen in rows.items():
        missing = everybody - set(table["subject"].iloc[chosen])
        if missing:
            raise ValueError(
                f"subject {min(missing, key=str)} has no window in part {name}: leave that subject out, "
                "or take longer parts"
            )
    return rows


def sample_per_subject(subjects: Iterable, most: int, seed: int) -> np.ndarray:
    """Rows of at most `most` recordings of each subject, drawn at random, in order: int (n,).

    subjects: one per row. Raises ValueError for `most` below one.
    """
    if most < 1:
        raise ValueError(f"at least one recording of each subject is needed, not {most}")
    codes = subject_codes(pd.Series(list(subjects)))
    shuffled = np.random.default_rng(seed).permutation(len(codes))
    place = pd.Series(codes[shuffled]).groupby(codes[shuffled]).cumcount()  # among rows of the same subject
    return np.sort(shuffled[place < most])


def _rows_in_folds(table: pd.DataFrame, folds: Sequence[int]) -> np.ndarray:
    """Positions (n,) of the rows in `folds`. ValueError naming a fold that has none."""
    numbers = folds_of(table)
    empty = [str(fold) for fold in folds if not (numbers == fold).any()]
    if empty:
        present = ", ".join(map(str, np.unique(numbers)))
        raise ValueError(
            f"fold {', '.join(empty)} has no recordings: choose among {present}, or load more records"
        )
    return np.flatnonzero(np.isin(numbers, folds))


def folds_of(table: pd.DataFrame) -> np.ndarray:
    """The fold of each row, (n,). Raises ValueError, with the remedy, for a table without folds or with
    others than 1 to 10.
    """
    if "fold" not in table:
        raise ValueError(
            "the table has no column fold: deal subjects into folds first, with preparation.assign_folds("
            "recordings, test=0.1)"
        )
    other = sorted({str(fold) for fold in table["fold"][~table["fold"].isin(range(1, 11))]})
    if other:
        raise ValueError(
            f"fold {', '.join(other[:5])}: folds are numbered 1 to 9 to learn from and 10 for the test, else "
            "recordings would be left out without a word: number them so, or let preparation.assign_folds("
            "recordings, test=0.1) deal them"
        )
    return table["fold"].to_numpy()


def check_disjoint(table: pd.DataFrame, *rows: np.ndarray) -> None:
    """Raises ValueError when one of the splits `rows`, (n,) each, is empty or two share a `subject`."""
    codes = subject_codes(table["subject"])
    seen = np.full(codes.max(initial=-1) + 1, -1)  # split that each subject was met in
    for split, chosen in enumerate(rows):
        if not len(chosen):
            raise ValueError(f"split {split + 1} of {len(rows)} is empty")
        leaked = (seen[codes[chosen]] != -1) & (seen[codes[chosen]] != split)
        if leaked.any():
            row = np.asarray(chosen)[leaked][0]
            subject, other = table["subject"].iloc[row], seen[codes[row]]
            raise ValueError(
                f"subject {subject} is in split {other + 1} and in split {split + 1}:"
                " recordings of one person must stay together"
            )
        seen[codes[chosen]] = split


def subject_codes(subjects: pd.Series) -> np.ndarray:
    """A number from 0 for each subject, a new one for every unknown subject (NA): int (n,)."""
    codes = pd.factorize(subjects)[0]
    unknown = codes == -1
    codes[unknown] = codes.max(initial=-1) + 1 + np.arange(unknown.sum())
    return codes
