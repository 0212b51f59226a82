"""Execute one chapter headlessly: `python notebooks/execute.py 01_eda --profile quick`.

Parameters of one's own: `python notebooks/execute.py 03 -p "trees=100 seeds=[0, 1]"`.
The chapter runs in the Python that runs this file, and with the library beside it. The
executed notebook appears under its name, RUN/01_eda.ipynb, only when it is finished;
one that failed stays as RUN/01_eda.failed.ipynb to look at.
"""

import argparse
import base64
import errno
import fcntl
import io
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO

import chapters
import inventory
import nbformat
import papermill
from chapters import ROOT
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import DeadKernelError
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError
from PIL import Image

BETWEEN_SAVES = 10  # seconds
# Around a whole path: it is no part of a word, of a longer name, of an address or of an
# HTML tag, but may follow file://, a written-out \n, or a colour of the terminal.
COLOUR = "|".join(rf"(?<=\x1b\[[\d;]{{{length}}}m)" for length in range(9))
BEFORE = rf"(?:(?<![\w./~<-])|(?<=file://)|(?<=\\[nrt])|{COLOUR})"
NOT_IN_A_TAG = r"(?<!=[\"'])"  # where one short folder may be the address of a link
AFTER = r"(?:(/)(?=[\w.])|(?![\w-]|\.\w))"


def main() -> None:
    arguments = parse_arguments()
    os.chdir(ROOT)
    library = [str(ROOT / "lib"), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(library)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    run = Path(arguments.folder or f"runs/{arguments.profile}")
    values, about = prepare(arguments, run)
    begun = time.monotonic()
    finished, unfinished, failed = (
        run / f"{arguments.chapter}{end}.ipynb" for end in ("", ".part", ".failed")
    )
    run.mkdir(parents=True, exist_ok=True)
    with reserved(unfinished):
        try:
            execute(arguments.chapter, unfinished, values)
        except KeyboardInterrupt:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
            unfinished.unlink(missing_ok=True)
            print(
                f"\n{arguments.chapter}: interrupted; the next run begins it again",
                file=sys.stderr,
            )
            os._exit(1)  # at once: what was awaited would be reported at length
        except (PapermillExecutionError, RuntimeError, TimeoutError) as error:
            os.replace(unfinished, failed)
            reason = explain(arguments.chapter, error)
            sys.exit(f"{reason}\nLook at the partly executed notebook: {failed}")
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            sys.exit(f"{arguments.chapter}: the disk of {run} is full: make room")
        notebook = nbformat.read(unfinished, as_version=4)
        paths = private_paths(arguments.data, arguments.folder)
        about["seconds"] = round(time.monotonic() - begun, 1)
        notebook.metadata[chapters.MADE] = readable(about, paths)
        nbformat.write(tidy(notebook, paths), unfinished)
        os.replace(unfinished, finished)
        failed.unlink(missing_ok=True)
    if arguments.show:
        chapters.show(finished)


def prepare(arguments: argparse.Namespace, run: Path) -> tuple[dict, dict]:
    """The chapter's parameters, and what its executed notebook will say of itself.
    Shows which sets it will read, and ends the process where it must not.
    """
    chapter, profile, data = arguments.chapter, arguments.profile, arguments.data
    values = chapters.parameters(chapter, profile, data, arguments.folder)
    try:
        given = chapters.given(chapter, arguments.parameters)
    except ValueError as error:
        sys.exit(str(error))
    values |= given
    rows = inventory.take(profile, data, {chapter: values})
    print(inventory.show(rows, profile, data))
    if refused := inventory.refusal(rows):
        sys.exit(refused)
    sets = inventory.sets(rows)
    about = {"made_from": chapters.made_from(chapter, values, sets, run), "sets": sets}
    faults = [fault for row in rows for fault in row.faults]
    return values, about | {"given": given, "faults": faults}


@contextmanager
def reserved(unfinished: Path) -> Iterator[None]:
    """One process at a time executes a chapter into a folder while others wait. Leaves
    no unfinished notebook, nor what a killed process left of it.
    """
    while True:
        with open(unfinished, "a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print(f"{unfinished}: waiting for another run of it", file=sys.stderr)
                fcntl.flock(file, fcntl.LOCK_EX)
            if is_at(file, unfinished):  # else the other one has finished it
                try:
                    yield
                finally:
                    if is_at(file, unfinished):
                        unfinished.unlink()
                return


def is_at(file: IO[str], path: Path) -> bool:
    """Whether an open file is the one that has this path."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Execute one chapter.")
    parser.add_argument("chapter", help="04_imbalance, or 04")
    parser.add_argument("--profile", default="quick")
    parser.add_argument(
        "--data",
        default="",
        help="folder with real data sets, relative to the project's folder",
    )
    parser.add_argument(
        "--folder", default="", help="where the run writes (default: runs/PROFILE)"
    )
    parser.add_argument(
        "-p",
        "--parameters",
        default="",
        metavar="NAME=VALUE ...",
        help="other values than the profile's, in YAML: 'trees=100 seeds=[0, 1]'",
    )
    parser.add_argument(
        "--show",
        action="store_true",
        help="render this chapter among the others of the book from now on",
    )
    arguments = parser.parse_args()
    try:
        arguments.chapter = chapters.find(arguments.chapter)
        chapters.check(arguments.profile, arguments.data)
    except ValueError as error:
        sys.exit(str(error))
    return arguments


class OwnKernel(AsyncKernelManager):
    """Starts the Python that runs this file, whatever kernels are installed."""

    @property
    def kernel_spec(self) -> KernelSpec:
        command = ["-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=[sys.executable, *command], language="python")


class SparingEngine(NBClientEngine):
    """Papermill's engine, but that it does not write the notebook twice a cell: with
    many pictures that took longer than cells.
    """

    @classmethod
    def execute_managed_notebook(cls, nb_man, kernel_name, **options) -> None:
        save = nb_man.save

        def save_now_and_then(**changes) -> None:
            if (nb_man.now() - nb_man.last_save_time).total_seconds() > BETWEEN_SAVES:
                save(**changes)

        nb_man.save = save_now_and_then
        try:
            super().execute_managed_notebook(nb_man, kernel_name, **options)
        finally:
            nb_man.save = save  # for the last time, by papermill itself


papermill_engines.register("sparing", SparingEngine)


def execute(chapter: str, output: Path, values: dict) -> None:
    """Run the chapter from the project's root; its progress and what long cells print
    go to the terminal. In a thread of its own, so that the main one has nothing to do
    but to notice an interruption.
    """
    running = ThreadPoolExecutor(1).submit(
        papermill.execute_notebook,
        f"notebooks/{chapter}.ipynb",
        output,
        values,
        kernel_name="python3",
        engine_name="sparing",
        kernel_manager_class=OwnKernel,
        cwd=ROOT,
        start_timeout=300,
        progress_bar={"desc": f"{chapter} ({values['profile']})"},
        stdout_file=sys.stdout,
        stderr_file=sys.stderr,
        coalesce_streams=True,  # of a progress bar, the notebook keeps the last state
        # No advice about encryption inside of one machine, nothing of an interruption.
        extra_arguments=["--IPKernelApp.log_level=50"],
    )
    running.result()


def explain(chapter: str, error: Exception) -> str:
    """Chapter, cell and error of a run that failed."""
    if isinstance(error, PapermillExecutionError):
        trace = "\n".join(error.traceback)
        failed = f"{chapter}: cell [{error.exec_count}] failed: {error.ename}"
        return f"{trace}\n\n{failed}: {error.evalue}"
    if isinstance(error, DeadKernelError):
        return f"{chapter}: the kernel died, perhaps for want of memory: {error}"
    return (
        f"{chapter}: the kernel could not start ({error}): is ipykernel whole in "
        f"{sys.prefix}? Remove that folder and build it again with `make env`"
    )


def tidy(
    notebook: nbformat.NotebookNode, paths: dict[str, str]
) -> nbformat.NotebookNode:
    """Keep what a reader wants: the parameters in force, small pictures, no timings, no
    path of this machine.
    """
    notebook.metadata.pop("papermill", None)
    prompt = None  # of the fold that the parameters are in
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        tags = cell.metadata.get("tags", [])
        if "parameters" in tags:
            prompt = cell.metadata.get("mystnb")
            tags.append("remove-cell")
        if "injected-parameters" in tags:
            cell.source = readable(cell.source, paths)
            if prompt:
                cell.metadata["mystnb"] = prompt
                tags.append("hide-input")
        if cell.cell_type == "code":
            cell.outputs = readable(cell.outputs, paths)
            for output in cell.outputs:
                if "image/png" in output.get("data", {}):
                    output.data["image/png"] = smaller(output.data["image/png"])
    return notebook


def smaller(picture: str) -> str:
    """A PNG (base64) with 256 colours that fit it best: a third of the size, and a plot
    looks the same.
    """
    image = Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGBA")
    opaque = Image.alpha_composite(
        Image.new("RGBA", image.size, "white"), image
    ).convert("RGB")
    file = io.BytesIO()
    opaque.quantize(256, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def readable(node, paths: dict[str, str]):
    """Text, or what is inside of a list or mapping, without this machine's paths;
    pictures stay as they are.
    """
    if isinstance(node, list):
        return [readable(item, paths) for item in node]
    if isinstance(node, dict):
        items = {
            key: item if key.startswith("image/") else readable(item, paths)
            for key, item in node.items()
        }
        return nbformat.from_dict(items)
    if not isinstance(node, str):
        return node
    for path, name in paths.items():
        if path in node:
            before = BEFORE if path.count("/") > 1 else BEFORE + NOT_IN_A_TAG
            whole = rf"{before}{re.escape(path)}{AFTER}"
            node = re.sub(whole, partial(replacement, name), node)
    if "/ipykernel_" not in node:  # a figure of megabytes is slow to search
        return node
    return re.sub(r"[^\s\"'<>]{0,200}/ipykernel_\d+/\d+\.py", "cell", node)


def replacement(name: str, match: re.Match) -> str:
    """What stands for a private path: its name, nothing before what lies below the
    project, a full stop for the project itself.
    """
    return f"{name}/" if name and match[1] else name or ("" if match[1] else ".")


def private_paths(data: str, folder: str) -> dict[str, str]:
    """Paths that say where things lie on this machine, longest first, and what to write
    instead.
    """
    places, named = [(str(ROOT), ""), (sys.prefix, "environment")], {}
    for path in map(os.path.normpath, filter(None, (data, folder))):
        place = Path(path).resolve()
        if place not in (ROOT, *ROOT.parents):
            places.append((os.path.abspath(path), place.name))
            named |= {path: place.name} if path.startswith("../") else {}
    places.append((os.path.expanduser("~"), "~"))
    for path, name in places:
        if os.path.isabs(path) and path != "/":  # a home may be either in a container
            named.setdefault(path, name)
            named.setdefault(os.path.realpath(path), name)
    return dict(sorted(named.items(), key=lambda item: -len(item[0])))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\ninterrupted before it began")
