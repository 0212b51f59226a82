"""Where a model looks, and the picture of it."""

import matplotlib

matplotlib.use("agg")
import matplotlib.image
import numpy as np
import pytest

import made_model
from biosignals.data import readers
from biosignals.data.channel_names import DERIVED
from biosignals.deployment import explain, picture, predict
from made_recordings import ecg


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return made_model.write_amplitude(tmp_path_factory.mktemp("models") / "amplitude.onnx")


def answer(model, x, channels=("I",), unit="mV", rate=100):
    signal = readers.from_array(x, channels, rate, unit)
    found = predict.predict(signal, model)
    return found, explain.explain(signal, model, found)


def with_peak(seconds, place):
    x = 0.3 * ecg(seconds, channels=1)
    x[0, place : place + 4] += 2
    return x


@pytest.mark.parametrize("place", [420, 99_000])
def test_a_model_of_peaks_looks_at_the_peak_wherever_it_is(model, place):
    _, looked = answer(model, with_peak(1000, place))
    assert looked.signals.shape == looked.weights.shape == (1, 1000) and looked.target == 0
    first = place - round(100 * looked.start)
    assert 0 <= first < 1000
    heavy = np.flatnonzero(looked.weights[0] > 0.5 * looked.weights.max())
    assert first - 20 <= heavy.min() <= first and first + 3 <= heavy.max() <= first + 24


def test_a_recording_shorter_than_ten_seconds_is_explained_whole(model):
    _, looked = answer(model, with_peak(6, 300))
    assert looked.start == 0 and looked.signals.shape == (1, 600)
    assert abs(int(looked.weights.argmax()) - 302) <= 20


def test_a_class_may_be_chosen_and_other_rates_are_explained_at_the_model_s(tmp_path):
    three = made_model.write(tmp_path / "three.onnx")
    signal = readers.from_array(ecg(12, 250), ("II", "I"), 250)
    found = predict.predict(signal, three)
    for target in (0, 2):
        looked = explain.explain(signal, three, found, target)
        assert looked.target == target and looked.signals.shape == (2, 1000)
        assert np.isfinite(looked.weights).all() and looked.weights.any()


def draw(path, *answers):
    predictions, looked = zip(*answers, strict=True)
    figure = picture.draw(predictions, looked, "made $1$ \x1b.hea")
    picture.save(figure, path)
    return figure, picture.size(predictions, looked)


def test_a_picture_opens_as_png_of_the_stated_size(model, tmp_path):
    one = answer(model, with_peak(10, 300))
    for answers in ([one], [one, one], [answer(model, with_peak(6, 300))]):
        figure, (width, height) = draw(tmp_path / "out.png", *answers)
        assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")
        assert matplotlib.image.imread(tmp_path / "out.png").shape[:2] == (height, width)
        assert width == 1500 and len(figure.axes) == 2 * len(answers)
    assert [path.name for path in tmp_path.iterdir()] == ["out.png"]


def test_a_picture_says_what_it_shows(model, tmp_path):
    figure, _ = draw(tmp_path / "out.png", answer(model, with_peak(10, 300)))
    sheet, windows = figure.axes
    assert "af, made" in sheet.get_title(loc="left") + sheet.get_title()
    assert "logit of AFIB" in sheet.get_title(loc="left") + sheet.get_title()
    assert windows.get_ylabel() == "probability" and windows.get_xlabel() == "s"
    assert windows.get_legend().get_texts()[0].get_text().startswith("AFIB")


def test_hours_are_drawn_in_hours_with_their_episodes_shaded(model, tmp_path):
    x = 0.3 * ecg(3 * 3600, channels=1)
    x[:, 360_000:400_000] *= 10
    found, looked = answer(model, x)
    figure, _ = draw(tmp_path / "out.png", (found, looked))
    windows = figure.axes[1]
    assert windows.get_xlabel() == "h" and windows.get_xlim() == (0, 3)
    assert 3590 <= looked.start <= 4000 and len(found.episodes()) == 1
    shaded = [patch.get_bbox().x0 for patch in windows.patches if hasattr(patch, "get_width")]
    assert any(abs(x - 1) < 1e-3 for x in shaded)


@pytest.mark.parametrize("channels, unit", [(12, "mV"), (3, "mV"), (4, "uV")])
def test_twelve_leads_some_leads_and_an_eeg_are_drawn(tmp_path, channels, unit):
    leads = ("I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6")[:channels]
    names = leads if unit == "mV" else ("C3", "C4", "O1", "O2")
    many = made_model.write(tmp_path / "many.onnx", channels=names, unit=unit)
    x = (1 if unit == "mV" else 50) * np.linspace(0.5, 1.5, channels)[:, None] * ecg(10, channels=channels)
    if unit == "mV":
        x[2:6] = (np.array(list(DERIVED.values())) @ x[:2])[: channels - 2]
    _, (width, height) = draw(tmp_path / "out.png", answer(many, x, names, unit))
    assert matplotlib.image.imread(tmp_path / "out.png").shape[:2] == (height, width)
