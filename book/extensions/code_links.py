"""Functions and classes of the library that a page's code uses become links to their reference."""

import ast
import re

from docutils import nodes
from sphinx.application import Sphinx

NAME = re.compile(r'<span class="n">(\w+)</span>(?:<span class="o">\.</span><span class="n">(\w+)</span>)?')


def link(app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    """Link what is imported from the library, and the attributes of its modules, to where it is described."""
    if doctree is None or "body" not in context:
        return
    imported = imports("\n".join(block.astext() for block in doctree.findall(nodes.literal_block)))
    described = app.env.get_domain("py").objects

    def linked(found: re.Match) -> str:
        name = imported.get(found[1], "")
        for whole in filter(None, (found[2] and f"{name}.{found[2]}", name)):
            place = described.get(whole)
            if place is not None and place.objtype != "module":
                target = f"{app.builder.get_relative_uri(page, place.docname)}#{place.node_id}"
                return f'<a class="code-link" href="{target}" title="{whole}">{found[0]}</a>'
        return found[0]

    context["body"] = NAME.sub(linked, context["body"]) if imported else context["body"]


def imports(code: str) -> dict[str, str]:
    """Names that lines of code import from the library, and what they stand for; other lines may be of any
    language.
    """
    found = {}
    for statement in re.findall(r"^from biosignals[\w.]* import (?:\([^)]*\)|.*)$", code, re.MULTILINE):
        (node,) = ast.parse(statement).body
        found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return found


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", link)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
