"""Pictures that explain an ECG: what is drawn is where it was measured."""

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np
import pytest

from biosignals.data.ptbxl import LEADS
from biosignals.reporting import ecg_plots, plots


@pytest.fixture(autouse=True)
def close_figures():
    plots.use_style()
    yield
    plt.close("all")


TIMES = np.arange(-150, 250) / 500
LIMITS = {"P_onset": -0.18, "P_peak": -0.14, "P_offset": -0.1, "QRS_onset": -0.05, "QRS_offset": 0.05,
          "T_onset": 0.2, "T_peak": 0.26, "T_offset": 0.33}  # fmt: skip


def texts(ax) -> list[str]:
    return [text.get_text() for text in ax.texts]


def test_a_labelled_beat_names_its_waves_and_measures_its_intervals():
    ax = ecg_plots.labelled_beat(np.zeros(len(TIMES)), TIMES, LIMITS)
    assert texts(ax)[:4] == ["P", "QRS", "T", "(U)"]
    assert texts(ax)[4:] == ["PR 130 ms", "QRS 100 ms", "ST 150 ms", "QT 380 ms"]
    qt = ax.lines[-1].get_xdata()
    np.testing.assert_allclose(qt, [-50, 330])


def test_a_wave_that_was_not_found_is_not_named():
    ax = ecg_plots.labelled_beat(np.zeros(len(TIMES)), TIMES, LIMITS | {"P_onset": np.nan})
    assert "P" not in texts(ax) and not any(text.startswith("PR") for text in texts(ax))


def test_each_lead_points_in_its_direction():
    axes = ecg_plots.lead_directions({"NORM": np.array([40.0, 50.0, np.nan]), "LAFB": np.empty(0)})
    places = {text.get_text(): text.get_position()[0] for text in axes[0].texts if text.get_text()}
    assert np.degrees(places["II"]) == pytest.approx(60) and np.degrees(places["aVL"]) == pytest.approx(-30)
    assert {text.get_text() for text in axes[2].texts} >= {f"V{i}" for i in range(1, 7)}
    line, none = axes[1].lines
    angle, share = line.get_data()
    assert 30 < np.degrees(angle[share.argmax()]) < 60 and share[:-1].sum() == pytest.approx(1)
    assert not none.get_ydata().any()
    assert line.get_label() == "NORM (n = 2)"


def test_rows_of_beats_keep_the_paper_s_scale_and_stay_in_their_row():
    beat = np.zeros((12, 80))
    beat[0, 30], beat[2, 30] = 1, 9
    ax = ecg_plots.beat_rows({"one": beat, "other": beat}, 100, LEADS)
    first, third = ax.lines[1], ax.lines[3]  # after the calibration pulse
    assert first.get_ydata().max() == 10 and first.get_xdata()[30] == pytest.approx(25 * 0.3)
    assert third.get_ydata().max() < plots.ROW
    assert [name for name in texts(ax) if name in ("one", "other")] == ["one", "other"]


def test_dots_lie_on_the_samples_that_speak_for_the_class():
    x, weights = np.zeros((12, 1000)), np.full((12, 1000), -1.0)
    x[LEADS.index("V1")], weights[LEADS.index("V1"), [600, 610, 900]] = 0.5, [2.0, 1.0, 4.0]
    ax = ecg_plots.saliency_page(x, weights, 100, LEADS, "a page")
    (dots,) = [one for one in ax.collections if len(one.get_offsets())]
    # V1 is drawn from 5 to 7.5 s in the first row; what it adds elsewhere is not on the page.
    np.testing.assert_allclose(dots.get_offsets(), [[25 * 6, 5], [25 * 6.1, 5]])
    assert dots.get_sizes()[0] == 2 * dots.get_sizes()[1]


def test_single_leads_have_dots_where_their_own_weights_are():
    times = np.arange(1200) / 100
    signals = [np.sin(2 * np.pi * times), 0.5 * np.cos(times)]
    weights = [np.zeros(1200), np.zeros(1200)]
    weights[0][[100, 1100]], weights[1][300] = 1, 1e-6
    ax = ecg_plots.saliency_strips(signals, weights, 100, ["one", "other"])
    dots = [np.asarray(points.get_offsets()) for points in ax.collections if len(points.get_offsets())]
    assert [len(some) for some in dots] == [1, 1], "what is beyond the strip's ten seconds has no dot"
    assert dots[0][0, 0] == pytest.approx(25) and dots[1][0, 0] == pytest.approx(75)
