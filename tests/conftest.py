"""What several test files share: one run of every chapter on the tiny profile."""

import os
import subprocess
import sys
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
