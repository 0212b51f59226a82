"""Write the pages that are made from a run to where they are rendered:
`python notebooks/assemble.py RUN CHAPTER.ipynb ... FOLDER`.

Chapters named after the run take the place of its own. Their text is that of notebooks/
where the code is the same. A chapter whose code has changed since it was executed says
so, with the commit that it was executed with, and keeps its text. Of its parameters the
page shows all, so that its code can be copied. Beside them come what pages take from
the records of the reference run, pages that describe the library, and what draws
interactive pictures. Only files that change are written.
"""

import ast
import json
import sys
from importlib.util import find_spec
from pathlib import Path

import chapters
import demo
import nbformat
import npm
import yaml
from chapters import NOTEBOOKS, ROOT

REFERENCE = ROOT / "book/reference/results.json"
PLOTLY = "plotly.js-cartesian-dist-min@4.1.1"  # the version of the package plotly
PLOTLY_FILE = {
    "plotly-cartesian.min.js": "79542150855a52c567260e3137095dbe2b744e6d702a5cabe67da246942fba7a",  # noqa: E501
}


def main() -> None:
    run, *others, folder = map(Path, sys.argv[1:])
    pages = chapter_pages(find_chapters(run, others)) | other_pages()
    write_changed(folder, pages | demo.pages(demo.fetch_runtime()))


def find_chapters(run: Path, others: list[Path]) -> dict[str, Path]:
    """The executed notebook of each chapter: of `others`, else of the run."""
    paths = {name: run / f"{name}.ipynb" for name in chapters.names()}
    paths |= {
        path.stem: path for path in others if path.stem in paths and path.is_file()
    }
    missing = [path.name for path in paths.values() if not path.is_file()]
    if missing:
        sys.exit(
            f"{run} is not a whole run, it lacks {', '.join(missing)}: make run-all"
        )
    return paths


def write_changed(folder: Path, pages: dict[str, str | bytes]) -> None:
    """Write those of the files, by their names below the folder, that are not there yet
    or differ: what is the same keeps its date.
    """
    for name, page in pages.items():
        path, content = folder / name, page.encode() if isinstance(page, str) else page
        if not path.is_file() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def other_pages() -> dict[str, str | bytes]:
    """What is not made from the run that is shown, but from the library and the records
    of the reference run.
    """
    # Loaded here: they take seconds, and most builds need none of it.
    from biosignals.reporting import findings, records

    found, sentences = records.read(REFERENCE), ROOT / "book/findings.yml"
    return library_pages() | {
        "static/plotly.min.js": fetch_plotly(),
        "headlines.md": findings.headlines_in_markdown(sentences, found),
        "answers.md": findings.chapters_in_markdown(sentences, found),
        "scores.html": draw_scores(found),
    }


def fetch_plotly() -> bytes:
    """plotly.js without maps and three dimensions, a third of its size, from npm; where
    npm does not work the whole, which the package plotly has.
    """
    found = npm.fetch(PLOTLY, PLOTLY_FILE)
    if found is not None:
        return found["plotly-cartesian.min.js"]
    package = Path(find_spec("plotly").origin).parent
    return (package / "package_data/plotly.min.js").read_bytes()


def library_pages() -> dict[str, str]:
    """A page for each package of the library, which Sphinx fills from the docstrings;
    modules beside the packages share one.
    """
    library = Path(find_spec("biosignals").origin).parent
    pages = {}
    for package in sorted(file.parent for file in library.glob("*/__init__.py")):
        modules = sorted(package.rglob("*.py"))
        text = describe(package.name.capitalize(), modules, package)
        pages[f"api/{package.name}.md"] = text
    beside = [library / "__init__.py", *sorted(library.glob("[a-z]*.py"))]
    pages["api/library.md"] = describe("The library as a whole", beside, library)
    return pages


def describe(title: str, modules: list[Path], package: Path) -> str:
    """The page of some modules, those without public content left out."""
    parts = [f"# {title}"]
    for module in filter(is_public, modules):
        parts_of = module.relative_to(package).with_suffix("").parts
        name = ".".join(parts_of).removesuffix(".__init__")
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


def draw_scores(found) -> str:
    """Every net's score against its size, as a drawing and to look closer at.

    found: the table of records.
    """
    from biosignals.reporting import interactive, plots, scoreboard

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


def chapter_pages(executed: dict[str, Path]) -> dict[str, str]:
    """The executed chapters with the text of now, notes and links under the titles."""
    where = links(yaml.safe_load((ROOT / "_config.yml").read_text())["repository"])
    pages = {}
    for name, path in executed.items():
        stored = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
        page = nbformat.read(path, as_version=4)
        if chapters.code(page) == chapters.code(stored):
            page.cells = with_text(page, stored)
        else:
            add_below_title(page, "older", older(commits(path.parent).get(name)))
            why = (
                "its code has changed since it was executed: code and text are of then"
            )
            print(f"{name}: {why}; make chapter CHAPTER={name[:2]}", file=sys.stderr)
        if where:
            add_below_title(page, "links", where.format(file=f"{name}.ipynb"))
        show_all_parameters(page)
        page.metadata.pop(chapters.MADE, None)
        pages[f"{name}.ipynb"] = nbformat.writes(page) + "\n"
    return pages


def with_text(
    executed: nbformat.NotebookNode, stored: nbformat.NotebookNode
) -> list[nbformat.NotebookNode]:
    """The executed code cells, with the text around them as it is stored now."""
    code = iter([cell for cell in executed.cells if cell.cell_type == "code"])
    cells = []
    for cell in stored.cells:
        cells.append(next(code) if cell.cell_type == "code" else cell)
        if "parameters" in cell.metadata.get("tags", []):
            cells.append(next(code))  # those that the run put in
    return cells


def add_below_title(notebook: nbformat.NotebookNode, name: str, text: str) -> None:
    """A cell of text after the first, with an id that stays the same."""
    notebook.cells.insert(1, nbformat.v4.new_markdown_cell(text, id=name))


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
