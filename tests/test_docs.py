"""Commands that the pages, the container's recipe and the workflow name are commands of the project."""

import re
import shlex
from importlib.util import find_spec
from itertools import product

import pytest
import yaml

from conftest import CHAPTERS, ROOT

PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "book/how-to-run.md",
    "book/predict.md",
    "book/beyond-one-machine.md",
]
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, flags=re.MULTILINE))
VARIABLES = set(re.findall(r"^([A-Z]+) (?:\?|:)?= ?", MAKEFILE, flags=re.MULTILINE)) | {
    "REFIT",
    "SIMULATE",
    "CHAPTER",
}
PROFILES = {path.stem for path in (ROOT / "notebooks/profiles").glob("*.yml")}
PYTHON = re.compile(r"\.(?:venv|conda)/bin/python")
OF_A_READER = {"recording.hea", "night.edf", "12_widths"}  # files and chapters of one's own


def commands(text: str) -> list[list[str]]:
    """The commands in a page's blocks of bash, a list of words each."""
    blocks = re.findall(r"```bash\n(.*?)```", text, flags=re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [words for line in lines for words in split(shlex.split(line, comments=True))]


def split(words: list[str]) -> list[list[str]]:
    """The words of each command of a line that joins several by &&."""
    found: list[list[str]] = [[]]
    for word in words:
        found[-1].append(word) if word != "&&" else found.append([])
    return [words for words in found if words]


def check(words: list[str]) -> None:
    """That a command is one of the project's: a target of make, or a script, module or test that is there."""
    while words and re.fullmatch(r"[A-Z]+=.*", words[0]):  # of the environment
        assert words.pop(0).split("=")[0] in VARIABLES
    program, *rest = words
    if program == "make":
        targets = [word for word in rest if "=" not in word and not word.startswith("-")]
        assert set(targets) <= TARGETS, words
        values = dict(word.split("=", 1) for word in rest if "=" in word)
        assert set(values) <= VARIABLES and values.get("PROFILE", "quick") in PROFILES, words
    elif PYTHON.fullmatch(program):
        check_python(rest)


def check_python(words: list[str]) -> None:
    if words[0] == "-m":
        assert find_spec(words[1]), words
    else:
        assert (ROOT / words[0]).is_file(), words
    if words[0] == "notebooks/execute.py":
        assert words[1] in {*CHAPTERS, *OF_A_READER}, words
    if "--profile" in words:
        assert words[words.index("--profile") + 1] in PROFILES, words
    files = [word for word in words if re.fullmatch(r"tests/\w+\.py", word)]
    for file in files:
        tests = re.findall(r"def (test_\w+)", (ROOT / file).read_text())
        word = words[words.index("-k") + 1] if "-k" in words else ""
        assert word == "gru" or [test for test in tests if word in test], words


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_is_one_of_the_project(page):
    found = commands((ROOT / page).read_text())
    for words in found:
        check(words)
    assert found


@pytest.mark.parametrize("wrong", ["make chapters", "make run-all PROFILE=huge", "make data SET=x",
                                   ".venv/bin/python notebooks/run.py", ".venv/bin/python -m biosignal"])  # fmt: skip
def test_a_planted_command_that_is_none_is_found(wrong):
    with pytest.raises(AssertionError):
        check(shlex.split(wrong))


def test_the_workflow_runs_targets_of_make_on_all_that_the_readme_names():
    workflow = yaml.safe_load((ROOT / ".github/workflows/tests.yml").read_text())
    runs = set()
    for name, job in workflow["jobs"].items():
        matrix = job["strategy"]["matrix"]
        runs |= {(name, *pair) for pair in product(matrix["os"], matrix["python"])}
        lines = [step["run"] for step in job["steps"] if "run" in step]
        made = [line.replace("${{ matrix.python }}", "3.12") for line in lines if line.startswith("make ")]
        assert {line.split()[1] for line in made} >= {"env", "check"}
        for line in made:
            check(shlex.split(line))
            assert ("CONDA=" in line) == (name == "venv")  # or a machine's conda would be taken
    systems = product(("venv", "conda"), ("ubuntu-latest", "macos-latest"), ("3.11", "3.12"))
    assert runs == set(systems)


def test_the_container_has_the_interpreter_of_the_environment_and_no_more_than_it_needs():
    recipe = (ROOT / "Dockerfile").read_text()
    (image,) = re.findall(r"^FROM python:([\d.]+)", recipe, flags=re.MULTILINE)
    assert f"python={image}\n" in (ROOT / "environment.yml").read_text()
    copied = {
        name for line in re.findall(r"^COPY (.*) \S+$", recipe, flags=re.MULTILINE) for name in line.split()
    }
    assert all((ROOT / name).exists() for name in copied)
    assert {"requirements.lock", "Makefile", "lib"} <= copied
    check(["make", "env"])
    left_out = set((ROOT / ".dockerignore").read_text().split())
    made = {
        line.strip("/")
        for line in (ROOT / ".gitignore").read_text().splitlines()
        if line[:1] in "./" and line
    }
    assert {
        name for name in made if name in ("data", "runs", "cache", ".venv", ".conda", "book/_build")
    } <= left_out
