"""The record that every chapter writes, and the tables made from it: the scoreboard, the README's and the pages'."""

import argparse
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

    Raises ValueError for an unknown key, a missing required one, a word outside of the vocabulary, or a condition
    that is not words `key=value`.
    """
    unknown = sorted(set(values) - set(KEYS))
    missing = [key for key in REQUIRED if values.get(key) is None]
    if unknown or missing:
        raise ValueError(f"a record with unknown keys {unknown} and without the required {missing}")
    if values["kind"] not in KINDS or values["split"] not in SPLITS:
        raise ValueError(
            f"kind is one of {KINDS}, split one of {SPLITS}: {values['kind']}, {values['split']}"
        )
    filled = dict.fromkeys(KEYS) | {"condition": "", "versions": _versions(), "commit": _commit()} | values
    filled = {key: _plain(filled[key]) for key in KEYS}
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


def score_table(records: pd.DataFrame, task: str = "superclass", metric: str = "macro_auroc") -> pd.DataFrame:
    """Scores with their intervals, a row per model in the plain case, best first, a column per split."""
    rows = records.query("task == @task and metric == @metric and condition == '' and split != 'train'")
    rows = rows[
        rows.groupby(["model", "split"]).seed.transform(lambda seeds: seeds.isna() | seeds.notna().all())
    ]
    table = rows.assign(score=rows.apply(interval_text, axis=1)).pivot_table(
        index="model", columns="split", values="score", aggfunc="first"
    )
    best = rows.sort_values("value").groupby(["split", "model"]).value.last().unstack("split")
    counts = rows.groupby("model").params.first()
    table.insert(0, "parameters", counts.map(lambda count: "" if pd.isna(count) else f"{int(count):,}"))
    return table.loc[best.sort_values(best.columns[0], ascending=False).index].fillna("")


def interval_text(row: pd.Series) -> str:
    """A score as ".915 [.905-.924]"; without an interval just the score."""
    if pd.isna(row.low):
        return short(row.value)
    return f"{short(row.value)} [{short(row.low)}-{short(row.high)}]"


def short(value: float, digits: int = 3) -> str:
    """A share without its leading zero, .915; numbers above 1, which count something, with one decimal."""
    if abs(value) > 1:
        return f"{value:.1f}"
    return f"{value:.{digits}f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.{digits}f}"


def update_readme(readme: Path, records: pd.DataFrame) -> None:
    """Put the score table between README's <!-- scores --> marks."""
    text = Path(readme).read_text()
    before, rest = text.split("<!-- scores -->")
    after = rest.split("<!-- /scores -->")[1]
    unfinished = Path(readme).with_suffix(".part")
    unfinished.write_text(f"{before}<!-- scores -->\n{readme_table(records)}\n<!-- /scores -->{after}")
    os.replace(unfinished, readme)


def readme_table(records: pd.DataFrame) -> str:
    """The README's table in Markdown, with the data named above it."""
    rows = records.query("task == 'superclass' and condition == ''")
    data = ", ".join(
        f"{dataset} ({kind})" for dataset, kind in rows[["dataset", "kind"]].drop_duplicates().values
    )
    counts = rows.query("metric == 'macro_auroc'").groupby("split").n_test.max()
    sizes = ", ".join(f"{split} n = {count:,}" for split, count in counts.items())
    return f"Macro AUROC [95 % interval] over five superclasses. Data: {data}; {sizes}.\n\n{score_table(records).to_markdown(disable_numparse=True)}"


def _plain(value):
    """Python numbers in place of NumPy's; null for NaN."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _versions() -> str:
    packages = ("torch", "lightning", "scikit-learn")
    return f"python {platform.python_version()}, " + ", ".join(
        f"{name} {version(name).split('+')[0]}" for name in packages
    )


def _commit() -> str | None:
    """The checked-out commit, null outside of a checkout."""
    command = ["git", "rev-parse", "--short=12", "HEAD"]
    try:
        return subprocess.run(
            command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def main() -> None:
    """Merge a run's records; with --readme, put its score table into that file too."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("run", type=Path, help="folder with results/*.json or results.json")
    parser.add_argument("--readme", type=Path, help="file with <!-- scores --> marks to fill")
    arguments = parser.parse_args()
    merged = merge(arguments.run) if (arguments.run / "results").is_dir() else arguments.run / "results.json"
    if arguments.readme:
        update_readme(arguments.readme, read(merged))


if __name__ == "__main__":
    main()
