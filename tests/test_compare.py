"""A reader compares a model of their own with the book's, without fitting it."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from biosignals.caching import Cache
from biosignals.evaluation import scores
from biosignals.reporting import compare, records
from biosignals.task import Task
from test_fit import SHORT, recordings


@pytest.fixture
def task(tmp_path):
    signals, targets = recordings()
    cache = Cache(tmp_path / "own", exported=tmp_path / "reference/predictions")
    about = {"name": "superclass", "chapter": "03_baseline"}
    return Task(replace(signals, kind="simulated"), targets, cache, **about)


@pytest.fixture
def reference(task, tmp_path):
    net = task.out_of_fold("student-4k", SHORT, [0, 1])
    rows = task.record(task.score({"net": net, "guess": np.full((54, 2), 0.5)}), {"net": ("student-4k", "")})
    records.write(tmp_path / "reference/results.json", [row | {"model": row["model"]} for row in rows])
    return tmp_path / "reference"


def test_committed_predictions_give_the_recorded_scores_again(reference):
    theirs = compare.predictions(reference, "student-4k", chapter="03_baseline")
    assert theirs.probabilities.shape == (2, 54, 2)
    again = scores.compare({"student-4k": theirs}).set_index("metric")
    for row in json.loads((reference / "results.json").read_text()):
        if row["model"] == "student-4k":
            assert again.value[row["metric"]] == pytest.approx(row["value"])
            if row["low"] is not None:
                assert again.low[row["metric"]] == pytest.approx(row["low"])
    assert list(compare.published(reference, task="superclass").model) == ["student-4k"]


def test_a_model_of_ones_own_is_paired_with_them_in_whatever_order_it_comes(reference, task):
    theirs = compare.predictions(reference, "student-4k")
    own = task.predictions(task.truth * 0.6 + 0.2).take(np.random.default_rng(0).permutation(54)[:50])
    table = compare.compare({"mine": own}, theirs, "student-4k").set_index(["model", "metric"])
    assert table.n_test.iloc[0] == 50 and table.value["mine", "macro_auroc"] == 1
    row = table.loc[("mine", "macro_auroc")]
    assert row.versus == "student-4k" and row.delta == pytest.approx(
        1 - table.value["student-4k", "macro_auroc"]
    )


def test_any_two_rows_are_compared_on_the_same_resamples(reference):
    (row,) = compare.published(reference).predictions
    entries = [dict(np.load(reference / f"predictions/{name}.npz")) for name in row.split()]
    for i, entry in enumerate(entries):
        entry["array"] = entry["array"][..., ::-1]
        np.savez(reference / f"predictions/swapped-{i}.npz", **entry)
    rows = pd.DataFrame({"predictions": [row, "swapped-0 swapped-1"]}, ["net", "swapped"])
    table = compare.pairs(reference, rows, scores.macro_auroc).set_index(["model", "versus"])
    assert len(table) == 2 and set(table.n_test) == {54}
    net = compare.predictions(reference, "student-4k")
    swapped = net.replaced(net.probabilities[..., ::-1])
    again, found = scores.difference(scores.macro_auroc, swapped, net), table.loc[("swapped", "net")]
    assert (found.delta, found.delta_low, found.delta_high) == (again.value, again.low, again.high)
    assert table.delta.sum() == pytest.approx(0)
    assert compare.pairs(reference, rows[:1], scores.macro_auroc).empty


def test_what_cannot_be_compared_is_named(reference, task):
    with pytest.raises(ValueError, match="models that have some are student-4k"):
        compare.predictions(reference, "resnet1d-wang")
    with pytest.raises(ValueError, match="records have no lesson"):
        compare.published(reference, lesson="hint")
    theirs = compare.predictions(reference, "student-4k")
    own = task.predictions(np.full((54, 2), 0.5))
    with pytest.raises(ValueError, match="no recording in common"):
        compare.compare({"mine": replace(own, ids=own.ids + 10**6)}, theirs, "student-4k")
    with pytest.raises(ValueError, match="different records or classes"):
        compare.compare({"mine": replace(own, truth=1 - own.truth)}, theirs, "student-4k")
    with pytest.raises(ValueError, match="one of your models is called 'student-4k' as theirs is"):
        compare.compare({"student-4k": own}, theirs, "student-4k")
    twice = own.take(np.arange(54) // 2)
    with pytest.raises(ValueError, match="mine predicts .* more than once: average the windows"):
        compare.compare({"mine": twice}, theirs, "student-4k")
    for path in (reference / "predictions").glob("*.npz"):
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match="get the project's files again"):
        compare.predictions(reference, "student-4k")
