import numpy as np
import pytest
import torch

from biosignals import models
from biosignals.models.one_by_k import OneByK
from biosignals.models.s4 import DiagonalKernel, long_convolution

every_net = pytest.mark.parametrize("name", models.names())
FIXED_LENGTH = {"inception-cnn"}
CONVOLUTIONAL = sorted(set(models.names()) - {"s4"})


def build(name, channels=12, classes=5, samples=1000):
    torch.manual_seed(0)
    return models.create(name, channels, classes, samples).eval()


@pytest.mark.parametrize(
    "name, trainable, with_statistics",
    [
        ("plain-cnn", 429_505, 429_505),
        ("inception-cnn", 4_265_189, 4_266_277),
        ("teacher", 6_522_555, None),
        ("student", 534_005, None),
        ("resnet1d-wang", 473_349, None),
    ],
)
def test_parameter_counts_are_the_published_ones(name, trainable, with_statistics):
    net = build(name)
    assert models.parameter_count(net) == trainable
    assert with_statistics in (None, models.parameter_count(net, statistics=True))


@pytest.mark.parametrize(
    "name, wanted",
    [("teacher", 6.5e6), ("student-1.5m", 1.5e6), ("student-1.2m", 1.2e6), ("student-915k", 915e3),
     ("student-260k", 260e3), ("student-124k", 124e3), ("student-57k", 57e3)],
)  # fmt: skip
def test_the_size_sweep_comes_within_3_percent(name, wanted):
    assert models.parameter_count(build(name)) == pytest.approx(wanted, rel=0.03)


@every_net
def test_every_parameter_learns_and_a_batch_of_one_equals_its_part_of_a_batch(name):
    net = build(name, channels=2, classes=3, samples=400)
    x = torch.randn(4, 2, 400)
    with torch.no_grad():
        together, alone = net(x), net(x[:1])
    assert together.shape == (4, 3)
    torch.testing.assert_close(alone, together[:1], atol=1e-4, rtol=1e-4)
    net.train()(x).square().sum().backward()
    still = [key for key, p in net.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert not still


@every_net
def test_other_lengths_work_or_are_refused_clearly(name):
    net, x = build(name, samples=1000), torch.randn(2, 12, 731)
    if name in FIXED_LENGTH:
        with pytest.raises(ValueError, match="takes 1000 samples, not 731"):
            net(x)
    else:
        assert net(x).isfinite().all()


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_the_one_by_k_form_computes_the_same_and_gives_its_weights_back(name):
    net, x = build(name, samples=400), torch.randn(4, 12, 400)
    form = OneByK(net, x)
    assert any(isinstance(layer, torch.nn.Conv2d) for layer in form.modules())
    assert not any(isinstance(layer, torch.nn.Conv1d) for layer in form.modules())
    torch.testing.assert_close(form(x), net(x), atol=1e-4, rtol=1e-3)
    optimizer = torch.optim.SGD(form.train().parameters(), lr=0.01)
    form(x).square().mean().backward()
    optimizer.step()
    form.copy_weights_to(net)
    torch.testing.assert_close(form.eval()(x), net.eval()(x), atol=1e-4, rtol=1e-3)


def test_a_state_space_net_has_no_one_by_k_form():
    with pytest.raises(ValueError, match="no 1 x k form"):
        OneByK(build("s4", samples=100), torch.randn(2, 12, 100))


def test_long_convolution_is_numpys_in_both_directions():
    rng = np.random.default_rng(0)
    x, forwards, backwards = (rng.normal(size=50) for _ in range(3))
    past = np.convolve(x, forwards)[:50]
    # The anti-causal kernel starts at the next sample, so that the present one is not counted twice.
    future = np.array([sum(backwards[j - i - 1] * x[j] for j in range(i + 1, 50)) for i in range(50)])
    ours = long_convolution(*(torch.tensor(a[None], dtype=torch.float32) for a in (x,)), *(
        torch.tensor(a[None], dtype=torch.float32) for a in (forwards, backwards)))  # fmt: skip
    np.testing.assert_allclose(ours[0].numpy(), past + future, atol=1e-4)


def test_a_diagonal_kernel_is_the_impulse_response_of_its_recurrence():
    torch.manual_seed(0)
    kernel = DiagonalKernel(width=1, states=4)
    decay = torch.complex(-kernel.log_decay.exp(), kernel.frequency)[0]
    step = kernel.log_step.exp()[0]
    a = torch.exp(decay * step)
    b = (a - 1) / decay
    c = torch.view_as_complex(kernel.output)[0]
    state, response = torch.zeros(4, dtype=torch.complex64), []
    for k in range(30):
        state = a * state + b * (k == 0)
        response.append(2 * (c * state).sum().real)
    torch.testing.assert_close(kernel(30)[0], torch.stack(response), atol=1e-5, rtol=1e-4)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match="resnet1d-wang"):
        models.create("resnet", 12, 5)
