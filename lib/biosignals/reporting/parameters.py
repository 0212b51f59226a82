"""The parameters that a chapter's notebook holds."""

from __future__ import annotations

import ast
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

WHOLE_SETS = ("reference", "full")  # profiles that take all that is there of a set, or what they list


def stored_parameters(notebook: Path) -> dict[str, Any]:
    """The values in the cell of a notebook file that is tagged `parameters`, as far as they are written out;
    not where a run reads and writes.
    """
    cells = json.loads(notebook.read_text())["cells"]
    tagged = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
    values = {}
    for statement in ast.parse("".join(line for cell in tagged for line in cell["source"])).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            with suppress(ValueError):  # a reader's own expression
                values[statement.targets[0].id] = ast.literal_eval(statement.value)
    return {name: value for name, value in values.items() if name not in ("profile", "data", "folder")}
