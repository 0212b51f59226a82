"""Recipes, and the files that they are read from."""

from pathlib import Path

import pytest
import torch
import yaml
from torch.nn.functional import cross_entropy

from biosignals import models
from biosignals.training import augmentation
from biosignals.training.recipe import Recipe, averaging, read_recipes

SHARED = Path(__file__).parents[1] / "notebooks/recipes.yml"
TEXT = """
student: {epochs: {quick: 2, reference: 16}}
s4: {epochs: {quick: 1, full: 30}, crop: null, learning_rate: 0.005, optimizer: sgd}
"""


@pytest.fixture
def file(tmp_path):
    (tmp_path / "recipes.yml").write_text(TEXT)
    return tmp_path / "recipes.yml"


def test_a_profile_has_its_epochs_and_all_profiles_the_other_settings(file):
    quick, reference = read_recipes(file, "quick"), read_recipes(file, "reference")
    assert quick == {
        "student": Recipe(epochs=2),
        "s4": Recipe(epochs=1, crop=None, learning_rate=0.005, optimizer="sgd"),
    }
    assert reference == {"student": Recipe(epochs=16)}  # s4 is not fitted there
    assert read_recipes(file, "tiny") == {}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("net: {epochs: {quick: 2}, learning_rte: 0.1}", "learning_rte"),
        ("net: {crop: 100}", "epochs"),
        ("net: {epochs: 5}", "int"),
        ("net: {epochs: {quick: 0}}", "epochs must be above 0, not 0"),
        (
            "net: {epochs: {quick: 2}, optimizer: lion}",
            "optimizer is one of adamw, adam, sgd, rmsprop, adadelta, not 'lion'",
        ),
        ("net:", "NoneType"),
        ("net: {epochs: {quick: 2}, augment: {Blur: [1]}}", "no augmentation called Blur"),
        ("net: {epochs: {quick: 2}, augment: {Noise: [-1]}}", "level"),
        ("net: {epochs: {quick: 2}, augment: 0.1}", "name: its arguments.*0.1"),
        ("net: {epochs: {quick: 2}, loss: {CrossEntropy: {}}}", "no loss called CrossEntropy"),
        ("net: {epochs: {quick: 2}, loss: CrossEntropyLoss}", "items"),
    ],
)
def test_what_is_no_recipe_is_named_with_its_file(file, line, why):
    file.write_text(TEXT + line)
    with pytest.raises(ValueError, match=f"recipes.yml: net is no recipe .*{why}"):
        read_recipes(file, "quick")


def test_augmentations_are_written_by_their_names(file):
    line = "net: {epochs: {quick: 2}, augment: {ChannelDrop: [0.1]}}\n"
    line += "other: {epochs: {quick: 2}, augment: {Scale: [0.5, 2], Noise: [0.1]}}"
    file.write_text(TEXT + line)
    recipes = read_recipes(file, "quick")
    assert recipes["net"] == Recipe(epochs=2, augment=augmentation.ChannelDrop(0.1))
    both = augmentation.Compose((augmentation.Scale(0.5, 2), augmentation.Noise(0.1)))
    assert recipes["other"] == Recipe(epochs=2, augment=both)


def test_a_loss_is_written_by_its_name(file):
    file.write_text(TEXT + "net: {epochs: {quick: 2}, loss: {CrossEntropyLoss: {label_smoothing: 0.1}}}")
    loss = read_recipes(file, "quick")["net"].loss
    logits, targets = torch.tensor([[4.0, 0.0]]), torch.tensor([[1.0, 0.0]])
    smoothed = cross_entropy(logits, torch.tensor([[0.95, 0.05]]))
    torch.testing.assert_close(loss(logits, targets), smoothed)


@pytest.mark.parametrize("records", [40, 600, 20_000])
def test_an_average_of_weights_spans_its_share_of_the_steps(records):
    recipe = Recipe(epochs=10, batch_size=64)
    steps = 10 * max(records // 64, 1)
    decay = averaging(recipe, records).weight_average
    assert 1 / (1 - decay) == pytest.approx(0.2 * steps)
    assert decay**steps < 0.01  # what is left of the untrained net


def test_a_file_that_is_no_yaml_is_named(file):
    file.write_text("student: {epochs: [")
    with pytest.raises(ValueError, match="recipes.yml is no YAML file"):
        read_recipes(file, "quick")


@pytest.mark.parametrize(
    "settings",
    [{"epochs": 0}, {"batch_size": -1}, {"learning_rate": 0.0}, {"optimizer": "lion"}, {"choose_by": "f1"}],
    ids=str,
)
def test_settings_that_no_training_could_use_are_refused(settings):
    with pytest.raises(ValueError, match=f"^{next(iter(settings))} "):
        Recipe(**settings)


@pytest.mark.parametrize("profile", ["quick", "tiny", "small", "reference", "full"])
def test_the_shared_recipes_are_of_nets_that_exist_in_every_profile(profile):
    recipes = read_recipes(SHARED, profile)
    assert set(recipes) == set(yaml.safe_load(SHARED.read_text()))
    unknown = set(recipes) - set(models.names()) - {"default", "ladder"}
    assert not unknown, f"{SHARED} has recipes for nets that lib/biosignals/models/__init__.py does not name"


def test_a_net_without_a_recipe_of_its_own_gets_the_default(file):
    file.write_text(TEXT + "default: {epochs: {quick: 3}, crop: 500}")
    recipes = read_recipes(file, "quick")
    assert recipes["gru"] == Recipe(epochs=3, crop=500) and recipes["student"] == Recipe(epochs=2)
    assert "gru" not in recipes


@pytest.mark.parametrize(("profile", "net"), [("quick", "gru"), ("mine", "student")])
def test_a_net_without_any_recipe_is_refused_with_the_remedy(file, profile, net):
    with pytest.raises(
        ValueError, match=f"recipes.yml has no recipe for {net} in the profile '{profile}': give {net}"
    ):
        read_recipes(file, profile)[net]
