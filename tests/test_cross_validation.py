from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from biosignals import caching
from biosignals.data import splits
from biosignals.evaluation import scores as evaluation
from biosignals.training import cross_validation, sampling
from biosignals.training import fit as training
from biosignals.training import predict as prediction
from test_fit import SHORT, recordings


def test_each_record_of_folds_1_to_9_is_scored_by_the_fit_that_has_not_seen_it(tmp_path):
    signals, targets = recordings()
    fitted = cross_validation.out_of_fold("student-57k", signals, targets, SHORT, tmp_path)
    assert sorted(fitted.rows) == list(np.flatnonzero(signals.table.fold < 10))
    held_out = splits.groups(signals.table)[1][1]
    expected = prediction.predict(fitted.fits[1].net, signals, held_out, SHORT.crop)
    np.testing.assert_allclose(fitted.probabilities[np.isin(fitted.rows, held_out)], expected, atol=1e-6)
    assert fitted.seconds == sum(fit.seconds for fit in fitted.fits)


def test_several_seeds_are_fits_of_their_own(tmp_path):
    signals, targets = recordings()
    both = cross_validation.over_seeds("student-57k", signals, targets, SHORT, tmp_path, [0, 1])
    second = cross_validation.out_of_fold("student-57k", signals, targets, SHORT, tmp_path, 1)
    np.testing.assert_array_equal(both[1], second.probabilities)
    assert not np.allclose(both[0], both[1])


def test_the_net_for_the_test_fold_learns_from_all_others_and_not_from_it(tmp_path):
    signals, targets = recordings()
    fold = signals.table.fold.to_numpy()
    changed = targets.copy()
    changed[fold == 10] = 1 - changed[fold == 10]
    weights = [
        cross_validation.fit_final("student-57k", signals, labels, SHORT, tmp_path / str(i)).net.state_dict()
        for i, labels in enumerate((targets, changed))
    ]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    expected = training.fit(
        "student-57k", signals, targets, np.flatnonzero(fold < 10), None, SHORT, tmp_path / "0"
    )
    assert len(list((tmp_path / "0").iterdir())) == 1  # found again
    assert torch.equal(expected.net.state_dict()["mean"], weights[0]["mean"])


def test_a_recipe_with_patience_stops_by_a_fold_that_is_not_held_out(tmp_path):
    signals, targets = recordings()
    patient = replace(SHORT, patience=2)
    fitted = cross_validation.out_of_fold("student-57k", signals, targets, patient, tmp_path)
    train, held_out = splits.groups(signals.table)[2]
    folds = signals.table.fold.to_numpy()
    expected = training.fit(
        "student-57k", signals, targets, train[folds[train] < 6], train[folds[train] == 6], patient, tmp_path
    )
    np.testing.assert_allclose(
        fitted.probabilities[np.isin(fitted.rows, held_out)],
        prediction.predict(expected.net, signals, held_out, patient.crop), atol=1e-6,
    )  # fmt: skip
    assert "validation_auroc" in fitted.fits[2].history


def test_scores_of_changed_signals_come_in_the_same_order(tmp_path):
    signals, targets = recordings()
    fitted = cross_validation.out_of_fold("student-57k", signals, targets, SHORT, tmp_path)
    same = cross_validation.predict_perturbed(fitted, signals, lambda x: x)
    np.testing.assert_allclose(same, fitted.probabilities, atol=1e-6)
    assert not np.allclose(
        cross_validation.predict_perturbed(fitted, signals, np.zeros_like), fitted.probabilities
    )


def test_a_groups_thresholds_do_not_depend_on_its_own_labels(tmp_path):
    signals, targets = recordings()
    fitted = cross_validation.out_of_fold("student-57k", signals, targets, SHORT, tmp_path)
    first = len(splits.groups(signals.table)[0][1])
    flipped = targets.copy()
    flipped[fitted.rows[:first]] = 1 - flipped[fitted.rows[:first]]
    before, after = (
        cross_validation.decide_out_of_fold(fitted, labels, signals.table) for labels in (targets, flipped)
    )
    np.testing.assert_array_equal(before[:first], after[:first])


def test_a_forest_does_not_see_what_it_scores():
    signals, targets = recordings()
    features = np.random.default_rng(0).normal(size=(60, 3))  # nothing to learn but the records themselves
    forest = RandomForestClassifier(50, random_state=0)
    probabilities = cross_validation.classifier_out_of_fold(forest, features, targets, signals.table)
    rows = np.concatenate([held_out for _, held_out in splits.groups(signals.table)])
    assert ((probabilities > 0.5) == targets[rows]).mean() < 0.75


def test_a_class_that_the_training_folds_lack_has_probability_0():
    forest = RandomForestClassifier(5, random_state=0).fit(
        np.arange(8.0)[:, None], np.tile([[0, 1], [0, 0]], (4, 1))
    )
    probabilities = cross_validation.class_probabilities(forest, np.arange(8.0)[:, None])
    assert probabilities.shape == (8, 2) and not probabilities[:, 0].any()


def out_of_fold_of(probabilities, table):
    rows = np.concatenate([held_out for _, held_out in splits.groups(table)])
    return cross_validation.OutOfFold(rows, probabilities[rows], [])


def test_scaling_of_a_group_is_learnt_on_the_others_and_repairs_what_is_too_high():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"subject": range(3000), "fold": np.arange(3000) % 10 + 1})
    honest = rng.beta(0.3, 3, (3000, 1))
    targets = (rng.random((3000, 1)) < honest).astype(np.float32)
    too_high = 1 / (1 + np.exp(-(np.log(honest / (1 - honest)) + 2)))
    fitted = out_of_fold_of(too_high, table)
    scaled = cross_validation.calibrate_out_of_fold(fitted, targets, table)
    truth, ones = targets[fitted.rows], np.ones((1, len(fitted.rows)))
    assert evaluation.ece(truth, scaled, ones)[0] < 0.02
    assert evaluation.ece(truth, fitted.probabilities, ones)[0] > 0.1
    changed = targets.copy()
    changed[splits.groups(table)[0][1]] = 0  # the first group's own labels
    own = len(splits.groups(table)[0][1])
    np.testing.assert_array_equal(
        cross_validation.calibrate_out_of_fold(fitted, changed, table)[:own], scaled[:own]
    )


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
    table = pd.DataFrame({"subject": range(60), "fold": np.arange(60) % 9 + 1})
    forest = RandomForestClassifier(20, random_state=0)
    p = cross_validation.classifier_out_of_fold(forest, features, labels, table, classes=5)
    rows = np.concatenate([held_out for _, held_out in splits.groups(table)])
    np.testing.assert_allclose(p.sum(1), 1)
    assert not p[:, [1, 4]].any()
    assert (p.argmax(1) == labels[rows]).mean() > 0.9


def test_a_fold_to_stop_by_may_lack_a_class(tmp_path, recwarn):
    signals, targets = recordings()
    third = np.hstack([targets, np.zeros_like(targets[:, :1])])
    cross_validation.out_of_fold("student-57k", signals, third, replace(SHORT, patience=1), tmp_path)
    assert not [warning for warning in recwarn if "samples" in str(warning.message)]


def test_what_a_forest_said_is_found_again_as_long_as_nothing_that_made_it_has_changed(tmp_path):
    signals, targets = recordings()
    features = np.random.default_rng(0).normal(size=(60, 3))
    table = signals.table
    cases = {
        "first": (sampling.pipeline("random-forest", "smote", trees=5), features, targets[:, 0], table),
        "another sampling": (sampling.pipeline("random-forest", "tomek", trees=5), features, targets[:, 0], table),
        "another seed": (sampling.pipeline("random-forest", "smote", 1, trees=5), features, targets[:, 0], table),
        "other features": (sampling.pipeline("random-forest", "smote", trees=5), -features, targets[:, 0], table),
        "other targets": (sampling.pipeline("random-forest", "smote", trees=5), features, targets[:, 1], table),
        "other folds": (sampling.pipeline("random-forest", "smote", trees=5), features, targets[:, 0],
                        table.assign(fold=table.fold.to_numpy()[::-1])),
    }  # fmt: skip
    alone = {what: cross_validation.classifier_out_of_fold(*case) for what, case in cases.items()}
    caching.keep_in(tmp_path)
    for number, (what, case) in enumerate(cases.items(), 1):  # of three groups of folds each
        np.testing.assert_array_equal(cross_validation.classifier_out_of_fold(*case), alone[what], what)
        assert len(list(tmp_path.iterdir())) == 3 * number, what
    for file in tmp_path.iterdir():  # what is there is taken, not computed again
        np.save(file, np.load(file) - 1)
    np.testing.assert_array_equal(
        cross_validation.classifier_out_of_fold(*cases["first"]), alone["first"] - 1
    )
