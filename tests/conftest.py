"""What several test files share: one run of every chapter on the tiny profile."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile(
    "patient", deadline=None
)  # how long an example takes says nothing of what is tested
settings.load_profile("patient")

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def pytest_collection_modifyitems(items):
    """What needs the run of every chapter is slow."""
    for item in items:
        if "tiny_run" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


# Chapters that are not written in the pattern of the first two yet, by name: their pictures have no alt texts, and
# some of their tables and lines of code are too wide. Each leaves the list with its new edition.
EARLIER_PATTERN = [
    "03_baseline", "04_imbalance", "05_cnn_lstm", "06_scalogram_convmixer", "07_image_backbones",
    "08_distillation", "09_compression", "10_scoreboard",
]  # fmt: skip


@dataclass(frozen=True)
class Run:
    """A run of the chapters: its folder, and of each chapter the error (empty if it went well)."""

    folder: Path
    errors: dict[str, str]


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory) -> Run:
    """Every chapter through papermill on the tiny profile, as `make run-all` does it, in a folder of its own."""
    folder = tmp_path_factory.mktemp("run")
    *others, scoreboard = CHAPTERS  # which reads what the others wrote
    with ThreadPoolExecutor(2) as pool:
        errors = dict(zip(others, pool.map(partial(execute, folder=folder), others), strict=True))
    errors[scoreboard] = execute(scoreboard, folder)
    subprocess.run([sys.executable, "-m", "biosignals.reporting.scoreboard", folder], check=True)
    return Run(folder, errors)


def render(
    project: Path, run: Path | None = None, configure: Callable[[Path], None] = lambda project: None
) -> Path:
    """The folder of the pages that `make book` renders in the folder `project`, from a run or else from the
    reference run, once `configure` has changed what it wants to; warnings are errors.
    """
    for name in ("Makefile", "_config.yml", "requirements.lock", "environment.yml"):
        shutil.copy(ROOT / name, project)
    shutil.copytree(ROOT / "book", project / "book", ignore=shutil.ignore_patterns("_build", "chapters"))
    shutil.copytree(ROOT / "notebooks", project / "notebooks")
    (project / "lib/biosignals").mkdir(parents=True)
    (project / "runs").mkdir()
    if run is not None:
        (project / "runs/latest").write_text(f"{run}\n")
    (project / "ready").touch()
    configure(project)
    command = ["make", "book", f"BIN={Path(sys.executable).parent}", "READY=ready"]
    result = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-5000:]
    return project / "book/_build/html"


def execute(chapter: str, folder: Path) -> str:
    """Run one chapter on the tiny profile; its error, empty if it went well."""
    command = [
        sys.executable,
        ROOT / "notebooks/execute.py",
        chapter,
        "--profile",
        "tiny",
        "--folder",
        folder,
    ]
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}  # nets this small lose more by threads than they gain
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=one_thread)
    return without_progress(result.stderr) if result.returncode else ""


def without_progress(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if "%|" not in line)
