"""Copy the executed chapters of a run to where they are rendered, RUN to FOLDER.

A chapter whose code has changed since it was executed says so, with the commit that it
was executed with. Of its parameters the page shows all, so that its code can be copied.
Beside them come what pages take from the records of the reference run, pages that
describe the library, and what draws interactive pictures.
"""

import ast
import json
import shutil
import sys
from pathlib import Path

import nbformat
import pandas as pd
import plotly
import yaml

import biosignals
from biosignals.reporting import findings, interactive, plots, records, scoreboard

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
REFERENCE = ROOT / "book/reference/results.json"


def main() -> None:
    run, folder = map(Path, sys.argv[1:])
    (folder / "static").mkdir(parents=True, exist_ok=True)
    copy_chapters(run, folder)
    library = Path(plotly.__file__).parent / "package_data/plotly.min.js"
    shutil.copy(library, folder / "static")
    found, sentences = records.read(REFERENCE), ROOT / "book/findings.yml"
    headlines = findings.headlines_in_markdown(sentences, found)
    (folder / "headlines.md").write_text(headlines)
    answers = findings.chapters_in_markdown(sentences, found)
    (folder / "answers.md").write_text(answers)
    (folder / "scores.html").write_text(draw_scores(found))
    describe_library(folder / "api")


def describe_library(folder: Path) -> None:
    """A page for each package of the library, which Sphinx fills from the docstrings;
    modules beside the packages share one.
    """
    library = Path(biosignals.__file__).parent
    folder.mkdir(exist_ok=True)
    for package in sorted(file.parent for file in library.glob("*/__init__.py")):
        modules = sorted(package.rglob("*.py"))
        text = describe(package.name.capitalize(), modules, package)
        (folder / f"{package.name}.md").write_text(text)
    beside = [library / "__init__.py", *sorted(library.glob("[a-z]*.py"))]
    text = describe("The library as a whole", beside, library)
    (folder / "library.md").write_text(text)


def describe(title: str, modules: list[Path], package: Path) -> str:
    """The page of some modules, those without public content left out."""
    parts = [f"# {title}"]
    for module in filter(is_public, modules):
        name = ".".join(module.relative_to(package).with_suffix("").parts)
        before = "" if package.name == "biosignals" else "biosignals."
        dotted = f"{before}{package.name}.{name}".removesuffix(".__init__")
        parts += [f"## {name}"] if name != "__init__" else []
        parts.append(f"```{{eval-rst}}\n.. automodule:: {dotted}\n```")
    return "\n\n".join(parts) + "\n"


def is_public(module: Path) -> bool:
    """Whether a module describes itself, or functions and classes of it, to readers."""
    tree = ast.parse(module.read_text())
    names = [getattr(node, "name", "_") for node in tree.body]
    public = [name for name in names if not name.startswith("_") and name != "main"]
    package = module.name == "__init__.py" and ast.get_docstring(tree) is not None
    return bool(public) or package


def draw_scores(found: pd.DataFrame) -> str:
    """Every net's score against its size, as a drawing and to look closer at."""
    plots.use_style()
    nets = scoreboard.contenders(found, cost="params")
    nets = nets.assign(chapter="chapter " + nets.chapter.str[:2].str.lstrip("0"))
    nets = nets.rename(columns={"params": "parameters"}).sort_values("chapter")
    front = scoreboard.pareto_front(nets, "parameters", "value")
    names = list(dict.fromkeys(nets.chapter))
    palette = dict(zip(names, plots.PALETTE))
    ax = plots.trade_off(nets, front, "parameters", "chapter", palette)
    ax.set_ylabel("macro AUROC")
    alt = (
        f"Macro AUROC of {len(nets)} nets against their number of parameters; a dashed "
        f"line joins the {len(front)} that no smaller net beats."
    )
    about = f"PTB-XL, {nets.kind.iloc[0]}, out of fold, n = {nets.n_test.max():,}"
    closer = interactive.trade_off(nets, "parameters", "chapter", score="macro AUROC")
    return plots.figure_html(ax, alt, f"{about}; bars: 95 %", closer)


def copy_chapters(run: Path, folder: Path) -> None:
    """The executed chapters with notes and links below their titles."""
    where = links(yaml.safe_load((ROOT / "_config.yml").read_text())["repository"])
    for stored in sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb")):
        if not (run / stored.name).is_file():
            sys.exit(
                f"{run} is not a whole run, {stored.name} is missing: make run-all"
            )
        executed = nbformat.read(run / stored.name, as_version=4)
        if code(executed) != code(nbformat.read(stored, as_version=4)):
            note = older(commits(run).get(stored.stem))
            executed.cells.insert(1, nbformat.v4.new_markdown_cell(note))
        if where:
            line = where.format(file=stored.name)
            executed.cells.insert(1, nbformat.v4.new_markdown_cell(line))
        show_all_parameters(executed)
        nbformat.write(executed, folder / stored.name)


def links(repository: dict) -> str:
    """Where a chapter can be opened, for `.format(file=)`; empty without a repository.

    repository: the section of _config.yml, with url and branch.
    """
    address, branch = repository.get("url", ""), repository.get("branch", "main")
    if not address:
        return ""
    name = address.removeprefix("https://github.com/").strip("/")
    place = f"{name}/blob/{branch}/notebooks/{{file}}"
    binder = f"https://mybinder.org/v2/gh/{name}/{branch}?labpath=notebooks/{{file}}"
    raw = f"https://raw.githubusercontent.com/{name}/{branch}/notebooks/{{file}}"
    return (
        f"[Open in Colab](https://colab.research.google.com/github/{place}) · "
        f"[Open in Binder]({binder}) · [Download]({raw}) · "
        f"[Source](https://github.com/{place})"
    )


def show_all_parameters(notebook: nbformat.NotebookNode) -> None:
    """Add those that the profile did not set to the cell of parameters on the page: the
    cell with their defaults is hidden.
    """
    hidden, shown = (
        tagged(notebook, "parameters"),
        tagged(notebook, "injected-parameters"),
    )
    given = {node.targets[0].id for node in ast.parse(shown.source).body}
    lines = hidden.source.splitlines()
    for node in ast.parse(hidden.source).body:
        if node.targets[0].id not in given:
            shown.source += "\n" + "\n".join(lines[node.lineno - 1 : node.end_lineno])


def tagged(notebook: nbformat.NotebookNode, tag: str) -> nbformat.NotebookNode:
    """The one cell with a tag."""
    (cell,) = (cell for cell in notebook.cells if tag in cell.metadata.get("tags", []))
    return cell


def code(notebook: nbformat.NotebookNode) -> list[str]:
    """The code of a notebook's cells, without the parameters that a run puts in."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [
        cell.source
        for cell in cells
        if "injected-parameters" not in cell.metadata.get("tags", [])
    ]


def commits(run: Path) -> dict[str, str]:
    """The commit that each chapter's last record was made with."""
    path = run / "results.json"
    rows = json.loads(path.read_text()) if path.is_file() else []
    return {row["chapter"]: row["commit"] for row in rows if row["commit"]}


def older(commit: str | None) -> str:
    """What a page says above figures that older code has made."""
    which = f"commit `{commit}`" if commit else "an earlier commit"
    return (
        f"> Executed with {which}; the chapter's code has been rewritten since. "
        "The figures stand until the chapter is executed again."
    )


if __name__ == "__main__":
    main()
