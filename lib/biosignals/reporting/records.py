"""The record of a score that every chapter writes: its keys, its vocabulary, its files."""

import json
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from biosignals import caching

KEYS = tuple(
    """chapter task model condition dataset kind split seed n_train n_test subjects positives passes steps
    metric value low high versus delta delta_low delta_high runtime batch latency_ms p95_ms params bytes macs
    seconds versions commit hardware precision predictions""".split()
)
COUNTS = "seed n_train n_test subjects positives passes steps batch params bytes macs".split()
REQUIRED = ("chapter", "task", "model", "dataset", "kind", "split", "n_test", "metric", "value")
VOCABULARY = {
    "task": """superclass af af-episodes rhythm-4 seizure neonatal-seizure pulse-shape hypertension
        blood-pressure identification r-peaks waves""".split(),
    "dataset": """own ptb-xl cinc2017 ptb-xl+cinc2017 ludb cpsc2021 afdb sph chb-mit helsinki wf-ppg bidmc
        ppg-bp""".split(),
    "kind": "real excerpt derived simulated".split(),
    "split": "train validation out-of-fold test".split(),
    "metric": """macro_auroc auroc auprc macro_f1 accuracy balanced_accuracy sensitivity specificity precision
        f1 event_f1 event_sensitivity false_alarms_per_day delay_s burden_error kappa eer brier ece mae rmse
        timing_error_ms""".split(),
}
CONDITIONS = """ablation age aggregation augmentation channels channels-pruned checkpoint class decision
    detector device distillation encoder ensemble epochs error evaluated-on filter finetuning folds
    format hyperparameters image impostors input labels leads loss noise order output perturbation
    prediction pretraining quantization remedy sampling scaling sex size sparsity split stopping
    subjects targets teacher threshold train training versus window windows""".split()
"""What may differ beside the model."""

LABELS = {
    "value": "score", "delta": "difference", "n_test": "n", "n_train": "n in training",
    "params": "parameters", "macs": "MACs", "latency_ms": "latency, ms", "p95_ms": "95th percentile, ms",
    "seconds": "training, s",
    "macro_auroc": "macro AUROC", "auroc": "AUROC", "auprc": "AUPRC", "macro_f1": "macro F1", "f1": "F1",
    "event_f1": "event F1", "false_alarms_per_day": "false alarms per 24 h", "delay_s": "delay, s",
    "eer": "equal error rate", "brier": "Brier score", "ece": "calibration error",
    "mae": "mean absolute error", "rmse": "root mean square error", "timing_error_ms": "timing error, ms",
}  # fmt: skip
"""Keys of a record and metrics as they are printed, where that is more than a blank for an underscore."""


def label_of(name: Any) -> Any:
    """A key of a record or a metric as it is printed: `balanced_accuracy` is balanced accuracy; anything else
    unchanged.
    """
    if not isinstance(name, str) or name not in (*KEYS, *VOCABULARY["metric"], "delta_low", "delta_high"):
        return name
    return LABELS.get(name, name.replace("_", " "))


def record(**values: Any) -> dict:
    """One result with all `KEYS`, those not given null; `condition` is empty for the plain case.

    versions, commit and hardware are those of this process unless the fit's own are given. Raises ValueError
    for an unknown key, a missing required one, a word outside of `VOCABULARY` or `CONDITIONS`, a model whose
    name is not one word, or a condition that is not words `key=value`.
    """
    unknown = sorted(set(values) - set(KEYS))
    missing = [key for key in REQUIRED if _plain(values.get(key)) is None]  # NaN is none, too
    if unknown or missing:
        raise ValueError(f"a record with unknown keys {unknown} and without the required {missing}")
    for key, words in VOCABULARY.items():
        if values[key] not in words:
            raise ValueError(f"{key} is one of {', '.join(words)}; not {values[key]!r}")
    filled = dict.fromkeys(KEYS) | {"condition": ""} | caching.provenance() | values
    filled = {key: _plain(filled[key]) for key in KEYS}
    filled |= {key: int(filled[key]) for key in COUNTS if filled[key] is not None}
    if not re.fullmatch(r"[\w.+-]+", filled["model"]):
        raise ValueError(f"a model's name is one word, not {filled['model']!r}")
    for word in filled["condition"].split():
        key, _, value = word.partition("=")
        if key not in CONDITIONS or not value or "=" in value:
            raise ValueError(f"a condition is words like loss=focal of {', '.join(CONDITIONS)}; not {word!r}")
    return filled


def from_scores(table: pd.DataFrame, names: Mapping | None = None, **about: Any) -> list[dict]:
    """A record for each row of a table that `evaluation.scores.compare` made, in which columns that are no
    keys are left out.

    names: model and condition of those of the table's models that go by another name. about: the other keys,
    the same for all rows. A row that does not say what made it, as a mean of models, was made by this
    process. Raises ValueError as `record`, and for an AUPRC without `positives`: it is read beside its
    prevalence.
    """
    names, rows = names or {}, []
    for row in table[[name for name in table if name in KEYS]].to_dict("records"):
        model, condition = names.get(row["model"], (row["model"], ""))
        known = {key: value for key, value in row.items() if _plain(value) is not None}
        row = known | {"model": model, "condition": condition}
        if row.get("versus") is not None:
            row["versus"] = names.get(row["versus"], (row["versus"], ""))[0]
        rows.append(record(**(row | about)))
        if rows[-1]["metric"] == "auprc" and rows[-1]["positives"] is None:
            raise ValueError(
                f"the AUPRC of {model} is recorded with its `positives`: how many of n_test are positive"
            )
    return rows


def write(path: Path, records: Iterable[dict]) -> None:
    """Write a list of records as JSON, whole or not at all."""
    rows = ",\n".join(json.dumps(row, allow_nan=False) for row in records)
    with caching.writing(path) as unfinished:
        unfinished.write_text(f"[\n{rows}\n]\n")


def read(*paths: Path) -> pd.DataFrame:
    """The records of several files in one table. Raises ValueError, naming the file, for one that holds no
    records.
    """
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
    """Collect the records of all chapters of a run, `RUN/results/*.json`, in `RUN/results.json`."""
    rows = [row for path in sorted(Path(run).glob("results/*.json")) for row in json.loads(path.read_text())]
    write(Path(run) / "results.json", [record(**row) for row in rows])
    return Path(run) / "results.json"


def read_run(run: Path) -> pd.DataFrame:
    """The records that the chapters of a run have written so far, `RUN/results/*.json`, in the order of the
    chapters.

    Raises FileNotFoundError, naming the remedy, for a run without any.
    """
    files = sorted(Path(run).glob("results/*.json"))
    if not files:
        raise FileNotFoundError(
            f"{Path(run).name} has no results yet: execute the other chapters first (make run-all)"
        )
    return read(*files)


def _plain(value: Any) -> Any:
    """Python numbers in place of NumPy's; null for NaN."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
