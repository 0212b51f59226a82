"""The chapters: stored clean, short cells with text between, no logic; and each runs through papermill."""

import ast
import re
import shutil
from pathlib import Path

import nbformat
import papermill
import pytest
import yaml

from conftest import CHAPTERS, ROOT

LONGEST_CELL = 25  # lines of code
WIDEST_LINE = 88
LONGEST_FUNCTION = 9  # statements: a shorthand for the cells around it; anything longer is the library's
MOST_CODE_IN_A_ROW = 3  # code cells without a word between

COMPREHENSION = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp

chapters = pytest.mark.parametrize("chapter", CHAPTERS)


def read(chapter: str) -> nbformat.NotebookNode:
    return nbformat.read(ROOT / f"notebooks/{chapter}.ipynb", as_version=4)


def code_cells(chapter: str) -> list[nbformat.NotebookNode]:
    return [cell for cell in read(chapter).cells if cell.cell_type == "code"]


def code(chapter: str) -> ast.Module:
    return ast.parse("\n".join(cell.source for cell in code_cells(chapter)))


def profile(name: str) -> dict:
    return yaml.safe_load((ROOT / f"notebooks/profiles/{name}.yml").read_text()) or {}


def parameters(chapter: str) -> dict:
    """The defaults in the chapter's parameters cell."""
    (cell,) = (cell for cell in code_cells(chapter) if "parameters" in cell.metadata.get("tags", []))
    statements = ast.parse(cell.source).body
    assert all(isinstance(statement, ast.Assign) for statement in statements)
    return {statement.targets[0].id: ast.literal_eval(statement.value) for statement in statements}


@chapters
def test_stored_without_outputs(chapter):
    for cell in code_cells(chapter):
        assert not cell.outputs and cell.execution_count is None
    assert "papermill" not in read(chapter).metadata


@chapters
def test_cells_are_short_with_text_between(chapter):
    long = [cell.source for cell in code_cells(chapter) if len(lines(cell)) > LONGEST_CELL]
    assert not long, "\n---\n".join(long)
    kinds = "".join("c" if cell.cell_type == "code" else "t" for cell in read(chapter).cells)
    after_setup = kinds[kinds.index("c", kinds.index("ct")) :]
    assert "c" * (MOST_CODE_IN_A_ROW + 1) not in after_setup


def lines(cell: nbformat.NotebookNode) -> list[str]:
    """The lines of a cell's statements, imports and blank ones apart."""
    found = cell.source.splitlines()
    for node in ast.parse(cell.source).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            found[node.lineno - 1 : node.end_lineno] = [""] * (node.end_lineno - node.lineno + 1)
    return [line for line in found if line.strip()]


@chapters
def test_code_reads_line_by_line(chapter):
    """One statement a line, none too wide, and no comprehension inside another."""
    for cell in code_cells(chapter):
        wide = [line for line in cell.source.splitlines() if len(line) > WIDEST_LINE]
        assert not wide, wide
    tree = code(chapter)
    statements_of = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.stmt)]
    assert len(statements_of) == len(set(statements_of)), "several statements in one line"
    nested = []
    for node in ast.walk(tree):
        if isinstance(node, COMPREHENSION):
            inside = [child for child in ast.walk(node) if child is not node]
            nested += [ast.unparse(node) for child in inside if isinstance(child, COMPREHENSION)]
    assert not nested, nested


@chapters
def test_no_cell_spoils_what_another_made(chapter):
    """A cell may be run twice: what it adds to, it has made itself."""
    for cell in code_cells(chapter):
        body = ast.parse(cell.source).body
        made = {name.id for node in body for name in ast.walk(node)
                if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)
                and not isinstance(node, ast.AugAssign)}  # fmt: skip
        added = [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.AugAssign)]
        lists = [node for node in added if isinstance(node.op, ast.Add) and isinstance(node.target, ast.Name)]
        assert not [ast.unparse(node) for node in lists if node.target.id not in made], cell.source


@chapters
def test_cells_hold_no_logic(chapter):
    tree = code(chapter)
    assert not [node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    assert not [function.name for function in functions if statements(function) > LONGEST_FUNCTION]
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.While | ast.Try)]


def statements(function: ast.FunctionDef) -> int:
    inside = [node for node in ast.walk(function) if isinstance(node, ast.stmt) and node is not function]
    return len(inside) - bool(ast.get_docstring(function))


@chapters
def test_every_import_is_used(chapter):
    tree = code(chapter)
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {(alias.asname or alias.name).split(".")[0] for node in imports for alias in node.names}
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert names <= used, names - used


@chapters
def test_every_table_is_shown(chapter):
    """A table that is not the last thing in its cell is seen only through `display`."""
    for cell in code_cells(chapter):
        for statement in ast.parse(cell.source).body[:-1]:
            assert not ast.unparse(statement).startswith("plots.table("), cell.source


@chapters
def test_stored_parameters_make_a_quick_run(chapter):
    stored = parameters(chapter)
    assert (stored["profile"], stored["data"], stored["folder"]) == ("quick", "", "")


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "notebooks/profiles").glob("*.yml")))
def test_profiles_name_only_chapters_and_parameters_that_exist(name):
    for chapter, values in profile(name).items():
        assert chapter in CHAPTERS
        assert set(values) <= set(parameters(chapter)) - {"profile", "data", "folder"}


@chapters
def test_text_names_no_place_outside_the_project(chapter):
    text = "\n".join(cell.source for cell in read(chapter).cells)
    assert not re.search(r"\.\./\.\.|/home/|/Users/|/root/|/tmp/|C:\\", text)


@pytest.mark.slow
@chapters
def test_starts_from_the_notebooks_folder_too(chapter, tmp_path):
    """As in Jupyter opened there: everything up to the cell that shows the run."""
    notebook = read(chapter)
    last = next(i for i, cell in enumerate(notebook.cells) if "banner(" in cell.source)
    notebook.cells = notebook.cells[: last + 1]
    values = profile("tiny").get(chapter, {}) | {"profile": "tiny", "folder": str(tmp_path)}
    (tmp_path / "results").mkdir()  # what other chapters wrote
    shutil.copy(ROOT / "book/reference/results.json", tmp_path / "results")
    nbformat.write(notebook, tmp_path / "start.ipynb")
    result = papermill.execute_notebook(
        tmp_path / "start.ipynb",
        None,
        values,
        cwd=ROOT / "notebooks",
        kernel_name="python3",
        progress_bar=False,
    )
    shown = [
        output.data.get("text/markdown", "")
        for cell in result.cells
        for output in cell.get("outputs", [])
        if "data" in output
    ]
    assert any("**Run `tiny`**" in text for text in shown)


@chapters
def test_runs_through_papermill(chapter, tiny_run):
    assert not tiny_run.errors[chapter], tiny_run.errors[chapter]
    assert (tiny_run.folder / f"{chapter}.ipynb").exists()


@chapters
def test_prints_no_warning_and_names_no_place(chapter, tiny_run):
    text = (tiny_run.folder / f"{chapter}.ipynb").read_text()
    for place in (ROOT, Path.home(), tiny_run.folder):
        assert f"{place}/" not in text
    notebook = nbformat.reads(text, as_version=4)
    errors = [o.text for c in notebook.cells for o in c.get("outputs", []) if o.get("name") == "stderr"]
    assert not [text for text in errors if re.search(r"Warning|Error|Traceback", text)]
