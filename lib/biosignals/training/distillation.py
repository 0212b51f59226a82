"""Distillation: a student net learns from labels and from a teacher's outputs for the same recordings.

`teacher_outputs` computes them once; a `DistillationLoss` is the weighted sum of terms that the student
learns from; a fit takes it as `TrainingData.distillation`. Each term is one equation of one paper, on the
outputs for a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    huber_loss,
    kl_div,
    log_softmax,
    logsigmoid,
    mse_loss,
    normalize,
)

from biosignals.caching import Entry, Local, Rows, provenance
from biosignals.data.recordings import Recordings
from biosignals.progress import tqdm
from biosignals.training.fit import Fit
from biosignals.training.predict import batches, overlapping_crops, prepare_for_inference


class LastLayer(NamedTuple):
    """What a teacher's last layer saw, embeddings (n, width), and its weight (classes, width) and bias
    (classes,), None where logits come another way; all float32.
    """

    embeddings: np.ndarray
    weight: np.ndarray | None = None
    bias: np.ndarray | None = None


@dataclass(frozen=True)
class TeacherOutputs:
    """What a teacher gives for recordings, a row per recording.

    ids: of the recordings, see `row_ids`. logits: float32 (n, classes). compute_last_layer: gives its last
    layer when a student first compares embeddings, None where only logits were asked for. source: what that
    layer is known by, part of a student's key, so that a student who has learnt already needs no embeddings.
    """

    ids: pd.Index
    logits: np.ndarray
    compute_last_layer: Callable[[], LastLayer] | None = None
    source: Any = None

    @cached_property
    def last_layer(self) -> LastLayer:
        """Computed when first read. Raises ValueError where only logits were asked for."""
        if self.compute_last_layer is None:
            raise ValueError("this teacher gives logits alone: teacher_outputs(embeddings=True) has more")
        return self.compute_last_layer()


class NetOutputs(NamedTuple):
    """A net's logits (batch, classes) and embeddings (batch, width) of one batch; the weight and bias of its
    last layer; and its embeddings as the other net would have them (batch, width of the other), by a
    projection that is learnt.
    """

    logits: Tensor
    embeddings: Tensor
    weight: Tensor | None
    bias: Tensor | None
    projected: Tensor


# The teacher's side


def teacher_outputs(fit: Fit, recordings: Recordings, embeddings: bool = False) -> TeacherOutputs:
    """Logits of a fitted net for all recordings, with `embeddings` also what its last layer sees: means over
    its crops.

    Computed once where the fit has a cache; logits travel with the project. The recordings must have the
    sampling rate that the net learnt from, which a net does not know. Raises ValueError for a net that does
    not end in a dense layer or does not take these recordings, and for recordings shorter than the crops that
    it learnt from.
    """
    cache, ids = fit.cache, row_ids(recordings)

    def make() -> Entry:
        return _forward(fit, recordings), provenance()

    if cache is None:
        arrays, _ = make()
        last = LastLayer(*(arrays[name] for name in LastLayer._fields))
        return TeacherOutputs(ids, arrays["logits"], (lambda: last) if embeddings else None, last)
    data = (recordings.scale, Rows(recordings.signals, np.arange(len(recordings))))
    key = cache.key("teacher outputs", fit.key, data, Local((_forward, prepare_for_inference)))

    def last_layer() -> LastLayer:
        arrays, _ = cache.fetch(key, make, having="embeddings")
        return LastLayer(*(arrays[name] for name in LastLayer._fields))

    arrays, _ = cache.fetch(key, make, having="logits", export="logits")
    return TeacherOutputs(ids, arrays["logits"], last_layer if embeddings else None, key)


def row_ids(recordings: Recordings) -> pd.Index:
    """What tells one row from another: the recording's id, for windows its recording's id and where it
    starts.
    """
    table = recordings.table
    return pd.MultiIndex.from_frame(table[["recording", "start"]]) if "start" in table else table.index


def average_teachers(teachers: Sequence[TeacherOutputs]) -> TeacherOutputs:
    """Several teachers as one: the mean of their logits, their embeddings side by side where all have some.

    Raises ValueError for teachers of different recordings or classes.
    """
    if len({teacher.logits.shape for teacher in teachers}) != 1:
        raise ValueError(
            f"teachers must have equal shapes, not {[teacher.logits.shape for teacher in teachers]}"
        )
    logits = np.mean([teacher.logits for teacher in teachers], axis=0)
    source = [teacher.source for teacher in teachers]

    def last_layer() -> LastLayer:
        embeddings, weights, biases = zip(*(teacher.last_layer for teacher in teachers), strict=True)
        if any(weight is None for weight in weights):
            return LastLayer(np.hstack(embeddings))
        return LastLayer(np.hstack(embeddings), np.hstack(weights) / len(teachers), np.mean(biases, axis=0))

    every = all(teacher.compute_last_layer for teacher in teachers)
    return TeacherOutputs(teachers[0].ids, logits, last_layer if every else None, source)


def noisy_or(teacher: TeacherOutputs, parts: Sequence[Sequence[int]]) -> TeacherOutputs:
    """A teacher of many statements as one of fewer classes: class k is there if any of the statements
    `parts[k]` is.

    Noisy-OR: 1 - product of (1 - p), as if statements came independently (Pearl 1988). Raises ValueError for
    a class without statements.
    """
    if not all(len(part) for part in parts):
        raise ValueError("every class needs a statement that it follows from")
    absent = logsigmoid(-torch.from_numpy(teacher.logits))  # log of 1 - p
    absent = torch.stack([absent[:, list(part)].sum(1) for part in parts], dim=1).clamp(max=-1e-6)
    logits = torch.log(-torch.expm1(absent)) - absent
    last_layer = None if teacher.compute_last_layer is None else lambda: LastLayer(teacher.last_layer[0])
    return TeacherOutputs(teacher.ids, logits.numpy(), last_layer, teacher.source)


def shuffle_within_subjects(teacher: TeacherOutputs, subjects: Iterable, rows: np.ndarray) -> TeacherOutputs:
    """The outputs of the next of the same subject's `rows`, (n,): a control for what one moment teaches.

    Other rows stay as they are. Raises ValueError for a subject with a single row, which has no other moment.
    """
    subjects = np.asarray(list(subjects))
    source = np.arange(len(subjects))
    for subject in np.unique(subjects[rows]):
        own = rows[subjects[rows] == subject]
        if len(own) < 2:
            raise ValueError(f"subject {subject} has one row only, and no other moment")
        source[own] = np.roll(own, -1)

    def last_layer() -> LastLayer:
        return teacher.last_layer._replace(embeddings=teacher.last_layer.embeddings[source])

    changed = None if teacher.compute_last_layer is None else last_layer
    return TeacherOutputs(teacher.ids, teacher.logits[source], changed, (teacher.source, source))


def last_linear(net: nn.Module) -> nn.Linear:
    """The last dense layer of a net. Raises ValueError if there is none."""
    layers = [module for module in net.modules() if isinstance(module, nn.Linear)]
    if not layers:
        raise ValueError(f"{type(net).__name__} has no dense layer whose input could be compared")
    return layers[-1]


def _forward(fit: Fit, recordings: Recordings) -> dict[str, np.ndarray]:
    crop, logits, embeddings = fit.recipe.crop, [], []
    if crop is not None and recordings.signals.shape[-1] < crop:
        raise ValueError(
            f"the teacher learnt from crops of {crop} samples, {recordings.dataset} has "
            f"{recordings.signals.shape[-1]}"
        )
    layer = last_linear(fit.net)
    net = prepare_for_inference(fit.net, recordings.physical([0, -1])[..., :crop])
    device = next(net.parameters()).device
    with torch.inference_mode(), _watching(net) as seen:
        places, every = np.arange(len(recordings)), batches(len(recordings), recordings.signals.shape[1:])
        for batch in tqdm(every, desc="teacher outputs", leave=False):
            x = torch.from_numpy(recordings.physical(places[batch]))
            crops = overlapping_crops(x.to(device), crop, fit.recipe.crop_step)
            try:
                output = net(crops.flatten(0, 1))
            except RuntimeError as error:
                raise ValueError(
                    f"the teacher does not take {recordings.dataset}'s {len(recordings.channels)} channels "
                    f"of {recordings.signals.shape[-1]} samples: {error}"
                ) from error
            logits.append(output.float().unflatten(0, crops.shape[:2]).mean(0).cpu())
            embeddings.append(seen.pop().float().unflatten(0, crops.shape[:2]).mean(0).cpu())
    last = {name: getattr(layer, name).detach().cpu().numpy() for name in ("weight", "bias")}
    return {"logits": torch.cat(logits).numpy(), "embeddings": torch.cat(embeddings).numpy()} | last


@contextmanager
def _watching(net: nn.Module) -> Iterator[list[Tensor]]:
    """A list that gets the input of the last dense layer at every call of `net`."""
    seen: list[Tensor] = []
    hook = last_linear(net).register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        yield seen
    finally:
        hook.remove()


# Terms of the loss


class Term:
    """A term of the loss: of a batch's outputs and targets (batch, classes), a number."""

    compares_embeddings: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not isinstance(value, bool):
                _check_positive(name, value)

    def __call__(self, student: NetOutputs, teacher: NetOutputs, targets: Tensor) -> Tensor:
        raise NotImplementedError


@dataclass(frozen=True)
class SoftTargets(Term):
    """Classes that exclude each other: T^2 KL(softmax(t / T) || softmax(s / T)) (Hinton et al. 2015)."""

    temperature: float = 4.0

    def __call__(self, student: NetOutputs, teacher: NetOutputs, targets: Tensor) -> Tensor:
        t = self.temperature
        own, theirs = log_softmax(student.logits / t, 1), log_softmax(teacher.logits / t, 1)
        return t**2 * kl_div(own, theirs, log_target=True, reduction="batchmean")


@dataclass(frozen=True)
class BinarySoftTargets(Term):
    """Each label a question of its own: T^2 KL(Bernoulli(t / T) || Bernoulli(s / T)), mean over labels.

    Hinton's softened outputs label by label, the "one-versus-all" distillation of Yang et al. (2023).
    """

    temperature: float = 2.0

    def __call__(self, student: NetOutputs, teacher: NetOutputs, targets: Tensor) -> Tensor:
        s, t = student.logits / self.temperature, teacher.logits / self.temperature
        yes, no = logsigmoid(t), logsigmoid(-t)
        divergence = yes.exp() * (yes - logsigmoid(s)) + no.exp() * (no - logsigmoid(-s))
        return self.temperature**2 * divergence.mean()


@dataclass(frozen=True)
class DKD(Term):
    """alpha KL(true class against the rest) + beta KL(among the other classes), times T^2: DKD (Zhao et al.
    2022).

    Hinton's term ties the second to how unsure the teacher is; here both have their own weight. Classes that
    exclude each other only.
    """

    alpha: float = 1.0
    beta: float = 8.0
    temperature: float = 4.0

    def __call__(self, student: NetOutputs, teacher: NetOutputs, targets: Tensor) -> Tensor:
        true = targets > 0.5
        if (true.sum(1) != 1).any():
            raise ValueError(
                "DKD needs exactly one class for each recording: use BinarySoftTargets for several labels"
            )
        s, t = (log_softmax(net.logits / self.temperature, 1) for net in (student, teacher))
        own, theirs = (torch.stack([p[true], _log_rest(p, true)], 1) for p in (s, t))
        target = kl_div(own, theirs, log_target=True, reduction="batchmean")
        own, theirs = (log_softmax(p[~true].view(len(p), -1), 1) for p in (s, t))
        others = kl_div(own, theirs, log_target=True, reduction="batchmean")
        return self.temperature**2 * (self.alpha * target + self.beta * others)


def _log_rest(p: Tensor, true: Tensor) -> Tensor:
    """Log of the probability of all classes but the true one, (batch,)."""
    return p.masked_fill(true, -torch.inf).logsumexp(1)


@dataclass(frozen=True)
class Hint(Term):
    """Mean of (W s - t)^2 over the embeddings, W learnt (FitNets, Romero et al. 2015)."""

    compares_embeddings: ClassVar[bool] = True

    def __call__(self, student: NetOutputs, teacher: NetOutputs, targets: Tensor) -> Tensor:
        return mse_loss(student.projected, teacher.embeddings)


@dataclass(frozen=True)
class RelationalDistance(Term):
    """Huber loss between the distances of all pairs, each over its mean: RKD-D (Park et al. 2019)."""

    compares_embeddings: ClassVar[bool] = True

    def __call__(self, student: NetOutputs, teacher: NetOutputs, targets: Tensor) -> Tensor:
        return huber_loss(distances(student.embeddings), distances(teacher.embeddings))


@dataclass(frozen=True)
class RelationalAngle(Term):
    """Huber loss between the cosines of the angles of all triples of a batch: RKD-A (Park et al. 2019)."""

    compares_embeddings: ClassVar[bool] = True

    def __call__(self, student: NetOutputs, teacher: NetOutputs, targets: Tensor) -> Tensor:
        return huber_loss(angles(student.embeddings), angles(teacher.embeddings))


@dataclass(frozen=True)
class LabelWiseDistance(Term):
    """Huber loss between the distances of a batch as each label sees them: its weights times the embedding.

    The instance-aware half of L2D (Yang et al. 2023), only among recordings that have the label; with a
    linear last layer the label's own embedding is w * e.
    """

    compares_embeddings: ClassVar[bool] = True

    def __call__(self, student: NetOutputs, teacher: NetOutputs, targets: Tensor) -> Tensor:
        if teacher.weight is None:
            raise ValueError("this teacher has no last layer to see embeddings by: it was folded")
        losses = []
        for label, have in enumerate((targets > 0.5).T):
            if have.sum() > 2:
                own = student.embeddings[have] * student.weight[label]
                theirs = teacher.embeddings[have] * teacher.weight[label]
                losses.append(huber_loss(distances(own), distances(theirs)))
        return torch.stack(losses).mean() if losses else student.logits.sum() * 0


@dataclass(frozen=True)
class ContrastiveAlignment(Term):
    """Each recording's two embeddings are to find each other in the batch: symmetric cross-entropy of cosines
    over a temperature (CLIP, Radford et al. 2021), the student's embedding projected.
    """

    compares_embeddings: ClassVar[bool] = True

    temperature: float = 0.1

    def __call__(self, student: NetOutputs, teacher: NetOutputs, targets: Tensor) -> Tensor:
        alike = normalize(student.projected) @ normalize(teacher.embeddings).T / self.temperature
        own = torch.arange(len(alike), device=alike.device)
        return (cross_entropy(alike, own) + cross_entropy(alike.T, own)) / 2


@dataclass(frozen=True)
class LabelContrast(Term):
    """A student's embedding is to find, in the batch, the teacher's embeddings of all recordings that have
    the same labels: supervised contrast (Khosla et al. 2020) of cosines over a temperature, the student's
    embedding projected.

    Between a student with one lead and a teacher with twelve it is what the disease-aware contrast of
    MVKT-ECG aims at (Qin et al. 2023).
    """

    compares_embeddings: ClassVar[bool] = True

    temperature: float = 0.1

    def __call__(self, student: NetOutputs, teacher: NetOutputs, targets: Tensor) -> Tensor:
        alike = normalize(student.projected) @ normalize(teacher.embeddings).T / self.temperature
        same = (targets[:, None] == targets[None]).all(2).float()
        return cross_entropy(alike, same / same.sum(1, keepdim=True))


@dataclass(frozen=True)
class MaximumMeanDiscrepancy(Term):
    """Squared maximum mean discrepancy of the two clouds of embeddings (Gretton et al. 2012), Gaussian
    kernels.

    Widths are a half, one and two times the mean squared distance of the teacher's.
    """

    compares_embeddings: ClassVar[bool] = True

    def __call__(self, student: NetOutputs, teacher: NetOutputs, targets: Tensor) -> Tensor:
        own, theirs = student.projected, teacher.embeddings
        width = torch.cdist(theirs, theirs).square().mean().clamp(min=1e-6)

        def kernel(a: Tensor, b: Tensor) -> Tensor:
            apart = torch.cdist(a, b).square() / width
            return torch.stack([(-apart / share).exp() for share in (0.5, 1.0, 2.0)]).mean()

        return kernel(own, own) + kernel(theirs, theirs) - 2 * kernel(own, theirs)


@dataclass(frozen=True)
class Triplet(Term):
    """max(0, margin + d(s, t) - d(s, t')): nearer to the teacher's embedding of the same recording than to
    its closest of a recording with other labels (Schroff et al. 2015), embeddings of length 1.
    """

    compares_embeddings: ClassVar[bool] = True

    margin: float = 0.5

    def __call__(self, student: NetOutputs, teacher: NetOutputs, targets: Tensor) -> Tensor:
        apart = torch.cdist(normalize(student.projected), normalize(teacher.embeddings))
        same = (targets[:, None] == targets[None]).all(2)
        closest = apart.masked_fill(same, torch.inf).amin(1)
        found = closest.isfinite()
        return torch.relu(self.margin + apart.diagonal() - closest)[found].sum() / found.sum().clamp(min=1)


@dataclass(frozen=True)
class CrossAssessment(Term):
    """Each one's embedding through the other's last layer, scored by the labels: cross-knowledge assessment
    (arXiv 2501.01983). The teacher's layer stays as it is.
    """

    compares_embeddings: ClassVar[bool] = True

    multiclass: bool = True

    def __call__(self, student: NetOutputs, teacher: NetOutputs, targets: Tensor) -> Tensor:
        if teacher.weight is None:
            raise ValueError("this teacher has no last layer to put embeddings through: it was folded")
        loss = cross_entropy if self.multiclass else binary_cross_entropy_with_logits
        by_teacher = student.projected @ teacher.weight.T + teacher.bias
        by_student = teacher.projected @ student.weight.T + student.bias
        return (loss(by_teacher, targets) + loss(by_student, targets)) / 2


def distances(embeddings: Tensor) -> Tensor:
    """Distances of all pairs of embeddings (batch, width), over their mean between different rows: (batch,
    batch).
    """
    # The root has no slope at 0: the distance of a row to itself is left out of it.
    squares = (embeddings[:, None] - embeddings[None]).square().sum(-1)
    apart = ~torch.eye(len(embeddings), dtype=torch.bool, device=embeddings.device)
    found = torch.where(apart, squares.clamp(min=1e-12), 1).sqrt() * apart
    return found / found[apart].mean().clamp(min=1e-12)


def angles(embeddings: Tensor) -> Tensor:
    """Cosine of the angle at row j between rows i and k of embeddings (batch, width): (batch j, batch i,
    batch k).
    """
    directions = normalize(embeddings[None] - embeddings[:, None], dim=2)
    return directions @ directions.transpose(1, 2)


def _check_positive(name: str, value: float) -> None:
    if not 0 < value < np.inf:
        raise ValueError(f"{name} must be above 0, not {value}")


# The loss


@dataclass(frozen=True)
class DistillationLoss:
    """What a student learns from: labels x its loss of the labels + the sum of weight x term over `terms`.

    terms: pairs (weight, term), a term being one of the classes above. labels: Hinton's 1 - alpha, from 0 to
    1. Raises ValueError for others, and for terms that compare embeddings where the teacher gives none.
    """

    teacher: TeacherOutputs = field(repr=False)
    terms: tuple[tuple[float, Term], ...] = ((0.5, BinarySoftTargets()),)
    labels: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.labels <= 1:
            raise ValueError(f"labels is a share from 0 to 1, not {self.labels}")
        if not self.terms and self.labels == 0:
            raise ValueError("a loss without terms and without labels teaches nothing")
        for weight, term in self.terms:
            _check_positive(f"the weight of {type(term).__name__}", weight)
            if term.compares_embeddings and self.teacher.compute_last_layer is None:
                raise ValueError(
                    f"{type(term).__name__} compares embeddings: teacher_outputs(embeddings=True) has them"
                )

    def check(self, recordings: Recordings, classes: int) -> None:
        """Raises ValueError unless the teacher's outputs are of the same recordings and classes."""
        teacher = self.teacher
        if not row_ids(recordings).equals(teacher.ids):
            raise ValueError(
                f"the teacher's outputs are of {len(teacher.ids)} other recordings than the "
                f"{len(recordings)} of {recordings.dataset}: both must see the same ones in the same order"
            )
        if teacher.logits.shape[1] != classes:
            raise ValueError(
                f"the teacher has {teacher.logits.shape[1]} classes, the student {classes}: train both "
                "on the same, or see `noisy_or`"
            )
        if not np.isfinite(teacher.logits).all():
            raise ValueError("the teacher's logits hold NaN or infinity")

    def outputs(self, rows: np.ndarray) -> np.ndarray:
        """Logits of `rows` (n,), and embeddings that a term compares, side by side: float32 (n, width)."""
        return np.hstack([self.teacher.logits[rows], self._embeddings(rows)]).astype(np.float32)

    def parts(self, rows: list[np.ndarray]) -> tuple:
        """All that tells this loss from others when a student learns from `rows`, arrays of positions: of a
        key.
        """
        logits = [self.teacher.logits[some].astype(np.float32) for some in rows]
        source = self.teacher.source if self._compares_embeddings else None
        return self.terms, self.labels, logits, rows, source, Local(DistillationModule)

    def module(self, net: nn.Module, *inputs: Tensor) -> DistillationModule:
        """The part of the training that holds what only learning needs; `inputs`, (batch, ...), are an
        example of the net's.
        """
        return DistillationModule(self, net, *inputs)

    @property
    def _compares_embeddings(self) -> bool:
        return any(term.compares_embeddings for _, term in self.terms)

    def _embeddings(self, rows: np.ndarray | slice) -> np.ndarray:
        if self._compares_embeddings:
            return self.teacher.last_layer.embeddings[rows]
        return np.empty((len(self.teacher.logits[rows]), 0), np.float32)


class DistillationModule(nn.Module):
    """Watches a student `net` and turns its outputs and the teacher's into one loss.

    The two linear projections between the embeddings are learnt along and left behind. A net with a
    distillation head (DeiT) learns from labels by its class head and from the teacher by the other. Raises
    ValueError for a net that does not end in a dense layer, which an example of its `inputs` finds out, and
    for a loss that would leave one of two heads without anything to learn.
    """

    def __init__(self, loss: DistillationLoss, net: nn.Module, *inputs: Tensor):
        super().__init__()
        self.distillation = loss
        teacher, layer = loss.teacher, last_linear(net)
        width = loss.outputs(np.arange(1)).shape[1] - teacher.logits.shape[1]
        self.to_teacher = nn.Linear(layer.in_features, width) if width else nn.Identity()
        self.to_student = nn.Linear(width, layer.in_features) if width else nn.Identity()
        last = teacher.last_layer if width else LastLayer(teacher.logits[:, :0])
        if not np.isfinite(last.embeddings).all():
            raise ValueError("the teacher's embeddings hold NaN or infinity")
        for name, values in (("weight", last.weight), ("bias", last.bias)):
            self.register_buffer(name, None if values is None else torch.from_numpy(values).float())
        self._layers = [layer]  # in a list, so that its weights do not become this module's
        self._heads = [module.head for module in net.modules() if hasattr(module, "distillation_head")]
        self._seen: dict[str, Tensor] = {}
        layer.register_forward_hook(self._see)
        for head in self._heads:
            head.register_forward_hook(lambda _, __, logits: self._seen.update(by_labels=logits))
        soft = [term for _, term in loss.terms if isinstance(term, SoftTargets | BinarySoftTargets | DKD)]
        if self._heads and not (loss.labels and soft):
            raise ValueError(
                "a net with two heads needs labels for one and the teacher's logits for the other"
            )
        with torch.no_grad():
            output = net.eval()(*inputs)
        if not self._heads and not torch.allclose(output, self._seen["logits"], atol=1e-5):
            raise ValueError(
                f"{type(net).__name__} does more after its last dense layer: it cannot be a student"
            )

    def _see(self, layer: nn.Module, inputs: tuple[Tensor], logits: Tensor) -> None:
        self._seen |= {"embeddings": inputs[0], "logits": logits}

    def forward(
        self, loss: Callable[[Tensor, Tensor], Tensor], logits: Tensor, targets: Tensor, outputs: Tensor
    ) -> Tensor:
        """`loss` of logits and targets plus the terms; outputs: the teacher's, (batch, classes + width)."""
        (layer,), seen, classes = self._layers, self._seen, targets.shape[1]
        if self._heads:
            logits = seen["by_labels"]
        projected = self.to_teacher(seen["embeddings"])
        student = NetOutputs(seen["logits"], seen["embeddings"], layer.weight, layer.bias, projected)
        embeddings = outputs[:, classes:]
        projected = self.to_student(embeddings)
        teacher = NetOutputs(outputs[:, :classes], embeddings, self.weight, self.bias, projected)
        terms = (weight * term(student, teacher, targets) for weight, term in self.distillation.terms)
        return self.distillation.labels * loss(logits, targets) + sum(terms)
