"""R peaks that are found against those that are marked."""

import numpy as np
import pytest

from biosignals.evaluation import beats


def test_each_mark_is_matched_with_one_point_within_the_tolerance():
    marked = np.array([500, 1000, 1500, 2000])
    found = np.array([505, 1060, 1100, 1496, 1900])  # 10 ms, 120 ms, too far, -8 ms, too far
    counts = beats.score_points(marked, found, 500)
    assert (counts.found, counts.marked, counts.false) == (3, 4, 2)
    assert counts.errors == pytest.approx([0.010, 0.120, -0.008])


def test_two_points_at_one_mark_are_one_found_and_one_false():
    counts = beats.score_points(np.array([500, 1000]), np.array([495, 510, 1000]), 500)
    assert (counts.found, counts.false) == (2, 1)


def test_beats_outside_of_what_was_marked_are_not_called_false():
    counts = beats.score_points(np.array([1000, 1500]), np.array([100, 500, 1000, 1500, 2000]), 500)
    assert (counts.found, counts.false) == (2, 0)


def test_nothing_marked_or_nothing_found():
    nothing = np.array([], int)
    assert beats.score_points(nothing, np.array([3]), 500) == (0, 0, 0, ())
    assert beats.score_points(np.array([100]), nothing, 500) == (0, 1, 0, ())


def test_positions_out_of_order_are_refused():
    with pytest.raises(ValueError, match="must ascend"):
        beats.score_points(np.array([5, 3]), np.array([3]), 500)


def test_scores_are_those_of_all_beats_together():
    good = beats.PointCounts(9, 9, 0, (0.002,) * 9)
    poor = beats.PointCounts(0, 1, 3, ())
    table = beats.summarise({"energy": [good, poor], "other": [good, good]}, np.array([1, 2]), "energy")
    values = table.set_index(["model", "metric"]).value
    assert values["energy", "sensitivity"] == pytest.approx(9 / 10)
    assert values["energy", "precision"] == pytest.approx(9 / 12)
    assert values["energy", "timing_error_ms"] == pytest.approx(2)
    assert values["other", "sensitivity"] == 1
