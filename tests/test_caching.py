"""Keys tell apart what makes other numbers, and nothing else; entries are whole, or are computed again."""

import functools
import sys
import types
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import expit
from torch import nn

from biosignals import caching, models
from biosignals.caching import Cache, Key, Local, Rows
from biosignals.models.cnn_family import CnnFamily
from biosignals.training import augmentation, losses, predict
from biosignals.training.fit import TrainingData, fit
from biosignals.training.recipe import Recipe
from test_fit import recordings

SHORT = Recipe(epochs=1, batch_size=16, crop=None)


def defined(source: str, name: str, module: str = "__main__"):
    """What a notebook's cell defines under `name`: no file holds its source."""
    cell = types.ModuleType(module)
    cell.__dict__.update({"nn": nn, "torch": torch, "np": np, "dataclass": dataclass, "functools": functools})
    exec(source, cell.__dict__)  # noqa: S102 (as a notebook's cell)
    return getattr(cell, name)


# Faults of the first edition: fits that were taken for others


def fitted(cache, model="student-57k", recipe=SHORT, **changes):
    found, targets = recordings(32)
    data = TrainingData(found, targets, np.arange(32), **changes)
    return fit(model, data, recipe, cache=cache)


def test_a_changed_constructor_argument_in_the_registry_is_another_fit(tmp_path, monkeypatch):
    cache = Cache(tmp_path)
    before = fitted(cache)
    monkeypatch.setitem(models._CONSTRUCTORS, "student-57k", partial(CnnFamily, widths=(16, 48, 97)))
    assert fitted(cache).key != before.key
    assert models.parameter_count(fitted(cache).net) != models.parameter_count(before.net)


def test_another_mean_over_crops_is_another_fit_and_another_prediction(tmp_path, monkeypatch):
    cache, recipe = Cache(tmp_path), replace(SHORT, crop=100)
    found, _ = recordings(32)
    before = fitted(cache, recipe=recipe)
    probabilities = before.predict(found, np.arange(8))
    original = predict.overlapping_crops
    monkeypatch.setattr(predict, "overlapping_crops", lambda x, crop, step: original(x, crop, step)[:1])
    assert fitted(cache, recipe=recipe).key != before.key
    assert not np.allclose(before.predict(found, np.arange(8)), probabilities)


def test_losses_with_other_settings_are_other_fits():
    weights = [nn.BCEWithLogitsLoss(pos_weight=torch.tensor(weight)) for weight in (1.0, 50.0)]
    assert Key.of(weights[0]) != Key.of(weights[1])
    assert Key.of(weights[0]) == Key.of(nn.BCEWithLogitsLoss(pos_weight=torch.tensor(1.0)))
    assert Key.of(losses.Focal(2.0)) != Key.of(losses.Focal(1.0))


@pytest.mark.parametrize(
    "source",
    [
        "class Thing(nn.Module):\n    def forward(self, x):\n        return self.scale(x)\n    def scale(self, x):\n        return 2 * x",
        "def double(x):\n    return 2 * x\nclass Thing(nn.Module):\n    def forward(self, x):\n        return double(x)",
        "FACTOR = 2\nclass Thing(nn.Module):\n    def forward(self, x):\n        return FACTOR * x",
        "class Base(nn.Module):\n    def forward(self, x):\n        return 2 * x\nclass Thing(Base):\n    pass",
        "class Thing(nn.Module):\n    factor = 2\n    def forward(self, x):\n        return self.factor * x",
    ],
)
def test_a_net_of_a_notebook_that_is_edited_is_another_net(source):
    first, again, edited = (defined(text, "Thing")() for text in (source, source, source.replace("2", "3")))
    assert Key.of(first) == Key.of(again) != Key.of(edited)
    assert Key.of(first, portable=True).portable != Key.of(edited, portable=True).portable


@pytest.mark.parametrize(
    "source",
    [
        "def loss(logits, targets):\n    return 2 * (logits - targets).square().mean()",
        "loss = lambda logits, targets: 2 * (logits - targets).square().mean()",
        "@dataclass(frozen=True)\nclass Loss:\n    weight: float = 2\n    def __call__(self, a, b):\n        return self.weight * (a - b).mean()\nloss = Loss()",
        "def weighted(weight):\n    def inner(a, b):\n        return weight * (a - b).mean()\n    return inner\nloss = weighted(2)",
        "def scaled(a, b, weight):\n    return weight * (a - b).mean()\nloss = functools.partial(scaled, weight=2)",
    ],
)
def test_a_loss_of_a_notebook_that_is_edited_is_another_loss(source):
    first, again, edited = (defined(text, "loss") for text in (source, source, source.replace("2", "3")))
    assert Key.of(first) == Key.of(again) != Key.of(edited)
    assert Key.of(first, portable=True).portable != Key.of(edited, portable=True).portable


def test_a_function_is_a_loss(tmp_path):
    assert (
        fitted(
            Cache(tmp_path), recipe=replace(SHORT, loss=nn.functional.binary_cross_entropy_with_logits)
        ).seconds
        >= 0
    )


# What a key says, and what it does not


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"recipe": replace(SHORT, learning_rate=2e-3)},
        {"recipe": replace(SHORT, augment=augmentation.Noise(0.1))},
        {"recipe": replace(SHORT, loss=losses.Focal())},
        {"model": "student-23k"},
        {"rows": np.arange(1, 32)},
        {"targets": 1},
        {"signals": 1},
        {"scored": 1},
    ],
    ids=lambda change: next(iter(change)) + str(next(iter(change.values())))[:20],
)
def test_a_key_says_what_makes_the_numbers(change, tmp_path):
    from biosignals.training.fit import Fit

    def key(seed=0, recipe=SHORT, model="student-57k", rows=range(32), targets=0, signals=0, scored=None):
        found, labels = recordings(32)
        labels = labels.copy()
        labels[5, 0] = (labels[5, 0] + targets) % 2
        changed = found.signals.copy()
        changed[3, 0, 7] += signals
        data = TrainingData(replace(found, signals=changed), labels, rows, n_scored_targets=scored)
        return Fit(model, data, recipe, seed, Cache(tmp_path, tmp_path / "exported")).key

    assert key().exact == key().exact != key(**change).exact
    assert key().portable == key().portable != key(**change).portable


PLAIN = "def f(x, y=1):\n    return [x + y, 'text']"


@pytest.mark.parametrize(
    "other",
    [
        'def f(x, y=1):\n    """Add."""\n    return [x + y, "text"]',
        "# what it does\ndef f(\n    x,\n    y=1,\n):\n    # adds\n\n    return [\n        x + y,\n        'text',\n    ]",
        "def f(x: float, y: float = 1) -> list:\n    return [x + y, 'text']",
    ],
)
def test_docstrings_comments_and_formatting_leave_a_key_as_it_is(other):
    assert Key.of(defined(PLAIN, "f")) == Key.of(defined(other, "f"))
    wrapped = "class Net(nn.Module):\n    {}\n    def forward(self, x):\n        return x"
    documented, bare = (defined(wrapped.format(text), "Net") for text in ('"""A net."""', ""))
    assert Key.of(documented()) == Key.of(bare())


def test_a_renamed_file_leaves_a_key_as_it_is():
    assert Key.of(defined(PLAIN, "f", "first_name")) == Key.of(defined(PLAIN, "f", "second_name"))


IMPORTING = """
def f(x):
    import colorsys
    from biosignals.signals.filters import resample
    return colorsys.ONE_THIRD * resample(x, 200, 100)
"""


def test_what_a_function_imports_counts_whether_it_is_imported_already_or_not(monkeypatch):
    function = defined(IMPORTING, "f")
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    before = Key.of(function)
    function(np.zeros((3, 10)))
    assert Key.of(function) == before
    monkeypatch.setattr("biosignals.signals.filters.resample", lambda x, *_: x)
    assert Key.of(function) != before


def test_another_model_in_the_registry_leaves_a_key_as_it_is(tmp_path, monkeypatch):
    before = fitted(Cache(tmp_path)).key
    monkeypatch.setitem(models._CONSTRUCTORS, "mine", partial(CnnFamily, widths=(4, 4, 4)))
    assert fitted(Cache(tmp_path)).key == before


def test_large_arrays_count_by_their_rows_not_by_how_they_lie_in_memory(tmp_path):
    array = np.random.default_rng(0).integers(-99, 99, (600, 2, 10)).astype(np.int16)
    np.save(tmp_path / "x.npy", array)
    rows = np.arange(3, 599)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert (
        Key.of(Rows(array, rows))
        == Key.of(Rows(mapped, rows))
        == Key.of(Rows(np.asfortranarray(array), rows))
    )
    assert Key.of(Rows(array, rows)) != Key.of(Rows(array, rows[::-1]))


def test_equal_bytes_of_other_types_and_shapes_are_different():
    values = [
        0,
        0.0,
        False,
        "0",
        b"0",
        None,
        (0,),
        [[0]],
        {0: 0},
        {0},
        np.zeros(1),
        np.zeros((1, 1)),
        np.zeros(1, int),
    ]
    assert len({Key.of(value).exact for value in values}) == len(values)
    assert Key.of(["ab", "c"]) != Key.of(["a", "bc"])
    assert Key.of({"a", "b", "c"}) == Key.of({"c", "b", "a"})


def test_tables_count_by_their_names_and_values():
    table = pd.DataFrame({"a": [1.0, 2.0], "b": ["x", None]})
    assert Key.of(table) == Key.of(table.copy()) != Key.of(table.rename(columns={"a": "c"}))


def test_what_is_known_by_its_address_only_is_refused():
    with pytest.raises(TypeError, match="address"):
        Key.of(np.random.default_rng(0))


# Entries


def test_an_array_is_computed_once_and_read_from_then_on(tmp_path):
    cache, calls = Cache(tmp_path), []

    def compute():
        calls.append(1)
        return np.arange(3.0)

    for _ in range(2):
        np.testing.assert_array_equal(caching.fetch(cache, ("x", 1), compute), [0, 1, 2])
    caching.fetch(cache, ("x", 2), compute)
    assert len(calls) == 2


def test_no_cache_means_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert caching.fetch(None, ("x",), lambda: np.ones(2)).sum() == 2
    found = fitted(None)
    assert found.key is None and len(found.history) == 1 and found.net is found.net
    assert list(Path(tmp_path).iterdir()) == []


def test_a_table_comes_back_as_a_table(tmp_path):
    def features(x: np.ndarray) -> pd.DataFrame:
        return pd.DataFrame({"mean": x.mean(1), "sd": x.std(1)}, dtype=np.float32)

    x = np.random.default_rng(0).normal(size=(5, 9))
    for _ in range(2):
        pd.testing.assert_frame_equal(caching.call(Cache(tmp_path), features, x), features(x))


@pytest.mark.parametrize(
    "damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b[:60] + b"\xff" * 9 + b[69:]]
)
def test_a_damaged_entry_is_computed_again(tmp_path, damage):
    cache = Cache(tmp_path)
    caching.fetch(cache, ("x",), lambda: np.arange(1000.0))
    (file,) = tmp_path.glob("*.npz")
    file.write_bytes(damage(file.read_bytes()))
    np.testing.assert_array_equal(caching.fetch(cache, ("x",), lambda: np.zeros(3)), np.zeros(3))
    np.testing.assert_array_equal(caching.fetch(cache, ("x",), lambda: pytest.fail("again")), np.zeros(3))


def test_what_was_not_finished_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), caching.writing(tmp_path / "file.txt") as unfinished:
        unfinished.write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


# Entries that travel with the project


def test_another_processor_finds_an_exported_entry_by_nearly_the_same_numbers(tmp_path):
    here, there = Cache(tmp_path / "a", tmp_path / "exported"), Cache(tmp_path / "b", tmp_path / "exported")
    x = np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32)
    made = caching.fetch(here, (x, Local("bf16-mixed")), lambda: x.sum(1), export=True)
    nearly = x * np.float32(1 + 1e-6)
    found = caching.fetch(there, (nearly, Local("32-true")), lambda: pytest.fail("computed again"))
    np.testing.assert_array_equal(found, made)
    with pytest.raises(RuntimeError, match="anew"):
        caching.fetch(
            there,
            (x + np.float32(0.1), Local("32-true")),
            lambda: (_ for _ in ()).throw(RuntimeError("anew")),
        )


def test_counts_must_be_equal_to_the_last_one(tmp_path):
    cache, x = Cache(tmp_path / "a", tmp_path / "exported"), np.arange(50, dtype=np.int16)
    caching.fetch(cache, (x,), lambda: np.zeros(1), export=True)
    other = x.copy()
    other[7] += 1
    elsewhere = replace(cache, folder=tmp_path / "b")
    assert caching.fetch(elsewhere, (other,), lambda: np.ones(1), export=True) == 1
    assert len(list((tmp_path / "exported").iterdir())) == 2


def test_a_new_entry_replaces_none_where_an_earlier_one_was_deleted(tmp_path):
    cache, x = Cache(tmp_path / "a", tmp_path / "exported"), np.linspace(0, 1, 50, dtype=np.float32)

    def found(number, cache):
        return caching.fetch(cache, (number * x,), lambda: np.full(1, number), export=True)

    assert [found(1, cache), found(2, cache)] == [1, 2]
    first, second = sorted((tmp_path / "exported").iterdir())
    assert first.stem[:-1] == second.stem[:-1]  # told apart by their number alone
    first.unlink()
    assert found(3, cache) == 3
    clone = replace(cache, folder=tmp_path / "b")
    assert [found(2, clone), found(3, clone)] == [2, 3]
    assert len(list((tmp_path / "exported").iterdir())) == 2


def test_a_clone_takes_predictions_without_fitting_and_says_where_they_come_from(tmp_path, monkeypatch):
    here = Cache(tmp_path / "a", tmp_path / "exported")
    found, _ = recordings(32)
    first = fitted(here)
    first.export()
    probabilities = first.predict(found, np.arange(8), export=True)
    monkeypatch.setattr(
        "biosignals.caching.store.provenance",
        lambda: {"versions": "", "commit": "other", "hardware": "other"},
    )
    monkeypatch.setattr("lightning.Trainer.fit", lambda *_: pytest.fail("fitted again"))
    clone = fitted(replace(here, folder=tmp_path / "b"))
    np.testing.assert_array_equal(clone.predict(found, np.arange(8)), probabilities)
    assert clone.about == first.about and clone.about["commit"] != "other"
    pd.testing.assert_frame_equal(clone.history, first.history)


def test_what_travels_is_small_and_the_same_here_and_in_a_clone(tmp_path):
    here, rng = Cache(tmp_path / "a", tmp_path / "exported"), np.random.default_rng(0)
    exact = expit(rng.normal(-4, 4, (500, 20))).astype(np.float32)
    exact[0, :3] = 0, 1, np.nan
    found = caching.fetch(here, (1,), exact.copy, export=True)
    clone = replace(here, folder=tmp_path / "b")
    np.testing.assert_array_equal(caching.fetch(clone, (1,), lambda: pytest.fail("made again"), True), found)
    np.testing.assert_allclose(found, exact, rtol=2**-12)
    assert len(np.unique(found)) > 0.9 * exact.size
    (file,) = (tmp_path / "exported").iterdir()
    assert file.stat().st_size < 0.65 * exact.nbytes
    whole = np.arange(5), np.linspace(0, 1, 5)  # other kinds of numbers lose nothing
    assert all(caching.fetch(here, (k,), lambda x=x: x, True) is x for k, x in enumerate(whole, 2))


def test_refit_fits_anew_but_once(tmp_path, monkeypatch):
    cache = Cache(tmp_path / "a")
    first = fitted(cache)
    monkeypatch.setattr("biosignals.caching.store._written", set())  # as in another process
    again = replace(cache, refit=True)
    runs = []
    from biosignals.training import fit as module

    original = module._train
    monkeypatch.setattr(module, "_train", lambda one: runs.append(1) or original(one))
    assert [fitted(again).key, fitted(again).key] == [first.key] * 2 and len(runs) == 1


def test_a_folder_is_replaced_only_by_a_whole_one(tmp_path):
    with caching.replacing(tmp_path / "place") as draft:
        (draft / "a").write_text("old")
    with pytest.raises(RuntimeError), caching.replacing(tmp_path / "place") as draft:
        (draft / "a").write_text("half")
        raise RuntimeError
    assert (tmp_path / "place/a").read_text() == "old"
    with caching.replacing(tmp_path / "place") as draft:
        (draft / "b").write_text("new")
    assert [path.name for path in (tmp_path / "place").iterdir()] == ["b"]
    assert [path.name for path in tmp_path.iterdir()] == ["place"]
