"""A task fits, predicts, scores and records."""

from dataclasses import replace

import numpy as np
import optuna
import pytest
from sklearn.ensemble import RandomForestClassifier

from biosignals.caching import Cache
from biosignals.evaluation import scores
from biosignals.evaluation.predictions import Predictions
from biosignals.task import Task
from biosignals.training.cross_validation import inner_fold
from biosignals.training.distillation import DistillationLoss, teacher_outputs
from test_fit import SHORT, recordings


@pytest.fixture
def task(tmp_path):
    signals, targets = recordings()
    about = {"name": "af", "classes": ["no", "yes"], "chapter": "03_baseline"}
    return Task(replace(signals, kind="simulated"), targets, Cache(tmp_path), **about)


def test_a_task_says_what_its_pictures_show(task):
    assert task.note == "PTB-XL, simulated, out of fold, n = 54"
    assert task.test_note == "PTB-XL, simulated, fold 10, n = 6"


def test_what_is_fitted_is_scored_and_recorded_with_how_it_was_made(task):
    net = task.out_of_fold("student-4k", SHORT, [0, 1])
    forest = task.classify(RandomForestClassifier(5, random_state=0), task.recordings.physical()[:, 0, :20])
    table = task.score({"net": net, "forest": forest, "guess": np.full((54, 2), 0.5)}, versus="net")
    alone = scores.compare({"net": net})
    first = table[(table.model == "net") & (table.metric == "brier")].iloc[0]
    assert first.value == alone[alone.metric == "brier"].value.iloc[0] and first.delta == 0
    names = {"net": ("student-4k", "epochs=2"), "guess": ("majority", "output=prevalence")}
    rows = task.record(table, names, seed=None)
    assert len(rows) == 9 and {row["split"] for row in rows} == {"out-of-fold"}
    fitted = next(row for row in rows if row["model"] == "student-4k")
    assert (fitted["task"], fitted["dataset"], fitted["kind"]) == ("af", "ptb-xl", "simulated")
    assert (fitted["n_test"], fitted["n_train"], fitted["passes"]) == (54, 36, 2)
    assert fitted["precision"] and fitted["hardware"] and fitted["params"]
    assert next(row for row in rows if row["model"] == "majority")["params"] is None


def test_the_test_fold_is_read_by_nets_of_all_other_folds(task):
    final = task.fit_final("student-4k", SHORT, [0, 1])
    test = task.predict(final)
    assert isinstance(test, Predictions) and test.probabilities.shape == (2, 6, 2)
    (row, *_) = task.record(task.score({"net": test}), {"net": ("student-4k", "")}, split="test")
    assert (row["n_train"], row["n_test"]) == (54, 6)


def test_a_teacher_teaches_the_task(task):
    teachers = task.out_of_fold("student-57k", SHORT).fits[0]
    losses = [DistillationLoss(teacher_outputs(one, task.recordings)) for one in teachers]
    taught = task.out_of_fold("student-4k", SHORT, distillation=losses)
    alone = task.out_of_fold("student-4k", SHORT)
    assert not np.allclose(taught.probabilities, alone.probabilities)


def test_a_second_run_trains_nothing(task, monkeypatch):
    first = task.out_of_fold("student-4k", SHORT)
    monkeypatch.setattr("biosignals.training.fit._train", lambda fit: pytest.fail("trained again"))
    again = task.out_of_fold("student-4k", SHORT)
    np.testing.assert_array_equal(again.probabilities, first.probabilities)
    assert again.about == first.about


def test_targets_of_other_recordings_are_refused(task):
    with pytest.raises(ValueError, match="targets must be"):
        replace(task, targets=task.targets[:10])


def test_a_search_doubles_the_passes_of_the_best_rate_while_that_helps(task):
    tried = task.search("student-4k", SHORT, [1e-4, 1e-2], longest=8)
    assert list(tried.learning_rate[:2]) == [1e-4, 1e-2] and list(tried.passes[:2]) == [2, 2]
    best = tried[:2].sort_values("validation").learning_rate.iloc[-1]
    assert (tried.learning_rate[2:] == best).all() and list(tried.passes[2:]) == [4, 8][: len(tried) - 2]
    (chosen,) = tried[tried.chosen].itertuples()
    of_best = tried[tried.learning_rate == best]
    assert chosen.validation == of_best.validation.max() and chosen.passes == of_best.passes[chosen.Index]
    # Neither the held-out folds nor fold 10 take part.
    train, validation = inner_fold(task.groups[0][0], task.recordings.table)
    assert set(task.recordings.table.fold.iloc[[*train, *validation]]) == {4, 5, 6, 7, 8, 9}
    assert set(task.recordings.table.fold.iloc[validation]) == {9}


def test_an_inner_fold_leaves_something_to_train_on(task):
    one = np.flatnonzero(task.recordings.table.fold == 3)
    with pytest.raises(ValueError, match="all 6 recordings are of fold 3"):
        inner_fold(one, task.recordings.table)


def test_records_name_the_committed_predictions_that_they_score(task, tmp_path):
    task = replace(task, cache=Cache(tmp_path / "own", exported=tmp_path / "exported"))
    net = task.out_of_fold("student-4k", SHORT, [0, 1])
    test = task.predict(task.fit_final("student-4k", SHORT))
    half = task.average([net, net.replaced(np.full((54, 2), 0.5))])
    rows = task.record(task.score({"net": net, "half": half}), {"net": ("student-4k", "")})
    rows += task.record(task.score({"net": test}), {"net": ("student-4k", "")}, split="test")
    named = {(row["model"], row["split"]): row["predictions"].split() for row in rows}
    assert [len(files) for files in named.values()] == [2, 1, 1]
    for (model, split), files in named.items():
        found = [np.load(tmp_path / f"exported/{file}.npz") for file in files]
        expected = {"student-4k": net if split != "test" else test, "half": half}[model]
        array = np.stack([one["array"] for one in found])
        np.testing.assert_array_equal(array, np.reshape(expected.probabilities, array.shape))
        assert list(found[0]["ids"]) == list(map(str, expected.ids))
        np.testing.assert_array_equal(found[0]["truth"], expected.truth)
    # Decisions and calibrated probabilities are not what the files hold.
    for changed in (net.calibrate(), net.decide()):
        assert changed.about["predictions"] is None


def test_an_average_takes_predictions_of_the_same_recordings(task):
    net = task.predictions(np.full((54, 2), 0.25))
    other = task.predictions(np.full((54, 2), 0.75))
    np.testing.assert_allclose(task.average([net, other]).probabilities, 0.5)
    with pytest.raises(ValueError, match="same recordings"):
        task.average([net, other.take(np.arange(54)[::-1])])


def test_an_average_seed_by_seed_is_no_ensemble_of_seeds(task):
    net = task.predictions(np.stack([np.full((54, 2), 0.1), np.full((54, 2), 0.5)]))
    other = task.predictions(np.stack([np.full((54, 2), 0.3), np.full((54, 2), 0.9)]))
    both = task.average([net, other], by_seed=True).probabilities
    np.testing.assert_allclose(both, np.stack([np.full((54, 2), 0.2), np.full((54, 2), 0.7)]))
    with pytest.raises(ValueError, match="as many seeds"):
        task.average([net, task.predictions(np.full((1, 54, 2), 0.5))], by_seed=True)


def test_a_search_that_has_nothing_to_choose_trains_nothing(task):
    recipe = task.searched("student-4k", SHORT, [1e-3], longest=SHORT.epochs)
    assert (recipe.learning_rate, recipe.epochs) == (1e-3, SHORT.epochs)


def test_optuna_chooses_among_settings_on_an_inner_fold(task, tmp_path):
    exclusive = replace(task, targets=np.eye(2, dtype=np.float32)[np.arange(len(task.recordings)) % 2])
    space = {"learning_rate": ("log", 1e-4, 1e-2), "batch_size": ("choice", [8, 16])}
    recipe = replace(SHORT, multiclass=True)
    best = exclusive.tune("student-4k", recipe, space, 2, tmp_path / "studies.db")
    assert best.keys() == space.keys() and 1e-4 <= best["learning_rate"] <= 1e-2
    assert best == exclusive.tune("student-4k", recipe, space, 2, tmp_path / "studies.db")
    exclusive.tune("student-4k", replace(recipe, weight_decay=0.1), space, 1, tmp_path / "studies.db")
    names = optuna.get_all_study_names(f"sqlite:///{tmp_path / 'studies.db'}")
    assert len(names) == 2  # settings that were found for one recipe are not taken for another
