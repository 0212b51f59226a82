from dataclasses import replace

import numpy as np
import pytest

from biosignals.reporting import ledger
from biosignals.task import Task
from test_fit import SHORT, recordings


@pytest.fixture
def noted(tmp_path):
    return ledger.Ledger(tmp_path / "ledger/03_baseline.csv", "03_baseline")


def test_what_is_scored_on_the_test_fold_is_noted_and_nothing_else(noted, tmp_path):
    signals, targets = recordings()
    task = Task(signals, targets, None, chapter="03_baseline", ledger=noted)
    task.score({"guess": np.full((54, 2), 0.5)})
    assert ledger.read(noted.path).empty
    test = task.predict(task.fit_final("student-4k", SHORT))
    task.score({"net": test, "half": test.replaced(test.mean)}, names={"net": ("student-4k", "epochs=2")})
    task.score({"net": test})
    table = ledger.read(noted.path)
    assert list(table.model) == ["student-4k", "half", "net"] and table.condition[0] == "epochs=2"
    assert set(table.chapter) == {"03_baseline"} and set(table.n) == {"6"} and table.commit.notna().all()
    assert ledger.read(ledger.merge(tmp_path)).equals(table)


def test_a_set_that_nobody_learns_from_is_a_test(noted):
    signals, targets = recordings()
    outside = replace(signals, dataset="ludb")
    task = Task(outside, targets, None, groups=[([], np.arange(len(outside)))], ledger=noted)
    task.score({"guess": np.full((len(outside), 2), 0.5)})
    (line,) = ledger.read(noted.path).itertuples()
    assert (line.dataset, line.model, line.n) == ("ludb", "guess", str(len(outside)))


def test_a_missing_ledger_has_no_lines(tmp_path):
    assert ledger.read(tmp_path / "none.csv").empty and list(ledger.read()) == list(ledger.COLUMNS)
