"""Equations as MathML, which browsers draw by themselves: no script, nothing fetched from elsewhere."""

import functools
import html
import re

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number
from sphinx.writers.html import HTMLTranslator

logger = logging.getLogger(__name__)

# What docutils does not translate, or not as it is set in print: a name with limits below; blanks in a name;
# a fraction of two digits, which it takes for one number; a percent sign in words; a bar over all below; the
# space between a function and its argument; the size of aligned sums; an index, which it sets below a letter
# with an accent.
LIMITS = re.compile(r"\\operatorname\*\s*(\{[^{}]*\})\s*_\s*(\{[^{}]*\}|\w)")
NAME = re.compile(r"\\operatorname\{[^{}]*\}")
DIGITS = re.compile(r"(\\[dt]?frac)\s*(\d)\s*(\d)")
ACCENT = re.compile(r"(\\(?:bar|dot|hat|tilde|vec)\b\s*(?:\{[^{}]*\}|\\[A-Za-z]+|[A-Za-z]))\s*_")
WORDS = re.compile(r"\\text\{[^{}]*\}")
IN_PRINT = [
    ('<mo accent="true">_</mo>', '<mo stretchy="true">&#x203e;</mo>'),
    (r"<mo>&ApplyFunction;</mo>(?!\s*(?:<mo[ >]|</))", '<mspace width="0.17em"></mspace>'),
    ('<mtable class="ams-align">', '<mtable class="ams-align" displaystyle="true">'),
]


def inline(translator: HTMLTranslator, node: nodes.math) -> None:
    translator.body.append(mathml(node, block=False))
    raise nodes.SkipNode


def displayed(translator: HTMLTranslator, node: nodes.math_block) -> None:
    """An equation on a line of its own, its number and the link to it at the right."""
    translator.body.append(translator.starttag(node, "div", CLASS="math"))
    translator.body.append(mathml(node, block=True))
    if node["number"]:
        translator.body.append(f'<span class="eqno">({get_node_equation_number(translator, node)})')
        translator.add_permalink_ref(node, "Link to this equation")
        translator.body.append("</span>")
    translator.body.append("</div>\n")
    raise nodes.SkipNode


def mathml(node: nodes.Element, block: bool) -> str:
    """An equation's LaTeX as MathML; what cannot be read is shown as it is, with a warning."""
    latex = LIMITS.sub(r"\\underset{\2}{\\operatorname\1}\\,", node.astext())
    latex = DIGITS.sub(r"\1{\2}{\3}", latex)
    latex = ACCENT.sub(r"{\1 {}}_", latex)
    latex = WORDS.sub(lambda words: words[0].replace(r"\%", "%"), latex)
    latex = NAME.sub(lambda name: name[0].replace(r"\,", "\N{THIN SPACE}"), latex)
    try:
        markup = tex2mathml(latex, as_block=block)
        return functools.reduce(lambda text, change: re.sub(*change, text), IN_PRINT, markup)
    except MathError as error:
        logger.warning("equation %r: %s", node.astext(), error, location=node)
        return f"<code>{html.escape(node.astext())}</code>"


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", (inline, None), (displayed, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
