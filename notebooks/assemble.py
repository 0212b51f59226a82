"""Copy the executed chapters of a run to where they are rendered, RUN to FOLDER.

A chapter whose code has changed since it was executed says so, with the commit that it
was executed with.
"""

import json
import sys
from pathlib import Path

import nbformat

NOTEBOOKS = Path(__file__).resolve().parent


def main() -> None:
    run, folder = map(Path, sys.argv[1:])
    folder.mkdir(parents=True, exist_ok=True)
    for stored in sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb")):
        if not (run / stored.name).is_file():
            sys.exit(
                f"{run} is not a whole run, {stored.name} is missing: make run-all"
            )
        executed = nbformat.read(run / stored.name, as_version=4)
        if code(executed) != code(nbformat.read(stored, as_version=4)):
            note = older(commits(run).get(stored.stem))
            executed.cells.insert(1, nbformat.v4.new_markdown_cell(note))
        nbformat.write(executed, folder / stored.name)


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
    records = json.loads(path.read_text()) if path.is_file() else []
    return {row["chapter"]: row["commit"] for row in records if row["commit"]}


def older(commit: str | None) -> str:
    """What a page says above figures that older code has made."""
    which = f"commit `{commit}`" if commit else "an earlier commit"
    return (
        f"> Executed with {which}; the chapter's code has been rewritten since. "
        "The figures stand until the chapter is executed again."
    )


if __name__ == "__main__":
    main()
