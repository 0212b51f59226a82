import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from biosignals.data.eeg import EegRecording
from biosignals.deployment.detection import StreamingDetector, detect, group_by_recording
from biosignals.evaluation import events
from biosignals.evaluation.events import AlarmRule
from biosignals.signals.windows import prepare

RATE, NET_RATE, SECONDS, STEP, CHANNELS = 32, 16, 2.0, 1.0, 3
RULE = AlarmRule(0.5)


class TinyNet(nn.Module):
    def __init__(self, outputs: int = 1):
        super().__init__()
        self.features = nn.Sequential(nn.Conv1d(CHANNELS, 8, 5), nn.BatchNorm1d(8), nn.ReLU())
        self.head = nn.Linear(8, outputs)

    def forward(self, x):
        return self.head(self.features(x / 20).mean(-1).flatten(1))


class TinyLstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(CHANNELS, 8, batch_first=True), nn.Linear(8, 1)

    def forward(self, x):
        return self.head(self.lstm(x.mT / 20)[0][:, -1])


class NoFastForm(TinyNet):
    def forward(self, x):  # the 1 x k form has one axis more here
        return self.head(self.features(x / 20).mean(-1))


class WindowCnn(nn.Module):
    """Takes windows of one length only."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(CHANNELS * int(SECONDS * NET_RATE), 1)

    def forward(self, x):
        return self.head(x.flatten(1))


def tiny_net(outputs=1):
    torch.manual_seed(1)
    net = TinyNet(outputs)
    with torch.no_grad():  # spread the scores over 0 to 1
        net.head.weight *= 5
    return net.eval()


def signal(seconds=40, seed=0):
    x = np.random.default_rng(seed).normal(0, 20, (CHANNELS, int(seconds * RATE)))
    x *= 1 + np.sin(np.arange(x.shape[1]) / RATE / 3) ** 2
    return (x + [[1000], [-50], [0]]).astype(np.float32)


def windows(x, batch):
    """As a file is read: float32 windows, each by itself resampled and without its mean."""
    length, hop = int(SECONDS * RATE), int(STEP * RATE)
    firsts = np.arange(0, x.shape[1] - length + 1, hop)
    for i in range(0, len(firsts), batch):
        some = firsts[i : i + batch]
        yield some / RATE, prepare(np.stack([x[:, f : f + length] for f in some]), RATE, NET_RATE)


def detector(net, rule=RULE, **changed):
    about = {
        "channels": CHANNELS,
        "sampling_rate": RATE,
        "net_rate": NET_RATE,
        "seconds": SECONDS,
        "step": STEP,
    }
    return StreamingDetector(net, **about | {"rule": rule} | changed)


def streamed(x, lengths, rule=RULE, net=None, **changed):
    stream, raised, first = detector(net or tiny_net(), rule, **changed), [], 0
    for length in [*lengths, x.shape[1]]:
        raised += stream.feed(x[:, first : first + length])
        first += length
    return stream, raised


# From a file


def test_scores_are_the_nets_probabilities():
    net, x = tiny_net(), signal()
    starts, scores, usable = detect(net, windows(x, 7))
    ((expected_starts, prepared),) = windows(x, 1000)
    with torch.no_grad():
        expected = net(torch.from_numpy(prepared)).sigmoid()[:, 0]
    np.testing.assert_allclose(scores, expected, atol=1e-6)
    np.testing.assert_array_equal(starts, expected_starts)
    assert usable.all() and scores.dtype == np.float32
    assert np.ptp(scores) > 0.05  # the comparison says something


@pytest.mark.parametrize("kind", [TinyLstm, NoFastForm])
def test_any_net_will_do(kind):
    net = kind().eval()
    _, scores, _ = detect(net, windows(signal(), 7))
    with torch.no_grad():
        expected = net(torch.from_numpy(next(windows(signal(), 1000))[1])).sigmoid()[:, 0]
    np.testing.assert_allclose(scores, expected, atol=1e-6)
    np.testing.assert_allclose(streamed(signal(), [50] * 9, net=net)[0].scores, expected, atol=1e-6)


@pytest.mark.parametrize("batch", [1, 2, 16, 1000])
def test_scores_and_alarms_do_not_depend_on_the_batch(batch):
    starts, scores, _ = detect(tiny_net(), windows(signal(), 5))
    _, others, _ = detect(tiny_net(), windows(signal(), batch))
    np.testing.assert_allclose(others, scores, atol=1e-6)
    rule = AlarmRule(float(np.median(scores)) + 1e-4, smoothing=2, consecutive=2)
    assert events.alarms(starts, others, SECONDS, rule) == events.alarms(starts, scores, SECONDS, rule) != []


def test_windows_without_a_usable_signal_score_0():
    x = signal()
    x[1, 5 * RATE] = np.nan
    x[2, 10 * RATE + 1] = np.nan
    x[:, 20 * RATE : 25 * RATE] = x[:, [20 * RATE]]  # a cable is off: constant, at a large offset
    x[0, 30 * RATE : 35 * RATE] = 7  # one electrode off
    starts, scores, usable = detect(tiny_net(), windows(x, 6))
    assert set(starts[~usable]) == {4, 5, 9, 10, 20, 21, 22, 23}
    assert (scores[~usable] == 0).all() and (scores[usable] > 0).all()
    _, clean, _ = detect(tiny_net(), windows(signal(), 6))
    same = usable & ((starts < 28) | (starts > 35)) & (starts != 19) & (starts != 24)
    np.testing.assert_allclose(scores[same], clean[same], atol=1e-6)


def test_a_recording_may_have_no_window():
    starts, scores, usable = detect(tiny_net(), [])
    assert starts.shape == scores.shape == usable.shape == (0,)


def test_nets_with_other_answers_are_refused():
    with pytest.raises(ValueError, match=r"not \(windows, 1\) logits"):
        detect(tiny_net(2), windows(signal(), 5))
    broken = tiny_net()
    broken.head.bias.data[:] = np.nan
    with pytest.raises(ValueError, match="gives NaN"):
        detect(broken, windows(signal(), 5))


@pytest.mark.parametrize(
    "factor, reason",
    [(1e-6, "moves by .* uV; are its unit"), (1e-3, "moves by .* uV"), (1e3, "moves by .* mV")],
)
def test_signals_in_another_unit_are_refused(factor, reason):
    # In volts every window would be flat, and score 0 for ever.
    net, x = tiny_net(), factor * signal(90)
    with pytest.raises(ValueError, match=reason):
        detect(net, windows(x, 16))
    stream = detector(net)
    stream.feed(x[:, : 30 * RATE])
    with pytest.raises(ValueError, match=reason):
        stream.feed(x[:, 30 * RATE :])
    short = detector(net)
    short.feed(x[:, : 30 * RATE])
    with pytest.raises(ValueError, match=reason):
        short.finish()


def test_a_cable_that_is_off_for_hours_is_no_wrong_unit():
    x = signal(200)
    x[:, 20 * RATE :] = x[:, [20 * RATE]]
    detect(tiny_net(), windows(x, 16))
    streamed(x, [500])[0].finish()


# While the signal comes in


@settings(max_examples=15)
@given(
    st.lists(st.integers(0, 200), max_size=30), st.integers(0, 4), st.integers(1, 4), st.integers(1, 3),
    st.integers(1, 40),
)  # fmt: skip
def test_a_stream_gives_the_same_however_it_is_cut(lengths, seed, smoothing, consecutive, seconds):
    x = signal(seconds, seed)
    starts, scores, _ = detect(tiny_net(), windows(x, 16))
    threshold = float(np.median(scores)) + 1e-4 if len(scores) else 0.5
    rule = AlarmRule(threshold, smoothing, consecutive)
    stream, raised = streamed(x, lengths, rule)
    whole, at_once = streamed(x, [], rule)
    assert (stream.scores, raised) == (whole.scores, at_once)  # to the last bit
    np.testing.assert_allclose(stream.scores, scores, atol=1e-6)
    expected = events.alarms(starts, scores, SECONDS, rule)
    assert stream.finish() == whole.finish() == expected
    assert [(a.start, a.raised, a.end) for a in raised] == [(a.start, a.raised, a.raised) for a in expected]


def test_an_alarm_comes_with_the_sample_that_completes_it():
    x = signal()
    rule = AlarmRule(float(np.median(detect(tiny_net(), windows(x, 16))[1])), 2, 2)
    stream, times = detector(tiny_net(), rule), []
    for sample in range(x.shape[1]):
        times += [((sample + 1) / RATE, alarm.raised) for alarm in stream.feed(x[:, sample : sample + 1])]
    assert len(times) > 1
    assert all(now == raised for now, raised in times)


def test_lost_samples_and_a_loose_cable_are_treated_as_in_a_file():
    x = signal()
    x[1, 5 * RATE : 6 * RATE] = np.nan
    stream, _ = streamed(np.where(np.isnan(x), np.inf, x), [])
    assert stream.scores.count(0) == 2
    x[:, 20 * RATE : 25 * RATE] = 500
    _, scores, usable = detect(tiny_net(), windows(x, 16))
    stream, _ = streamed(x, [100, 3, 500])
    np.testing.assert_allclose(stream.scores, scores, atol=1e-6)
    assert stream.scores.count(0) == (~usable).sum() > 0


def test_samples_are_dropped_once_they_have_been_scored():
    stream = detector(tiny_net())
    for _ in range(3):
        stream.feed(signal(30))
        assert sum(piece.nbytes for piece in stream._pieces) < 4 * CHANNELS * SECONDS * RATE
        assert all(piece.base is None for piece in stream._pieces)  # no view that keeps a chunk alive


def test_the_caller_may_fill_the_same_buffer_again():
    x, buffer = signal(), np.empty((CHANNELS, 16), np.float32)
    stream = detector(tiny_net())
    for first in range(0, x.shape[1], 16):
        buffer[:] = x[:, first : first + 16]
        stream.feed(buffer)
    assert stream.scores == streamed(x, [])[0].scores


def test_misuse_is_told_clearly():
    stream = detector(tiny_net())
    for chunk in (np.zeros((CHANNELS + 1, 10)), np.zeros(10), np.zeros((10, CHANNELS))):
        with pytest.raises(ValueError, match="3 channels, samples"):
            stream.feed(chunk)
    stream.finish()
    with pytest.raises(ValueError, match="finished"):
        stream.feed(np.zeros((CHANNELS, 10)))
    with pytest.raises(ValueError, match="no whole number of samples at 31.7 Hz"):
        detector(tiny_net(), sampling_rate=31.7)
    with pytest.raises(ValueError, match="leaves gaps"):
        detector(tiny_net(), step=3.0)
    with pytest.raises(ValueError, match="5 channels and 32 samples"):
        detector(tiny_net(), channels=5)
    with pytest.raises(ValueError, match="3 channels and 64 samples, 2 s at 32 Hz"):
        detector(WindowCnn(), net_rate=RATE)
    with pytest.raises(ValueError, match=r"not \(windows, 1\) logits"):
        detector(tiny_net(2))


def test_scores_are_sorted_into_their_recordings():
    table = pd.DataFrame(
        {"recording": ["b", "a", "b"], "start": [0.0, 0.0, 5.0]}, index=["b@0", "a@0", "b@5"]
    )
    recordings = [EegRecording("1", name, "", ("x",), 256.0, 5120, ((1.0, 2.0),)) for name in ("a", "c", "b")]
    found = group_by_recording(recordings, table, np.array([0.1, 0.2, 0.3]))
    assert [list(r.scores) for r in found] == [[0.2], [0.1, 0.3]]
    assert list(found[1].starts) == [0, 5] and found[0].seizures == ((1.0, 2.0),) and found[0].seconds == 20
