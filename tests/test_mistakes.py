"""Arguments that cannot be right get a ValueError that names the remedy, never PyTorch's or pandas' own words."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from biosignals import models
from biosignals.data.recordings import Recordings
from biosignals.evaluation import scores
from biosignals.task import Task
from biosignals.training.fit import TrainingData, fit
from biosignals.training.predict import predict, predict_signals
from biosignals.training.recipe import Recipe
from test_fit import SHORT, recordings

SIGNALS, TARGETS = recordings()
TASK = Task(SIGNALS, TARGETS)
ROWS = np.arange(60)
NET = models.create("student-4k", 2, 2, 150)


class Bare(torch.nn.Module):
    """A net that gives what it is told to."""

    def __init__(self, give):
        super().__init__()
        self.weight, self.give = torch.nn.Parameter(torch.ones(1)), give

    def forward(self, x):
        return self.give(x) * self.weight


def fitted(recipe=SHORT, model="student-4k", signals=SIGNALS, targets=TARGETS, train=ROWS[:40], **more):
    return fit(model, TrainingData(signals, targets, train, **more), recipe)


def one_class():
    return replace(TASK, targets=TARGETS[:, :1])


MISTAKES = {
    "targets of one dimension": (lambda: Task(SIGNALS, TARGETS[:, 1]), r"not \(60,\); for one column, targets\[:, None\]"),
    "features of one dimension": (lambda: replace(TASK, features=ROWS), r"features\[:, None\]"),
    "targets of other recordings": (lambda: Task(SIGNALS, TARGETS[:9]), r"targets must be \(60 recordings, ...\), not \(9, 2\)"),
    "words as targets": (lambda: Task(SIGNALS, np.full((60, 1), "AF")), "targets are <U2, they must be numbers"),
    "targets beyond 1": (lambda: fitted(targets=2 * TARGETS), "targets must lie between 0 and 1"),
    "swapped recordings and targets": (lambda: Task(TARGETS, SIGNALS), "first come Recordings, then their targets"),
    "arrays for recordings": (lambda: TrainingData(SIGNALS.signals, TARGETS, ROWS), "Arrays become Recordings"),
    "float64 signals": (lambda: replace(SIGNALS, signals=SIGNALS.physical().astype(float)), r"float64.*astype\(np.float32\)"),
    "int64 signals": (lambda: replace(SIGNALS, signals=SIGNALS.signals.astype(int)), "int64, they must be float32, or int16"),
    "signals as a list": (lambda: replace(SIGNALS, signals=[[1, 2]]), r"signals must be \(recordings, channels, samples\), not \(1, 2\)"),
    "no folds": (lambda: Task(replace(SIGNALS, table=SIGNALS.table.drop(columns="fold")), TARGETS), "preparation.assign_folds"),
    "a missing fold": (lambda: Task(SIGNALS.take(SIGNALS.table.fold != 5), TARGETS[:54]), "fold 5 has no recordings"),
    "no test fold": (lambda: Task(SIGNALS.take(ROWS[:9]), TARGETS[:9]).predict([fitted()]), "no recordings to predict"),
    "no folds for a test": (lambda: Task(replace(SIGNALS, table=SIGNALS.table.drop(columns="fold")), TARGETS, groups=TASK.groups).test, "assign_folds"),
    "a group that leaks": (lambda: replace(TASK, groups=[(ROWS[:40], ROWS[30:])]), "10 recordings, row 30 the first"),
    "an unknown net": (lambda: TASK.out_of_fold("studnet-4k", SHORT), "did you mean 'student-4k'"),
    "swapped net and recipe": (lambda: TASK.out_of_fold(SHORT, "student-4k"), "a net comes first, then its Recipe"),
    "a number for a recipe": (lambda: TASK.out_of_fold("student-4k", 20), "a net comes first, then its Recipe.* not 20"),
    "a net for its name": (lambda: TASK.out_of_fold(NET, SHORT), "a net is given by its name"),
    "a class for its name": (lambda: TASK.out_of_fold(Bare, SHORT), "a net is given by its name"),
    "nets for fewer groups": (lambda: TASK.out_of_fold([[NET, NET]], SHORT), "a net for each of the 3 groups"),
    "a number for seeds": (lambda: TASK.out_of_fold("student-4k", SHORT, 0), r"seeds are numbers in a list, as \[0, 1, 2\], not 0"),
    "a crop longer than a record": (lambda: TASK.out_of_fold("student-4k", Recipe(crop=250)), "crops of 250 samples do not fit into records of 150: crop=None"),
    "no crop": (lambda: Recipe(crop=0), "crop must be a whole number above 0, not 0"),
    "half an epoch": (lambda: Recipe(epochs=0.5), "epochs must be a whole number"),
    "epochs in words": (lambda: Recipe(epochs="20"), "epochs must be above 0, not '20'"),
    "one class that excludes others": (lambda: one_class().out_of_fold("student-4k", replace(SHORT, multiclass=True)), "multiclass=False"),
    "swapped net and data": (lambda: fit(TrainingData(SIGNALS, TARGETS, ROWS), "student-4k", SHORT), "a net or its name, TrainingData and a Recipe, in this order"),
    "too short for the net": (lambda: fitted(replace(SHORT, crop=None), "plain-cnn", replace(SIGNALS, signals=SIGNALS.signals[..., :40])), r"plain-cnn cannot be run on records of 2 x 40 \(channels x samples\): take longer"),
    "a net that gives no logits": (lambda: fitted(model=Bare(lambda x: x.mean())), r"Bare gives \(1,\) for \(2, 2\): a net gives logits \(batch, classes\)"),
    "a net of other classes": (lambda: fitted(model=models.create("student-4k", 2, 3)), r"CnnFamily gives \(2, 3\) for \(2, 2\)"),
    "a loss for each record": (lambda: fitted(replace(SHORT, loss=lambda x, y: (x - y).square())), "take the mean over the batch"),
    "a loss that is no number": (lambda: fitted(replace(SHORT, loss=lambda x, y: (x - y).mean() * torch.inf)), "the training loss of epoch 1 is .*learning_rate"),
    "one recording": (lambda: fitted(train=ROWS[:1]), "one recording to train on; two are the fewest"),
    "recordings to train on and to validate by": (lambda: fitted(validation=ROWS[30:]), "10 recordings, row 30 the first, are both to train on"),
    "more scored targets than there are": (lambda: fitted(n_scored_targets=3), "n_scored_targets is 3, of 2 targets"),
    "swapped net and recordings": (lambda: predict(SIGNALS, NET, ROWS), "a net comes first, then Recordings"),
    "one signal": (lambda: predict_signals(NET, SIGNALS.physical()[0]), r"signals must be \(n, channels, samples\), not \(2, 150\): for one, signals\[None\]"),
    "scores of one dimension": (lambda: TASK.predictions(np.zeros(54)), r"for one class, probabilities\[:, None\]"),
    "scores of all for those out of fold": (lambda: TASK.predictions(np.zeros((60, 2))), r"\(60, 2\) do not fit truth \(54, 2\)"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_with_the_remedy(mistake):
    make, message = MISTAKES[mistake]
    with pytest.raises(ValueError, match=message):
        make()


# What looks like a mistake and is none


def test_tables_lists_and_whole_numbers_are_targets():
    task = Task(SIGNALS, pd.DataFrame(TARGETS.astype(int)), features=TARGETS.astype(bool))
    np.testing.assert_array_equal(task.targets, TARGETS)
    assert task.targets.dtype == task.features.dtype == np.float32


def test_masks_are_rows():
    mask = ROWS < 40
    by_mask, by_rows = fitted(train=mask), fitted(train=ROWS[:40])
    assert by_mask.about["n_train"] == 40
    np.testing.assert_array_equal(by_mask.predict(SIGNALS, ~mask), by_rows.predict(SIGNALS, ROWS[40:]))
    np.testing.assert_array_equal(TASK.predict([by_rows], mask).ids, SIGNALS.table.index[mask])


def test_signals_of_float64_are_predicted_as_those_of_float32():
    signals = SIGNALS.physical()
    np.testing.assert_array_equal(predict_signals(NET, signals.astype(float)), predict_signals(NET, signals))


def test_out_of_fold_predictions_are_scored_in_their_own_order():
    """The truth of all recordings in the table's order, in place of theirs, once gave another score unnoticed."""
    task = Task(SIGNALS.take(SIGNALS.table.fold < 10), TARGETS[SIGNALS.table.fold < 10])
    found = task.out_of_fold("student-4k", SHORT)
    assert len(found.truth) == len(task.targets) and not np.array_equal(found.truth, task.targets)
    np.testing.assert_array_equal(found.truth, task.targets[task.rows])
    np.testing.assert_array_equal(found.ids, task.recordings.table.index[task.rows])
    once = np.ones((1, len(task.rows)))
    (expected,) = scores.macro_auroc(task.targets[task.rows], found.mean, once)
    assert scores.interval(scores.macro_auroc, found).value == pytest.approx(expected)


def test_recordings_of_the_types_that_the_library_makes_are_taken():
    for signals in (SIGNALS.signals, SIGNALS.physical(), SIGNALS.signals.astype(">i2").astype("<i2")):
        assert isinstance(replace(SIGNALS, signals=signals), Recordings)
