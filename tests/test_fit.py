import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from sklearn.metrics import average_precision_score
from torch.nn.functional import binary_cross_entropy_with_logits
from torchmetrics.classification import MultilabelAUROC

from biosignals.caching import Cache, temporary_folder
from biosignals.data.recordings import Recordings
from biosignals.training import fit as training
from biosignals.training import loop
from biosignals.training.recipe import OPTIMIZERS, Recipe

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
    monkeypatch.setattr(training, "_train", lambda one: fits.append(one) or train(one))
    return fits


def fit(
    folder,
    data=None,
    recipe=SHORT,
    seed=0,
    train=range(40),
    validation=range(40, 60),
    model="student-57k",
    report=None,
    **more,
):
    signals, targets = data or recordings()
    validation = None if validation is None else np.array(validation)
    data = training.TrainingData(signals, targets, np.array(train), validation, **more)
    return training.fit(model, data, recipe, seed, None if folder is None else Cache(folder), report)


def test_a_net_learns_what_is_there_to_learn(tmp_path):
    data = recordings()
    found = fit(tmp_path, data, Recipe(epochs=12, batch_size=16, crop=100))
    assert found.history.validation_auroc.max() > 0.95
    assert found.history.training_loss.iloc[-1] < found.history.training_loss.iloc[0]
    p = found.predict(data[0], np.arange(40, 60))
    assert p.shape == (20, 2) and 0 <= p.min() and p.max() <= 1


def test_the_best_epoch_is_kept(tmp_path):
    data = recordings()
    found = fit(tmp_path, data, Recipe(epochs=6, batch_size=16, crop=100, learning_rate=0.03))
    score = MultilabelAUROC(2)(
        torch.from_numpy(found.predict(data[0], np.arange(40, 60))),
        torch.from_numpy(data[1][40:]).int(),
    )
    assert float(score) == pytest.approx(found.history.validation_auroc.max(), abs=1e-4)


def test_a_finished_fit_is_found_again_and_is_the_same(tmp_path, counted):
    first, second = fit(tmp_path), fit(tmp_path)
    assert len(counted) == 1
    for ours, theirs in zip(first.net.state_dict().values(), second.net.state_dict().values(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    pd.testing.assert_frame_equal(first.history, second.history)


def test_without_a_cache_a_fit_is_trained_once(counted):
    fitted = fit(None)
    fitted.export(weights=True)
    fitted.predict(recordings()[0], np.arange(5), export=True)
    assert len(fitted.history) == 2 and len(counted) == 1


def test_other_data_recipe_or_seed_is_another_fit(tmp_path, counted):
    fit(tmp_path)
    fit(tmp_path, recordings(seed=1))
    fit(tmp_path, recipe=Recipe(epochs=2, batch_size=16, crop=90))
    fit(tmp_path, seed=1)
    fit(tmp_path, validation=None)
    fit(tmp_path)
    assert len(counted) == 5


def test_one_seed_gives_equal_fits(tmp_path):
    one, other = fit(tmp_path / "one"), fit(tmp_path / "other")
    pd.testing.assert_frame_equal(one.history, other.history)
    assert not fit(tmp_path / "one", seed=1).history.equals(one.history)


@pytest.mark.parametrize("one_cycle", [True, False])
def test_the_learning_rate_goes_round_once_or_stays(tmp_path, monkeypatch, one_cycle):
    rates, step = [], loop.TrainingModule.training_step

    def watch(module, batch):
        rates.append(module.trainer.optimizers[0].param_groups[0]["lr"])
        return step(module, batch)

    monkeypatch.setattr(loop.TrainingModule, "training_step", watch)
    fit(tmp_path, recipe=replace(SHORT, epochs=10, one_cycle=one_cycle))
    highest = np.argmax(rates)
    assert len(rates) == 20 and max(rates) == pytest.approx(1e-2, rel=0.05)
    if one_cycle:
        assert 0 < highest < 10 and rates[0] < 1e-3 and rates[-1] < 1e-3
    else:
        assert set(rates) == {1e-2}


@pytest.mark.parametrize("validation", [None, range(40, 60)])
@pytest.mark.parametrize("model", ["student-57k", "resnet1d-wang", "tcn", "s4"])
def test_dropout_and_batch_norm_work_while_a_net_learns_and_rest_while_it_predicts(
    tmp_path, monkeypatch, model, validation
):
    modes = {"training": [], "validation": []}

    def watched(part, step):
        def watch(module, batch):
            modes[part] += [layer.training for layer in module.net.modules()]
            return step(module, batch)

        return watch

    for part in modes:
        step = getattr(loop.TrainingModule, f"{part}_step")
        monkeypatch.setattr(loop.TrainingModule, f"{part}_step", watched(part, step))
    found = fit(tmp_path, validation=validation, model=model)
    assert all(modes["training"]) and not any(modes["validation"])
    assert not any(module.training for module in found.net.modules())
    for norm in (module for module in found.net.modules() if isinstance(module, torch.nn.BatchNorm1d)):
        assert norm.num_batches_tracked in (2, 4) and not torch.allclose(norm.running_var, torch.ones(()))


def test_a_fit_that_was_interrupted_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(
        loop.Progress, "on_train_epoch_end", lambda *_: (_ for _ in ()).throw(RuntimeError("cut"))
    )
    with pytest.raises(RuntimeError, match="cut"):
        fit(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_fit_works_in_a_temporary_folder_that_others_know_to_be_in_use(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    seen = []

    def report(epoch, scores):
        seen.extend(tmp_path.iterdir())
        with temporary_folder():  # as another process begins, which removes what is not in use
            assert seen[0].is_dir()

    fit(None, report=report)
    assert seen and list(tmp_path.iterdir()) == []


def test_patience_ends_a_fit_early(tmp_path):
    found = fit(tmp_path, recipe=Recipe(epochs=40, batch_size=16, crop=100, patience=1))
    assert len(found.history) < 40


def test_on_a_plateau_the_learning_rate_falls(tmp_path, monkeypatch):
    rates = []
    step = loop.TrainingModule.training_step

    def noted(module, batch):
        rates.append(module.optimizers().param_groups[0]["lr"])
        return step(module, batch)

    monkeypatch.setattr(loop.TrainingModule, "training_step", noted)
    falling = Recipe(epochs=12, batch_size=40, crop=100, one_cycle=False, patience=12, plateau=1)
    fit(None, recipe=falling)
    found = sorted(set(np.round(np.log10(rates), 6)), reverse=True)
    assert found[0] == -2 and len(found) > 1
    assert np.allclose(np.diff(found), -1)


def test_a_plateau_needs_records_to_see_it_by():
    with pytest.raises(ValueError, match="one_cycle=False, and a patience"):
        Recipe(plateau=3)
    with pytest.raises(ValueError, match="give validation records"):
        fit(None, recipe=Recipe(crop=100, one_cycle=False, patience=3, plateau=1), validation=None)


def test_without_validation_the_last_epoch_is_kept(tmp_path):
    assert list(fit(tmp_path, validation=None).history.columns) == ["training_loss"]


def test_an_average_of_the_weights_is_that_of_all_steps(tmp_path):
    # Without a schedule, a fit of three steps begins as one of two.
    plain = Recipe(epochs=1, batch_size=40, crop=None, one_cycle=False, learning_rate=0.01)
    steps = []
    for epochs in (1, 2, 3, 4):
        found = fit(tmp_path, recipe=replace(plain, epochs=epochs), model="resnet1d-small", validation=None)
        steps.append(found.net.state_dict())
    averaged = fit(
        tmp_path, recipe=replace(plain, epochs=4, weight_average=0.9), model="resnet1d-small", validation=None
    )
    assert not torch.equal(averaged.net.state_dict()["net.body.0.weight"], steps[3]["net.body.0.weight"])
    for name, value in averaged.net.state_dict().items():
        if value.dtype.is_floating_point:
            expected = steps[0][name]
            for step in steps[1:]:
                expected = 0.9 * expected + 0.1 * step[name]
            torch.testing.assert_close(value, expected, atol=1e-4, rtol=1e-3)


def test_extra_targets_help_to_learn_but_are_not_scored(tmp_path):
    signals, targets = recordings()
    extra = np.hstack([targets, np.zeros_like(targets)])  # a class without positives has no AUROC
    found = fit(tmp_path, (signals, extra), n_scored_targets=2)
    assert found.history.validation_auroc.notna().all()
    assert found.predict(signals, np.arange(5)).shape == (5, 4)


def test_mixup_mixes_signals_and_labels_alike():
    torch.manual_seed(0)
    y = torch.rand(8, 3)
    x = y[:, :1, None].expand(8, 2, 10)
    mixed_x, mixed_y, outputs = loop._mix(x, y, 2 * y, 0.4)
    torch.testing.assert_close(mixed_x[:, 0, 0], mixed_y[:, 0])
    torch.testing.assert_close(outputs, 2 * mixed_y)
    assert not torch.equal(mixed_y, y)


def test_a_net_in_place_of_a_name_is_trained_further(tmp_path, counted):
    data = recordings()
    started = fit(tmp_path, data)
    still = Recipe(epochs=1, batch_size=16, crop=100, learning_rate=1e-12, weight_decay=0)
    further = [
        fit(tmp_path, data, recipe, validation=None, model=started.net)
        for recipe in (still, still, replace(still, learning_rate=1e-2))
    ]
    assert len(counted) == 3  # the second was found again
    weight = started.net.net.head.weight
    torch.testing.assert_close(further[0].net.net.head.weight, weight, atol=1e-6, rtol=0)
    assert not torch.allclose(further[2].net.net.head.weight, weight, atol=1e-4)
    assert further[2].net.deviation == started.net.deviation
    other = fit(tmp_path, data, seed=1)
    fit(tmp_path, data, still, validation=None, model=other.net)
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
    with pytest.raises(ValueError, match=r"targets must be \(60 recordings, ...\), not \(59, 2\)"):
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
    shares = []
    for balanced in (True, False):
        data = training.TrainingData(signals, rare, np.arange(400))
        net = training.build("student-57k", data, SHORT, 0)
        recipe = replace(SHORT, balanced=balanced)
        module = loop.TrainingModule(net, net, data, recipe, 0, None)
        module.trainer = SimpleNamespace(world_size=1, global_rank=0)
        shares.append(float(torch.cat([y for _, _, y, _ in module.train_dataloader()]).mean()))
    assert shares == [pytest.approx(0.5, abs=0.1), pytest.approx(0.05, abs=0.01)]


def test_classes_that_exclude_each_other_share_one_probability(tmp_path):
    signals, _ = recordings()
    found = fit(tmp_path, recipe=replace(SHORT, multiclass=True, epochs=6))
    p = found.predict(signals, np.arange(40, 60))
    np.testing.assert_allclose(p.sum(1), 1, atol=1e-6)
    assert found.history.validation_auroc.max() > 0.8


def test_a_second_input_can_hold_all_there_is_to_learn(tmp_path):
    signals, targets = recordings(count=200)
    silent = replace(
        signals, signals=np.random.default_rng(1).integers(-9, 9, signals.signals.shape).astype(np.int16)
    )
    features = targets[:, 1:] + np.random.default_rng(0).normal(0, 0.1, (200, 3)).astype(np.float32)
    rows, recipe = np.arange(200), Recipe(epochs=8, batch_size=16, crop=None)
    features = features.astype(np.float32)
    task = {"data": (silent, targets), "recipe": recipe, "train": rows[:150], "validation": rows[150:]}
    found = fit(tmp_path, model="resnet1d-rhythm", features=features, **task)
    assert found.history.validation_auroc.max() > 0.95
    p, q = (found.predict(silent, rows[150:], chosen) for chosen in (features, np.roll(features, 1, axis=0)))
    assert not np.allclose(p, q)
    with pytest.raises(ValueError, match=r"features must be \(200 recordings, ...\), not \(199, 3\)"):
        fit(tmp_path, model="resnet1d-rhythm", features=features[1:], **task)


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
    p = found.predict(signals, np.arange(40, 60))
    best = average_precision_score(targets[40:], p)
    assert best == pytest.approx(found.history.validation_auprc.max(), abs=1e-4)


@pytest.mark.parametrize("missing", ["positives", "negatives"])
def test_validation_records_of_one_class_are_refused(tmp_path, missing):
    signals, _ = recordings()
    one = np.zeros((60, 1), np.float32)
    one[:40:2] = 1
    one[40:] = missing == "negatives"
    with pytest.raises(ValueError, match="20 validation records all or none are of class 0: no best epoch"):
        fit(tmp_path, (signals, one))
    found = fit(tmp_path, (signals, one), validation=None)
    assert len(found.history) == 2 and list(found.history) == ["training_loss"]


def test_a_class_that_only_helps_to_learn_may_be_missing_from_validation(tmp_path):
    signals, targets = recordings()
    found = fit(tmp_path, (signals, np.hstack([targets, 0 * targets])), n_scored_targets=2)
    assert found.history.validation_auroc.between(0, 1).all()


@pytest.mark.slow
def test_signals_stay_in_their_memory_map(tmp_path):
    """A fit holds neither a copy of the signals nor their pages."""
    script = """
import sys
from pathlib import Path
import numpy as np, pandas as pd, psutil
from biosignals.caching import Cache, temporary_folder
from biosignals.data.recordings import Recordings
from biosignals.training.fit import TrainingData, fit
from biosignals.training.recipe import Recipe
n, folder = 4000, Path(sys.argv[1])
shape = (n, 12, 5000)
signals = np.memmap(folder / "signals.bin", "<i2", "w+", shape=shape)
for row in signals:
    row[:] = np.random.default_rng(0).integers(-500, 500, shape[1:])
del signals
signals = np.memmap(folder / "signals.bin", "<i2", "r", shape=shape)
table = pd.DataFrame({"subject": range(n), "samples": 5000, "fold": 1})
found = Recordings("ptb-xl", signals, .001, "mV", 500.0, tuple("abcdefghijkl"), table)
targets = (np.arange(n)[:, None] % 2).astype(np.float32)
recipe = Recipe(epochs=1, batch_size=64, crop=250)
process = psutil.Process()
few = TrainingData(found, targets, np.arange(256))
fit("student-4k", few, recipe, cache=Cache(folder / "few"))
before = process.memory_info().rss
highest, module = [0], __import__("biosignals.training.loop", fromlist=["x"])
step = module.TrainingModule.training_step
def watched(self, batch):
    highest[0] = max(highest[0], process.memory_info().rss)
    return step(self, batch)
module.TrainingModule.training_step = watched
fit("student-4k", TrainingData(found, targets, np.arange(n)), recipe, cache=Cache(folder / "all"))
print((highest[0] - before) / 2**20)
"""
    result = subprocess.run(
        [sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True
    )
    assert float(result.stdout) < 200  # the signals have 458 MiB


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(tmp_path):
    """Gradients of a batch that two CPU processes share are averaged (gloo): as one process, but for rounding."""
    script = """
import sys
import numpy as np, torch
from torch import nn
sys.path.insert(0, sys.argv[1])
from test_fit import recordings
from biosignals.training.fit import TrainingData, fit
from biosignals.training.recipe import Recipe
if __name__ == "__main__":
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv1d(2, 4, 9), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 2))
    found, targets = recordings()
    data = TrainingData(found, targets, np.arange(40), np.arange(40, 60))
    recipe = Recipe(epochs=3, batch_size=10, crop=100)
    two = {"accelerator": "cpu", "devices": 2, "strategy": "ddp_spawn"}
    fits = [fit(net, data, recipe, trainer=options) for options in ({"accelerator": "cpu"}, two)]
    weights = [torch.cat([value.flatten() for value in one.net.state_dict().values()]) for one in fits]
    print(float((weights[0] - weights[1]).abs().max()))
    print(float((fits[0].history.validation_auroc - fits[1].history.validation_auroc).abs().max()))
"""
    (tmp_path / "script.py").write_text(script)
    command = [sys.executable, str(tmp_path / "script.py"), str(Path(__file__).parent)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    weights, scores = map(float, result.stdout.split())
    assert weights < 1e-4 and scores < 1e-3


def test_a_logger_of_lightning_follows_the_epochs_and_leaves_the_key_alone(tmp_path):
    found, targets = recordings()
    data = training.TrainingData(found, targets, np.arange(40), np.arange(40, 60))
    recipe, cache = Recipe(epochs=2, batch_size=10, crop=100), Cache(tmp_path / "cache")
    logger = CSVLogger(tmp_path / "logs")
    logged = training.fit("student-4k", data, recipe, cache=cache, trainer={"logger": logger})
    assert logged.key == training.Fit("student-4k", data, recipe, cache=cache).key
    (file,) = (tmp_path / "logs").rglob("metrics.csv")
    columns = pd.read_csv(file)
    for name in ("training_loss", "validation_loss", "validation_auroc"):
        np.testing.assert_allclose(columns[name].dropna(), logged.history[name], rtol=1e-4)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_learns(optimizer):
    rate = {"adadelta": 1.0, "sgd": 0.1}.get(optimizer, 0.01)
    found = fit(None, recipe=replace(SHORT, epochs=8, optimizer=optimizer, learning_rate=rate))
    losses = found.history.training_loss
    assert losses.iloc[-1] < 0.8 * losses.iloc[0]


def test_records_of_one_class_cannot_be_balanced():
    _, targets = recordings()
    only = np.flatnonzero(targets[:, 0] == 0)[:10]
    with pytest.raises(ValueError, match="all of one class"):
        fit(None, recipe=replace(SHORT, balanced=True), train=only)
    with pytest.raises(ValueError, match="all of one class"):
        fit(None, recipe=replace(SHORT, balanced=True, multiclass=True), train=only)
