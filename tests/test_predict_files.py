"""Exported models predict for the recordings that they were made for and refuse the rest."""

import dataclasses

import edfio
import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import biosignals
import made_model
from biosignals import onnx_files
from biosignals.compression import export
from biosignals.data import readers
from biosignals.data.recordings import Recordings
from biosignals.deployment import card, predict
from biosignals.signals.filters import resample
from biosignals.signals.windows import smooth
from biosignals.training import predict as training_predict
from made_recordings import WRITERS, ecg, write_csv


@pytest.fixture(scope="module")
def net():
    return made_model.build()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return made_model.write(tmp_path_factory.mktemp("models") / "made.onnx")


def expected(net, x):
    last = x.shape[1] - 200
    starts = [*range(0, last, 100), last]
    with torch.no_grad():
        windows = torch.from_numpy(np.stack([x[:, start : start + 200] for start in starts])).float()
        return net(windows).sigmoid().mean(0).numpy()


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("rate", [100, 250])
def test_every_kind_of_file_gets_the_answer_of_the_net(net, model, tmp_path, write, rate):
    # Other channels, another order, another rate, other units: the model finds its own.
    x = ecg(rate=rate, channels=3)
    found = predict.predict(write(tmp_path, x, rate, ("II", "V1", "I")), model)
    np.testing.assert_allclose(found.probabilities, expected(net, ecg(channels=3)[[2, 0]]), atol=0.01)
    assert list(found.above) == list(found.probabilities >= np.array(made_model.CARD.thresholds))


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
        (
            readers.from_array(np.where(np.arange(400) == 7, np.nan, ecg()), ("I", "II"), 100),
            "I holds NaN or infinity",
        ),
        (
            readers.from_array(1e-3 * ecg(), ("I", "II"), 100),
            "I moves by .* uV; are its unit and format right",
        ),
        (
            readers.from_array(
                np.where(np.arange(400) < 120, [[1], [0]] * ecg(), ecg()),
                ("I", "II"),
                100,
            ),
            "II stands still for 30%",
        ),
        (
            readers.from_array(np.repeat(ecg(rate=1), 100, axis=1), ("I", "II"), 100),
            "none of its channels moves",
        ),
        (readers.from_array(ecg(channels=3), ("I", "II", "ii"), 100), "ii stands twice"),
        (
            readers.from_array(ecg(), ("I", "II"), 100, unit="mmHg"),
            "I is in mmHg; it must be in V, mV or uV",
        ),
    ],
)
def test_what_the_model_was_not_made_for_is_refused(model, signal, message):
    with pytest.raises(readers.InvalidRecording, match=message):
        predict.predict(signal, model)


@pytest.mark.parametrize(
    "values, channels, rate, unit",
    [
        ("text", ("I", "II"), 100, "mV"),
        (ecg() + 1j, ("I", "II"), 100, "mV"),
        (np.full((2, 400), "1"), ("I", "II"), 100, "mV"),
        ([[1, 2], [3]], ("I", "II"), 100, "mV"),
        (None, ("I", "II"), 100, "mV"),
        (ecg(), (1, 2), 100, "mV"),
        (ecg(), "II", 100, "mV"),
        (ecg(), 2, 100, "mV"),
        (ecg(), None, 100, "mV"),
        (ecg(), ("I", None), 100, "mV"),
        (ecg(), ("I", "II"), "fast", "mV"),
        (ecg(), ("I", "II"), None, "mV"),
        (ecg(), ("I", "II"), np.nan, "mV"),
        (ecg(), ("I", "II"), -1, "mV"),
        (ecg(), ("I", "II"), 1j, "mV"),
        (ecg(), ("I", "II"), 10**400, "mV"),
        (ecg(), ("I", "II"), 100, 3),
    ],
)
def test_what_is_no_recording_is_refused(model, values, channels, rate, unit):
    with pytest.raises(readers.InvalidRecording):
        readers.from_array(values, channels, rate, unit)
    with pytest.raises(readers.InvalidRecording):
        predict.predict(values, model, channels, rate, unit)


@pytest.mark.parametrize(
    "source",
    [
        [[1.0, 2.0]],
        3,
        None,
        b"record.csv",
        "a\0b.csv",
        "x" * 300 + ".csv",
        {},
        readers.Signal([[1.0]], ("I",), ("mV",), 100.0),
        readers.Signal(ecg(), None, None, 100.0),
        readers.Signal(ecg(), ("I", "II"), ("mV",), 100.0),
    ],
)
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
    names = {"model": "\x1b[2J", "task": "\u202etask", "classes": ("a\nNORM 1.000", "b\x07", "é")}
    evil = made_model.copy(model, tmp_path / "evil.onnx", **names)
    answered = predict.reply(ecg(), evil, ("I", "II"), 100)
    refused = predict.reply(ecg(), evil, ("\x1b]0;I\x07", "II\r"), 100)
    for text in (answered, refused):
        assert all(line.isprintable() for line in text.split("\n"))
    assert answered.count("\n") == 5 and "é" in answered
    assert "\\x1b[2J needs I" in refused


def test_models_without_their_card_or_with_another_are_refused(model, tmp_path):
    other = tmp_path / "other.onnx"
    other.write_bytes(model.read_bytes())
    with pytest.raises(readers.InvalidRecording, match="there is no card"):
        biosignals.predict(ecg(), other, ("I", "II"), 100)
    made_model.copy(model, other, samples=150)
    with pytest.raises(readers.InvalidRecording, match="its card says"):
        biosignals.predict(ecg(), other, ("I", "II"), 100)
    made_model.copy(model, other, classes=("a", "b"), thresholds=(0.5, 0.5))
    with pytest.raises(readers.InvalidRecording, match="gives 3 probabilities, its card names 2"):
        biosignals.predict(ecg(), other, ("I", "II"), 100)


def changed(model, path, change):
    graph = onnx.load(model)
    change(graph)
    path.write_bytes(graph.SerializeToString())
    card.write_card(made_model.CARD, path)
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


@pytest.mark.parametrize(
    "change, message",
    [
        (of_the_future, "cannot load it"),
        (with_weights_elsewhere, "cannot load it"),
        (with_logits, "gives no probabilities"),
    ],
)
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
    card.write_card(made_model.CARD, damaged)
    try:
        assert np.isfinite(biosignals.predict(ecg(), damaged, ("I", "II"), 100).probabilities).all()
    except readers.InvalidRecording:
        pass


def test_a_hand_held_recorders_only_channel_may_stand_for_a_lead(net, model, tmp_path):
    x = ecg(channels=1)
    one = made_model.write(tmp_path / "one.onnx", channels=("I",), channel_aliases={"ECG": "I"})
    by_name = biosignals.predict(x, one, ["I"], 100).probabilities
    np.testing.assert_array_equal(biosignals.predict(x, one, ["ECG"], 100).probabilities, by_name)
    # Among others, ECG may be any lead.
    with pytest.raises(predict.MissingChannels, match="needs I"):
        biosignals.predict(ecg(), one, ["ECG", "EEG"], 100)


def test_an_unnamed_lead_among_others_is_asked_about(tmp_path):
    # In a recording of sleep the ECG has the highest rate, and is seldom lead I.
    one = made_model.write(tmp_path / "one.onnx", channels=("I",), channel_aliases={"ECG": "I"})
    sleep = readers.Signal(
        ecg(rate=500, channels=1), ("EKG",), ("mV",), 500.0, others=(signal_of("C3", "C4"),)
    )
    with pytest.raises(predict.MissingChannels, match='has EKG, C3, C4: is EKG lead I.*--rename "EKG=I"'):
        biosignals.predict(sleep, one)
    second = readers.from_array(ecg(channels=1), ("Lead 2",), 100)
    with pytest.raises(predict.MissingChannels, match='is Lead 2 lead I.*--rename "Lead 2=I"'):
        biosignals.predict(second, one)
    holter = readers.from_array(ecg(), ("ECG1", "ECG2"), 100)
    with pytest.raises(predict.MissingChannels, match="which of ECG1, ECG2 is lead I.*rename"):
        biosignals.predict(holter, one)
    with pytest.raises(predict.MissingChannels, match="which of CH1, CH2, CH3 is lead I.*rename"):
        biosignals.predict(readers.from_array(ecg(channels=3), ("CH1", "CH2", "CH3"), 100), one)
    for name, is_asked in {"Channel 1": True, "II": False}.items():
        with pytest.raises(predict.MissingChannels) as refusal:
            biosignals.predict(readers.from_array(ecg(channels=1), (name,), 100), one)
        assert (
            f'is {name} lead I? Then rename it, as in --rename "{name}=I"' in str(refusal.value)
        ) == is_asked
    path = write_csv(tmp_path, ecg(), 100.0, ("ECG1", "ECG2"))
    found = biosignals.predict(path, one, rename={"ECG2": "I"}).probabilities
    expected_of = biosignals.predict(np.round(ecg()[1:], 6), one, ["I"], 100).probabilities
    np.testing.assert_allclose(found, expected_of, atol=1e-4)


def signal_of(*channels, rate=100):
    return readers.from_array(ecg(rate=rate, channels=len(channels)), channels, rate)


def test_a_models_leads_are_found_at_whichever_rate_they_have(net, model):
    alone = biosignals.predict(signal_of("Lead I", "ECG II", rate=250), model).probabilities
    fast = readers.Signal(ecg(rate=500, channels=1), ("Snore",), ("mV",), 500.0)
    beside = dataclasses.replace(fast, others=(signal_of("Lead I", "ECG II", rate=250),))
    np.testing.assert_array_equal(biosignals.predict(beside, model).probabilities, alone)
    apart = dataclasses.replace(signal_of("I"), others=(signal_of("II", rate=250),))
    with pytest.raises(predict.MissingChannels, match="needs I"):
        biosignals.predict(apart, model)


def test_limb_leads_that_are_missing_are_made_of_i_and_ii(tmp_path):
    leads = ("III", "I", "AVR", "AVL", "AVF", "V1")
    six = made_model.write(tmp_path / "six.onnx", channels=leads)
    one, two, chest = ecg(channels=3)
    x = np.stack([two - one, one, -(one + two) / 2, one - two / 2, two - one / 2, chest])
    every = biosignals.predict(x, six, leads, 100).probabilities
    some = biosignals.predict(np.stack([chest, two, one]), six, ("V1", "II", "I"), 100).probabilities
    np.testing.assert_allclose(some, every, atol=1e-6)
    with pytest.raises(predict.MissingChannels, match="needs III, AVR, AVL, AVF; the recording has I, V1"):
        biosignals.predict(ecg(), six, ("I", "V1"), 100)


def test_leads_in_another_order_or_scaled_each_by_itself_are_refused(tmp_path):
    leads = ("I", "II", "III")
    three = made_model.write(tmp_path / "three.onnx", channels=leads)
    one, two = ecg()
    x = np.stack([one, two, two - one])
    assert np.isfinite(biosignals.predict(x, three, leads, 100).probabilities).all()
    with pytest.raises(readers.InvalidRecording, match="limb leads contradict each other"):
        biosignals.predict(x, three, ("II", "I", "III"), 100)
    with pytest.raises(readers.InvalidRecording, match="all of the same height"):
        biosignals.predict(x / np.ptp(x, axis=1, keepdims=True), three, leads, 100)


@pytest.mark.parametrize(
    "x, unit, message",
    [
        (
            np.random.default_rng(0).integers(-32768, 32767, (2, 400)) / 1000,
            "mV",
            "I moves by 6. mV; are its unit and format right",
        ),
        (1e-3 * (6 * ecg() + 0.1), "mV", "I moves by .* uV; are its unit and format right"),  # volts
        (ecg() * [[1], [1e-3]], "mV", "II moves by 1.* uV; are its unit and format right"),
        (1e-3 * ecg(), "V", None),
        (1e3 * ecg(), "mV", "values up to .* mV; is its unit right"),
    ],
)
def test_a_wrong_unit_shows_in_how_far_a_recording_moves(model, x, unit, message):
    if message is None:
        assert np.isfinite(biosignals.predict(x, model, ("I", "II"), 100, unit).probabilities).all()
    else:
        with pytest.raises(readers.InvalidRecording, match=message):
            biosignals.predict(x, model, ("I", "II"), 100, unit)


def test_eeg_has_limits_of_its_own(model, tmp_path):
    # 30 uV said to be 30 mV are below what skin ever shows, and no EEG.
    eeg = made_model.copy(model, tmp_path / "eeg.onnx", unit="uV")
    assert np.isfinite(biosignals.predict(0.03 * ecg(), eeg, ("I", "II"), 100).probabilities).all()
    with pytest.raises(readers.InvalidRecording, match="its liveliest channel moves by .* mV; are its unit"):
        biosignals.predict(30 * ecg(), eeg, ("I", "II"), 100)


class Highest(torch.nn.Module):
    """A net whose answer is how high a window reaches, above its mean or above zero."""

    def __init__(self, centred):
        super().__init__()
        self.centred = centred

    def forward(self, x):
        x = x - x.mean(-1, keepdim=True) if self.centred else x
        return 4 * (x.amax(-1).sum(1, keepdim=True).expand(-1, 3) - 1.6)


def write_highest(path, centred):
    export.export(Highest(centred), torch.randn(2, 2, 200), path)
    card.write_card(made_model.CARD, path)
    return path


@pytest.mark.parametrize("seconds", [4, 60])
def test_an_ecg_whose_baseline_decides_the_answer_is_refused(tmp_path, seconds):
    x, times = ecg(seconds), np.arange(100 * seconds) / 100
    x -= np.median(x, axis=1, keepdims=True)
    sensitive = write_highest(tmp_path / "sensitive.onnx", centred=False)
    centred = write_highest(tmp_path / "centred.onnx", centred=True)
    biosignals.predict(x, sensitive, ("I", "II"), 100)
    wander = 0.5 * np.sin(2 * np.pi * 0.2 * times)
    for unlike, message in (
        (x + [[0], [-0.5]], "its baseline lies 0.[45]. mV off zero in II .*high-pass it at 0.5 Hz first"),
        (x + wander, "its baseline wanders by 0.[34]. mV .*high-pass it at 0.5 Hz first"),
        (x + 0.5 * times, "its baseline wanders by"),
    ):
        with pytest.raises(readers.InvalidRecording, match=message):
            biosignals.predict(unlike, sensitive, ("I", "II"), 100)
    # A net that takes the mean of a window away answers all the same.
    off = biosignals.predict(x - 0.5, centred, ("I", "II"), 100)
    np.testing.assert_allclose(
        off.probabilities, biosignals.predict(x, centred, ("I", "II"), 100).probabilities, atol=1e-5
    )


def test_the_same_samples_get_the_same_answer_from_every_format(model, tmp_path):
    counts = np.rint(1000 * ecg(seconds=30)).astype(np.int16)
    span = {"physical_dimension": "uV", "physical_range": (-32768, 32767)}
    signals = [edfio.EdfSignal.from_digital(row, 100, label=name, **span)
               for row, name in zip(counts, ("I", "II"), strict=True)]  # fmt: skip
    edfio.Edf(signals, data_record_duration=1).write(tmp_path / "r.edf")
    counts.T.astype("<i2").tofile(tmp_path / "r.dat")
    lines = "".join(f"r.dat 16 1000/mV 16 0 0 0 0 {name}\n" for name in ("I", "II"))
    (tmp_path / "r.hea").write_text(f"r 2 100 3000\n{lines}")
    by_edf = biosignals.predict(tmp_path / "r.edf", model).windows
    np.testing.assert_allclose(biosignals.predict(tmp_path / "r.hea", model).windows, by_edf, atol=1e-6)


def test_long_recordings_are_scored_window_by_window(net, model, tmp_path):
    # Each window is prepared by itself, as a monitor would; a score is the mean over it and those before.
    x, rate = ecg(seconds=60, rate=250, seed=3), 250
    of_windows = {"aggregation": "maximum", "step": 2.0, "smoothing": 3}
    by_time = made_model.copy(model, tmp_path / "by_time.onnx", **of_windows)
    found = biosignals.predict(x, by_time, ("I", "II"), rate)
    windows = np.stack(
        [resample(x[:, start : start + 500], rate, 100) for start in range(0, x.shape[1], 500)]
    )
    with torch.no_grad():
        scores = net(torch.from_numpy(windows).float()).sigmoid().numpy()
    smoothed = np.stack([smooth(score, 3) for score in scores.T], axis=1)
    np.testing.assert_allclose(found.windows, smoothed, atol=1e-4)
    np.testing.assert_allclose(found.probabilities, smoothed.max(0), atol=1e-4)
    middle = tuple(np.median(found.windows, axis=0))
    made_model.copy(model, by_time, **of_windows, thresholds=middle)
    found = biosignals.predict(x, by_time, ("I", "II"), rate)
    covered = np.zeros(found.windows.shape, bool)
    for name, start, end, highest in found.episodes():
        column = made_model.CARD.classes.index(name)
        inside = (found.starts >= start) & (found.starts < end)
        covered[inside, column] = True
        assert highest == found.windows[inside, column].max()
    np.testing.assert_array_equal(covered, found.windows >= middle)
    assert "from 0:00:" in str(found)


def test_windows_in_which_nothing_moves_score_0(model, tmp_path):
    x = ecg(seconds=10)
    x[:, 400:800] = 0.2
    by_time = made_model.copy(model, tmp_path / "by_time.onnx", aggregation="maximum", step=2.0)
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


@pytest.mark.parametrize("change", [None, np.negative])
def test_recordings_of_any_length_get_the_answers_of_each(tmp_path, change):
    model = made_model.write_amplitude(tmp_path / "af.onnx", samples=800, step=4.0)
    lengths = (600, 800, 1500, 2900)
    x = np.zeros((4, 1, 2900), np.float32)
    for row, length in zip(x, lengths, strict=True):
        row[:, :length] = np.linspace(0.2, 1, length) * ecg(length / 100, channels=1, seed=length)
    table = pd.DataFrame({"subject": range(4), "samples": lengths})
    recordings = Recordings("made", x, 1.0, "mV", 100.0, ("I",), table)
    how = training_predict.Inference(800, step=400, own_length=True)
    found = training_predict.predict_onnx(model, recordings, np.array([3, 0, 1, 2]), how, change)
    each = [
        biosignals.predict((x if change is None else change(x))[row, :, : lengths[row]], model, ("I",), 100)
        for row in (3, 0, 1, 2)
    ]
    assert [len(one.windows) for one in each] == [7, 1, 1, 3]
    np.testing.assert_allclose(found, [one.probabilities for one in each], atol=1e-6)
    assert np.ptp(found) > 0.1
