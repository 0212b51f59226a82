"""Hours of recording are answered with episodes and burden, seconds of it as far as a window can be filled."""

from dataclasses import replace

import numpy as np
import pytest

import biosignals
import made_model
from biosignals.data import readers
from biosignals.deployment import card, predict
from made_recordings import ecg


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return made_model.write_amplitude(tmp_path_factory.mktemp("models") / "amplitude.onnx")


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """A model whose window lasts 10 s."""
    path = tmp_path_factory.mktemp("models") / "long.onnx"
    return made_model.write_amplitude(path, samples=1000, step=5.0)


def recording(seconds, *episodes, rate=100):
    """Noise of about 0.3 mV, and of ten times as much within episodes (start, end) in seconds."""
    x = 0.3 * ecg(seconds, rate, 1)
    for start, end in episodes:
        x[:, round(start * rate) : round(end * rate)] *= 10
    return x


def spans(found):
    return [(one.start, one.end) for one in found.episodes()]


def test_known_episodes_are_found_with_their_burden(model):
    found = biosignals.predict(recording(600, (60, 120), (300, 420)), model, ["I"], 100)
    assert spans(found) == [(60, 120), (300, 420)]
    np.testing.assert_allclose(found.burden(), [180 / 600])
    assert all(one.name == "AFIB" and one.highest > 0.99 for one in found.episodes())
    assert "2 episodes of 30 s or longer, 30.0 % of 0:10:00" in str(found)
    assert "AFIB from 0:05:00 to 0:07:00" in str(found)


def test_what_is_short_is_no_episode_and_a_short_break_ends_none(model):
    x = recording(600, (60, 80), (200, 260), (280, 340), (400, 440), (480, 520))
    found = biosignals.predict(x, model, ["I"], 100)
    assert spans(found) == [(200, 340), (400, 440), (480, 520)]
    np.testing.assert_allclose(found.burden(), [220 / 600])


def test_time_that_no_window_counts_is_no_part_of_the_burden(model):
    x = recording(300, (60, 120))
    x[:, 20_000:] = 0.1  # the recorder pauses for the last 100 s
    found = biosignals.predict(x, model, ["I"], 100)
    assert spans(found) == [(60, 120)]
    np.testing.assert_allclose(found.burden(), [60 / 200], atol=0.01)


def test_an_episode_may_last_from_the_first_sample_to_the_last(model):
    found = biosignals.predict(recording(40, (0, 40)), model, ["I"], 100)
    assert spans(found) == [(0, 40)] and found.burden() == [1]


def test_short_recordings_and_other_tasks_have_no_episodes(model, tmp_path):
    short = biosignals.predict(recording(20, (0, 20)), model, ["I"], 100)
    other = made_model.write_amplitude(tmp_path / "other.onnx", task="superclass")
    long = biosignals.predict(recording(60, (0, 60)), other, ["I"], 100)
    for found in (short, long):
        assert found.episodes() == [] and np.isnan(found.burden()).all() and "episode" not in str(found)


def test_a_text_has_no_more_than_twenty_episodes(model):
    found = biosignals.predict(recording(2000, *((t, t + 40) for t in range(0, 2000, 80))), model, ["I"], 100)
    assert len(found.episodes()) == 25 and str(found).count("AFIB from") == 20 and "and 5 more" in str(found)


@pytest.mark.parametrize("seconds", [5, 7.3])
def test_an_ecg_of_five_seconds_fills_a_longer_window(long, seconds):
    x = recording(seconds, (1, 2))
    found = biosignals.predict(x, long, ["I"], 100)
    filled = np.concatenate([x, x], axis=1)[:, :1000]
    whole = biosignals.predict(filled, long, ["I"], 100)
    np.testing.assert_allclose(found.probabilities, whole.probabilities, atol=1e-6)
    assert found.window == seconds == found.seconds
    assert f"{seconds} s are repeated to fill a window of 10 s" in str(found)


def test_less_than_five_seconds_are_refused(long):
    with pytest.raises(readers.InvalidRecording, match="4.9 s; made needs 5 s or longer"):
        biosignals.predict(recording(4.9), long, ["I"], 100)


def test_no_detector_of_what_comes_and_goes_is_given_a_repeated_signal(long, tmp_path):
    by_time = tmp_path / "by_time.onnx"
    by_time.write_bytes(long.read_bytes())
    card.write_card(replace(card.read_card(long), aggregation="maximum"), by_time)
    with pytest.raises(readers.InvalidRecording, match="needs 10 s"):
        biosignals.predict(recording(7), by_time, ["I"], 100)


def test_the_clock_counts_hours():
    assert [predict.clock(s) for s in (0, 59.9, 3661, 86400)] == ["0:00:00", "0:00:59", "1:01:01", "24:00:00"]
