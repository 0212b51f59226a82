"""Compare a model of one's own with those of the book, paired, without fitting them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
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
    entries = [_read(Path(reference) / f"predictions/{name}.npz") for name in files[0].split()]
    arrays = [np.reshape(entry["array"], (-1, *entry["array"].shape[-2:])) for entry in entries]
    probabilities, first = np.concatenate(arrays), entries[0]
    truth = first["truth"][:, : probabilities.shape[2]]
    return Predictions(probabilities, truth, first["subjects"], first["ids"])


def compare(
    own: Mapping[str, Predictions],
    theirs: Predictions,
    name: str,
    metrics: Mapping[str, scores.Metric] | None = None,
) -> pd.DataFrame:
    """Scores of models of one's own beside `theirs`, called `name`, and paired differences from it: see
    `scores.compare`.

    Predictions are put into one order by their ids, and only recordings that all have are scored. Raises
    ValueError where these are none, or have other truths.
    """
    everything = {name: theirs} | dict(own)
    ids_of = {label: pd.Index(np.asarray(one.ids).astype(str)) for label, one in everything.items()}
    ids = ids_of[name]
    for others in ids_of.values():
        ids = ids.intersection(others, sort=False)
    if not len(ids):
        raise ValueError(f"{name} and {', '.join(own)} have no recording in common: are these their ids?")
    aligned = {
        label: replace(one.take(ids_of[label].get_indexer(ids)), ids=ids.to_numpy())
        for label, one in everything.items()
    }
    return scores.compare(aligned, name, metrics)


def _read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a committed entry. ValueError, naming it, for one that is missing or damaged."""
    entry = caching.read_entry(path)
    if entry is None:
        raise ValueError(f"{path} is missing or damaged: get the project's files again")
    return entry[0]
