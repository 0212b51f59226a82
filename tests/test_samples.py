"""A few recordings of a large set: the same each time, with its folds and classes among them."""

import pandas as pd
import pytest

import tiny_sets
from biosignals import simulate
from biosignals.data import chbmit, helsinki, ptbxl, samples, sources


def choose(dataset, root, count):
    return samples.choose(dataset, root, count, sources.THERE[dataset](root))


def test_each_fold_and_class_of_ptbxl_is_among_them(tmp_path):
    database = tiny_sets.write_ptbxl(tmp_path, records=200)
    chosen = choose("ptb-xl", tmp_path, 40)
    assert len(set(chosen)) == 40 and chosen == choose("ptb-xl", tmp_path, 40)
    few = database.loc[list(chosen)]
    pairs = pd.crosstab(few.strat_fold, few.scp_codes)
    assert pairs.equals(pd.crosstab(database.strat_fold, database.scp_codes).clip(upper=pairs.max().max()))
    recordings = ptbxl.load(tmp_path, records=chosen, cache=tmp_path / "cache")
    assert list(recordings.table.index) == list(chosen)


def test_rare_rhythms_come_as_often_and_none_that_is_set_aside(tmp_path):
    names = tiny_sets.write_cinc2017(tmp_path, [3000] * 30, "N" * 20 + "A" * 6 + "O" * 4)
    (tmp_path / "never-read.txt").write_text("\n".join(names[24:26]))
    chosen = choose("cinc2017", tmp_path, 12)
    assert sorted(set(names[20:24]) & set(chosen)) == names[20:24]
    assert len(chosen) == 12 and not {*names[24:26]} & set(chosen)


def test_eeg_is_drawn_from_all_cases_with_seizures(tmp_path):
    simulate.chbmit.write(tmp_path, 12, 0, minutes=2, files_per_subject=2)
    recordings, _ = chbmit.find(tmp_path)
    with_seizure = {one.name: one.subject for one in recordings if one.seizures}
    count = len(set(with_seizure.values()))
    chosen = choose("chb-mit", tmp_path, count)
    assert {with_seizure[name] for name in chosen} == set(with_seizure.values())
    few, _ = chbmit.find(tmp_path, chosen)
    assert sorted(one.name for one in few) == sorted(chosen)


def test_neonates_with_and_without_seizures_are_among_them(tmp_path):
    simulate.helsinki.write(tmp_path, 6, 0, minutes=1)
    few, excluded = helsinki.find(tmp_path, choose("helsinki", tmp_path, 4))
    assert len(few) == 4 and excluded.empty
    assert {bool(one.seizures) for one in few} == {True, False}


@pytest.mark.parametrize(("dataset", "count"), [("ptb-xl", 6), ("ptb-xl", 100), ("wf-ppg", 1)])
def test_of_a_small_set_and_of_one_without_groups_all_are_taken(dataset, count, tmp_path):
    tiny_sets.write_ptbxl(tmp_path, records=6)
    assert choose(dataset, tmp_path, count) is None


def test_of_a_download_cut_short_those_are_taken_that_have_come(tmp_path):
    tiny_sets.write_ptbxl(tmp_path, records=40)
    for path in sorted(tmp_path.glob("records100/*/*.dat"))[12:]:
        path.unlink()
    chosen = choose("ptb-xl", tmp_path, 10)
    recordings = ptbxl.load(tmp_path, records=chosen, cache=tmp_path / "cache")
    assert len(recordings) == 10 and recordings.excluded.empty
