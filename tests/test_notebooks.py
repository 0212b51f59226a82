"""The chapters: stored clean, short cells with text between, no logic; and each runs through papermill."""

import ast
import re
import shutil
from pathlib import Path

import nbformat
import papermill
import pytest
import yaml

from biosignals.data import sources
from conftest import CHAPTERS, EARLIER_PATTERN, ROOT

LONGEST_CELL = 25  # lines of code
WIDEST_LINE = 88
LONGEST_FUNCTION = 9  # statements: a shorthand for the cells around it; anything longer is the library's
MOST_CODE_IN_A_ROW = 3  # code cells without a word between

MOST_TABLES = 10  # open ones
QUESTION = re.compile(r"\*\*[^*]+\?\*\*")
GLUED = re.compile(r"\{glue:\w+\}`(\w+)`")
SENTENCE = re.compile(r"[.!?](?=\s|$)")

COMPREHENSION = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp

chapters = pytest.mark.parametrize("chapter", CHAPTERS)
in_pattern = pytest.mark.parametrize("chapter", [name for name in CHAPTERS if name not in EARLIER_PATTERN])


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
    values_of = profile(name)
    assert set(values_of.pop("may_be_simulated", [])) <= set(sources.OFFICIAL)
    for chapter, values in values_of.items():
        assert chapter in CHAPTERS
        assert set(values) <= set(parameters(chapter)) - {"profile", "data", "folder"}


@chapters
def test_text_names_no_place_outside_the_project(chapter):
    text = "\n".join(cell.source for cell in read(chapter).cells)
    assert not re.search(r"\.\./\.\.|/home/|/Users/|/root/|/tmp/|C:\\", text)


# The pattern of a chapter: see CONTRIBUTING.md


def tags(cell: nbformat.NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def prompt(cell: nbformat.NotebookNode) -> str:
    """What the line says that opens a folded cell."""
    look = cell.metadata.get("mystnb", {})
    assert look.get("code_prompt_show") == look.get("code_prompt_hide")
    return look.get("code_prompt_show", "")


def sections(chapter: str) -> dict[str, list[nbformat.NotebookNode]]:
    """The cells of each section by its heading, those of the opening by the chapter's title; text that a heading
    divides is two cells.
    """
    found = {}
    for cell in read(chapter).cells:
        pieces = [cell]
        if cell.cell_type == "markdown":
            pieces = map(nbformat.v4.new_markdown_cell, re.split(r"\n(?=## )", cell.source))
        for piece in pieces:
            if cell.cell_type == "markdown" and re.match("##? ", piece.source):
                found[piece.source.partition("\n")[0]] = []
            found[list(found)[-1]].append(piece)
    return found


def text(cells: list[nbformat.NotebookNode]) -> str:
    return "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def calls(cell: nbformat.NotebookNode, *names: str) -> list[ast.Call]:
    """Calls of the functions `names` ("plots.show") in a cell of code, in their order."""
    if cell.cell_type != "code":
        return []
    found = [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Call)]
    return [node for node in found if ast.unparse(node.func) in names]


PICTURES = ("plots.show",)  # with what to look closer at, if there is any
TABLES = "plots.table", "plots.sortable"


@in_pattern
def test_opens_with_question_findings_and_a_picture(chapter):
    first, *others = read(chapter).cells
    title, question, found = re.split(r"\n\n", first.source)
    assert re.fullmatch(r"# \d+\. .+", title) and QUESTION.fullmatch(question)
    assert found.startswith("**What we found.**")
    sentences = len(SENTENCE.findall(GLUED.sub("", found.removeprefix("**What we found.**"))))
    assert 3 <= sentences <= 5 and len(GLUED.findall(found)) >= 3
    opening = others[: next(i for i, cell in enumerate(others) if "\n## " in f"\n{cell.source}")]
    assert len([cell for cell in opening if calls(cell, *PICTURES)]) == 1
    after = others[len(opening)]
    assert re.match(r"\*Data: [^*]+Time to run: ", after.source), "no line with data, n and time"


@in_pattern
def test_set_up_and_parameters_are_folded(chapter):
    cells = [cell for cell in read(chapter).cells if cell.cell_type == "code"]
    first = next(i for i, cell in enumerate(cells) if "banner(" in cell.source)
    assert all(
        "hide-input" in tags(cell) and prompt(cell).startswith("Set-up") for cell in cells[: first + 1]
    )
    for cell in cells:
        assert bool({"hide-input", "hide-output", "hide-cell"} & set(tags(cell))) == bool(prompt(cell))
        assert not {"remove-cell", "remove-input"} & set(tags(cell)), "code that readers copy needs this cell"


@in_pattern
def test_every_section_shows_a_picture_before_a_table(chapter):
    closing = ("## What to take away", "## Exercises", "## What to read next")
    for heading, cells in sections(chapter).items():
        if heading.startswith(closing):
            continue
        kinds = [kind for cell in cells for kind in (PICTURES, TABLES) if calls(cell, *kind)]
        assert PICTURES in kinds, f"{heading}: no picture"
        assert kinds[0] == PICTURES, f"{heading}: a table before the first picture"


@in_pattern
def test_at_most_ten_tables_are_open(chapter):
    cells = read(chapter).cells
    shown = [
        call
        for cell in cells
        if not {"hide-output", "hide-cell"} & set(tags(cell))
        for call in calls(cell, *TABLES)
    ]
    written = re.findall(r"^\|[-| :]+\|$", text(cells), re.MULTILINE)
    assert len(shown) + len(written) <= MOST_TABLES


@in_pattern
def test_every_picture_says_what_it_shows(chapter):
    """What draws is shown, once, with a sentence for readers who cannot see it."""
    drawn = re.compile(
        r"plt\.subplots\(|\.plot\.\w+\(|= plots\.(?!show|table|lead_label)\w+\(|= (?:ecg|net)_plots\."
    )
    for cell in code_cells(chapter):
        shown = calls(cell, *PICTURES)
        assert len(shown) == bool(drawn.search(cell.source)), cell.source
        assert not calls(cell, "plots.note", "plt.show"), cell.source
        for call in shown:
            assert len(call.args) >= 2
            said = call.args[1]
            if isinstance(said, ast.Name):
                (said,) = [node.value for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Assign)
                           and ast.unparse(node.targets[0]) == said.id]  # fmt: skip
            assert isinstance(said, ast.JoinedStr | ast.Constant)
            words = " ".join(
                part.value for part in getattr(said, "values", [said]) if isinstance(part, ast.Constant)
            )
            assert len(words.split()) >= 4 and words.rstrip().endswith(".")


@in_pattern
def test_numbers_in_the_text_are_those_that_the_code_glues(chapter):
    used = set(GLUED.findall(text(read(chapter).cells)))
    tree = code(chapter)
    constants = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    spelled = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    patterns = ["".join(re.escape(part.value) if isinstance(part, ast.Constant) else r"\w+" for part in node.values)
                for node in spelled]  # fmt: skip
    missing = [key for key in used - constants if not any(re.fullmatch(pattern, key) for pattern in patterns)]
    assert used and not missing, missing
    prefix = f"ch{int(chapter[:2])}_"
    assert all(key.startswith(prefix) for key in used)
    assert not [key for key in constants if isinstance(key, str) and re.fullmatch(rf"{prefix}\w+", key)
                and key not in used]  # fmt: skip


@in_pattern
def test_ideas_have_equations_and_claims_have_sources(chapter):
    written = text(read(chapter).cells)
    assert written.count("$$") >= 4 and written.count("$$") % 2 == 0
    cited = set(re.findall(r"\{cite:[pt]\}`([^`]+)`", written))
    entries = set(re.findall(r"^@\w+\{(\w+),", (ROOT / "book/references.bib").read_text(), re.MULTILINE))
    assert len(cited) >= 3 and cited <= entries, cited - entries


@in_pattern
def test_closes_with_exercises_whose_solutions_are_folded(chapter):
    found = sections(chapter)
    *_, takeaways, exercises, reading = found
    headings = ["## What to take away", "## Exercises", "## What to read next"]
    assert [takeaways, exercises, reading] == headings
    cells = found[exercises]
    asked = re.findall(r"^\*\*(\d+)\. .+?\*\* ", text(cells), re.MULTILINE)
    assert asked == [str(i + 1) for i in range(len(asked))] and 3 <= len(asked) <= 5
    solutions = [cell for cell in cells if cell.cell_type == "code"]
    assert len(solutions) == len(asked)
    assert all("hide-cell" in tags(cell) and prompt(cell) == "Solution" for cell in solutions)
    assert len(re.findall(r"^- ", text(found[takeaways]), re.MULTILINE)) >= 3
    assert "{cite" in text(found[reading])


@in_pattern
def test_no_statement_needs_to_be_read_twice(chapter):
    for node in ast.walk(code(chapter)):
        assert not isinstance(node, ast.NamedExpr), ast.unparse(node)
        merged = isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr)
        assert not (merged and isinstance(node.left, ast.Dict) | isinstance(node.right, ast.Dict)), (
            ast.unparse(node)
        )


@pytest.mark.slow
@pytest.mark.parametrize("chapter", [CHAPTERS[0], CHAPTERS[-1]])
def test_starts_from_the_notebooks_folder_too(chapter, tmp_path):
    """As in Jupyter opened there: everything up to the cell that shows the run, which all chapters open alike."""
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
