import re
from html.parser import HTMLParser

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from biosignals.data.ptbxl import LEADS
from biosignals.reporting import plots


@pytest.fixture(autouse=True)
def close_figures():
    plots.use_style()
    yield
    plt.close("all")


def test_a_page_keeps_the_cardiologists_scale():
    x = np.zeros((12, 1000))
    x[1, 400] = 1.0  # lead II: one millivolt at four seconds
    ax = plots.ecg_page(x, 100, LEADS, "title")
    rhythm_strip = ax.lines[-1].get_xydata()
    time, height = rhythm_strip[rhythm_strip[:, 1].argmax()]
    assert time == 4 * 25
    assert height - np.median(rhythm_strip[:, 1]) == 10
    assert ax.get_aspect() == 1
    texts = [text.get_text() for text in ax.texts]
    assert sorted(set(texts)) == sorted(plots.lead_label(lead) for lead in LEADS)
    assert texts.count("II") == 2


def test_a_page_finds_leads_by_name():
    x = np.arange(12.0)[:, None] / 10 + np.zeros((12, 1000))
    first = plots.ecg_page(x, 100, LEADS)
    second = plots.ecg_page(x[::-1], 100, LEADS[::-1])
    for one, other in zip(first.lines, second.lines):
        np.testing.assert_array_equal(one.get_ydata(), other.get_ydata())


def test_strips_of_different_length():
    ax = plots.strips([np.zeros(3000), np.zeros(900)], 300, ["N", "A"], seconds=8)
    assert [line.get_xdata()[-1] for line in ax.lines[1::2]] == pytest.approx([200, 75], abs=0.2)


def test_beats_draw_every_lead_and_class():
    shapes = {name: np.full((12, 80), i) for i, name in enumerate(("NORM", "MI"))}
    axes = plots.beats(shapes, np.arange(80) / 100 - 0.3, LEADS)
    assert axes.shape == (3, 4)
    assert {ax.get_title(loc="left") for ax in axes.flat} == {plots.lead_label(lead) for lead in LEADS}
    assert all([line.get_label() for line in ax.lines] == ["NORM", "MI"] for ax in axes.flat)


class Cells(HTMLParser):
    """The texts of a page's table cells, headings and all, and the names of the tags that it opens."""

    def __init__(self, page: str):
        super().__init__()
        self.tags, self.rows = [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append(("", dict(attributes).get("class")))

    def handle_data(self, text):
        if self.tags and self.tags[-1] in ("td", "th") and text.strip():
            self.rows[-1][-1] = (self.rows[-1][-1][0] + text, self.rows[-1][-1][1])


def test_a_sortable_table_shows_every_cell_and_says_which_columns_are_numbers():
    frame = pd.DataFrame({"model": ["s4", None], "value": [0.91234, np.nan], "n": [12345.0, np.nan]})
    page = Cells(plots.sortable(frame, "PTB-XL, excerpt").data)
    assert page.rows == [
        [("model", None), ("value", "number"), ("n", "number")],
        [("s4", None), ("0.912", "number"), ("12,345", "number")],
        [("", None), ("", "number"), ("", "number")],
    ]


def test_a_sortable_table_runs_nobody_elses_code_and_fetches_nothing():
    hostile = "</td><script>alert(1)</script><img src=x onerror=alert(1)> & $name"
    frame = pd.DataFrame({hostile: [hostile], "other": [1.5]})
    text = plots.sortable(frame, hostile).data
    page = Cells(text)
    assert page.rows[0][0][0] == page.rows[1][0][0] == hostile
    assert page.tags.count("script") == 1 and "img" not in page.tags
    assert not re.search(r"https?:|\bsrc=(?!x onerror)|import", text)


def test_two_sortable_tables_on_a_page_do_not_meddle_with_each_other():
    one, other = (plots.sortable(pd.DataFrame({"n": [n]}), "the same caption").data for n in (1, 2))
    names = [set(re.findall(r'"(table-\w+)"', text)) for text in (one, other)]
    assert [len(found) for found in names] == [1, 1] and names[0] != names[1]
    assert one == plots.sortable(pd.DataFrame({"n": [1]}), "the same caption").data


SCORES = pd.DataFrame({"model": ["a", "b", "c"], "params": [1e4, 1e5, 1e6], "value": [0.7, 0.9, 0.8],
                       "low": [0.6, 0.8, 0.7], "high": [0.8, 0.95, 0.9], "chapter": [3, 3, 7]})  # fmt: skip


def test_dots_span_their_intervals_line_by_line():
    ax = plots.dots(SCORES, "model", "chapter", {3: "C0", 7: "C1"})
    bars, points = ax.collections
    ends = [segment[:, 0].tolist() for segment in bars.get_segments()]
    np.testing.assert_allclose(ends, [[0.6, 0.8], [0.8, 0.95], [0.7, 0.9]])
    np.testing.assert_allclose(points.get_offsets(), [[0.7, 0], [0.9, 1], [0.8, 2]])
    assert [text.get_text() for text in ax.get_yticklabels()] == ["a", "b", "c"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["3", "7"]


def test_a_trade_off_joins_and_names_the_front_only():
    ax = plots.trade_off(SCORES, SCORES[:2], "params", "chapter", {3: "C0", 7: "C1"})
    line = next(line for line in ax.lines if len(line.get_xdata()) == 2)
    np.testing.assert_allclose(line.get_xydata(), [[1e4, 0.7], [1e5, 0.9]])
    assert [text.get_text() for text in ax.texts] == ["a", "b"]
    assert ax.get_xscale() == "log"


def test_intervals_span_low_to_high():
    scores = pd.DataFrame({"model": ["a", "b"], "value": [0.5, 0.7], "low": [0.4, 0.6], "high": [0.7, 0.75]})
    ax = plots.intervals(scores, "model")
    ends = [segment[:, 0].tolist() for segment in ax.collections[0].get_segments()]
    np.testing.assert_allclose(ends, [[0.4, 0.7], [0.6, 0.75]])
    assert [text.get_text() for text in ax.get_yticklabels()] == ["a", "b"]


def test_note_and_caption_say_what_data_is_shown():
    _, ax = plt.subplots()
    plots.note(ax, "PTB-XL, excerpt, n = 2,630")
    assert ax.figure.get_supxlabel() == "PTB-XL, excerpt, n = 2,630"
    html = plots.table(pd.DataFrame({"n": [12345]}), "PTB-XL, simulated").to_html()
    assert "PTB-XL, simulated" in html and "12,345" in html


def test_a_table_prints_counts_whole_and_scores_with_decimals():
    frame = pd.DataFrame(
        {"parameters": [534005.0, np.nan], "kHz": [1000.5, 2000], "auroc": [1.0, 0.0]}, index=["s4", "vit"]
    )
    cells = plots.table(frame, "PTB-XL, simulated", digits=2).to_string().split("\n")
    assert [line.strip() for line in cells[1:3]] == ["s4 534,005 1,000.50 1.00", "vit  2,000.00 0.00"]


def test_a_scalogram_is_drawn_over_its_seconds_and_frequencies():
    picture = np.zeros((8, 50))
    picture[3, 20] = 1
    ax = plots.scalogram(picture, 5.0, np.geomspace(1, 40, 8))
    mesh = ax.collections[0]
    assert mesh.get_array().reshape(8, 50)[3, 20] == 1
    low, high = ax.get_xlim()
    assert low == pytest.approx(0) and high == pytest.approx(5)
    assert ax.get_yscale() == "log"
