"""Predictions with their truth: taken apart, averaged over seeds, refused where they do not fit."""

import numpy as np
import pandas as pd
import pytest

from biosignals.evaluation.predictions import Predictions, own_and_others

IDS = np.array(["a", "b", "c", "d"])
SUBJECTS = np.array([1, 1, 2, 3])


def predictions(seeds=2, **parts):
    """Of four records of three subjects and two classes."""
    shape = (seeds, 4, 2) if seeds else (4, 2)
    probabilities = np.random.default_rng(0).random(shape).astype(np.float32)
    truth = np.array([[0, 1], [1, 0], [1, 1], [0, 0]], np.float32)
    own = {"probabilities": probabilities, "truth": truth, "subjects": SUBJECTS, "ids": IDS}
    return Predictions(**own | {"about": {"n_train": 9}} | parts)


def test_the_mean_is_over_seeds():
    several, one = predictions(), predictions(seeds=0)
    np.testing.assert_allclose(several.mean, (several.probabilities[0] + several.probabilities[1]) / 2)
    np.testing.assert_array_equal(one.mean, one.probabilities)
    assert several.mean.dtype == np.float32


@pytest.mark.parametrize("seeds", [0, 2])
@pytest.mark.parametrize("positions", [np.array([3, 0]), np.array([True, False, False, True])], ids=str)
def test_some_are_taken_with_their_truth_and_subjects(seeds, positions):
    whole = predictions(seeds)
    some = whole.take(positions)
    np.testing.assert_array_equal(some.probabilities, whole.probabilities[..., positions, :])
    np.testing.assert_array_equal(some.truth, whole.truth[positions])
    assert list(some.ids) == list(IDS[positions]) and list(some.subjects) == list(SUBJECTS[positions])
    assert some.about == whole.about


@pytest.mark.parametrize("seeds", [0, 2])
def test_one_class_keeps_its_axis(seeds):
    whole = predictions(seeds)
    second = whole.of_class(1)
    assert second.truth.shape == (4, 1) and second.probabilities.shape == (*whole.probabilities.shape[:-1], 1)
    np.testing.assert_array_equal(second.probabilities[..., 0], whole.probabilities[..., 1])


def test_other_probabilities_of_the_same_records_keep_what_is_known():
    whole = predictions()
    other = whole.replaced(1 - whole.mean, params=7)
    np.testing.assert_array_equal(other.mean, 1 - whole.mean)
    assert other.about == {"n_train": 9, "params": 7} and whole.about == {"n_train": 9}
    assert other.truth is whole.truth and other.ids is whole.ids


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"probabilities": np.zeros((4, 3))}, r"\(4, 3\) do not fit truth \(4, 2\)"),
        ({"probabilities": np.zeros((2, 3, 2))}, r"\(2, 3, 2\) do not fit"),
        ({"probabilities": np.zeros((1, 1, 4, 2))}, r"expected \(n, classes\) or \(seeds, n, classes\)"),
        ({"probabilities": np.full((4, 2), np.nan)}, "NaN or infinity"),
        ({"truth": np.full((4, 2), np.nan)}, "truth with NaN or infinity"),
        ({"truth": np.full((4, 2), "1")}, "truth must be numbers, not <U1"),
        ({"subjects": SUBJECTS[:3]}, r"subjects \(3,\) for 4 records: one for each"),
        ({"subjects": SUBJECTS[:, None]}, r"subjects \(4, 1\) for 4 records"),
        ({"ids": IDS[:2]}, r"ids \(2,\) for 4 records"),
    ],
    ids=["classes", "records", "axes", "NaN", "truth", "words", "subjects", "columns", "ids"],
)
def test_what_does_not_fit_together_is_refused(parts, message):
    with pytest.raises(ValueError, match=message):
        predictions(**parts)


def test_lists_and_tables_are_taken_in_their_order_whatever_their_index():
    """The subjects of a table that was shuffled once were looked up by its labels: others', without a word."""
    whole, order = predictions(seeds=0), [2, 0, 3, 1]
    listed = predictions(
        probabilities=whole.probabilities.tolist(), truth=whole.truth.tolist(), ids=list(IDS)
    )
    table = predictions(
        probabilities=pd.DataFrame(whole.probabilities, index=order),
        truth=pd.DataFrame(whole.truth, index=order),
        subjects=pd.Series(SUBJECTS, index=order),
        ids=pd.Index(IDS),
    )
    for other in (listed, table):
        some, expected = other.take(np.array([0, 2])), whole.take(np.array([0, 2]))
        for name in ("truth", "subjects", "ids", "mean"):
            np.testing.assert_array_equal(getattr(some, name), getattr(expected, name))


def test_each_group_stands_beside_all_others():
    (first, rest), (second, others) = own_and_others(np.array([1, 0, 1, 0]))
    assert (list(first), list(rest)) == ([1, 3], [0, 2])
    assert (list(second), list(others)) == ([0, 2], [1, 3])


@pytest.mark.parametrize("seeds", [None, 2])
def test_windows_are_averaged_into_their_recordings(seeds):
    shape = (5, 2) if seeds is None else (seeds, 5, 2)
    p = np.random.default_rng(0).random(shape)
    truth = np.array([[1, 0], [0, 1], [1, 0], [0, 1], [0, 1]])
    windows = Predictions(p, truth, np.array(list("xyxzy")), np.arange(5), {"seconds": 3})
    found = windows.averaged(np.array(["b", "a", "b", "c", "a"]))
    assert list(found.ids) == ["b", "a", "c"] and list(found.subjects) == ["x", "y", "z"]
    np.testing.assert_allclose(found.probabilities[..., 0, :], p[..., [0, 2], :].mean(-2))
    np.testing.assert_allclose(found.probabilities[..., 2, :], p[..., 3, :])
    assert found.truth.tolist() == [[1, 0], [0, 1], [0, 1]] and found.about == {"seconds": 3}
    with pytest.raises(ValueError, match="4 recordings named for 5 windows"):
        windows.averaged(np.array(["b", "a", "b", "c"]))
    with pytest.raises(ValueError, match="the recording of 2 windows is unknown"):
        windows.averaged(np.array(["b", None, "b", "c", None]))
