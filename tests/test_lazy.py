"""The library and its packages offer what they hold, and load it when it is named."""

import subprocess
import sys

import pytest

import biosignals
from biosignals.training import fit as module_of_fits

# What a fit needs only once it trains, and pages only once they draw.
HEAVY = ["lightning", "torchmetrics", "sklearn", "imblearn", "matplotlib", "seaborn", "scipy.signal", "wfdb"]


def loaded(code):
    """Which of HEAVY an interpreter has loaded that ran the code."""
    show = f"import sys; print([name for name in {HEAVY} if name in sys.modules])"
    command = [sys.executable, "-c", f"{code}\n{show}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize(
    "code",
    [
        "import biosignals",
        "from biosignals import training",
        "import biosignals.training.fit, biosignals.training.cross_validation",
        "from biosignals import Recipe, Task, compare, create, fit",
        "import biosignals; biosignals.training.fit, biosignals.models.names()",
        "import biosignals.data.sources, biosignals.reporting.parameters",  # by each start of a chapter
    ],
)
def test_an_import_does_not_wait_for_what_only_a_fit_or_a_plot_needs(code):
    assert loaded(code) == "[]"


def test_the_library_offers_its_verbs_and_packages():
    offered = dir(biosignals)
    assert {"read", "load", "create", "fit", "compare", "predict", "Task", "Recipe"} <= set(offered)
    assert {"data", "models", "signals", "training", "evaluation"} <= set(offered)
    assert not [name for name in offered if name.startswith("_")]
    for name in offered:
        assert getattr(biosignals, name) is not None
    assert biosignals.fit is module_of_fits.fit


@pytest.mark.parametrize("room", ["data", "evaluation", "signals", "training"])
def test_a_package_offers_its_modules(room):
    package = getattr(biosignals, room)
    assert dir(package)
    for name in dir(package):
        assert getattr(package, name).__name__ == f"biosignals.{room}.{name}"


@pytest.mark.parametrize("name", ["fits", "__wrapped__", "_train"])
def test_a_name_that_is_not_there_is_an_attribute_error(name):
    with pytest.raises(AttributeError, match=rf"module 'biosignals.training' has no attribute '{name}'"):
        getattr(biosignals.training, name)
