"""The first use of a glossary's term on each page becomes a link to it, which shows its definition."""

import re
from collections.abc import Iterator

from docutils import nodes
from sphinx.addnodes import glossary
from sphinx.application import Sphinx

GLOSSARY = "book/glossary"
LEFT_ALONE = GLOSSARY, "book/references"
LEFT_OUT = nodes.reference, nodes.title, nodes.literal, nodes.math, nodes.raw, nodes.image
# Words that mostly mean something else.
COMMON = {"lead", "event", "echo", "foot", "notch", "anchor", "profile", "window", "macro"}


def link(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Put the links into a page's paragraphs and lists."""
    if page in LEFT_ALONE or "/api/" in page:
        return
    terms = definitions(app)
    words = sorted(terms, key=len, reverse=True)
    pattern = re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, words))})(s?)(?![\w-])")
    linked = {node["refid"] for node in doctree.findall(nodes.reference) if "refid" in node}
    linked |= {
        node["refuri"].partition("#")[2] for node in doctree.findall(nodes.reference) if "refuri" in node
    }
    for text in list(doctree.findall(nodes.Text)):
        if any(isinstance(node, LEFT_OUT) for node in ancestors(text)):
            continue
        parts, rest = [], str(text)
        while found := next((one for one in pattern.finditer(rest) if terms[one[1]][0] not in linked), None):
            place, definition = terms[found[1]]
            linked.add(place)
            address = f"{app.builder.get_relative_uri(page, GLOSSARY)}#{place}"
            target = nodes.reference(
                "", found[0], internal=True, refuri=address, reftitle=definition, classes=["term"]
            )
            parts += [nodes.Text(rest[: found.start()]), target]
            rest = rest[found.end() :]
        if parts:
            text.parent.replace(text, [*parts, nodes.Text(rest)])


def ancestors(node: nodes.Node) -> Iterator[nodes.Node]:
    while node.parent is not None:
        node = node.parent
        yield node


def definitions(app: Sphinx) -> dict[str, tuple[str, str]]:
    """By term: the anchor of its entry, which is that of the entry's first term, and its definition."""
    if not hasattr(app, "glossary_terms"):
        app.glossary_terms = {}
        for entry in app.env.get_doctree(GLOSSARY).findall(nodes.definition_list_item):
            if not isinstance(entry.parent.parent, glossary):
                continue
            named = list(entry.findall(nodes.term))
            definition = next(entry.findall(nodes.definition)).astext().replace("\n", " ")
            for term in named:
                if term.astext() not in COMMON:
                    app.glossary_terms[term.astext()] = (named[0]["ids"][0], definition)
    return app.glossary_terms


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-resolved", link)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
