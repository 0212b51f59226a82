"""The order of the library's packages: imports point upwards only, in no circle, and `signals` stands alone."""

import ast
import graphlib
from importlib.util import resolve_name
from pathlib import Path

import pytest

LIBRARY = Path(__file__).resolve().parents[1] / "lib" / "biosignals"

# From the ground up: a package may import from itself and from those before it.
ORDER = [
    "lazy",
    "progress",
    "caching",
    "onnx_files",
    "signals",
    "simulate",
    "data",
    "models",
    "evaluation",
    "training",
    "compression",
    "reporting",
    "task",
    "deployment",
]


def modules(library: Path) -> dict[str, Path]:
    """The library's modules and packages: dotted name > file."""
    found = {}
    for path in sorted(library.rglob("*.py")):
        parts = path.relative_to(library.parent).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = path
    return found


def imported(name: str, files: dict[str, Path]) -> set[str]:
    """The library's modules that one of them imports, inside functions too; `from package import name` counts
    as `package.name` where that is a module and as the package itself where it is not.
    """
    package = name if files[name].name == "__init__.py" else name.rpartition(".")[0]
    names = set()
    for node in ast.walk(ast.parse(files[name].read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = resolve_name("." * node.level + (node.module or ""), package)
            submodules = {f"{origin}.{alias.name}" for alias in node.names}
            names |= submodules & set(files)
            if submodules - set(files):
                names.add(origin)
    return {other for other in names if other.split(".")[0] == name.split(".")[0]}


def faults(library: Path) -> list[str]:
    """What breaks the order, a line each: unknown packages, imports that point downwards, circles."""
    files = modules(library)
    graph = {name: imported(name, files) for name in files}
    found = [
        f"{name}: not in the order of packages"
        for name in files
        if package_of(name) not in ["", "__main__", *ORDER]
    ]
    for name, others in graph.items():
        for other in sorted(others):
            if package_of(name) == "signals" and package_of(other) not in ("signals", "lazy"):
                found.append(f"{name} imports {other}: signals imports nothing outside itself")
            elif height(other) > height(name):
                found.append(f"{name} imports {other}: which comes later")
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        found.append("a circle: " + " < ".join(error.args[1]))
    return found


def package_of(name: str) -> str:
    """The first part of a module's name below the library: `data` of `biosignals.data.ptbxl`."""
    return (name.split(".") + [""])[1]


def height(name: str) -> int:
    """A package's place from the ground up; the library's own `__init__` and `__main__` come last."""
    return ORDER.index(package_of(name)) if package_of(name) in ORDER else len(ORDER)


def test_imports_point_upwards_and_run_in_no_circle():
    assert faults(LIBRARY) == []


def test_few_modules_stand_beside_the_packages():
    beside = [path.name for path in LIBRARY.glob("*.py")]
    assert len(beside) <= 6, beside


PLANTED = {
    "downwards": (
        {"data/ptbxl.py": "from biosignals.training import fit", "training/fit.py": ""},
        "biosignals.data.ptbxl imports biosignals.training.fit",
    ),
    "inside a function": (
        {"models/s4.py": "def build():\n    from biosignals.task import Task", "task.py": ""},
        "biosignals.models.s4 imports biosignals.task",
    ),
    "under another name": (
        {"caching/key.py": "import biosignals.data.splits as s", "data/splits.py": ""},
        "biosignals.caching.key imports biosignals.data.splits",
    ),
    "the whole library": ({"data/sph.py": "import biosignals"}, "biosignals.data.sph imports biosignals"),
    "out of signals": (
        {"signals/filters.py": "from biosignals import caching", "caching/__init__.py": ""},
        "signals imports nothing outside itself",
    ),
    "relative": (
        {"models/s4.py": "from ..training.fit import fit", "training/fit.py": ""},
        "biosignals.models.s4 imports biosignals.training.fit",
    ),
    "circle": (
        {
            "data/a.py": "from biosignals.data import b",
            "data/b.py": "from biosignals.data.c import x",
            "data/c.py": "from . import a",
        },
        "a circle",
    ),
    "unknown package": ({"attic/trunk.py": ""}, "biosignals.attic.trunk: not in the order of packages"),
}


@pytest.mark.parametrize("case", PLANTED)
def test_a_planted_violation_is_found(case, tmp_path):
    files, expected = PLANTED[case]
    write(tmp_path / "biosignals", files)
    (found,) = faults(tmp_path / "biosignals")
    assert expected in found


def test_what_is_allowed_is_not_a_violation(tmp_path):
    files = {
        "__init__.py": "from biosignals.deployment import predict",
        "signals/filters.py": "import numpy\nfrom biosignals.signals.windows import cut",
        "signals/windows.py": "",
        "data/ptbxl.py": "from biosignals.signals import filters\nfrom biosignals.data import splits",
        "data/splits.py": "",
        "deployment/predict.py": "from biosignals.data.ptbxl import LEADS",
    }
    write(tmp_path / "biosignals", files)
    assert faults(tmp_path / "biosignals") == []


def write(library: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (library / name).parent.mkdir(parents=True, exist_ok=True)
        (library / name).write_text(text)
