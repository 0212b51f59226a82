"""The record of a score that every chapter writes: its keys, its vocabulary, its files."""

import functools
import json
import math
import os
import platform
import re
import subprocess
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path

import pandas as pd

KEYS = (
    "chapter", "task", "model", "condition", "dataset", "kind", "split", "seed", "n_train", "n_test", "subjects",
    "metric", "value", "low", "high", "versus", "delta", "delta_low", "delta_high", "runtime", "batch", "latency_ms",
    "p95_ms", "params", "bytes", "macs", "seconds", "versions", "commit",
)  # fmt: skip
REQUIRED = ("chapter", "task", "model", "dataset", "kind", "split", "n_test", "metric", "value")
KINDS = ("real", "excerpt", "simulated", "derived")
SPLITS = ("train", "validation", "out-of-fold", "test")


def record(**values) -> dict:
    """One result with all keys, those not given null; `condition` is empty for the plain case.

    Raises ValueError for an unknown key, a missing required one, a word outside of the vocabulary, a model whose name is
    not one word, or a condition that is not words `key=value`.
    """
    unknown = sorted(set(values) - set(KEYS))
    missing = [key for key in REQUIRED if _plain(values.get(key)) is None]  # NaN is none, too
    if unknown or missing:
        raise ValueError(f"a record with unknown keys {unknown} and without the required {missing}")
    if values["kind"] not in KINDS or values["split"] not in SPLITS:
        raise ValueError(
            f"kind is one of {KINDS}, split one of {SPLITS}: {values['kind']}, {values['split']}"
        )
    filled = dict.fromkeys(KEYS) | {"condition": "", "versions": _versions(), "commit": _commit()} | values
    filled = {key: _plain(filled[key]) for key in KEYS}
    if not re.fullmatch(r"[\w.+-]+", filled["model"]):
        raise ValueError(f"a model's name is one word, not {filled['model']!r}")
    if not all(re.fullmatch(r"[^=\s]+=[^=\s]+", word) for word in filled["condition"].split()):
        raise ValueError(f"a condition is words like loss=focal, not {filled['condition']!r}")
    return filled


def from_scores(
    scores: pd.DataFrame, names: Mapping | None = None, sizes: Mapping[str, int] | None = None, **about
) -> list[dict]:
    """A record for each row of a table that `evaluation.scores` made.

    names: model and condition of those of the table's models that go by another name. sizes: parameters of each model.
    about: the other keys, the same for all rows.
    """
    records = []
    for row in scores.to_dict("records"):
        model, condition = (names or {}).get(row["model"], (row["model"], ""))
        called = {"model": model, "condition": condition}
        size = {"params": sizes.get(model)} if sizes else {}
        records.append(record(**about, **(row | called | size)))
    return records


def write(path: Path, records: Iterable[dict]) -> None:
    """Write a list of records as JSON, whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}.part")
    rows = ",\n".join(json.dumps(row, allow_nan=False) for row in records)
    unfinished.write_text(f"[\n{rows}\n]\n")
    os.replace(unfinished, path)


def read(*paths: Path) -> pd.DataFrame:
    """The records of several files in one table. Raises ValueError, naming the file, for one that holds no records."""
    rows = []
    for path in map(Path, paths):
        try:
            found = json.loads(path.read_text())
            rows += [{key: row[key] for key in KEYS} for row in found]
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path} is no list of result records ({error}); run its chapter again"
            ) from error
    return pd.DataFrame(rows, columns=list(KEYS))


def merge(run: Path) -> Path:
    """Collect the records of all chapters of a run, RUN/results/*.json, in RUN/results.json."""
    rows = [row for path in sorted(Path(run).glob("results/*.json")) for row in json.loads(path.read_text())]
    write(Path(run) / "results.json", [record(**row) for row in rows])
    return Path(run) / "results.json"


def read_run(run: Path) -> pd.DataFrame:
    """The records that the chapters of a run have written so far, RUN/results/*.json, in the order of the chapters.

    Raises FileNotFoundError, naming the remedy, for a run without any.
    """
    files = sorted(Path(run).glob("results/*.json"))
    if not files:
        raise FileNotFoundError(
            f"{Path(run).name} has no results yet: execute the other chapters first (make run-all)"
        )
    return read(*files)


def _plain(value):
    """Python numbers in place of NumPy's; null for NaN."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


@functools.cache
def _versions() -> str:
    packages = ("torch", "lightning", "scikit-learn")
    return f"python {platform.python_version()}, " + ", ".join(
        f"{name} {version(name).split('+')[0]}" for name in packages
    )


@functools.cache
def _commit() -> str | None:
    """The checked-out commit, null outside of a checkout."""
    command = ["git", "rev-parse", "--short=12", "HEAD"]
    try:
        return subprocess.run(
            command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
