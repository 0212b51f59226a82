"""Render the book: `python notebooks/render.py RUN CHAPTER.ipynb ...`, see assemble.py.

Pages whose own sources have changed are rendered again, all of them when something has
that any page may depend on, or when the last time did not end well.
"""

import hashlib
import os
import shutil
import sys
from pathlib import Path

import assemble
import demo
from chapters import ROOT

FOLDER, BUILT = ROOT / "book/chapters", ROOT / "book/_build"
FINISHED, UNFINISHED = BUILT / "made-for", BUILT / "making"
EVERYWHERE = (
    "_config.yml",
    "requirements.lock",
    "book/_toc.yml",
    "book/glossary.md",
    "book/findings.yml",
    "book/references.bib",
    "book/reference/results.json",
    "notebooks/assemble.py",
    "notebooks/demo.py",
    "notebooks/npm.py",
)
OPTIONS = (
    "--config _config.yml --toc book/_toc.yml --path-output book -W -n --keep-going"
)


def main() -> None:
    os.chdir(ROOT)
    run, *others = map(Path, sys.argv[1:])
    executed = assemble.find_chapters(run, others)
    pages = assemble.chapter_pages(executed)
    runtime = demo.fetch_runtime()
    wanted = digest(found=runtime is not None)
    if not FINISHED.is_file() or FINISHED.read_text() != wanted:
        pages |= assemble.other_pages() | demo.pages(runtime)
        for folder in (BUILT, FOLDER):
            shutil.rmtree(folder, ignore_errors=True)
        BUILT.mkdir(parents=True)
    assemble.write_changed(FOLDER, pages)
    UNFINISHED.write_text(wanted)
    FINISHED.unlink(missing_ok=True)
    render()
    os.replace(UNFINISHED, FINISHED)


def digest(found: bool) -> str:
    """A checksum of what decides the look of pages whose own text has not changed; the
    library is in it, because code on the pages links to where it is described.

    found: whether there is what the page to try models in a browser runs them with.
    """
    paths = [ROOT / name for name in EVERYWHERE]
    paths += sorted(ROOT.glob("book/extensions/*.py"))
    paths += sorted(ROOT.glob("lib/biosignals/**/*.py"))
    paths += sorted(ROOT.glob("book/reference/models/*"))
    total = hashlib.sha256(f"{ROOT} {found}".encode())
    for path in paths:
        total.update(f"{path.name}\n".encode())
        total.update(path.read_bytes() if path.is_file() else b"")
    return total.hexdigest()


def render() -> None:
    """Jupyter Book, with warnings as errors; ends the process where there are any."""
    from jupyter_book.cli.main import main

    main(["build", ".", *OPTIONS.split()], standalone_mode=False)


if __name__ == "__main__":
    main()
