"""Over- and under-sampling of the training records, and classical models behind a sampler."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from imblearn import FunctionSampler
from imblearn.combine import SMOTEENN, SMOTETomek
from imblearn.over_sampling import ADASYN, SMOTE, RandomOverSampler
from imblearn.pipeline import Pipeline, make_pipeline
from imblearn.under_sampling import (
    CondensedNearestNeighbour,
    EditedNearestNeighbours,
    NeighbourhoodCleaningRule,
    OneSidedSelection,
    RandomUnderSampler,
    TomekLinks,
)
from sklearn.base import ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.preprocessing import Normalizer

from biosignals.data.recordings import Recordings
from biosignals.evaluation.calibration import class_numbers, two_classes

# Drawing records more or less often

_SAMPLERS: dict[str, Callable] = {
    "none": lambda seed: FunctionSampler(validate=False),
    "random-over": lambda seed: RandomOverSampler(random_state=seed),
    "smote": lambda seed: SMOTE(random_state=seed),
    "adasyn": lambda seed: ADASYN(random_state=seed),
    "random-under": lambda seed: RandomUnderSampler(random_state=seed),
    "tomek": lambda seed: TomekLinks(),
    "cnn": lambda seed: CondensedNearestNeighbour(random_state=seed),
    "oss": lambda seed: OneSidedSelection(random_state=seed),
    "enn": lambda seed: EditedNearestNeighbours(),
    "ncr": lambda seed: NeighbourhoodCleaningRule(),
    "smote-enn": lambda seed: SMOTEENN(random_state=seed),
    "smote-tomek": lambda seed: SMOTETomek(random_state=seed),
}
SAMPLERS = tuple(_SAMPLERS)
"""Ways to change how many records of each class a model learns from.

Here cnn is the condensed nearest neighbour rule, oss one-sided selection, enn edited nearest neighbours, ncr
the neighbourhood cleaning rule. SMOTE and ADASYN invent records between neighbours.
"""
_NEIGHBOURS = 5  # between which SMOTE and ADASYN invent records: imbalanced-learn's default


def resample_rows(name: str, labels: np.ndarray, seed: int = 0) -> np.ndarray:
    """Positions (m,) of as many records of each class.

    name: "random-over" repeats records of the rare class, "random-under" leaves out others.

    labels: the class of each record, (n,). Raises ValueError for other names and for fewer than two classes.
    """
    if name not in ("random-over", "random-under"):
        raise ValueError(f"{name!r} gives no positions of records; there are random-over and random-under")
    labels = class_numbers(labels)
    if len(np.unique(labels)) < 2:
        raise ValueError("all records are of one class; there is nothing to balance")
    chosen = _SAMPLERS[name](seed)
    chosen.fit_resample(np.arange(len(labels))[:, None], labels)
    return chosen.sample_indices_


def draw(labels: np.ndarray, positives: int, negatives: int, seed: int = 0) -> np.ndarray:
    """Positions (m,), in order, of at most so many records of class 1 and of class 0, drawn at random.

    With the same seed, a smaller number is part of a larger one. labels: of 0 and 1, (n,). Raises ValueError
    for numbers below 1, and where a class is missing.
    """
    if min(positives, negatives) < 1:
        raise ValueError(f"at least one record of each class is drawn, not {positives} and {negatives}")
    labels, chosen = two_classes(labels), []
    for value, most in ((1, positives), (0, negatives)):
        there = np.random.default_rng(seed).permutation(np.flatnonzero(labels == value))
        chosen.append(there[:most])
    return np.sort(np.concatenate(chosen))


def sampler(name: str, seed: int = 0) -> FunctionSampler:
    """The way of sampling called `name`, one of SAMPLERS, for imbalanced-learn's pipelines; as `resample`."""
    _refuse_unknown(name, SAMPLERS)
    return FunctionSampler(func=resample, kw_args={"name": name, "seed": seed}, validate=False)


def resample(x: np.ndarray, labels: np.ndarray, name: str, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features (m, features) and labels (m,) to learn from, made of x (n, features) and labels (n,).

    Raises ValueError where one class is missing, before or after, for NaN, and for too few records of the
    rare class.
    """
    _refuse_unknown(name, SAMPLERS)
    labels = two_classes(labels)
    if not np.isfinite(x).all():
        raise ValueError(f"{name}: features hold NaN or infinity; fill them or leave those records out first")
    rare = min(np.bincount(labels))
    if rare <= _NEIGHBOURS and ("smote" in name or name == "adasyn"):
        raise ValueError(
            f"{name} invents records between {_NEIGHBOURS} neighbours of the rare class and needs "
            f"{_NEIGHBOURS + 1}, but there are {rare}: take random-over, or more records"
        )
    try:
        x, labels = _SAMPLERS[name](seed).fit_resample(x, labels)
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{name} does not work on these records ({error}); take another sampler") from error
    if len(np.unique(labels)) < 2:
        raise ValueError(f"{name} has removed a whole class; take another sampler")
    return x, labels


def smote_groups(
    recordings: Recordings, labels: np.ndarray, groups: Sequence[tuple[np.ndarray, np.ndarray]], seed: int = 0
) -> tuple[Recordings, np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
    """Recordings with invented ones behind them, their labels, and groups that also train on those: as many
    of each class in each group's training rows, between neighbours of that group's own (SMOTE).

    recordings: of one length; labels: the class of each, (n,). All of them stay as they are. Where there are
    folds, nothing is made of a group's last one, by which one may choose. A class is left as it is where it
    has fewer than two recordings to make others of. The invented have no subject, `samples` up to the last
    that is not zero, and fold 0 where there are folds, so that none is kept to validate on.
    """
    flat = recordings.physical().reshape(len(recordings), -1)
    signals, classes, enlarged = [flat], [labels], []
    count = len(recordings)
    for train, held_out in groups:
        parents, missing = _parents(train, recordings.table), np.bincount(labels[train])
        missing = missing.max() - missing
        counts = np.bincount(labels[parents], minlength=len(missing))
        wanted = {k: counts[k] + missing[k] for k in np.flatnonzero(counts > 1)}
        smote = SMOTE(sampling_strategy=wanted, k_neighbors=_neighbours(counts), random_state=seed)
        x, y = smote.fit_resample(flat[parents], labels[parents])
        signals.append(x[len(parents) :])
        classes.append(y[len(parents) :])
        enlarged.append((np.concatenate([train, count + np.arange(len(x) - len(parents))]), held_out))
        count += len(x) - len(parents)
    joined = np.concatenate(signals).astype(np.float32).reshape(count, *recordings.signals.shape[1:])
    new = [f"invented {i}" for i in range(count - len(flat))]
    table = recordings.table.reindex([*recordings.table.index, *new])
    lengths = _lengths(joined[len(flat) :])
    table["samples"] = np.concatenate([recordings.table["samples"], lengths]).astype(int)
    if "fold" in table:
        table["fold"] = table["fold"].fillna(0).astype(int)
    return replace(recordings, signals=joined, scale=1.0, table=table), np.concatenate(classes), enlarged


def _parents(train: np.ndarray, table: pd.DataFrame) -> np.ndarray:
    """Rows (n,) of all folds but the last, by which one may choose; all, where there are no folds."""
    if "fold" not in table:
        return train
    folds = table["fold"].to_numpy()[train]
    return train[folds < folds.max()]


def _lengths(signals: np.ndarray) -> np.ndarray:
    """Samples (n,) of signals (n, channels, samples) up to the last that is not zero in some channel."""
    ends = (signals != 0).any(axis=1)[:, ::-1].argmax(axis=1)
    return signals.shape[-1] - ends


def _neighbours(counts: np.ndarray) -> int:
    """How many neighbours SMOTE looks at, fewer where a class to be enlarged has no more."""
    return int(min(_NEIGHBOURS, counts[counts > 1].min() - 1))


def remove_outliers(
    x: np.ndarray, labels: np.ndarray, share: float, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Features (m, features) and labels (m,) without the `share` of records that an isolation forest (Liu et
    al. 2008) finds least like the others; it does not look at the labels.

    x: (n, features), labels: (n,). Raises ValueError for a share that is not above 0 and up to .5.
    """
    from sklearn.ensemble import IsolationForest

    if not 0 < share <= 0.5:
        raise ValueError(f"the share of outliers is above 0 and at most .5, not {share}")
    usual = IsolationForest(contamination=share, random_state=seed).fit_predict(x) == 1
    return x[usual], labels[usual]


# Classifiers of features

CLASSIFIERS = ("random-forest", "xgboost", "catboost", "lightgbm")


def classical(name: str, seed: int = 0, trees: int = 300, threads: int = -1) -> ClassifierMixin:
    """A forest or boosted trees by name, one of CLASSIFIERS, not fitted; `threads` -1 for all cores."""
    _refuse_unknown(name, CLASSIFIERS)
    # The libraries of boosted trees are slow to import and not needed for nets.
    if name == "xgboost":
        from xgboost import XGBClassifier

        return XGBClassifier(n_estimators=trees, random_state=seed, n_jobs=threads)
    if name == "catboost":
        from catboost import CatBoostClassifier

        return CatBoostClassifier(
            iterations=trees, random_seed=seed, thread_count=threads, allow_writing_files=False, verbose=False
        )
    if name == "lightgbm":
        from lightgbm import LGBMClassifier

        return LGBMClassifier(
            n_estimators=trees, random_state=seed, n_jobs=threads, verbose=-1, deterministic=True,
            force_row_wise=True,
        )  # fmt: skip
    return RandomForestClassifier(trees, random_state=seed, n_jobs=threads)


def pipeline(
    classifier: str, sampling: str = "none", seed: int = 0, trees: int = 300, threads: int = -1,
    normalise: bool = False,
) -> Pipeline:  # fmt: skip
    """A classifier that learns from resampled records and answers for records as they are; not fitted.

    Learns from x (n, features) and labels (n,) of 0 and 1. normalise: divide each record by its Euclidean
    length first, which suits raw samples, not a table of features in different units.
    """
    steps = [sampler(sampling, seed), classical(classifier, seed, trees, threads)]
    return make_pipeline(*([Normalizer()] if normalise else []), *steps)


def _refuse_unknown(name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise ValueError(f"no {name!r}; there are {', '.join(known)}")
