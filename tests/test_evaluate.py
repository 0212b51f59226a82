"""Scores of exported models on a reader's own recordings."""

import numpy as np
import pandas as pd
import pytest

import made_model
from biosignals.deployment import evaluate, predict
from biosignals.evaluation import scores
from made_recordings import ecg, write_csv


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return made_model.write(tmp_path_factory.mktemp("models") / "made.onnx")


@pytest.fixture(scope="module")
def other(model, tmp_path_factory):
    """The same net with other thresholds."""
    return made_model.copy(model, model.with_name("other.onnx"), thresholds=(0.5, 0.5, 0.5))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twenty recordings of ten people and a damaged file, in a folder, and a table beside it."""
    place = tmp_path_factory.mktemp("own")
    (place / "files").mkdir()
    rows = []
    for number in range(20):
        x = (1 + number % 3) * ecg(4 + number % 2, channels=2, seed=number)
        write_csv(place / "files", x, 100.0, ("I", "II")).rename(place / "files" / f"r{number}.csv")
        rows.append({"file": f"r{number}.csv", "subject": f"p{number // 2}", "a": number % 2,
                     "B": number % 3 == 0, "age": 40 + number})  # fmt: skip
    (place / "files" / "bad.edf").write_bytes(b"")
    rows.append({"file": "bad.edf", "subject": "p0", "a": 1, "B": 0, "age": 1})
    pd.DataFrame(rows).astype({"B": int}).to_csv(place / "labels.csv", index=False)
    return place


def run(folder, model, **how):
    return evaluate.evaluate(folder / "files", folder / "labels.csv", model, **how)


def test_scores_are_those_of_the_predictions_with_intervals(folder, model):
    found = run(folder, model)
    assert list(found.refused) == ["bad.edf"] and "is no EDF file" in found.refused["bad.edf"]
    own = found.predictions
    by_hand = [predict.predict(folder / "files" / name, model).probabilities[:2] for name in own.ids]
    np.testing.assert_array_equal(own.probabilities, by_hand)
    row = found.scores.set_index(["class", "metric"]).loc[("b", "auroc")]
    expected = scores.interval(scores.macro_auroc, own.of_class(1))
    assert (row.value, row.low, row.high) == (expected.value, expected.low, expected.high)
    assert row.n_test == 20 and row.subjects == 10 and row.positives == 7
    assert set(found.scores["class"]) == {"all", "a", "b"}


def test_decisions_are_those_at_the_card_s_thresholds(folder, model):
    found = run(folder, model)
    own = found.predictions
    hit = (own.probabilities[:, 1] >= made_model.CARD.thresholds[1]) & (own.truth[:, 1] == 1)
    row = found.scores.set_index(["class", "metric"]).loc[("b", "sensitivity")]
    assert row.value == pytest.approx(hit.sum() / own.truth[:, 1].sum())


def test_another_model_is_compared_pair_by_pair(folder, model, other):
    found = run(folder, model, versus=other)
    rows = found.scores[found.scores.model == "made.onnx"].set_index(["class", "metric"])
    assert set(found.scores.model) == {"made.onnx", "other.onnx"} and (rows.versus == "other.onnx").all()
    assert rows.loc[("a", "auroc"), "delta"] == 0  # the same net, with other decisions
    theirs = found.scores[found.scores.model == "other.onnx"].set_index(["class", "metric"])
    gap = rows.loc[("b", "specificity"), "value"] - theirs.loc[("b", "specificity"), "value"]
    assert rows.loc[("b", "specificity"), "delta"] == pytest.approx(gap)


def test_models_whose_files_are_called_alike_are_told_apart(folder, model, other, tmp_path, monkeypatch):
    """Such a one took the place of the model that was to be scored, under its name."""
    (tmp_path / "theirs").mkdir()
    made_model.copy(other, tmp_path / "theirs" / model.name, thresholds=(0.5, 0.5, 0.5))
    monkeypatch.chdir(tmp_path / "theirs")
    found = run(folder, model, versus=model.name).scores
    assert set(found.model) == {str(model), model.name} and set(found.versus) == {model.name}
    alone = run(folder, model).scores
    ours = found[found.model == str(model)].reset_index()
    np.testing.assert_array_equal(ours.value, alone.value)
    with pytest.raises(ValueError, match="is the model itself"):
        run(folder, model, versus=model)


def test_predictions_in_files_are_compared_pair_by_pair(folder, model, tmp_path):
    own = run(folder, model).predictions
    rng = np.random.default_rng(0)
    p = rng.random((20, 3))
    wide = pd.DataFrame(p, columns=["a", "b", "c"]).assign(file=[str(name)[:-4] for name in own.ids])
    wide.to_csv(tmp_path / "wide.csv", index=False)
    long = wide.melt("file", ["a", "b", "c"], "class", "probability").assign(threshold=0.5, model="m")
    long.to_csv(tmp_path / "long.csv", index=False)
    np.savez(tmp_path / "arrays.npz", ids=own.ids.astype(str), probabilities=p)
    expected = scores.difference(scores.macro_auroc, own.of_class(0), own.replaced(p[:, :2]).of_class(0))
    for name in ("wide.csv", "long.csv", "arrays.npz"):
        found = run(folder, model, versus=tmp_path / name).scores
        row = found[found.model == "made.onnx"].set_index(["class", "metric"]).loc[("a", "auroc")]
        assert (row.delta, row.delta_low, row.delta_high) == pytest.approx(
            (expected.value, expected.low, expected.high)
        )
        decided = found[(found.metric == "f1") & (found.model == name)]
        assert len(decided) == (2 if name == "long.csv" else 0)  # of which the thresholds are known


@pytest.mark.parametrize(
    "text, message",
    [
        ("a,b\n1,1\n", "no column 'file'"),
        ("file,a,b\nx.csv,1,1\n", "for no recording of the table"),
        ("file,a\nr1.csv,1\n", "has no class b to compare"),
        ("file,a,b\nr1.csv,1,1\nr1.csv,0,0\n", "r1.csv stands twice"),
        ("file,model,class,probability\nr1.csv,m,a,.5\nr1.csv,n,a,.5\n", "predictions of m, n: keep"),
        ("file,a,b\nr1.csv,1,\n", "NaN or infinity"),
        ("file,a,b\nr1.csv,87,3\n", "must lie between 0 and 1: percentages and logits do not"),
    ],
)
def test_predictions_that_cannot_be_compared_are_refused(folder, model, tmp_path, text, message):
    (tmp_path / "theirs.csv").write_text(text)
    with pytest.raises(ValueError, match=message) as refusal:
        run(folder, model, versus=tmp_path / "theirs.csv")
    assert "theirs.csv" in str(refusal.value)


def test_labels_are_matched_with_classes(folder, model):
    card = made_model.CARD
    assert evaluate.choose_columns(card, ["C", "x", "a"], {}) == {"a": "a", "c": "C"}
    assert evaluate.choose_columns(card, ["x", "a"], {"b": "x"}) == {"a": "a", "b": "x"}
    for labels, columns, message in (
        (["x"], {}, "none of the labels x is a class of the model, a, b, c: .*--label a=COLUMN"),
        (["x"], {"d": "x"}, "no 'd'"),
        (["x"], {"a": "y"}, "no 'y'"),
        ([], {}, "there are none"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluate.choose_columns(card, labels, columns)


def test_a_single_class_takes_a_single_label(tmp_path):
    one = made_model.write_amplitude(tmp_path / "one.onnx")
    assert evaluate.choose_columns(evaluate.read_card(one), ["af"], {}) == {"AFIB": "af"}


def test_where_all_are_refused_nothing_is_scored(folder, model, tmp_path):
    (tmp_path / "labels.csv").write_text("file,subject,a\nbad.edf,p0,1\n")
    found = evaluate.evaluate(folder / "files", tmp_path / "labels.csv", model)
    assert found.scores.empty and found.predictions is None and list(found.refused) == ["bad.edf"]
