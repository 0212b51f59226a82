"""Scores with intervals over subjects, and paired differences."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from biosignals.data.splits import subject_codes
from biosignals.evaluation.predictions import Predictions

Metric = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""Takes targets and probabilities, (n, classes), and weights (resamples, n); gives a score per resample."""


SWAPPED = "targets come first, probabilities second"
SLACK = 0.01  # beyond 0 and 1, of probabilities that eight bits have rounded
THRESHOLD = "compare probabilities with a threshold first, as task.out_of_fold(...).decide() does"


@dataclass(frozen=True)
class Interval:
    """A score and its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def aurocs(targets: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Area under the ROC curve, (resamples, classes); NaN where a class lacks positives or negatives.

    targets 0 or 1 and probabilities (n, classes), weights (resamples, n). Ties count half (Mann and Whitney).
    Raises ValueError for targets that are neither, and for another shape.
    """
    _check_shapes(targets, probabilities)
    _check_yes_or_no(targets, "targets", SWAPPED)
    return np.stack([_auroc(t, p, weights) for t, p in zip(targets.T, probabilities.T, strict=True)], axis=1)


def macro_auroc(targets: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean over classes that have positives and negatives, (resamples,), NaN if none; else as `aurocs`."""
    scores = aurocs(targets, probabilities, weights)
    counts = np.isfinite(scores).sum(1)
    return np.divide(np.nansum(scores, axis=1), counts, out=np.full(len(counts), np.nan), where=counts > 0)


def brier(targets: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean squared error over records and classes (Brier 1950), (resamples,); arguments as `aurocs`.

    Raises ValueError for what is no probability, and for another shape.
    """
    _check_probabilities(targets, probabilities)
    return weights @ ((probabilities - targets) ** 2).mean(1) / weights.sum(1)


def ece(targets: np.ndarray, probabilities: np.ndarray, weights: np.ndarray, bins: int = 10) -> np.ndarray:
    """Expected calibration error (Naeini et al. 2015), mean over classes, (resamples,).

    bins: equal steps of probability. Else as `brier`.
    """
    _check_probabilities(targets, probabilities)
    errors = []
    for target, probability in zip(targets.T, probabilities.T, strict=True):
        members = np.eye(bins)[np.minimum((probability * bins).astype(int), bins - 1)]
        gaps = weights @ (members * (target - probability)[:, None])
        errors.append(np.abs(gaps).sum(1) / weights.sum(1))
    return np.mean(errors, axis=0)


def average_precision(targets: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Area under the precision-recall curve as average precision, mean over classes, (resamples,).

    Its value for a guess is the share of positives, not .5. Ties count as one threshold. NaN without
    positives. Arguments as `aurocs`.
    """
    _check_shapes(targets, probabilities)
    _check_yes_or_no(targets, "targets", SWAPPED)
    return np.mean(
        [_average_precision(t, p, weights) for t, p in zip(targets.T, probabilities.T, strict=True)], axis=0
    )


def mean_absolute_error(targets: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean distance of numbers predicted from those measured, (resamples,), in their unit.

    targets and predicted (n, outputs), weights (resamples, n). Raises ValueError for another shape.
    """
    _check_shapes(targets, predicted)
    return weights @ np.abs(predicted - targets).mean(1) / weights.sum(1)


def sensitivity(targets: np.ndarray, decisions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Share of the positives that are found, (resamples,).

    targets and decisions (n, 1) of 0 and 1, weights (resamples, n).
    """
    true_positive, _, false_negative, _ = _counts(targets, decisions, weights)
    return ratio(true_positive, true_positive + false_negative)


def specificity(targets: np.ndarray, decisions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Share of the negatives that are left alone; else as `sensitivity`."""
    _, false_positive, _, true_negative = _counts(targets, decisions, weights)
    return ratio(true_negative, true_negative + false_positive)


def precision(targets: np.ndarray, decisions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Share of the found that are positive, 0 where nothing is found; else as `sensitivity`."""
    true_positive, false_positive, _, _ = _counts(targets, decisions, weights)
    return ratio(true_positive, true_positive + false_positive, 0.0)


def f1(targets: np.ndarray, decisions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Harmonic mean of sensitivity and precision, 0 where nothing is found; else as `sensitivity`."""
    true_positive, false_positive, false_negative, _ = _counts(targets, decisions, weights)
    return ratio(2 * true_positive, 2 * true_positive + false_positive + false_negative, 0.0)


def accuracy(targets: np.ndarray, decisions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Share of right decisions; else as `sensitivity`."""
    true_positive, _, _, true_negative = _counts(targets, decisions, weights)
    return (true_positive + true_negative) / weights.sum(1)


def balanced_accuracy(targets: np.ndarray, decisions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean of sensitivity and specificity; else as `sensitivity`."""
    return (sensitivity(targets, decisions, weights) + specificity(targets, decisions, weights)) / 2


def top_accuracy(targets: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Of classes that exclude each other, share of records whose most probable class is theirs, (resamples,).

    Arguments as `aurocs`; ValueError where a record has not exactly one class.
    """
    return _right(targets, probabilities, weights)[0].sum(1) / weights.sum(1)


def mean_recall(targets: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Recall, mean over the classes that have records, (resamples,); else as `top_accuracy`."""
    right, theirs, _ = _right(targets, probabilities, weights)
    return _mean_of_present(right, theirs, theirs)


def macro_f1(
    targets: np.ndarray, probabilities: np.ndarray, weights: np.ndarray, classes: Sequence[int] | None = None
) -> np.ndarray:
    """F1, mean over the classes that have records, (resamples,); else as `top_accuracy`.

    classes: positions of those that count, as the CinC 2017 challenge leaves out noise; None: all.
    """
    right, theirs, found = _right(targets, probabilities, weights)
    if classes is not None:
        right, theirs, found = (counts[:, list(classes)] for counts in (right, theirs, found))
    return _mean_of_present(2 * right, theirs + found, theirs)


def subset_accuracy(targets: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Of classes that do not exclude each other, share of records of which all are right, present being a
    probability above one half, (resamples,); arguments as `aurocs`.
    """
    _check_shapes(targets, probabilities)
    right = ((probabilities > 0.5) == (targets > 0.5)).all(axis=1)
    return weights @ right / weights.sum(1)


def multilabel_f1(targets: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """F1 at one half, mean over classes that do not exclude each other, (resamples,); 0 for a class that is
    neither there nor found; arguments as `aurocs`.
    """
    _check_shapes(targets, probabilities)
    found = (probabilities > 0.5).astype(float)
    pairs = zip(targets.T[:, :, None], found.T[:, :, None], strict=True)
    return np.mean([f1(target, decision, weights) for target, decision in pairs], axis=0)


MULTILABEL = {"macro_auroc": macro_auroc, "brier": brier, "ece": ece}
BINARY = {"auroc": macro_auroc, "auprc": average_precision, "brier": brier, "ece": ece}
DECISIONS = {
    "sensitivity": sensitivity, "specificity": specificity, "precision": precision, "f1": f1,
    "accuracy": accuracy, "balanced_accuracy": balanced_accuracy,
}  # fmt: skip

SCORE_COLUMNS = ("value", "low", "high", "delta", "delta_low", "delta_high")
MULTICLASS = {"macro_f1": macro_f1, "balanced_accuracy": mean_recall, "accuracy": top_accuracy}


def interval(metric: Metric, predictions: Predictions, resamples: int = 1000) -> Interval:
    """`metric` with its 95 % percentile bootstrap over subjects; one that is unknown (NA) counts by itself.

    Of several seeds it is the mean of their scores, and each resample draws seeds as well as subjects: the
    interval speaks of the model and not of one lucky seed. Raises ValueError for no records, and
    for what is no metric or no predictions.
    """
    return summary(bootstrap(metric, predictions, resamples))


def bootstrap(metric: Metric, predictions: Predictions, resamples: int = 1000) -> np.ndarray:
    """The score, then that of each bootstrap resample, (1 + resamples,): the same subjects and seeds for all
    predictions of the same recordings. Raises ValueError as `interval`.
    """
    return _scores_of(metric, predictions, _weights_of(predictions, resamples))


def difference(
    metric: Metric, predictions: Predictions, versus: Predictions, resamples: int = 1000
) -> Interval:
    """How much `predictions` score above `versus`, on the same resampled subjects; else as `interval`.

    Raises ValueError for predictions of other records, too.
    """
    check_same_records({"predictions": predictions, "versus": versus})
    weights = _weights_of(predictions, resamples)
    return summary(_scores_of(metric, predictions, weights) - _scores_of(metric, versus, weights))


def compare(
    models: Mapping[str, Predictions], versus: str | None = None, metrics: Mapping[str, Metric] | None = None
) -> pd.DataFrame:
    """Scores of several models on the same resampled subjects: a row per model and metric.

    versus: name of the model that the others are compared with, paired. metrics: by name, default MULTILABEL.
    Columns: model, metric, value, low, high and, with `versus`, delta, delta_low, delta_high, versus; n_test,
    subjects, positives (of one class), and the keys of each model's `about`. Of several seeds it is the mean
    of their scores, and each resample draws seeds as well as subjects. A calibration error
    has no interval: resampling makes it larger, so that the percentiles need not even hold its value. Raises
    ValueError for models of different records, for none, for models or metrics without names, and as
    `interval`.
    """
    if not isinstance(models, Mapping):
        raise ValueError("models are given by name, as {'tcn': predictions}")
    if metrics is not None and not isinstance(metrics, Mapping):
        raise ValueError("metrics are given by name, as {'auroc': scores.macro_auroc}; scores.BINARY is such")
    if versus is not None and versus not in models:
        raise ValueError(f"no model named {versus!r} to compare with: there is {', '.join(map(str, models))}")
    first = check_same_records(models)
    counts = {"n_test": len(first.truth), "subjects": pd.Series(list(first.subjects)).nunique() or None}
    if first.truth.shape[1] == 1:
        counts["positives"] = int(first.truth.round().sum())
    weights, rows = _weights_of(first, 1000), []
    for metric, score in (metrics or MULTILABEL).items():
        values = {name: _scores_of(score, one, weights) for name, one in models.items()}
        for name, ours in values.items():
            row = {"model": name, "metric": metric, **vars(summary(ours))}
            if versus is not None:
                delta = summary(ours - values[versus])
                row |= {"delta": delta.value, "delta_low": delta.low, "delta_high": delta.high}
                row["versus"] = versus
            if metric == "ece":
                row |= {key: np.nan for key in row if key.endswith(("low", "high"))}
            rows.append(row | counts | models[name].about)
    return pd.DataFrame(rows)


def ranking(table: pd.DataFrame, metric: str = "macro_auroc") -> pd.DataFrame:
    """The scores of one metric in a table of `compare`, best first, indexed by model; beside an AUPRC its
    prevalence.
    """
    rows = table[table.metric == metric].set_index("model")
    columns = [name for name in SCORE_COLUMNS if name in rows]
    if metric == "auprc" and "positives" in rows:
        rows["prevalence"] = rows.positives / rows.n_test
        columns.append("prevalence")
    return rows[columns].sort_values("value", ascending=metric in ("brier", "ece", "eer"))


def by_group(
    groups: pd.DataFrame, predictions: Predictions, versus: Predictions | None = None, fewest: int = 0
) -> pd.DataFrame:
    """Macro AUROC with its interval in every group of every column of `groups`.

    groups: a row for each prediction, in its order; a table indexed by ids is put into it. What is unknown is
    left out, and so are groups with fewer than `fewest` records that have a finding; categories keep their
    order. Returns a row per group: by, group, records, value, low, high and, with `versus`, the model
    compared with, delta, delta_low, delta_high. Raises ValueError for a table of other records, and as
    `difference`.
    """
    groups, rows = _in_order(groups, predictions), []
    for by in groups:
        for group in pd.Categorical(groups[by]).remove_unused_categories().categories:
            members = (groups[by] == group).to_numpy()
            own = predictions.take(members)
            if (own.truth > 0.5).any(axis=1).sum() < fewest:
                continue
            row = {"by": by, "group": group, "records": int(members.sum())}
            row |= vars(interval(macro_auroc, own))
            if versus is not None:
                delta = difference(macro_auroc, own, versus.take(members))
                row |= {"delta": delta.value, "delta_low": delta.low, "delta_high": delta.high}
            rows.append(row)
    return pd.DataFrame(rows)


def _in_order(table: pd.DataFrame, predictions: Predictions) -> pd.DataFrame:
    """A table with a row for each prediction, in its order. ValueError where there is none for one, and where
    rows that are numbered may be those of the predictions or of the recordings.
    """
    if not isinstance(table, pd.DataFrame):
        raise ValueError(f"groups are the columns of a table, not {type(table).__name__}: pd.DataFrame(...)")
    ids = pd.Index(predictions.ids)
    if table.index.is_unique and ids.isin(table.index).all():
        numbered = isinstance(table.index, pd.RangeIndex) and len(table) == len(ids)
        if numbered and not ids.equals(table.index):
            raise ValueError(
                "the rows of groups are numbered, and so are the recordings, which come in another order: "
                "index the table by predictions.ids"
            )
        return table.loc[predictions.ids]
    if len(table) != len(predictions.truth):
        raise ValueError(
            f"{len(table)} rows for {len(predictions.truth)} predictions: index the table by the recordings' "
            "ids, as Recordings.table is, or give a row for each prediction"
        )
    return table


def confusion(targets: np.ndarray, found: np.ndarray, classes: Sequence[str]) -> pd.DataFrame:
    """Counts and rates per class of decisions `found` against `targets`, both (n, classes) of 0 and 1.

    Raises ValueError for other values or shapes.
    """
    targets, found = np.asarray(targets), np.asarray(found)
    _check_shapes(targets, found, classes)
    _check_yes_or_no(targets, "targets", SWAPPED)
    _check_yes_or_no(found, "decisions", THRESHOLD)
    truth, found = targets.astype(bool), found.astype(bool)
    counts = pd.DataFrame(
        {
            "true positive": (truth & found).sum(0), "false negative": (truth & ~found).sum(0),
            "false positive": (~truth & found).sum(0), "true negative": (~truth & ~found).sum(0),
        },
        index=list(classes),
    )  # fmt: skip
    tp, fn, fp, tn = (counts[name] for name in counts)
    return counts.assign(
        sensitivity=tp / (tp + fn),
        specificity=tn / (tn + fp),
        precision=tp / (tp + fp),
        f1=2 * tp / (2 * tp + fp + fn),
    )


def decisions_by_label(targets: np.ndarray, found: np.ndarray, classes: Sequence[str]) -> pd.DataFrame:
    """Of records with one label alone (row), the share decided for each class (column); as `confusion`."""
    targets, found = np.asarray(targets), np.asarray(found)
    _check_shapes(targets, found, classes)
    alone = targets.sum(1) == 1
    shares = [found[alone & (targets[:, i] > 0)].mean(0) for i in range(len(classes))]
    return pd.DataFrame(shares, index=list(classes), columns=list(classes))


def worst_errors(targets: np.ndarray, probabilities: np.ndarray, count: int) -> np.ndarray:
    """Positions (count, 2) of the worst errors as (record, class), the largest first, one for each record.

    targets 0 or 1 and probabilities, (n, classes) each. Raises ValueError for another shape.
    """
    targets, probabilities = np.asarray(targets), np.asarray(probabilities)
    _check_shapes(targets, probabilities)
    errors = np.abs(probabilities - targets)
    records = np.argsort(-errors.max(axis=1), kind="stable")[:count]
    return np.column_stack([records, errors[records].argmax(axis=1)])


def _auroc(target: np.ndarray, probability: np.ndarray, weights: np.ndarray) -> np.ndarray:
    weights = weights.T.astype(
        np.float32
    )  # how often a record was drawn is a whole number, which has room there
    positive = target.astype(bool)
    negatives = np.flatnonzero(~positive)[np.argsort(probability[~positive])]
    ranked, own = probability[negatives], weights[positive]
    below = np.zeros((len(negatives) + 1, weights.shape[1]), np.float32)
    np.cumsum(weights[negatives], axis=0, out=below[1:])
    # Negatives below each positive, and half of those among its ties.
    wins = below[np.searchsorted(ranked, probability[positive], side="left")]
    wins += below[np.searchsorted(ranked, probability[positive], side="right")]
    pairs = own.sum(0, dtype=float) * below[-1]
    with np.errstate(invalid="ignore", divide="ignore"):
        return (own * wins).sum(0, dtype=float) / 2 / pairs


def _average_precision(target: np.ndarray, probability: np.ndarray, weights: np.ndarray) -> np.ndarray:
    order = np.argsort(-probability, kind="stable")
    ranked, target = -probability[order], target[order].astype(bool)
    weights = weights[:, order]
    ends = np.flatnonzero(np.append(np.diff(ranked) > 0, True))  # the last record of each tie
    found = np.cumsum(weights, axis=1)[:, ends]
    true = np.cumsum(np.where(target, weights, 0), axis=1)[:, ends]
    gained = np.diff(true, axis=1, prepend=0)
    precisions = np.divide(true, found, out=np.zeros_like(true, dtype=float), where=found > 0)
    return ratio((gained * precisions).sum(1), true[:, -1])


def _counts(targets: np.ndarray, decisions: np.ndarray, weights: np.ndarray) -> list[np.ndarray]:
    """Weighted true positives, false positives, false negatives, true negatives, (resamples,) each."""
    _check_shapes(targets, decisions)
    _check_yes_or_no(targets, "targets", SWAPPED)
    _check_yes_or_no(decisions, "decisions", THRESHOLD)
    truth, found = targets.astype(bool), decisions.astype(bool)
    return [
        (weights @ cases).sum(1) for cases in (truth & found, ~truth & found, truth & ~found, ~truth & ~found)
    ]


def _right(targets: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> list[np.ndarray]:
    """Weighted records per class, (resamples, classes) each: given it rightly, of it, given it."""
    _check_shapes(targets, probabilities)
    truth = targets.astype(bool)
    if (truth.sum(1) != 1).any():
        raise ValueError("every record needs exactly one class: these classes do not exclude each other")
    found = np.eye(truth.shape[1], dtype=bool)[probabilities.argmax(1)]
    return [weights @ cases for cases in (truth & found, truth, found)]


def _mean_of_present(part: np.ndarray, whole: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Mean of part / whole, (resamples, classes) each, over the classes that are `present`; NaN for none."""
    shares = np.divide(part, whole, out=np.zeros_like(whole, dtype=float), where=whole > 0)
    return ratio((shares * (present > 0)).sum(1), (present > 0).sum(1))


def ratio(part: np.ndarray, whole: np.ndarray, without: float = np.nan) -> np.ndarray:
    """part / whole, (resamples,) each; `without` where the whole is 0."""
    return np.divide(part, whole, out=np.full(len(whole), without), where=whole > 0)


def check_same_records(models: Mapping[str, Predictions]) -> Predictions:
    """The first of some predictions. Raises ValueError where others are of other records or another order."""
    if not models:
        raise ValueError("no model to score")
    name, first = next(iter(models.items()))
    for other, one in models.items():
        same = np.array_equal(one.ids, first.ids) and np.array_equal(one.truth, first.truth)
        if not same:
            raise ValueError(
                f"{other} and {name} are of different records or classes: scores cannot be paired"
            )
    return first


def _weights_of(predictions: Predictions, resamples: int) -> np.ndarray:
    """How often each record counts: a row of ones, then a row per bootstrap resample of whole subjects."""
    if not isinstance(predictions, Predictions):
        raise ValueError(
            "scores take Predictions, which hold the truth in their own order: what task.out_of_fold or "
            "task.predict gives, or task.predictions(probabilities)"
        )
    if not len(predictions.truth):
        raise ValueError("no records to score")
    codes = subject_codes(pd.Series(list(predictions.subjects)))
    count = codes.max() + 1
    draws = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=resamples)
    return np.vstack([np.ones(count), draws])[:, codes]


def _scores_of(metric: Metric, predictions: Predictions, weights: np.ndarray) -> np.ndarray:
    """A score for each row of weights: the mean over seeds, in resamples over as many that are drawn."""
    if not callable(metric):
        raise ValueError(f"a metric is a function, as scores.macro_auroc, not {metric!r}")
    truth = predictions.truth
    fits = np.reshape(predictions.probabilities, (-1, *truth.shape))
    blocks = np.split(
        weights, range(128, len(weights), 128)
    )  # so small that they stay in the processor's cache
    values = np.stack([np.concatenate([metric(truth, fit, block) for block in blocks]) for fit in fits])
    seeds = len(values)
    drawn = np.random.default_rng(1).multinomial(seeds, np.full(seeds, 1 / seeds), size=len(weights))
    drawn[0] = 1
    return (drawn.T * values).sum(axis=0) / seeds


def _check_shapes(targets: np.ndarray, found: np.ndarray, classes: Sequence[str] | None = None) -> None:
    """ValueError where these are not (n, classes) both: NumPy would spread one over the other unnoticed."""
    shape = np.shape(targets)
    if len(shape) != 2 or shape != np.shape(found):
        raise ValueError(
            f"targets {shape} and what is scored {np.shape(found)} must be (n, classes) both: of one class, "
            "x[:, None]"
        )
    if classes is not None and len(classes) != shape[1]:
        raise ValueError(f"{len(classes)} names for {shape[1]} classes")


def _check_probabilities(targets: np.ndarray, probabilities: np.ndarray) -> None:
    """ValueError for another shape, and for values beyond 0 and 1, as logits and percentages are."""
    _check_shapes(targets, probabilities)
    if not ((probabilities >= -SLACK) & (probabilities <= 1 + SLACK)).all():
        raise ValueError(
            "probabilities must lie between 0 and 1: take the sigmoid or softmax of logits, a hundredth of "
            "percentages, or metrics that look at ranks alone, as {'auroc': scores.macro_auroc}"
        )


def _check_yes_or_no(values: np.ndarray, what: str, remedy: str) -> None:
    """ValueError where values (n, classes) are other than 0 and 1."""
    values = np.asarray(values)
    if not ((values == 0) | (values == 1)).all():
        raise ValueError(f"{what} must be 0 or 1: {remedy}")


def summary(values: np.ndarray) -> Interval:
    """The interval of `values`, (1 + resamples,): what `bootstrap` gives, or the difference of two such."""
    if np.isnan(values[1:]).all():  # undefined in every resample
        return Interval(float(values[0]), np.nan, np.nan)
    low, high = np.nanpercentile(values[1:], [2.5, 97.5])
    # Some scores of few subjects are biased in resamples; the interval then reaches to the score itself.
    return Interval(float(values[0]), float(np.fmin(low, values[0])), float(np.fmax(high, values[0])))
