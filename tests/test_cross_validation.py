from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from biosignals import caching
from biosignals.caching import Cache, store
from biosignals.compression import export
from biosignals.data import splits
from biosignals.data.recordings import Recordings
from biosignals.evaluation import scores
from biosignals.training import cross_validation, predict, sampling
from biosignals.training.cross_validation import Examples, OutOfFold
from biosignals.training.distillation import teacher_outputs
from biosignals.training.fit import TrainingData, fit
from test_fit import SHORT, recordings


def examples(folder=None, **more):
    signals, targets = recordings()
    return Examples(signals, targets, None if folder is None else Cache(folder), **more)


def test_each_record_of_folds_1_to_9_is_scored_by_the_fit_that_has_not_seen_it(tmp_path):
    data = examples(tmp_path)
    found = data.out_of_fold("student-57k", SHORT)
    assert sorted(data.rows) == list(np.flatnonzero(data.recordings.table.fold < 10))
    held_out = splits.groups(data.recordings.table)[1][1]
    how = predict.Inference(SHORT.crop)
    expected = predict.predict(found.fits[0][1].net, data.recordings, held_out, how=how)
    np.testing.assert_allclose(found.probabilities[0, found.groups == 1], expected, atol=1e-6)
    np.testing.assert_array_equal(found.ids, data.recordings.table.index[data.rows])
    np.testing.assert_array_equal(found.truth, data.targets[data.rows])
    assert found.about["seconds"] == pytest.approx(sum(fit.seconds for fit in found.fits[0]), abs=1)


def test_several_seeds_are_fits_of_their_own(tmp_path):
    data = examples(tmp_path)
    both = data.out_of_fold("student-57k", SHORT, [0, 1])
    second = data.out_of_fold("student-57k", SHORT, [1])
    np.testing.assert_array_equal(both.probabilities[1], second.probabilities[0])
    assert not np.allclose(both.probabilities[0], both.probabilities[1])
    np.testing.assert_allclose(both.mean, both.probabilities.mean(0))


def test_the_net_for_the_test_fold_learns_from_all_others_and_not_from_it():
    data = examples()
    fold = data.recordings.table.fold.to_numpy()
    changed = data.targets.copy()
    changed[fold == 10] = 1 - changed[fold == 10]
    both = (data, replace(data, targets=changed))
    weights = [some.fit_final("student-57k", SHORT)[0].net.state_dict() for some in both]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    rows = TrainingData(data.recordings, data.targets, np.flatnonzero(fold < 10))
    expected = fit("student-57k", rows, SHORT).net.state_dict()
    assert all(torch.equal(weights[0][name], expected[name]) for name in expected)


def test_fold_10_is_what_the_final_nets_predict(tmp_path):
    data = examples(tmp_path)
    fits = data.fit_final("student-57k", SHORT, [0, 1])
    found = data.predict(fits)
    test = np.flatnonzero(data.recordings.table.fold == 10)
    assert found.probabilities.shape == (2, len(test), 2)
    np.testing.assert_array_equal(found.ids, data.recordings.table.index[test])
    np.testing.assert_array_equal(found.probabilities[1], fits[1].predict(data.recordings, test))


def test_a_clone_reads_the_test_fold_without_training(tmp_path, monkeypatch):
    data, exported = examples(), tmp_path / "exported"
    here, there = (replace(data, cache=Cache(tmp_path / name, exported)) for name in "ab")
    found = here.predict(here.fit_final("student-57k", SHORT))
    monkeypatch.setattr("biosignals.training.fit._train", lambda fit: pytest.fail("trained again"))
    again = there.predict(there.fit_final("student-57k", SHORT))
    np.testing.assert_array_equal(again.probabilities, found.probabilities)
    assert again.about == found.about


@pytest.mark.parametrize("sampling", [None, "random-over", "random-under"])
def test_every_sampling_takes_the_same_number_of_steps(tmp_path, sampling):
    data = examples(tmp_path)
    targets = data.targets[:, :1] * (np.arange(len(data.targets)) % 4 == 0)[:, None]  # about one in eight
    rare = replace(data, targets=targets)
    found = rare.out_of_fold("student-57k", SHORT, sampling=sampling, steps=7)
    assert [one.about["steps"] for one in found.fits[0]] == [7, 7, 7]
    for (train, _), one in zip(rare.groups, found.fits[0], strict=True):
        seen = np.unique(one.data.train, return_counts=True)[1]
        assert seen.sum() == 7 * SHORT.batch_size
        assert one.about["n_train"] == len(seen) <= len(train)
        assert one.about["passes"] == round(7 * SHORT.batch_size / len(seen))
        if sampling is None:
            assert len(seen) == len(train) and np.ptp(seen) <= 1


def test_steps_and_patience_do_not_go_together():
    with pytest.raises(ValueError, match="without patience"):
        examples().out_of_fold("student-57k", replace(SHORT, patience=2), steps=5)
    with pytest.raises(ValueError, match="0 steps"):
        examples().out_of_fold("student-57k", SHORT, steps=0)


def test_each_group_may_have_a_recipe_of_its_own(tmp_path):
    data = examples(tmp_path)
    slow = replace(SHORT, learning_rate=1e-4)
    found = data.out_of_fold("student-57k", [SHORT, slow, SHORT])
    alone = {recipe: data.out_of_fold("student-57k", recipe) for recipe in (SHORT, slow)}
    expected = np.where(found.groups[:, None] == 1, alone[slow].probabilities, alone[SHORT].probabilities)
    np.testing.assert_array_equal(found.probabilities, expected)
    with pytest.raises(ValueError, match="2 recipes for 3 groups"):
        data.out_of_fold("student-57k", [SHORT, slow])


def test_a_recipe_with_patience_stops_by_a_fold_that_is_not_held_out(tmp_path):
    data, patient = examples(tmp_path), replace(SHORT, patience=2)
    found = data.out_of_fold("student-57k", patient)
    train, held_out = splits.groups(data.recordings.table)[2]
    folds = data.recordings.table.fold.to_numpy()
    rows = TrainingData(data.recordings, data.targets, train[folds[train] < 6], train[folds[train] == 6])
    expected = fit("student-57k", rows, patient).predict(data.recordings, held_out)
    np.testing.assert_allclose(found.probabilities[0, found.groups == 2], expected, atol=1e-6)
    assert "validation_auroc" in found.fits[0][2].history


def test_a_fold_to_stop_by_that_lacks_a_class_is_an_error():
    data = examples()
    third = replace(data, targets=np.hstack([data.targets, np.zeros_like(data.targets[:, :1])]))
    with pytest.raises(ValueError, match="no best epoch can be chosen"):
        third.out_of_fold("student-57k", replace(SHORT, patience=1))


def test_scores_of_changed_signals_come_in_the_same_order(tmp_path):
    data = examples(tmp_path)
    found = data.out_of_fold("student-57k", SHORT, [0, 1])
    same = data.perturbed(found, lambda x: x)
    np.testing.assert_allclose(same.probabilities, found.probabilities, atol=1e-6)
    silent = data.perturbed(found, np.zeros_like)
    assert not np.allclose(silent.probabilities, found.probabilities)


def test_a_groups_thresholds_do_not_depend_on_its_own_labels(tmp_path):
    found = examples(tmp_path).out_of_fold("student-57k", SHORT)
    first = found.groups == 0
    truth = found.truth.copy()
    truth[first] = 1 - truth[first]
    before = found.decide()
    after = replace(found, truth=truth).decide()
    np.testing.assert_array_equal(before.probabilities[:, first], after.probabilities[:, first])
    assert set(np.unique(before.probabilities)) == {0, 1}


def test_a_forest_does_not_see_what_it_scores():
    features = np.random.default_rng(0).normal(size=(60, 3))  # nothing to learn but the records themselves
    found = examples().classify(RandomForestClassifier(50, random_state=0), features)
    assert ((found.mean > 0.5) == found.truth).mean() < 0.75


def test_each_group_of_folds_may_have_a_classifier_of_its_own():
    data, features = examples(), np.random.default_rng(0).normal(size=(60, 3))
    forests = [RandomForestClassifier(5, random_state=seed) for seed in range(3)]
    found = data.classify(forests, features)
    for group, forest in enumerate(forests):
        own = found.groups == group
        np.testing.assert_array_equal(found.mean[own], data.classify(forest, features).mean[own])
    with pytest.raises(ValueError, match="2 estimators for 3 groups"):
        data.classify(forests[:2], features)


class Threads(DecisionTreeClassifier):
    """A tree that notes how many threads it was to take."""

    def __init__(self, n_jobs=-1):
        super().__init__()
        self.n_jobs = n_jobs

    def fit(self, x, y):
        taken.append(self.n_jobs)
        return super().fit(x, y)


taken = []


@pytest.mark.parametrize(("given", "expected"), [("1", 1), ("3", 3), (None, -1)])
def test_classifiers_take_no_more_threads_than_they_are_given(monkeypatch, given, expected):
    taken.clear()
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if given:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    own = examples()
    own.classify(make_pipeline(StandardScaler(), Threads()), own.recordings.physical()[:, 0, :5])
    assert taken == [expected] * 3


def test_a_classifier_needs_features():
    with pytest.raises(ValueError, match="needs features"):
        examples().classify(RandomForestClassifier())


def test_a_class_that_the_training_folds_lack_has_probability_0():
    labels = np.tile([[0, 1], [0, 0]], (4, 1))
    forest = RandomForestClassifier(5, random_state=0).fit(np.arange(8.0)[:, None], labels)
    probabilities = cross_validation.class_probabilities(forest, np.arange(8.0)[:, None])
    assert probabilities.shape == (8, 2) and not probabilities[:, 0].any()
    for only in (0, 1):
        forest = RandomForestClassifier(5, random_state=0).fit(np.arange(8.0)[:, None], [only] * 8)
        alone = cross_validation.class_probabilities(forest, np.arange(8.0)[:, None])
        np.testing.assert_array_equal(alone, np.full((8, 1), only))


def test_scaling_of_a_group_is_learnt_on_the_others_and_repairs_what_is_too_high():
    rng = np.random.default_rng(0)
    honest = rng.beta(0.3, 3, (2700, 1))
    truth = (rng.random((2700, 1)) < honest).astype(np.float32)
    too_high = 1 / (1 + np.exp(-(np.log(honest / (1 - honest)) + 2)))
    who, groups = np.arange(2700), np.arange(2700) // 900
    found = OutOfFold(too_high[None], truth, who, who, {}, groups)
    scaled, ones = found.calibrate(), np.ones((1, 2700))
    assert scores.ece(truth, scaled.mean, ones)[0] < 0.02
    assert scores.ece(truth, found.mean, ones)[0] > 0.1
    changed = np.where((groups == 0)[:, None], 0, truth)  # the first group's own labels
    again = replace(found, truth=changed).calibrate()
    np.testing.assert_array_equal(again.mean[groups == 0], scaled.mean[groups == 0])


def test_resampled_rows_are_balanced_rows_of_the_training_set():
    targets = np.zeros((100, 1), np.float32)
    targets[:10] = 1
    rows = np.arange(5, 100)
    for method, count in (("random-over", 180), ("random-under", 10)):
        drawn = cross_validation.draw_rows(rows, targets, method, 0)
        assert len(drawn) == count and targets[drawn].mean() == 0.5 and set(drawn) <= set(rows)
    np.testing.assert_array_equal(cross_validation.draw_rows(rows, targets, None, 0), rows)


def test_a_forest_of_several_threads_answers_as_its_trees_in_order():
    rng = np.random.default_rng(0)
    x, labels = rng.random((300, 5)), rng.integers(0, 2, 300)
    forest = RandomForestClassifier(50, random_state=0, n_jobs=2).fit(x, labels)
    expected = np.zeros((300, 2))
    for tree in forest.estimators_:
        expected += tree.predict_proba(x)
    np.testing.assert_array_equal(cross_validation.class_probabilities(forest, x), expected[:, 1:] / 50)
    pipe = make_pipeline(StandardScaler(), RandomForestClassifier(5, random_state=0, n_jobs=2)).fit(x, labels)
    assert cross_validation.class_probabilities(pipe, x).shape == (300, 1)


def test_classes_that_exclude_each_other_have_a_column_each_even_if_never_met():
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(60, 4)), rng.choice([0, 2, 3], 60)
    features[:, 0] += 5 * labels
    table = pd.DataFrame({"subject": range(60), "samples": 9, "fold": np.arange(60) % 9 + 1})
    recordings = Recordings("x", np.zeros((60, 1, 9), np.float32), 1.0, "mV", 100.0, ("I",), table)
    data = Examples(recordings, np.eye(5)[labels], features=features)
    found = data.classify(RandomForestClassifier(20, random_state=0), classes=5).mean
    np.testing.assert_allclose(found.sum(1), 1)
    assert not found[:, [1, 4]].any()
    assert (found.argmax(1) == labels[data.rows]).mean() > 0.9


def test_what_a_forest_predicted_is_found_again_as_long_as_nothing_that_made_it_has_changed(tmp_path):
    plain = examples()
    features = np.random.default_rng(0).normal(size=(60, 3))
    backwards = plain.recordings.table.assign(fold=plain.recordings.table.fold.to_numpy()[::-1])
    first = plain.targets[:, :1]
    smote = sampling.pipeline("random-forest", "smote", trees=5)
    cases = {
        "first": (smote, features, first, ()),
        "another sampling": (sampling.pipeline("random-forest", "tomek", trees=5), features, first, ()),
        "another seed": (sampling.pipeline("random-forest", "smote", 1, trees=5), features, first, ()),
        "other features": (smote, -features, first, ()),
        "other targets": (smote, features, plain.targets[:, 1:], ()),
        "other folds": (smote, features, first, splits.groups(backwards)),
    }

    def predicted(case, cache=None):
        estimator, inputs, targets, groups = case
        data = Examples(plain.recordings, targets, cache, groups, inputs)
        return data.classify(estimator).mean

    alone = {what: predicted(case) for what, case in cases.items()}
    for number, (what, case) in enumerate(cases.items(), 1):
        np.testing.assert_array_equal(predicted(case, Cache(tmp_path)), alone[what], what)
        assert len(list(tmp_path.iterdir())) == number, what


@pytest.mark.slow
def test_nets_and_their_files_predict_out_of_fold_what_the_fits_did(tmp_path):
    data = examples()
    found = data.out_of_fold("student-57k", SHORT, [0, 1])
    how = predict.Inference(SHORT.crop)
    by_nets = data.predict_out_of_fold(found.nets, how)
    np.testing.assert_allclose(by_nets.probabilities, found.probabilities, atol=1e-6)
    example = torch.from_numpy(data.recordings.physical([0, 1])[..., : SHORT.crop])
    files = [[export.export_once(net, example, tmp_path) for net in found.nets[0]]]
    by_files = data.predict_out_of_fold(files, how)
    np.testing.assert_allclose(by_files.probabilities, found.probabilities[:1], atol=1e-5)
    for models in (found.nets[:1], files):
        silent = data.predict_out_of_fold(models, how, np.zeros_like)
        np.testing.assert_allclose(silent.probabilities[0, 0], silent.probabilities[0, 1], atol=1e-6)
    with pytest.raises(ValueError):
        data.predict_out_of_fold([found.nets[0][:2]], how)


def test_predictions_of_changed_nets_travel_where_they_are_to(tmp_path):
    signals, targets = recordings()
    data = Examples(signals, targets, Cache(tmp_path / "own", exported=tmp_path / "exported"))
    torch.manual_seed(0)
    nets = [
        [torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(targets.shape[1])) for _ in data.groups]
    ]
    for net in nets[0]:
        net(torch.from_numpy(signals.physical([0])))
    here = data.predict_out_of_fold(nets, predict.Inference())
    assert not here.about and not list(tmp_path.glob("exported/*"))
    found = data.predict_out_of_fold(nets, predict.Inference(export=True))
    (file,) = tmp_path.glob("exported/*")
    assert found.about["predictions"] == file.stem
    np.testing.assert_array_equal(found.probabilities, store.rounded(here.probabilities))


def test_a_classifier_quotes_what_computed_it_and_not_what_looks_it_up(tmp_path, monkeypatch):
    data = examples(tmp_path)
    forest, features = RandomForestClassifier(5, random_state=0), data.recordings.physical()[:, 0, :9]
    first = data.classify(forest, features).about
    monkeypatch.setattr(caching, "provenance", lambda: {"commit": "today's"})
    assert data.classify(forest, features).about == first
    assert data.classify(forest, -features).about["commit"] == "today's"


def test_a_classifiers_predictions_travel_unless_they_are_not_to(tmp_path):
    signals, targets = recordings()
    data = Examples(signals, targets, Cache(tmp_path / "own", exported=tmp_path / "exported"))
    forest, features = RandomForestClassifier(5, random_state=0), signals.physical()[:, 0, :9]
    here = data.classify(forest, features, export=False)
    assert not list(tmp_path.glob("exported/*")) and here.about["predictions"] is None
    found = data.classify(forest, features)
    (file,) = tmp_path.glob("exported/*")
    assert found.about["predictions"] == file.stem
    np.testing.assert_array_equal(found.probabilities, here.probabilities)


def test_trees_learn_from_what_the_nets_see(tmp_path, monkeypatch):
    signals, targets = recordings()
    task = Examples(signals, targets, Cache(tmp_path / "own", exported=tmp_path / "exported"))
    fitted = task.out_of_fold("student-4k", SHORT)
    forest = RandomForestClassifier(5, random_state=0)
    found = task.classify_embeddings(fitted, forest)
    outputs = [teacher_outputs(fit, signals, embeddings=True).last_layer.embeddings for fit in fitted.fits[0]]
    for (train, held_out), seen in zip(task.groups, outputs):
        own = clone(forest).fit(seen[train], targets[train]).predict_proba(seen[held_out])
        expected = np.stack([column[:, 1] for column in own], axis=1)
        rows = np.isin(task.rows, held_out)
        np.testing.assert_allclose(found.probabilities[0, rows], expected, atol=1e-6)
    more = task.classify_embeddings(fitted, forest, np.random.default_rng(0).normal(size=(60, 3)))
    assert not np.array_equal(more.probabilities, found.probabilities)
    # A clone needs neither the nets nor their embeddings.
    monkeypatch.setattr("lightning.Trainer.fit", lambda *_: pytest.fail("fitted again"))
    clone_of_task = replace(task, cache=Cache(tmp_path / "other", exported=tmp_path / "exported"))
    again = clone_of_task.classify_embeddings(clone_of_task.out_of_fold("student-4k", SHORT), forest)
    np.testing.assert_array_equal(again.probabilities, found.probabilities)


def test_seeds_that_were_fitted_apart_are_stacked_as_if_they_were_together(tmp_path):
    task = examples(tmp_path)
    together = task.out_of_fold("student-4k", SHORT, [0, 1])
    apart = [task.out_of_fold("student-4k", SHORT, [seed]) for seed in (0, 1)]
    stacked = cross_validation.stack_seeds(apart)
    np.testing.assert_array_equal(stacked.probabilities, together.probabilities)
    assert len(stacked.fits) == 2
    with pytest.raises(ValueError, match="same recordings"):
        cross_validation.stack_seeds([apart[0], apart[1].take(np.arange(4))])
