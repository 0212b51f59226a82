"""The reference of the library: defaults that can be read, fields without Python's own text and,
where the repository's address is configured, links to each function's source.
"""

import importlib
import inspect
from functools import partial
from pathlib import Path

import yaml
from sphinx.application import Sphinx
from sphinx.config import Config


def configure(app: Sphinx, config: Config) -> None:
    repository = yaml.safe_load((Path(app.confdir or app.srcdir) / "_config.yml").read_text())["repository"]
    if repository["url"]:
        folder = f"{repository['url']}/blob/{repository['branch']}"
        app.setup_extension("sphinx.ext.linkcode")
        config.linkcode_resolve = partial(address, folder)


def readable(
    app: Sphinx, what: str, name: str, thing: object, options: object, signature: str, returned: str
):
    """A dataclass's signature without what Python prints for a default that is made anew."""
    return (signature or "").replace("<factory>", "..."), returned


def legible(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """A docstring whose indented lines stay as they are written; nothing of what Python says of a named
    tuple's field, its number.
    """
    if lines and lines[0].startswith("Alias for field number"):
        lines.clear()
    for place in range(len(lines) - 2, 0, -1):
        before, line, after = lines[place - 1 : place + 2]
        begins = not line and after.startswith(" ") and before and before[0] not in " -*."
        if begins and not before.endswith("::"):
            lines[place:place] = ["", "::"]


def address(folder: str, domain: str, described: dict[str, str]) -> str | None:
    """Where the lines of a function or class stand in the repository's folder."""
    thing = importlib.import_module(described["module"])
    for name in described["fullname"].split("."):
        thing = inspect.unwrap(getattr(thing, name, None))
    if not (inspect.isfunction(thing) or inspect.isclass(thing)):
        return None
    lines, first = inspect.getsourcelines(thing)
    file = Path(inspect.getsourcefile(thing)).as_posix().partition("/lib/biosignals/")[2]
    return f"{folder}/lib/biosignals/{file}#L{first}-L{first + len(lines) - 1}"


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", configure)
    app.connect("autodoc-process-signature", readable)
    app.connect("autodoc-process-docstring", legible)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
