import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import expit, log_softmax, rel_entr, softmax
from sklearn.metrics import roc_auc_score

from biosignals import models
from biosignals.caching import Cache
from biosignals.data import preparation
from biosignals.data.recordings import Recordings
from biosignals.models.layers.standardised import Standardised
from biosignals.training import distillation, predict
from biosignals.training.cross_validation import Examples
from biosignals.training.distillation import DistillationLoss, LastLayer, NetOutputs, TeacherOutputs
from biosignals.training.fit import TrainingData, fit
from biosignals.training.recipe import Recipe

SHORT = Recipe(epochs=2, batch_size=16, crop=100)
TERMS = [
    distillation.SoftTargets(), distillation.BinarySoftTargets(), distillation.DKD(), distillation.Hint(),
    distillation.RelationalDistance(), distillation.RelationalAngle(), distillation.LabelWiseDistance(),
    distillation.ContrastiveAlignment(), distillation.LabelContrast(), distillation.MaximumMeanDiscrepancy(),
    distillation.Triplet(), distillation.CrossAssessment(),
]  # fmt: skip


def answer(batch=6, classes=3, width=4, other=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    embeddings, weight, bias, projected = (
        torch.randn(*shape, generator=generator)
        for shape in ((batch, width), (classes, width), (classes,), (batch, other))
    )
    return NetOutputs(embeddings @ weight.T + bias, embeddings, weight, bias, projected)


def one_hot(batch=6, classes=3):
    return torch.eye(classes)[torch.arange(batch) % classes]


def recordings(count=60, channels=2, samples=150, seed=0):
    """Leads of noise; where the label is 1, lead 1 beats."""
    rng = np.random.default_rng(seed)
    targets = np.eye(2)[rng.integers(0, 2, count)].astype(np.float32)
    signals = rng.normal(0, 300, (count, channels, samples))
    signals[targets[:, 1] > 0, 0] += 2000 * (np.arange(samples) % 25 < 4)
    table = pd.DataFrame({"subject": range(count), "samples": samples, "fold": np.arange(count) % 10 + 1})
    names = ("I", "II", "III")[:channels]
    return Recordings("ptb-xl", signals.astype(np.int16), 0.001, "mV", 100.0, names, table), targets


def untrained(model="student-57k", channels=2, classes=2, samples=100, recipe=SHORT, cache=None):
    """What `teacher_outputs` needs of a fit, of a net that has learnt nothing."""
    torch.manual_seed(1)
    net = Standardised(models.create(model, channels, classes, samples), 0.0, 0.5).eval()
    return SimpleNamespace(net=net, recipe=recipe, cache=cache, key=(net, recipe.crop))


# Terms, each against its formula


def test_soft_labels_are_hintons():
    s, t = answer(seed=0), answer(seed=1)
    wanted = 9 * rel_entr(softmax(t.logits.numpy() / 3, 1), softmax(s.logits.numpy() / 3, 1)).sum(1).mean()
    assert float(distillation.SoftTargets(3)(s, t, one_hot())) == pytest.approx(wanted, rel=1e-4)


def test_soft_decisions_take_each_label_by_itself():
    s, t = answer(seed=0), answer(seed=1)
    own, theirs = expit(s.logits.double().numpy() / 2), expit(t.logits.double().numpy() / 2)
    wanted = 4 * (rel_entr(theirs, own) + rel_entr(1 - theirs, 1 - own)).mean()
    assert float(distillation.BinarySoftTargets(2)(s, t, one_hot())) == pytest.approx(wanted, rel=1e-4)


def test_decoupled_parts_add_up_to_hintons_with_the_teachers_own_weight():
    """The identity of the paper, KD = TCKD + (1 - p of the true class) NCKD, on single recordings."""
    s, t = answer(seed=0), answer(seed=1)
    for row, target in enumerate(one_hot()):
        own, theirs = (
            NetOutputs(*(part if len(part) == 3 else part[[row]] for part in net)) for net in (s, t)
        )
        rest = 1 - softmax(theirs.logits.numpy() / 4, 1)[0, int(target.argmax())]
        decoupled = distillation.DKD(1.0, float(rest), 4.0)(own, theirs, target[None])
        assert float(decoupled) == pytest.approx(
            float(distillation.SoftTargets(4)(own, theirs, target[None])), rel=1e-4
        )


def test_decoupled_refuses_several_labels():
    with pytest.raises(ValueError, match="exactly one class"):
        distillation.DKD()(answer(), answer(seed=1), torch.ones(6, 3))


def test_relations_do_not_change_with_scale_place_or_rotation():
    s = answer()
    turned, _ = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(3)))
    t = s._replace(embeddings=5 * s.embeddings @ turned + 7)
    assert float(distillation.RelationalDistance()(s, t, None)) == pytest.approx(0, abs=1e-9)
    assert float(distillation.RelationalAngle()(s, t, None)) == pytest.approx(0, abs=1e-9)
    assert float(distillation.RelationalDistance()(s, answer(seed=1), None)) > 0.01
    assert float(distillation.RelationalAngle()(s, answer(seed=1), None)) > 0.01


def test_distances_and_angles_are_those_of_drawn_points():
    corner = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
    torch.testing.assert_close(
        distillation.distances(corner), torch.tensor([[0, 3, 4], [3, 0, 5], [4, 5, 0]]) / 4
    )
    cosines = distillation.angles(corner)
    assert float(cosines[0, 1, 2]) == pytest.approx(0, abs=1e-6)  # the right angle
    assert float(cosines[1, 0, 2]) == pytest.approx(3 / 5) and float(cosines[2, 0, 1]) == pytest.approx(4 / 5)


def test_label_wise_relations_look_only_at_recordings_that_have_the_label():
    s, t, targets = answer(12), answer(12, seed=1), one_hot(12).clone()
    before = distillation.LabelWiseDistance()(s, t, targets)
    absent = targets.clone()
    absent[:, 2] = 0
    moved = t._replace(embeddings=t.embeddings + 9 * targets[:, 2:])
    assert float(distillation.LabelWiseDistance()(s, moved, absent)) == pytest.approx(
        float(distillation.LabelWiseDistance()(s, t, absent))
    )
    assert float(before) != pytest.approx(float(distillation.LabelWiseDistance()(s, t, absent)))
    assert float(distillation.LabelWiseDistance()(s, t, torch.zeros_like(targets))) == 0


def test_alignment_is_lowest_where_each_recording_finds_itself():
    t, chance = answer(8), math.log(8)
    found = distillation.ContrastiveAlignment(0.01)(t._replace(projected=t.embeddings), t, None)
    missed = distillation.ContrastiveAlignment(0.01)(t._replace(projected=t.embeddings.roll(1, 0)), t, None)
    assert float(found) < 0.01 < chance < float(missed)
    same = t._replace(projected=torch.ones(8, 4))
    other = t._replace(embeddings=torch.ones(8, 4))
    assert float(distillation.ContrastiveAlignment()(same, other, None)) == pytest.approx(chance)


def test_label_contrast_looks_for_any_recording_of_the_same_labels():
    """Its equation, term by term; recordings of the same labels may take each other's place."""
    s, t, targets = answer(7), answer(7, seed=1), one_hot(7)
    own, theirs = (
        x / np.linalg.norm(x, axis=1, keepdims=True) for x in (s.projected.numpy(), t.embeddings.numpy())
    )
    logs = log_softmax(own @ theirs.T / 0.2, axis=1)
    same = (targets.numpy()[:, None] == targets.numpy()[None]).all(2)
    wanted = -np.mean([row[members].mean() for row, members in zip(logs, same)])
    contrast = distillation.LabelContrast(0.2)
    assert float(contrast(s, t, targets)) == pytest.approx(wanted, rel=1e-4)
    exchanged = t._replace(embeddings=t.embeddings[[3, 1, 2, 0, 4, 5, 6]])  # 0 and 3 have the same label
    assert float(contrast(s, exchanged, targets)) == pytest.approx(wanted, rel=1e-4)
    moved = t._replace(embeddings=t.embeddings[[1, 0, 2, 3, 4, 5, 6]])
    assert float(contrast(s, moved, targets)) != pytest.approx(wanted, rel=1e-4)


def test_mean_discrepancy_grows_with_the_distance_of_two_clouds():
    t = answer(200)
    found = [
        float(
            distillation.MaximumMeanDiscrepancy()(t._replace(projected=t.embeddings.flip(0) + shift), t, None)
        )
        for shift in (0, 1, 4)
    ]
    assert found[0] == pytest.approx(0, abs=1e-6) and found[0] < found[1] < found[2]


def test_triplets_ask_for_a_margin_to_other_labels_only():
    places = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    t = answer(3, 2, 2, 2)._replace(embeddings=places)
    targets = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    s = t._replace(projected=places)
    assert (
        float(distillation.Triplet(1.0)(s, t, targets)) == 0
    )  # others are sqrt(2) away, neighbours do not count
    assert float(distillation.Triplet(2.0)(s, t, targets)) == pytest.approx(2 - math.sqrt(2), abs=1e-5)
    assert float(distillation.Triplet()(s, t, torch.ones(3, 2))) == 0


def test_crossed_layers_score_each_by_the_other():
    s, t, targets = answer(seed=0), answer(seed=1), one_hot()
    logits = (s.projected @ t.weight.T + t.bias).numpy(), (t.projected @ s.weight.T + s.bias).numpy()
    wanted = -np.mean([(log_softmax(each, 1) * targets.numpy()).sum(1).mean() for each in logits])
    assert float(distillation.CrossAssessment()(s, t, targets)) == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("term", TERMS, ids=lambda term: type(term).__name__)
def test_every_term_teaches_the_student_alone(term):
    s, t = answer(12), answer(12, seed=1)
    s = NetOutputs(*(part.clone().requires_grad_() for part in s))
    s = s._replace(logits=s.embeddings @ s.weight.T + s.bias)
    loss = term(s, t, one_hot(12))
    loss.backward()
    gradients = [part.grad for part in (s.embeddings, s.projected, s.weight) if part.grad is not None]
    assert loss.isfinite() and any(grad.abs().sum() > 0 for grad in gradients)
    assert all(grad.isfinite().all() for grad in gradients)


@pytest.mark.parametrize(
    "make",
    [
        lambda: distillation.SoftTargets(0), lambda: distillation.BinarySoftTargets(-1),
        lambda: distillation.DKD(temperature=math.inf), lambda: distillation.ContrastiveAlignment(0),
        lambda: distillation.Triplet(-0.1), lambda: distillation.DKD(alpha=-1),
        lambda: distillation.DKD(beta=-3), lambda: loss_of_nothing(terms=((-0.5, distillation.Hint()),)),
    ],
)  # fmt: skip
def test_temperatures_margins_and_weights_out_of_range_are_refused(make):
    with pytest.raises(ValueError, match="must be above 0"):
        make()


@pytest.mark.parametrize("labels", [-0.1, 1.1, math.nan])
def test_shares_out_of_range_are_refused(labels):
    with pytest.raises(ValueError, match="from 0 to 1"):
        loss_of_nothing(labels=labels)


def test_a_loss_of_nothing_is_refused():
    with pytest.raises(ValueError, match="teaches nothing"):
        loss_of_nothing(terms=(), labels=0.0)


def loss_of_nothing(**options):
    return DistillationLoss(given(pd.RangeIndex(0), np.zeros((0, 2)), np.zeros((0, 2))), **options)


def given(ids, logits, embeddings):
    """A teacher that gives these arrays."""
    return TeacherOutputs(ids, logits, lambda: LastLayer(embeddings), embeddings)


# Teachers


def test_a_teacher_gives_what_it_predicts():
    signals, _ = recordings()
    teacher = untrained(recipe=replace(SHORT, crop=None))
    outputs = distillation.teacher_outputs(teacher, signals, embeddings=True)
    found = predict.predict(teacher.net, signals, np.arange(len(signals)))
    np.testing.assert_allclose(expit(outputs.logits), found, atol=1e-5)
    embeddings, weight, bias = outputs.last_layer
    np.testing.assert_allclose(embeddings @ weight.T + bias, outputs.logits, atol=1e-4)
    with pytest.raises(ValueError, match="logits alone"):
        _ = distillation.teacher_outputs(teacher, signals).last_layer


def test_outputs_are_computed_once(tmp_path):
    signals, _ = recordings()
    teacher = untrained(cache=Cache(tmp_path))
    calls = []
    teacher.net.register_forward_hook(lambda *_: calls.append(1))
    first = distillation.teacher_outputs(teacher, signals, embeddings=True)
    computed = len(calls)
    second = distillation.teacher_outputs(teacher, signals, embeddings=True)
    np.testing.assert_array_equal(first.logits, second.logits)
    assert computed > 0 and len(calls) == computed
    distillation.teacher_outputs(teacher, recordings(seed=1)[0])
    distillation.teacher_outputs(untrained(recipe=replace(SHORT, crop=90), cache=Cache(tmp_path)), signals)
    assert len(list(tmp_path.iterdir())) == 3


def test_logits_travel_and_embeddings_are_computed_where_they_are_needed(tmp_path):
    signals, _ = recordings()
    first = distillation.teacher_outputs(
        untrained(cache=Cache(tmp_path / "a", tmp_path / "exported")), signals, embeddings=True
    )
    elsewhere = Cache(tmp_path / "b", tmp_path / "exported")
    teacher = untrained(cache=elsewhere)
    teacher.net, net = None, teacher.net  # logits are there: nobody needs the net
    again = distillation.teacher_outputs(teacher, signals, embeddings=True)
    np.testing.assert_array_equal(again.logits, first.logits)
    teacher.net = net
    np.testing.assert_allclose(again.last_layer.embeddings, first.last_layer.embeddings, atol=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        lambda outputs, subjects: outputs,
        lambda outputs, subjects: distillation.average_teachers([outputs, outputs]),
        lambda outputs, subjects: distillation.noisy_or(outputs, [[0], [0, 1]]),
        lambda outputs, subjects: distillation.shuffle_within_subjects(outputs, subjects, np.arange(60)),
    ],
    ids=["one", "ensemble", "statements", "other moments"],
)
def test_a_clone_needs_no_teacher_where_its_student_has_learnt(tmp_path, change, monkeypatch):
    signals, targets = recordings()
    subjects = np.arange(60) // 2

    def taught(cache):
        data = Examples(signals, targets, cache)
        losses = []
        for teacher in data.out_of_fold("student-124k", SHORT).fits[0]:
            outputs = distillation.teacher_outputs(teacher, signals, embeddings=True)
            losses.append(DistillationLoss(change(outputs, subjects), ((0.5, distillation.Hint()),)))
        return data.out_of_fold("student-57k", SHORT, distillation=losses).probabilities

    probabilities = taught(Cache(tmp_path / "a", tmp_path / "exported"))
    monkeypatch.setattr("biosignals.training.fit._train", lambda _: pytest.fail("a net is trained again"))
    clone = taught(Cache(tmp_path / "b", tmp_path / "exported"))
    np.testing.assert_array_equal(clone, probabilities)


def test_an_ensemble_gives_the_mean_and_keeps_its_layer():
    signals, _ = recordings()
    teachers = [
        distillation.teacher_outputs(untrained(model), signals, embeddings=True)
        for model in ("student-57k", "student-124k")
    ]
    both = distillation.average_teachers(teachers)
    embeddings, weight, bias = both.last_layer
    np.testing.assert_allclose(both.logits, (teachers[0].logits + teachers[1].logits) / 2, atol=1e-6)
    np.testing.assert_allclose(embeddings @ weight.T + bias, both.logits, atol=1e-4)
    with pytest.raises(ValueError, match="equal shapes"):
        distillation.average_teachers([teachers[0], replace(teachers[1], logits=np.zeros((60, 3)))])


def test_statements_become_classes_by_noisy_or():
    logits = np.random.default_rng(0).normal(0, 3, (20, 5)).astype(np.float32)
    teacher = given(pd.RangeIndex(20), logits, np.zeros((20, 1)))
    found = expit(distillation.noisy_or(teacher, [[0], [1, 2, 4]]).logits)
    p = expit(logits)
    np.testing.assert_allclose(found[:, 0], p[:, 0], atol=1e-5)
    np.testing.assert_allclose(found[:, 1], 1 - (1 - p[:, 1]) * (1 - p[:, 2]) * (1 - p[:, 4]), atol=1e-5)
    certain = distillation.noisy_or(replace(teacher, logits=np.full((20, 5), -90.0, np.float32)), [[0, 1]])
    assert np.isfinite(certain.logits).all() and (certain.logits < -10).all()
    with pytest.raises(ValueError, match="every class needs a statement"):
        distillation.noisy_or(teacher, [[0], []])


def test_another_moment_is_of_the_same_subject_among_the_rows_and_never_the_same():
    subjects = np.array(list("aabbbaab"))
    logits = np.arange(8.0, dtype=np.float32)[:, None]
    rows = np.array([0, 1, 2, 4, 5, 7])
    teacher = given(pd.RangeIndex(8), logits, 10 * logits)
    other = distillation.shuffle_within_subjects(teacher, subjects, rows)
    source = other.logits[:, 0].astype(int)
    assert (subjects[source] == subjects).all() and set(source[rows]) == set(rows)
    assert (source[rows] != rows).all() and list(source[[3, 6]]) == [3, 6]
    np.testing.assert_array_equal(other.last_layer.embeddings, 10 * other.logits)
    with pytest.raises(ValueError, match="subject b has one row"):
        distillation.shuffle_within_subjects(teacher, subjects, np.array([0, 1, 2]))


def test_a_teacher_of_several_statements_has_no_layer_to_go_through():
    teacher = answer()._replace(weight=None, bias=None)
    for term in (distillation.CrossAssessment(), distillation.LabelWiseDistance()):
        with pytest.raises(ValueError, match="no last layer"):
            term(answer(), teacher, one_hot())


# Losses


def teach(loss=None, model="student-57k", data=None, recipe=SHORT, cache=None, **options):
    signals, targets = data or recordings()
    learnt = TrainingData(signals, targets, np.arange(40), distillation=loss, **options)
    return fit(model, learnt, recipe, cache=cache)


def outputs_of(model="student-57k", recipe=SHORT, signals=None):
    signals = recordings()[0] if signals is None else signals
    return distillation.teacher_outputs(untrained(model, recipe=recipe), signals, embeddings=True)


def test_a_student_learns_from_a_teacher_without_labels():
    signals, targets = recordings(120)
    recipe = Recipe(epochs=12, batch_size=16, crop=None)
    teacher = fit("student-124k", TrainingData(signals, targets, np.arange(80)), recipe)
    soft = ((1.0, distillation.BinarySoftTargets()),)
    loss = DistillationLoss(distillation.teacher_outputs(teacher, signals), soft, 0.0)
    nonsense = np.random.default_rng(5).permutation(targets)
    student = fit("student-57k", TrainingData(signals, nonsense, np.arange(80), distillation=loss), recipe)
    assert roc_auc_score(targets[80:], student.predict(signals, np.arange(80, 120))) > 0.95


@pytest.mark.parametrize("term", TERMS, ids=lambda term: type(term).__name__)
def test_a_student_can_learn_from_any_term(term):
    found = teach(DistillationLoss(outputs_of("student-124k"), ((0.5, term),)))
    assert np.isfinite(found.history.training_loss).all()
    # The projections stay behind: the student is a net like any other.
    plain = models.create("student-57k", 2, 2, 100)
    assert models.parameter_count(found.net) == models.parameter_count(plain)


@pytest.mark.parametrize("model", ["resnet1d-wang", "s4", "cnn-lstm", "tcn"])
def test_students_of_other_families_learn_too(model):
    signals, targets = recordings(samples=400)
    recipe = Recipe(epochs=1, batch_size=16, crop=None)
    loss = DistillationLoss(outputs_of(recipe=recipe, signals=signals), ((0.5, distillation.Hint()),))
    assert np.isfinite(teach(loss, model, (signals, targets), recipe).history.training_loss).all()


def test_a_student_with_a_second_input_learns_too():
    signals, targets = recordings(samples=400)
    recipe = Recipe(epochs=1, batch_size=16, crop=None)
    features = np.random.default_rng(0).normal(size=(60, 10)).astype(np.float32)
    loss = DistillationLoss(outputs_of(recipe=recipe, signals=signals))
    found = teach(loss, "resnet1d-rhythm", (signals, targets), recipe, features=features)
    assert np.isfinite(found.history.training_loss).all()


@pytest.mark.slow
def test_a_deit_learns_from_its_teacher_with_its_second_head():
    signals, targets = recordings(channels=1, samples=32)
    rows = np.repeat(signals.signals, 64, axis=1)
    images = replace(signals, signals=rows, channels=tuple(map(str, range(64))))
    teacher = given(signals.table.index, np.tile([[4.0, -4.0]], (60, 1)), np.zeros((60, 3)))
    loss = DistillationLoss(teacher, ((1.0, distillation.BinarySoftTargets(1.0)),), labels=1.0)
    recipe = Recipe(epochs=8, batch_size=16, crop=None, learning_rate=3e-3)
    learnt = TrainingData(images, np.zeros_like(targets), np.arange(60), distillation=loss)
    net = fit("deit-small", learnt, recipe).net
    with torch.no_grad():
        x = (torch.from_numpy(images.physical(np.arange(4))) - net.mean) / net.deviation
        by_labels, by_teacher = net.net.both_logits(x)
    assert (by_labels < 0).all()  # no label is ever there
    assert (by_teacher[:, 0] > 0).all() and (by_teacher[:, 1] < 0).all()


@pytest.mark.parametrize(
    "loss", [{"labels": 0.0}, {"terms": ((1.0, distillation.RelationalDistance()),)}, {"terms": ()}]
)
def test_no_head_of_a_deit_is_left_without_anything_to_learn(loss):
    deit = models.create("deit-small", 64, 2, 32)
    teacher = given(pd.RangeIndex(1), np.zeros((1, 2)), np.zeros((1, 3)))
    with pytest.raises(ValueError, match="two heads"):
        DistillationLoss(teacher, **loss).module(deit, torch.randn(2, 64, 32))


def test_losses_tell_fits_apart(tmp_path):
    one, other = outputs_of("student-57k"), outputs_of("student-124k")
    warmer = ((0.5, distillation.BinarySoftTargets(3)),)
    losses = [
        None, DistillationLoss(one), DistillationLoss(other), DistillationLoss(one, labels=0.4),
        DistillationLoss(one, warmer),
    ]  # fmt: skip
    for loss in [*losses, losses[1]]:
        teach(loss, cache=Cache(tmp_path))
    assert len(list(tmp_path.iterdir())) == len(losses)


def test_teachers_that_do_not_fit_are_refused():
    signals, targets = recordings()
    outputs = outputs_of()
    with pytest.raises(ValueError, match="same ones in the same order"):
        teach(DistillationLoss(outputs), data=(signals.take(np.arange(59, -1, -1)), targets))
    with pytest.raises(ValueError, match="2 classes, the student 4"):
        teach(DistillationLoss(outputs), data=(signals, np.hstack([targets, targets])))
    with pytest.raises(ValueError, match="NaN"):
        teach(DistillationLoss(replace(outputs, logits=np.full((60, 2), np.nan, np.float32))))
    with pytest.raises(ValueError, match="has them"):
        bare = replace(outputs, compute_last_layer=None)
        DistillationLoss(bare, ((0.5, distillation.Hint()),))
    with pytest.raises(ValueError, match="crops of 100 samples, ptb-xl has 90"):
        outputs_of(signals=recordings(samples=90)[0])
    with pytest.raises(ValueError, match="3 channels of 150 samples"):
        outputs_of(signals=recordings(channels=3)[0])
    with pytest.raises(ValueError, match="no dense layer"):
        distillation.last_linear(torch.nn.Conv1d(1, 1, 1))


def test_a_net_with_two_inputs_is_no_teacher():
    signals, _ = recordings()
    net = models.create("resnet1d-rhythm", 2, 2, 150, 10).eval()
    joined = SimpleNamespace(net=net, recipe=replace(SHORT, crop=None), cache=None, key=None)
    with pytest.raises(ValueError, match="does not take|two inputs"):
        distillation.teacher_outputs(joined, signals)


def test_windows_are_told_apart_by_where_they_start():
    windows = preparation.cut_windows(recordings(10, samples=600)[0], 1.0, 0.5)
    starts = windows.table.start.to_numpy()
    early, late = (windows.take(np.isin(starts, part)) for part in ((0, 1), (3, 4)))
    early, late = (replace(part, table=part.table.reset_index(drop=True)) for part in (early, late))
    outputs = outputs_of(signals=early)
    DistillationLoss(outputs).check(early, 2)
    with pytest.raises(ValueError, match="same ones in the same order"):
        DistillationLoss(outputs).check(late, 2)


def test_a_student_that_goes_on_after_its_last_dense_layer_is_refused():
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(20, 2), torch.nn.Tanh())
    loss = DistillationLoss(given(pd.RangeIndex(1), np.zeros((1, 2)), np.zeros((1, 3))))
    with pytest.raises(ValueError, match="cannot be a student"):
        loss.module(net, torch.randn(4, 2, 10))


def test_out_of_fold_each_group_has_its_own_teacher():
    data = Examples(*recordings())
    teachers = data.out_of_fold("student-124k", SHORT)
    losses = [
        DistillationLoss(distillation.teacher_outputs(one, data.recordings)) for one in teachers.fits[0]
    ]
    students = data.out_of_fold("student-57k", SHORT, distillation=losses)
    assert students.probabilities.shape == teachers.probabilities.shape
    with pytest.raises(ValueError):
        data.out_of_fold("student-57k", SHORT, distillation=losses[:2])
