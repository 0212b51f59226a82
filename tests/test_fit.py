from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import average_precision_score
from torch.nn.functional import binary_cross_entropy_with_logits

from biosignals.data.recordings import Recordings
from biosignals.training import fit as training
from biosignals.training import predict as prediction
from biosignals.training.recipe import Recipe

SHORT = Recipe(epochs=2, batch_size=16, crop=100)


def recordings(count=60, samples=150, seed=0):
    """Two leads of noise at 1000 counts per mV; where the label is 1, lead 1 beats."""
    rng = np.random.default_rng(seed)
    targets = np.eye(2)[rng.integers(0, 2, count)].astype(np.float32)
    signals = rng.normal(0, 300, (count, 2, samples))
    signals[targets[:, 1] > 0, 0] += 2000 * (np.arange(samples) % 25 < 4)
    table = pd.DataFrame({"subject": range(count), "samples": samples, "fold": np.arange(count) % 10 + 1})
    return Recordings("ptb-xl", signals.astype(np.int16), 0.001, "mV", 100.0, ("I", "II"), table), targets


@pytest.fixture
def counted(monkeypatch):
    """How many fits were really trained."""
    fits, train = [], training._train
    monkeypatch.setattr(training, "_train", lambda *args: (fits.append(args[0]), train(*args)))
    return fits


def fit(cache, data=None, recipe=SHORT, seed=0, train=range(40), validation=range(40, 60), **options):
    signals, targets = data or recordings()
    validation = None if validation is None else np.array(validation)
    return training.fit(
        "student-57k", signals, targets, np.array(train), validation, recipe, cache, seed, **options
    )  # fmt: skip


def test_a_net_learns_what_is_there_to_learn(tmp_path):
    data = recordings()
    found = fit(tmp_path, data, Recipe(epochs=12, batch_size=16, crop=100))
    assert found.history.validation_auroc.max() > 0.95
    assert found.history.training_loss.iloc[-1] < found.history.training_loss.iloc[0]
    probabilities = prediction.predict(found.net, data[0], np.arange(40, 60), crop=100)
    assert probabilities.shape == (20, 2) and 0 <= probabilities.min() and probabilities.max() <= 1


def test_the_best_epoch_is_kept(tmp_path):
    data = recordings()
    found = fit(tmp_path, data, Recipe(epochs=6, batch_size=16, crop=100, learning_rate=0.03))
    score = training.MultilabelAUROC(2)(
        torch.from_numpy(prediction.predict(found.net, data[0], np.arange(40, 60), crop=100)),
        torch.from_numpy(data[1][40:]).int(),
    )
    assert float(score) == pytest.approx(found.history.validation_auroc.max(), abs=1e-4)


def test_a_finished_fit_is_found_again_and_is_the_same(tmp_path, counted):
    first, second = fit(tmp_path), fit(tmp_path)
    assert len(counted) == 1
    for ours, theirs in zip(first.net.state_dict().values(), second.net.state_dict().values(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    pd.testing.assert_frame_equal(first.history, second.history)


def test_other_data_recipe_seed_or_code_is_another_fit(tmp_path, counted, monkeypatch):
    fit(tmp_path)
    fit(tmp_path, recordings(seed=1))
    fit(tmp_path, recipe=Recipe(epochs=2, batch_size=16, crop=90))
    fit(tmp_path, seed=1)
    fit(tmp_path, validation=None)
    monkeypatch.setattr(training, "_code", lambda module: "changed")
    fit(tmp_path)
    assert len(counted) == 6


def test_comments_and_docstrings_are_not_code(tmp_path, monkeypatch):
    module = tmp_path / "some_net.py"
    monkeypatch.syspath_prepend(tmp_path)
    module.write_text('"""A net."""\n\ndef f():\n    """Do."""\n    return 1\n')
    before = training._code("some_net")
    module.write_text('"""A good net."""\n\ndef f():\n    """Do it."""\n    return 1  # one\n')
    assert training._code("some_net") == before
    module.write_text('"""A net."""\n\ndef f():\n    """Do."""\n    return 2\n')
    assert training._code("some_net") != before


def test_one_seed_gives_equal_fits(tmp_path):
    one, other = fit(tmp_path / "one"), fit(tmp_path / "other")
    pd.testing.assert_frame_equal(one.history, other.history)
    assert not fit(tmp_path / "one", seed=1).history.equals(one.history)


@pytest.mark.parametrize("one_cycle", [True, False])
def test_the_learning_rate_goes_round_once_or_stays(tmp_path, monkeypatch, one_cycle):
    rates, step = [], training.TrainingModule.training_step

    def watch(learner, batch):
        rates.append(learner.trainer.optimizers[0].param_groups[0]["lr"])
        return step(learner, batch)

    monkeypatch.setattr(training.TrainingModule, "training_step", watch)
    fit(tmp_path, recipe=replace(SHORT, epochs=10, one_cycle=one_cycle))
    highest = np.argmax(rates)
    assert len(rates) == 20 and max(rates) == pytest.approx(1e-2, rel=0.05)
    if one_cycle:
        assert 0 < highest < 10 and rates[0] < 1e-3 and rates[-1] < 1e-3
    else:
        assert set(rates) == {1e-2}


@pytest.mark.parametrize("validation", [None, range(40, 60)])
@pytest.mark.parametrize("model", ["student-57k", "resnet1d-wang", "tcn", "s4"])
def test_dropout_and_batch_norm_work_while_a_net_learns_and_rest_while_it_is_asked(
    tmp_path, monkeypatch, model, validation
):
    modes = {"training": [], "validation": []}

    def watched(part, step):
        def watch(learner, batch):
            modes[part] += [module.training for module in learner.net.modules()]
            return step(learner, batch)

        return watch

    for part in modes:
        step = getattr(training.TrainingModule, f"{part}_step")
        monkeypatch.setattr(training.TrainingModule, f"{part}_step", watched(part, step))
    rows = None if validation is None else np.array(validation)
    found = training.fit(model, *recordings(), np.arange(40), rows, SHORT, tmp_path)
    assert all(modes["training"]) and not any(modes["validation"])
    assert not any(module.training for module in found.net.modules())
    for norm in (module for module in found.net.modules() if isinstance(module, torch.nn.BatchNorm1d)):
        assert norm.num_batches_tracked in (2, 4) and not torch.allclose(norm.running_var, torch.ones(()))


def test_a_fit_that_was_interrupted_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(
        training.TrainingModule, "on_train_epoch_end", lambda self: (_ for _ in ()).throw(RuntimeError("cut"))
    )
    with pytest.raises(RuntimeError, match="cut"):
        fit(tmp_path)
    assert not list(tmp_path.iterdir())


def test_patience_ends_a_fit_early(tmp_path):
    found = fit(tmp_path, recipe=Recipe(epochs=40, batch_size=16, crop=100, patience=1))
    assert len(found.history) < 40


def test_without_validation_the_last_epoch_is_kept(tmp_path):
    assert list(fit(tmp_path, validation=None).history.columns) == ["training_loss"]


def test_extra_targets_help_to_learn_but_are_not_scored(tmp_path):
    signals, targets = recordings()
    extra = np.hstack([targets, np.zeros_like(targets)])  # a class without positives has no AUROC
    found = fit(tmp_path, (signals, extra), n_scored_targets=2)
    assert found.history.validation_auroc.notna().all()
    assert prediction.predict(found.net, signals, np.arange(5), crop=100).shape == (5, 4)


def test_mixup_mixes_signals_and_labels_alike():
    torch.manual_seed(0)
    y = torch.rand(8, 3)
    x = y[:, :1, None].expand(8, 2, 10)
    mixed_x, mixed_y, said = training._mix(x, y, 2 * y, 0.4)
    torch.testing.assert_close(mixed_x[:, 0, 0], mixed_y[:, 0])
    torch.testing.assert_close(said, 2 * mixed_y)
    assert not torch.equal(mixed_y, y)


def test_a_net_in_place_of_a_name_is_trained_further(tmp_path, counted):
    data = recordings()
    started = fit(tmp_path, data)
    still = Recipe(epochs=1, batch_size=16, crop=100, learning_rate=1e-12, weight_decay=0)
    further = [
        training.fit(started.net, *data, np.arange(40), None, recipe, tmp_path)
        for recipe in (still, still, replace(still, learning_rate=1e-2))
    ]
    assert len(counted) == 3  # the second was found again
    weight = started.net.net.head.weight
    torch.testing.assert_close(further[0].net.net.head.weight, weight, atol=1e-6, rtol=0)
    assert not torch.allclose(further[2].net.net.head.weight, weight, atol=1e-4)
    assert further[2].net.deviation == started.net.deviation
    other = fit(tmp_path, data, seed=1)
    training.fit(other.net, *data, np.arange(40), None, still, tmp_path)
    assert len(counted) == 5


def test_normalisation_is_inside_the_net(tmp_path):
    found = fit(tmp_path)
    signals, _ = recordings()
    assert float(found.net.mean) == pytest.approx(signals.physical(range(40)).mean(), abs=1e-6)
    assert float(found.net.deviation) == pytest.approx(signals.physical(range(40)).std(), rel=1e-3)


def test_what_cannot_be_trained_on_is_refused(tmp_path):
    signals, targets = recordings()
    with pytest.raises(ValueError, match="no recordings to train on"):
        fit(tmp_path, train=np.array([], int))
    with pytest.raises(ValueError, match="59 rows of targets for 60"):
        fit(tmp_path, (signals, targets[:59]))
    with pytest.raises(ValueError, match="targets hold NaN"):
        fit(tmp_path, (signals, targets * np.nan))
    with pytest.raises(ValueError, match="between 0 and 1"):
        fit(tmp_path, (signals, targets * 2))
    broken = Recordings(
        "ptb-xl", signals.signals * np.float32(np.nan), 1.0, "mV", 100.0, ("I", "II"), signals.table
    )
    with pytest.raises(ValueError, match="NaN"):
        fit(tmp_path, (broken, targets))


@dataclass(frozen=True)
class Scaled:
    """A loss and an augmentation with one number each, as a recipe takes them."""

    factor: float = 1.0

    def __call__(self, x, targets=None):
        return self.factor * (x if targets is None else binary_cross_entropy_with_logits(x, targets))


def test_a_recipes_loss_and_augmentation_are_used_and_tell_fits_apart(tmp_path, counted):
    plain = fit(tmp_path).history.training_loss
    doubled = fit(tmp_path, recipe=replace(SHORT, loss=Scaled(2.0))).history.training_loss
    assert doubled[1] == pytest.approx(2 * plain[1], rel=0.2)
    silenced = fit(tmp_path, recipe=replace(SHORT, augment=Scaled(0.0))).history.training_loss
    assert silenced[2] != plain[2]
    fit(tmp_path, recipe=replace(SHORT, loss=Scaled(2.0)))
    assert len(counted) == 3


def test_balanced_batches_hold_as_many_positives_as_negatives(tmp_path):
    signals, _ = recordings(count=400)
    rare = np.zeros((400, 1), np.float32)
    rare[::20] = 1
    task = training.TrainingData(signals, rare, None, np.arange(400), np.array([], int), 1)
    torch.manual_seed(0)
    shares = [
        float(torch.cat([y for _, _, y, _ in training._training_loader(task, replace(SHORT, balanced=balanced))]).mean())
        for balanced in (True, False)
    ]
    assert shares == [pytest.approx(0.5, abs=0.1), pytest.approx(0.05, abs=0.01)]


def test_exclusive_classes_share_one_probability(tmp_path):
    signals, _ = recordings()
    found = fit(tmp_path, recipe=replace(SHORT, multiclass=True, epochs=6))
    p = prediction.predict(found.net, signals, np.arange(40, 60), crop=100, multiclass=True)
    np.testing.assert_allclose(p.sum(1), 1, atol=1e-6)
    assert found.history.validation_auroc.max() > 0.8


def test_a_second_input_can_hold_all_there_is_to_learn(tmp_path):
    signals, targets = recordings(count=200)
    silent = replace(signals, signals=np.random.default_rng(1).integers(-9, 9, signals.signals.shape).astype(np.int16))
    features = targets[:, 1:] + np.random.default_rng(0).normal(0, 0.1, (200, 3)).astype(np.float32)
    rows, recipe = np.arange(200), Recipe(epochs=8, batch_size=16, crop=None)
    options = {"features": features.astype(np.float32)}
    found = training.fit("resnet1d-rhythm", silent, targets, rows[:150], rows[150:], recipe, tmp_path, **options)
    assert found.history.validation_auroc.max() > 0.95
    scrambled = {"features": np.roll(options["features"], 1, axis=0)}
    p, q = (prediction.predict(found.net, silent, rows[150:], **chosen) for chosen in (options, scrambled))
    assert not np.allclose(p, q)
    with pytest.raises(ValueError, match="199 rows of features"):
        training.fit("resnet1d-rhythm", silent, targets, rows, None, recipe, tmp_path, features=features[1:])


def test_epochs_are_reported_and_the_report_may_end_the_fit(tmp_path):
    told = []
    fit(tmp_path, report=lambda epoch, scores: told.append((epoch, sorted(scores))))
    assert told == [(i, ["validation_auprc", "validation_auroc", "validation_loss"]) for i in (1, 2)]

    def stop(epoch, scores):
        raise StopAsking

    with pytest.raises(StopAsking):
        fit(tmp_path, seed=1, report=stop)


class StopAsking(Exception):
    pass


def test_the_best_epoch_may_be_chosen_by_precision_and_recall(tmp_path):
    found = fit(tmp_path, recipe=replace(SHORT, epochs=5, choose_by="auprc", learning_rate=0.03))
    signals, targets = recordings()
    p = prediction.predict(found.net, signals, np.arange(40, 60), crop=100)
    best = average_precision_score(targets[40:], p)
    assert best == pytest.approx(found.history.validation_auprc.max(), abs=1e-4)
