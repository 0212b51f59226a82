"""notebooks/assemble.py and render.py: what the pages of chapters are made from, and which are rendered again."""

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path

import nbformat
import pytest

import made_project
from made_project import PARAMETERS, add_chapter, write


@pytest.fixture
def project(tmp_path):
    """The project with a finished run: what execute.py would leave, without its time."""
    project = made_project.make(tmp_path)
    for name in ("01_first", "02_second"):
        add_chapter(project, name, f"print('{name}')", "1 + 1", text=f"# {name} of then")
        leave_executed(project, name)
    records = [{"chapter": "01_first", "commit": "abc123"}, {"chapter": "02_second", "commit": None}]
    write(project / "runs/quick/results.json", json.dumps(records))
    return project


def leave_executed(project, name, run="quick"):
    """The stored chapter with its outputs, and the profile's parameters below its own."""
    notebook = nbformat.read(project / f"notebooks/{name}.ipynb", as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [nbformat.v4.new_output("stream", text=f"output of {cell.source}")]
    injected = nbformat.v4.new_code_cell("length = 3", metadata={"tags": ["injected-parameters"]}, id="given")
    notebook.cells.insert(2, injected)
    notebook.metadata["biosignals"] = {"made_from": "", "seconds": 1.0}
    path = project / f"runs/{run}/{name}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)


@pytest.fixture
def assemble(project, monkeypatch):
    return made_project.load(project, "assemble", monkeypatch)


def pages(assemble, *others):
    found = assemble.chapter_pages(assemble.find_chapters(assemble.Path("runs/quick"), list(others)))
    return {name: nbformat.reads(text, as_version=4) for name, text in found.items()}


def texts(page):
    return [cell.source for cell in page.cells if cell.cell_type == "markdown"]


def test_text_is_that_of_now_and_outputs_are_those_of_the_run(assemble, project, capsys):
    add_chapter(project, "01_first", "print('01_first')", "1 + 1", text="# 01_first of now")
    notebook = nbformat.read(project / "notebooks/01_first.ipynb", as_version=4)
    notebook.cells.insert(3, nbformat.v4.new_markdown_cell("A new paragraph."))
    nbformat.write(notebook, project / "notebooks/01_first.ipynb")
    page = pages(assemble)["01_first.ipynb"]
    assert [cell.source.partition("\n")[0] for cell in page.cells] == [
        "# 01_first of now", PARAMETERS.partition("\n")[0], "length = 3", "print('01_first')", "A new paragraph.", "1 + 1",
    ]  # fmt: skip
    assert page.cells[3].outputs[0].text == "output of print('01_first')"
    assert "biosignals" not in page.metadata
    assert capsys.readouterr().err == ""


def test_a_chapter_whose_code_has_changed_keeps_its_text_and_says_so(assemble, project, capsys):
    for name in ("01_first", "02_second"):
        add_chapter(project, name, f"print('{name}')", "2 + 2", text=f"# {name} of now")
    found = pages(assemble)
    assert texts(found["01_first.ipynb"])[0] == "# 01_first of then"
    assert "Executed with commit `abc123`" in texts(found["01_first.ipynb"])[1]
    assert "Executed with an earlier commit" in texts(found["02_second.ipynb"])[1]
    warned = capsys.readouterr().err
    assert "01_first: its code has changed" in warned and "make chapter CHAPTER=01" in warned
    assert "make chapter CHAPTER=02" in warned


def test_a_chapter_executed_alone_is_shown_among_the_others(assemble, project):
    add_chapter(project, "02_second", "print('alone')", text="# alone")
    leave_executed(project, "02_second", run="small")
    found = pages(assemble, assemble.Path("runs/small/02_second.ipynb"))
    assert texts(found["02_second.ipynb"]) == ["# alone"] and texts(found["01_first.ipynb"]) == [
        "# 01_first of then"
    ]
    lost = pages(assemble, assemble.Path("runs/tiny/01_first.ipynb"))  # removed since
    assert texts(lost["01_first.ipynb"]) == ["# 01_first of then"]


def test_the_same_chapters_give_the_same_files(assemble, project):
    paths = assemble.find_chapters(assemble.Path("runs/quick"), [])
    add_chapter(project, "01_first", "changed")  # with a note below its title
    assert assemble.chapter_pages(paths) == assemble.chapter_pages(paths)


@pytest.fixture
def render(project, monkeypatch):
    """The module without Jupyter Book: calls are counted, `broken` fails as a warning does."""
    module = made_project.load(project, "render", monkeypatch)
    monkeypatch.setattr(sys, "argv", ["render.py", "runs/quick"])
    monkeypatch.setattr(module.assemble, "other_pages", lambda: {"scores.html": "scores"})
    monkeypatch.setattr(module.demo, "fetch_runtime", lambda: None)  # no network

    def jupyter_book():
        if (project / "broken").exists():
            raise RuntimeError("a warning")
        write(project / "book/_build/html/page.html", "rendered")

    monkeypatch.setattr(module, "render", jupyter_book)
    return module


def dates(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_only_what_changes_is_written_again(render, project):
    render.main()
    for path in project.glob("book/**/*"):
        os.utime(path, (1, 1))
    add_chapter(project, "01_first", "print('01_first')", "1 + 1", text="# 01_first of now")
    render.main()
    changed = {name for name, date in dates(project / "book/chapters").items() if date != 10**9}
    assert changed == {"01_first.ipynb"}
    assert (project / "book/_build/html/page.html").exists()


def test_without_all_chapters_nothing_is_removed(render, project):
    render.main()
    before = dates(project / "book")
    for name in ("01_first", "02_second"):
        (project / f"runs/quick/{name}.ipynb").unlink()
    write(project / "book/glossary.md", "which all pages depend on")
    with pytest.raises(
        SystemExit, match="runs/quick is not a whole run, it lacks 01_first.ipynb, 02_second.ipynb"
    ):
        render.main()
    (project / "book/glossary.md").unlink()
    assert dates(project / "book") == before


@pytest.mark.parametrize(
    "name",
    ["_config.yml", "book/_toc.yml", "book/glossary.md", "book/extensions/new.py", "lib/biosignals/new.py"],
)
def test_what_every_page_depends_on_renders_all_again(render, project, name):
    render.main()
    write(project / "book/_build/html/removed.html", "of a page that is gone")
    write(project / "book/chapters/api/removed.md", "of a package that is gone")
    render.main()
    assert (project / "book/_build/html/removed.html").exists()
    write(project / name, "changed: 1\nrepository: {url: ''}\n" if name == "_config.yml" else "changed = 1\n")
    render.main()
    assert not (project / "book/_build/html/removed.html").exists()
    assert not (project / "book/chapters/api/removed.md").exists()


def test_after_a_warning_all_is_rendered_again_until_there_is_none(render, project):
    """Sphinx would not repeat the warnings of pages that it has read."""
    (project / "broken").touch()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="a warning"):
            render.main()
        write(project / "book/_build/html/half.html", "")
    (project / "broken").unlink()
    render.main()
    assert not (project / "book/_build/html/half.html").exists()


# What comes from npm


@pytest.fixture
def npm(project, monkeypatch):
    """The script that fetches packages."""
    return made_project.load(project, "npm", monkeypatch)


FILES = {"dist/x.mjs": "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"}  # of "x"


def stand_in(folder, content, monkeypatch):
    """A program called npm that packs the content; it notes that it ran."""
    package = folder / "package/dist"
    package.mkdir(parents=True)
    (package / "x.mjs").write_text(content)
    (folder / "npm").write_text(f"#!/bin/sh\ntouch '{folder}/ran'\ntar czf made.tgz -C '{folder}' package\n")
    (folder / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


def test_a_package_is_fetched_once(npm, tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("npm")
    stand_in(folder, "x", monkeypatch)
    assert npm.fetch("made@1.0", FILES) == {"dist/x.mjs": b"x"}
    (folder / "ran").unlink()
    assert npm.fetch("made@1.0", FILES) == {"dist/x.mjs": b"x"}
    assert not (folder / "ran").exists()
    assert npm.fetch("made@1.1", FILES) and (folder / "ran").exists()


def test_another_file_than_the_one_that_was_chosen_is_not_used(npm, tmp_path_factory, monkeypatch, capsys):
    stand_in(tmp_path_factory.mktemp("npm"), "y", monkeypatch)
    assert npm.fetch("made@1.0", FILES) is None
    assert "dist/x.mjs is another file than expected" in capsys.readouterr().err
    assert not list(npm.CACHE.rglob("*.mjs"))


def test_without_npm_the_page_says_what_is_missing(project, monkeypatch, capsys):
    demo = made_project.load(project, "demo", monkeypatch)
    monkeypatch.setenv("PATH", "")
    found = demo.fetch_runtime()
    assert "npm is not installed" in capsys.readouterr().err
    assert demo.pages(found).keys() == {"try-it.html"}
    assert (
        "left out" in demo.pages(found)["try-it.html"] and "<script" not in demo.pages(found)["try-it.html"]
    )


def test_pictures_to_look_closer_at_work_without_npm(assemble, monkeypatch):
    whole = (Path(find_spec("plotly").origin).parent / "package_data/plotly.min.js").read_bytes()
    monkeypatch.setenv("PATH", "")
    assert assemble.fetch_plotly() == whole
    version = assemble.PLOTLY.rpartition("@")[2]
    assert f"plotly.js v{version}".encode() in whole[:100]


def test_regular_expressions_for_the_browser_take_letters_of_every_language(project, monkeypatch):
    demo = made_project.load(project, "demo", monkeypatch)
    assert demo.in_javascript(r"\w+[\"']\W") == "[\\p{L}\\p{N}_]+[\"'][^\\p{L}\\p{N}_]"
