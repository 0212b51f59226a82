"""notebooks/run_all.py, inventory.py and publish.py on small chapters and sets made here."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest

import made_project
import tiny_sets
from conftest import CHAPTERS, ROOT
from made_project import PARAMETERS, add_chapter, write

SETS = """
ptb = run.load("ptb-xl", records, listed)
fast = run.load("ptb-xl", records, listed, sampling_rate=500, leads=["I"])
source = run.locate("chb-mit", **eeg["set"])
"""


@pytest.fixture
def project(tmp_path):
    return made_project.make(tmp_path)


@pytest.fixture
def run_all(project, monkeypatch):
    """The module, with chapters that are executed at once: each leaves what it would say of itself."""
    module = made_project.load(project, "run_all", monkeypatch)
    monkeypatch.setattr(module, "WAIT", 0)
    module.begun = []

    def begin(chapter, command, run, environment):
        module.begun.append(chapter)
        log = write_log(run, chapter)
        broken = Path(f"broken-{chapter}").exists()
        if not broken:
            finish(module, chapter, command, run)
        return module.Job(chapter, SimpleNamespace(poll=lambda: 0, returncode=int(broken)), log, None)

    monkeypatch.setattr(module, "begin", begin)
    monkeypatch.setattr(
        module.subprocess, "run", lambda command, check: write(command[-1] / "results.json", "[]")
    )
    return module


def write_log(run, chapter):
    write(
        run / f"logs/{chapter}.log",
        "".join(f"line {i}\n" for i in range(40)) + "50%\r100%\nno such lead: V9\n",
    )
    return run / f"logs/{chapter}.log"


def finish(module, chapter, command, run):
    profile, data = command[3], command[5]
    values = module.chapters.parameters(chapter, profile, data)
    sets = module.inventory.sets(module.inventory.take(profile, data, {chapter: values}))
    about = {
        "made_from": module.chapters.made_from(chapter, values, sets, run),
        "seconds": 61.5,
        "sets": sets,
    }
    notebook = nbformat.v4.new_notebook(metadata={"biosignals": about})
    nbformat.write(notebook, run / f"{chapter}.ipynb")
    write(run / f"results/{chapter}.json", json.dumps([time.time()]))


def executed(module, profile="quick", data=""):
    """The chapters that a run executes."""
    module.begun.clear()
    module.inventory.find.cache_clear()
    module.inventory.ptbxl_at.cache_clear()
    module.run_all(profile, data, 2)
    return sorted(module.begun)


BOTH = ["01_first", "02_second"]


# What is executed again


def test_a_rerun_executes_what_is_stale_and_nothing_else(run_all, project):
    assert executed(run_all) == BOTH
    assert executed(run_all) == []
    add_chapter(project, "02_second", "print('changed')")
    assert executed(run_all) == ["02_second"]
    write(project / "notebooks/profiles/quick.yml", "01_first: {length: 4}\n")
    assert executed(run_all) == ["01_first"]
    assert executed(run_all, data="real") == BOTH
    assert executed(run_all, data="./real/") == []
    write(project / "lib/biosignals/other.py", "A = 1\n")
    assert executed(run_all, data="real") == BOTH
    (project / "lib/biosignals/other.py").unlink()
    assert executed(run_all, data="real") == BOTH


def test_text_and_dates_make_nothing_stale(run_all, project):
    assert executed(run_all) == BOTH
    add_chapter(project, "02_second", "print('second')", text="# Another title")
    os.utime(project / "notebooks/01_first.ipynb")
    os.utime(project / "requirements.lock")
    assert executed(run_all) == []


def test_a_set_that_was_put_into_the_folder_makes_its_readers_stale(run_all, project):
    add_chapter(project, "01_first", SETS, parameters=f'{PARAMETERS}\nrecords = 4\nlisted = ""\neeg = {{}}')
    tiny_sets.write_cinc2017(project / "real/cinc2017")
    write(project / "real/ptb-xl/ptbxl_database.csv", "")
    shutil.rmtree(project / "real/ptb-xl")
    assert executed(run_all) == BOTH
    for rate in (100, 500):
        tiny_sets.write_ptbxl(project / "real/ptb-xl", records=6, sampling_rate=rate)
    assert executed(run_all, data="real") == BOTH
    assert executed(run_all, data="real") == []
    for path in project.glob("real/ptb-xl/records*/*/00001*.dat"):
        path.unlink()
    assert executed(run_all, data="real") == []  # no more than four of the six are taken
    for path in project.glob("real/ptb-xl/records*/*/0000[23]*.dat"):
        path.unlink()
    assert executed(run_all, data="real") == ["01_first"]


def test_the_scoreboard_is_executed_last_and_again_after_any_other_chapter(run_all, project):
    add_chapter(project, "11_scoreboard", "print('read')")
    assert executed(run_all) == [*BOTH, "11_scoreboard"] and run_all.begun[-1] == "11_scoreboard"
    assert executed(run_all) == []
    add_chapter(project, "01_first", "print('changed')")
    assert executed(run_all) == ["01_first", "11_scoreboard"]
    add_chapter(project, "11_scoreboard", "print('read again')")
    assert executed(run_all) == ["11_scoreboard"]
    write(project / "book/anchors.csv", "a,b\n")
    assert executed(run_all) == ["11_scoreboard"]
    write(project / "runs/quick/ledger/01_first.csv", "chapter,dataset,model,condition,n,commit\n")
    assert executed(run_all) == ["11_scoreboard"]


def test_a_chapter_with_parameters_of_ones_own_is_not_that_of_the_run(run_all, project):
    assert executed(run_all) == BOTH
    path = project / "runs/quick/01_first.ipynb"
    notebook = nbformat.read(path, as_version=4)
    values = run_all.chapters.parameters("01_first", "quick", "") | {"length": 7}
    notebook.metadata.biosignals.made_from = run_all.chapters.made_from("01_first", values, {}, path.parent)
    nbformat.write(notebook, path)
    assert executed(run_all) == ["01_first"]


def test_results_stay_current_when_the_project_moves(run_all, project, monkeypatch):
    assert executed(run_all, data="real") == BOTH
    moved = project.rename(project.with_name(f"{project.name}-moved"))
    monkeypatch.undo()
    module = made_project.load(moved, "run_all", monkeypatch)
    assert all(module.is_current(name, "quick", "real", Path("runs/quick")) for name in BOTH)


def test_a_run_that_was_stopped_goes_on_after_the_last_finished_chapter(run_all, project, capsys):
    (project / "broken-02_second").touch()
    with pytest.raises(SystemExit, match="02_second failed; finished chapters are kept"):
        executed(run_all)
    printed = capsys.readouterr().out
    assert "02_second                failed after 0:00" in printed
    assert "no such lead: V9" in printed and "    100%" in printed and "50%" not in printed
    assert "line 39" in printed and "line 20" not in printed
    assert "the whole log: runs/quick/logs/02_second.log" in printed
    assert not (project / "runs/quick/results.json").exists() and not (project / "runs/latest").exists()
    (project / "broken-02_second").unlink()
    assert "02_second" in executed(run_all)
    assert (project / "runs/quick/results.json").exists()
    assert (project / "runs/latest").read_text() == "runs/quick\n"


def test_the_plan_says_how_long_each_chapter_took_and_what_is_executed(run_all, project, capsys):
    executed(run_all)
    add_chapter(project, "02_second", "print('changed')")
    capsys.readouterr()
    executed(run_all)
    printed = capsys.readouterr().out
    assert re.search(r"01_first +1:02 +current", printed)
    assert re.search(r"02_second +1:02 +executed now", printed)


def test_what_took_longest_begins_first(run_all, project):
    executed(run_all)
    for name, seconds in {"01_first": 100, "02_second": 10}.items():
        path = project / f"runs/quick/{name}.ipynb"
        notebook = nbformat.read(path, as_version=4)
        notebook.metadata.biosignals |= {"seconds": seconds, "made_from": ""}
        nbformat.write(notebook, path)
    add_chapter(project, "03_third", "1")
    add_chapter(project, "04_fourth", "1")
    executed(run_all)
    assert run_all.begun == ["03_third", "04_fourth", "01_first", "02_second"]


# Several at a time, as a process of its own


def start(project: Path, *arguments: str) -> subprocess.Popen:
    """run_all.py with a stand-in for execute.py, in a session of its own as a terminal gives it."""
    write(project / "notebooks/execute.py", STAND_IN)
    environment = os.environ | {"PYTHONPATH": str(ROOT / "lib")}
    command = [sys.executable, "-u", "notebooks/run_all.py", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=project, env=environment, start_new_session=True, **pipes)


STAND_IN = """
import os, sys, time
open(f"begun-{sys.argv[-1]}", "w").write(os.environ["OMP_NUM_THREADS"])
while os.path.exists("wait"):
    time.sleep(0.01)
print("what a chapter prints")
"""


def wait_for(project: Path, count: int) -> None:
    for _ in range(1000):
        if len(list(project.glob("begun-*"))) >= count:
            return
        time.sleep(0.05)
    raise AssertionError("nothing has begun")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interruption_is_told_in_a_line_and_leaves_nothing_running(project, number):
    for i in range(3, 7):
        add_chapter(project, f"{i:02}_more", "1")
    (project / "wait").touch()
    process = start(project, "--jobs", "6")
    wait_for(project, 6)
    (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
    printed = process.communicate(timeout=60)[0].partition("executed now\n" * 1)[2]
    after = [line for line in printed.splitlines() if line.strip() and "executed now" not in line]
    assert after == ["Interrupted: finished chapters are kept for the next run"]
    assert process.returncode != 0
    assert subprocess.run(["pgrep", "-g", str(process.pid)], check=False, capture_output=True).stdout == b""


def test_chapters_run_side_by_side_with_a_share_of_the_cores_and_a_line_each(project):
    (project / "wait").touch()
    process = start(project, "--jobs", "2")
    wait_for(project, 2)  # both have begun, and neither has ended
    (project / "wait").unlink()
    printed = process.communicate(timeout=60)[0]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert {path.read_text() for path in project.glob("begun-*")} == {str(max(1, cores // 2))}
    assert len(re.findall(r"^  0[12]_\w+ +0:\d\d$", printed, re.MULTILINE)) == 2
    assert "what a chapter prints" not in printed
    assert (project / "runs/quick/logs/01_first.log").read_text() == "what a chapter prints\n"


# The inventory


@pytest.fixture
def reading(project):
    """The project, whose first chapter reads PTB-XL, all that is listed, and CHB-MIT."""
    values = f'{PARAMETERS}\nrecords = 5\nlisted = ""\neeg = {{"set": {{"records": 12}}}}'
    add_chapter(project, "01_first", SETS, parameters=values)
    write(project / "records.txt", "1\n2\n4\n")
    write(
        project / "notebooks/profiles/reference.yml",
        "may_be_simulated: [chb-mit]\n01_first: {records: 0, listed: records.txt}\n",
    )
    write(project / "notebooks/profiles/full.yml", "01_first: {records: 0}\n")
    return project


def write_ptbxl(folder: Path) -> None:
    for rate in (100, 500):
        tiny_sets.write_ptbxl(folder, records=6, sampling_rate=rate)


def lose(pattern: str, project: Path) -> None:
    paths = list(project.glob(f"real/ptb-xl/{pattern}"))
    assert paths
    for path in paths:
        path.unlink()


def nested(project: Path) -> None:
    write_ptbxl(project / "real/ptb-xl/ptb-xl-1.0.3")


def marked(project: Path) -> None:
    write_ptbxl(project / "real/ptb-xl")
    write(project / "real/ptb-xl/SIMULATED.json", "{}")


def without(pattern: str):
    def prepare(project: Path) -> None:
        write_ptbxl(project / "real/ptb-xl")
        lose(pattern, project)

    return prepare


MISSING = {
    "no folder is named": (lambda project: None, "", "DATA=folder is not given, looked for folder/ptb-xl/"),
    "the folder is not there": (lambda project: None, "reel", "DATA=reel: there is no such folder"),
    "the set is not there": (lambda project: None, "real", "real/ptb-xl/ is not there: make data SETS=\"ptb-xl\" DATA=real"),
    "another name": (lambda project: write_ptbxl(project / "real/ptbxl"), "real", "found real/ptbxl/, looked for real/ptb-xl/"),
    "a folder too high": (lambda project: write_ptbxl(project / "real"), "real", "found real/, looked for real/ptb-xl/"),
    "a folder too deep": (nested, "real", "found real/ptb-xl/ptb-xl-1.0.3/, looked for real/ptb-xl/"),
    "an empty folder": (lambda project: (project / "real/ptb-xl").mkdir(), "real", "real/ptb-xl"),
    "tables alone": (without("records*/*/*.dat"), "real", "real/ptb-xl/ holds no recordings"),
    "listed records": (without("records*/*/0000[24]_*.dat"), "real",
                       "real/ptb-xl/records100/ lacks 2 of the 3 records of records.txt: 2, 4"),
    "listed records at one rate": (without("records500/*/00004_*.hea"), "real",
                                   "real/ptb-xl/records500/ lacks 1 of the 3 records of records.txt: 4"),
    "a simulated set": (marked, "real", "real/ptb-xl/ is a simulated set, as its SIMULATED.json says"),
}  # fmt: skip


@pytest.mark.parametrize("case", MISSING)
def test_a_reference_run_does_not_begin_without_its_sets_and_says_where_it_looked(reading, case, monkeypatch):
    prepare, data, message = MISSING[case]
    prepare(reading)
    module = made_project.load(reading, "run_all", monkeypatch)
    monkeypatch.delenv("SIMULATE", raising=False)
    monkeypatch.setattr(module, "execute", lambda *_: pytest.fail("executed"))
    with pytest.raises((SystemExit, ValueError), match=re.escape(message)):
        module.run_all("reference", data, 1)


def test_the_command_fails_with_where_it_looked_and_the_remedies(reading):
    environment = os.environ | {"PYTHONPATH": str(ROOT / "lib"), "SIMULATE": "0"}
    command = [sys.executable, "notebooks/run_all.py", "--profile", "reference", "--data", "real"]
    result = subprocess.run(
        command, cwd=reading, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 1 and "real/ptb-xl/ is not there: make data" in result.stderr
    assert "With SIMULATE=1 it does without them; such a run is not published" in result.stderr
    assert "chb-mit" not in result.stderr and "Traceback" not in result.stderr
    assert not (reading / "runs").exists()


@pytest.mark.parametrize(("value", "begins"), [("1", True), ("0", False), ("", False)])
def test_who_asks_for_simulated_sets_gets_them(take, monkeypatch, value, begins):
    monkeypatch.setenv("SIMULATE", value)
    rows, _, refused = take("reference")
    assert rows["ptb-xl"].faults and (refused == "") is begins


@pytest.fixture
def take(reading, monkeypatch):
    module = made_project.load(reading, "inventory", monkeypatch)
    chapters = sys.modules["chapters"]

    def taken(profile, data="real"):
        values = {name: chapters.parameters(name, profile, data) for name in chapters.names()}
        rows = module.take(profile, data, values)
        return {row.dataset: row for row in rows}, module.show(rows, profile, data), module.refusal(rows)

    monkeypatch.delenv("SIMULATE", raising=False)
    return taken


def test_the_inventory_says_what_is_taken_and_what_is_left_out(take, reading):
    write_ptbxl(reading / "real/ptb-xl")
    lose("records*/*/00006_*.hea", reading)
    rows, text, refused = take("reference")
    assert not refused and (rows["ptb-xl"].kind, rows["ptb-xl"].count) == ("excerpt", "3")
    assert rows["ptb-xl"].left_out == ["1 that its table names have no files", "2 not in records.txt"]
    assert (rows["chb-mit"].kind, rows["chb-mit"].count) == ("simulated", "12")
    assert rows["chb-mit"].left_out == ["real/chb-mit/ is not there", "the profile lets it be simulated"]
    assert re.search(r"^ptb-xl +real/ptb-xl/ +excerpt +n = 3 ", text, re.MULTILINE)


def test_a_small_profile_takes_no_more_than_it_would_simulate(take, reading):
    write_ptbxl(reading / "real/ptb-xl")
    rows, _, refused = take("quick")
    assert not refused and rows["ptb-xl"].count == "5"
    assert rows["ptb-xl"].left_out == ["1 more than are taken in this profile"]
    rows, _, refused = take("quick", "")
    assert not refused and {row.kind for row in rows.values()} == {"simulated"}


def test_the_whole_sets_must_all_be_real_and_no_list_is_needed(take, reading):
    write_ptbxl(reading / "real/ptb-xl")
    rows, _, refused = take("full")
    assert rows["ptb-xl"].count == "6" and "real/chb-mit/ is not there" in refused


@pytest.mark.parametrize(
    ("name", "message"), [("ptbxl", "found real/ptbxl/"), ("photos", "real/ holds none of the sets")]
)
def test_a_folder_that_is_named_in_vain_is_refused_by_every_profile(take, reading, name, message):
    (reading / "real" / name).mkdir()
    refused = take("quick")[2]
    assert message in refused and "real/ptb-xl/" in refused


def test_recordings_set_aside_are_not_counted(take, reading):
    add_chapter(reading, "02_second", "run.load('cinc2017')")
    write_ptbxl(reading / "real/ptb-xl")
    tiny_sets.write_cinc2017(reading / "real/cinc2017")
    write(reading / "real/cinc2017/never-read.txt", "A00002\n")
    row = take("reference")[0]["cinc2017"]
    assert row.count == "3" and row.left_out == ["1 set aside for a final test"]


@pytest.mark.parametrize("profile", ["quick", "tiny", "small", "reference", "full"])
def test_the_sets_of_every_chapter_of_the_book_are_known(profile, monkeypatch):
    """As many calls as the code has, each with its number of recordings."""
    made_project.load(ROOT, "inventory", monkeypatch)
    chapters = sys.modules["chapters"]
    known = tuple(sys.modules["inventory"].sources.OFFICIAL)
    for chapter in CHAPTERS:
        values = chapters.parameters(chapter, profile, "")
        code = "\n".join(chapters.code(chapters.read(ROOT / f"notebooks/{chapter}.ipynb")))
        needs = chapters.needs(chapter, values, known)
        calls = re.findall(r"run\.(?:load|locate)\(", code)
        assert bool(needs) == bool(calls) and len(needs) <= len(calls)
        named = set(re.findall(r'run\.(?:load|locate)\(\s*"([\w-]+)"', code))
        assert named <= {need.dataset for need in needs}
        assert all(need.records or profile in ("reference", "full") for need in needs)
        if profile == "reference":
            lists = {need.dataset: need.listed for need in needs if need.listed}
            assert all(Path(listed).stem == dataset for dataset, listed in lists.items())
            assert set(lists) == {need.dataset for need in needs} & {"ptb-xl", "cinc2017"}


# What is published


@pytest.fixture
def finished(reading, monkeypatch):
    """A reference run that can be published, and what finds its faults."""
    module = made_project.load(reading, "publish", monkeypatch)
    run = reading / "runs/reference"
    (run / "models").mkdir(parents=True)
    write(run / "models/af.onnx", "new")
    write(reading / "book/reference/models/old.onnx", "old")
    (reading / "book/reference/results.json").touch()
    for name in BOTH:
        sets = {"ptb-xl": ["excerpt", "3"], "chb-mit": ["simulated", "12"]}
        change_about(run / f"{name}.ipynb", {"made_from": "", "sets": sets, "given": {}, "faults": []})
    write_results(run)
    write(run / "ledger.csv", "chapter,dataset,model,condition,n,commit\n")
    monkeypatch.setattr(module.subprocess, "run", lambda *_, **__: None)
    return module, run


def change_about(path: Path, about: dict) -> None:
    nbformat.write(nbformat.v4.new_notebook(metadata={"biosignals": about}), path)


def write_results(run: Path, **kinds: str) -> None:
    kinds = {"ptb-xl": "excerpt", "chb-mit": "simulated"} | kinds
    rows = [{"chapter": "01_first", "dataset": one, "kind": kind} for one, kind in kinds.items()]
    write(run / "results.json", json.dumps(rows))


def test_a_run_whose_simulated_sets_the_profile_names_is_published(finished, reading):
    finished[0].main()
    shown = reading / "book/reference"
    assert {path.name for path in shown.iterdir()} == {
        "01_first.ipynb",
        "02_second.ipynb",
        "results.json",
        "ledger.csv",
        "models",
    }
    assert [path.name for path in (shown / "models").iterdir()] == ["af.onnx"]


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"sets": {"ptb-xl": ["simulated", "5"]}}, "02_second was executed on a simulated ptb-xl"),
        ({"given": {"length": 7}}, "02_second was executed with length changed"),
        ({"faults": ["real/ptb-xl/ lacks 2"]}, "02_second was executed though real/ptb-xl/ lacks 2"),
        (None, "02_second does not say what it was made from"),
    ],
)
def test_another_run_is_not_published_and_nothing_removed(finished, reading, about, message):
    module, run = finished
    usual = {"made_from": "", "sets": {}, "given": {}, "faults": []}
    change_about(run / "02_second.ipynb", usual | about if about else {})
    with pytest.raises(SystemExit, match=re.escape(message)):
        module.main()
    assert (reading / "book/reference/models/old.onnx").exists()


def test_scores_on_a_simulated_set_are_not_published(finished):
    module, run = finished
    write_results(run, bidmc="simulated")
    with pytest.raises(SystemExit, match="scores on a simulated bidmc in 01_first"):
        module.main()


def test_a_run_that_is_not_whole_is_not_published(finished):
    module, run = finished
    (run / "02_second.ipynb").unlink()
    shutil.rmtree(run / "models")
    (run / "ledger.csv").unlink()
    missing = [f"reference/{name} is missing" for name in ("02_second.ipynb", "ledger.csv", "models")]
    with pytest.raises(SystemExit, match="(?s)" + ".*".join(map(re.escape, missing))):
        module.main()


# What the book shows


def test_a_chapter_executed_alone_takes_the_place_of_the_runs_own(project, monkeypatch):
    chapters = made_project.load(project, "chapters", monkeypatch)
    latest = project / "runs/latest"
    chapters.show(project / "runs/small/02_second.ipynb")
    assert latest.read_text().split() == ["book/reference", "runs/small/02_second.ipynb"]
    chapters.show(Path("runs/quick/01_first.ipynb"))
    chapters.show(Path("runs/quick/02_second.ipynb"))
    assert latest.read_text().split() == [
        "book/reference",
        "runs/quick/01_first.ipynb",
        "runs/quick/02_second.ipynb",
    ]
    chapters.show_run(Path("runs/quick"))
    assert latest.read_text() == "runs/quick\n"
