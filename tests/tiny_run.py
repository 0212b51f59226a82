"""Runs every chapter on the tiny profile, two at a time: `python tests/tiny_run.py FOLDER`.

tests/conftest.py starts it beside the tests that need none of it. errors.json says of each chapter what went wrong.
"""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from conftest import CHAPTERS, ROOT


def main() -> None:
    """Run the chapters into the folder that the command line names."""
    folder = Path(sys.argv[1])
    errors = dict.fromkeys(CHAPTERS, "it was not run: what stopped the run stands above the tests")
    try:
        *others, scoreboard = CHAPTERS  # which reads what the others wrote
        with ThreadPoolExecutor(2) as pool:
            errors |= zip(others, pool.map(partial(execute, folder=folder), others), strict=True)
        errors[scoreboard] = execute(scoreboard, folder)
        subprocess.run([sys.executable, "-m", "biosignals.reporting.scoreboard", folder], check=True)
    finally:
        part = folder / "errors.part"
        part.write_text(json.dumps(errors))
        part.rename(folder / "errors.json")


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


if __name__ == "__main__":
    main()
