"""What several test files share: one run of every chapter on the tiny profile."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile(
    "patient", deadline=None
)  # how long an example takes says nothing of what is tested
settings.load_profile("patient")

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
RUNNING = pytest.StashKey[tuple[subprocess.Popen, tempfile.TemporaryDirectory]]()


def pytest_collection_modifyitems(items):
    """What needs the run of every chapter is slow, and its files come last: others are tested meanwhile."""
    waiting = [item for item in items if "tiny_run" in getattr(item, "fixturenames", ())]
    for item in waiting:
        item.add_marker(pytest.mark.slow)
    files = {item.path for item in waiting}
    items.sort(key=lambda item: item.path in files)


def pytest_collection_finish(session):
    """Starts the run of every chapter where a test needs it."""
    needed = any("tiny_run" in getattr(item, "fixturenames", ()) for item in session.items)
    if needed and not session.config.option.collectonly:
        folder = tempfile.TemporaryDirectory(prefix="run")
        command = [sys.executable, ROOT / "tests/tiny_run.py", folder.name]
        session.config.stash[RUNNING] = subprocess.Popen(command, start_new_session=True), folder


def pytest_sessionfinish(session):
    """Ends it where nobody waited for it."""
    process, _ = session.config.stash.get(RUNNING, (None, None))
    if process is not None and process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


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
def tiny_run(request) -> Run:
    """Every chapter through papermill on the tiny profile, as `make run-all` does it, in a folder of its own."""
    process, folder = request.config.stash[RUNNING]
    assert process.wait() == 0
    return Run(Path(folder.name), json.loads(Path(folder.name, "errors.json").read_text()))


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
