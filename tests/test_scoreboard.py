"""Tables made from records: what is quoted, what speaks for a task, what stands beside published figures."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biosignals.reporting import ledger, scoreboard
from biosignals.reporting.records import KEYS
from test_records import record


def table_of(*rows):
    return pd.DataFrame(rows, columns=list(KEYS))


def test_the_score_table_is_sorted_and_quotes_the_plain_case():
    rows = table_of(
        record(model="teacher", value=0.91, low=0.90, high=0.92, params=6_522_555),
        record(model="student", value=0.93, low=0.92, high=0.94, params=534_005),
        record(model="student", value=0.95, condition="window=5s"),
        record(model="student", split="test", value=0.9, low=0.85, high=0.95),
    )
    table = scoreboard.score_table(rows)
    assert list(table.index) == ["student", "teacher"]
    assert (
        table["out-of-fold"]["student"] == ".930 [.920-.940]"
        and table["test"]["student"] == ".900 [.850-.950]"
    )
    assert table["test"]["teacher"] == "" and table["parameters"]["teacher"] == "6,522,555"


def test_of_a_net_that_several_chapters_fitted_the_first_chapters_record_is_quoted():
    rows = table_of(
        record(chapter="06_x", value=0.95),
        record(chapter="03_x", value=0.90),
        record(chapter="02_x", value=0.99, seed=0),  # one seed only: the mean over seeds comes first
        record(chapter="02_x", model="s4", value=0.80, seed=0),
    )
    quoted = scoreboard.plain_rows(rows).set_index("model")
    assert list(quoted.chapter[["student", "s4"]]) == ["03_x", "02_x"]
    assert scoreboard.score_table(rows)["out-of-fold"]["student"] == ".900"


def test_contenders_are_single_models_on_the_whole_question_in_their_plain_case():
    rows = table_of(
        record(model="student", value=0.90),
        record(model="student", value=0.93, condition="targets=statements"),
        record(model="vit", value=0.70, condition="image=record"),
        record(model="vit", value=0.80, condition="image=leads", params=5),
        record(model="s4", value=0.99, condition="split=random"),
        record(model="s4", value=0.98, condition="ensemble=nets"),
        record(model="teacher", value=0.97, n_test=50),
        record(model="majority", value=0.50),
        record(model="cnn", value=0.95, split="test"),
    )
    found = scoreboard.contenders(rows)
    assert list(zip(found.model, found.value)) == [("student", 0.9), ("vit", 0.8)]
    assert list(scoreboard.contenders(rows, cost="params").model) == ["vit"]


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), max_size=12))
def test_the_pareto_front_is_what_nothing_beats(points):
    table = pd.DataFrame([*points, (None, 9), (1, None)], columns=["cost", "score"])
    front = scoreboard.pareto_front(table, "cost", "score")
    beaten = [
        any(c <= cost and s >= score and (c, s) != (cost, score) for c, s in points) for cost, score in points
    ]
    assert sorted(map(tuple, front.to_numpy())) == sorted(p for p, out in zip(points, beaten) if not out)
    assert front.cost.is_monotonic_increasing and front.score.is_monotonic_increasing


def test_what_was_chosen_out_of_fold_speaks_with_its_test_score():
    rows = table_of(
        record(model="a", value=0.90), record(model="b", value=0.85), record(model="c", value=0.99),
        record(model="a", split="test", value=0.80), record(model="b", split="test", value=0.88),
        record(model="rule", value=1.0), record(model="rule", split="test", value=1.0),
        record(model="b", condition="split=random", value=1.0),
        record(model="b", condition="split=random", split="test", value=1.0),
    )  # fmt: skip
    spoken = scoreboard.headlines(rows)  # c never read the test set
    assert spoken[["model", "split", "value", "how"]].values.tolist() == [
        ["a", "test", 0.8, "chosen out of fold"]
    ]


def test_a_rounded_model_does_not_speak_beside_the_one_that_it_rounds():
    rows = table_of(
        record(model="a", value=0.90), record(model="a", split="test", value=0.80),
        record(model="a-int8", value=0.91), record(model="a-int8", split="test", value=0.82),
        record(model="a", condition="format=onnx", value=0.92),
        record(model="a", condition="format=onnx", split="test", value=0.83),
    )  # fmt: skip
    assert scoreboard.headlines(rows)[["model", "condition", "value"]].values.tolist() == [["a", "", 0.8]]
    assert set(scoreboard.plain_rows(rows).model) == {"a"}


def test_another_hospital_is_read_by_what_was_chosen_at_home():
    af = {"task": "af", "metric": "auprc"}
    away = {"task": "af", "metric": "auprc", "split": "test", "dataset": "cinc2017"}
    rows = table_of(record(model="a", **af), record(model="b", value=0.8, **af),
                    record(model="a", value=0.5, **away), record(model="b", value=0.7, **away))  # fmt: skip
    spoken = scoreboard.headlines(rows).set_index("dataset")
    assert spoken.loc["cinc2017", ["model", "value"]].tolist() == ["a", 0.5]
    assert spoken.loc["ptb-xl", "how"] == "best out of fold, no test set"


def test_where_nothing_was_chosen_beforehand_nobody_is_called_best():
    seizure = {"task": "seizure", "metric": "event_f1", "split": "test", "dataset": "chb-mit"}
    rows = table_of(record(model="a", value=0.4, **seizure), record(model="b", value=0.8, **seizure))
    assert list(scoreboard.headlines(rows).how.unique()) == [scoreboard.NOT_PRESELECTED]
    text = scoreboard.tasks_in_markdown(rows, anchors())
    assert "2 models" in text and ".400 to .800" in text


def anchors(*rows):
    columns = ["task", "who", "model", "metric", "value", "low", "high", "split"]
    return pd.DataFrame(rows, columns=columns).assign(data="PTB-XL")


def test_published_figures_stand_beside_ours_of_the_same_task_and_metric():
    published = anchors(
        ("superclass", "theirs", "net", "macro_auroc", 0.95, None, None, "test"),
        ("superclass", "theirs", "tree", "macro_auroc", 0.7, None, None, None),
        ("superclass", "field", "other", "accuracy", 0.99, None, None, "test"),
        ("seizure", "field", "third", "event_f1", 0.85, None, None, "test"),
    )
    both = scoreboard.beside_anchors(table_of(record(n_test=1234, kind="excerpt")), published)
    expected = [("theirs", "net (PTB-XL, test)", 0.95), ("ours", "student (ptb-xl, excerpt, n = 1,234)", 0.9),
                ("theirs", "tree (PTB-XL, split not reported)", 0.7)]  # fmt: skip
    assert list(zip(both.who, both.label, both.value)) == expected


def test_no_published_figure_stands_beside_a_simulated_score():
    published = anchors(("superclass", "theirs", "net", "macro_auroc", 0.95, None, None, "test"))
    both = scoreboard.beside_anchors(table_of(record()), published)
    assert list(both.who) == ["ours"] and list(both.kind) == ["simulated"]
    mixed = table_of(record(), record(kind="excerpt", value=0.7))
    assert list(scoreboard.beside_anchors(mixed, published).kind) == [None, "excerpt"]
    real, simulated = scoreboard.tasks_in_markdown(mixed, published).split("On simulated recordings")
    assert ".950 (test)" in real and "simulated" not in real
    assert ".950" not in simulated and "theirs" not in simulated


def test_a_figure_on_a_models_own_training_records_is_not_the_best_of_the_field():
    published = anchors(
        ("superclass", "field", "remembered", "macro_auroc", 0.99, None, None, "train"),
        ("superclass", "field", "honest", "macro_auroc", 0.91, None, None, "test"),
    )
    ours = table_of(record(kind="excerpt"))
    text = scoreboard.tasks_in_markdown(ours, published)
    assert ".910 (test)" in text and ".990" not in text
    assert scoreboard.beside_anchors(ours, published).label.tolist()[0] == "honest (PTB-XL, test)"


def test_every_model_that_was_scored_on_a_test_set_is_counted():
    rows = table_of(
        record(model="a"),
        record(model="a", split="test"),
        record(model="a", split="test", metric="brier"),
        record(model="a", split="test", condition="threshold=0.5", metric="accuracy"),
        record(model="a", split="test", condition="loss=focal"),
        record(model="majority", split="test"),
        record(model="a", split="test", chapter="07_image_backbones"),
        record(model="b", split="test", chapter="07_image_backbones", dataset="cinc2017"),
    )
    uses = scoreboard.uses_of_tests(rows)
    assert uses.values.tolist() == [["ptb-xl", "simulated", 3, 3, 2], ["cinc2017", "simulated", 1, 1, 1]]
    text = scoreboard.tasks_in_markdown(rows, anchors())
    assert "ptb-xl (simulated): 3 times, by 3 models of 2 chapters; " in text
    assert "cinc2017 (simulated): 1 time, by 1 model of 1 chapter." in text


def ledger_of(*rows):
    return pd.DataFrame(rows, columns=list(ledger.COLUMNS), dtype=str)


def test_the_ledger_counts_what_it_notes_and_the_records_what_it_does_not():
    rows = table_of(
        record(model="a", split="test", commit="old"),
        record(model="a", split="test", dataset="cinc2017", commit="old"),
        record(model="b", split="test", chapter="09_compression", commit="older"),
        record(model="b", split="test", chapter="09_compression", commit="older", metric="brier"),
        record(model="c"),
    )
    lines = ledger_of(
        ("03_baseline", "ptb-xl", "a", "", "100", "new"),
        ("03_baseline", "ptb-xl", "a", "threshold=0.5", "100", "new"),
        ("05_cnn_lstm", "ludb", "a", "", "20", "new"),
    )
    reads = scoreboard.test_reads(rows, lines)
    others = reads[reads.noted != scoreboard.IN_LEDGER]
    assert others[["chapter", "dataset", "commit", "noted"]].values.tolist() == [
        ["03_baseline", "cinc2017", "old", scoreboard.IN_RECORDS],
        ["09_compression", "ptb-xl", "older", scoreboard.BEFORE_LEDGER],
    ]
    assert list(reads.kind) == ["simulated", "simulated", "simulated", "", "simulated"]
    uses = scoreboard.uses_of_tests(rows, lines).set_index("dataset")
    assert uses.loc["ptb-xl", ["reads", "models", "chapters"]].tolist() == [3, 2, 2]


def test_the_ledger_tells_real_from_simulated_recordings_of_a_set():
    about = {"split": "test", "dataset": "chb-mit", "task": "seizure"}
    rows = table_of(
        record(model="a", kind="simulated", **about),
        record(model="a", kind="derived", condition="input=ar2", **about),
    )
    chapter = rows.chapter[0]
    lines = ledger_of(
        (chapter, "chb-mit", "a", "", "9", "new"),
        (chapter, "chb-mit", "a", "input=ar2", "9", "new"),
        (chapter, "chb-mit", "b", "", "9", "new"),
    )
    assert list(scoreboard.test_reads(rows, lines).kind) == ["simulated", "derived", "simulated"]


def test_a_change_helped_or_harmed_where_its_interval_says_so():
    rows = table_of(
        record(model="a", versus="x", delta=0.02, delta_low=0.01, delta_high=0.03),
        record(model="b", versus="x", delta=-0.02, delta_low=-0.03, delta_high=-0.01),
        record(model="c", versus="x", delta=0.02, delta_low=-0.01, delta_high=0.03),
        record(model="x", versus="x", delta=0.0, delta_low=0.0, delta_high=0.0),
        record(model="d", versus="x", delta=0.02, delta_low=0.01, delta_high=0.03, split="validation"),
        record(model="e", metric="brier", versus="x", delta=0.02, delta_low=0.01, delta_high=0.03),
    )
    found = scoreboard.paired_changes(rows)
    assert dict(zip(found.model, found.verdict)) == {"a": "higher", "b": "lower", "c": "unclear"}


CASE = {"chapter": "03_baseline", "task": "superclass", "model": "student", "condition": "",
        "dataset": "ptb-xl", "split": "out-of-fold", "metric": "macro_auroc"}  # fmt: skip


def test_cases_are_told_with_the_figures_of_their_records():
    records = table_of(
        record(value=0.7, low=0.6, high=0.8, delta=-0.2, versus="s4"),
        record(model="vit", seed=0, value=0.5, low=0.4, high=0.6),
        record(model="vit", seed=1, value=0.7, low=0.6, high=0.8),
    )  # fmt: skip
    cases = pd.DataFrame(
        [CASE | {"why": "one"}, CASE | {"model": "vit", "why": "two"}, CASE | {"model": "gone", "why": "-"}]
    )
    told = scoreboard.find_records(cases, records).set_index("why")
    assert list(told.index) == ["one", "two"]
    figures = told.loc["one", ["value", "low", "delta", "versus", "n_test"]].tolist()
    assert figures == [0.7, 0.6, -0.2, "s4", 100]
    assert told.value["two"] == pytest.approx(0.6) and pd.isna(told.low["two"])


def test_a_case_that_names_several_records_is_refused():
    records = table_of(record(value=0.7, n_test=50), record(value=0.9, n_test=60))
    with pytest.raises(ValueError, match="several records for .*student"):
        scoreboard.find_records(pd.DataFrame([CASE]), records)


def test_a_systems_record_is_that_with_the_fewest_further_words():
    records = table_of(
        record(model="cnn", condition="loss=focal", value=0.5),
        record(model="cnn", condition="loss=weights training=long", value=0.6),
        record(model="cnn", condition="loss=weights", split="test", value=0.7),
        record(model="cnn", condition="teacher=large loss=weights training=long", value=0.8),
        record(model="tree", split="test", value=0.9),
    )
    keys = {key: CASE[key] for key in ("chapter", "task", "dataset", "metric")}
    asked = [("cnn", "loss=weights"), ("cnn", "teacher="), ("tree", ""), ("net", "")]
    systems = pd.DataFrame([keys | {"model": model, "condition": words} for model, words in asked])
    found = scoreboard.find_systems(systems, records)
    assert list(found.value[:3]) == [0.6, 0.8, 0.9] and pd.isna(found.value[3])
    assert list(found["split"][:3]) == ["out-of-fold", "out-of-fold", "test"]


def test_the_readme_keeps_all_but_the_table(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("# Top\n<!-- scores -->\nstale table\n<!-- /scores -->\nend\n")
    theirs = anchors(("superclass", "theirs", "net", "macro_auroc", 0.95, None, None, "test"))
    scoreboard.update_readme(readme, table_of(record(kind="excerpt")), theirs)
    text = readme.read_text()
    assert text.startswith("# Top\n<!-- scores -->") and text.endswith("<!-- /scores -->\nend\n")
    assert (
        "stale table" not in text
        and "excerpt" in text
        and "student" in text
        and ".900" in text
        and ".950" in text
    )
