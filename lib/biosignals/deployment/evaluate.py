"""Scores of an exported model on a reader's own recordings, paired with those of another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from biosignals.data import folder as own
from biosignals.data import readers
from biosignals.data.readers import InvalidRecording
from biosignals.deployment.card import Card, read_card
from biosignals.deployment.predict import predict
from biosignals.evaluation import scores
from biosignals.evaluation.predictions import Predictions
from biosignals.reporting import compare

DECISIONS = ("sensitivity", "specificity", "precision", "f1")
COLUMNS = ("class", "model", "metric", *scores.SCORE_COLUMNS, "versus", "n_test", "subjects", "positives")


@dataclass(frozen=True)
class Evaluation:
    """Scores, a row per class and metric, empty where nothing could be scored; predictions of the recordings
    that are answered; why others are refused, by their names.
    """

    scores: pd.DataFrame
    predictions: Predictions | None
    refused: dict[str, str]


class Files(NamedTuple):
    """Recordings by their names in the table, their folder; sampling rate (Hz) and unit of those that do not
    say theirs.
    """

    paths: Mapping[str, Path]
    folder: Path
    sampling_rate: float | None = None
    unit: str | None = None


class Scored(NamedTuple):
    """What a model predicts, and its thresholds, (classes,), where they are known."""

    predictions: Predictions
    thresholds: Sequence[float] | None


def evaluate(
    folder: Path | str, table: Path | str, model: Path | str, versus: Path | str | None = None,
    columns: Mapping[str, str] | None = None, sampling_rate: float | None = None, unit: str | None = None,
) -> Evaluation:  # fmt: skip
    """Scores with 95 % bootstrap intervals over subjects of a model on the recordings of a folder.

    folder, table, sampling_rate (Hz), unit: as of `data.folder.load`; recordings may differ in channels, rate
    and length. columns: the table's column for a class, {"AFIB": "af"}, where they have other names; a single
    class takes a single label whatever its name, and classes without a column are not scored. versus: what
    the model is compared with, on the recordings that both answer: another model (.onnx), or probabilities,
    as CSV (of `biosignals predict --csv`, or `file` and a column for each class) or NPZ (`ids` and
    `probabilities`, (n, classes) in the model's order).

    Decisions are those at the card's thresholds. Raises FileNotFoundError and ValueError as `load`, for
    labels that are not the model's, and for predictions that cannot be compared; InvalidRecording for a
    model that cannot be used.
    """
    model, card = Path(model), read_card(Path(model))
    chosen = choose_columns(card, own.label_columns(table), columns or {})
    rows, paths = own.list_files(folder, table, list(chosen.values()))
    rows, files = rows.set_index(own.FILE), Files(paths, Path(folder), sampling_rate, unit)
    found, refused = predict_files(files, model)
    if not found:
        return Evaluation(pd.DataFrame(columns=list(COLUMNS)), None, refused)
    ours = Scored(_as_predictions(found, card.classes, rows, chosen), _thresholds(card, chosen))
    if versus is None:
        return Evaluation(_score({model.name: ours}, None, list(chosen)), ours.predictions, refused)
    name, other = _names(model, Path(versus))
    models = {name: ours, other: _read_other(Path(versus), card, rows, chosen, files)}
    return Evaluation(_score(models, other, list(chosen)), ours.predictions, refused)


def choose_columns(card: Card, labels: Sequence[str], columns: Mapping[str, str]) -> dict[str, str]:
    """The table's column of each class that it has labels for, in the order of the card's classes.

    Raises ValueError for names that are not there, and where no class has labels.
    """
    unknown = [name for name in columns if name not in card.classes]
    unknown += [name for name in columns.values() if name not in labels]
    if unknown:
        raise ValueError(
            f"no {unknown[0]!r}: the model's classes are {', '.join(card.classes)}, "
            f"the table's labels {', '.join(labels)}"
        )
    by_name = {label.casefold(): label for label in labels}
    names = {one: columns.get(one, by_name.get(one.casefold())) for one in card.classes}
    if len(card.classes) == len(labels) == 1:
        names = {card.classes[0]: labels[0]}
    chosen = {one: label for one, label in names.items() if label is not None}
    if not chosen:
        raise ValueError(
            f"none of the labels {', '.join(labels) or '(there are none)'} is a class of the model, "
            f"{', '.join(card.classes)}: say which is, as in --label {card.classes[0]}=COLUMN"
        )
    return chosen


def predict_files(files: Files, model: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Probabilities (classes,) of each file that a model answers, and why others are refused, by name."""
    found, refused = {}, {}
    for name, path in tqdm(files.paths.items(), desc=model.stem, unit=" files", leave=False, disable=None):
        rate, unit = own.rate_and_unit(path, files.sampling_rate, files.unit)
        try:
            found[name] = predict(path, model, sampling_rate=rate, unit=unit).probabilities
        except InvalidRecording as error:
            refused[name] = str(error).removeprefix(f"{readers.printable(path.name)}: ")
    return found, refused


def _names(model: Path, versus: Path) -> tuple[str, str]:
    """What two models are called: as their files, or by the whole paths where the files are called alike.

    Raises ValueError for one and the same.
    """
    if model.resolve() == versus.resolve():
        raise ValueError(f"{versus} is the model itself: name another to compare it with")
    return (model.name, versus.name) if model.name != versus.name else (str(model), str(versus))


def _as_predictions(
    found: Mapping[str, np.ndarray], classes: Sequence[str], rows: pd.DataFrame, chosen: Mapping[str, str]
) -> Predictions:
    """Predictions of the classes that have labels, by probabilities of `classes`. rows: the table's, by file.

    Raises ValueError where a class is missing among `classes`.
    """
    missing = [name for name in chosen if name not in classes]
    if missing:
        raise ValueError(f"it has no class {', '.join(missing)} to compare: it has {', '.join(classes)}")
    rows, places = rows.loc[list(found)], [list(classes).index(name) for name in chosen]
    truth = rows[list(chosen.values())].to_numpy(dtype=float)
    probabilities = np.stack(list(found.values()))[:, places]
    return Predictions(probabilities, truth, rows[own.SUBJECT].to_numpy(), rows.index.to_numpy())


def _thresholds(card: Card, chosen: Mapping[str, str]) -> list[float]:
    return [card.thresholds[card.classes.index(name)] for name in chosen if name in card.classes]


# What a model is compared with


def _read_other(
    versus: Path, card: Card, rows: pd.DataFrame, chosen: Mapping[str, str], files: Files
) -> Scored:
    """The predictions of another model, or those that a file holds. Raises ValueError, naming it."""
    try:
        if versus.suffix == ".onnx":
            other = read_card(versus)
            found, _ = predict_files(files, versus)
            classes, thresholds = list(other.classes), dict(zip(other.classes, other.thresholds))
        else:
            classes, found, thresholds = (_read_npz if versus.suffix == ".npz" else _read_csv)(versus, card)
            found = _by_names_of_table(found, files)
        if not found:
            raise ValueError("it has a prediction for no recording of the table")
        predictions = _as_predictions(found, classes, rows, chosen)
        if predictions.probabilities.min() < 0 or predictions.probabilities.max() > 1:
            raise ValueError("its probabilities must lie between 0 and 1: percentages and logits do not")
        return Scored(predictions, [thresholds[name] for name in chosen] if thresholds else None)
    except InvalidRecording:
        raise
    except (ValueError, KeyError, OSError) as error:
        raise ValueError(f"{versus}: {error}") from error


Read = tuple[list[str], dict[str, np.ndarray], dict[str, float] | None]
"""Classes, probabilities (classes,) by file, and thresholds by class, where they are known."""


def _read_csv(path: Path, card: Card) -> Read:
    """Probabilities in CSV, as `biosignals predict --csv` writes it or with a column for each class."""
    table = pd.read_csv(path, dtype={"file": str})
    if "file" not in table:
        raise ValueError("it has no column 'file'")
    if not {"class", "probability"} <= set(table):
        classes = [name for name in card.classes if name in table]
        return classes, _by_file(table.set_index("file")[classes]), None
    table = table[table.probability.notna() & table["class"].isin(card.classes)]
    models = table.get("model", pd.Series(dtype=str)).unique()
    if len(models) > 1:
        raise ValueError(f"it holds predictions of {', '.join(map(str, models))}: keep the rows of one model")
    thresholds = dict(zip(table["class"], table["threshold"])) if "threshold" in table else None
    wide = table.pivot(index="file", columns="class", values="probability")
    return list(wide.columns), _by_file(wide), thresholds


def _read_npz(path: Path, card: Card) -> Read:
    """Probabilities in an NPZ file: `ids` (n,), `probabilities` (n, classes) in the order of the card."""
    with np.load(path, allow_pickle=False) as arrays:
        if not {"ids", "probabilities"} <= set(arrays.files):
            raise ValueError(f"it needs ids and probabilities, and has {', '.join(arrays.files)}")
        ids, p = arrays["ids"].astype(str), arrays["probabilities"]
    if p.shape != (len(ids), len(card.classes)):
        raise ValueError(f"probabilities {p.shape} for {len(ids)} ids and {len(card.classes)} classes")
    return list(card.classes), _by_file(pd.DataFrame(p, index=ids)), None


def _by_file(wide: pd.DataFrame) -> dict[str, np.ndarray]:
    """The rows of a table (files, classes) by file. ValueError for a file that has several."""
    if wide.index.has_duplicates:
        raise ValueError(f"{wide.index[wide.index.duplicated()][0]} stands twice")
    return dict(zip(wide.index, wide.to_numpy(dtype=float)))


def _by_names_of_table(found: Mapping[str, np.ndarray], files: Files) -> dict[str, np.ndarray]:
    """Predictions by the names that the table gives files, in its order, in which resamples are drawn."""
    keyed = {_key(Path(name), files.folder): p for name, p in found.items()}
    keys = {
        name: {_key(path, files.folder), _key(Path(name), files.folder)} for name, path in files.paths.items()
    }
    return {name: keyed[key] for name, own_keys in keys.items() for key in own_keys if key in keyed}


def _key(path: Path, folder: Path) -> str:
    """What a recording is found by: its place in the folder, without the ending of its file."""
    resolved = path.resolve()
    if resolved.is_relative_to(folder.resolve()):
        path = resolved.relative_to(folder.resolve())
    return str(path.with_suffix("") if path.suffix.lower() in readers.FILE_TYPES else path)


# The scores


def _score(ours: Mapping[str, Scored], versus: str | None, classes: Sequence[str]) -> pd.DataFrame:
    """Scores of all classes together, where there are several, and of each; see Evaluation."""
    parts = []
    if len(classes) > 1:
        whole = {name: one.predictions for name, one in ours.items()}
        parts.append(_compared(whole, versus, scores.MULTILABEL).assign(**{"class": "all"}))
    for k, name in enumerate(classes):
        own_class = {model: one.predictions.of_class(k) for model, one in ours.items()}
        decided = {
            model: one.replaced((one.probabilities >= ours[model].thresholds[k]).astype(float))
            for model, one in own_class.items()
            if ours[model].thresholds is not None
        }
        decisions = {metric: scores.DECISIONS[metric] for metric in DECISIONS}
        both = versus if versus in decided else None
        for models, against, metrics in ((own_class, versus, scores.BINARY), (decided, both, decisions)):
            parts.append(_compared(models, against, metrics).assign(**{"class": name}))
    return pd.concat(parts, ignore_index=True).reindex(columns=list(COLUMNS))


def _compared(
    models: Mapping[str, Predictions], versus: str | None, metrics: Mapping[str, scores.Metric]
) -> pd.DataFrame:
    """As `scores.compare`, on the recordings that all models have."""
    if versus is None:
        return scores.compare(models, None, metrics)
    others = {name: one for name, one in models.items() if name != versus}
    return compare.compare(others, models[versus], versus, metrics)
