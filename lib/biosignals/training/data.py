"""What a net learns from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor, nn

from biosignals.data.recordings import Recordings, positions


class Teacher(Protocol):
    """What a student learns from beside labels: `distillation.DistillationLoss`."""

    def check(self, recordings: Recordings, classes: int) -> None:
        """Raises ValueError where the teacher's outputs are of other recordings or classes."""

    def parts(self, rows: list[np.ndarray]) -> tuple:
        """What tells it from others when a student learns from rows, arrays (n,): of a key."""

    def outputs(self, rows: np.ndarray) -> np.ndarray:
        """What the teacher gives for rows (n,), float32 (n, width)."""

    def module(self, net: nn.Module, *inputs: Tensor) -> nn.Module:
        """Turns outputs of student and teacher into a loss; inputs, (batch, ...): the student's."""


@dataclass(frozen=True)
class TrainingData:
    """What a net learns from.

    targets: 0 to 1, (recordings, classes). train, validation: positions of recordings; without validation
    (None) the last epoch is kept. features: a second input, float32 (recordings, features), for nets that
    take one. n_scored_targets: the first so many classes (default: all) make the validation score; the others
    only help to learn. distillation: what a teacher gives, and how to learn from it.

    train and validation may also be masks of all recordings, bool (recordings,).

    Raises ValueError for fewer than two recordings to train on, those that are in both, targets or features
    that do not fit or are not finite, signals that are not finite, and for validation records that lack a
    class, from which no best epoch could be chosen.
    """

    recordings: Recordings
    targets: np.ndarray
    train: np.ndarray
    validation: np.ndarray | None = None
    features: np.ndarray | None = None
    n_scored_targets: int | None = None
    distillation: Teacher | None = None

    def __post_init__(self) -> None:
        recordings = check_recordings(self.recordings)
        dataset = recordings.dataset
        for name in ("targets", "features"):
            checked = check_columns(name, getattr(self, name), recordings)
            object.__setattr__(self, name, checked)
            if checked is not None and not np.isfinite(checked).all():
                raise ValueError(f"{name} hold NaN or infinity")
        for name in ("train", "validation"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, positions(getattr(self, name), len(recordings)))
        if not len(self.train):
            raise ValueError(f"{dataset}: no recordings to train on; are its folds empty?")
        if len(self.train) < 2:
            raise ValueError(f"{dataset}: one recording to train on; two are the fewest")
        if self.targets.min() < 0 or self.targets.max() > 1:
            raise ValueError("targets must lie between 0 and 1")
        if not 1 <= self.scored <= self.targets.shape[1]:
            raise ValueError(f"n_scored_targets is {self.scored}, of {self.targets.shape[1]} targets")
        if not _is_finite(recordings.signals):
            raise ValueError(f"{dataset}: signals hold NaN or infinity; leave those recordings out first")
        if self.validation is not None:
            self._check_validation(self.validation)
        if self.distillation is not None:
            self.distillation.check(recordings, self.targets.shape[1])

    def __deepcopy__(self, memo: dict) -> TrainingData:
        return self  # copies of a net that is trained share what it learns from

    @property
    def scored(self) -> int:
        """How many classes make the validation score."""
        return self.n_scored_targets or self.targets.shape[1]

    def _check_validation(self, validation: np.ndarray) -> None:
        both = np.intersect1d(self.train, validation)
        if len(both):
            raise ValueError(
                f"{len(both)} recordings, row {both[0]} the first, are both to train on and to validate by: "
                "no score of theirs would say anything"
            )
        present = self.targets[validation, : self.scored].round()
        missing = [k for k, column in enumerate(present.T) if len(np.unique(column)) < 2]
        if missing:
            raise ValueError(
                f"{self.recordings.dataset}: of the {len(present)} validation records all or none are of "
                f"class {', '.join(map(str, missing))}: no best epoch can be chosen. Take more, or none: "
                "validation=None keeps the last epoch (a recipe without patience in cross-validation)"
            )


def check_recordings(recordings: Recordings) -> Recordings:
    """The recordings as they are. Raises ValueError for anything else, as arguments that are swapped."""
    if not isinstance(recordings, Recordings):
        raise ValueError(
            f"first come Recordings, then their targets; this is {type(recordings).__name__}. Arrays become "
            "Recordings(dataset, signals, scale, unit, sampling_rate, channels, table)"
        )
    return recordings


def check_columns(name: str, columns: np.ndarray | None, recordings: Recordings) -> np.ndarray | None:
    """`columns` (recordings, ...) as an array of numbers, None as it is.

    Raises ValueError, which calls them `name`, where they are of another number of recordings or of one
    dimension.
    """
    if columns is None:
        return None
    columns = np.asarray(columns)
    if columns.dtype.kind not in "fiub":
        raise ValueError(f"{name} are {columns.dtype}, they must be numbers")
    if columns.ndim != 2 or len(columns) != len(recordings):
        remedy = f"; for one column, {name}[:, None]" if columns.shape == (len(recordings),) else ""
        raise ValueError(f"{name} must be ({len(recordings)} recordings, ...), not {columns.shape}{remedy}")
    return columns if columns.dtype.kind == "f" else columns.astype(np.float32)


def _is_finite(signals: np.ndarray) -> bool:
    if signals.dtype.kind != "f":
        return True
    return all(np.isfinite(signals[i : i + 256]).all() for i in range(0, len(signals), 256))
