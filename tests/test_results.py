import json

import numpy as np
import pandas as pd
import pytest

from biosignals import evaluation, results

ABOUT = {"chapter": "03_baseline", "task": "superclass", "dataset": "ptb-xl", "kind": "simulated", "n_test": 100,
         "metric": "macro_auroc"}  # fmt: skip


def record(**values):
    return results.record(**(ABOUT | {"model": "student", "split": "out-of-fold", "value": 0.9} | values))


def test_a_record_has_all_keys_and_says_what_made_it():
    row = record(low=0.88, high=0.92)
    assert list(row) == list(results.KEYS)
    assert row["condition"] == "" and row["seed"] is None and "torch" in row["versions"]


@pytest.mark.parametrize(
    "wrong",
    [{"value": None}, {"split": "dev"}, {"kind": "made up"}, {"auc": 0.9}, {"condition": "noise=of 0.1 mV"}],
    ids=["no value", "split", "kind", "key", "condition"],
)
def test_a_record_outside_of_the_vocabulary_is_refused(wrong):
    with pytest.raises(ValueError):
        record(**wrong)


def test_records_come_back_as_they_were_written(tmp_path):
    rows = [record(), record(split="test", value=0.5)]
    results.write(tmp_path / "results/03_baseline.json", rows)
    table = results.read(tmp_path / "results/03_baseline.json")
    assert list(table.columns) == list(results.KEYS) and list(table.value) == [0.9, 0.5]
    assert not list(tmp_path.rglob("*.part"))


def test_a_table_of_scores_becomes_records_under_the_names_of_the_vocabulary():
    truth, who = np.array([[0], [1], [0], [1.0]]), np.arange(4)
    scores = evaluation.scores({"tuned": truth, "cnn": 1 - truth}, truth, who, 1 - truth, evaluation.BINARY)
    about = {"chapter": "05_cnn_lstm", "task": "af", "dataset": "ptb-xl", "kind": "excerpt", "split": "test"}
    names = {"tuned": ("resnet1d-small", "settings=tuned")}
    rows = results.from_scores(scores, names, {"resnet1d-small": 7}, **about, n_test=4, versus="cnn")
    assert len(rows) == len(scores)
    best = next(row for row in rows if row["metric"] == "auroc" and row["condition"])
    assert (best["model"], best["condition"], best["params"]) == ("resnet1d-small", "settings=tuned", 7)
    assert best["value"] == 1 and best["delta"] == 1 and best["versus"] == "cnn"
    other = next(row for row in rows if row["model"] == "cnn")
    assert other["condition"] == "" and other["params"] is None


def test_a_file_of_something_else_is_named(tmp_path):
    (tmp_path / "x.json").write_text('[{"model": "student"}]')
    with pytest.raises(ValueError, match="x.json"):
        results.read(tmp_path / "x.json")


def test_a_run_is_merged_in_the_order_of_its_chapters(tmp_path):
    results.write(tmp_path / "results/05_b.json", [record(chapter="05_b")])
    results.write(tmp_path / "results/03_a.json", [record(chapter="03_a")])
    merged = json.loads(results.merge(tmp_path).read_text())
    assert [row["chapter"] for row in merged] == ["03_a", "05_b"]


def table_of(*rows):
    return pd.DataFrame(rows, columns=list(results.KEYS))


def test_the_score_table_is_sorted_and_quotes_the_plain_case():
    rows = table_of(
        record(model="teacher", value=0.91, low=0.90, high=0.92, params=6_522_555),
        record(model="student", value=0.93, low=0.92, high=0.94, params=534_005),
        record(model="student", value=0.95, condition="mixup=0.4"),
        record(model="student", split="test", value=0.9, low=0.85, high=0.95),
    )
    table = results.score_table(rows)
    assert list(table.index) == ["student", "teacher"]
    assert (
        table["out-of-fold"]["student"] == ".930 [.920-.940]"
        and table["test"]["student"] == ".900 [.850-.950]"
    )
    assert table["test"]["teacher"] == "" and table["parameters"]["teacher"] == "6,522,555"


def test_the_readme_keeps_all_but_the_table(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("# Top\n<!-- scores -->\nstale table\n<!-- /scores -->\nend\n")
    results.update_readme(readme, table_of(record()))
    text = readme.read_text()
    assert text.startswith("# Top\n<!-- scores -->") and text.endswith("<!-- /scores -->\nend\n")
    assert "stale table" not in text and "simulated" in text and "student" in text and ".900" in text
