"""Where a chapter reads and writes, and the note at its top that says what run it shows."""

import os
import platform
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import torch
from IPython.display import Markdown, display

from biosignals import caching
from biosignals.data.sources import Source

TITLES = {
    "ptb-xl": "PTB-XL", "cinc2017": "CinC 2017", "sph": "SPH", "chb-mit": "CHB-MIT",
    "helsinki": "Helsinki neonates", "wf-ppg": "WF-PPG", "bidmc": "BIDMC",
}  # fmt: skip


@dataclass(frozen=True)
class Workspace:
    """One chapter's place in one run."""

    root: Path  # the project's folder
    chapter: str
    profile: str
    data: str  # the reader's folder of real data sets, empty if there is none
    folder: Path  # what the run leaves: executed chapters, results/, models/
    cache: Path  # what can be made again: signals/, simulated/, fits/, answers/


def open_chapter(chapter: str, profile: str, data: str = "", folder: str = "") -> Workspace:
    """Find the project's root above the working directory, and there the chapter's place in the run.

    `data` and `folder` are taken relative to the root. An empty `folder` means runs/PROFILE with the caches in cache/;
    a run elsewhere keeps its caches below its own folder. What takes long to compute is kept there from now on (see `kept`).
    Raises FileNotFoundError outside of the project.
    """
    root = find_root(Path.cwd())
    place = root / (folder or f"runs/{profile}")
    cache = place / "cache" if folder else root / "cache"
    for path in (place, cache):
        path.mkdir(parents=True, exist_ok=True)
    caching.keep_in(cache / "answers")
    return Workspace(root, chapter, profile, str((root / data).resolve()) if data else "", place, cache)


def read_list(workspace: Workspace, file: str) -> list[str] | None:
    """The lines of a file below the root, as a list of record ids; None when no file is named."""
    return (workspace.root / file).read_text().split() if file else None


def find_root(start: Path) -> Path:
    """The closest folder, from `start` upwards, that holds pyproject.toml and notebooks/."""
    for folder in (start, *start.parents):
        if (folder / "pyproject.toml").is_file() and (folder / "notebooks").is_dir():
            return folder
    raise FileNotFoundError(
        f"{start} is not inside the project: start Jupyter in the project's folder or in notebooks/"
    )


def banner(workspace: Workspace, *sources: tuple[Source, int]) -> None:
    """Show which run this is, when and on what kind of hardware it was made, and on which data with n recordings."""
    display(Markdown(describe_run(workspace, *sources)))


def describe_run(workspace: Workspace, *sources: tuple[Source, int]) -> str:
    """The banner's Markdown text."""
    name = "The reference run" if workspace.profile == "reference" else f"Run `{workspace.profile}`"
    sentences = [f"**{name}**, {date.today():%-d %B %Y}, on {hardware()}."]
    sentences += [f"{TITLES[source.dataset]}: {source.kind}, n = {count:,}." for source, count in sources]
    if any(source.kind == "simulated" for source, _ in sources):
        sentences.append("*What is measured on simulated recordings means nothing clinical.*")
    return "> " + " ".join(sentences)


def hardware() -> str:
    """The kind of machine, as "2 x86-64 cores" and the graphics card's name if there is one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    kind = platform.machine().replace("_", "-")
    gpu = f" and an {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{cores} {kind} cores{gpu}"
