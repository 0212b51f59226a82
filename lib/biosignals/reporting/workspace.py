"""Where a chapter reads and writes, and the note at its top that says what run it shows."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from IPython import get_ipython
from IPython.display import Markdown, display

from biosignals import caching
from biosignals.caching import Cache
from biosignals.data import preparation, sources
from biosignals.data.recordings import Recordings
from biosignals.data.sources import Source
from biosignals.reporting import plots
from biosignals.reporting import records as reporting_records
from biosignals.reporting.ledger import Ledger
from biosignals.reporting.parameters import WHOLE_SETS, stored_parameters
from biosignals.training.recipe import Recipes, read_recipes

TITLES = {
    "ptb-xl": "PTB-XL", "cinc2017": "CinC 2017", "sph": "SPH", "chb-mit": "CHB-MIT",
    "helsinki": "Helsinki neonates", "wf-ppg": "WF-PPG", "bidmc": "BIDMC", "ludb": "LUDB",
    "cpsc2021": "CPSC 2021", "afdb": "MIT-BIH AFDB", "ppg-bp": "PPG-BP",
    "ptb-xl+cinc2017": "PTB-XL and CinC 2017", "own": "own recordings",
}  # fmt: skip


@dataclass(frozen=True)
class Workspace:
    """One chapter's place in one run."""

    root: Path  # the project's folder
    chapter: str
    profile: str
    data: str  # the reader's folder of real data sets, empty if there is none
    folder: Path  # what the run leaves: executed chapters, results/, models/
    temporary: Path  # what can be made again: signals/, simulated/
    cache: Cache  # fits, predictions, features
    changed: Mapping[str, tuple[Any, Any]]  # see `changed_parameters`

    @property
    def signals(self) -> Path:
        """The folder of the signal store."""
        return self.temporary / "signals"

    def locate(self, dataset: str, records: int = 0, listed: str = "", **options: float) -> Source:
        """A data set on disk: the reader's, or `records` simulated ones, see `sources.locate`, also for the
        errors.

        records: no more are taken of the reader's set either (0: all), but in the profiles of WHOLE_SETS.
        listed: a file below the root with the ids of the recordings to use, a line each. options: of the
        simulator.
        """
        ids = (self.root / listed).read_text().split() if listed else None
        most = 0 if self.profile in WHOLE_SETS else records
        return sources.locate(
            dataset, self.data, self.temporary / "simulated", records, listed=ids, most=most, **options
        )

    def load(
        self,
        dataset: str,
        records: int = 0,
        listed: str = "",
        simulated: Mapping[str, float] | None = None,
        **options: Any,
    ) -> Recordings:
        """The recordings of a set, found as `locate` does; simulated: options of the simulator; options: of
        the loader.

        Raises what `sources.locate` and the set's loader raise.
        """
        source = self.locate(dataset, records, listed, **(simulated or {}))
        return sources.load(source, self.signals, **options)

    def load_with_test(
        self, dataset: str, records: int = 0, listed: str = ""
    ) -> tuple[Recordings, Recordings]:
        """The recordings of a set that has no folds of its own, with a column `fold` by subject, and those of
        them, or beside them, to test with.

        In the profiles of WHOLE_SETS these are what the set itself keeps apart, elsewhere a fifth of the
        subjects, fold 10. Where subjects are unknown, each recording is one. Raises as `load`.
        """
        recordings = _with_subjects(self.load(dataset, records, listed))
        source = self.locate(dataset, records)
        aside = sources.ASIDE[dataset](source.root) if self.profile in WHOLE_SETS else []
        recordings = preparation.assign_folds(recordings, 0 if aside else 0.2)
        if not aside:
            return recordings, recordings.take((recordings.table["fold"] == 10).to_numpy())
        return recordings, _with_subjects(sources.load(replace(source, listed=tuple(aside)), self.signals))

    def recipes(self) -> Recipes:
        """How nets are trained in this profile that have no recipe in the chapter itself. Raises ValueError
        as `read_recipes`.
        """
        return read_recipes(self.root / "notebooks/recipes.yml", self.profile)

    @property
    def ledger(self) -> Ledger:
        """The chapter's lines in the run's ledger of tests."""
        return Ledger(self.folder / f"ledger/{self.chapter}.csv", self.chapter)

    def write(self, records: Iterable[dict]) -> Path:
        """Leave the chapter's records in the run's results/; returns the file."""
        path = self.folder / "results" / f"{self.chapter}.json"
        reporting_records.write(path, records)
        return path


def _with_subjects(recordings: Recordings) -> Recordings:
    """The same; a recording whose subject is unknown is a subject of its own."""
    subjects = recordings.table["subject"].astype(object)
    known = subjects.where(subjects.notna(), recordings.table.index.to_series())
    return replace(recordings, table=recordings.table.assign(subject=known))


def open_chapter(chapter: str, profile: str, data: str = "", folder: str = "") -> Workspace:
    """Find the project's root above the working directory, and there the chapter's place in the run; set the
    plots' style.

    `data` and `folder` are taken relative to the root. An empty `folder` means runs/PROFILE with what can be
    made again in cache/; a run elsewhere keeps that below its own folder. The reference run also takes, and
    leaves, the predictions that travel with the project, unless its parameters have been changed; the
    environment's REFIT=1 fits all anew. Raises FileNotFoundError outside of the project, ValueError for a
    profile that is not there.
    """
    root = find_root(Path.cwd())
    changed = changed_parameters(root, chapter, profile)
    place = root / (folder or f"runs/{profile}")
    temporary = place / "cache" if folder else root / "cache"
    for path in (place, temporary):
        path.mkdir(parents=True, exist_ok=True)
    as_published = profile == "reference" and not changed
    exported = root / "book/reference/predictions" if as_published else None
    cache = Cache(temporary / "results", exported, refit=os.environ.get("REFIT", "") not in ("", "0"))
    (place / f"ledger/{chapter}.csv").unlink(missing_ok=True)  # every execution reads the tests anew
    plots.use_style()
    resolved = str((root / data).resolve()) if data else ""
    return Workspace(root, chapter, profile, resolved, place, temporary, cache, changed)


def changed_parameters(root: Path, chapter: str, profile: str) -> dict[str, tuple[Any, Any]]:
    """Parameters that have another value in this notebook than in the profile: name > (value, the profile's).

    What a profile does not name has the value of the chapter's stored parameters cell. None outside of a
    notebook, and for one that is no chapter. Raises ValueError for a profile that is not there.
    """
    file = root / f"notebooks/profiles/{profile}.yml"
    if not file.is_file():
        known = sorted(path.stem for path in file.parent.glob("*.yml"))
        meant = get_close_matches(profile, known, 1)
        hint = f", did you mean {meant[0]!r}" if meant else ""
        raise ValueError(f"no profile {profile!r}{hint}? notebooks/profiles/ holds {', '.join(known)}")
    notebook, shell = root / f"notebooks/{chapter}.ipynb", get_ipython()
    if shell is None or not notebook.is_file():
        return {}
    usual = stored_parameters(notebook) | (yaml.safe_load(file.read_text()) or {}).get(chapter, {})
    values = {name: shell.user_ns.get(name, value) for name, value in usual.items()}
    return {name: (values[name], value) for name, value in usual.items() if values[name] != value}


def find_root(start: Path) -> Path:
    """The closest folder, from `start` upwards, that holds pyproject.toml and notebooks/; else raises
    FileNotFoundError.
    """
    for folder in (start, *start.parents):
        if (folder / "pyproject.toml").is_file() and (folder / "notebooks").is_dir():
            return folder
    raise FileNotFoundError(
        f"{start} is not inside the project: start Jupyter in the project's folder or in notebooks/"
    )


def banner(workspace: Workspace, *sets: Recordings | tuple[Source, int]) -> None:
    """Show which run this is, when, with what and on what kind of hardware it was made, and on which data
    with n recordings.
    """
    display(Markdown(describe_run(workspace, *sets)))


def describe_run(workspace: Workspace, *sets: Recordings | tuple[Source, int]) -> str:
    """The banner's Markdown text; sets: recordings, or a source and how many recordings of it."""
    as_published = workspace.profile == "reference" and not workspace.changed
    name = "The reference run" if as_published else f"Run `{workspace.profile}`"
    about = caching.provenance()
    commit = f", commit {about['commit']}" if about["commit"] else ""
    sentences = [f"**{name}**, {date.today():%-d %B %Y}{commit}, on {about['hardware']}."]
    if workspace.changed:
        values = [f"`{name} = {own!r}` ({usual!r})" for name, (own, usual) in workspace.changed.items()]
        sentences.append(f"Changed in the notebook (the profile's value): {', '.join(values)}.")
    named = [(one, len(one)) if isinstance(one, Recordings) else one for one in sets]
    sentences += [f"{TITLES[one.dataset]}: {one.kind}, n = {count:,}." for one, count in named]
    if any(one.kind == "simulated" for one, _ in named):
        sentences.append("*What is measured on simulated recordings means nothing clinical.*")
    return "> " + " ".join(sentences)
