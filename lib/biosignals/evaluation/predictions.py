"""What a model predicts for recordings, with their truth and subjects in the same order."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Predictions:
    """Predictions of a model.

    probabilities: float (n, classes), or (seeds, n, classes) of the same recordings. truth: 0 to 1, (n,
    classes). subjects, ids: of the recordings, (n,). Lists and tables are taken as arrays, in their order.
    about: keys of a record, as n_train, seconds, versions, commit. Raises ValueError where these do not fit
    together, and for probabilities or truth that are no numbers or not finite.
    """

    probabilities: np.ndarray
    truth: np.ndarray
    subjects: np.ndarray
    ids: np.ndarray
    about: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("probabilities", "truth", "subjects", "ids"):
            object.__setattr__(self, name, np.asarray(getattr(self, name)))  # a column of a table has labels
        if self.probabilities.shape[-2:] != self.truth.shape or self.probabilities.ndim not in (2, 3):
            raise ValueError(
                f"probabilities {self.probabilities.shape} do not fit truth {self.truth.shape}: expected "
                "(n, classes) or (seeds, n, classes) of the same records in the same order; for one class, "
                "probabilities[:, None]"
            )
        for name, values in {"probabilities": self.probabilities, "truth": self.truth}.items():
            if values.dtype.kind not in "biuf":
                raise ValueError(f"{name} must be numbers, not {values.dtype}")
            if not np.isfinite(values).all():
                raise ValueError(f"{name} with NaN or infinity")
        for name, values in {"subjects": self.subjects, "ids": self.ids}.items():
            if values.shape != self.truth.shape[:1]:
                raise ValueError(f"{name} {values.shape} for {len(self.truth)} records: one for each")

    @property
    def mean(self) -> np.ndarray:
        """Probabilities (n, classes), the mean over seeds."""
        return self.probabilities if self.probabilities.ndim == 2 else self.probabilities.mean(0)

    def take(self, positions: np.ndarray) -> Self:
        """The predictions at some positions: int or bool (n,)."""
        taken = {name: getattr(self, name)[positions] for name in ("truth", "subjects", "ids")}
        return replace(self, probabilities=self.probabilities[..., positions, :], **taken)

    def of_class(self, k: int) -> Self:
        """The predictions of one class, (n, 1)."""
        return replace(self, probabilities=self.probabilities[..., [k]], truth=self.truth[:, [k]])

    def averaged(self, recordings: np.ndarray) -> Predictions:
        """The mean of each recording's windows, in the order in which recordings first come; recordings: the
        one that each window is of, (n,).

        Truth and subject are those of a recording's first window. Raises ValueError where a window's
        recording is unknown.
        """
        codes, names = pd.factorize(np.asarray(recordings))
        if len(codes) != len(self.truth):
            raise ValueError(f"{len(codes)} recordings named for {len(self.truth)} windows")
        if (codes < 0).any():
            raise ValueError(
                f"the recording of {(codes < 0).sum()} windows is unknown: name it, or leave them out"
            )
        order, counts = np.argsort(codes, kind="stable"), np.bincount(codes)
        starts = np.cumsum(counts) - counts
        sums = np.add.reduceat(self.probabilities[..., order, :], starts, axis=-2)
        first = order[starts]
        truth, subjects = self.truth[first], self.subjects[first]
        return Predictions(sums / counts[:, None], truth, subjects, np.asarray(names), self.about)

    def replaced(self, probabilities: np.ndarray, **about: Any) -> Predictions:
        """Other probabilities, (n, classes) or (seeds, n, classes), of the same recordings; `about` is added
        to what is known.
        """
        own = {name: value for name, value in self.about.items() if name != "predictions"}  # a file of others
        return Predictions(probabilities, self.truth, self.subjects, self.ids, own | about)


def own_and_others(groups: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Positions of the records of each group and of those of all others; groups: which one a record is of,
    (n,).
    """
    return [(np.flatnonzero(groups == group), np.flatnonzero(groups != group)) for group in np.unique(groups)]
