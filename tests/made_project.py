"""A small project: the real Makefile and scripts, and two chapters that take no time."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

import nbformat
import pytest

from conftest import ROOT


def make(folder: Path) -> Path:
    for name in ("Makefile", "_config.yml", "pyproject.toml", "requirements.lock", "environment.yml"):
        write(folder / name, (ROOT / name).read_text())
    for path in (*ROOT.glob("notebooks/*.py"), *ROOT.glob("notebooks/*.yml")):
        write(folder / f"notebooks/{path.name}", path.read_text())
    write(folder / "notebooks/profiles/quick.yml", "01_first: {length: 3}\n")
    write(folder / "notebooks/profiles/tiny.yml", "01_first: {length: 1}\n")
    (folder / "lib/biosignals").mkdir(parents=True)  # empty: the installed one is found behind it
    (folder / "real").mkdir()
    add_chapter(folder, "01_first", "print('length', length)")
    add_chapter(folder, "02_second", "print('second')")
    return folder


def write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


PARAMETERS = 'profile = "quick"\ndata = ""\nfolder = ""\nlength = 2'


def add_chapter(project: Path, stem: str, *cells: str, parameters: str = PARAMETERS, text: str = "") -> None:
    """Store a chapter: a title if there is a text, the cell of parameters, cells of code."""
    code = [nbformat.v4.new_code_cell(source) for source in (parameters, *cells)]
    code[0].metadata["tags"] = ["parameters"]
    title = [nbformat.v4.new_markdown_cell(text)] if text else []
    notebook = nbformat.v4.new_notebook(cells=title + code)
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, project / f"notebooks/{stem}.ipynb")


def load(project: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A script of the project as a module, with those beside it that it imports."""
    monkeypatch.syspath_prepend(project / "notebooks")
    monkeypatch.chdir(project)
    for path in project.glob("notebooks/*.py"):
        monkeypatch.delitem(sys.modules, path.stem, raising=False)
    return importlib.import_module(script)
