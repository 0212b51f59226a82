"""Finds a data set in the user's folder, or simulates one, and says which it is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from biosignals import caching, simulate
from biosignals.data import afdb, bidmc, cinc2017, cpsc2021, helsinki, ludb, ppgbp, ptbxl, samples, sph, wfppg
from biosignals.data.recordings import Recordings
from biosignals.simulate import files

WITHOUT_NUMBER = 600  # recordings simulated where all of a set are asked for
OFFICIAL = {  # recordings released; of WF-PPG six windows of each of 27 subjects
    "ptb-xl": 21_799, "cinc2017": 8_528, "sph": 25_770, "chb-mit": 686, "helsinki": 79, "wf-ppg": 162,
    "bidmc": 53, "ludb": 200, "cpsc2021": 1_436, "afdb": 25, "ppg-bp": 657,
}  # fmt: skip


def with_files(*patterns: str) -> Callable[[Path], list[str]]:
    """What lists the recordings of a folder that have a file for each of the patterns, as `data/*.hea`.

    Not copies and what systems put beside files ("eeg1 (1).edf", "._eeg1.edf").
    """

    def listing(root: Path) -> list[str]:
        names = set.intersection(*({path.stem for path in root.glob(one)} for one in patterns))
        return sorted(name for name in names if re.fullmatch(r"\w[\w+-]*", name))

    return listing


def of_ptbxl(root: Path) -> list[str]:
    """The recordings of PTB-XL at either sampling rate."""
    return list(dict.fromkeys(ptbxl.complete(root, 100) + ptbxl.complete(root, 500)))


THERE = {  # lists the recordings whose files are there, by the names that the loader takes
    "ptb-xl": of_ptbxl,
    "cinc2017": cinc2017.complete,
    "sph": with_files("records/*.h5"),
    "chb-mit": with_files("chb[0-9][0-9]/*.edf"),
    "helsinki": with_files("eeg*.edf"),
    "wf-ppg": lambda root: [window.name for window in wfppg.complete(root)],
    "bidmc": lambda root: list(bidmc.find(root).index),
    "ludb": with_files("data/*.hea", "data/*.dat"),
    "cpsc2021": with_files("**/data_*_*.hea", "**/data_*_*.dat"),
    "afdb": with_files("*.qrs", "*.atr"),
    "ppg-bp": with_files("**/0_subject/[0-9]*_[0-9].txt"),
}
WHOLE = {  # lists those that are there as released, where THERE lists parts of them too
    "ptb-xl": lambda root: sorted({*ptbxl.complete(root, 100)} & {*ptbxl.complete(root, 500)}),
    "helsinki": helsinki.complete,
    "bidmc": bidmc.complete,
    "afdb": afdb.complete,
}
TABLES = {  # lists what is there or should be
    "ptb-xl": lambda root: list(map(str, ptbxl.read_database(root).index)),
    "cinc2017": lambda root: list(cinc2017.read_reference(root).index),
}
ASIDE = {"cinc2017": cinc2017.read_set_aside}  # lists what its reader keeps back
SIGNS = {  # what a folder holds that is one of the set, whatever it is called
    "ptb-xl": (ptbxl.DATABASE,), "cinc2017": cinc2017.REFERENCES, "sph": ("records/*.h5",),
    "chb-mit": ("chb[0-9][0-9]/*-summary.txt",), "helsinki": ("annotations_2017_[ABC]*.csv",),
    "wf-ppg": ("*_preprocessed_*.csv",), "bidmc": (bidmc.FOLDER,), "ludb": ("ludb.csv",),
    "cpsc2021": ("data_*_*.hea",), "afdb": ("04015.qrs",), "ppg-bp": ("0_subject",),
}  # fmt: skip
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
    simulated sets are kept and found again; `records` (0: WITHOUT_NUMBER), `seed` and the simulator's own
    `options` say which.
    listed: ids of the recordings to use of a set that is not simulated. most: where none are listed, take no
    more than so many (0: all), as `samples.choose` does. Raises ValueError for a set that there is no loader
    for and FileNotFoundError when `folder` is not there.
    """
    if folder:
        found = find(dataset, folder)
        if found.kind == "simulated" and found.there:
            return Source(dataset, found.root, found.kind)
        if found.there:
            if listed is None and most:
                listed = samples.choose(dataset, found.root, most, found.there)
            if listed is None:
                return Source(dataset, found.root, found.kind)
            return Source(dataset, found.root, "excerpt", tuple(listed))
    check_name(dataset)
    root = simulated_root(dataset, Path(simulated), records or WITHOUT_NUMBER, seed, options)
    return Source(dataset, root, "simulated")


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


@dataclass(frozen=True)
class Found:
    """What a folder of data sets holds of one of them.

    root: where it was looked for. kind: as of `Source`; "simulated" where it would have to be, or is so
    marked. there: the recordings with their files. absent: those that its table names without files.
    """

    dataset: str
    root: Path
    kind: str
    there: tuple[str, ...]
    absent: tuple[str, ...] = ()


def find(dataset: str, folder: Path | str) -> Found:
    """What `folder` holds of the set `dataset`; nothing is read but its tables and the names of its files.

    Raises as `locate`, and what reading the set's tables raises.
    """
    check_name(dataset)
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f"data folder {folder} does not exist: name another, or none to simulate")
    root = folder / dataset
    there = tuple(THERE[dataset](root)) if root.is_dir() else ()
    if not there:
        return Found(dataset, root, "simulated", ())
    listed = TABLES[dataset](root) if dataset in TABLES else ()
    absent = tuple(sorted(set(listed) - set(there)))
    return Found(dataset, root, kind_of(dataset, root), there, absent)


def check_name(dataset: str) -> None:
    """Raises ValueError for a set that there is no loader for."""
    if dataset not in OFFICIAL:
        raise ValueError(f"no loader for a set named {dataset!r}; there is {', '.join(OFFICIAL)}")


def kind_of(dataset: str, root: Path) -> str:
    """ "simulated" if so marked, "real" if all official recordings are there, whole, else "excerpt"."""
    if (root / files.MARK).exists():
        return "simulated"
    whole = WHOLE.get(dataset, THERE[dataset])(root)
    return "real" if len(whole) >= OFFICIAL[dataset] else "excerpt"


def misplaced(dataset: str, folder: Path | str) -> list[Path]:
    """Folders that may be the set `dataset`, but do not lie where it is looked for, `folder`/`dataset`.

    They have a similar name (ptbxl, PTB_XL-1.0.3), or hold what the set holds: `folder` itself, one in it
    that is named as no other set, one in the set's own.
    """
    folder = Path(folder).expanduser()
    inside = sorted(path for path in folder.iterdir() if path.is_dir() and path.name not in OFFICIAL)
    own = sorted(path for path in folder.glob(f"{dataset}/*") if path.is_dir())
    alike = [path for path in inside if is_alike(path.name, dataset)]
    holding = [path for path in (folder, *inside, *own) if any(any(path.glob(one)) for one in SIGNS[dataset])]
    return list(dict.fromkeys(alike + holding))


def is_alike(name: str, dataset: str) -> bool:
    """Whether a folder's name is that of a set, but for its case, its punctuation, a version or a letter."""
    plain, wanted = (re.sub(r"[^a-z0-9]", "", text.lower()) for text in (name, dataset))
    return plain.startswith(wanted) or SequenceMatcher(None, plain, wanted).ratio() >= 0.8


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
