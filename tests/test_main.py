"""The command prints what exported models predict for files."""

import subprocess
import sys

import h5py
import numpy as np
import pytest

import made_model
from biosignals.__main__ import main
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


def test_neither_the_library_nor_an_answer_waits_for_what_it_does_not_need(model, tmp_path):
    record = write_wfdb(tmp_path, ecg(rate=300), 300, ("I", "II"))
    code = "import sys, biosignals; assert 'onnxruntime' not in sys.modules"
    code = f"{code}; biosignals.predict({str(record)!r}, {str(model)!r})"
    heavy = "print([name for name in ('torch', 'scipy', 'pandas', 'sklearn', 'wfdb') if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; {heavy}"], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]"


def test_a_recording_and_its_channels_may_be_named(model, tmp_path, monkeypatch, capsys):
    tracings = np.zeros((2, 400, 12), np.float32)
    tracings[:] = ecg(rate=100, channels=12).T
    with h5py.File(tmp_path / "r.hdf5", "w") as file:
        file["tracings"], file["exam_id"] = tracings, [11, 22]
        file.attrs["sampling_rate"] = 100
        file.attrs["channels"] = [f"ECG{lead}" for lead in range(1, 13)]
    arguments = ["biosignals", "predict", str(tmp_path / "r.hdf5"), "--model", str(model)]
    for more, code in (
        ([], 1),
        (["--record", "22"], 1),
        (["--record", "22", "--rename", "ECG1=I", "--rename", "ECG2=II"], 0),
    ):
        monkeypatch.setattr(sys, "argv", arguments + more)
        assert main() == code
    output = capsys.readouterr()
    assert "holds 2 recordings (11, 22): name one" in output.err and "made needs I, II" in output.err
    assert "superclass, made" in output.out
