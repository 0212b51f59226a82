"""Samplers against what they promise, and classifiers of features."""

import numpy as np
import pandas as pd
import pytest
from imblearn.over_sampling import SMOTE
from sklearn.metrics import roc_auc_score

from biosignals.data.recordings import Recordings
from biosignals.training import sampling


def rare_labels(positives=30, negatives=270):
    return np.r_[np.zeros(negatives, int), np.ones(positives, int)]


def two_clouds(positives=30, negatives=270, distance=2.0):
    labels = rare_labels(positives, negatives)
    x = np.random.default_rng(0).normal(size=(len(labels), 4))
    return x + distance * labels[:, None], labels


# Drawing records


def test_resampled_rows_balance_the_classes():
    labels = rare_labels()
    over = sampling.resample_rows("random-over", labels, seed=1)
    assert np.bincount(labels[over]).tolist() == [270, 270]
    assert set(over) == set(range(300))
    under = sampling.resample_rows("random-under", labels, seed=1)
    assert np.bincount(labels[under]).tolist() == [30, 30]
    assert len(set(under)) == 60
    assert (under == sampling.resample_rows("random-under", labels, seed=1)).all()
    assert (under != sampling.resample_rows("random-under", labels, seed=2)).any()


def test_records_are_drawn_by_class_and_fewer_are_part_of_more():
    labels = rare_labels()
    some, more = sampling.draw(labels, 10, 50, seed=1), sampling.draw(labels, 20, 90, seed=1)
    assert np.bincount(labels[some]).tolist() == [50, 10] and len(set(some)) == 60
    assert (np.diff(some) > 0).all() and set(some) < set(more)
    assert set(some) != set(sampling.draw(labels, 10, 50, seed=2))
    assert len(sampling.draw(labels, 31, 50)) == 80  # all 30 that there are
    with pytest.raises(ValueError, match="at least one"):
        sampling.draw(labels, 0, 50)


def test_rows_cannot_be_invented():
    with pytest.raises(ValueError, match="no positions"):
        sampling.resample_rows("smote", rare_labels())
    with pytest.raises(ValueError, match="one class"):
        sampling.resample_rows("random-over", np.zeros(5))


@pytest.mark.parametrize("name", sampling.SAMPLERS)
def test_every_sampler_moves_the_balance_as_it_says(name):
    x, labels = two_clouds(distance=1.0)  # near enough for pairs of Tomek
    more_x, more_labels = sampling.sampler(name, seed=3).fit_resample(x, labels)
    again, _ = sampling.sampler(name, seed=3).fit_resample(x, labels)
    negatives, positives = np.bincount(more_labels)
    assert np.array_equal(more_x, again)
    assert more_x.shape == (len(more_labels), 4)
    if name == "none":
        assert (negatives, positives) == (270, 30)
    elif name in ("random-over", "smote", "adasyn", "smote-enn", "smote-tomek"):
        assert positives > 200 and negatives <= 270
    else:
        assert positives == 30 and negatives < 270


def test_smote_is_imbalanced_learns():
    x, labels = two_clouds()
    ours, _ = sampling.resample(x, labels, "smote", seed=4)
    theirs, _ = SMOTE(random_state=4).fit_resample(x, labels)
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", ["smote", "adasyn", "smote-enn", "smote-tomek"])
def test_too_few_positives_name_the_remedy(name):
    x, labels = two_clouds(positives=5)
    with pytest.raises(ValueError, match="needs 6, but there are 5: take random-over"):
        sampling.resample(x, labels, name)
    x, labels = two_clouds(positives=6, distance=0.5)
    assert (sampling.resample(x, labels, name)[1] == 1).sum() > 6


def test_records_that_cannot_be_resampled_are_refused():
    x, labels = two_clouds()
    with pytest.raises(ValueError, match="class 0; both"):
        sampling.resample(x[:10], labels[:10], "none")
    with pytest.raises(ValueError, match="NaN"):
        sampling.resample(np.where(x > 3, np.nan, x), labels, "tomek")
    with pytest.raises(ValueError, match="no 'bagging'; there are none, random-over"):
        sampling.sampler("bagging")
    far, labels = two_clouds(distance=1000)
    with pytest.raises(ValueError, match="adasyn does not work on these records"):
        sampling.resample(far, labels, "adasyn")


def test_outliers_are_those_far_from_all_others():
    x, labels = two_clouds(distance=0.0)
    x[::30] += 100  # ten of 300, of both classes
    left, left_labels = sampling.remove_outliers(x, labels, share=10 / 300, seed=0)
    np.testing.assert_array_equal(left, np.delete(x, np.s_[::30], axis=0))
    np.testing.assert_array_equal(left_labels, np.delete(labels, np.s_[::30]))
    with pytest.raises(ValueError, match="above 0"):
        sampling.remove_outliers(x, labels, share=0.0)


# Classifiers


@pytest.mark.parametrize("name", sampling.CLASSIFIERS)
@pytest.mark.filterwarnings("error")
def test_every_classifier_learns_in_a_pipeline_and_writes_nothing(name, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    x, labels = two_clouds(distance=1.0)
    unseen = np.random.default_rng(1).normal(size=x.shape) + labels[:, None]
    fits = [sampling.pipeline(name, "smote", seed=2, trees=20, threads=1).fit(x, labels) for _ in range(2)]
    probabilities = [fit.predict_proba(unseen)[:, 1] for fit in fits]
    assert roc_auc_score(labels, probabilities[0]) > 0.85
    np.testing.assert_array_equal(*probabilities)
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")


def test_a_pipeline_can_normalise_records_first():
    x, labels = two_clouds()
    fit = sampling.pipeline("random-forest", "none", trees=10, threads=1, normalise=True).fit(x, labels)
    np.testing.assert_allclose(fit.predict_proba(x), fit.predict_proba(10 * x))
    with pytest.raises(ValueError, match="no 'svm'; there are random-forest"):
        sampling.classical("svm")


def test_smote_of_groups_invents_from_training_rows_alone():
    x = np.random.default_rng(0).normal(size=(30, 1, 20)).astype(np.float32)
    labels = np.repeat([0, 1, 2], [18, 9, 3])
    x[labels == 2] += 100
    table = pd.DataFrame({"subject": range(30), "samples": 20})
    recordings = Recordings("own", x, 1.0, "SD", 100.0, ("PPG",), table)
    held_out = np.array([0, 1, 18, 29])
    groups = [(np.setdiff1d(np.arange(30), held_out), held_out)]
    more, classes, ((train, tested),) = sampling.smote_groups(recordings, labels, groups)
    assert np.bincount(classes[train]).tolist() == [16, 16, 16] and tested.tolist() == held_out.tolist()
    np.testing.assert_array_equal(more.signals[:30], x)
    invented = more.signals[30:][classes[30:] == 2]
    assert len(invented) == 14 and (invented > 90).all()
    assert not np.isin(invented, x[29]).any()  # held out: nothing is made of it
    assert more.table["subject"].isna().sum() == len(more) - 30


def test_smote_of_groups_makes_nothing_of_the_fold_that_one_chooses_by():
    x = np.random.default_rng(0).normal(size=(30, 1, 20)).astype(np.float32)
    labels = np.repeat([0, 1], [20, 10])
    folds = np.tile([1, 2, 3, 4, 5], 6)
    x[folds == 5] += 100
    x[:, :, 15:] = 0
    table = pd.DataFrame({"subject": range(30), "samples": 17, "fold": folds})
    recordings = Recordings("own", x, 1.0, "SD", 100.0, ("PPG",), table)
    groups = [(np.flatnonzero(folds > 1), np.flatnonzero(folds == 1))]
    more, classes, ((train, _),) = sampling.smote_groups(recordings, labels, groups)
    assert np.bincount(classes[train]).tolist() == [16, 16]
    assert (more.signals[30:] < 50).all()
    assert more.table["samples"].tolist() == [17] * 30 + [15] * 8
    assert (more.table["fold"].iloc[30:] == 0).all()
