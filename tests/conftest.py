"""What several test files share: one run of every chapter on the tiny profile."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
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
FROM_NPM = "cache/npm"  # what the pages in a browser need
FOLDER = pytest.StashKey[tempfile.TemporaryDirectory]()


def pytest_configure(config):
    """Makes the folder that a run of every chapter is for; workers of pytest-xdist share it."""
    if not hasattr(config, "workerinput"):
        config.stash[FOLDER] = tempfile.TemporaryDirectory(prefix="run")
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        # Workers, and shells that run the tests in their background, ignore interruptions, and whatever the tests
        # start would ignore them too: a handler is not inherited.
        signal.signal(signal.SIGINT, lambda *_: None)


def pytest_configure_node(node):
    node.workerinput["folder"] = node.config.stash[FOLDER].name


def run_folder(config) -> Path:
    """The folder of the run, in a worker and in the process that has none."""
    return Path(config.workerinput["folder"] if hasattr(config, "workerinput") else config.stash[FOLDER].name)


def pytest_collection_modifyitems(items):
    """What needs the run of every chapter is slow, and its files come last: others are tested meanwhile."""
    waiting = [item for item in items if "tiny_run" in getattr(item, "fixturenames", ())]
    for item in waiting:
        item.add_marker(pytest.mark.slow)
    files = {item.path for item in waiting}
    items.sort(key=lambda item: item.path in files)


def pytest_collection_finish(session):
    """Starts the run of every chapter where a test needs it: one, by the first worker."""
    needed = any("tiny_run" in getattr(item, "fixturenames", ()) for item in session.items)
    first = getattr(session.config, "workerinput", {"workerid": "gw0"})["workerid"] == "gw0"
    if needed and first and not session.config.option.collectonly:
        folder = run_folder(session.config)
        process = subprocess.Popen(
            [sys.executable, ROOT / "tests/tiny_run.py", folder], start_new_session=True
        )
        (folder / "process").write_text(str(process.pid))


def pytest_sessionfinish(session):
    """Ends it where nobody waited for it."""
    started = run_folder(session.config) / "process"
    if not hasattr(session.config, "workerinput") and started.exists():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(int(started.read_text()), signal.SIGKILL)


# Chapters that are not written in the pattern of the first two yet, by name: their pictures have no alt texts, and
# some of their tables and lines of code are too wide. Each leaves the list with its new edition.
EARLIER_PATTERN = [
    "05_cnn_lstm", "07_image_backbones", "09_compression",
]  # fmt: skip


@dataclass(frozen=True)
class Run:
    """A run of the chapters: its folder, and of each chapter the error (empty if it went well)."""

    folder: Path
    errors: dict[str, str]


@pytest.fixture(scope="session")
def tiny_run(request) -> Run:
    """Every chapter through papermill on the tiny profile, as `make run-all` does it, in a folder of its own."""
    folder = run_folder(request.config)
    errors = folder / "errors.json"
    while not errors.exists():  # tiny_run.py leaves it whatever happens
        time.sleep(0.5)
    return Run(folder, json.loads(errors.read_text()))


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
    if (ROOT / FROM_NPM).is_dir():  # else each project fetches it anew
        shutil.copytree(ROOT / FROM_NPM, project / FROM_NPM)
    if run is not None:
        (project / "runs/latest").write_text(f"{run}\n")
    (project / "ready").touch()
    configure(project)
    command = ["make", "book", f"BIN={Path(sys.executable).parent}", "READY=ready"]
    result = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-5000:]
    return project / "book/_build/html"
