"""The style of every picture and table in the book, and the pictures that several chapters draw, which return
axes.

`show` puts a figure on the page as a drawing whose text and axes take the colour of the page's text, light or
dark; marks have colours of `PALETTE`, which hold on both.
"""

import html
import io
import re
from collections.abc import Mapping, Sequence
from hashlib import sha1
from itertools import cycle
from string import Template
from typing import Protocol

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import HTML, display
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import Collection
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, PercentFormatter
from pandas.io.formats.style import Styler
from scipy import stats
from sklearn import metrics
from sklearn.calibration import calibration_curve

from biosignals.data.ptbxl import SUPERCLASSES
from biosignals.reporting.records import label_of
from biosignals.reporting.scoreboard import interval_text

# Marks have a contrast of 3:1 and more against white and against the dark page, and can be told apart without
# red or green cones.
PALETTE = ("#0c6ca8", "#e86a00", "#2b9f98", "#a84730", "#715cfc", "#d22d69", "#1e96f0", "#808080")
GREY = PALETTE[-1]  # for what stands back: chance, error bars
TEXT = "#212121"  # text and axes, for which `show` puts the colour of the page's text
COLOURS = dict(zip(SUPERCLASSES, PALETTE))  # one colour a class, the same in every chapter
# From hardly anything to a colour that text can be read on; a light or dark page shines through both.
SHADES = LinearSegmentedColormap.from_list("shades", [to_rgba(PALETTE[0], 0.04), to_rgba(PALETTE[0], 0.6)])
PAPER, THIN, THICK, INK = "#fffafa", "#f8dcdc", "#eeb0b0", "#202030"  # an ECG page, light on a dark page too
MOST_POINTS = 4000  # of a line or a cloud; more of them are drawn as an image
FEWEST_WORDS = 4  # of an alt text

MM_PER_SECOND, MM_PER_MV = 25, 10
PAGE = (("I", "AVR", "V1", "V4"), ("II", "AVL", "V2", "V5"), ("III", "AVF", "V3", "V6"))
ROW = 30  # mm from one row of leads to the next

# A table that its headings sort and a field above it filters. Without JavaScript it is a plain table in a
# box.
SORTABLE = Template("""<style>
.sortable { margin: 0; font-size: 0.75rem; line-height: 1.3; }
.sortable div { max-height: 38rem; overflow: auto; }
.sortable table { margin: 0; font-size: inherit; color: inherit; }
.sortable table th, .sortable table td { text-align: left; max-width: 16rem; }
.sortable table th.number, .sortable table td.number { text-align: right; white-space: nowrap; }
.sortable table td.prose { min-width: 11rem; }
.sortable thead th { position: sticky; top: 0; z-index: 1; }
.sortable tr > :first-child { position: sticky; left: 0; }
.sortable thead tr > :first-child { z-index: 2; }
.sortable thead th, .sortable tr > :first-child {
  background: var(--pst-color-background, Canvas); color: inherit;
}
.sortable thead button { all: unset; cursor: pointer; }
.sortable thead button:focus-visible { outline: 1px solid; }
.sortable th[aria-sort=ascending] button::after { content: " \\25b2"; }
.sortable th[aria-sort=descending] button::after { content: " \\25bc"; }
</style>
<figure class="sortable"><div><table id="$name">
<thead><tr>$headings</tr></thead>
<tbody>
$rows
</tbody></table></div><figcaption>$caption</figcaption></figure>
<script>
(() => {
  const table = document.getElementById("$name"), body = table.tBodies[0], rows = [...body.rows];
  const headings = [...table.tHead.rows[0].cells];
  const field = document.createElement("input");
  Object.assign(field, {type: "search", placeholder: "Filter rows", ariaLabel: "Filter rows"});
  field.oninput = () => {
    const words = field.value.toLowerCase().split(/\\s+/);
    for (const row of rows) {
      const text = [...row.cells].map(cell => cell.textContent).join(" ").toLowerCase();
      row.hidden = !words.every(word => text.includes(word));
    }
  };
  table.parentElement.before(field);
  headings.forEach((heading, column) => {
    const number = heading.className === "number", button = document.createElement("button");
    const key = row => {
      const text = row.cells[column].textContent;
      return number && text ? parseFloat(text.replaceAll(",", "")) : text;
    };
    button.textContent = heading.textContent;
    button.onclick = () => {
      const rising = heading.getAttribute("aria-sort") !== "ascending";
      headings.forEach(each => each.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", rising ? "ascending" : "descending");
      rows.sort((one, other) => {
        const [x, y] = [key(one), key(other)];
        if (x === "" || y === "") return (x === "") - (y === "");
        return (rising ? 1 : -1) * (number ? x - y : x.localeCompare(y));
      });
      body.append(...rows);
    };
    heading.replaceChildren(button);
  });
})();
</script>""")


class Interactive(Protocol):
    """What `interactive` makes: a figure that can be written as JSON."""

    def to_json(self) -> str:
        """The figure for Plotly's JavaScript."""


def use_style() -> None:
    """Set the look of all figures that follow: no background, colours that hold on light and dark pages and
    for colour-blind readers, letters that can be read at the width of a phone.
    """
    sns.set_theme(context="notebook", style="whitegrid", palette=PALETTE)
    plt.rcParams.update({"figure.dpi": 110, "figure.figsize": (6, 3.5),
                         "figure.constrained_layout.use": True,
                         "figure.facecolor": "none", "axes.facecolor": "none", "savefig.facecolor": "none",
                         "text.color": TEXT, "axes.labelcolor": TEXT, "axes.edgecolor": TEXT,
                         "xtick.color": TEXT, "ytick.color": TEXT, "grid.color": TEXT, "grid.alpha": 0.15,
                         "patch.edgecolor": "none", "patch.force_edgecolor": False,
                         "axes.linewidth": 0.8, "axes.spines.top": False, "axes.spines.right": False,
                         "axes.titlesize": "medium", "axes.titlelocation": "left", "lines.linewidth": 1.5,
                         "legend.frameon": False, "svg.fonttype": "none"})  # fmt: skip


def show(
    figure: Figure | Axes | np.ndarray, alt: str, note: str | None = None, closer: Interactive | None = None
) -> None:
    """Put a figure on the page, as a drawing in the page's own text colour, and close it.

    figure: the figure, one of its axes, or an array of them, (rows, columns). alt: what the picture shows, in
    a sentence, for readers who cannot see it. note: the line below that says what data it shows, "PTB-XL,
    excerpt, n = 2,630". closer: a figure of Plotly's (`interactive`) that the rendered page draws instead
    when a reader asks for it. Raises ValueError for an alt that is no sentence.
    """
    display(HTML(figure_html(figure, alt, note, closer)))


def figure_html(
    figure: Figure | Axes | np.ndarray, alt: str, note: str | None = None, closer: Interactive | None = None
) -> str:
    """The HTML that `show` puts on the page: figure, alt, note, closer and errors as `show`."""
    if len(re.findall(r"(?<!\S)[^\W\d_]{2,}", alt)) < FEWEST_WORDS:
        raise ValueError(f"alt says in a sentence what the picture shows, not {alt!r}")
    one = figure.flat[0] if isinstance(figure, np.ndarray) else figure
    whole: Figure = one.get_figure(root=True)
    parts = [_svg(whole, alt)]
    if note:
        parts.append(f"<figcaption>{html.escape(note)}</figcaption>")
    if closer is not None:
        data = closer.to_json().replace("</", "<\\/")
        parts.append(f'<script type="application/json" class="plotly">{data}</script>')
    return f'<figure class="plot">{"".join(parts)}</figure>'


def _svg(figure: Figure, alt: str) -> str:
    """A figure as an SVG element that shrinks with its column, in the page's font; the figure is closed."""
    for artist in figure.findobj(lambda artist: _points(artist) > MOST_POINTS):
        artist.set_rasterized(True)
    file = io.StringIO()
    # Letters stay letters, and the same figure always gives the same text.
    with plt.rc_context({"svg.fonttype": "none", "svg.hashsalt": alt}):
        figure.savefig(file, format="svg", dpi=200, facecolor="none", bbox_inches="tight", pad_inches=0.05,
                       metadata={"Date": None})  # fmt: skip
    plt.close(figure)
    text = file.getvalue()
    box = re.search(r'viewBox="([^"]*)"', text)[1]
    drawing = re.sub(
        r"^.*?<svg [^>]*>|<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", text, flags=re.DOTALL
    )
    drawing = re.sub(r'(?<=<g) id="[^"]*"| id="[^"#]*_\d+"|font-family: [^;"]*;? ?', "", drawing)
    drawing = re.sub(r' d="[^"]*"', _shortened, drawing)
    width = round(float(box.split()[2]) * 96 / 72)
    style = f"--width: {width}px; width: {width}px; max-width: 100%; height: auto; stroke-linejoin: round"
    about = f'role="img" aria-label="{html.escape(alt)}" style="{style}"'
    return f'<svg viewBox="{box}" {about}>{drawing.replace(TEXT, "currentColor").strip()}'


def _shortened(path: re.Match) -> str:
    """A path in one line, to a tenth of a point, which no screen shows, and without the letter of each line
    that goes on from another: a third of it in a notebook.
    """
    text = re.sub(r"\s+", " ", re.sub(r"(\d\.\d)\d+", r"\1", path[0]))
    return re.sub(r"(?<=[ML])[^MCQz]*", lambda lines: lines[0].replace(" L", ""), text)


def _points(artist: Artist) -> int:
    """How many points or fields a line, a cloud or a mesh draws."""
    if isinstance(artist, Line2D):
        return np.size(artist.get_xdata())
    if isinstance(artist, Collection):
        fields = artist.get_array()
        return max(np.shape(artist.get_offsets())[0], 0 if fields is None else fields.size)
    return 0


def note(ax: Axes, text: str) -> Axes:
    """Say under the figure what data it shows: small grey text at the lower right, "PTB-XL, excerpt, n =
    2,630".
    """
    ax.figure.supxlabel(text, x=0.995, ha="right", fontsize="x-small", color="0.4")
    return ax


def table(frame: pd.DataFrame, caption: str, digits: int = 2) -> Styler:
    """A table for the page, its caption saying what data it shows; see `printable`.

    Numbers have `digits` decimals and stand to the right, thousands apart; counts are whole.
    """
    frame = printable(frame, digits)
    numbers = [name for name, column in frame.items() if pd.api.types.is_numeric_dtype(column)]
    counts = [name for name in numbers if _is_count(frame[name])]
    style = frame.style.format(precision=digits, thousands=",", na_rep="")
    style = style.format("{:,.0f}", subset=counts, na_rep="").format_index(label_of, axis="columns")
    places = [place for place, (_, column) in enumerate(frame.items()) if _holds_numbers(column)]
    rules = [
        {"selector": f".col{place}", "props": "text-align: right; white-space: nowrap"} for place in places
    ]
    return style.set_caption(caption).set_table_styles(
        [{"selector": "caption", "props": "caption-side: bottom"}, *rules]
    )


def printable(frame: pd.DataFrame, digits: int = 3) -> pd.DataFrame:
    """A table as readers read it: a score and its interval in one column, ".915 [.905-.924]", and metrics in
    words. Other columns keep their names; `table` and `sortable` print those of records in words, too.

    The columns value, low, high become one, and so do delta, delta_low, delta_high; `digits`: theirs. Where
    the rows say how many are positive, the prevalence stands in place of that.
    """
    frame = frame.copy()
    for value, ends in {"value": ("low", "high"), "delta": ("delta_low", "delta_high")}.items():
        if frame.columns.nlevels == 1 and {value, *ends} <= set(frame):
            rows = frame[[value, *ends]].set_axis(["value", "low", "high"], axis=1)
            texts = [interval_text(row, digits) for _, row in rows.iterrows()]
            frame[value] = [text if pd.notna(score) else "" for text, score in zip(texts, rows.value)]
            frame = frame.drop(columns=list(ends)).rename(columns={value: f"{label_of(value)} [95 %]"})
    if {"positives", "n_test"} <= set(frame):
        frame["positives"] = (frame["positives"] / frame["n_test"]).astype(float)
        frame = frame.rename(columns={"positives": "prevalence"}).dropna(axis=1, how="all")
    if "metric" in frame.index.names:
        frame = frame.rename(index=label_of, level="metric")
    if "metric" in frame:
        frame["metric"] = frame["metric"].map(label_of)
    return frame.rename_axis(index=label_of, columns=label_of)


def sortable(frame: pd.DataFrame, caption: str, digits: int = 3) -> HTML:
    """A long table in a box that scrolls, in the words of `printable`; a click on a heading sorts it, a field
    above it filters its rows.

    Columns of numbers are sorted as numbers, and texts that begin with one by it; counts are whole, thousands
    apart, others have `digits` decimals; what is missing is empty and comes last. All text is escaped, and
    nothing is fetched from elsewhere.
    """
    frame = printable(frame, digits)
    texts = [_printed(column, digits) for _, column in frame.items()]
    marks = [_mark(column, cells) for (_, column), cells in zip(frame.items(), texts)]
    names = [html.escape(str(label_of(name))) for name in frame]
    headings = "".join(f"<th{mark}>{name}</th>" for name, mark in zip(names, marks))
    rows = "\n".join(
        f"<tr>{''.join(f'<td{mark}>{html.escape(text)}</td>' for text, mark in zip(row, marks))}</tr>"
        for row in zip(*texts)
    )
    name = f"table-{sha1((caption + rows).encode(), usedforsecurity=False).hexdigest()[:8]}"
    return HTML(SORTABLE.substitute(name=name, caption=html.escape(caption), headings=headings, rows=rows))


def _mark(column: pd.Series, texts: list[str]) -> str:
    """What the style sheet tells a column by: numbers stand to the right, long texts get room."""
    if _holds_numbers(column):
        return ' class="number"'
    return ' class="prose"' if max(map(len, texts), default=0) > 60 else ""


def _printed(column: pd.Series, digits: int) -> list[str]:
    """A column's cells as text, what is missing as an empty one."""
    if not pd.api.types.is_numeric_dtype(column):
        return [str(cell) if pd.notna(cell) else "" for cell in column]
    digits = 0 if _is_count(column) else digits
    return [f"{cell:,.{digits}f}" if pd.notna(cell) else "" for cell in column]


def _holds_numbers(column: pd.Series) -> bool:
    """Whether a column is of numbers, or of texts such as ".915 [.905-.924]"."""
    if pd.api.types.is_numeric_dtype(column):
        return True
    texts = [cell for cell in column if isinstance(cell, str) and cell]
    return bool(texts) and all(re.match(r"-?[\d.]+ \[", text) for text in texts)


def _is_count(column: pd.Series) -> bool:
    """Whether numbers are whole, and not just a score's noughts and ones."""
    whole = (column.dropna() % 1 == 0).all()
    return whole and (pd.api.types.is_integer_dtype(column) or column.abs().max() > 1)


def lead_label(name: str) -> str:
    """The way a lead's name is printed: AVR becomes aVR."""
    return name.replace("AV", "aV", 1) if name.startswith("AV") else name


def ecg_page(
    x: np.ndarray, sampling_rate: float, leads: Sequence[str], title: str = "", ax: Axes | None = None
) -> Axes:
    """A twelve-lead ECG as cardiologists print it: 25 mm/s, 10 mm/mV, three rows of four leads and lead II
    below.

    x: (12, samples), at least 10 s, in mV; leads: names in the order of x. The four columns follow each other
    in time, 2.5 s each, like the paper under a pen. The pulse at the left of each row is 1 mV tall and 0.2 s
    wide.
    """
    by_name = dict(zip(leads, x))
    ax = paper(seconds=10, rows=4, ax=ax)
    for row, names in enumerate((*PAGE, ("II",))):
        middle = -ROW * row
        calibration(ax, middle)
        for column, name in enumerate(names):
            start, stop = 2.5 * column, 10 if len(names) == 1 else 2.5 * (column + 1)
            trace(ax, by_name[name], sampling_rate, start, stop, middle)
            label(ax, lead_label(name), start, middle)
    ax.set_title(title)
    return ax


def strips(
    signals: Sequence[np.ndarray],
    sampling_rate: float,
    labels: Sequence[str],
    seconds: float = 10,
    ax: Axes | None = None,
) -> Axes:
    """Single-lead ECGs below each other on ECG paper (25 mm/s, 10 mm/mV), each from its beginning.

    signals: one array (samples,) in mV for each label; drawn around its median and cut off 1.4 mV away from
    it.
    """
    ax = paper(seconds, rows=len(signals), ax=ax)
    for row, (signal, text) in enumerate(zip(signals, labels)):
        calibration(ax, -ROW * row)
        centred = np.clip(signal - np.median(signal), -1.4, 1.4)
        trace(ax, centred, sampling_rate, 0, min(seconds, len(signal) / sampling_rate), -ROW * row)
        label(ax, text, 0, -ROW * row)
    return ax


def paper(seconds: float, rows: int, ax: Axes | None = None) -> Axes:
    """An empty sheet of ECG paper with its grid of 1 and 5 mm; coordinates in mm, the first row's zero line
    at 0.
    """
    left, right, top, bottom = -12, MM_PER_SECOND * seconds + 2, 20, -ROW * (rows - 1) - 18
    if ax is None:
        _, ax = plt.subplots(figsize=(9.5, 9.5 * paper_shape(seconds, rows) + 0.35))
    ax.set(
        xlim=(left, right),
        ylim=(bottom, top),
        aspect="equal",
        facecolor=PAPER,
        xticks=[],
        yticks=[],
    )
    grid(ax, 1, 1, color=THIN, linewidth=0.4)
    grid(ax, 5, 5, color=THICK, linewidth=0.6)
    ax.spines[:].set(visible=True, color=THICK)
    return ax


def paper_shape(seconds: float, rows: int) -> float:
    """Height of a sheet of `paper` as a part of its width."""
    return (ROW * (rows - 1) + 38) / (MM_PER_SECOND * seconds + 14)


def grid(ax: Axes, x_step: float, y_step: float, color: str, linewidth: float) -> None:
    """Rule a sheet each `x_step` and `y_step` within its limits: one path, where ticks would be hundreds."""
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    across = [((x, bottom), (x, top)) for x in x_step * np.arange(np.ceil(left / x_step), right / x_step)]
    along = [((left, y), (right, y)) for y in y_step * np.arange(np.ceil(bottom / y_step), top / y_step)]
    corners = np.array(across + along).reshape(-1, 2)
    path = Path(corners, [Path.MOVETO, Path.LINETO] * (len(corners) // 2))
    ax.add_patch(PathPatch(path, facecolor="none", edgecolor=color, linewidth=linewidth, zorder=0.5))


def trace(
    ax: Axes, signal: np.ndarray, sampling_rate: float, start: float, stop: float, middle: float
) -> None:
    """Draw `signal` (mV) from `start` to `stop` seconds around the height `middle` (mm)."""
    first, last = round(start * sampling_rate), round(stop * sampling_rate)
    millimetres = MM_PER_SECOND * np.arange(first, last) / sampling_rate
    ax.plot(
        millimetres,
        middle + MM_PER_MV * signal[first:last],
        color=INK,
        linewidth=0.9,
        solid_joinstyle="round",
    )


def calibration(ax: Axes, middle: float) -> None:
    """The pulse of 1 mV and 0.2 s at the left of a row."""
    ax.plot([-10, -8, -8, -3, -3, -1], middle + np.array([0, 0, 10, 10, 0, 0]), color=INK, linewidth=0.9)


def label(ax: Axes, text: str, start: float, middle: float) -> None:
    """Name a lead above the beginning of its trace."""
    box = {"facecolor": PAPER, "edgecolor": "none", "pad": 0.8, "alpha": 0.8}
    ax.text(
        MM_PER_SECOND * start + 1.5, middle + 11.5, text, fontsize=12, fontweight="bold", color=INK, bbox=box
    )


def beats(
    shapes: Mapping[str, np.ndarray],
    times: np.ndarray,
    leads: Sequence[str],
    colours: Mapping[str, str] = COLOURS,
) -> np.ndarray:
    """Compare beats lead by lead: one small panel a lead, one line a name.

    shapes: (leads, samples) in mV by name; times: (samples,) seconds from the R peak. Returns the panels'
    axes, (rows, 4).
    """
    rows = -(-len(leads) // 4)
    figure, axes = plt.subplots(rows, 4, figsize=(9, 2 * rows), sharex=True, sharey=True, squeeze=False)
    for i, (ax, lead) in enumerate(zip(axes.T.flat if rows > 1 else axes.flat, leads)):
        for name, shape in shapes.items():
            ax.plot(1000 * times, shape[i], color=colours.get(name), label=name)
        ax.set_title(lead_label(lead))
    figure.supylabel("mV")
    for ax in axes[-1]:
        ax.set_xlabel("ms from the R peak")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=len(shapes))
    return axes


def intervals(scores: pd.DataFrame, label: str, value: str = "value", low: str = "low", high: str = "high",
              hue: str | None = None, ax: Axes | None = None) -> Axes:  # fmt: skip
    """Points with their intervals, one row of `scores` a point: names downwards, the value across.

    `label`, `value`, `low`, `high` and `hue` name columns; points of the same label and another hue lie side
    by side, and metrics are named in words.
    """
    names = list(dict.fromkeys(scores[label]))
    groups = [(None, scores)] if hue is None else list(scores.groupby(hue, sort=False))
    if ax is None:
        _, ax = plt.subplots(figsize=(8, 0.7 + 0.3 * len(names) * max(1, 0.6 * len(groups))))
    for i, (group, rows) in enumerate(groups):
        height = rows[label].map(names.index) + 0.5 * ((i + 0.5) / len(groups) - 0.5)
        errors = np.stack([rows[value] - rows[low], rows[high] - rows[value]])
        ax.errorbar(
            rows[value], height, xerr=errors, fmt="o", markersize=5, elinewidth=1.3, label=label_of(group)
        )
    ax.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5))
    if hue is not None:
        ax.legend(title=hue, loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def scalogram(picture: np.ndarray, seconds: float, frequencies: np.ndarray, ax: Axes | None = None) -> Axes:
    """A picture (frequencies, times) over the `seconds` of its signal; frequencies in Hz, rising."""
    if ax is None:
        _, ax = plt.subplots()
    middles = (np.arange(picture.shape[1]) + 0.5) * seconds / picture.shape[1]
    ax.pcolormesh(middles, frequencies, picture, cmap="magma", shading="nearest", rasterized=True)
    ax.set(yscale="log", xlabel="s", ylabel="Hz")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.grid(visible=False)
    return ax


def shares(frame: pd.DataFrame, outcome: str, by: str, hue: str, ax: Axes | None = None) -> Axes:
    """How often `outcome` (bool) is true in the groups `by`, a line for each value of `hue`.

    The bars are 95 % intervals for a share after Wilson (1927), which hold for small groups and small shares
    too.
    """
    if ax is None:
        _, ax = plt.subplots()
    groups = sorted(frame[by].dropna().unique())
    values = sorted(frame[hue].dropna().unique())
    for i, value in enumerate(values):
        counts = frame[frame[hue] == value].groupby(by, observed=True)[outcome].agg(["sum", "count"])
        counts = counts[counts["count"] > 0]
        tests = [stats.binomtest(int(hits), int(n)) for hits, n in counts.itertuples(index=False)]
        share = np.array([test.statistic for test in tests])
        ends = np.array([test.proportion_ci(method="wilson") for test in tests]).T
        x = [groups.index(group) + 0.12 * (i - (len(values) - 1) / 2) for group in counts.index]
        ax.errorbar(
            x,
            share,
            yerr=np.abs(ends - share),
            fmt="o-",
            capsize=2,
            label=f"{value} (n = {counts['count'].sum():,})",
        )
    ax.set(xticks=range(len(groups)), xticklabels=groups, xlabel=by, ylim=(0, None))
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    ax.legend()
    return ax


def learning_curves(histories: Mapping[str, pd.DataFrame], score: str = "auroc") -> np.ndarray:
    """Loss per epoch, training dashed and validation whole, beside a score of the validation records; a
    colour a model.

    histories: by model, the table of `training.Fit`; score: what its recipe chooses the epoch by, "auroc" or
    "auprc"; the dot marks the epoch that was kept. Returns the two axes, (2,).
    """
    figure, axes = plt.subplots(1, 2, figsize=(10, 4))
    for colour, (name, history) in zip(cycle(PALETTE), histories.items()):
        values = history[f"validation_{score}"]
        best = values.idxmax()
        axes[0].plot(history.index, history.training_loss, "--", color=colour)
        axes[0].plot(history.index, history.validation_loss, color=colour)
        axes[1].plot(history.index, values, color=colour, label=name)
        axes[1].plot(best, values[best], "o", color=colour)
    axes[0].set(
        xlabel="epoch", ylabel="binary cross-entropy", title="loss: training dashed, validation whole"
    )
    named = label_of("macro_auroc" if score == "auroc" else score)
    axes[1].set(xlabel="epoch", ylabel=named, title="validation score, dot: the epoch kept")
    for ax in axes:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside right center")
    return axes


def heat_map(frame: pd.DataFrame, fmt: str, ax: Axes | None = None) -> Axes:
    """A table as shades of one colour, its numbers printed in them as `fmt` says, ".0%": the page, light or
    dark, shows through where they are low. Thin lines part the fields.
    """
    look = {"annot_kws": {"color": TEXT}, "cmap": SHADES, "cbar": False, "linewidths": 0.6}
    ax = sns.heatmap(frame, annot=True, fmt=fmt, ax=ax, linecolor=to_rgba(TEXT, 0.25), **look)
    ax.grid(visible=False)  # which would cross the numbers
    return ax


def roc_and_precision_recall(
    targets: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]
) -> np.ndarray:
    """ROC and precision-recall curve per class, each precision-recall curve with its prevalence dotted.

    targets 0 or 1 and probabilities, (records, classes). Returns the two axes.
    """
    figure, axes = plt.subplots(1, 2, figsize=(9, 4.2))
    for i, name in enumerate(classes):
        colour = COLOURS.get(name)
        false_positive, sensitivity, _ = metrics.roc_curve(targets[:, i], probabilities[:, i])
        precision, recall, _ = metrics.precision_recall_curve(targets[:, i], probabilities[:, i])
        axes[0].plot(false_positive, sensitivity, color=colour, label=name)
        axes[1].plot(recall, precision, color=colour)
        axes[1].axhline(targets[:, i].mean(), color=colour, linestyle=":", linewidth=1)
    axes[0].plot([0, 1], [0, 1], ":", color=GREY, linewidth=1)
    axes[0].set(xlabel="1 - specificity", ylabel="sensitivity", title="ROC; chance dotted", aspect="equal")
    axes[1].set(xlabel="recall (sensitivity)", ylabel="precision",
                title="precision-recall; prevalence dotted",
                ylim=(0, 1.02), aspect="equal")  # fmt: skip
    figure.legend(loc="outside right center")
    return axes


def reliability(
    targets: np.ndarray, probabilities: np.ndarray, classes: Sequence[str], bins: int = 10
) -> Axes:
    """Observed share against probabilities per class, in `bins` equal groups; targets: (n, classes) both."""
    _, ax = plt.subplots(figsize=(5.5, 4.5))
    for i, name in enumerate(classes):
        observed, predicted = calibration_curve(
            targets[:, i], probabilities[:, i], n_bins=bins, strategy="quantile"
        )
        ax.plot(predicted, observed, "o-", color=COLOURS.get(name), markersize=4, label=name)
    ax.plot([0, 1], [0, 1], ":", color=GREY, linewidth=1)
    ax.set(xlabel="predicted probability", ylabel="observed share", aspect="equal", xlim=(0, 1), ylim=(0, 1))
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def score_by_size(scores: pd.DataFrame, size: str = "params", value: str = "value", low: str = "low",
                  high: str = "high", label: str = "model") -> Axes:  # fmt: skip
    """Scores with intervals against the number of parameters on a logarithmic axis, a name at each point."""
    _, ax = plt.subplots(figsize=(8, 4))
    ordered = scores.sort_values(size)
    errors = [ordered[value] - ordered[low], ordered[high] - ordered[value]]
    ax.errorbar(ordered[size], ordered[value], yerr=errors, fmt="o-", elinewidth=1.2, capsize=2)
    for _, row in ordered.iterrows():
        ax.annotate(row[label], (row[size], row[high]), xytext=(0, 4), textcoords="offset points",
                    ha="center",
                    fontsize="small", rotation=30)  # fmt: skip
    ax.set(xscale="log", xlabel="parameters", ylabel="macro AUROC")
    _count_in_short(ax)
    return ax


def score_by_costs(scores: pd.DataFrame, costs: Sequence[str], hue: str) -> np.ndarray:
    """Scores (columns value, low, high) against each of `costs`, columns too, on logarithmic axes side by
    side: array (costs,) of axes. A cost of 0 is left out.
    """
    _, axes = plt.subplots(1, len(costs), figsize=(11, 3.6), sharey=True)
    for ax, cost in zip(axes, costs):
        for name, rows in scores.groupby(hue, sort=False):
            errors = np.stack([rows.value - rows.low, rows.high - rows.value])
            ax.errorbar(rows[cost], rows.value, yerr=errors, fmt="o", elinewidth=1.2, label=name)
        above_zero = scores[cost][scores[cost] > 0]
        ticks = _round_numbers_around(above_zero.min(), above_zero.max()) if len(above_zero) else [1, 10]
        ax.set(xscale="log", xlabel=cost, xlim=(0.9 * ticks[0], 1.1 * ticks[-1]))
        _count_in_short(ax)
        ax.set_xticks(ticks)
    axes[-1].legend(title=hue, loc="center left", bbox_to_anchor=(1, 0.5))
    return axes


def dots(
    scores: pd.DataFrame, label: str, hue: str, palette: Mapping[str, tuple], ax: Axes | None = None
) -> Axes:
    """Values with their intervals (columns value, low, high), one row of `scores` a line, named by `label`,
    coloured by `hue`.
    """
    if ax is None:
        _, ax = plt.subplots(figsize=(8, 0.8 + 0.24 * len(scores)))
    height = np.arange(len(scores))
    errors = [scores.value - scores.low, scores.high - scores.value]
    ax.errorbar(scores.value, height, xerr=errors, fmt="none", ecolor=GREY, elinewidth=1.2)
    sns.scatterplot(x=scores.value, y=height, hue=scores[hue], palette=palette, s=40, zorder=3, ax=ax)
    ax.set(yticks=height, yticklabels=scores[label], ylim=(len(scores) - 0.5, -0.5), ylabel="")
    ax.legend(title=hue, loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def trade_off(scores: pd.DataFrame, front: pd.DataFrame, cost: str, hue: str, palette: Mapping[str, tuple],
              label: str = "model", ax: Axes | None = None) -> Axes:  # fmt: skip
    """Scores (columns value, low, high) against a cost on a logarithmic axis, coloured by `hue`.

    front: the rows that a dashed line joins and `label` names, by rising cost; between two of them the score
    of the cheaper is what the money buys.
    """
    if ax is None:
        _, ax = plt.subplots(figsize=(8, 4.5))
    errors = [scores.value - scores.low, scores.high - scores.value]
    ax.errorbar(scores[cost], scores.value, yerr=errors, fmt="none", ecolor=GREY, elinewidth=1)
    sns.scatterplot(x=scores[cost], y=scores.value, hue=scores[hue], palette=palette, s=40, zorder=3, ax=ax)
    ax.step(front[cost], front.value, "--", where="post", color=GREY, linewidth=1)
    for _, row in front.iterrows():
        ax.annotate(row[label], (row[cost], row.high), xytext=(0, 3), textcoords="offset points", ha="left",
                    rotation=65, va="bottom", rotation_mode="anchor", fontsize="small")  # fmt: skip
    ax.set(xscale="log", xlabel=cost)
    _count_in_short(ax)
    ax.legend(title=hue, loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def _round_numbers_around(low: float, high: float) -> np.ndarray:
    """Few numbers from `low` or just below to `high` or just above: 1, 2 and 5 of each power of ten, of more
    than two powers 1 alone.
    """
    steps = [1] if high > 100 * low else [1, 2, 5]
    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    numbers = np.outer(powers, steps).ravel()
    first, last = np.searchsorted(numbers, low, "right") - 1, np.searchsorted(numbers, high)
    return numbers[first : last + 1]


def _count_in_short(ax: Axes) -> None:
    """Numbers along a logarithmic axis as 50k and 1M."""
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(
        lambda x, _: f"{x / 1e6:g}M" if x >= 1e6 else f"{x / 1e3:g}k" if x >= 1e3 else f"{x:g}"
    )
    ax.xaxis.set_minor_formatter(NullFormatter())
