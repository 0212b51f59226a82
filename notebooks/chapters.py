"""What a chapter is made from: its notebook, its parameters, the sets that it reads,
and the code that runs.
"""

import ast
import difflib
import hashlib
import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "lib"))  # the library beside it, before one installed

from biosignals.reporting.parameters import stored_parameters

NOTEBOOKS = ROOT / "notebooks"
CODE = ("notebooks/execute.py", "notebooks/recipes.yml", "requirements.lock")
SCOREBOARD = "_scoreboard"  # ends the name of the chapter that reads what others wrote
MADE = "biosignals"  # the metadata of an executed notebook, see `about`
# The run that the book shows, and executed chapters that take the place of its own.
LATEST = ROOT / "runs/latest"


def names() -> list[str]:
    return sorted(path.stem for path in NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))


def find(name: str) -> str:
    """The chapter that "4", "04" or "04_imbalance" means; ValueError for none."""
    number = f"{name:0>2}_"
    for chapter in names():
        if name and (chapter == name or chapter.startswith(number)):
            return chapter
    raise ValueError(
        f"CHAPTER={name}: there is no such chapter; choose one of {', '.join(names())}"
    )


def profiles() -> list[str]:
    return sorted(path.stem for path in NOTEBOOKS.glob("profiles/*.yml"))


def check(profile: str, data: str) -> None:
    """Raises ValueError for a profile or a folder of data that is not there."""
    read_profile(profile)
    if data and not (ROOT / data).is_dir():
        raise ValueError(f"DATA={data}: there is no such folder")


def read_profile(name: str) -> dict[str, Any]:
    """The values of each chapter, and `may_be_simulated`; ValueError for none."""
    if name not in profiles():
        known = ", ".join(profiles())
        raise ValueError(
            f"PROFILE={name}: there is no such profile; choose one of {known}"
        )
    return yaml.safe_load((NOTEBOOKS / f"profiles/{name}.yml").read_text()) or {}


def parameters(
    chapter: str, profile: str, data: str, folder: str = ""
) -> dict[str, Any]:
    """What papermill puts below the chapter's cell of parameters."""
    places = {
        name: path and os.path.normpath(path)  # x/ and ./x are x
        for name, path in {"data": data, "folder": folder}.items()
    }
    return {"profile": profile} | places | read_profile(profile).get(chapter, {})


def given(chapter: str, text: str) -> dict[str, Any]:
    """The parameters in "seeds=[0, 1] trees=50": values in YAML, as in a profile.

    Raises ValueError for one that the chapter has not, or of another type than there.
    """
    known = stored_parameters(NOTEBOOKS / f"{chapter}.ipynb")
    values = {}
    for part in re.split(r"\s+(?=[A-Za-z_]\w*=)", text.strip()) if text.strip() else []:
        name, sign, value = part.partition("=")
        if not sign or name not in known:
            meant = difflib.get_close_matches(name, known, 1)
            hint = f", did you mean {meant[0]}" if meant else ""
            raise ValueError(
                f"{chapter} has no parameter {name!r}{hint}? Write name=value; "
                f"there are {', '.join(known)}"
            )
        try:
            values[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ValueError(f"{part}: this value cannot be read, {error}") from error
        usual = known[name]
        if isinstance(usual, float) and type(values[name]) is int:
            values[name] = float(values[name])
        if usual is not None and type(values[name]) is not type(usual):
            raise ValueError(
                f"{part}: the value is of another kind than in {chapter}, "
                f"{name}={shown(usual)}"
            )
    return values


def shown(value: Any) -> str:
    """A value as one writes it into a profile."""
    text = yaml.safe_dump(
        value, default_flow_style=True, sort_keys=False, width=float("inf")
    )
    return text.removesuffix("...\n").strip()


def read(path: Path) -> dict[str, Any]:
    """A notebook as its file has it. Raises ValueError, naming the file, for none."""
    try:
        notebook = json.loads(path.read_text())
        notebook["cells"], notebook["metadata"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no notebook ({error})") from error
    return notebook


def code(notebook: dict[str, Any]) -> list[str]:
    """The code of a notebook's cells, without the parameters that a run puts in."""
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return [
        "".join(cell["source"])
        for cell in cells
        if "injected-parameters" not in cell["metadata"].get("tags", [])
    ]


@dataclass(frozen=True)
class Need:
    """A set that a chapter reads: how many recordings (0: all), which, and at what rate
    (0: the loader's own).
    """

    chapter: str
    dataset: str
    records: int
    listed: str
    sampling_rate: int


def needs(chapter: str, values: dict[str, Any], known: tuple[str, ...]) -> list[Need]:
    """The sets, of those `known`, that a chapter names where it calls `run.load` or
    `run.locate`; how many recordings and which, as far as its parameters say so.
    """
    notebook = NOTEBOOKS / f"{chapter}.ipynb"
    names = stored_parameters(notebook) | values
    found = []
    for statement in ast.parse("\n".join(plain(code(read(notebook))))).body:
        if isinstance(statement, ast.Assign) and isinstance(
            statement.targets[0], ast.Name
        ):
            names = evaluated({statement.targets[0].id: statement.value}, names) | names
        for call in ast.walk(statement):
            if isinstance(call, ast.Call) and getattr(call.func, "attr", "") in (
                "load",
                "locate",
            ):
                said = arguments(call, names)
                if said.get("dataset") in known:
                    found.append(
                        Need(
                            chapter,
                            **USUAL | {key: said[key] for key in USUAL if key in said},
                        )
                    )
    return list(dict.fromkeys(found))


USUAL = {"dataset": "", "records": 0, "listed": "", "sampling_rate": 0}  # of `run.load`


def plain(cells: list[str]) -> list[str]:
    """The cells without lines that only IPython understands."""
    return [re.sub(r"^\s*[%!].*$", "", cell, flags=re.MULTILINE) for cell in cells]


def arguments(call: ast.Call, names: dict[str, Any]) -> dict[str, Any]:
    """Those of a call whose values are known."""
    nodes = dict(zip(USUAL, call.args)) | {
        word.arg: word.value for word in call.keywords if word.arg
    }
    unpacked = [
        evaluated({"": word.value}, names).get("")
        for word in call.keywords
        if not word.arg
    ]
    return {
        key: value for one in unpacked for key, value in (one or {}).items()
    } | evaluated(nodes, names)


def evaluated(nodes: dict[str, ast.expr], names: dict[str, Any]) -> dict[str, Any]:
    """The values of expressions that are constants, names, or what these hold under a
    key; others are left out.
    """
    values = {}
    for name, node in nodes.items():
        if isinstance(node, ast.Name) and node.id in names:
            values[name] = names[node.id]
        elif isinstance(node, ast.Subscript):
            parts = evaluated({"whole": node.value, "key": node.slice}, names)
            if (
                isinstance(parts.get("whole"), dict)
                and parts.get("key") in parts["whole"]
            ):
                values[name] = parts["whole"][parts["key"]]
        elif isinstance(node, ast.Constant):
            values[name] = node.value
    return values


def made_from(
    chapter: str, values: dict[str, Any], sets: dict[str, Any], run: Path
) -> str:
    """A checksum of all that decides what an executed chapter shows: its code, not its
    text; its parameters; the folder of the sets and what is found there; the library;
    for the scoreboard what the other chapters of the run have written. Where the run
    lies, `folder`, is no part of it.
    """
    digest = hashlib.sha256()
    folder = values["data"] and os.path.relpath((ROOT / values["data"]).resolve(), ROOT)
    for part in (
        code(read(NOTEBOOKS / f"{chapter}.ipynb")),
        values | {"folder": "", "data": folder},
        sets,
    ):
        digest.update(json.dumps(part, sort_keys=True, default=str).encode())
    paths = [ROOT / name for name in CODE] + sorted(ROOT.glob("lib/biosignals/**/*.py"))
    if chapter.endswith(SCOREBOARD):
        paths += sorted(ROOT.glob("book/*.csv"))
        paths += sorted(run.glob("ledger/*.csv"))
        paths += sorted(
            path for path in run.glob("results/*.json") if path.stem != chapter
        )
    for path in paths:
        digest.update(f"{path.name}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def about(path: Path) -> dict[str, Any]:
    """What an executed notebook says of itself: `made_from`, `seconds`, `sets`, the
    parameters `given` by hand, `faults` of its sets that were let pass; empty where it
    is not there or says nothing.
    """
    try:
        return read(path)["metadata"].get(MADE, {})
    except (OSError, ValueError):
        return {}


def show(executed: Path) -> None:
    """From now on the book shows this executed chapter in place of the run's own."""
    base, *others = (
        LATEST.read_text().split() if LATEST.is_file() else ["book/reference"]
    )
    others = [path for path in others if Path(path).name != executed.name]
    show_run(base, *others, os.path.relpath(executed, ROOT))


def show_run(run: Path | str, *chapters: str) -> None:
    """From now on the book shows a run, and some chapters from elsewhere."""
    LATEST.parent.mkdir(exist_ok=True)
    unfinished = LATEST.with_suffix(".new")
    unfinished.write_text("\n".join([str(run), *chapters]) + "\n")
    os.replace(unfinished, LATEST)


def clock(seconds: float | None) -> str:
    """Hours, minutes and seconds: "1:02:03", "0:05"; "?" where they are not known."""
    if seconds is None:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
