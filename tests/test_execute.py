"""notebooks/execute.py on small chapters made here, and the Makefile's rules around it."""

import base64
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

import made_project
from conftest import ROOT
from made_project import add_chapter, write


@pytest.fixture
def project(tmp_path):
    """A project with the real Makefile and scripts, and two small chapters."""
    return made_project.make(tmp_path)


def execute(project: Path, *arguments: str) -> subprocess.CompletedProcess:
    return run(project.parent, sys.executable, project / "notebooks/execute.py", *arguments)


def run(folder: Path, *command: str | Path) -> subprocess.CompletedProcess:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def printed(notebook: Path) -> str:
    cells = nbformat.read(notebook, as_version=4).cells
    return "".join(output.get("text", "") for cell in cells for output in cell.get("outputs", []))


# One chapter, executed by papermill


@pytest.mark.slow
def test_a_chapter_gets_its_profiles_parameters_and_shows_its_progress(project):
    result = execute(project, "01_first", "--profile", "tiny")
    assert result.returncode == 0, result.stderr
    assert "01_first (tiny)" in result.stderr and "100%" in result.stderr
    assert "length 1" in result.stdout
    assert printed(project / "runs/tiny/01_first.ipynb") == "length 1\n"
    assert [path.name for path in project.glob("runs/tiny/*")] == ["01_first.ipynb"]


@pytest.mark.slow
def test_a_parameter_given_by_hand_takes_the_place_of_the_profiles_and_is_remembered(project):
    assert execute(project, "1", "-p", "length=7").returncode == 0
    path = project / "runs/quick/01_first.ipynb"
    assert printed(path) == "length 7\n"
    assert nbformat.read(path, as_version=4).metadata["biosignals"]["given"] == {"length": 7}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("01", "-p", "lengths=7"),
            "01_first has no parameter 'lengths', did you mean length? Write name=value",
        ),
        (("01", "-p", "length"), "01_first has no parameter 'length', did you mean length? Write name=value"),
        (("01", "-p", "length=long"), "length=long: the value is of another kind than in 01_first, length=2"),
        (("01", "-p", "length=[1"), "length=[1: this value cannot be read"),
        (("03",), "CHAPTER=03: there is no such chapter; choose one of 01_first, 02_second"),
        (("",), "CHAPTER=: there is no such chapter; choose one of 01_first, 02_second"),
        (("01", "--profile", "best"), "PROFILE=best: there is no such profile; choose one of quick, tiny"),
        (("01", "--data", "nowhere"), "DATA=nowhere: there is no such folder"),
    ],
)
def test_what_cannot_be_executed_is_refused_with_what_can(project, monkeypatch, arguments, message):
    module = made_project.load(project, "execute", monkeypatch)
    monkeypatch.setattr(sys, "argv", ["execute.py", *arguments])
    with pytest.raises(SystemExit, match=re.escape(message)):
        module.main()
    assert not (project / "runs").exists()


@pytest.mark.slow
def test_parameters_of_a_run_are_folded_as_the_chapters_own_are(project):
    path = project / "notebooks/01_first.ipynb"
    notebook = nbformat.read(path, as_version=4)
    prompt = {"code_prompt_show": "Set-up", "code_prompt_hide": "Set-up"}
    notebook.cells[0].metadata.update(tags=["parameters", "hide-input"], mystnb=prompt)
    nbformat.write(notebook, path)
    for chapter, folded in {"01_first": prompt, "02_second": None}.items():
        assert execute(project, chapter).returncode == 0
        own, injected, _ = nbformat.read(project / f"runs/quick/{chapter}.ipynb", as_version=4).cells
        assert "remove-cell" in own.metadata.tags
        assert injected.metadata.get("mystnb") == folded
        assert ("hide-input" in injected.metadata.tags) == bool(folded)


@pytest.mark.slow
def test_an_executed_chapter_names_no_place_on_this_machine(project):
    add_chapter(
        project,
        "01_first",
        "import os, sys\nprint(os.getcwd(), data, os.path.abspath(data), sys.prefix)",
        "import warnings\nwarnings.warn('careful')",
        "from pathlib import Path\nPath('lib').resolve(), Path.home()",
    )
    outside = project.parent / "recordings"
    outside.mkdir()
    result = execute(project, "01_first", "--data", "../recordings", "--folder", str(project / "elsewhere"))
    assert result.returncode == 0, result.stderr
    text = (project / "elsewhere/01_first.ipynb").read_text()
    for place in (project, project.parent, outside, sys.prefix, Path.home(), "../recordings", "/ipykernel_"):
        assert str(place) not in text
    assert 'data = \\"recordings\\"' in text and "careful" in text


@pytest.mark.slow
def test_a_progress_bar_leaves_its_last_state(project):
    add_chapter(project, "01_first", "for i in range(3): print(f'\\rstep {i}', end='', flush=True)\nprint()")
    assert execute(project, "01_first").returncode == 0
    assert printed(project / "runs/quick/01_first.ipynb") == "step 2\n"


@pytest.mark.slow
def test_pictures_get_smaller_and_look_the_same(project):
    draw = "import matplotlib.pyplot as plt\nplt.plot([3, 1, 4, 1, 5], lw=3)\nplt.savefig('drawn.png', bbox_inches='tight')"
    add_chapter(project, "01_first", draw)
    assert execute(project, "01_first").returncode == 0
    outputs = nbformat.read(project / "runs/quick/01_first.ipynb", as_version=4).cells[-1].outputs
    (kept,) = (
        base64.b64decode(output.data["image/png"])
        for output in outputs
        if "image/png" in output.get("data", {})
    )
    drawn = (project / "drawn.png").read_bytes()
    assert len(kept) < len(drawn) / 2
    pixels = [np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), dtype=int) for png in (kept, drawn)]
    assert np.abs(pixels[0] - pixels[1]).max() < 16


@pytest.fixture
def tidy(project, monkeypatch):
    """What is left of an output's text after a run with DATA=data, HOME=home, from the project's folder."""
    module = made_project.load(project, "execute", monkeypatch)

    def tidied(text: str, data: str = "", home: str = "/home/me") -> str:
        monkeypatch.setenv("HOME", home)
        output = nbformat.v4.new_output("display_data", data={"text/html": text})
        cell = nbformat.v4.new_code_cell("1", outputs=[output])
        notebook = nbformat.v4.new_notebook(cells=[cell])
        return module.tidy(notebook, module.private_paths(data, "")).cells[0].outputs[0].data["text/html"]

    return tidied


@pytest.mark.parametrize("data", ["", "data", "data/", "./data", ".", "./", "..", "/"])
@pytest.mark.parametrize("home", ["/home/me", "/", "/a", "/td"])
def test_outputs_come_out_as_they_were_whatever_the_folders_are_called(tidy, data, home):
    text = "<td>0.912</td> <a href='../book/data/x.md'>data/ptb-xl</a> and/a, metadata/b. 3/4"
    assert tidy(text, data, home) == text


def test_whole_paths_of_this_machine_are_replaced(tidy, project):
    outside = project.parent / "sets"
    text = f"{project}/lib/x.py, in {project}. {project}er {outside}/ptb-xl {outside}2 /home/me/x /home/me2"
    expected = f"lib/x.py, in .. {project}er sets/ptb-xl {outside}2 ~/x /home/me2"
    assert tidy(text, str(outside)) == expected
    assert tidy(f"'{project}/real/a.dat'", "real/") == "'real/a.dat'"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "\x1b[0;32m/home/me/x.py\x1b[0m in \x1b[32m/home/me\x1b[39m",
            "\x1b[0;32m~/x.py\x1b[0m in \x1b[32m~\x1b[39m",
        ),
        ("'a\\n/home/me/x' file:///home/me/x", "'a\\n~/x' file://~/x"),
        ("<td>/home/me/x</td><img src='/home/me/x.png'>", "<td>~/x</td><img src='~/x.png'>"),
        ("/home/me:/home/me, (/home/me)", "~:~, (~)"),
        (
            "/home/me.old /home/me-2 x/home/me http://a/home/me",
            "/home/me.old /home/me-2 x/home/me http://a/home/me",
        ),
    ],
)
def test_a_path_is_known_by_what_is_around_it(tidy, text, expected):
    assert tidy(text) == expected


def test_a_home_of_one_short_name_is_no_address_of_a_link(tidy):
    text = "<a href='/a/b.html' title=\"/a/b\">c</a> <b>1/a</b>"
    assert tidy(text, home="/a") == text
    assert tidy("in /a/b", home="/a") == "in ~/b"


@pytest.mark.parametrize("home", ["", "relative", "~"])
def test_a_container_without_a_home_changes_nothing(tidy, home):
    assert tidy("relative ~/x /y", home=home) == "relative ~/x /y"


def test_the_project_is_named_before_the_home_that_it_lies_in(tidy, project):
    assert tidy(f"{project}/lib {project}", home=str(project)) == "lib ."


@pytest.mark.slow
@pytest.mark.parametrize("data", ["real/", "./real"])
def test_a_folder_is_shown_by_one_name(project, data):
    assert execute(project, "01_first", "--data", data).returncode == 0
    assert 'data = \\"real\\"' in (project / "runs/quick/01_first.ipynb").read_text()


@pytest.mark.slow
def test_a_chapter_runs_with_the_library_beside_it(project, monkeypatch):
    shutil.copytree(ROOT / "lib", project / "lib", dirs_exist_ok=True)
    with open(project / "lib/biosignals/__init__.py", "a") as file:
        file.write("WHOSE = 'the copy'")
    write(project.parent / "original/biosignals/__init__.py", "WHOSE = 'the original'")
    monkeypatch.setenv("PYTHONPATH", str(project.parent / "original"))
    add_chapter(project, "01_first", "import biosignals\nprint(biosignals.WHOSE)")
    assert execute(project, "01_first").returncode == 0
    assert printed(project / "runs/quick/01_first.ipynb") == "the copy\n"


@pytest.mark.slow
def test_a_chapter_that_is_executed_twice_at_once_comes_out_whole(project):
    alone = "import os, time\nos.mkdir('busy')\ntime.sleep(1)\nos.rmdir('busy')\nprint('alone')"
    add_chapter(project, "01_first", alone)
    write(project / "runs/quick/01_first.part.ipynb", "what a killed run left")
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda _: execute(project, "01_first"), range(2)))
    assert [result.returncode for result in results] == [0, 0]
    assert printed(project / "runs/quick/01_first.ipynb") == "alone\n"
    assert [path.name for path in project.glob("runs/quick/*")] == ["01_first.ipynb"]


@pytest.mark.slow
def test_the_kernel_is_the_python_that_executes_whatever_kernels_are_installed(
    project, tmp_path, monkeypatch
):
    other = {"argv": ["/bin/false", "{connection_file}"], "display_name": "Other", "language": "python"}
    write(tmp_path / "jupyter/kernels/python3/kernel.json", json.dumps(other))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    add_chapter(project, "01_first", "import sys\nprint('kernel', sys.prefix)")
    result = execute(project, "01_first")
    assert result.returncode == 0, result.stderr
    assert "kernel environment" in printed(project / "runs/quick/01_first.ipynb")


@pytest.mark.slow
def test_a_kernel_that_cannot_start_is_told_in_a_line(project, tmp_path, monkeypatch):
    write(tmp_path / "broken/ipykernel_launcher.py", "raise SystemExit('broken')")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'broken'}:{ROOT / 'lib'}")
    result = execute(project, "01_first")
    assert result.returncode == 1
    told = [line for line in result.stderr.splitlines() if line.startswith("01_first: the kernel could")]
    assert len(told) == 1 and "make env" in told[0]
    assert not list((project / "runs/quick").glob("*.part.ipynb"))
    assert (project / "runs/quick/01_first.failed.ipynb").exists()


@pytest.mark.slow
def test_an_interrupted_chapter_says_so_in_few_lines_and_leaves_nothing(project):
    add_chapter(project, "01_first", "import time\nprint('begun', flush=True)\ntime.sleep(60)")
    command = [sys.executable, "-u", project / "notebooks/execute.py", "01_first"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert any("begun" in line for line in process.stdout)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    lines = [line for line in errors.splitlines() if line.strip() and "cell" not in line]
    assert len(lines) <= 5 and "01_first: interrupted" in lines[-1], errors
    assert not list((project / "runs/quick").glob("*.ipynb"))


@pytest.mark.slow
def test_a_failing_cell_is_named_and_the_notebook_left_to_look_at(project):
    add_chapter(project, "02_second", "print('so far so good')", "raise ValueError('no such lead: V9')")
    result = execute(project, "02_second")
    assert result.returncode != 0
    assert "02_second: cell [4] failed: ValueError: no such lead: V9" in result.stderr
    assert not (project / "runs/quick/02_second.ipynb").exists()
    assert "so far so good" in printed(project / "runs/quick/02_second.failed.ipynb")

    add_chapter(project, "02_second", "print('repaired')")
    assert execute(project, "02_second").returncode == 0
    assert not (project / "runs/quick/02_second.failed.ipynb").exists()


@pytest.mark.slow
def test_a_kernel_that_dies_is_reported(project):
    add_chapter(project, "01_first", "import os\nos._exit(1)")
    result = execute(project, "01_first")
    assert result.returncode != 0 and "01_first: the kernel died" in result.stderr
    assert (project / "runs/quick/01_first.failed.ipynb").exists()


# The Makefile's rules, with a stand-in for Python that only writes down what it is asked for

FAKE_PYTHON = f"""#!/bin/sh
case "$*" in
    "-m venv .venv") mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
    *"install --requirement"*) echo install >> log; test ! -e broken ;;
    *difflib*) exec {sys.executable} "$@" ;;
    *notebooks/*) echo "$@" >> asked; test ! -e broken ;;
esac
"""


@pytest.fixture
def fake(project):
    write(project / "fake/python", FAKE_PYTHON, mode=0o755)
    return project


def make(project: Path, *arguments: str) -> subprocess.CompletedProcess:
    return run(project, "make", "CONDA=", "PYTHON=fake/python", *arguments)


def asked(project: Path, *arguments: str) -> list[str]:
    """What make runs of the scripts in notebooks/."""
    (project / "asked").unlink(missing_ok=True)
    make(project, *arguments)
    return (project / "asked").read_text().splitlines() if (project / "asked").exists() else []


RENDER = "notebooks/render.py book/reference"


@pytest.mark.parametrize(
    ("arguments", "first"),
    [
        ((), "run_all.py --profile quick --data "),
        (("DATA=real", "PROFILE=tiny", "JOBS=3"), "run_all.py --profile tiny --data real --jobs 3"),
    ],
)
def test_a_run_is_executed_and_then_rendered(fake, arguments, first):
    assert asked(fake, "run-all", *arguments) == [f"notebooks/{first}", RENDER]


def test_a_chapter_is_executed_with_parameters_of_ones_own_and_then_rendered(fake):
    given = ["CHAPTER=04", "PROFILE=tiny", "PARAMETERS=leads=[\"I\", 'II'] trees=5"]
    assert asked(fake, "chapter", *given) == [
        "notebooks/execute.py 04 --profile tiny --data  --parameters leads=[\"I\", 'II'] trees=5 --show",
        RENDER,
    ]


def test_what_fails_is_not_rendered(fake):
    make(fake, "env")
    (fake / "broken").touch()
    for target in ("run-all", "chapter"):
        assert len(asked(fake, target)) == 1
        assert make(fake, target).returncode != 0


def test_the_book_shows_the_run_and_the_chapters_that_were_executed_last(fake):
    assert asked(fake, "book") == [RENDER]
    write(fake / "runs/latest", "runs/quick\nruns/small/04_imbalance.ipynb\n")
    assert asked(fake, "book") == ["notebooks/render.py runs/quick runs/small/04_imbalance.ipynb"]


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("profile=tiny", "PROFILE"), ("PROFILES=tiny", "PROFILE"), ("Data=real", "DATA"), ("chapter=04", "CHAPTER"),
        ("SIMULATED=1", "SIMULATE"), ("job=2", "JOBS"), ("PARAMETER=a=1", "PARAMETERS"),
    ],
)  # fmt: skip
def test_a_misspelt_variable_is_refused_with_the_right_name(fake, wrong, right):
    for target in ("run-all", "help"):
        result = make(fake, target, wrong)
        name = wrong.partition("=")[0]
        assert result.returncode != 0 and not (fake / "asked").exists()
        assert f"{name}=: there is no such variable, did you mean {right}=?" in result.stderr
    result = make(fake, "run-all", "colour=red")
    assert "colour=: there is no such variable (there are PROFILE DATA SETS CHAPTER" in result.stderr


def test_a_copy_runs_its_own_library(fake):
    script = FAKE_PYTHON.replace("*notebooks/*) ", '*notebooks/*) echo "$PYTHONPATH" >> paths; ')
    write(fake / "fake/python", script, mode=0o755)
    assert asked(fake, "run-all")
    assert {path.split(":")[0] for path in (fake / "paths").read_text().split()} == {str(fake / "lib")}


def copied(project: Path) -> Path:
    """A copy of the project beside it, with its environment and its runs, as `cp -a` makes it."""
    copy = project.with_name(f"{project.name}-copy")
    shutil.copytree(project, copy, symlinks=True)
    return copy


def test_an_environment_that_was_copied_is_brought_up_to_date_and_says_why(fake):
    make(fake, "env")
    write(fake / ".venv/bin/tool", f"#!{fake}/.venv/bin/python\n", 0o755)
    copy = copied(fake)
    result = make(copy, "env")
    assert result.returncode == 0, result.stderr
    assert ".venv was made in another folder" in result.stdout and "rm -rf" not in result.stdout
    assert (copy / ".venv/bin/tool").read_text() == f"#!{copy}/.venv/bin/python\n"
    assert (fake / ".venv/bin/tool").read_text() == f"#!{fake}/.venv/bin/python\n"
    assert "another folder" not in make(copy, "env").stdout


def test_an_environment_whose_python_is_gone_is_built_anew_and_says_why(fake):
    make(fake, "env")
    (fake / ".venv/bin/python").unlink()
    (fake / ".venv/bin/python").symlink_to("/nowhere/python3")
    result = make(fake, "env")
    assert result.returncode == 0 and ".venv does not start any more" in result.stdout
    assert (fake / "log").read_text().splitlines() == ["install", "install"]
    assert "does not start" not in make(fake, "env").stdout


def test_an_environment_behind_a_link_is_used_and_left_as_it_is(fake):
    make(fake, "env")
    copy = copied(fake)
    shutil.rmtree(copy / ".venv")
    (copy / ".venv").symlink_to(fake / ".venv")
    os.utime(copy / "requirements.lock")
    before = (fake / ".venv/complete").read_text()
    assert asked(copy, "book") and (copy / ".venv").is_symlink()
    assert (fake / ".venv/complete").read_text() == before
    (fake / ".venv/complete").unlink()
    result = make(copy, "env")
    assert (
        result.returncode != 0 and ".venv is a link to an environment that is not complete" in result.stderr
    )
    assert (copy / ".venv").is_symlink()


def test_a_list_of_packages_that_was_only_touched_builds_nothing(fake):
    make(fake, "env")
    os.utime(fake / "requirements.lock")
    make(fake, "env")
    assert (fake / "log").read_text().splitlines() == ["install"]
    write(fake / "requirements.lock", "another==1.0\n")
    assert "for other packages" in make(fake, "env").stdout
    assert (fake / "log").read_text().splitlines() == ["install", "install"]


def test_the_kernel_of_jupyter_lab_is_the_environments(fake, monkeypatch):
    """Asked for its kernel in the surroundings that `make lab` gives it."""
    other = {"argv": ["/bin/false", "{connection_file}"], "display_name": "Other", "language": "python"}
    write(fake / "jupyter/kernels/python3/kernel.json", json.dumps(other))
    monkeypatch.setenv("JUPYTER_PATH", str(fake / "jupyter"))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(fake / "jupyter"))
    ask = "from jupyter_client.kernelspec import KernelSpecManager as M; print(M().get_kernel_spec('python3').argv[0])"
    script = FAKE_PYTHON.replace(
        '    "-m venv', f'    *jupyterlab*) exec {sys.executable} -c "{ask}" ;;\n    "-m venv'
    )
    write(fake / "fake/python", script, 0o755)
    assert make(fake, "lab").stdout.splitlines()[-1] == "python"


def test_an_installation_cut_short_is_started_again(fake):
    (fake / "broken").touch()
    assert make(fake, "env").returncode != 0
    (fake / "broken").unlink()
    assert make(fake, "env").returncode == 0
    assert make(fake, "env").returncode == 0
    assert (fake / "log").read_text().splitlines() == ["install", "install"]


def test_of_two_that_build_the_environment_at_once_the_second_says_so(fake):
    write(fake / ".venv.building", f"{os.getpid()}\n")
    result = make(fake, "env")
    assert (
        result.returncode != 0 and f"another make, process {os.getpid()}, is building .venv" in result.stderr
    )
    assert not (fake / ".venv").exists()
    finished = subprocess.Popen(["true"])
    finished.wait()
    write(fake / ".venv.building", f"{finished.pid}\n")  # of one that was killed
    assert make(fake, "env").returncode == 0
    assert (fake / ".venv/complete").exists() and not (fake / ".venv.building").exists()


@pytest.mark.parametrize("tool", ["conda", "mamba", "micromamba"])
def test_conda_makes_the_environment_where_there_is_one(fake, tool):
    write(
        fake / f"fake/{tool}",
        '#!/bin/sh\necho "$@" > log; mkdir -p .conda/bin; cp fake/python .conda/bin',
        0o755,
    )
    result = run(fake, "env", f"PATH={fake}/fake:{os.defpath}", "make", "env")
    assert result.returncode == 0, result.stderr
    create = "create" if tool == "micromamba" else "env create"
    assert (fake / "log").read_text() == f"{create} --prefix ./.conda --file environment.yml\n"
    assert not (fake / ".venv").exists()


def test_without_a_fitting_python_the_remedy_is_named(project):
    result = run(project, "make", "env", "CONDA=", "PYTHON=")
    assert result.returncode != 0
    assert "No Python 3.11 or 3.12 with venv was found" in result.stderr


def test_help_lists_the_targets(project):
    listed = re.findall(r"^make (\S+)", run(project, "make", "help").stdout, re.MULTILINE)
    assert {"help", "env", "data", "run-all", "chapter", "book", "lab", "test", "bench", "clean"} <= set(
        listed
    )
