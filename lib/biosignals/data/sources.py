"""Finds a data set in the user's folder, or simulates one, and says which it is."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from biosignals import caching, simulate
from biosignals.data import bidmc, cinc2017, cpsc2021, helsinki, ludb, ppgbp, ptbxl, samples, sph, wfppg
from biosignals.data.recordings import Recordings
from biosignals.simulate import files

OFFICIAL = {  # recordings released; of WF-PPG six windows of each of 27 subjects
    "ptb-xl": 21_799, "cinc2017": 8_528, "sph": 25_770, "chb-mit": 686, "helsinki": 79, "wf-ppg": 162,
    "bidmc": 53, "ludb": 200, "cpsc2021": 1_436, "afdb": 25, "ppg-bp": 657,
}  # fmt: skip
LISTED = {  # what of it is there
    "ptb-xl": ptbxl.read_database,
    "cinc2017": cinc2017.read_reference,
    "sph": lambda root: list(root.glob("records/*.h5")),
    "chb-mit": lambda root: list(root.glob("chb[0-9][0-9]/*.edf")),
    "helsinki": lambda root: list(root.glob("eeg*.edf")),
    "wf-ppg": wfppg.complete,
    "bidmc": bidmc.complete,
    "ludb": lambda root: list(root.glob("data/*.hea")),
    "cpsc2021": lambda root: list(root.rglob("data_*_*.hea")),
    "afdb": lambda root: list(root.glob("*.qrs")),
    "ppg-bp": lambda root: list(root.rglob("0_subject/[0-9]*_[0-9].txt")),
}
SIMULATORS = {
    "ptb-xl": simulate.ptbxl.write,
    "cinc2017": simulate.cinc2017.write,
    "sph": simulate.sph.write,
    "chb-mit": simulate.chbmit.write,
    "helsinki": simulate.helsinki.write,
    "wf-ppg": simulate.wfppg.write,
    "bidmc": simulate.bidmc.write,
    "ludb": simulate.ludb.write,
    "cpsc2021": simulate.cpsc2021.write,
    "afdb": simulate.afdb.write,
    "ppg-bp": simulate.ppgbp.write,
}
LOADERS = {
    "ptb-xl": ptbxl.load,
    "cinc2017": cinc2017.load,
    "sph": sph.load,
    "helsinki": helsinki.load,
    "wf-ppg": wfppg.load,
    "bidmc": bidmc.load,
    "ludb": ludb.load,
    "cpsc2021": cpsc2021.load,
    "ppg-bp": ppgbp.load,
}


@dataclass(frozen=True)
class Source:
    """A data set on disk. kind: "real" (the full release), "excerpt" (a part of it) or "simulated".

    listed: ids of the recordings to use, None for all that are there.
    """

    dataset: str
    root: Path
    kind: str
    listed: tuple[str, ...] | None = None


def locate(
    dataset: str, folder: Path | str | None, simulated: Path | str, records: int, seed: int = 0,
    listed: Iterable[str] | None = None, most: int = 0, **options: float,
) -> Source:  # fmt: skip
    """The set `dataset` (a key of OFFICIAL) in `folder`, or simulated where it or its recordings are not
    there.

    folder: holds the sets, each in a folder of its name; None or "" means simulate. simulated: where
    simulated sets are kept and found again; `records`, `seed` and the simulator's own `options` say which.
    listed: ids of the recordings to use of a set that is not simulated. most: where none are listed, take no
    more than so many (0: all), as `samples.choose` does. Raises ValueError for a set that there is no loader
    for and FileNotFoundError when `folder` is not there.
    """
    if dataset not in OFFICIAL:
        raise ValueError(f"no loader for a set named {dataset!r}; there is {', '.join(OFFICIAL)}")
    if folder:
        folder = Path(folder).expanduser()
        if not folder.is_dir():
            raise FileNotFoundError(f"data folder {folder} does not exist: name another, or none to simulate")
        if (folder / dataset).is_dir() and len(LISTED[dataset](folder / dataset)):
            kind = kind_of(dataset, folder / dataset)
            if kind == "simulated":
                return Source(dataset, folder / dataset, kind)
            if listed is None and most:
                listed = samples.choose(dataset, folder / dataset, most)
            if listed is None:
                return Source(dataset, folder / dataset, kind)
            return Source(dataset, folder / dataset, "excerpt", tuple(listed))
    return Source(dataset, simulated_root(dataset, Path(simulated), records, seed, options), "simulated")


def load(source: Source, signals: Path, **options: Any) -> Recordings:
    """The recordings of a source, of its kind; signals: folder of the memory maps; options: of the set's own
    loader.

    Raises ValueError for a set that is loaded by windows of a chapter's choice (`chbmit`) or without signals
    (`afdb`), else as the set's loader does.
    """
    if source.dataset not in LOADERS:
        raise ValueError(f"{source.dataset} has no loader of whole recordings; there is {', '.join(LOADERS)}")
    listed = {} if source.listed is None else {"records": source.listed}
    recordings = LOADERS[source.dataset](source.root, cache=signals, **listed, **options)
    return replace(recordings, kind=source.kind)


def kind_of(dataset: str, root: Path) -> str:
    """ "simulated" if so marked, "real" if all official recordings are there, whole, else "excerpt"."""
    if (root / files.MARK).exists():
        return "simulated"
    return "real" if len(LISTED[dataset](root)) >= OFFICIAL[dataset] else "excerpt"


def simulated_root(dataset: str, folder: Path, records: int, seed: int, options: dict[str, float]) -> Path:
    """The folder of a simulated set below `folder`, written unless it is there, whole and up to date."""
    root = folder / "-".join([dataset, *(f"{value:g}" for value in (records, seed, *options.values()))])
    about = {"records": records, "seed": seed, "version": files.VERSION} | options
    if _is_whole(root, about):
        caching.remove_left_lock(root)
    else:
        with caching.locked(root):
            if not _is_whole(root, about):  # another process may have written it meanwhile
                with caching.replacing(root) as draft:
                    SIMULATORS[dataset](draft, records, seed, **options)
    return root


def _is_whole(root: Path, about: dict[str, float]) -> bool:
    """Whether a simulated set is there, made as `about` says, and none of its files lost or cut since."""
    try:
        mark = json.loads((root / files.MARK).read_text())
        return mark == about | files.contents(root)
    except (OSError, ValueError, RecursionError):
        return False
