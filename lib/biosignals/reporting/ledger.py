"""The ledger of a run: every scoring of records that nothing may be chosen by, a line each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from biosignals import caching

COLUMNS = ("chapter", "dataset", "model", "condition", "n", "commit")


@dataclass(frozen=True)
class Ledger:
    """The file of one chapter, a CSV with COLUMNS."""

    path: Path
    chapter: str

    def add(self, dataset: str, names: Iterable[tuple[str, str]], n: int) -> None:
        """Note that models, (model, condition) each, were scored on `n` test records of a set."""
        commit = caching.provenance()["commit"]
        rows = [(self.chapter, dataset, model, condition, n, commit) for model, condition in names]
        with caching.writing(self.path) as unfinished:
            pd.concat([read(self.path), pd.DataFrame(rows, columns=COLUMNS)]).to_csv(unfinished, index=False)


def read(*paths: Path) -> pd.DataFrame:
    """The lines of several ledgers, in the order in which models were scored; a missing file has none."""
    tables = [pd.read_csv(path, dtype=str, keep_default_na=False) for path in paths if Path(path).exists()]
    return pd.concat([pd.DataFrame(columns=COLUMNS), *tables], ignore_index=True)


def merge(run: Path) -> Path:
    """Collect the ledgers of all chapters of a run, `RUN/ledger/*.csv`, in `RUN/ledger.csv`."""
    path = Path(run) / "ledger.csv"
    with caching.writing(path) as unfinished:
        read(*sorted(Path(run).glob("ledger/*.csv"))).to_csv(unfinished, index=False)
    return path
