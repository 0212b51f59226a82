"""A little of tests/torture.py: files that are damaged at random, and work that is killed."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from biosignals.data.waveforms import StorageError
from torture import DAMAGED, READERS, WORKS, Set, Trial

RECORDS = [(name, kind) for name, reader in READERS.items() for kind in reader.files]
TABLES = [(name, table) for name, reader in READERS.items() for table in reader.tables]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The small set of a reader, made once."""
    sets = {}

    def make(name):
        if name not in sets:
            sets[name] = Set(READERS[name], tmp_path_factory.mktemp("torture"))
        return sets[name]

    return make


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::pandas.errors.ParserWarning")
@pytest.mark.parametrize(("name", "kind"), RECORDS)
def test_a_damaged_file_costs_at_most_its_own_record(made, name, kind):
    kinds, rng = len(READERS[name].files), np.random.default_rng(1)
    outcomes = [made(name).damage_records(kind, rng) for _ in range(200 // DAMAGED // kinds + 1)]
    assert sum(outcome["left out"] for outcome in outcomes) > 0.1 * DAMAGED * len(outcomes)


@pytest.mark.parametrize(("name", "table"), TABLES)
def test_a_damaged_table_costs_records_or_is_refused_by_name(made, name, table):
    rng = np.random.default_rng(2)
    outcomes = [made(name).damage_table(table, rng) for _ in range(20)]
    assert any(outcome["left out"] or outcome["refused"] for outcome in outcomes)


FAILING = Path("/proc/self/mem")  # gives an I/O error to whoever reads it


@pytest.mark.skipif(not FAILING.exists(), reason="no file that fails")
@pytest.mark.parametrize(
    ("name", "file"),
    [
        (name, reader.files[kind](3))
        for name, reader in READERS.items()
        for kind in reader.files
        if (name, kind) != ("ptb-xl, format 212", "signals")  # whose size, here none, is looked at first
    ]
    + TABLES,
)
def test_a_failing_disk_ends_the_reading_and_nothing_is_kept(made, name, file):
    one = made(name)
    path, aside = one.root / file, one.root.parent / "aside"
    path.rename(aside)
    path.symlink_to(FAILING)
    try:
        with pytest.raises(StorageError, match=f"{re.escape(path.name)}: Input/output error.*load again"):
            one.reader.load(one.root, one.cache)
        assert not [folder for folder in one.cache.glob("*") if folder.is_dir()]
    finally:
        aside.replace(path)


@pytest.mark.parametrize("name", WORKS)
def test_work_that_was_killed_is_made_good_by_the_next_run(tmp_path, name):
    trial, rng = Trial(WORKS[name], tmp_path), np.random.default_rng(3)
    outcomes = [trial.kill(rng) for _ in range(4 if name in ("signal store", "export of a model") else 3)]
    assert set(outcomes) <= {"interrupted", "finished"}


def test_the_counts_that_the_book_shows_are_of_everything_and_nothing_failed():
    counts = pd.read_csv(Path(__file__).parents[1] / "book/torture.csv", index_col="trial")
    trials = [f"kill: {name}" for name in WORKS] + [f"damage: {name}" for name in READERS]
    assert counts.index.tolist() == trials and (counts["failed"] == 0).all()
    kills = counts[counts.index.str.startswith("kill")]
    assert kills.drop(columns="failed").to_numpy().sum() == 300
