"""Models to take away answer about what they were made for and refuse the rest, whatever the file holds."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace

import edfio
import h5py
import numpy as np
import onnx
import pandas as pd
import pytest
import torch
import wfdb
from hypothesis import given
from hypothesis import strategies as st

import biosignals
from biosignals import models, onnx_files
from biosignals.compression import export
from biosignals.data import readers
from biosignals.data.recordings import Recordings
from biosignals.deployment import card, predict
from biosignals.evaluation import events
from biosignals.models.layers.centred import Centred
from biosignals.models.layers.standardised import Standardised
from biosignals.signals.filters import resample
from biosignals.signals.windows import prepare
from biosignals.training import predict as training_predict

CARD = card.Card(
    model="made", task="superclass", channels=("I", "II"), unit="mV", sampling_rate=100.0, samples=200,
    step=1.0, aggregation="mean",
    classes=("a", "b", "c"), multiclass=False, thresholds=(0.2, 0.5, 0.8), trained_on="noise", scores=(), params=1, bytes=1,
    latency_ms=1.0, limits=("not for patients",),
)  # fmt: skip


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return Standardised(models.create("student-4k", 2, 3, 200), 0.0, 0.5).eval()


@pytest.fixture(scope="module")
def model(net, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "made.onnx"
    export.export(net, torch.randn(2, 2, 200), path)
    card.write_card(CARD, path)
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
    wfdb.wrsamp(
        "record",
        rate,
        [units] * len(x),
        list(names),
        p_signal=x.T,
        fmt=["16"] * len(x),
        write_dir=str(folder),
    )
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


def write_h5_of_fixed_length(folder, x, rate, names):
    # Text of variable length lies in a heap; where that is damaged, the HDF5 library may never come back.
    return write_h5(folder, x, rate, np.array(names, dtype=np.bytes_), np.bytes_("V"))


def write_other_wfdb(folder, x, rate, names):
    wfdb.wrsamp(
        "record",
        rate,
        ["mV"] * len(x),
        list(names),
        p_signal=x.T,
        fmt=["212"] * len(x),
        write_dir=str(folder),
    )
    return folder / "record.hea"


WRITERS = [write_wfdb, write_edf, write_csv, write_h5]


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("rate", [100, 250])
def test_every_kind_of_file_gets_the_answer_of_the_net(net, model, tmp_path, write, rate):
    # Other channels, another order, another rate, other units: the model finds its own.
    x = ecg(rate=rate, channels=3)
    found = predict.predict(write(tmp_path, x, rate, ("II", "V1", "I")), model)
    np.testing.assert_allclose(found.probabilities, expected(net, ecg(channels=3)[[2, 0]]), atol=0.01)
    assert list(found.above) == list(found.probabilities >= np.array(CARD.thresholds))


def test_an_array_gets_the_answer_of_its_file(model, tmp_path):
    x = ecg()
    by_file = biosignals.predict(write_csv(tmp_path, x, 100.0, ("I", "II")), model)
    by_array = biosignals.predict(x * 1000, model, ("I", "II"), 100.0, unit="uV")
    np.testing.assert_allclose(by_file.probabilities, by_array.probabilities, atol=1e-5)
    with pytest.raises(readers.InvalidRecording, match="names of its channels"):
        biosignals.predict(x, model)


@pytest.mark.parametrize(
    "signal, message",
    [
        (readers.from_array(ecg(), ("I", "V1"), 100), "needs II; the recording has I, V1"),
        (readers.from_array(ecg(rate=50), ("I", "II"), 50), "50 Hz; made needs 100 Hz"),
        (readers.from_array(ecg(1.0), ("I", "II"), 100), "1.0 s; made needs 2 s"),
        (readers.from_array(1e3 * ecg(), ("I", "II"), 100), "is its unit right"),
        (readers.from_array(ecg() * [[1], [0]], ("I", "II"), 100), "II never moves"),
        (readers.from_array(np.where(np.arange(400) == 7, np.nan, ecg()), ("I", "II"), 100), "NaN"),
        (readers.from_array(1e-3 * ecg(), ("I", "II"), 100), "no channel spans 5 uV; is its unit right"),
        (
            readers.from_array(np.where(np.arange(400) < 120, [[1], [0]] * ecg(), ecg()), ("I", "II"), 100),
            "II stands still for 30%",
        ),
        (
            readers.from_array(np.repeat(ecg(rate=1), 100, axis=1), ("I", "II"), 100),
            "none of its channels moves",
        ),
        (readers.from_array(ecg(channels=3), ("I", "II", "ii"), 100), "ii stands twice"),
        (readers.from_array(ecg(), ("I", "II"), 100, unit="mmHg"), "in mmhg; they must be in V, mV or uV"),
    ],
)
def test_what_the_model_was_not_made_for_is_refused(model, signal, message):
    with pytest.raises(readers.InvalidRecording, match=message):
        predict.predict(signal, model)


@pytest.mark.parametrize("name", ["record.hea", "record.edf", "record.csv", "record.h5"])
@given(content=st.binary(max_size=400))
def test_no_bytes_whatever_get_more_than_a_refusal(tmp_path_factory, name, content):
    place = tmp_path_factory.mktemp("bytes") / name
    place.write_bytes(content)
    with pytest.raises(readers.InvalidRecording, match=name):
        readers.read(place)


@pytest.mark.parametrize("write", [write_edf, write_h5_of_fixed_length, write_wfdb, write_other_wfdb])
def test_damaged_files_are_read_or_refused(tmp_path_factory, write):
    place = write(tmp_path_factory.mktemp("damaged"), ecg(seconds=1, rate=20), 20, ("I", "II"))
    whole = place.read_bytes()

    @given(
        length=st.integers(0, 30),
        damage=st.dictionaries(st.integers(0, len(whole) - 1), st.integers(0, 255), max_size=4),
    )
    def read_damaged(length, damage):
        content = bytearray(whole)
        for where, byte in damage.items():
            content[where] = byte
        place.write_bytes(content[: len(content) - length])
        try:
            found = readers.read(place)
        except readers.InvalidRecording as error:
            assert place.name in str(error)
        else:
            assert found.values.shape == (len(found.channels), found.values.size // len(found.channels))

    read_damaged()


def test_an_edf_file_that_is_cut_short_is_refused(tmp_path):
    place = write_edf(tmp_path, ecg(), 100, ("I", "II"))
    whole = place.read_bytes()
    for length in (400, 500, len(whole) - 256):
        place.write_bytes(whole[:-length])
        with pytest.raises(readers.InvalidRecording, match=r"record\.edf"):
            readers.read(place)


@pytest.mark.parametrize("write", [*WRITERS, write_other_wfdb])
def test_files_that_are_too_large_are_refused(tmp_path, monkeypatch, write):
    place = write(tmp_path, ecg(), 100, ("I", "II"))
    monkeypatch.setattr(readers, "LARGEST_FILE", 1100)  # more than a header of WFDB, less than any signals
    with pytest.raises(readers.InvalidRecording, match="cut it first"):
        readers.read(place)


def test_files_that_are_none_are_refused(tmp_path):
    for path, message in (
        (tmp_path / "none.edf", "no such file"),
        (tmp_path / "a.exe", "a recording is one of"),
    ):
        with pytest.raises(readers.InvalidRecording, match=message):
            readers.read(path)
    with pytest.raises(readers.InvalidRecording, match="channels, samples"):
        readers.from_array(ecg()[0], ("I",), 100)


def test_uneven_times_and_missing_rates_are_refused(tmp_path):
    np.savetxt(tmp_path / "a.csv", ecg().T, delimiter=",", header="I,II", comments="")
    with pytest.raises(readers.InvalidRecording, match="give its sampling rate"):
        readers.read(tmp_path / "a.csv")
    assert readers.read(tmp_path / "a.csv", 100.0).sampling_rate == 100.0
    times = np.arange(400) / 100
    times[200:] += 3
    np.savetxt(
        tmp_path / "b.csv", np.column_stack([times, ecg().T]), delimiter=",", header="time,I,II", comments=""
    )
    with pytest.raises(readers.InvalidRecording, match="equal steps"):
        readers.read(tmp_path / "b.csv")


@pytest.mark.parametrize("decimals, rate", [(3, 360), (6, 360), (3, 1000), (2, 100)])
def test_times_may_be_rounded(tmp_path, decimals, rate):
    x = ecg(rate=rate)
    place = tmp_path / "a.csv"
    table = np.column_stack([np.round(np.arange(x.shape[1]) / rate, decimals), x.T])
    np.savetxt(place, table, delimiter=",", header="time,I,II", comments="")
    assert readers.read(place).sampling_rate == pytest.approx(rate, rel=1e-3)
    np.savetxt(place, np.delete(table, [50, 51, 52], axis=0), delimiter=",", header="time,I,II", comments="")
    with pytest.raises(readers.InvalidRecording, match="equal steps"):
        readers.read(place)


def test_text_in_hdf5_may_be_of_fixed_length(tmp_path):
    found = readers.read(write_h5_of_fixed_length(tmp_path, ecg(), 100, ("I", "II")))
    assert found.units == ("V", "V") and found.channels == ("I", "II")


@pytest.mark.parametrize(
    "link",
    [h5py.ExternalLink("other.h5", "/signals"), h5py.SoftLink("/inner"), h5py.ExternalLink("none.h5", "/x")],
)
def test_links_in_hdf5_are_refused_and_not_followed(tmp_path, link):
    x = ecg()
    write_h5(tmp_path, x, 100, ("I", "II")).rename(tmp_path / "other.h5")
    with h5py.File(tmp_path / "record.h5", "w") as file:
        file["inner"] = x
        file["signals"] = link
    os.utime(tmp_path / "other.h5", (0, 1))
    with pytest.raises(readers.InvalidRecording, match="of its own"):
        readers.read(tmp_path / "record.h5")
    assert (tmp_path / "other.h5").stat().st_atime == 0  # nobody opened it


@pytest.mark.parametrize(
    "values, channels, rate, unit",
    [
        ("text", ("I", "II"), 100, "mV"), (ecg() + 1j, ("I", "II"), 100, "mV"), (np.full((2, 400), "1"), ("I", "II"), 100, "mV"),
        ([[1, 2], [3]], ("I", "II"), 100, "mV"), (None, ("I", "II"), 100, "mV"), (ecg(), (1, 2), 100, "mV"), (ecg(), "II", 100, "mV"),
        (ecg(), 2, 100, "mV"), (ecg(), None, 100, "mV"), (ecg(), ("I", None), 100, "mV"), (ecg(), ("I", "II"), "fast", "mV"),
        (ecg(), ("I", "II"), None, "mV"), (ecg(), ("I", "II"), np.nan, "mV"), (ecg(), ("I", "II"), -1, "mV"),
        (ecg(), ("I", "II"), 1j, "mV"), (ecg(), ("I", "II"), 10**400, "mV"), (ecg(), ("I", "II"), 100, None), (ecg(), ("I", "II"), 100, 3),
    ],
)  # fmt: skip
def test_what_is_no_recording_is_refused(model, values, channels, rate, unit):
    with pytest.raises(readers.InvalidRecording):
        readers.from_array(values, channels, rate, unit)
    with pytest.raises(readers.InvalidRecording):
        predict.predict(values, model, channels, rate, unit)


@pytest.mark.parametrize("source", [[[1.0, 2.0]], 3, None, b"record.csv", "a\0b.csv", "x" * 300 + ".csv", {},
                                    readers.Signal([[1.0]], ("I",), ("mV",), 100.0), readers.Signal(ecg(), None, None, 100.0),
                                    readers.Signal(ecg(), ("I", "II"), ("mV",), 100.0)])  # fmt: skip
def test_sources_that_are_none_are_refused(model, source):
    with pytest.raises(readers.InvalidRecording):
        predict.predict(source, model)


@pytest.mark.parametrize("name", [None, 3, "", "x" * 300])
def test_models_that_are_none_are_refused(name):
    with pytest.raises(readers.InvalidRecording):
        predict.predict(ecg(), name, ("I", "II"), 100)


def test_a_reply_says_what_is_answered_or_why_not(model):
    assert predict.reply(ecg(), model, ("I", "II"), 100) == str(
        predict.predict(ecg(), model, ("I", "II"), 100)
    )
    assert predict.reply(ecg(1.0), model, ("I", "II"), 100) == "refused: 1.0 s; made needs 2 s or longer"


def test_names_do_not_reach_the_terminal_raw(model, tmp_path):
    evil = tmp_path / "evil.onnx"
    evil.write_bytes(model.read_bytes())
    card.write_card(
        replace(CARD, model="\x1b[2J", task="\u202etask", classes=("a\nNORM 1.000", "b\x07", "é")), evil
    )
    said = predict.reply(ecg(), evil, ("I", "II"), 100)
    refused = predict.reply(ecg(), evil, ("\x1b]0;I\x07", "II\r"), 100)
    for text in (said, refused):
        assert all(line.isprintable() for line in text.split("\n"))
    assert said.count("\n") == 5 and "é" in said
    assert "\\x1b[2J needs I" in refused
    bad = tmp_path / "\x1b[31mbad.edf"
    bad.write_bytes(b"")
    done = ask(
        bad,
        write_csv(tmp_path, ecg(), 100.0, ("I", "II")).rename(tmp_path / "\x1b[2J.csv"),
        "--models",
        tmp_path,
    )
    assert (
        "\x1b" not in done.stdout + done.stderr
        and "\\x1b[31mbad.edf" in done.stderr
        and "\\x1b[2J.csv" in done.stdout
    )


def test_a_card_comes_back_as_it_was_written(model):
    assert card.read_card(model) == CARD


def test_models_without_their_card_or_with_another_are_refused(model, tmp_path):
    other = tmp_path / "other.onnx"
    other.write_bytes(model.read_bytes())
    with pytest.raises(readers.InvalidRecording, match="there is no card"):
        biosignals.predict(ecg(), other, ("I", "II"), 100)
    card.write_card(replace(CARD, samples=150), other)
    with pytest.raises(readers.InvalidRecording, match="its card says"):
        biosignals.predict(ecg(), other, ("I", "II"), 100)
    card.write_card(replace(CARD, classes=("a", "b"), thresholds=(0.5, 0.5)), other)
    with pytest.raises(readers.InvalidRecording, match="gives 3 probabilities, its card names 2"):
        biosignals.predict(ecg(), other, ("I", "II"), 100)


@pytest.mark.parametrize("content", [{"model": "x"}, [], None, asdict(CARD) | {"samples": 1e9}, asdict(CARD) | {"classes": 3},
                                     asdict(CARD) | {"thresholds": [0.5]}, asdict(CARD) | {"sampling_rate": "fast"},
                                     asdict(CARD) | {"step": 0}, asdict(CARD) | {"channel_aliases": {"X": "Y"}},
                                     asdict(CARD) | {"smoothing": 2.5}, asdict(CARD) | {"smoothing": 0},
                                     asdict(CARD) | {"smoothing": True}, asdict(CARD) | {"scores": [3]}, asdict(CARD) | {"scores": {}},
                                     asdict(CARD) | {"limits": "none"}, asdict(CARD) | {"limits": [1]},
                                     asdict(CARD) | {"latency_ms": "1"}, asdict(CARD) | {"latency_ms": 1e999},
                                     asdict(CARD) | {"multiclass": "no"}, asdict(CARD) | {"multiclass": 1},
                                     asdict(CARD) | {"channel_aliases": ["I"]}, asdict(CARD) | {"channel_aliases": {"X": 1}},
                                     asdict(CARD) | {"step": 10**400}, asdict(CARD) | {"trained_on": None}])  # fmt: skip
def test_damaged_cards_are_refused(model, tmp_path, content):
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(readers.InvalidRecording, match=r"a\.json"):
        card.read_card(tmp_path / "a.onnx")


def changed(model, path, change):
    graph = onnx.load(model)
    change(graph)
    path.write_bytes(graph.SerializeToString())
    card.write_card(CARD, path)
    return path


def of_the_future(graph):
    graph.opset_import[0].version = 999


def with_weights_elsewhere(graph):
    tensor = graph.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret")


def with_logits(graph):
    last = graph.graph.node[-1]
    name, last.output[0] = last.output[0], "inner"
    graph.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(100), "hundred"))
    graph.graph.node.append(onnx.helper.make_node("Mul", ["inner", "hundred"], [name]))


@pytest.mark.parametrize("change, message", [(of_the_future, "cannot load it"), (with_weights_elsewhere, "cannot load it"),
                                             (with_logits, "gives no probabilities")])  # fmt: skip
def test_models_that_cannot_be_run_are_refused(model, tmp_path, change, message):
    (tmp_path / "secret").write_bytes(bytes(1 << 16))
    (tmp_path / "models").mkdir()
    with pytest.raises(readers.InvalidRecording, match=message):
        biosignals.predict(ecg(), changed(model, tmp_path / "models/a.onnx", change), ("I", "II"), 100)


@given(length=st.integers(0, 4000), place=st.integers(0, 4000), byte=st.integers(0, 255))
def test_damaged_models_are_refused_or_answer(model, tmp_path_factory, length, place, byte):
    content = bytearray(model.read_bytes()[: -length or None])
    content[place] = byte
    damaged = tmp_path_factory.mktemp("damaged") / "a.onnx"
    damaged.write_bytes(content)
    card.write_card(CARD, damaged)
    try:
        assert np.isfinite(biosignals.predict(ecg(), damaged, ("I", "II"), 100).probabilities).all()
    except readers.InvalidRecording:
        pass


@pytest.mark.parametrize("name", ["../secret.dat", "/tmp/secret.dat", "..", "a\\b.dat", "~", "s3://a/b.dat"])
@pytest.mark.parametrize("form", ["16", "212"])
def test_headers_that_name_files_elsewhere_are_refused(tmp_path, name, form):
    (tmp_path / "secret.dat").write_bytes(bytes(8000))
    (tmp_path / "set").mkdir()
    header = tmp_path / "set/record.hea"
    header.write_text(
        "record 2 100 400\n" + "".join(f"{name} {form} 1000/mV 16 0 0 0 0 {lead}\n" for lead in ("I", "II"))
    )
    # Format 212 is left to wfdb, which knows no such name.
    with pytest.raises(
        readers.InvalidRecording, match="outside of its folder" + "|invalid syntax" * (form == "212")
    ):
        readers.read(header)


def test_headers_are_checked_as_they_are_read(tmp_path):
    # The package wfdb drops what is not ASCII: what it opens may be another file than the header seems to name.
    for file in ("r.dat", "ré.dat"):
        (tmp_path / file).write_bytes(bytes(4000 if file == "r.dat" else 1))
    (tmp_path / "record.hea").write_text("record 1 100 800\nré.dat 212 1000/mV 12 0 0 0 0 I\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(readers, "LARGEST_FILE", 2000)
        with pytest.raises(readers.InvalidRecording, match="cut it first"):
            readers.read(tmp_path / "record.hea")


def test_headers_that_announce_too_much_are_refused(tmp_path):
    (tmp_path / "r.dat").write_bytes(bytes(4000))
    (tmp_path / "record.hea").write_text("record 1 100 9000000\nr.dat 212x9000 1000/mV 12 0 0 0 0 I\n")
    with pytest.raises(readers.InvalidRecording, match="cut it first"):
        readers.read(tmp_path / "record.hea")


def test_records_of_several_segments_are_refused(tmp_path):
    (tmp_path / "many.hea").write_text("many/2 1 100 800\nfirst 400\nsecond 400\n")
    with pytest.raises(readers.InvalidRecording, match="segments"):
        readers.read(tmp_path / "many.hea")


def test_other_formats_of_wfdb_are_read_and_gaps_filled(net, model, tmp_path):
    x = ecg()
    x[0, 100:110] = np.nan
    wfdb.wrsamp(
        "record", 100, ["mV", "NU"], ["I", "RESP"], p_signal=x.T, fmt=["212", "212"], write_dir=str(tmp_path)
    )
    found = readers.read(tmp_path / "record.hea")
    assert found.units == ("mV", "NU")
    filled = np.interp(np.arange(400), np.flatnonzero(np.isfinite(x[0])), x[0][np.isfinite(x[0])])
    np.testing.assert_allclose(found.values[0], filled, atol=0.01)


def test_a_hand_held_recorders_only_channel_may_stand_for_a_lead(net, model, tmp_path):
    x = ecg(channels=1)
    one = tmp_path / "one.onnx"
    torch.manual_seed(0)
    export.export(Standardised(models.create("student-4k", 1, 3, 200), 0.0, 0.5), torch.randn(2, 1, 200), one)
    card.write_card(replace(CARD, channels=("I",), channel_aliases={"ECG": "I"}), one)
    by_name = biosignals.predict(x, one, ["I"], 100).probabilities
    np.testing.assert_array_equal(biosignals.predict(x, one, ["ECG"], 100).probabilities, by_name)
    # Among others, ECG may be any lead.
    with pytest.raises(predict.MissingChannels, match="needs I"):
        biosignals.predict(ecg(), one, ["ECG", "EEG"], 100)


def test_long_recordings_are_answered_by_the_hour(net, model, tmp_path):
    # Each window is prepared by itself, as a monitor would, and scores are means of windows that do not lie ahead.
    x, rate = ecg(seconds=60, rate=250, seed=3), 250
    by_time = tmp_path / "by_time.onnx"
    by_time.write_bytes(model.read_bytes())
    card.write_card(replace(CARD, aggregation="maximum", step=2.0, smoothing=3), by_time)
    found = biosignals.predict(x, by_time, ("I", "II"), rate)
    windows = np.stack(
        [resample(x[:, start : start + 500], rate, 100) for start in range(0, x.shape[1], 500)]
    )
    with torch.no_grad():
        scores = net(torch.from_numpy(windows).float()).sigmoid().numpy()
    smooth = np.stack([events.smooth(score, 3) for score in scores.T], axis=1)
    np.testing.assert_allclose(found.windows, smooth, atol=1e-4)
    np.testing.assert_allclose(found.probabilities, smooth.max(0), atol=1e-4)
    middle = tuple(np.median(found.windows, axis=0))
    card.write_card(replace(CARD, aggregation="maximum", step=2.0, smoothing=3, thresholds=middle), by_time)
    found = biosignals.predict(x, by_time, ("I", "II"), rate)
    covered = np.zeros(found.windows.shape, bool)
    for name, start, end, highest in found.stretches():
        column = CARD.classes.index(name)
        inside = (found.starts >= start) & (found.starts < end)
        covered[inside, column] = True
        assert highest == found.windows[inside, column].max()
    np.testing.assert_array_equal(covered, found.windows >= middle)
    assert "from 0:00:" in str(found)


def test_a_centred_net_takes_windows_as_recorded(net):
    x = np.random.default_rng(0).normal(40, 5, (3, 2, 200)).astype(np.float32)
    with torch.no_grad():
        as_recorded, as_learnt = (
            Centred(net)(torch.from_numpy(x)),
            net(torch.from_numpy(prepare(x, 100, 100))),
        )
    np.testing.assert_allclose(as_recorded, as_learnt, atol=1e-4)


def test_windows_in_which_nothing_moves_say_nothing(model, tmp_path):
    x = ecg(seconds=10)
    x[:, 400:800] = 0.2
    by_time = tmp_path / "by_time.onnx"
    by_time.write_bytes(model.read_bytes())
    card.write_card(replace(CARD, aggregation="maximum", step=2.0), by_time)
    found = biosignals.predict(x, by_time, ("I", "II"), 100)
    assert ((found.windows == 0).all(1) == [False, False, True, True, False]).all()


@pytest.mark.parametrize("rate", [100, 250])
def test_the_mean_leaves_out_windows_in_which_nothing_moves(net, model, rate):
    x = ecg(seconds=8, rate=rate)
    x[:, 4 * rate :] = 0.2
    found = biosignals.predict(x, model, ("I", "II"), rate)
    np.testing.assert_allclose(found.probabilities, expected(net, ecg(seconds=8)[:, :400]), atol=0.01)
    np.testing.assert_array_equal(np.isnan(found.windows).all(axis=1), [False] * 3 + [True] * 4)
    assert "4 of 7 windows are left out" in str(found)


def test_a_mean_over_no_window_is_refused(model):
    # One second in each window of two, in both channels: neither stands still alone, and no window is whole.
    x = ecg(seconds=8)
    x[:, np.arange(800) % 200 >= 99] = 0.2
    with pytest.raises(readers.InvalidRecording, match="in each of its windows"):
        biosignals.predict(x, model, ("I", "II"), 100)


def test_short_plateaus_of_honest_recordings_are_none(model):
    # Beats once a second, in steps of 5 uV, and nothing for more than half of the time between them.
    times = np.arange(0, 8, 1 / 500)
    beats = np.exp(-(((times % 1 - 0.3) / 0.08) ** 2)) * [[1.0], [0.4]]
    x = np.round(beats / 0.005) * 0.005
    assert (np.diff(x) == 0).mean() > 0.5
    assert np.isfinite(biosignals.predict(x, model, ("I", "II"), 500).windows).all()


def test_many_recordings_get_the_answers_of_each(net, model):
    x = np.stack([ecg(seed=seed) for seed in range(3)]).astype(np.float32)
    table = pd.DataFrame({"subject": range(3), "samples": x.shape[-1]})
    recordings = Recordings("made", x, 1.0, "mV", 100.0, ("I", "II"), table)
    window = onnx_files.open_session(model).get_inputs()[0].shape[2]
    found = training_predict.predict_onnx(model, recordings, np.arange(3), training_predict.Inference(window))
    np.testing.assert_allclose(
        found, [biosignals.predict(one, model, ("I", "II"), 100).probabilities for one in x], atol=1e-6
    )


def ask(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "biosignals", "predict", *arguments],
        check=False,
        capture_output=True,
        text=True,
    )


def test_the_command_prints_probabilities_and_that_it_is_no_diagnosis(model, tmp_path):
    good = write_csv(tmp_path, ecg(), 100.0, ("I", "II"))
    bad = tmp_path / "bad.edf"
    bad.write_bytes(b"")
    done = ask(good, bad, "--model", model)
    assert done.returncode == 1
    assert "not a diagnosis" in done.stdout and "probability" in done.stdout
    assert "bad.edf" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.slow
def test_without_a_model_the_command_asks_all_that_fit(model, tmp_path):
    for name, channels in {"two": ("I", "II"), "other": ("V1", "V2"), "fast": ("II", "I")}.items():
        (tmp_path / f"{name}.onnx").write_bytes(model.read_bytes())
        rate = 200.0 if name == "fast" else 100.0
        card.write_card(
            replace(CARD, model=name, channels=channels, sampling_rate=rate, step=0.5),
            tmp_path / f"{name}.onnx",
        )
    fits = ask(write_csv(tmp_path, ecg(), 100.0, ("I", "II")), "--models", tmp_path)
    assert fits.returncode == 0 and "superclass, two" in fits.stdout
    assert "other" not in fits.stdout + fits.stderr
    assert "fast does not answer: 100 Hz; fast needs 200 Hz" in fits.stderr
    none = ask(write_csv(tmp_path, ecg(), 100.0, ("X", "Y")), "--models", tmp_path)
    assert none.returncode == 1 and not none.stdout
    assert all(f"{name} needs" in none.stderr for name in ("two", "other", "fast"))
    (tmp_path / "empty").mkdir()
    assert "name one with --model" in ask(tmp_path / "record.csv", "--models", tmp_path / "empty").stderr


def test_neither_the_library_nor_an_answer_waits_for_what_it_does_not_need(model, tmp_path):
    record = write_wfdb(tmp_path, ecg(rate=300), 300, ("I", "II"))
    code = f"import sys, biosignals; assert 'onnxruntime' not in sys.modules; biosignals.predict({str(record)!r}, {str(model)!r})"
    heavy = "print([name for name in ('torch', 'scipy', 'pandas', 'sklearn', 'wfdb') if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; {heavy}"], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]"
