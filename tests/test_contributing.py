"""The code of CONTRIBUTING.md runs as it stands there, in a copy of the project."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest

from conftest import ROOT
from tiny_sets import noise, write_record

TEXT = (ROOT / "CONTRIBUTING.md").read_text()


def block(place: str) -> str:
    """The code below a first line that names the place where it belongs."""
    (code,) = re.findall(rf"```\w+\n# {re.escape(place)}[^\n]*\n(.*?)```", TEXT, flags=re.DOTALL)
    return code


@pytest.fixture
def project(tmp_path) -> Path:
    """The library, with the model, loss and data set of the page in it, and what a chapter needs around it."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "lib/biosignals", tmp_path / "lib/biosignals", ignore=ignored)
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks", ignore=ignored)
    for name in ("pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "book").mkdir()
    shutil.copy(ROOT / "book/anchors.csv", tmp_path / "book")
    library = tmp_path / "lib/biosignals"
    (library / "models/gru.py").write_text(block("lib/biosignals/models/gru.py"))
    registry, line = library / "models/__init__.py", block("lib/biosignals/models/__init__.py")
    registry.write_text(registry.read_text().replace("_CONSTRUCTORS = {\n", f"_CONSTRUCTORS = {{\n{line}"))
    (library / "data/wards.py").write_text(block("lib/biosignals/data/wards.py"))
    for place in ("training/losses.py", "data/sources.py"):
        text = (library / place).read_text() + block(f"lib/biosignals/{place}")
        text = text.replace("from biosignals.data import ", "from biosignals.data import wards, ")
        (library / place).write_text(text)
    profile = "03_baseline:\n" + block("notebooks/profiles/quick.yml")
    (tmp_path / "notebooks/profiles/quick.yml").write_text(profile)
    return tmp_path


def run(project: Path, *arguments: str) -> str:
    """What Python prints in the copy, with the copy's library."""
    environment = os.environ | {"PYTHONPATH": str(project / "lib"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


USE = """
import numpy as np
from pathlib import Path
from biosignals import models
from biosignals.data import preparation, sources
from biosignals.task import Task
from biosignals.training.losses import Brier
from biosignals.training.recipe import Recipe, read_recipes

source = sources.locate("wards", "sets", "simulated", 0)
wards = sources.load(source, Path("signals"))
table = wards.table
print(source.kind, len(wards), wards.signals.shape, int(table.AFIB.sum()), table.subject.nunique())
recipe = read_recipes("notebooks/recipes.yml", "tiny")["gru"]
print(recipe.epochs, "gru" in models.names())

from dataclasses import replace
task = Task(preparation.assign_folds(wards, test=0), wards.labels("AFIB"))
found = task.out_of_fold("gru", replace(recipe, loss=Brier(2.0)))
print(found.probabilities.shape, found.about["params"])
"""


@pytest.mark.slow
def test_a_model_a_loss_and_a_data_set_of_ones_own_work_together(project):
    place = project / "sets/wards"
    for i in range(18):
        write_record(place / f"w{i:02d}", noise(i, 1, 2500), 250, ["I"])
    rows = {
        "record": [f"w{i:02d}" for i in range(18)],
        "patient": np.arange(18) // 2,
        "af": np.arange(18) % 2,
    }
    pd.DataFrame(rows).to_csv(place / "records.csv", index=False)
    expected = ["excerpt 18 (18, 1, 2500) 9 9", "1 True"]
    *printed, last = run(project, "-c", USE).splitlines()
    assert printed == expected and re.fullmatch(r"\(1, 18, 1\) \d+", last)


@pytest.mark.slow
def test_a_chapter_of_ones_own_leaves_its_records(project):
    parameters = block("the cell of parameters").replace("200", "60").replace('"student-57k"', '"gru"')
    code = parameters + 'profile = "tiny"\n' + block("three cells more")
    run(project, "-c", code)
    records = pd.read_json(project / "runs/tiny/results/12_widths.json")
    assert set(records.chapter) == {"12_widths"} and set(records.model) == {"gru", "student-4k"}
    assert set(records.kind) == {"simulated"}


@pytest.mark.slow
def test_the_net_of_the_page_passes_what_every_net_has_to(project):
    shutil.copytree(ROOT / "tests", project / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    printed = run(project, "-m", "pytest", "tests/test_models.py", "-k", "gru", "-p", "no:cacheprovider")
    assert re.search(r"[4-9] passed", printed) and "failed" not in printed


@pytest.mark.slow
def test_one_key_of_a_profile_puts_the_net_into_chapter_3(project):
    profile = project / "notebooks/profiles/quick.yml"
    nets = (
        "plain-cnn, inception-cnn, student, resnet1d-wang, gru"  # the chapter looks at the first four closely
    )
    assert profile.read_text() == f"03_baseline:\n  nets: [{nets}]\n"
    profile.write_text("03_baseline: {nets: [resnet1d-wang, gru], sizes: [], ptbxl_records: 60, trees: 2}\n")
    chapter = project / "notebooks/03_baseline.ipynb"
    notebook = nbformat.read(chapter, as_version=4)
    last = next(i for i, cell in enumerate(notebook.cells) if "ranked.reset_index()" in cell.source)
    notebook.cells = notebook.cells[: last + 1]  # the comparison, out of fold
    nbformat.write(notebook, chapter)
    run(project, "notebooks/execute.py", "03_baseline", "--profile", "quick", "--folder", "run")
    picture = nbformat.read(project / "run/03_baseline.ipynb", as_version=4).cells[-1].outputs[-1].data
    assert re.search(r">\s*gru\s*<", picture["text/html"])


def test_the_pages_files_are_where_it_says():
    for name in re.findall(r"`((?:tests|notebooks|book|lib)/[\w/.-]+)`", TEXT):
        assert (ROOT / name).exists() or "NN" in name or "12_widths" in name, name
