"""Finds a data set in the user's folder, or simulates one, and says which it is."""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass
from pathlib import Path

from biosignals.data import cache, cinc2017, ptbxl

OFFICIAL = {"ptb-xl": 21_799, "cinc2017": 8_528}  # recordings in the full public release
LISTED = {"ptb-xl": ptbxl.read_database, "cinc2017": cinc2017.read_reference}
SIMULATORS = {"ptb-xl": "ptbxl", "cinc2017": "cinc2017"}
MARK = "SIMULATED.json"  # in every simulated set's folder, written last


@dataclass(frozen=True)
class Source:
    """A data set on disk. kind: "real" (the full release), "excerpt" (a part of it) or "simulated"."""

    dataset: str
    root: Path
    kind: str


def locate(dataset: str, folder: Path | str | None, simulated: Path | str, records: int, seed: int = 0) -> Source:
    """The set `dataset` ("ptb-xl" or "cinc2017") in `folder`, or simulated where it is not there.

    folder: holds the sets, each in a folder of its name; None or "" means simulate. simulated: where simulated sets
    are kept and found again; `records` and `seed` say which. FileNotFoundError when `folder` does not exist.
    """
    if dataset not in OFFICIAL:
        raise ValueError(f"no loader for a set named {dataset!r}; there is {', '.join(OFFICIAL)}")
    if folder:
        folder = Path(folder).expanduser()
        if not folder.is_dir():
            raise FileNotFoundError(f"data folder {folder} does not exist: name an existing one, or none to simulate")
        if (folder / dataset).is_dir():
            return Source(dataset, folder / dataset, kind_of(dataset, folder / dataset))
    return Source(dataset, simulate(dataset, Path(simulated), records, seed), "simulated")


def kind_of(dataset: str, root: Path) -> str:
    """ "simulated" if the folder is marked so, "real" if its table lists all official recordings, else "excerpt"."""
    if (root / MARK).exists():
        return "simulated"
    return "real" if len(LISTED[dataset](root)) >= OFFICIAL[dataset] else "excerpt"


def simulate(dataset: str, folder: Path, records: int, seed: int) -> Path:
    """The folder of a simulated set below `folder`, written unless it is there already, whole."""
    root = folder / f"{dataset}-{records}-{seed}"
    if not whole(root, records, seed):
        simulator = importlib.import_module(f"biosignals.data.simulate.{SIMULATORS[dataset]}")
        with cache.replacing(root) as draft:
            simulator.write(draft, records, seed)
    return root


def whole(root: Path, records: int, seed: int) -> bool:
    """Whether `root` holds a finished simulated set of so many records, made with that seed."""
    try:
        mark = json.loads((root / MARK).read_text())
        return mark["records"] == records and mark["seed"] == seed
    except (OSError, ValueError, KeyError, TypeError):
        return False
