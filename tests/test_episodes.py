"""Episodes: found by their onset, false where nothing is, and the time they take."""

import numpy as np
import pytest

from biosignals.evaluation import episodes


def test_episodes_are_what_windows_in_a_row_make():
    starts = np.array([0, 30, 60, 90, 150, 180])
    positive = np.array([False, True, True, False, True, True])
    assert episodes.from_windows(starts, positive, 30) == [(30, 90), (150, 210)]
    apart = episodes.from_windows(starts, np.ones(6, bool), 30)
    assert apart == [(0, 120), (150, 210)], "a gap between windows is no part of an episode"
    assert episodes.from_windows(starts, np.zeros(6, bool), 30) == []


def test_an_episode_is_found_by_one_that_begins_near_its_onset():
    reference = [(100, 200), (400, 500), (700, 800)]
    predicted = [(120, 130), (440, 500), (900, 950)]
    counts = episodes.score_episodes(reference, predicted, 1000)
    assert (counts.found, counts.episodes, counts.false) == (1, 3, 1)
    assert counts.hours == pytest.approx(1000 / 3600)
    assert (counts.burden, counts.predicted_burden) == pytest.approx((0.3, 0.12))
    later = episodes.score_episodes(reference, predicted, 1000, tolerance=60)
    assert later.found == 2


def test_one_long_answer_does_not_find_every_episode_it_covers():
    counts = episodes.score_episodes([(100, 200), (400, 500)], [(90, 600)], 1000)
    assert (counts.found, counts.false) == (1, 0)


@pytest.mark.parametrize("spans", [[(-1, 5)], [(0, 2000)], [(50, 60), (10, 20)], [(30, 20)]])
def test_episodes_beyond_the_recording_or_out_of_order_are_refused(spans):
    with pytest.raises(ValueError, match="in order and within the recording of 1000 s"):
        episodes.score_episodes(spans, [], 1000)
    with pytest.raises(ValueError, match="predicted"):
        episodes.score_episodes([], spans, 1000)


def test_counts_are_added_up_over_recordings_and_burden_is_that_of_the_median_one():
    one = episodes.EpisodeCounts(1, 1, 2, 12, 0.50, 0.60)
    other = episodes.EpisodeCounts(0, 3, 0, 12, 0.20, 0.18)
    third = episodes.EpisodeCounts(1, 1, 0, 24, 0.00, 0.00)
    table = episodes.summarise({"forest": [one, other, third]}, np.array(["a", "b", "c"]))
    values = table.set_index("metric").value
    assert values["event_sensitivity"] == pytest.approx(2 / 5)
    assert values["false_alarms_per_day"] == pytest.approx(1)
    assert values["burden_error"] == pytest.approx(2)
    assert (table.low <= table.value).all() and (table.value <= table.high).all()
