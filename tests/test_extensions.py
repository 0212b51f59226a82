"""What the book adds to Sphinx: equations as MathML, links from code, links to source."""

import re
import sys
from types import SimpleNamespace
from xml.etree import ElementTree

import nbformat
import pytest
from docutils import nodes
from nbformat import v4

from conftest import ROOT

sys.path.insert(0, str(ROOT / "book/extensions"))
import build_size
import code_links
import mathml
import reference


def drawn(latex: str) -> tuple[ElementTree.Element, str]:
    """An equation as MathML: its tree, and its text without blanks."""
    text = mathml.mathml(nodes.math_block(text=latex), block=True).replace("&ApplyFunction;", "")
    tree = ElementTree.fromstring(re.sub(r' xmlns="[^"]*"', "", text))
    return tree, re.sub(r"\s", "", "".join(tree.itertext()))


@pytest.mark.parametrize(
    "latex",
    [
        r"\mathrm{FL}(p_t) = -\alpha_t\,(1 - p_t)^{\gamma} \log p_t",
        r"W(a, b) = \frac{1}{\sqrt{a}} \int_{-\infty}^{\infty} x(t)\,\psi\left(\frac{t - b}{a}\right) \mathrm{d}t",
        r"\mathcal{L} = \lambda T^2\,\mathrm{KL}\bigl(p^{T} \,\|\, q^{T}\bigr)",
        r"q = \left\lfloor \frac{x}{s} \right\rceil + z",
        r"\begin{aligned} a &= b \\ c &= d \end{aligned}",
        r"y = \begin{cases} 1 & x \ge 0 \\ 0 & \text{otherwise} \end{cases}",
        r"\lVert x \rVert_2^2 = \mathbb{E}[x^2]",
    ],
)
def test_equations_of_the_books_kind_become_mathml(latex):
    tree, text = drawn(latex)
    assert tree.tag == "math" and tree.get("display") == "block"
    assert "\\" not in text


def test_a_fraction_of_two_digits_is_not_one_number():
    tree, _ = drawn(r"(n + \frac12) / \tfrac 34")
    assert [[part.text for part in fraction] for fraction in tree.iter("mfrac")] == [["1", "2"], ["3", "4"]]


def test_a_percent_sign_in_words_has_no_backslash():
    assert drawn(r"\text{95 \% interval} = 2.5\,\%")[1] == "95%interval=2.5%"


def test_a_name_with_limits_stands_above_them():
    tree, text = drawn(r"\operatorname*{arg\,min}_{T} x")
    assert tree.find(".//munder//mi").text == "arg\N{THIN SPACE}min" and "*" not in text


def test_a_bar_reaches_over_all_that_is_below_it():
    tree, _ = drawn(r"\overline{\psi(t)}")
    assert tree.find(".//mover")[-1].get("stretchy") == "true"


@pytest.mark.parametrize("latex", [r"\hat p_i", r"\bar\theta_{i}", r"\tilde{w}_i^2"])
def test_the_index_of_a_letter_with_an_accent_stands_beside_it(latex):
    tree, text = drawn(latex)
    assert tree.find(".//munderover") is None and "i" in text
    base, index = next(part for part in tree.iter() if part.tag in ("msub", "msubsup"))[:2]
    assert base.find(".//mover") is not None and "".join(index.itertext()).strip() == "i"


def test_a_function_keeps_a_distance_from_its_argument_but_not_from_a_bracket():
    assert drawn(r"\log p")[0].find(".//mspace") is not None
    assert drawn(r"\log(p)")[0].find(".//mspace") is None


def test_an_equation_that_cannot_be_read_is_a_warning_and_not_lost(caplog):
    assert mathml.mathml(nodes.math(text=r"\unknown < 1"), block=False) == r"<code>\unknown &lt; 1</code>"


def test_imports_of_the_library_are_found_among_other_lines():
    code = "$ make book\nfrom biosignals.data import (\n    ptbxl,\n    splits as parts,\n)\nimport numpy\n"
    assert code_links.imports(code) == {
        "ptbxl": "biosignals.data.ptbxl",
        "parts": "biosignals.data.splits",
    }


def test_code_links_to_what_is_described_and_to_nothing_else():
    described = {
        "biosignals.signals.filters.bandpass": SimpleNamespace(
            objtype="function", docname="api/signals", node_id="bandpass"
        ),
        "biosignals.signals.filters": SimpleNamespace(
            objtype="module", docname="api/signals", node_id="filters"
        ),
    }
    app = SimpleNamespace(
        env=SimpleNamespace(get_domain=lambda name: SimpleNamespace(objects=described)),
        builder=SimpleNamespace(get_relative_uri=lambda page, other: f"{other}.html"),
    )
    code = "from biosignals.signals import filters\nfilters.bandpass(x); filters.unknown(x); numpy.mean(x)"
    document = nodes.section("", nodes.literal_block(text=code))
    span = '<span class="n">{}</span>'
    body = [f'{span.format(a)}<span class="o">.</span>{span.format(b)}'
            for a, b in (("filters", "bandpass"), ("filters", "unknown"), ("numpy", "mean"))]  # fmt: skip
    context = {"body": " ".join(body)}
    code_links.link(app, "page", "", context, document)
    assert context["body"] == (
        '<a class="code-link" href="api/signals.html#bandpass" '
        f'title="biosignals.signals.filters.bandpass">{body[0]}</a> {body[1]} {body[2]}'
    )


def test_a_function_and_a_method_have_an_address_in_the_repository():
    folder = "https://github.com/someone/biosignals/blob/main"
    for module, name, line in (
        ("biosignals.signals.filters", "bandpass", "def bandpass("),
        ("biosignals.data.recordings", "Recordings.physical", "def physical("),
    ):
        found = reference.address(folder, "py", {"module": module, "fullname": name})
        file, first = re.fullmatch(rf"{folder}/(lib/\S+)#L(\d+)-L\d+", found).groups()
        assert line in (ROOT / file).read_text().splitlines()[int(first) - 1]
    assert (
        reference.address(folder, "py", {"module": "biosignals.signals.resampling", "fullname": "__name__"})
        is None
    )


def test_a_field_of_a_named_tuple_is_not_described_by_its_place():
    described = []
    for lines in (["Alias for field number 0", ""], ["Which of the records, (n,)."]):
        reference.legible(None, "attribute", "Rows.array", None, None, lines)
        described.append(lines)
    assert described == [[], ["Which of the records, (n,)."]]


def test_indented_lines_of_a_docstring_stay_as_they_are_written():
    lines = ["A folder holds", "", "    a.bin   the signals", "    b.json  the table", "", "and no more."]
    reference.legible(None, "module", "store", None, None, lines)
    assert lines[:5] == ["A folder holds", "", "::", "", "    a.bin   the signals"]
    given = ["Of a list:", "", "- one", "", "  more of it", "", "Code::", "", "    x = 1"]
    again = list(given)
    reference.legible(None, "module", "store", None, None, again)
    assert again == given


def test_a_built_book_keeps_what_browsers_fetch_and_notebooks_without_outputs(tmp_path):
    static, sources = tmp_path / "_static/vendor", tmp_path / "_sources/book"
    static.mkdir(parents=True)
    sources.mkdir(parents=True)
    for name in ("a.js", "a.js.map", "de.po", "de.mo", "both.ttf", "both.woff2", "alone.ttf"):
        (static / name).write_text("x")
    output = v4.new_output("stream", text="1\n")
    cells = [v4.new_markdown_cell("Why"), v4.new_code_cell("print(1)", outputs=[output], execution_count=1)]
    nbformat.write(v4.new_notebook(cells=cells), sources / "01.ipynb")

    build_size.shrink(SimpleNamespace(outdir=tmp_path), None)

    assert {path.name for path in static.iterdir()} == {"a.js", "de.mo", "both.woff2", "alone.ttf"}
    text, code = nbformat.read(sources / "01.ipynb", 4).cells
    assert text.source == "Why" and code.source == "print(1)" and not code.outputs
    assert [path.name for path in sources.iterdir()] == ["01.ipynb"]
