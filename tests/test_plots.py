import base64
import json
import re
from html.parser import HTMLParser

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import seaborn as sns

from biosignals.data.ptbxl import LEADS
from biosignals.reporting import interactive, plots


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


def test_the_paper_is_ruled_each_millimetre_by_two_paths():
    ax = plots.ecg_page(np.zeros((12, 1000)), 100, LEADS)
    thin, thick = ax.patches
    for lines, step in ((thin, 1), (thick, 5)):
        upright = [x for (x, _), (other, _) in lines.get_path().vertices.reshape(-1, 2, 2) if x == other]
        assert np.allclose(np.diff(upright), step) and np.allclose(np.mod(upright, step), 0)
        assert len(upright) == pytest.approx(np.ptp(ax.get_xlim()) / step, abs=1)


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
        [("model", None), ("score", "number"), ("n", "number")],
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


def test_scores_by_several_costs_stand_side_by_side_and_few_numbers_along_a_long_axis():
    table = pd.DataFrame({"value": [0.8, 0.9], "low": 0.7, "high": 0.95, "kind": ["a", "b"]})
    axes = plots.score_by_costs(table.assign(ms=[1, 2], seconds=[1, 1000]), ["ms", "seconds"], "kind")
    assert [ax.get_xlabel() for ax in axes] == ["ms", "seconds"] and axes[0].get_xscale() == "log"
    assert list(axes[0].get_xticks()) == [1, 2] and list(axes[1].get_xticks()) == [1, 10, 100, 1000]
    axes = plots.score_by_costs(table.assign(ms=[0, 0], seconds=[0, 3]), ["ms", "seconds"], "kind")
    assert list(axes[1].get_xticks()) == [2, 5]
    axes = plots.score_by_costs(table.assign(ms=[3.1, 4.7]), ["ms", "value"], "kind")
    assert list(axes[0].get_xticks()) == [2, 5]


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


def test_a_score_and_its_interval_stand_in_one_column_with_names_that_readers_know():
    row = {"metric": "auprc", "value": 0.9147, "low": 0.9, "high": 0.93, "delta": -0.01, "delta_low": -0.02,
           "delta_high": 0.001, "n_test": 400, "positives": 25, "params": 5e5}  # fmt: skip
    frame = plots.printable(pd.DataFrame([row, row | {"value": None, "low": None, "high": None}]), digits=3)
    assert frame.to_dict("records")[0] == {
        "metric": "AUPRC", "score [95 %]": ".915 [.900-.930]", "difference [95 %]": "-.010 [-.020 to .001]",
        "n_test": 400, "params": 5e5, "prevalence": 0.0625,
    }  # fmt: skip
    assert frame["score [95 %]"].tolist()[1] == ""
    by_metric = plots.printable(pd.DataFrame({"brier": [0.1]}, index=pd.Index(["macro_f1"], name="metric")))
    assert list(by_metric.index) == ["macro F1"]
    shown = plots.table(pd.DataFrame({"brier": [0.1], "n_test": [5], "STD_": [1]}), "PTB-XL, simulated")
    html = shown.format("{:.0f}", subset=["n_test"]).to_html()  # by the name that the reader's code knows
    assert re.findall(r'class="col_heading[^>]*>([^<]*)<', html) == ["Brier score", "n", "STD_"]


def test_counts_are_whole_however_small_they_are():
    html = plots.table(
        pd.DataFrame({"alarms": [96.0, 3.0], "share": [1.0, 0.0]}), "CHB-MIT, simulated"
    ).to_html()
    assert ">96<" in html and ">1.00<" in html


def test_a_sortable_table_sorts_scores_with_intervals_as_numbers():
    frame = pd.DataFrame({"value": [0.9, 0.8], "low": [0.8, 0.7], "high": [0.95, 0.9]})
    page = Cells(plots.sortable(frame, "PTB-XL, excerpt").data)
    assert page.rows[1] == [(".900 [.800-.950]", "number")]


ALT = "A line that rises from nought to one"


def test_a_figure_is_shown_with_its_alt_text_and_note_and_is_closed(monkeypatch):
    shown = []
    monkeypatch.setattr(plots, "display", shown.append)
    _, axes = plt.subplots(1, 2)
    axes[0].plot([0, 1], [0, 1], label="a & b")
    axes[0].legend()
    plots.show(axes, ALT, "PTB-XL, simulated, n = 2 < 3")
    text = shown[0].data
    assert f'role="img" aria-label="{ALT}"' in text
    assert "<figcaption>PTB-XL, simulated, n = 2 &lt; 3</figcaption>" in text
    assert "a &amp; b" in text  # letters stay letters
    assert not plt.get_fignums()


def test_a_figures_text_takes_the_pages_colour_and_nothing_hides_the_page():
    _, ax = plt.subplots()
    ax.plot([0, 1], [0, 1])
    ax.set_title("title")
    text = plots.figure_html(ax, ALT)
    colours = set(re.findall(r"(?:fill|stroke): (#\w+|currentColor)", text))
    assert colours == {"currentColor", plots.PALETTE[0]}
    assert not re.search(r"https?:(?!//www.w3.org)|<metadata|<style|font-family", text)


def test_an_ecg_page_stays_paper_on_a_dark_page():
    text = plots.figure_html(plots.ecg_page(np.zeros((12, 1000)), 100, LEADS), ALT)
    assert plots.PAPER in text and plots.INK in text


def test_the_same_figure_gives_the_same_text_and_two_do_not_share_names():
    def drawn(alt):
        _, ax = plt.subplots()
        ax.plot([0, 1], [0, 1], "o-")
        return plots.figure_html(ax, alt)

    assert drawn(ALT) == drawn(ALT)
    names = [set(re.findall(r'\bid="([^"]+)"', drawn(alt))) for alt in (ALT, f"Again: {ALT}")]
    assert names[0] and not names[0] & names[1]


def test_a_figure_of_many_points_stays_small():
    rng = np.random.default_rng(0)
    _, axes = plt.subplots(1, 2)
    axes[0].scatter(*rng.normal(size=(2, 20_000)), s=2)
    axes[1].pcolormesh(rng.normal(size=(100, 100)))
    text = plots.figure_html(axes, ALT)
    assert len(text) < 4e5 and text.count("data:image/png") == 2


@pytest.mark.parametrize(
    "alt", ["", "figure", "632339160d86fef4523b7e9e4de60cd4e1148419a724e3aecff1a3fe", "a.b.c.d.png"]
)
def test_an_alt_text_that_says_nothing_is_refused(alt):
    _, ax = plt.subplots()
    with pytest.raises(ValueError, match="sentence"):
        plots.figure_html(ax, alt)


def test_a_figure_to_look_closer_at_travels_with_its_drawing():
    _, ax = plt.subplots()
    x = np.random.default_rng(0).normal(size=(12, 1000))
    text = plots.figure_html(ax, ALT, closer=interactive.ecg(x, 100, LEADS))
    (data,) = re.findall(r'<script type="application/json" class="plotly">(.*?)</script>', text, re.DOTALL)
    traces = json.loads(data)["data"]
    assert [trace["name"] for trace in traces] == [plots.lead_label(lead) for lead in LEADS]
    values = np.frombuffer(base64.b64decode(traces[1]["customdata"]["bdata"]), np.float32)
    np.testing.assert_allclose(values, x[1], atol=6e-4)
    assert len(data) < 2.5e5


def test_a_name_in_an_interactive_figure_runs_no_script():
    _, ax = plt.subplots()
    scores = SCORES.assign(model="</script><script>alert(1)</script>")
    text = plots.figure_html(ax, ALT, closer=interactive.trade_off(scores, "params", "chapter"))
    assert text.count("</script") == 1


def luminance(colour: str) -> float:
    """The relative luminance of WCAG 2."""
    rgb = np.array(matplotlib.colors.to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("page", ["#ffffff", "#121212"])
@pytest.mark.parametrize("colour", [*plots.PALETTE, *plots.COLOURS.values()])
def test_marks_stand_out_on_light_and_dark_pages(colour, page):
    assert contrast(colour, page) >= 3


@pytest.mark.parametrize(("page", "text"), [("#ffffff", plots.TEXT), ("#121212", "#ced6dd")])
def test_numbers_in_a_heat_map_can_be_read_and_its_low_fields_are_the_page(page, text):
    fields = []
    for red, green, blue, alpha in plots.SHADES([0.0, 0.5, 1.0]):
        colour = alpha * np.array([red, green, blue]) + (1 - alpha) * np.array(matplotlib.colors.to_rgb(page))
        fields.append(matplotlib.colors.to_hex(colour))
    assert all(contrast(text, field) >= 4.5 for field in fields)
    assert contrast(fields[0], page) < 1.1


def test_a_heat_map_prints_its_numbers_in_the_colour_of_the_pages_text():
    text = plots.figure_html(plots.heat_map(pd.DataFrame([[0.0, 1.0], [0.5, 0.2]]), ".0%"), ALT)
    drawn = re.findall(r"<text style=\"([^\"]*)\"[^>]*>(\d+%)<", text)
    assert [number for _, number in drawn] == ["0%", "100%", "50%", "20%"]
    assert all("fill: currentColor" in style for style, _ in drawn)


def test_bars_have_no_light_edges_on_a_dark_page():
    _, ax = plt.subplots()
    ax.bar(["a", "b"], [1, 2])
    sns.histplot(x=[1.0, 2.0, 2.0], ax=ax)
    assert not re.search("stroke: (?:#ffffff|white)", plots.figure_html(ax, ALT))


def test_a_line_is_drawn_through_every_point_whatever_its_path_leaves_out():
    _, ax = plt.subplots()
    ax.plot([0, 1, 2, 3], [0, 3, 1, 2])
    paths = re.findall(r' d="([^"]*)"', plots.figure_html(ax, ALT))
    assert [path for path in paths if re.fullmatch(r"M( [\d.]+){8} ?", path)]


def test_letters_and_traces_stand_out_on_ecg_paper():
    assert contrast(plots.INK, plots.PAPER) >= 4.5


# What is left of a colour without green and without red cones: Machado et al. (2009), severity 1, linear RGB.
EYES = {
    "all": np.eye(3),
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.01182, 0.04294, 0.968881],
    ],
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
}


@pytest.mark.parametrize("eyes", EYES)
def test_classes_can_be_told_apart_without_red_or_green_cones(eyes):
    """Ten of CIELAB's units apart are two colours to everybody who can see them at all."""
    rgb = np.array([matplotlib.colors.to_rgb(colour) for colour in plots.COLOURS.values()])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.transpose(EYES[eyes]), 0, 1)
    white = np.array([0.95047, 1, 1.08883])
    xyz = (
        seen
        @ np.transpose([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
        / white
    )
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    lab = np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)
    distances = np.linalg.norm(lab[:, None] - lab, axis=2)
    assert distances[np.triu_indices(5, 1)].min() > 20


def test_a_scalogram_is_drawn_over_its_seconds_and_frequencies():
    picture = np.zeros((8, 50))
    picture[3, 20] = 1
    ax = plots.scalogram(picture, 5.0, np.geomspace(1, 40, 8))
    mesh = ax.collections[0]
    assert mesh.get_array().reshape(8, 50)[3, 20] == 1
    low, high = ax.get_xlim()
    assert low == pytest.approx(0) and high == pytest.approx(5)
    assert ax.get_yscale() == "log"


def test_a_drawing_is_short_and_its_numbers_are_not():
    """Each point takes a few letters in one line; labels say what they said."""
    _, ax = plt.subplots()
    ax.plot(np.random.default_rng(0).normal(size=2000))
    ax.text(0, 0, "0.12345 and  more")
    text = plots.figure_html(ax, ALT)
    assert "0.12345" in text
    paths = re.findall(r' d="([^"]*)"', text)
    assert max(map(len, paths)) < 2000 * 14 and not any("\n" in path for path in paths)
    coordinates = [float(number) for path in paths for number in re.findall(r"\d+\.\d+", path)]
    assert coordinates and all(round(number, 1) == number for number in coordinates)


def test_fields_of_a_heat_map_are_parted_by_lines_and_not_crossed_by_a_grid():
    ax = plots.heat_map(pd.DataFrame([[0.0, 1.0], [0.5, 0.2]]), ".0%")
    (mesh,) = ax.collections
    assert mesh.get_linewidth() > 0 and 0 < mesh.get_edgecolor()[0][3] < 1
    assert not any(line.get_visible() for line in [*ax.get_xgridlines(), *ax.get_ygridlines()])
    plt.close(ax.figure)


def test_a_legend_names_metrics_in_words():
    row = {"model": "a", "value": 0.5, "low": 0.4, "high": 0.6}
    scores = pd.DataFrame([row | {"metric": name} for name in ("auprc", "balanced_accuracy")])
    ax = plots.intervals(scores, "model", hue="metric")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["AUPRC", "balanced accuracy"]
    plt.close(ax.figure)


@pytest.mark.parametrize(("score", "best", "label"), [("auroc", 2, "macro AUROC"), ("auprc", 1, "AUPRC")])
def test_learning_curves_mark_the_epoch_that_was_kept(score, best, label):
    history = pd.DataFrame(
        {
            "training_loss": [1.0, 0.5],
            "validation_loss": [1.0, 0.8],
            "validation_auroc": [0.6, 0.7],
            "validation_auprc": [0.4, 0.3],
        },
        index=[1, 2],
    )
    axes = plots.learning_curves({"a": history}, score)
    dot = axes[1].lines[1]
    assert list(dot.get_xdata()) == [best] and axes[1].get_ylabel() == label
    plt.close(axes[0].figure)
