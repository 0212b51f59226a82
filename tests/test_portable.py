"""Models to take away answer about what they were made for and refuse the rest, whatever the file holds."""

import json
import subprocess
import sys
from dataclasses import replace

import edfio
import h5py
import numpy as np
import pytest
import torch
import wfdb
from hypothesis import given
from hypothesis import strategies as st

from biosignals import compression, models, portable
from biosignals.models.standardised import Standardised

CARD = portable.Card(
    model="made", task="superclass", channels=("I", "II"), unit="mV", sampling_rate=100.0, samples=200,
    classes=("a", "b", "c"), exclusive=False, thresholds=(0.2, 0.5, 0.8), trained_on="noise", scores=(), params=1, bytes=1,
    latency_ms=1.0, limits=("not for patients",),
)  # fmt: skip


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return Standardised(models.create("student-4k", 2, 3, 200), 0.0, 0.5).eval()


@pytest.fixture(scope="module")
def model(net, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "made.onnx"
    compression.export(net, torch.randn(2, 2, 200), path)
    portable.write_card(CARD, path)
    return path


def ecg(seconds=4.0, rate=100.0, channels=2, seed=0):
    """Smooth noise in mV, (channels, samples): below 10 Hz, so that it is the same at every rate."""
    times, rng = np.arange(round(seconds * rate)) / rate, np.random.default_rng(seed)
    waves = [np.sin(2 * np.pi * (f * times[None] + rng.random((channels, 1)))) for f in (0.7, 2.0, 5.0)]
    return sum(waves) * 0.3


def expected(net, x):
    last = x.shape[1] - 200
    starts = [*range(0, last, 100), last]
    with torch.no_grad():
        windows = torch.from_numpy(np.stack([x[:, start : start + 200] for start in starts])).float()
        return net(windows).sigmoid().mean(0).numpy()


def write_wfdb(folder, x, rate, names, units="mV"):
    wfdb.wrsamp("record", rate, [units] * len(x), list(names), p_signal=x.T, fmt=["16"] * len(x), write_dir=str(folder))
    return folder / "record.hea"


def write_edf(folder, x, rate, names):
    signals = [edfio.EdfSignal(1000 * row, rate, label=name, physical_dimension="uV", physical_range=(-5000, 5000))
               for name, row in zip(names, x, strict=True)]  # fmt: skip
    edfio.Edf(signals).write(folder / "record.edf")
    return folder / "record.edf"


def write_csv(folder, x, rate, names):
    table = np.column_stack([np.arange(x.shape[1]) / rate, x.T])
    np.savetxt(folder / "record.csv", table, delimiter=",", header=", ".join(["time", *names]), comments="")
    return folder / "record.csv"


def write_h5(folder, x, rate, names, unit="V"):
    with h5py.File(folder / "record.h5", "w") as file:
        signals = file.create_dataset("signals", data=x / 1000)
        signals.attrs.update({"channels": list(names), "sampling_rate": rate, "unit": unit})
    return folder / "record.h5"


WRITERS = [write_wfdb, write_edf, write_csv, write_h5]


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("rate", [100, 250])
def test_every_kind_of_file_gets_the_answer_of_the_net(net, model, tmp_path, write, rate):
    # Other channels, another order, another rate, other units: the model finds its own.
    x = ecg(rate=rate, channels=3)
    found = portable.predict(write(tmp_path, x, rate, ("II", "V1", "I")), model)
    np.testing.assert_allclose(found.probability, expected(net, ecg(channels=3)[[2, 0]]), atol=0.01)
    assert list(found.index) == ["a", "b", "c"]
    assert list(found.above) == list(found.probability.to_numpy() >= np.array(CARD.thresholds))


def test_an_array_gets_the_answer_of_its_file(model, tmp_path):
    x = ecg()
    by_file = portable.predict(write_csv(tmp_path, x, 100.0, ("I", "II")), model)
    by_array = portable.predict(portable.from_array(x, ("I", "II"), 100.0), model)
    np.testing.assert_allclose(by_file.probability, by_array.probability, atol=1e-5)


@pytest.mark.parametrize(
    "signal, message",
    [
        (portable.from_array(ecg(), ("I", "V1"), 100), "needs II; the recording has I, V1"),
        (portable.from_array(ecg(rate=50), ("I", "II"), 50), "50 Hz; made needs 100 Hz"),
        (portable.from_array(ecg(1.0), ("I", "II"), 100), "1.0 s; made needs 2 s"),
        (portable.from_array(1e3 * ecg(), ("I", "II"), 100), "is its unit right"),
        (portable.from_array(ecg() * [[1], [0]], ("I", "II"), 100), "II stands still"),
        (portable.from_array(np.where(np.arange(400) == 7, np.nan, ecg()), ("I", "II"), 100), "NaN"),
    ],
)
def test_what_the_model_was_not_made_for_is_refused(model, signal, message):
    with pytest.raises(portable.Refused, match=message):
        portable.predict(signal, model)


@pytest.mark.parametrize("name", ["record.hea", "record.edf", "record.csv", "record.h5"])
@given(content=st.binary(max_size=400))
def test_no_bytes_whatever_get_more_than_a_refusal(tmp_path_factory, name, content):
    place = tmp_path_factory.mktemp("bytes") / name
    place.write_bytes(content)
    with pytest.raises(portable.Refused, match=name):
        portable.read(place)


def test_files_that_are_none_are_refused(tmp_path):
    for path, message in ((tmp_path / "none.edf", "no such file"), (tmp_path / "a.exe", "a recording is one of")):
        with pytest.raises(portable.Refused, match=message):
            portable.read(path)
    with pytest.raises(portable.Refused, match="must be in V, mV or uV"):
        portable.from_array(ecg(), ("I", "II"), 100, unit="mmHg")
    with pytest.raises(portable.Refused, match="channels, samples"):
        portable.from_array(ecg()[0], ("I",), 100)


def test_uneven_times_and_missing_rates_are_refused(tmp_path):
    np.savetxt(tmp_path / "a.csv", ecg().T, delimiter=",", header="I,II", comments="")
    with pytest.raises(portable.Refused, match="give its sampling rate"):
        portable.read(tmp_path / "a.csv")
    assert portable.read(tmp_path / "a.csv", 100.0).sampling_rate == 100.0
    times = np.arange(400) / 100
    times[200:] += 3
    np.savetxt(tmp_path / "b.csv", np.column_stack([times, ecg().T]), delimiter=",", header="time,I,II", comments="")
    with pytest.raises(portable.Refused, match="equal steps"):
        portable.read(tmp_path / "b.csv")


def test_a_card_comes_back_as_it_was_written(model):
    assert portable.read_card(model) == CARD


def test_models_without_their_card_or_with_another_are_refused(model, tmp_path):
    other = tmp_path / "other.onnx"
    other.write_bytes(model.read_bytes())
    with pytest.raises(portable.Refused, match="there is no card"):
        portable.predict(portable.from_array(ecg(), ("I", "II"), 100), other)
    portable.write_card(replace(CARD, samples=100), other)
    with pytest.raises(portable.Refused, match="its card says"):
        portable.predict(portable.from_array(ecg(), ("I", "II"), 100), other)
    portable.write_card(CARD, other)
    other.write_bytes(b"nothing")
    with pytest.raises(portable.Refused, match="cannot load"):
        portable.predict(portable.from_array(ecg(), ("I", "II"), 100), other)
    other.with_suffix(".json").write_text(json.dumps({"model": "x"}))
    with pytest.raises(portable.Refused, match="not a model's card"):
        portable.read_card(other)


def test_the_command_prints_probabilities_and_that_it_is_no_diagnosis(model, tmp_path):
    good = write_csv(tmp_path, ecg(), 100.0, ("I", "II"))
    bad = tmp_path / "bad.edf"
    bad.write_bytes(b"")
    done = subprocess.run(
        [sys.executable, "-m", "biosignals", "predict", good, bad, "--model", model], check=False, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "not a diagnosis" in done.stdout and "probability" in done.stdout
    assert "bad.edf" in done.stderr and "Traceback" not in done.stderr
