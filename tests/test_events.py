import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from timescoring.annotations import Annotation
from timescoring.scoring import EventScoring

from biosignals.evaluation import events, scores
from biosignals.evaluation.events import Alarm, AlarmRule, EventCounts, ScoredRecording
from biosignals.evaluation.predictions import Predictions


def heard(*spans):
    return [Alarm(start, end, start + 10) for start, end in spans]


# Alarms


def test_smoothing_looks_back_only():
    scores = [0.0, 1.0, 1.0, 0.0, 0.0]
    assert events.smooth(scores, 1) == pytest.approx(scores)
    assert events.smooth(scores, 3) == pytest.approx([0, 1 / 2, 2 / 3, 2 / 3, 1 / 3])
    assert events.smooth(scores, 9)[-1] == pytest.approx(2 / 5)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.integers(1, 12))
def test_the_mean_of_a_window_does_not_depend_on_what_was_long_ago_or_comes_later(scores, width):
    whole = events.smooth(scores, width)
    for i in range(len(scores)):
        assert events.smooth(scores[: i + 1], width)[-1] == whole[i]
        if i >= width:
            assert events.smooth(scores[i + 1 - width : i + 1], width)[-1] == whole[i]


def test_an_alarm_is_raised_when_the_data_that_caused_it_have_been_seen():
    starts = np.arange(8) * 5.0
    scores = np.array([0, 0.9, 0, 0.9, 0.9, 0.9, 0.9, 0])
    assert events.alarms(starts, scores, 10, AlarmRule(0.5)) == [Alarm(5, 15, 15), Alarm(15, 40, 25)]
    assert events.alarms(starts, scores, 10, AlarmRule(0.5, consecutive=3)) == [Alarm(15, 40, 35)]
    assert events.alarms(starts, scores, 10, AlarmRule(0.9, consecutive=5)) == []
    assert events.alarms(starts, scores, 10, AlarmRule(0.6, smoothing=2)) == [Alarm(20, 40, 30)]


def test_an_alarm_may_last_to_the_end_and_there_may_be_no_window():
    assert events.alarms(np.array([0.0, 5.0]), np.ones(2), 10, AlarmRule(0.5)) == [Alarm(0, 15, 10)]
    assert events.alarms(np.empty(0), np.empty(0), 10, AlarmRule(0.5)) == []


def test_scores_that_are_not_finite_or_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="finite score for each window"):
        events.alarms(np.arange(2), np.array([0.1, np.nan]), 10, AlarmRule())
    with pytest.raises(ValueError, match="finite score for each window"):
        events.alarms(np.arange(3), np.array([0.1, 0.2]), 10, AlarmRule())
    with pytest.raises(ValueError, match="count windows from 1"):
        AlarmRule(consecutive=0)


# Scores of events


def test_counts_by_hand():
    # Found: 100-160 (alarm inside), 1000-1050 (alarm 40 s after its end). Missed: 2000-2030.
    # False: 3000, 3300.
    seizures = [(100, 160), (1000, 1050), (2000, 2030)]
    counts = events.score_events(seizures, heard((110, 130), (1090, 1100), (3000, 3020), (3300, 3320)), 3600)
    assert counts == EventCounts(2, 3, 2, 1.0, (20.0, 100.0))


def test_the_tolerance_is_30_seconds_before_and_60_after():
    for alarm, found in {(960, 970): 0, (960, 971): 1, (1109, 1120): 1, (1110, 1120): 0}.items():
        counts = events.score_events([(1000, 1050)], heard(alarm), 3600)
        assert (counts.found, counts.false_alarms, len(counts.delays)) == (found, 1 - found, found)


def test_close_events_are_one_and_long_ones_are_several():
    assert events.score_events([], heard((100, 110), (199, 210)), 3600).false_alarms == 1
    assert events.score_events([], heard((100, 110), (200, 210)), 3600).false_alarms == 2
    assert events.score_events([], heard((100, 800)), 3600).false_alarms == 3
    long = events.score_events(
        [(100, 800)], heard((380, 390)), 3600
    )  # within the tolerances of two of its parts
    assert (long.found, long.seizures, long.delays) == (2, 3, (290.0,))


def test_a_seizure_within_another_does_not_shorten_it():
    counts = events.score_events([(100, 250), (120, 130)], heard((240, 260)), 3600)
    assert counts == events.score_events([(100, 250)], heard((240, 260)), 3600)
    assert counts.delays == (150.0,)


def test_an_alarm_that_has_lasted_long_is_no_forecast():
    always = events.score_events([(1000, 1050)], [Alarm(0, 3600, 10)], 3600)
    assert always.found == 1 and always.false_alarms >= 9
    assert always.delays == (-30.0,)
    assert events.score_events([(1000, 1050)], [Alarm(975, 1060, 985)], 3600).delays == (-15.0,)


def test_the_delay_is_that_of_the_first_alarm():
    assert events.score_events([(1000, 1100)], heard((1020, 1030), (1060, 1070)), 3600).delays == (30.0,)


@pytest.mark.parametrize("event", [(-1, 5), (10, 10), (3600, 3610), (10, np.inf), (10, np.nan)])
def test_events_outside_of_the_recording_are_refused(event):
    with pytest.raises(ValueError, match="recording of 3600 s"):
        events.score_events([event], [], 3600)
    with pytest.raises(ValueError, match="recording of 3600 s"):
        events.score_events([], heard(event), 3600)


@pytest.mark.parametrize("seconds", [0.04, 0, -1, np.inf, np.nan])
def test_a_recording_of_no_length_is_refused(seconds):
    with pytest.raises(
        ValueError, match="a recording of .* s: events are scored from 0.1 s on, give its length"
    ):
        events.score_events([], [], seconds)


@pytest.mark.parametrize(
    ("alarm", "found"), [((169.95, 180), 0), ((169.94, 180), 1), ((60, 70.04), 0), ((60, 70.06), 1)]
)
def test_a_seizure_that_is_missed_by_less_than_a_tenth_of_a_second_has_no_delay(alarm, found):
    counts = events.score_events([(100, 110)], heard(alarm), 3600)
    assert (counts.found, counts.false_alarms, len(counts.delays)) == (found, 1 - found, found)


spans = st.lists(st.tuples(st.integers(0, 3500), st.integers(1, 700)), max_size=6).map(
    lambda pairs: sorted((start, min(start + length, 3600)) for start, length in pairs)
)


def by_the_second(seizures, alarms, seconds):
    """SzCORE's rules on one truth value per second, without intervals: found, seizures, false alarms."""

    def listed(spans):
        on = [any(start <= second < end for start, end in spans) for second in range(seconds)]
        groups = []
        for second in np.flatnonzero(on):
            if groups and second - groups[-1][-1] - 1 < 90:
                groups[-1] += range(groups[-1][-1] + 1, second + 1)
            else:
                groups.append([second])
        return [group[i : i + 300] for group in groups for i in range(0, len(group), 300)]

    seizures, alarms = listed(seizures), listed(alarms)
    sounding = {second for alarm in alarms for second in alarm}
    tolerated = [set(range(s[0] - 30, s[-1] + 61)) for s in seizures]
    found = [region for region in tolerated if region & sounding]
    false = [alarm for alarm in alarms if not any(region & set(alarm) for region in found)]
    return len(found), len(seizures), len(false)


@settings(max_examples=40)
@given(spans, spans)
def test_counts_agree_with_rules_applied_second_by_second(seizures, alarms):
    counts = events.score_events(seizures, heard(*alarms), 3600)
    assert counts[:3] == by_the_second(seizures, alarms, 3600)
    assert bool(counts.delays) == bool(counts.found)


@settings(max_examples=40)
@given(
    st.lists(st.integers(1, 400), max_size=12),
    st.lists(st.integers(1, 400), max_size=12),
)
def test_counts_agree_with_timescoring(first, second):
    def separate(lengths):
        edges = np.cumsum([0, *lengths])
        return [(int(a), int(b)) for a, b in zip(edges[1::2], edges[2::2])]

    seizures, alarms = separate(first), separate(second)
    theirs = EventScoring(*(Annotation(spans, 1, 6000) for spans in (seizures, alarms)))
    counts = events.score_events(seizures, heard(*alarms), 6000)
    assert counts[:3] == (theirs.tp, theirs.refTrue, theirs.fp)


def test_scores_of_one_recording_are_those_of_timescoring():
    seizures, alarms = [(100, 160), (1000, 1050), (2000, 2030)], [(110, 130), (1090, 1100), (3000, 3020)]
    theirs = EventScoring(*(Annotation(spans, 1, 3600) for spans in (seizures, alarms)))
    counts = events.score_events(seizures, heard(*alarms), 3600)
    table = events.summarise({"net": [counts]}, np.array(["a"])).set_index("metric").value
    expected = [theirs.sensitivity, theirs.precision, theirs.f1, theirs.fpRate]
    np.testing.assert_allclose(table.iloc[:4], expected)


# Scores of detectors

COUNTS = [
    EventCounts(2, 2, 0, 12.0, (5.0, 15.0)),
    EventCounts(0, 1, 3, 12.0, ()),
    EventCounts(1, 1, 1, 24.0, (10.0,)),
]
SUBJECTS = np.array(["a", "b", "b"])


def test_scores_pool_all_recordings():
    table = events.summarise({"net": COUNTS}, SUBJECTS).set_index("metric")
    assert table.value.to_dict() == pytest.approx(
        {
            "event_sensitivity": 3 / 4, "precision": 3 / 7, "event_f1": 6 / 11, "false_alarms_per_day": 2.0,
            "delay_s": 10.0,
        }
    )  # fmt: skip
    assert (table.low <= table.value).all() and (table.value <= table.high).all()
    # Two patients: each resample has a, b or both.
    assert table.loc["event_sensitivity", ["low", "high"]].tolist() == pytest.approx([1 / 2, 1])
    assert table.loc["false_alarms_per_day", ["low", "high"]].tolist() == pytest.approx([0, 24 * 4 / 36])


def test_difference_is_paired():
    worse = [c._replace(false_alarms=c.false_alarms + 1) for c in COUNTS]
    table = events.summarise({"first": COUNTS, "same": COUNTS, "worse": worse}, SUBJECTS, "first").set_index(
        ["model", "metric"]
    )
    assert (table.loc["same", ["delta", "delta_low", "delta_high"]] == 0).all(axis=None)
    row = table.loc[("worse", "false_alarms_per_day")]
    assert row.delta == pytest.approx(1.5) and row.delta_low == pytest.approx(24 * 2 / 36)
    assert table.loc[("worse", "delay_s"), "delta"] == 0


def test_several_fits_count_by_their_mean_score():
    other = [EventCounts(1, 2, 0, 12.0, (40.0,)), *COUNTS[1:]]
    values = {
        name: events.summarise({"net": counts}, SUBJECTS).value.to_numpy()
        for name, counts in {"one": COUNTS, "other": other, "both": [COUNTS, other]}.items()
    }
    np.testing.assert_allclose(values["both"], (values["one"] + values["other"]) / 2)


@pytest.mark.filterwarnings("error")
def test_a_detector_without_alarms_has_scores():
    silent = [EventCounts(0, 1, 0, 1.0, ())] * 2
    table = events.summarise({"silent": silent}, np.array(["a", "b"])).set_index("metric").value
    assert table[["event_sensitivity", "precision", "event_f1", "false_alarms_per_day"]].tolist() == [0] * 4
    assert np.isnan(table["delay_s"])


# The threshold


def scored(scores, seizures=()):
    starts = 5.0 * np.arange(len(scores))
    return ScoredRecording(starts, np.array(scores), seizures, starts[-1] + 10)


def recordings():
    """Two seizures, scored .9 and .6, among background at .1; three disturbances at .7, .5, .5."""
    scores = np.full(720, 0.1)
    scores[[100, 101]], scores[[300, 301]] = 0.9, 0.6
    scores[500], scores[600], scores[680] = 0.7, 0.5, 0.5
    return [scored(scores, [(500, 515), (1500, 1515)])]


def test_the_threshold_with_the_best_f1():
    # .9 finds 1 of 2 without a false alarm (F1 2/3), .6 both with one (4/5), .5 both with three (4/7).
    rule = events.choose_threshold(recordings(), 10, AlarmRule(consecutive=1))
    assert rule.threshold == pytest.approx(0.6)
    assert events.score_recording(recordings()[0], 10, rule)[:3] == (2, 2, 1)


def test_the_most_sensitive_threshold_within_a_number_of_false_alarms():
    grid = np.array([0.05, 0.45, 0.55, 0.65, 0.8])
    choose = events.choose_threshold
    assert choose(recordings(), 10, AlarmRule(), 30, grid).threshold == 0.55
    assert choose(recordings(), 10, AlarmRule(), 0, grid).threshold == 0.8
    assert choose(recordings(), 10, AlarmRule(consecutive=2), 0, grid).threshold in (0.45, 0.55)
    with pytest.raises(ValueError, match="keeps to 0 false alarms"):
        choose(recordings(), 10, AlarmRule(), 0, grid[:2])
    with pytest.raises(ValueError, match="no seizure"):
        choose([scored(np.zeros(9))], 10, AlarmRule())


def test_of_thresholds_equally_good_the_middle_one():
    scores = np.full(720, 0.1)
    scores[100:104] = 0.9
    grid = np.array([0.05, 0.2, 0.3, 0.5, 0.7, 0.8, 0.95])
    rule = events.choose_threshold([scored(scores, [(500, 520)])], 10, AlarmRule(smoothing=1), None, grid)
    assert rule.threshold == 0.5


def test_the_rule_keeps_its_smoothing_and_means_the_same_on_the_raw_scores():
    rule = events.choose_threshold(recordings(), 10, AlarmRule(smoothing=2, consecutive=1))
    assert rule.smoothing == 2
    assert events.score_recording(recordings()[0], 10, rule)[:3] == (2, 2, 0)


# Experts


def test_kappa_by_hand():
    # A and B agree on 8 of 10 with half and 3/10 positive: expected .5 * .3 + .5 * .7 = .5.
    a = np.array([1, 1, 1, 1, 1, 0, 0, 0, 0, 0])
    b = np.array([1, 1, 1, 0, 0, 0, 0, 0, 0, 0])
    kappas = events.pairwise_kappa(np.stack([a, b, 1 - a], axis=1))
    np.testing.assert_allclose(np.diag(kappas), 1)
    np.testing.assert_allclose(kappas, kappas.T)
    assert kappas[0, 1] == pytest.approx((0.8 - 0.5) / (1 - 0.5))
    assert kappas[0, 2] == pytest.approx(-1)


def test_a_seizure_is_found_by_any_of_its_windows():
    windows = pd.DataFrame(
        {"recording": ["a"] * 4 + ["b"] * 2, "start": [0.0, 5, 10, 15, 0, 5]}, list("uvwxyz")
    )
    seizures = pd.DataFrame(
        [("a", 4, 9), ("a", 16, 30), ("b", 0, 40), ("c", 0, 9)], [7, 8, 9, 10], ["recording", "start", "end"]
    )
    decided = np.array([[[0, 1, 0, 0, 0, 0]], [[1, 0, 0, 0, 0, 1]]])[:, 0, :, None]  # of two seeds
    subjects = np.array(["p"] * 4 + ["q"] * 2)
    decisions = Predictions(decided, np.zeros((6, 1)), subjects, windows.index.to_numpy(), {"seconds": 2})
    order = [3, 5, 0, 1, 4, 2]
    found = events.found_seizures(decisions.take(order), windows, seizures, 5)
    assert found.ids.tolist() == [7, 8, 9], "c has no window"
    assert found.probabilities[..., 0].tolist() == [[1, 0, 0], [1, 0, 1]]
    assert found.subjects.tolist() == ["p", "p", "q"]
    assert scores.interval(scores.sensitivity, found).value == pytest.approx(0.5)
    with pytest.raises(ValueError, match="same recordings"):
        events.found_seizures(decisions, windows, seizures[3:], 5)
