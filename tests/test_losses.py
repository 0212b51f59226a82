"""Losses and class weights against their formulas."""

import numpy as np
import pytest
import torch
from scipy.special import expit
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional

from biosignals.training import losses
from biosignals.training.losses import Asymmetric, CrossEntropy, Focal, SoftmaxCrossEntropy

LOSSES = [
    CrossEntropy(),
    CrossEntropy(12.5),
    SoftmaxCrossEntropy(),
    SoftmaxCrossEntropy((0.51, 31.85, 2.0)),
    Focal(),
    Focal(gamma=0.5, alpha=0.25),
    Focal(gamma=0),
    Asymmetric(),
    Asymmetric(gamma_negative=0, gamma_positive=0, margin=0),
    Asymmetric(gamma_negative=0.5, gamma_positive=2, margin=0),
]


# Weights


def test_class_weights_are_those_of_the_seizure_windows():
    labels = np.r_[np.zeros(4954, int), np.ones(79, int)]
    weights = losses.class_weights(labels)
    assert [round(weight, 2) for weight in weights] == [0.51, 31.85]
    np.testing.assert_allclose(weights, compute_class_weight("balanced", classes=np.arange(2), y=labels))
    assert losses.positive_weight(labels) == pytest.approx(4954 / 79)
    assert repr(SoftmaxCrossEntropy(weights)).count("np.") == 0


@pytest.mark.parametrize(
    "labels", [[], [0, 0], [1, 1], [0, np.nan], [0, -1], [0, 0.5], [[0, 1]], [0, 2]], ids=str
)
def test_labels_without_two_classes_are_refused(labels):
    with pytest.raises(ValueError, match="class|labels"):
        losses.class_weights(np.array(labels))
    with pytest.raises(ValueError, match="class|labels"):
        losses.positive_weight(np.array(labels))


# Losses


@pytest.fixture
def batch():
    torch.manual_seed(0)
    logits = torch.randn(20, 3, dtype=torch.double) * 3
    return logits, torch.randint(0, 2, (20, 3)).double()


def test_cross_entropy_agrees_with_torch(batch):
    logits, targets = (part.float() for part in batch)
    expected = functional.binary_cross_entropy_with_logits(logits, targets, pos_weight=torch.tensor(3.0))
    torch.testing.assert_close(CrossEntropy(3)(logits, targets), expected)


def test_softmax_cross_entropy_agrees_with_torch_on_classes(batch):
    logits, _ = batch
    classes = torch.arange(20) % 3
    targets = functional.one_hot(classes).float()
    weights = (0.5, 31.85, 2.0)
    expected = functional.cross_entropy(logits.float(), classes, weight=torch.tensor(weights))
    torch.testing.assert_close(SoftmaxCrossEntropy(weights)(logits, targets), expected)
    torch.testing.assert_close(
        SoftmaxCrossEntropy()(logits, targets), functional.cross_entropy(logits.float(), classes)
    )
    with pytest.raises(ValueError, match="3 class weights for 2 classes"):
        SoftmaxCrossEntropy(weights)(logits[:, :2], targets[:, :2])


@pytest.mark.parametrize("alpha", [None, 0.25])
def test_focal_follows_its_formula(batch, alpha):
    logits, targets = (part.numpy() for part in batch)
    p = expit(logits)
    p_true = np.where(targets == 1, p, 1 - p)
    weight = 1 if alpha is None else np.where(targets == 1, alpha, 1 - alpha)
    expected = np.mean(-weight * (1 - p_true) ** 2 * np.log(p_true))
    assert float(Focal(2, alpha)(*batch)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("margin", [0, 0.05, 0.3])
def test_asymmetric_follows_its_formula(batch, margin):
    logits, targets = (part.numpy() for part in batch)
    p = expit(logits)
    lowered = np.maximum(p - margin, 0)
    losses = np.where(targets == 1, -(1 - p) * np.log(p), -(lowered**4) * np.log(1 - lowered))
    assert float(Asymmetric(4, 1, margin)(*batch)) == pytest.approx(losses.mean(), rel=1e-4)


def test_losses_without_focus_are_cross_entropy(batch):
    plain = CrossEntropy()(*batch)
    torch.testing.assert_close(Focal(gamma=0)(*batch).float(), plain)
    torch.testing.assert_close(Focal(gamma=0, alpha=0.5)(*batch).float() * 2, plain)
    torch.testing.assert_close(Asymmetric(0, 0, 0)(*batch).float(), plain)


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_gradients_are_those_of_the_loss(loss, batch):
    logits = batch[0].float().requires_grad_()
    classes = functional.one_hot(torch.arange(20) % 3).float()
    (gradient,) = torch.autograd.grad(loss(logits, classes), logits)
    step = 1e-2
    logits = logits.detach()
    for place in ((0, 0), (1, 2), (7, 1)):
        move = torch.zeros_like(logits)
        move[place] = step
        slope = (loss(logits + move, classes) - loss(logits - move, classes)) / (2 * step)
        assert float(gradient[place]) == pytest.approx(float(slope), abs=2e-4)


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_losses_stay_finite_where_the_net_is_sure(loss):
    logits = torch.tensor([[200.0, -200, 0], [-200, 200, 0]], requires_grad=True)
    targets = torch.tensor([[0.0, 1, 0], [0, 1, 0]])
    value = loss(logits, targets)
    value.backward()
    assert value.isfinite() and logits.grad.isfinite().all()


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_losses_learn_and_their_repr_says_all(loss):
    torch.manual_seed(0)
    x = torch.randn(200, 3)
    targets = functional.one_hot(x.argmax(1)).float()
    net = torch.nn.Linear(3, 3)
    optimizer = torch.optim.Adam(net.parameters(), 0.1)
    before = loss(net(x), targets).item()
    for _ in range(30):
        optimizer.zero_grad()
        loss(net(x), targets).backward()
        optimizer.step()
    assert loss(net(x), targets).item() < 0.6 * before
    assert eval(repr(loss)) == loss


@pytest.mark.parametrize(
    "make",
    [
        lambda: CrossEntropy(0),
        lambda: SoftmaxCrossEntropy((1, -1)),
        lambda: Focal(gamma=-1),
        lambda: Focal(alpha=1.5),
        lambda: Asymmetric(margin=1),
        lambda: Asymmetric(gamma_negative=float("nan")),
    ],
)
def test_impossible_losses_are_refused(make):
    with pytest.raises(ValueError, match="must"):
        make()
