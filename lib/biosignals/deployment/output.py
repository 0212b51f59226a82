"""Answers and refusals for many files, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from biosignals.caching import writing
from biosignals.data.readers import printable
from biosignals.deployment.predict import NO_DIAGNOSIS, Prediction

if TYPE_CHECKING:  # pandas, for which predictions do not wait
    from biosignals.deployment.evaluate import Evaluation

COLUMNS = (
    "file", "refused", "model", "task", "class", "probability", "threshold", "above", "episodes", "burden",
    "windows", "left_out", "seconds",
)  # fmt: skip


@dataclass(frozen=True)
class Reply:
    """What is known of a file: predictions by model, or why it is refused; why other models do not answer."""

    file: str
    predictions: Mapping[str, Prediction] = field(default_factory=dict)
    refused: str | None = None
    silent: Mapping[str, str] = field(default_factory=dict)


def as_json(replies: Sequence[Reply]) -> str:
    """All replies as JSON: probabilities as floats of 64 bits, what is not a number as null."""
    files = [_describe(reply) for reply in replies]
    return json.dumps({"note": NO_DIAGNOSIS, "files": files}, indent=1, allow_nan=False) + "\n"


def as_csv(replies: Sequence[Reply]) -> str:
    """A row for each class that a model predicts for a file, and for each refusal: COLUMNS."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for reply in replies:
        if reply.refused is not None:
            writer.writerow({"file": reply.file, "refused": reply.refused})
        for model, reason in reply.silent.items():
            writer.writerow({"file": reply.file, "refused": reason, "model": model})
        for model, prediction in reply.predictions.items():
            for row in _rows(model, prediction):
                writer.writerow({"file": reply.file} | row)
    return text.getvalue()


def write(text: str, path: Path) -> None:
    """Write a text to a file, whole or not at all."""
    with writing(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def _describe(reply: Reply) -> dict[str, Any]:
    answers = [{"model": model} | describe(one) for model, one in reply.predictions.items()]
    return {
        "file": reply.file,
        "refused": reply.refused,
        "answers": answers,
        "not_answered": dict(reply.silent),
    }


def describe(prediction: Prediction) -> dict[str, Any]:
    """A prediction as what JSON holds: lists, text and finite numbers; None where there is no number."""
    card = prediction.card
    return {
        "task": printable(card.task),
        "net": printable(card.model),
        "seconds": prediction.seconds,
        "classes": _classes(prediction),
        "windows": {
            "seconds": prediction.window,
            "starts": prediction.starts.tolist(),
            "probabilities": [_finite(row) for row in prediction.windows],
            "left_out": prediction.left_out,
        },
    }


def _classes(prediction: Prediction) -> list[dict[str, Any]]:
    card, found = prediction.card, []
    columns = (card.classes, prediction.probabilities, card.thresholds, prediction.above, prediction.burden())
    episodes = None if prediction.least is None else prediction.episodes()
    for name, p, threshold, above, burden in zip(*columns, strict=True):
        own = None
        if episodes is not None:
            own = [
                {"start": one.start, "end": one.end, "highest": one.highest}
                for one in episodes
                if one.name == name
            ]
        found.append({
            "class": printable(name), "probability": float(p), "threshold": threshold, "above": bool(above),
            "episodes": own, "burden": _finite([burden])[0],
        })  # fmt: skip
    return found


def _rows(model: str, prediction: Prediction) -> list[dict[str, Any]]:
    whole = {
        "model": model, "task": printable(prediction.card.task), "seconds": prediction.seconds,
        "windows": len(prediction.windows), "left_out": prediction.left_out,
    }  # fmt: skip
    rows = []
    for one in _classes(prediction):
        count = None if one["episodes"] is None else len(one["episodes"])
        rows.append(whole | one | {"above": int(one["above"]), "episodes": count})
    return rows


def _finite(values: Sequence[float] | np.ndarray) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]


# Scores


def scores_as_text(found: Evaluation) -> str:
    """A line for each class and metric, with the interval and, beside another model, the difference."""
    lines = []
    for row in found.scores.to_dict("records"):
        metric = f"{row['class']}, {row['metric']}, {row['model']}"
        line = f"{printable(metric)}: {_interval(row, 'value', 'low', 'high')}"
        if isinstance(row["versus"], str) and row["versus"] != row["model"]:
            line += f", difference {_interval(row, 'delta', 'delta_low', 'delta_high')}"
        lines.append(line)
    answered = 0 if found.predictions is None else len(found.predictions.truth)
    lines.append(f"{answered} recordings answered, {len(found.refused)} refused")
    return "\n".join(lines)


def scores_as_json(found: Evaluation) -> str:
    """Scores and refusals as JSON, what is not a number as null."""
    rows = [{name: _plain(value) for name, value in row.items()} for row in found.scores.to_dict("records")]
    return json.dumps({"scores": rows, "refused": found.refused}, indent=1, allow_nan=False) + "\n"


def scores_as_csv(found: Evaluation) -> str:
    """A row for each class and metric, and for each refusal with its reason."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [*found.scores.columns, "file", "refused"], lineterminator="\n")
    writer.writeheader()
    for row in found.scores.to_dict("records"):
        writer.writerow({name: _plain(value) for name, value in row.items()})
    for name, reason in found.refused.items():
        writer.writerow({"file": printable(name), "refused": reason})
    return text.getvalue()


def _interval(row: Mapping[str, Any], value: str, low: str, high: str) -> str:
    score, *ends = (_plain(row[name]) for name in (value, low, high))
    if score is None:
        return "not defined"
    return f"{score:.3f}" if None in ends else f"{score:.3f} [{ends[0]:.3f}, {ends[1]:.3f}]"


def _plain(value: Any) -> Any:
    """A number of NumPy's as Python's, NaN as None, anything else as it is."""
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not np.isfinite(value) else value
