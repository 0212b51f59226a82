"""A smaller book: nothing that no browser fetches, and notebooks to download without the outputs
that the pages show.
"""

import os
from pathlib import Path

import nbformat
from sphinx.application import Sphinx


def shrink(app: Sphinx, error: Exception | None) -> None:
    """Remove maps of scripts and styles, sources of translations, and fonts that are there as WOFF2, too."""
    if error is not None:
        return
    static, sources = Path(app.outdir) / "_static", Path(app.outdir) / "_sources"
    unused = [*static.rglob("*.map"), *static.rglob("*.po")]
    unused += [font for font in static.rglob("*.ttf") if font.with_suffix(".woff2").exists()]
    for path in unused:
        path.unlink()
    for path in sources.rglob("*.ipynb"):
        clear(path)


def clear(path: Path) -> None:
    """The notebook without outputs, as an editor starts from it."""
    notebook = nbformat.read(path, nbformat.NO_CONVERT)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if any(cell.outputs for cell in code):
        for cell in code:
            cell.update(outputs=[], execution_count=None)
        smaller = path.with_name(f"{path.name}.part")
        smaller.write_text(nbformat.writes(notebook) + "\n")
        os.replace(smaller, path)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("build-finished", shrink)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
