"""What computed a result: versions of packages, commit of the project, kind of hardware."""

import functools
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path


def provenance() -> dict[str, str | None]:
    """versions, commit ("+" after it: files have changed since) and hardware of this process."""
    hardware = f"{_cores()} {platform.machine().replace('_', '-')} cores"
    torch = sys.modules.get("torch")  # not imported for this alone: it takes seconds
    if torch is not None and torch.cuda.is_available():
        hardware += f" and an {torch.cuda.get_device_name()}"
    return {"versions": _versions(), "commit": _commit(), "hardware": hardware}


def _cores() -> int | None:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


@functools.cache
def _versions() -> str:
    packages = ("torch", "lightning", "scikit-learn")
    found = (f"{name} {metadata.version(name).partition('+')[0]}" for name in packages)
    return ", ".join([f"python {platform.python_version()}", *found])


@functools.cache
def _commit() -> str | None:
    """The checked-out commit, None outside of a checkout."""
    command = ["git", "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent)
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()
