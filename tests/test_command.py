"""The command: predictions and scores of exported models, in every form, and what it ends with."""

import csv as tables
import io
import json
import os
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import h5py
import numpy as np
import pytest

import made_model
from biosignals.deployment import command, evaluate, predict
from made_recordings import ecg, write_csv, write_wfdb


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return made_model.write(tmp_path_factory.mktemp("models") / "made.onnx")


def ask(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "biosignals", "predict", *arguments],
        check=False,
        capture_output=True,
        text=True,
    )


def csv(folder, *channels):
    return write_csv(folder, ecg(), 100.0, channels)


def test_the_command_prints_probabilities_and_that_it_is_no_diagnosis(model, tmp_path):
    good = csv(tmp_path, "I", "II")
    bad = tmp_path / "bad.edf"
    bad.write_bytes(b"")
    done = ask(good, bad, "--model", model)
    assert done.returncode == 1
    assert "not a diagnosis" in done.stdout and "probability" in done.stdout
    assert "bad.edf" in done.stderr and "Traceback" not in done.stderr


def test_names_of_files_do_not_reach_the_terminal_raw(model, tmp_path):
    bad = tmp_path / "\x1b[31mbad.edf"
    bad.write_bytes(b"")
    good = csv(tmp_path, "I", "II")
    made_model.copy(model, tmp_path / "model.onnx")
    done = ask(bad, good.rename(tmp_path / "\x1b[2J.csv"), "--models", tmp_path)
    assert "\x1b" not in done.stdout + done.stderr
    assert "\\x1b[31mbad.edf" in done.stderr and "\\x1b[2J.csv" in done.stdout


@pytest.mark.slow
def test_without_a_model_the_command_asks_all_that_fit(model, tmp_path):
    for name, channels in {"two": ("I", "II"), "other": ("V1", "V2"), "fast": ("II", "I")}.items():
        rate = 200.0 if name == "fast" else 100.0
        changes = {"model": name, "channels": channels, "sampling_rate": rate, "step": 0.5}
        made_model.copy(model, tmp_path / f"{name}.onnx", **changes)
    fits = ask(csv(tmp_path, "I", "II"), "--models", tmp_path)
    assert fits.returncode == 0 and "superclass, two" in fits.stdout
    assert "other" not in fits.stdout + fits.stderr
    assert "fast does not answer: 100 Hz; fast needs 200 Hz" in fits.stderr
    none = ask(csv(tmp_path, "X", "Y"), "--models", tmp_path)
    assert none.returncode == 1 and not none.stdout
    assert all(f"{name} needs" in none.stderr for name in ("two", "other", "fast"))
    (tmp_path / "empty").mkdir()
    assert "name one with --model" in ask(tmp_path / "record.csv", "--models", tmp_path / "empty").stderr


def test_of_several_models_for_one_task_that_of_most_leads_answers(model, tmp_path):
    made_model.copy(model, tmp_path / "two.onnx", model="two")
    made_model.write(tmp_path / "one.onnx", model="one", channels=("I",))
    made_model.copy(model, tmp_path / "af.onnx", model="af-net", task="af")
    both = ask(csv(tmp_path, "I", "II"), "--models", tmp_path)
    assert both.returncode == 0 and not both.stderr
    assert "superclass, two" in both.stdout and "af, af-net" in both.stdout and "one" not in both.stdout
    alone = ask(csv(tmp_path, "I", "V1"), "--models", tmp_path)
    assert "superclass, one" in alone.stdout and "two" not in alone.stdout


def test_neither_the_library_nor_an_answer_waits_for_what_it_does_not_need(model, tmp_path):
    record = write_wfdb(tmp_path, ecg(rate=300), 300, ("I", "II"))
    code = "import sys, biosignals; assert 'onnxruntime' not in sys.modules"
    code = f"{code}; biosignals.predict({str(record)!r}, {str(model)!r})"
    code = f"{code}; from biosignals.deployment.command import main"
    code = f"{code}; main(['predict', {str(record)!r}, '--model', {str(model)!r}, '--csv', {str(tmp_path / 'p')!r}])"
    names = ("torch", "scipy", "pandas", "sklearn", "wfdb", "IPython", "matplotlib")
    heavy = f"print([name for name in {names} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; {heavy}"], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]"


@pytest.fixture
def two(model, tmp_path):
    """A recording and a damaged one."""
    good, bad = csv(tmp_path, "I", "II"), tmp_path / "bad.edf"
    bad.write_bytes(b"")
    return good, bad


def run(*arguments):
    return command.main([str(argument) for argument in arguments])


def test_the_installed_command_is_this_one():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    module, _, name = project["project"]["scripts"]["biosignals"].partition(":")
    assert getattr(import_module(module), name) is command.main


def test_a_recording_and_its_channels_may_be_named(model, tmp_path, capsys):
    tracings = np.zeros((2, 400, 12), np.float32)
    tracings[:] = ecg(rate=100, channels=12).T
    with h5py.File(tmp_path / "r.hdf5", "w") as file:
        file["tracings"], file["exam_id"] = tracings, [11, 22]
        file.attrs["sampling_rate"] = 100
        file.attrs["channels"] = [f"ECG{lead}" for lead in range(1, 13)]
    for more, code in (
        ([], 1),
        (["--record", "22"], 1),
        (["--record", "22", "--rename", "ECG1=I", "--rename", "ECG2=II"], 0),
    ):
        assert run("predict", tmp_path / "r.hdf5", "--model", model, *more) == code
    output = capsys.readouterr()
    assert "holds 2 recordings (11, 22): name one" in output.err and "made needs I, II" in output.err
    assert "superclass, made" in output.out


def test_json_and_csv_say_what_the_library_says(two, model, tmp_path, capsys):
    good, bad = two
    outputs = ["--json", tmp_path / "a.json", "--csv", tmp_path / "a.csv"]
    assert run("predict", good, bad, "--model", model, *outputs) == 1
    found = predict.predict(good, model)
    answered, refused = json.loads((tmp_path / "a.json").read_text())["files"]
    (one,) = answered["answers"]
    assert answered["file"] == str(good) and answered["refused"] is None and one["model"] == "made"
    np.testing.assert_array_equal([c["probability"] for c in one["classes"]], found.probabilities)
    np.testing.assert_array_equal([c["above"] for c in one["classes"]], found.above)
    np.testing.assert_array_equal(one["windows"]["probabilities"], found.windows)
    np.testing.assert_array_equal(one["windows"]["starts"], found.starts)
    assert refused == {
        "file": str(bad),
        "refused": "is no EDF file",
        "answers": [],
        "not_answered": {},
    }
    rows = list(tables.DictReader((tmp_path / "a.csv").open(newline="")))
    assert [row["class"] for row in rows] == ["a", "b", "c", ""]
    np.testing.assert_array_equal([float(row["probability"]) for row in rows[:3]], found.probabilities)
    assert rows[3]["file"] == str(bad) and rows[3]["refused"] == "is no EDF file"
    output = capsys.readouterr()
    assert not output.out and "bad.edf: is no EDF file" in output.err


def test_episodes_windows_left_out_and_models_that_are_silent_are_said(tmp_path):
    af = made_model.write_amplitude(tmp_path / "af.onnx")
    made_model.copy(af, tmp_path / "fast.onnx", channels=("I",), sampling_rate=200.0, step=0.5)
    x = 0.3 * ecg(300, channels=1)
    x[:, 6000:12000] *= 10
    x[:, 29000:] = 0.1
    file = write_csv(tmp_path, x, 100.0, ("I",))
    assert (
        run("predict", file, "--models", tmp_path, "--json", tmp_path / "a.json", "--csv", tmp_path / "a")
        == 0
    )
    (said,) = json.loads((tmp_path / "a.json").read_text())["files"]
    (found,) = said["answers"][0]["classes"]
    assert [(one["start"], one["end"]) for one in found["episodes"]] == [(60, 120)]
    assert found["burden"] == predict.predict(file, af).burden()[0]
    windows = said["answers"][0]["windows"]
    assert windows["left_out"] == windows["probabilities"].count([None]) > 5
    assert "fast needs 200 Hz" in said["not_answered"]["fast"] or "100 Hz" in said["not_answered"]["fast"]
    silent, answered = list(tables.DictReader((tmp_path / "a").open(newline="")))
    assert silent["model"] == "fast" and silent["refused"]
    assert answered["episodes"] == "1" and float(answered["burden"]) == found["burden"]


def test_standard_output_holds_json_or_csv_alone(two, model, capsys):
    good, bad = two
    run("predict", good, bad, "--model", model, "--json", "-")
    assert len(json.loads(capsys.readouterr().out)["files"]) == 2
    run("predict", good, bad, "--model", model, "--csv", "-")
    assert capsys.readouterr().out.startswith("file,refused,model")


def test_a_bar_is_drawn_on_a_terminal_only(two, model, capsys, monkeypatch):
    run("predict", *two, "--model", model)
    assert "files/s" not in capsys.readouterr().err
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    run("predict", *two, "--model", model)
    assert "files/s" in capsys.readouterr().err


def test_wrong_use_is_told_from_refusals(two, model, tmp_path, capsys):
    good, bad = two
    (tmp_path / "empty").mkdir()
    before = good.read_bytes()
    for arguments, message in {
        ("--model", tmp_path / "none.onnx"): "there is no card",
        ("--models", tmp_path / "empty"): "holds no model: name one with --model",
        ("--json", good): "would replace what is read",
        ("--csv", good): "would replace what is read",
        ("--plot", good): "would replace what is read",
        ("--json", "-", "--csv", "-"): "both go to standard output",
        ("--json", tmp_path / "x", "--csv", tmp_path / "x"): "named twice",
        ("--csv", tmp_path / "empty"): "is a folder",
        ("--json", model.with_suffix(".json")): "would replace what is read",  # the model's card
        ("--csv", model): "would replace what is read",
        ("--model", tmp_path / "empty"): "is a folder: --models asks every model in it",
        ("--plot", tmp_path / "x.png"): "one picture for 2 recordings",
        ("--plot", tmp_path / "x.docx"): "pictures are .png",
    }.items():
        which = () if arguments[0].startswith("--model") else ("--model", model)
        assert run("predict", good, bad, *which, *arguments) == 2, arguments
        output = capsys.readouterr()
        assert message in output.err and not output.out and "refused" not in output.err
    assert good.read_bytes() == before and not (tmp_path / "x").exists()
    for arguments in ([], ["predict"], ["predict", good, "--rename", "I"], ["guess", good]):
        with pytest.raises(SystemExit) as ended:
            run(*arguments)
        assert ended.value.code == 2


def test_where_writing_fails_what_was_there_stays(two, model, tmp_path, monkeypatch):
    place = tmp_path / "a.json"
    place.write_text("before")

    def fails(self, *_, **__):
        raise OSError("no room")

    monkeypatch.setattr(Path, "write_text", fails)
    assert run("predict", two[0], "--model", model, "--json", place) == 2
    assert place.read_bytes() == b"before" and not list(tmp_path.glob(".a.*"))


def test_pictures_are_one_file_or_a_folder_of_them(two, model, tmp_path):
    good, bad = two
    before = os.environ.get("MPLBACKEND")
    other = good.with_name("other.csv")
    other.write_bytes(good.read_bytes())
    assert run("predict", good, "--model", model, "--plot", tmp_path / "one.png") == 0
    assert run("predict", good, other, bad, "--model", model, "--plot", tmp_path / "many") == 1
    made = {path.name for path in (tmp_path / "many").iterdir()}
    assert made == {"record.csv.png", "other.csv.png"}
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "many" / "record.csv.png").read_bytes()
    assert os.environ.get("MPLBACKEND") == before  # which programs begun later would inherit


@pytest.fixture
def own(tmp_path):
    """A folder of recordings and its table."""
    (tmp_path / "own").mkdir()
    lines = ["file,subject,a,b"]
    for number in range(6):
        x = ecg(channels=2, seed=number)
        write_csv(tmp_path / "own", x, 100.0, ("I", "II")).rename(tmp_path / "own" / f"r{number}.csv")
        lines.append(f"r{number},{number},{number % 2},{number // 3}")
    (tmp_path / "own" / "bad.edf").write_bytes(b"")
    (tmp_path / "labels.csv").write_text("\n".join([*lines, "bad.edf,6,0,1"]))
    return tmp_path / "own", tmp_path / "labels.csv"


def test_scores_on_own_recordings_are_printed_and_written(own, model, tmp_path, capsys):
    outputs = ["--json", tmp_path / "s.json", "--csv", tmp_path / "s.csv"]
    assert run("evaluate", *own, "--model", model) == 1
    output = capsys.readouterr()
    assert "6 recordings answered, 1 refused" in output.out and "bad.edf: is no EDF file" in output.err
    assert run("evaluate", *own, "--model", model, *outputs) == 1
    found = evaluate.evaluate(*own, model).scores
    said = json.loads((tmp_path / "s.json").read_text())
    assert said["refused"] == {"bad.edf": "is no EDF file"}
    assert [row["value"] for row in said["scores"]] == [
        None if np.isnan(value) else value for value in found.value
    ]
    rows = list(tables.DictReader((tmp_path / "s.csv").open(newline="")))
    assert len(rows) == len(found) + 1 and rows[-1]["refused"] == "is no EDF file"


def test_predictions_that_the_command_wrote_are_compared_with(own, model, tmp_path, capsys):
    folder, labels = own
    files = sorted(folder.glob("*.csv"))
    assert run("predict", *files, "--model", model, "--csv", tmp_path / "p.csv") == 0
    run("evaluate", folder, labels, "--model", model, "--versus", tmp_path / "p.csv")
    assert "difference 0.000 [0.000, 0.000]" in capsys.readouterr().out


def test_wrong_use_of_evaluate(own, model, tmp_path, capsys):
    folder, labels = own
    theirs = tmp_path / "theirs.csv"
    theirs.write_text("file,a\n")
    for arguments, message in (
        ((tmp_path / "none", labels), "is no folder"),
        ((folder, tmp_path / "none.csv"), "does not exist"),
        ((folder, labels, "--label", "d=a"), "no 'd'"),
        ((folder, labels, "--versus", tmp_path / "none.csv"), "none.csv"),
        ((folder, labels, "--versus", tmp_path / "none.onnx"), "there is no card"),
        ((folder, labels, "--csv", labels), "would replace what is read"),
        ((folder, labels, "--json", model.with_suffix(".json")), "would replace what is read"),
        ((folder, labels, "--versus", theirs, "--csv", theirs), "would replace what is read"),
        ((folder, labels, "--csv", folder / "r1.csv"), "among the recordings, and would be replaced"),
    ):
        assert run("evaluate", *arguments, "--model", model) == 2
        assert message in capsys.readouterr().err
    assert labels.read_text().startswith("file,subject") and theirs.read_text() == "file,a\n"
    assert (folder / "r1.csv").read_text().startswith("time")


@pytest.mark.parametrize(
    ("error", "status", "said"), [(KeyboardInterrupt, 130, "interrupted"), (BrokenPipeError, 141, "")]
)
def test_what_does_not_come_to_an_end_is_told_in_a_word(two, model, monkeypatch, error, status, said):
    def write(*_):
        raise error

    monkeypatch.setattr(command, "_print_reply", write)
    with open(os.devnull, "w") as nobody:
        monkeypatch.setattr(sys, "stdout", nobody)
        monkeypatch.setattr(sys, "stderr", heard := io.StringIO())
        assert run("predict", two[0], "--model", model) == status
    assert heard.getvalue().strip().removeprefix("biosignals: ") == said


def test_a_reader_who_wants_no_more_ends_the_command_quietly(two, model):
    command = f"{sys.executable} -m biosignals predict {two[0]} --model {model} | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert "made" in done.stdout and not done.stderr
