"""Compare a model of one's own with those of the book, paired, without fitting them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from biosignals import caching
from biosignals.evaluation import scores
from biosignals.evaluation.predictions import Predictions
from biosignals.reporting import records


def published(reference: Path | str, **keys: Any) -> pd.DataFrame:
    """The records of a reference run whose predictions travel with it, one row for each model and split.

    reference: folder with results.json and predictions/. keys: of records, as task="superclass",
    chapter="03_baseline". Raises ValueError for a key that records do not have.
    """
    found = records.read(Path(reference) / "results.json")
    if unknown := set(keys) - set(found):
        raise ValueError(f"records have no {', '.join(sorted(unknown))}: their keys are {', '.join(found)}")
    for key, value in keys.items():
        found = found[found[key] == value]
    found = found[found.predictions.notna()]
    return found.drop_duplicates(["chapter", "task", "model", "condition", "dataset", "split", "predictions"])


def predictions(reference: Path | str, model: str, condition: str = "", **keys: Any) -> Predictions:
    """The committed predictions of one model, (seeds, n, classes), with truth, subjects and ids as text.

    keys: of records, as many as tell it from others; without `split`, out of fold. Raises ValueError where
    there is none, or more than one.
    """
    keys = {"split": "out-of-fold"} | keys | {"model": model, "condition": condition}
    rows = published(reference, **keys)
    files = rows.predictions.unique()
    if len(files) != 1:
        known = ", ".join(sorted(published(reference).model.unique()))
        raise ValueError(
            f"{len(rows)} records of {model} {condition!r} have predictions of their own: "
            f"{'say also chapter=, task= or seed=' if len(rows) else f'models that have some are {known}'}"
        )
    return _predictions(Path(reference), files[0])


def compare(
    own: Mapping[str, Predictions],
    theirs: Predictions,
    name: str,
    metrics: Mapping[str, scores.Metric] | None = None,
) -> pd.DataFrame:
    """Scores of models of one's own beside `theirs`, called `name`, and paired differences from it: see
    `scores.compare`.

    Predictions are put into one order by their ids, and only recordings that all have are scored. Raises
    ValueError where these are none, have other truths, or stand twice, and for a model of one's own that is
    called `name` too.
    """
    if name in own:
        raise ValueError(f"one of your models is called {name!r} as theirs is: give it another name")
    return scores.compare(_on_common_recordings({name: theirs} | dict(own)), name, metrics)


def pairs(reference: Path | str, rows: pd.DataFrame, metric: scores.Metric) -> pd.DataFrame:
    """How each of some published models scores against each other one, on the same resampled subjects.

    rows: of `published`, or other records with committed predictions, indexed by names of one's own. Columns
    model, versus, n_test, delta, delta_low, delta_high, a row for each ordered pair. Raises ValueError where
    predictions are missing, have no recording in common, or have other truths.
    """
    found = {name: _predictions(Path(reference), files) for name, files in rows.predictions.items()}
    aligned = _on_common_recordings(found)
    drawn = {name: scores.bootstrap(metric, one) for name, one in aligned.items()}
    table = []
    for model, versus in permutations(drawn, 2):
        delta = scores.summary(drawn[model] - drawn[versus])
        row = {"model": model, "versus": versus, "n_test": len(aligned[model].truth)}
        table.append(row | {"delta": delta.value, "delta_low": delta.low, "delta_high": delta.high})
    return pd.DataFrame(table, columns=["model", "versus", "n_test", "delta", "delta_low", "delta_high"])


def _on_common_recordings(models: Mapping[str, Predictions]) -> dict[str, Predictions]:
    """Predictions of the recordings that all models have, in the order of the first. Raises ValueError for
    none, for those that stand twice, and for other truths.
    """
    ids_of = {name: pd.Index(np.asarray(one.ids).astype(str)) for name, one in models.items()}
    first, *others = ids_of
    ids = ids_of[first]
    for name, own in ids_of.items():
        if own.has_duplicates:
            raise ValueError(
                f"{name} predicts {own[own.duplicated()][0]} more than once: average the windows of each "
                "recording first, Predictions.averaged"
            )
    for name in others:
        ids = ids.intersection(ids_of[name], sort=False)
    if not len(ids):
        raise ValueError(f"{', '.join(map(str, models))} have no recording in common: are these their ids?")
    aligned = {
        name: replace(one.take(ids_of[name].get_indexer(ids)), ids=ids.to_numpy())
        for name, one in models.items()
    }
    scores.check_same_records(aligned)
    return aligned


def _predictions(reference: Path, files: str) -> Predictions:
    """The committed predictions whose entries `files` names, (seeds, n, classes)."""
    entries = [_read(reference / f"predictions/{name}.npz") for name in files.split()]
    arrays = [np.reshape(entry["array"], (-1, *entry["array"].shape[-2:])) for entry in entries]
    probabilities, first = np.concatenate(arrays), entries[0]
    truth = first["truth"][:, : probabilities.shape[2]]
    return Predictions(probabilities, truth, first["subjects"], first["ids"])


def _read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a committed entry. ValueError, naming it, for one that is missing or damaged."""
    entry = caching.read_entry(path)
    if entry is None:
        raise ValueError(f"{path} is missing or damaged: get the project's files again")
    return entry[0]
