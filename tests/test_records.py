"""The record of a score: its keys and words, its files; and tables of scores that become records."""

import json

import numpy as np
import pandas as pd
import pytest

from biosignals.evaluation import scores
from biosignals.evaluation.predictions import Predictions
from biosignals.reporting import records

ABOUT = {"chapter": "03_baseline", "task": "superclass", "dataset": "ptb-xl", "kind": "simulated",
         "n_test": 100, "metric": "macro_auroc"}  # fmt: skip


def record(**values):
    return records.record(**(ABOUT | {"model": "student", "split": "out-of-fold", "value": 0.9} | values))


def test_a_record_has_all_keys_and_says_what_made_it():
    row = record(low=0.88, high=0.92)
    assert list(row) == list(records.KEYS)
    assert row["condition"] == "" and row["seed"] is None and "torch" in row["versions"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"value": None}, "without the required .'value'."),
        ({"auc": 0.9}, "unknown keys .'auc'."),
        ({"task": "af-external"}, "task is one of superclass, af,.* not 'af-external'"),
        ({"dataset": "mimic"}, "dataset is one of"),
        ({"split": "dev"}, "split is one of"),
        ({"kind": "made up"}, "kind is one of"),
        ({"metric": "auc"}, "metric is one of"),
        (
            {"condition": "weather=of 0.1 mV"},
            "a condition is words like loss=focal of ablation,.* not 'weather=of'",
        ),
        ({"condition": "loss=focal sampling"}, "not 'sampling'"),
    ],
    ids=str,
)
def test_a_record_outside_of_the_vocabulary_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        record(**wrong)


def test_records_come_back_as_they_were_written(tmp_path):
    rows = [record(), record(split="test", value=0.5)]
    records.write(tmp_path / "results/03_baseline.json", rows)
    table = records.read(tmp_path / "results/03_baseline.json")
    assert list(table.columns) == list(records.KEYS) and list(table.value) == [0.9, 0.5]
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["03_baseline.json"]


def test_a_table_of_scores_becomes_records_under_the_names_of_the_vocabulary():
    truth, who = np.array([[0], [1], [0], [1.0]]), np.arange(4)
    made = {"params": 7, "commit": "abc", "hardware": "2 x86-64 cores"}
    models = {
        "tuned": Predictions(truth, truth, who, who, made),
        "cnn": Predictions(1 - truth, truth, who, who),
    }
    table = scores.compare(models, "cnn", scores.BINARY)
    about = {"chapter": "05_cnn_lstm", "task": "af", "dataset": "ptb-xl", "kind": "excerpt", "split": "test"}
    names = {"tuned": ("resnet1d-small", "hyperparameters=tuned")}
    rows = records.from_scores(table, names, **about)
    assert len(rows) == len(table)
    best = next(row for row in rows if row["metric"] == "auroc" and row["condition"])
    assert (best["model"], best["condition"]) == names["tuned"] and best["params"] == 7
    assert best["value"] == 1 and best["delta"] == 1 and best["versus"] == "cnn"
    assert (best["n_test"], best["subjects"], best["positives"]) == (4, 4, 2)
    assert (best["commit"], best["hardware"]) == ("abc", "2 x86-64 cores")  # of the fit, not of today
    other = next(row for row in rows if row["model"] == "cnn")
    assert other["condition"] == "" and other["params"] is None
    assert "torch" in other["versions"] and other["commit"] != "abc"


def test_an_auprc_is_recorded_with_what_it_is_read_beside():
    table = pd.DataFrame({"model": ["a"], "metric": "auprc", "value": 0.5, "n_test": 9})
    about = {"chapter": "05_cnn_lstm", "task": "af", "dataset": "ptb-xl", "kind": "excerpt", "split": "test"}
    with pytest.raises(ValueError, match="the AUPRC of a is recorded with its `positives`"):
        records.from_scores(table, **about)
    assert records.from_scores(table.assign(positives=3), **about)[0]["positives"] == 3


def test_counts_are_whole_numbers_also_where_a_table_has_gaps():
    table = pd.DataFrame(
        {"model": ["a", "b"], "metric": "auroc", "value": 0.5, "n_test": 9, "params": [7.0, None]}
    )
    about = {"chapter": "05_cnn_lstm", "task": "af", "dataset": "ptb-xl", "kind": "excerpt", "split": "test"}
    first, second = records.from_scores(table, **about)
    assert repr(first["params"]) == "7" and second["params"] is None


def test_a_file_of_something_else_is_named(tmp_path):
    (tmp_path / "x.json").write_text('[{"model": "student"}]')
    with pytest.raises(ValueError, match="x.json"):
        records.read(tmp_path / "x.json")


def test_a_run_is_merged_in_the_order_of_its_chapters(tmp_path):
    records.write(tmp_path / "results/05_b.json", [record(chapter="05_b")])
    records.write(tmp_path / "results/03_a.json", [record(chapter="03_a")])
    merged = json.loads(records.merge(tmp_path).read_text())
    assert [row["chapter"] for row in merged] == ["03_a", "05_b"]


def test_a_run_without_results_names_the_remedy(tmp_path):
    with pytest.raises(FileNotFoundError, match="make run-all"):
        records.read_run(tmp_path)
    records.write(tmp_path / "results/05_b.json", [record(chapter="05_b")])
    records.write(tmp_path / "results/03_a.json", [record(chapter="03_a")])
    records.write(tmp_path / "results/01_eda.json", [])
    assert list(records.read_run(tmp_path).chapter) == ["03_a", "05_b"]


def test_a_model_is_one_word():
    with pytest.raises(ValueError, match="one word"):
        record(model="flat lines")


def test_a_score_that_is_not_defined_is_no_record():
    with pytest.raises(ValueError, match="without the required .'value'."):
        record(value=float("nan"))
