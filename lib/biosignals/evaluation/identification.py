"""Telling people apart: enrolment, comparison by embeddings, and the equal error rate."""

import numpy as np
from scipy.stats import norm
from sklearn.metrics import det_curve


def templates(embeddings: np.ndarray, subjects: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Enrol: the mean direction of each subject's embeddings, (people, width), and who it is, (people,).

    embeddings (windows, width), subjects (windows,).
    """
    people, codes = np.unique(subjects, return_inverse=True)
    directions = _length_one(embeddings)
    sums = np.zeros((len(people), embeddings.shape[1]))
    np.add.at(sums, codes, directions)
    return _length_one(sums), people


def similarities(embeddings: np.ndarray, enrolled: np.ndarray) -> np.ndarray:
    """Cosine of each window and each template, (windows, people): every window claims to be everybody.

    embeddings (windows, width), enrolled: the templates, (people, width).
    """
    return _length_one(embeddings) @ enrolled.T


def claims(subjects: np.ndarray, people: np.ndarray) -> np.ndarray:
    """Which of those claims are true: 0 or 1, (windows, people).

    subjects (windows,), people (people,). Raises ValueError for a subject that was not enrolled.
    """
    unknown = sorted(set(subjects) - set(people))
    if unknown:
        raise ValueError(f"subject {unknown[0]} was never enrolled: there is nothing to compare with")
    return (np.asarray(subjects)[:, None] == np.asarray(people)).astype(float)


def equal_error_rate(targets: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The error where as large a share of false claims is accepted as of true ones refused, (resamples,).

    A `scores.Metric`: targets `claims` and scores `similarities`, (windows, people), weights (resamples,
    windows). Between two thresholds on a straight line, as ISO/IEC 19795-1 plots are read.
    """
    order = np.argsort(-scores, axis=None, kind="stable")
    true = targets.ravel()[order].astype(bool)
    window = np.repeat(np.arange(len(targets)), targets.shape[1])[order]
    ends = np.append(np.diff(scores.ravel()[order]) < 0, True)  # the last claim of each tie
    return np.array([_crossing(true, own[window], ends) for own in weights])


def det(targets: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The detection error trade-off (Martin et al. 1997): shares of false acceptance and of false rejection.

    targets `claims` and scores `similarities`, (windows, people). Both shares are (thresholds,), in order.
    """
    accepted, refused, _ = det_curve(targets.ravel(), scores.ravel())
    return accepted, refused


def deviate(share: np.ndarray) -> np.ndarray:
    """A share, (n,), on the axis of a DET plot, (n,): the normal deviate (straight for Gaussian scores)."""
    return norm.ppf(np.clip(share, 1e-4, 1 - 1e-4))


def _crossing(true: np.ndarray, weights: np.ndarray, ends: np.ndarray) -> float:
    found, wrong = (np.append(0, np.cumsum(weights * kind)[ends]) for kind in (true, ~true))
    if not found[-1] or not wrong[-1]:
        return np.nan
    refused, accepted = 1 - found / found[-1], wrong / wrong[-1]
    last = np.argmax(accepted >= refused)
    gap_before, gap = refused[last - 1] - accepted[last - 1], accepted[last] - refused[last]
    share = gap_before / (gap_before + gap)
    return float(accepted[last - 1] + share * (accepted[last] - accepted[last - 1]))


def _length_one(x: np.ndarray) -> np.ndarray:
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)
