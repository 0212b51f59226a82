import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biosignals.data import splits


@pytest.fixture
def table():
    """40 recordings of 20 subjects, two subjects in each of ten folds, rows shuffled."""
    subject = np.repeat(np.arange(20), 2)
    table = pd.DataFrame({"subject": subject, "fold": subject // 2 + 1})
    return table.sample(frac=1, random_state=0)


def test_folds_become_train_validation_and_test(table):
    rows = splits.by_fold(table)
    assert {name: sorted(set(table["fold"].iloc[chosen])) for name, chosen in rows.items()} == {
        "train": [1, 2, 3, 4, 5, 6, 7, 8],
        "validation": [9],
        "test": [10],
    }
    assert sorted(np.concatenate(list(rows.values()))) == list(range(40))


def test_groups_hold_out_each_group_once_and_never_touch_the_test_fold(table):
    pairs = splits.groups(table)
    assert [sorted(set(table["fold"].iloc[held_out])) for _, held_out in pairs] == [
        [1, 2, 3],
        [4, 5, 6],
        [7, 8, 9],
    ]
    for train, held_out in pairs:
        assert not set(train) & set(held_out)
        assert sorted(set(table["fold"].iloc[[*train, *held_out]])) == list(range(1, 10))


def test_a_subject_in_two_folds_is_refused_by_name(table):
    table["subject"] = table["subject"].replace({19: 3})  # once in fold 10, once in fold 2
    with pytest.raises(ValueError, match="subject 3 is in split 1 and in split 3"):
        splits.by_fold(table)


def test_a_subject_who_is_learnt_from_and_tested_is_refused(table):
    table["subject"] = table["subject"].replace({19: 3})
    with pytest.raises(ValueError, match="subject 3 is in split 1 and in split 4"):
        splits.groups(table)
    assert len(splits.groups(table[table["fold"] != 10])) == 3  # a set without a test fold has groups too


@pytest.mark.parametrize("shift", [-1, 10, np.nan])
def test_folds_of_other_numbers_are_refused_and_not_left_out(table, shift):
    table["fold"] = table["fold"].where(table["fold"] > 1, table["fold"] + shift)
    for deal in (splits.groups, splits.by_fold):
        with pytest.raises(ValueError, match="fold (0|11|nan): folds are numbered 1 to 9 .*assign_folds"):
            deal(table)


def test_a_subject_in_two_folds_of_one_split_is_no_leak(table):
    table["subject"] = table["subject"].replace({4: 1})  # folds 3 and 1, both of them train
    assert len(splits.by_fold(table)["train"]) == 32


def test_an_empty_fold_is_named(table):
    with pytest.raises(ValueError, match="fold 9 has no recordings.*1, 2, 3"):
        splits.by_fold(table[table["fold"] != 9])
    with pytest.raises(ValueError, match="fold 5 has no recordings"):
        splits.groups(table[table["fold"] != 5])


def test_a_table_without_folds_is_refused_with_the_remedy(table):
    with pytest.raises(ValueError, match="assign_folds"):
        splits.by_fold(table.drop(columns="fold"))


def test_an_empty_split_is_refused(table):
    with pytest.raises(ValueError, match="split 2 of 2 is empty"):
        splits.check_disjoint(table, np.arange(5), np.array([], dtype=int))


def test_unknown_subjects_never_leak():
    table = pd.DataFrame({"subject": pd.array([pd.NA] * 6, dtype="Int64")})
    splits.check_disjoint(table, np.arange(3), np.arange(3, 6))
    with pytest.raises(ValueError, match="split 1 and in split 2"):
        splits.check_disjoint(table, np.arange(3), np.arange(2, 6))  # the same recording twice


@given(st.lists(st.integers(0, 12) | st.none(), min_size=30, max_size=80), st.integers(0, 5))
def test_by_subject_deals_every_row_once_and_no_subject_twice(subjects, seed):
    subjects = [*range(13), *subjects]
    rows = splits.by_subject(subjects, {"train": 0.6, "validation": 0.2, "test": 0.2}, seed)
    assert sorted(np.concatenate(list(rows.values()))) == list(range(len(subjects)))
    splits.check_disjoint(pd.DataFrame({"subject": subjects}), *rows.values())


def test_by_subject_follows_shares_and_seed():
    subjects = np.repeat(np.arange(100), 3)
    rows = splits.by_subject(subjects, {"train": 0.7, "test": 0.3}, seed=1)
    assert len(rows["train"]) == 210 and len(rows["test"]) == 90
    again = splits.by_subject(subjects, {"train": 0.7, "test": 0.3}, seed=1)
    other = splits.by_subject(subjects, {"train": 0.7, "test": 0.3}, seed=2)
    assert np.array_equal(rows["test"], again["test"]) and not np.array_equal(rows["test"], other["test"])


def test_by_subject_refuses_too_few_subjects_and_wrong_shares():
    with pytest.raises(ValueError, match="2 subjects are too few"):
        splits.by_subject([1, 1, 2, 2], {"train": 0.8, "validation": 0.1, "test": 0.1}, seed=0)
    with pytest.raises(ValueError, match="sum to 1"):
        splits.by_subject([1, 2, 3], {"train": 0.8, "test": 0.1}, seed=0)


def test_dealt_folds_keep_subjects_together_and_reach_the_test_share():
    subjects = np.repeat([f"chb{i:02d}" for i in range(24)], 5)
    folds = splits.assign_folds(subjects, test=0.5, seed=0)
    table = pd.DataFrame({"subject": subjects, "fold": folds})
    assert (table.groupby("subject").fold.nunique() == 1).all()
    assert table.drop_duplicates("subject").fold.value_counts()[10] == 12
    assert set(folds) == set(range(1, 11)) and len(splits.groups(table)) == 3
    assert set(splits.assign_folds(subjects, test=0, seed=0)) == set(range(1, 10))
    np.testing.assert_array_equal(splits.assign_folds(subjects[::-1], test=0.5, seed=0), folds[::-1])
    assert (splits.assign_folds(subjects, 0.5, 0) != splits.assign_folds(subjects, 0.5, 1)).any()


@pytest.mark.parametrize("test", [0.7, 1.0, -0.1])
def test_too_few_subjects_to_deal_are_refused(test):
    with pytest.raises(ValueError, match="cannot be dealt"):
        splits.assign_folds(range(24), test, 0)


@pytest.mark.parametrize("unknown", [None, np.nan, pd.NA])
def test_folds_are_not_dealt_to_unknown_subjects(unknown):
    subjects = [*range(20), unknown, unknown]
    with pytest.raises(ValueError, match="2 of 22 recordings have no subject"):
        splits.assign_folds(subjects, 0.2, 0)


def test_no_subject_gives_more_than_asked_and_small_ones_give_all():
    subjects = np.repeat(["a", "b", "c"], [100, 3, 40])
    rows = splits.sample_per_subject(subjects, 30, seed=0)
    assert dict(zip(*np.unique(subjects[rows], return_counts=True), strict=True)) == {
        "a": 30,
        "b": 3,
        "c": 30,
    }
    assert (np.diff(rows) > 0).all()
    assert np.array_equal(rows, splits.sample_per_subject(subjects, 30, seed=0))
    assert not np.array_equal(rows, splits.sample_per_subject(subjects, 30, seed=1))
    with pytest.raises(ValueError, match="not 0"):
        splits.sample_per_subject(subjects, 0, seed=0)


# Parts of time


def windows_of_time(recordings=3, count=20, seconds=2.4):
    start = np.tile(np.arange(count) * seconds, recordings)
    recording = np.repeat([f"r{i}" for i in range(recordings)], count)
    subject = np.repeat([min(i, 1) for i in range(recordings)], count)  # the last two are of one subject
    return pd.DataFrame({"recording": recording, "start": start, "subject": subject})


def test_parts_of_time_hold_everybody_with_a_gap_between():
    table = windows_of_time()
    parts = {"train": (0, 0.5), "test": (0.7, 1)}
    rows = splits.by_time(table, parts, 2.4)
    for _, own in table.groupby("recording"):
        train, test = (own.loc[own.index.intersection(rows[name])] for name in parts)
        assert len(train) == 10 and len(test) == 6
        assert test.start.min() - (train.start.max() + 2.4) >= 0.2 * 48 - 1e-6


@pytest.mark.parametrize(
    "parts", [{"a": (0, 0.5), "b": (0.5, 1)}, {"a": (0, 0.6), "b": (0.5, 1)}, {"a": (0.2, 1.1)}]
)
def test_parts_of_time_that_touch_or_leave_the_recording_are_refused(parts):
    with pytest.raises(ValueError, match="with gaps between them"):
        splits.by_time(windows_of_time(), parts, 2.4)


def test_a_subject_in_one_part_only_is_named():
    table = windows_of_time()
    late = table[(table.subject > 0) | (table.start > 40)]
    late = pd.concat([late, table[(table.subject == 0) & (table.start == 0)]]).reset_index(drop=True)
    with pytest.raises(ValueError, match="subject 0 has no window in part middle"):
        splits.by_time(late, {"middle": (0.3, 0.5), "end": (0.7, 1)}, 2.4)


def test_nine_groups_of_one_fold_hold_the_same_recordings_out_as_three_of_three():
    table = pd.DataFrame({"fold": np.repeat(range(1, 11), 4), "subject": range(40)})
    nine, three = splits.groups(table, 1), splits.groups(table)
    assert len(nine) == 9 and all(set(table.fold.iloc[rows]) == {i + 1} for i, (_, rows) in enumerate(nine))
    held_out = [np.sort(np.concatenate([rows for _, rows in groups])) for groups in (nine, three)]
    np.testing.assert_array_equal(*held_out)
    with pytest.raises(ValueError, match="not groups of 4"):
        splits.groups(table, 4)


def test_stratified_groups_share_out_each_class_and_keep_people_together():
    rng = np.random.default_rng(0)
    subjects = rng.integers(0, 150, 400)
    targets = (rng.random((400, 4)) < [0.5, 0.2, 0.05, 0.03]).astype(float)
    groups = splits.stratified_groups(targets, subjects, 3, seed=0)
    assert sorted(np.concatenate([rows for _, rows in groups])) == list(range(400))
    for train, rows in groups:
        assert not set(subjects[train]) & set(subjects[rows])
        assert sorted([*train, *rows]) == list(range(400))
    counts = np.array([targets[rows].sum(0) for _, rows in groups])
    assert (np.ptp(counts, axis=0) <= 3).all()
    # Dealt at random, rare classes come out more unevenly.
    by_chance = rng.permutation(400) % 3
    uneven = np.array([targets[by_chance == k].sum(0) for k in range(3)])
    assert np.ptp(counts, axis=0).sum() < np.ptp(uneven, axis=0).sum()
    single = splits.stratified_groups(targets, np.arange(400), 3, seed=0)
    assert (np.ptp([targets[rows].sum(0) for _, rows in single], axis=0) <= 1).all()
    assert set(subjects[single[0][0]]) & set(subjects[single[0][1]])
    with pytest.raises(ValueError, match="2 subjects cannot be dealt into 3"):
        splits.stratified_groups(targets[:4], [1, 1, 2, 2], 3, seed=0)


def test_smaller_training_sets_are_part_of_larger_ones_and_take_whole_people():
    subjects = np.repeat(np.arange(50), 3)
    rows = np.arange(30, 150)
    small, large = (splits.first_subjects(subjects, rows, most, seed=0) for most in (30, 60))
    assert set(small) < set(large) < set(rows) and (len(small), len(large)) == (30, 60)
    assert np.unique(subjects[small], return_counts=True)[1].tolist() == [3] * 10
    assert len(splits.first_subjects(subjects, rows, 1000, seed=0)) == 120
    with pytest.raises(ValueError, match="at least one"):
        splits.first_subjects(subjects, rows, 0, seed=0)
