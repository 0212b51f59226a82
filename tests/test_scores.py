from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn import metrics
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from biosignals.evaluation import scores as evaluation
from biosignals.evaluation.predictions import Predictions

RNG = np.random.default_rng(0)
TARGETS = (RNG.random((200, 3)) < [0.5, 0.2, 0.1]).astype(np.float32)
PROBABILITIES = np.clip(0.3 * TARGETS + 0.7 * RNG.random(TARGETS.shape), 0, 1).round(2)  # rounded: with ties
SUBJECTS = RNG.integers(0, 120, 200)
ONES = np.ones((1, 200))


def predictions(probabilities=None, about=None, subjects=SUBJECTS):
    probabilities = PROBABILITIES if probabilities is None else probabilities
    return Predictions(probabilities, TARGETS, subjects, np.arange(200), about or {})


def test_auroc_equals_scikit_learn_with_ties_and_weights():
    weights = np.vstack([np.ones(200), RNG.integers(0, 4, 200)])
    ours = evaluation.aurocs(TARGETS, PROBABILITIES, weights)
    for row, weight in zip(ours, weights, strict=True):
        theirs = [roc_auc_score(TARGETS[:, i], PROBABILITIES[:, i], sample_weight=weight) for i in range(3)]
        np.testing.assert_allclose(row, theirs, rtol=1e-6)


def test_a_class_without_positives_is_left_out_of_the_mean():
    targets = TARGETS.copy()
    targets[:, 2] = 0
    expected = np.mean([roc_auc_score(targets[:, i], PROBABILITIES[:, i]) for i in range(2)])
    assert evaluation.macro_auroc(targets, PROBABILITIES, ONES)[0] == pytest.approx(expected)


def test_brier_equals_scikit_learn():
    expected = np.mean([brier_score_loss(TARGETS[:, i], PROBABILITIES[:, i]) for i in range(3)])
    assert evaluation.brier(TARGETS, PROBABILITIES, ONES)[0] == pytest.approx(expected)


def test_calibration_error_of_known_cases():
    certain = np.tile([[1.0], [0.0]], (50, 1))
    ones = np.ones((1, 100))
    assert evaluation.ece(certain, certain, ones)[0] == 0
    assert evaluation.ece(certain, np.full_like(certain, 0.75), ones)[0] == pytest.approx(0.25)


def test_average_precision_equals_scikit_learn_with_ties_and_weights():
    weights = np.vstack([np.ones(200), RNG.integers(0, 4, 200)])
    ours = evaluation.average_precision(TARGETS, PROBABILITIES, weights)
    theirs = [
        np.mean(
            [average_precision_score(t, p, sample_weight=weight) for t, p in zip(TARGETS.T, PROBABILITIES.T)]
        )
        for weight in weights
    ]
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_scores_of_decisions_equal_scikit_learn():
    truth, found = TARGETS[:, :1], (PROBABILITIES[:, :1] > 0.5).astype(float)
    weight = RNG.integers(0, 4, 200)
    theirs = {
        "sensitivity": metrics.recall_score, "precision": metrics.precision_score, "f1": metrics.f1_score,
        "accuracy": metrics.accuracy_score, "balanced_accuracy": metrics.balanced_accuracy_score,
    }  # fmt: skip
    for name, score in theirs.items():
        ours = evaluation.DECISIONS[name](truth, found, weight[None])[0]
        assert ours == pytest.approx(score(truth[:, 0], found[:, 0], sample_weight=weight))
    specificity = metrics.recall_score(truth[:, 0], found[:, 0], sample_weight=weight, pos_label=0)
    assert evaluation.specificity(truth, found, weight[None])[0] == pytest.approx(specificity)


def test_who_finds_nothing_has_precision_and_f1_zero():
    truth, nothing = TARGETS[:, :1], np.zeros((200, 1))
    assert evaluation.precision(truth, nothing, ONES)[0] == evaluation.f1(truth, nothing, ONES)[0] == 0
    assert evaluation.accuracy(truth, nothing, ONES)[0] == pytest.approx(1 - truth.mean())


def test_the_table_of_scores_holds_what_each_score_is_by_itself():
    other = RNG.random(PROBABILITIES.shape)
    table = evaluation.compare({"a": predictions(), "b": predictions(other)}, versus="b")
    row = table.query("model == 'a' and metric == 'macro_auroc'").iloc[0]
    alone = evaluation.interval(evaluation.macro_auroc, predictions())
    paired = evaluation.difference(evaluation.macro_auroc, predictions(), predictions(other))
    assert tuple(row[["value", "low", "high"]]) == (alone.value, alone.low, alone.high)
    assert tuple(row[["delta", "delta_low", "delta_high"]]) == (paired.value, paired.low, paired.high)
    assert list(evaluation.ranking(table).index) == ["a", "b"]
    assert list(evaluation.ranking(table, "brier").value) == sorted(table[table.metric == "brier"].value)


def test_a_calibration_error_has_no_interval():
    table = evaluation.compare({"a": predictions()}, versus="a").set_index("metric")
    assert table.loc["ece", ["value", "delta"]].notna().all()
    assert table.loc["ece", ["low", "high", "delta_low", "delta_high"]].isna().all()


def test_a_table_says_on_how_many_and_how_the_models_were_made():
    made = predictions(about={"n_train": 90, "commit": "abc"})
    table = evaluation.compare(
        {"a": made.of_class(0), "b": predictions().of_class(0)}, metrics=evaluation.BINARY
    )
    assert set(table.n_test) == {200} and set(table.subjects) == {len(set(SUBJECTS))}
    assert set(table.positives) == {int(TARGETS[:, 0].sum())}
    assert (
        table.query("model == 'a'").n_train.eq(90).all() and table.query("model == 'b'").n_train.isna().all()
    )
    assert "n_train" not in evaluation.ranking(table, "auroc")


def test_unknown_subjects_count_each_by_itself():
    unknown = np.full(len(SUBJECTS), pd.NA, dtype=object)
    each = predictions(subjects=np.arange(len(SUBJECTS)))
    unknown = predictions(subjects=unknown)
    macro_auroc = evaluation.macro_auroc
    assert evaluation.interval(macro_auroc, unknown) == evaluation.interval(macro_auroc, each)
    table = evaluation.compare({"a": unknown})
    assert table.subjects.isna().all()


def test_an_auprc_is_ranked_with_its_prevalence_beside_it():
    truth = np.array([[1.0], [0], [0], [0]])
    models = {"a": Predictions(truth, truth, np.arange(4), np.arange(4))}
    table = evaluation.compare(models, metrics=evaluation.BINARY)
    assert evaluation.ranking(table, "auprc").prevalence.tolist() == [0.25]
    assert "prevalence" not in evaluation.ranking(table, "auroc")


def test_models_of_other_records_cannot_be_compared():
    swapped = predictions()
    swapped = swapped.take(np.arange(199, -1, -1))
    with pytest.raises(ValueError, match="of different records or classes"):
        evaluation.compare({"a": predictions(), "b": swapped})
    with pytest.raises(ValueError, match="no model named 'c'"):
        evaluation.compare({"a": predictions()}, versus="c")
    with pytest.raises(ValueError, match="no model to score"):
        evaluation.compare({})


def test_interval_agrees_with_scipy_where_each_subject_has_one_record():
    errors = ((PROBABILITIES - TARGETS) ** 2).mean(1)
    theirs = stats.bootstrap(
        (errors,), np.mean, method="percentile", n_resamples=2000, rng=0
    ).confidence_interval
    ours = evaluation.interval(evaluation.brier, predictions(subjects=np.arange(200)), resamples=2000)
    assert ours.value == pytest.approx(errors.mean())
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.003)


def test_copies_of_a_record_do_not_narrow_the_interval():
    each = predictions(subjects=np.arange(200))
    once = evaluation.interval(evaluation.macro_auroc, each)
    copied = evaluation.interval(evaluation.macro_auroc, each.take(np.repeat(np.arange(200), 3)))
    assert copied.high - copied.low == pytest.approx(once.high - once.low, rel=0.01)


def test_difference_is_paired():
    slightly_worse = PROBABILITIES * 0.999
    slightly_worse[:5] = 0.5
    paired = evaluation.difference(evaluation.macro_auroc, predictions(), predictions(slightly_worse))
    alone = evaluation.interval(evaluation.macro_auroc, predictions())
    assert paired.high - paired.low < (alone.high - alone.low) / 2
    same = evaluation.difference(evaluation.macro_auroc, predictions(), predictions())
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_several_seeds_count_by_their_mean_score():
    other = RNG.random(PROBABILITIES.shape)
    both = evaluation.interval(evaluation.macro_auroc, predictions(np.stack([PROBABILITIES, other])))
    single = [
        evaluation.interval(evaluation.macro_auroc, predictions(p)).value for p in (PROBABILITIES, other)
    ]
    assert both.value == pytest.approx(np.mean(single))


def test_intervals_hold_the_spread_of_seeds_beside_that_of_subjects():
    seeds = np.stack([np.clip(PROBABILITIES + 0.4 * RNG.random(PROBABILITIES.shape), 0, 2), PROBABILITIES])
    seeds = np.concatenate([seeds, [RNG.random(PROBABILITIES.shape)]])
    found = evaluation.interval(evaluation.macro_auroc, predictions(seeds))
    # The same by resampling one after the other, with the same draws of neither.
    rng, values = np.random.default_rng(9), []
    people = [np.flatnonzero(SUBJECTS == subject) for subject in np.unique(SUBJECTS)]
    for _ in range(400):
        rows = np.concatenate([people[i] for i in rng.integers(0, len(people), len(people))])
        drawn = seeds[rng.integers(0, 3, 3)][:, rows]
        values.append(np.mean([roc_auc_score(TARGETS[rows], one) for one in drawn]))
    np.testing.assert_allclose([found.low, found.high], np.quantile(values, [0.025, 0.975]), atol=0.02)
    alike = evaluation.interval(evaluation.macro_auroc, predictions(seeds[[1, 1, 1]]))
    one = evaluation.interval(evaluation.macro_auroc, predictions(PROBABILITIES))
    assert (alike.low, alike.high) == pytest.approx((one.low, one.high))
    assert found.high - found.low > 1.5 * (one.high - one.low)


def test_confusion_counts():
    truth, found = np.array([[1], [1], [1], [0], [0]]), np.array([[1], [1], [0], [1], [0]])
    row = evaluation.confusion(truth, found, ["AF"]).loc["AF"]
    assert list(row[:4]) == [2, 1, 1, 1]
    assert (row.sensitivity, row.specificity, row.precision) == pytest.approx((2 / 3, 1 / 2, 2 / 3))


def test_groups_with_too_few_findings_are_left_out():
    one = predictions()
    positive = np.flatnonzero((one.truth > 0.5).any(axis=1))
    groups = pd.DataFrame({"device": np.where(np.arange(len(one.truth)) == positive[0], "rare", "usual")})
    assert list(evaluation.by_group(groups, one, fewest=2).group) == ["usual"]


def test_scores_by_group_leave_the_unknown_out():
    groups = pd.DataFrame({"sex": ["male"] * 90 + ["female"] * 90 + [None] * 20})
    table = evaluation.by_group(groups, predictions()).set_index("group")
    assert list(table.records) == [90, 90]
    assert table.value["male"] == pytest.approx(
        evaluation.macro_auroc(TARGETS[:90], PROBABILITIES[:90], ONES[:, :90])[0]
    )


def test_categories_keep_their_order_and_those_without_records_are_left_out():
    ages = pd.cut(pd.Series(np.arange(200)), [-1, 99, 199, 300], labels=["young", "old", "oldest"])
    table = evaluation.by_group(pd.DataFrame({"age": ages}), predictions())
    assert list(table.group) == ["young", "old"] and list(table.records) == [100, 100]


def test_groups_are_put_into_the_order_of_the_predictions():
    order = RNG.permutation(200)
    people = pd.DataFrame({"sex": np.where(np.arange(200) < 90, "male", "female")}, index=np.arange(200))
    expected = evaluation.by_group(people, predictions(), predictions(PROBABILITIES**2))
    shuffled = evaluation.by_group(people.iloc[order], predictions(), predictions(PROBABILITIES**2))
    pd.testing.assert_frame_equal(shuffled, expected)
    few = evaluation.by_group(people, predictions().take(order[:50]))
    assert few.records.sum() == 50
    with pytest.raises(ValueError, match="90 rows for 200 predictions: index the table by"):
        evaluation.by_group(people.iloc[:90], predictions())


def test_numbered_groups_are_refused_where_the_recordings_are_numbered_in_another_order():
    people = pd.DataFrame({"sex": np.where(np.arange(200) < 90, "male", "female")})
    assert list(evaluation.by_group(people, predictions()).records) == [110, 90]
    out_of_fold = predictions().take(RNG.permutation(200))
    with pytest.raises(ValueError, match="index the table by predictions.ids"):
        evaluation.by_group(people, out_of_fold)
    assert list(evaluation.by_group(people, out_of_fold.take(np.arange(150))).records) != [110, 90]
    with pytest.raises(ValueError, match="groups are the columns of a table, not Series"):
        evaluation.by_group(people.sex, predictions())


def test_the_worst_mistake_comes_first():
    targets, probabilities = np.array([[1.0, 0.0], [0.0, 0.0]]), np.array([[0.9, 0.2], [0.1, 0.99]])
    assert evaluation.worst_errors(targets, probabilities, 2).tolist() == [[1, 1], [0, 1]]


def test_a_record_is_among_the_worst_mistakes_once_however_many_of_its_classes_are_wrong():
    targets, probabilities = np.zeros((3, 2)), np.array([[0.3, 0.1], [0.99, 0.98], [0.5, 0.6]])
    assert evaluation.worst_errors(targets, probabilities, 3).tolist() == [[1, 0], [2, 1], [0, 0]]


# What does not fit


def test_predictions_are_scored_with_the_truth_that_they_carry_and_nothing_else_is():
    alone = evaluation.interval(evaluation.macro_auroc, predictions().take(np.arange(199, -1, -1)))
    assert alone.value == pytest.approx(evaluation.macro_auroc(TARGETS, PROBABILITIES, ONES)[0])
    with pytest.raises(ValueError, match="scores take Predictions, .* what task.out_of_fold"):
        evaluation.interval(evaluation.macro_auroc, PROBABILITIES)
    with pytest.raises(ValueError, match="no records to score"):
        evaluation.interval(evaluation.macro_auroc, predictions().take(np.arange(0)))
    with pytest.raises(ValueError, match="of different records"):
        evaluation.difference(evaluation.macro_auroc, predictions(), predictions().take(np.arange(9)))


@pytest.mark.parametrize(
    "metric", [evaluation.macro_auroc, evaluation.average_precision, evaluation.f1], ids=lambda m: m.__name__
)
def test_swapped_targets_and_probabilities_are_refused(metric):
    with pytest.raises(ValueError, match="targets must be 0 or 1: targets come first, probabilities second"):
        metric(PROBABILITIES, TARGETS, ONES)


def test_probabilities_are_no_decisions():
    with pytest.raises(ValueError, match="decisions must be 0 or 1: compare probabilities with a threshold"):
        evaluation.sensitivity(TARGETS, PROBABILITIES, ONES)
    with pytest.raises(ValueError, match="decisions must be 0 or 1"):
        evaluation.confusion(TARGETS, PROBABILITIES, list("abc"))


@pytest.mark.parametrize("metric", [evaluation.brier, evaluation.ece], ids=lambda m: m.__name__)
def test_logits_and_percentages_are_no_probabilities(metric):
    for other in (100 * PROBABILITIES, PROBABILITIES - 1):
        with pytest.raises(
            ValueError, match="between 0 and 1: take the sigmoid or softmax of logits, a hundr"
        ):
            evaluation.compare({"net": predictions(other)}, metrics={"x": metric})
    rounded = np.where(PROBABILITIES == PROBABILITIES.max(), 1.004, PROBABILITIES)
    assert np.isfinite(metric(TARGETS, rounded, ONES)).all()


def test_a_class_that_is_no_column_is_refused_not_spread_over_the_records():
    """(200, 1) beside (200,) once gave a score of every record against every other."""
    one, decided = TARGETS[:, :1], (PROBABILITIES[:, 0] > 0.5).astype(float)
    metrics = (
        evaluation.brier,
        evaluation.accuracy,
        evaluation.mean_absolute_error,
        evaluation.subset_accuracy,
    )
    for metric in (*metrics, evaluation.macro_auroc, evaluation.average_precision, evaluation.top_accuracy):
        for targets, found in ((one, decided), (one[:, 0], decided), (one, TARGETS[:, :2])):
            with pytest.raises(ValueError, match=r"must be \(n, classes\) both: of one class, x\[:, None\]"):
                metric(targets, found, ONES)
    with pytest.raises(ValueError, match=r"must be \(n, classes\) both"):
        evaluation.worst_errors(one, decided, 3)


def test_names_of_other_classes_are_refused():
    found = (PROBABILITIES > 0.5).tolist()
    assert list(evaluation.confusion(TARGETS.tolist(), found, list("abc")).index) == list("abc")
    for count in (evaluation.confusion, evaluation.decisions_by_label):
        with pytest.raises(ValueError, match="2 names for 3 classes"):
            count(TARGETS, found, ["a", "b"])


def test_models_and_metrics_are_given_by_name():
    with pytest.raises(ValueError, match="models are given by name, as {'tcn': predictions}"):
        evaluation.compare(predictions())
    with pytest.raises(ValueError, match="metrics are given by name"):
        evaluation.compare({"a": predictions()}, metrics=[evaluation.macro_auroc])
    with pytest.raises(ValueError, match="a metric is a function, as scores.macro_auroc, not 'auroc'"):
        evaluation.interval("auroc", predictions())


@pytest.mark.parametrize("missing", [False, True])
def test_scores_of_excluding_classes_are_scikit_learns(missing):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3 if missing else 4, 200)
    p = rng.dirichlet(np.ones(4), 200) + 0.4 * np.eye(4)[labels]
    weights = np.vstack([np.ones(200), rng.integers(0, 3, 200)])
    for metric, theirs in (
        (evaluation.top_accuracy, metrics.accuracy_score),
        (evaluation.mean_recall, partial(metrics.recall_score, average="macro", labels=np.unique(labels))),
        (evaluation.macro_f1, partial(metrics.f1_score, average="macro", labels=np.unique(labels))),
        (
            partial(evaluation.macro_f1, classes=[0, 2]),
            partial(metrics.f1_score, average="macro", labels=[0, 2]),
        ),
    ):
        expected = [theirs(labels, p.argmax(1), sample_weight=w) for w in weights]
        np.testing.assert_allclose(metric(np.eye(4)[labels], p, weights), expected)
    with pytest.raises(ValueError, match="exactly one class"):
        evaluation.macro_f1(np.ones((2, 4)), p[:2], weights[:, :2])


def test_mean_absolute_error_weighs_records():
    truth, found = np.array([[120.0], [150.0], [100.0]]), np.array([[125.0], [140.0], [100.0]])
    weights = np.array([[1, 1, 1], [0, 2, 1]])
    error = evaluation.mean_absolute_error(truth, found, weights)
    assert error.tolist() == [5, pytest.approx(20 / 3)]


def test_accuracy_and_f1_of_several_labels_are_those_of_scikit_learn():
    weights = np.vstack([np.ones(200), RNG.integers(0, 4, 200)])
    decided = PROBABILITIES > 0.5
    accuracy = evaluation.subset_accuracy(TARGETS, PROBABILITIES, weights)
    f1 = evaluation.multilabel_f1(TARGETS, PROBABILITIES, weights)
    for row, weight in enumerate(weights):
        theirs = metrics.accuracy_score(TARGETS, decided, sample_weight=weight)
        assert accuracy[row] == pytest.approx(theirs)
        theirs = metrics.f1_score(TARGETS, decided, average="macro", sample_weight=weight)
        assert f1[row] == pytest.approx(theirs)
    assert evaluation.multilabel_f1(np.zeros((4, 2)), np.zeros((4, 2)), np.ones((1, 4))) == [0]
