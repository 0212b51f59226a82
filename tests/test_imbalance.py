"""Weights and losses against their formulas, samplers against what they promise, calibration against theory."""

import numpy as np
import pytest
import torch
from imblearn.over_sampling import SMOTE
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional

from biosignals.evaluation import calibration
from biosignals.training import losses, sampling
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


def rare_labels(positives=30, negatives=270):
    return np.r_[np.zeros(negatives, int), np.ones(positives, int)]


def two_clouds(positives=30, negatives=270, distance=2.0):
    labels = rare_labels(positives, negatives)
    x = np.random.default_rng(0).normal(size=(len(labels), 4))
    return x + distance * labels[:, None], labels


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


# Drawing records


def test_resampled_rows_balance_the_classes():
    labels = rare_labels()
    over = sampling.resample_rows("random-over", labels, seed=1)
    assert np.bincount(labels[over]).tolist() == [270, 270]
    assert set(over) == set(range(300))
    under = sampling.resample_rows("random-under", labels, seed=1)
    assert np.bincount(labels[under]).tolist() == [30, 30]
    assert len(set(under)) == 60
    assert (under == sampling.resample_rows("random-under", labels, seed=1)).all()
    assert (under != sampling.resample_rows("random-under", labels, seed=2)).any()


def test_rows_cannot_be_invented():
    with pytest.raises(ValueError, match="no positions"):
        sampling.resample_rows("smote", rare_labels())
    with pytest.raises(ValueError, match="one class"):
        sampling.resample_rows("random-over", np.zeros(5))


@pytest.mark.parametrize("name", sampling.SAMPLERS)
def test_every_sampler_moves_the_balance_as_it_says(name):
    x, labels = two_clouds(distance=1.0)  # near enough for pairs of Tomek
    more_x, more_labels = sampling.sampler(name, seed=3).fit_resample(x, labels)
    again, _ = sampling.sampler(name, seed=3).fit_resample(x, labels)
    negatives, positives = np.bincount(more_labels)
    assert np.array_equal(more_x, again)
    assert more_x.shape == (len(more_labels), 4)
    if name == "none":
        assert (negatives, positives) == (270, 30)
    elif name in ("random-over", "smote", "adasyn", "smote-enn", "smote-tomek"):
        assert positives > 200 and negatives <= 270
    else:
        assert positives == 30 and negatives < 270


def test_smote_is_imbalanced_learns():
    x, labels = two_clouds()
    ours, _ = sampling.resample(x, labels, "smote", seed=4)
    theirs, _ = SMOTE(random_state=4).fit_resample(x, labels)
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", ["smote", "adasyn", "smote-enn", "smote-tomek"])
def test_too_few_positives_name_the_remedy(name):
    x, labels = two_clouds(positives=5)
    with pytest.raises(ValueError, match="needs 6, but there are 5: take random-over"):
        sampling.resample(x, labels, name)
    x, labels = two_clouds(positives=6, distance=0.5)
    assert (sampling.resample(x, labels, name)[1] == 1).sum() > 6


def test_records_that_cannot_be_resampled_are_refused():
    x, labels = two_clouds()
    with pytest.raises(ValueError, match="class 0; both"):
        sampling.resample(x[:10], labels[:10], "none")
    with pytest.raises(ValueError, match="NaN"):
        sampling.resample(np.where(x > 3, np.nan, x), labels, "tomek")
    with pytest.raises(ValueError, match="no 'bagging'; there are none, random-over"):
        sampling.sampler("bagging")
    far, labels = two_clouds(distance=1000)
    with pytest.raises(ValueError, match="adasyn does not work on these records"):
        sampling.resample(far, labels, "adasyn")


# Classifiers


@pytest.mark.parametrize("name", sampling.CLASSIFIERS)
@pytest.mark.filterwarnings("error")
def test_every_classifier_learns_in_a_pipeline_and_writes_nothing(name, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    x, labels = two_clouds(distance=1.0)
    unseen = np.random.default_rng(1).normal(size=x.shape) + labels[:, None]
    fits = [sampling.pipeline(name, "smote", seed=2, trees=20, threads=1).fit(x, labels) for _ in range(2)]
    probabilities = [fit.predict_proba(unseen)[:, 1] for fit in fits]
    assert roc_auc_score(labels, probabilities[0]) > 0.85
    np.testing.assert_array_equal(*probabilities)
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")


def test_a_pipeline_can_normalise_records_first():
    x, labels = two_clouds()
    fit = sampling.pipeline("random-forest", "none", trees=10, threads=1, normalise=True).fit(x, labels)
    np.testing.assert_allclose(fit.predict_proba(x), fit.predict_proba(10 * x))
    with pytest.raises(ValueError, match="no 'svm'; there are random-forest"):
        sampling.classical("svm")


# Thresholds


def test_max_f1_threshold_is_the_best_of_all():
    generator = np.random.default_rng(0)
    for _ in range(15):
        target = generator.random(40) < 0.2
        target[0] = True
        probability = np.round(0.4 * target + 0.6 * generator.random(40), 1)  # with ties
        found = calibration.max_f1_threshold(target, probability)
        scores = {t: f1_score(target, probability >= t) for t in np.unique(probability)}
        best = max(scores.values())
        assert found == max(t for t, score in scores.items() if np.isclose(score, best, rtol=1e-12))


def test_max_f1_threshold_of_float32_is_met_by_the_record_it_came_from():
    probability = np.array([0.1, 0.3, 0.7], dtype=np.float32)
    assert (probability >= calibration.max_f1_threshold([0, 0, 1], probability)).tolist() == [
        False,
        False,
        True,
    ]


def test_max_f1_threshold_with_an_empty_class():
    assert calibration.max_f1_threshold(np.ones(3), np.array([0.2, 0.5, 0.9])) == 0.2
    assert calibration.max_f1_threshold(np.array([0, 1]), np.array([0.5, 0.5])) == 0.5
    with pytest.raises(ValueError, match="no record is positive"):
        calibration.max_f1_threshold(np.zeros(3), np.array([0.2, 0.5, 0.9]))
    with pytest.raises(ValueError, match="NaN"):
        calibration.max_f1_threshold(np.array([0, 1]), np.array([0.5, np.nan]))
    with pytest.raises(ValueError, match="shape"):
        calibration.max_f1_threshold(np.array([0, 1]), np.array([0.5]))


# Probabilities


def calibrated(count=20_000):
    """Logits of which the sigmoid is the true probability, and what happened."""
    generator = np.random.default_rng(0)
    logits = generator.normal(-1, 2, count)
    return logits, (generator.random(count) < expit(logits)).astype(int)


def test_temperature_finds_how_much_the_logits_were_blown_up():
    logits, target = calibrated()
    scaling = calibration.temperature(expit(3 * logits), target)
    assert scaling.temperature == pytest.approx(3, rel=0.05)
    assert scaling.bias == 0
    np.testing.assert_allclose(scaling(expit(3 * logits)).mean(), target.mean(), atol=0.01)


def test_temperature_with_bias_is_platt_scaling():
    logits, target = calibrated(2000)
    blown_up = 2 * logits + 3
    scaling = calibration.temperature(expit(blown_up), target, bias=True)
    inside = np.abs(blown_up) < 15  # beyond, probabilities are held off 0 and 1
    platt = LogisticRegression(C=np.inf).fit(np.clip(blown_up, -16.1, 16.1)[:, None], target)
    expected = platt.predict_proba(blown_up[inside, None])[:, 1]
    np.testing.assert_allclose(scaling(expit(blown_up[inside])), expected, atol=2e-3)


def test_temperature_of_sure_and_of_useless_answers_stays_within_bounds():
    target = np.array([0, 1, 0, 1])
    sure = calibration.temperature(np.array([0.0, 1.0, 0.0, 1.0]), target)
    useless = calibration.temperature(np.array([0.9, 0.1, 0.9, 0.1]), target)
    assert 0.0099 < sure.temperature < useless.temperature < 100.1
    assert np.isfinite(sure(np.array([0.0, 0.5, 1.0]))).all()
    with pytest.raises(ValueError, match="both classes"):
        calibration.temperature(np.array([0.1, 0.2]), np.zeros(2))
    with pytest.raises(ValueError, match="NaN"):
        calibration.temperature(np.array([0.1, np.nan]), np.array([0, 1]))


def posterior(x, prevalence):
    """Of two Gaussians with deviation 1 around 0 and 2, by Bayes' rule."""
    positive = prevalence * np.exp(-((x - 2) ** 2) / 2)
    negative = (1 - prevalence) * np.exp(-(x**2) / 2)
    return positive / (positive + negative)


def gaussians(prevalence, count=20_000):
    generator = np.random.default_rng(0)
    return generator.normal(2.0 * (generator.random(count) < prevalence), 1)


@pytest.mark.parametrize(("here", "there"), [(0.5, 0.02), (0.02, 0.5), (0.3, 0.3)])
def test_prior_shift_is_exact_where_only_the_prevalence_differs(here, there):
    x = np.linspace(-4, 6, 101)
    shifted = calibration.prior_shift(posterior(x, here), here, there)
    np.testing.assert_allclose(shifted, posterior(x, there), rtol=1e-10)
    np.testing.assert_allclose(calibration.prior_shift(shifted, there, here), posterior(x, here), rtol=1e-10)


@pytest.mark.parametrize(("here", "there"), [(0.5, 0.05), (0.1, 0.6), (0.3, 0.3)])
def test_the_prevalence_of_another_place_is_estimated_without_labels(here, there):
    estimate = calibration.estimate_prevalence(posterior(gaussians(there), here), here)
    assert estimate == pytest.approx(there, abs=0.015)


def test_prevalence_edge_cases():
    assert calibration.estimate_prevalence(np.full(5, 0.3), 0.3) == pytest.approx(0.3)
    assert calibration.estimate_prevalence(np.zeros(5), 0.3) == 0
    assert calibration.estimate_prevalence(np.ones(5), 0.3) == 1
    assert calibration.prior_shift(np.array([0, 1]), 0.5, 0.1).tolist() == [0, 1]
    for share in (0, 1, np.nan):
        with pytest.raises(ValueError, match="from_prevalence must lie between"):
            calibration.prior_shift(np.array([0.5]), share, 0.5)
    with pytest.raises(ValueError, match="0 records"):
        calibration.estimate_prevalence(np.array([]), 0.5)
    with pytest.raises(ValueError, match="NaN"):
        calibration.estimate_prevalence(np.array([np.nan]), 0.5)
