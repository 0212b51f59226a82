import numpy as np
import pytest
import torch

from biosignals import models
from biosignals.models.cnn_lstm import last_step
from biosignals.models.convmixer import Block
from biosignals.models.cvt_convmixer import ConvolutionalAttention
from biosignals.models.eeg_small import EegSmall
from biosignals.models.one_by_k import OneByK
from biosignals.models.rhythm_resnet import normalised
from biosignals.models.rr_transformer import positions
from biosignals.models.s4 import DiagonalKernel, long_convolution
from biosignals.models.tcn import CausalBlock, Tcn

every_net = pytest.mark.parametrize("name", models.names())
# Rows of each image that nets for pictures take: with them, `channels` here are images.
HEIGHTS = dict.fromkeys(["convmixer-2d", "convmixer-2d-small", "cvt-convmixer"], models.HEIGHT)
FIXED_LENGTH = {"inception-cnn", "simple-cnn", "custom-cnn", "eeg-cnn"}
TWO_INPUTS = {"rr-transformer", "resnet1d-rhythm"}
# Recurrent, attention and state-space nets, and those on pictures, of channels by time or others.
WITHOUT_ONE_BY_K = {
    *TWO_INPUTS, *HEIGHTS, "s4", "cnn-lstm", "cnn-bilstm", "eeg-cnn", "eeg-cnn-lstm", "eeg-cnn-bilstm"
}  # fmt: skip
CONVOLUTIONAL = sorted(set(models.names()) - WITHOUT_ONE_BY_K)
SHORT = {"custom-cnn": 512, "simple-cnn": 100, "convmixer-1d": 100, **dict.fromkeys(HEIGHTS, 40)}
OTHER = dict.fromkeys(HEIGHTS, 73)


def build(name, channels=12, classes=5, samples=1000):
    torch.manual_seed(0)
    return models.create(name, channels * HEIGHTS.get(name, 1), classes, samples, features_of(name)).eval()


def inputs(name, batch, channels, samples):
    signals = torch.randn(batch, channels * HEIGHTS.get(name, 1), samples)
    return (signals, torch.randn(batch, features_of(name))) if name in TWO_INPUTS else (signals,)


def features_of(name):
    return 10 if name in TWO_INPUTS else 0


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
    samples = SHORT.get(name, 400)
    net = build(name, channels=2, classes=3, samples=samples)
    x = inputs(name, 4, 2, samples)
    with torch.no_grad():
        together, alone = net(*x), net(*(part[:1] for part in x))
    assert together.shape == (4, 3)
    torch.testing.assert_close(alone, together[:1], atol=1e-4, rtol=1e-4)
    net.train()(*x).square().sum().backward()
    still = [key for key, p in net.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert not still


@every_net
def test_other_lengths_work_or_are_refused_clearly(name):
    samples, other = SHORT.get(name, 400), OTHER.get(name, 731)
    net, x = build(name, samples=samples), inputs(name, 2, 12, other)
    if name in FIXED_LENGTH:
        with pytest.raises(ValueError, match=f"takes .*{samples} samples, not .*{other}"):
            net(*x)
    else:
        assert net(*x).isfinite().all()


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_the_one_by_k_form_computes_the_same_and_gives_its_weights_back(name):
    samples = SHORT.get(name, 400)
    net, x = build(name, samples=samples), torch.randn(4, 12, samples)
    form = OneByK(net, x)
    assert any(isinstance(layer, torch.nn.Conv2d) for layer in form.modules())
    assert not any(isinstance(layer, torch.nn.Conv1d) for layer in form.modules())
    torch.testing.assert_close(form(x), net(x), atol=1e-4, rtol=1e-3)
    optimizer = torch.optim.SGD(form.train().parameters(), lr=0.01)
    form(x).square().mean().backward()
    optimizer.step()
    form.copy_weights_to(net)
    torch.testing.assert_close(form.eval()(x), net.eval()(x), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("name", sorted(WITHOUT_ONE_BY_K))
def test_other_nets_say_that_they_have_no_one_by_k_form(name):
    with pytest.raises(ValueError, match=r"no 1 x k form|takes \d+ channels|takes two inputs"):
        OneByK(build(name, samples=SHORT.get(name, 400)), inputs(name, 2, 12, SHORT.get(name, 400))[0])


@pytest.mark.parametrize("name", sorted(TWO_INPUTS))
def test_a_second_input_is_asked_for_and_counts(name):
    net, (x, features) = build(name, samples=400), inputs(name, 2, 12, 400)
    with pytest.raises(ValueError, match="second input"):
        models.create(name, 12, 5, 400)
    with pytest.raises(ValueError, match="two inputs"):
        net(x)
    assert models.takes_features(name)
    assert (net(x, features) - net(x, features + 1)).abs().max() > 1e-4


def test_features_are_refused_by_nets_without_a_second_input():
    with pytest.raises(ValueError, match="tcn has no second input"):
        models.create("tcn", 1, 2, 400, features=10)


def create_without_memory(name, channels, classes, samples):
    with torch.device("meta"):
        return models.create(name, channels, classes, samples).eval()


def test_the_simple_cnn_has_its_159_million_parameters():
    net = create_without_memory("simple-cnn", channels=1, classes=1, samples=5000)
    assert models.parameter_count(net) == 159_616_497
    assert net.features(torch.empty(1, 1, 5000, device="meta")).shape == (1, 64, 2486)


@pytest.mark.parametrize(
    "samples, padded, steps", [(5000, 0, 1), (4604, 0, 1), (4603, 2, 8), (1250, 2, 2), (512, 2, 1)]
)
def test_the_custom_cnn_pads_short_inputs_only(samples, padded, steps):
    net = create_without_memory("custom-cnn", channels=1, classes=1, samples=samples)
    assert {layer.padding for layer in net.modules() if isinstance(layer, torch.nn.Conv1d)} == {(padded,)}
    x = torch.empty(2, 1, samples, device="meta")
    assert net.features(x).shape == (2, 512, steps)
    assert net(x).shape == (2, 1)


def test_the_custom_cnn_refuses_what_nine_pools_would_swallow():
    with pytest.raises(ValueError, match="at least 512 samples, not 511"):
        models.create("custom-cnn", 1, 2, 511)


@pytest.mark.parametrize("name", ["eeg-cnn", "eeg-cnn-lstm", "eeg-cnn-bilstm"])
def test_eeg_convolutions_keep_channels_and_quarter_time(name):
    net = create_without_memory(name, channels=23, classes=2, samples=2560)
    assert net.features(torch.empty(1, 1, 23, 2560, device="meta")).shape == (1, 32, 23, 640)
    if name != "eeg-cnn":
        assert net.lstm.input_size == 736


def test_the_eeg_cnn_refuses_another_montage():
    with pytest.raises(ValueError, match="takes 23 channels x 64 samples"):
        build("eeg-cnn", channels=23, samples=64)(torch.randn(2, 18, 64))


@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_last_step_has_read_the_whole_sequence_in_each_direction(bidirectional):
    torch.manual_seed(0)
    lstm, x = torch.nn.LSTM(3, 4, batch_first=True, bidirectional=bidirectional), torch.randn(2, 7, 3)
    every_step, _ = lstm(x)
    expected = every_step[:, -1, :4]
    if bidirectional:
        expected = torch.cat([expected, every_step[:, 0, 4:]], dim=1)
    torch.testing.assert_close(last_step(lstm, x), expected)


def test_a_causal_block_never_sees_the_future():
    torch.manual_seed(0)
    block, x = CausalBlock(width=4, kernel=5, dilation=2, dropout=0).eval(), torch.randn(1, 4, 60)
    changed = x.clone()
    changed[..., 30] += 1
    moved = (block(x) != block(changed)).any(1)[0]
    assert moved[30] and not moved[:30].any()


@pytest.mark.parametrize("samples, stride", [(1250, 4), (5000, 4), (640, 2), (10, 2)])
def test_the_last_step_of_a_tcn_sees_the_whole_input(samples, stride):
    net = Tcn(1, 2, samples, stride=stride)
    field = 1 + sum(conv.dilation[0] * (conv.kernel_size[0] - 1)
                    for conv in net.blocks.modules() if isinstance(conv, torch.nn.Conv1d))  # fmt: skip
    assert field == net.receptive_field(kernel=5) >= samples // stride


@pytest.mark.parametrize("name", ["resnet1d-small", "resnet1d-rhythm", "eeg-small-normalised"])
def test_gain_and_offset_of_a_recorder_make_no_difference(name):
    net, (x, *features) = build(name, channels=2, samples=400), inputs(name, 3, 2, 400)
    gain, offset = (
        torch.tensor([0.01, 3.0, 200.0])[:, None, None],
        torch.tensor([0.0, -1.0, 50.0])[:, None, None],
    )
    torch.testing.assert_close(net(gain * x + offset, *features), net(x, *features), atol=1e-3, rtol=1e-3)


def test_a_records_leads_keep_their_proportions_and_a_flat_record_is_zero():
    x = torch.randn(2, 3, 500) * torch.tensor([1.0, 2.0, 4.0])[:, None]
    y = normalised(x)
    torch.testing.assert_close(y.std(-1) / y.std(-1)[:, :1], x.std(-1) / x.std(-1)[:, :1])
    torch.testing.assert_close(y.std((1, 2), correction=0), torch.ones(2))
    assert not normalised(torch.full((1, 3, 500), 2.0)).any()


def test_mixing_electrodes_first_computes_what_filtering_first_does():
    torch.manual_seed(0)
    mix, filters = list(EegSmall(channels=5, classes=2).features[:2])
    x = torch.randn(2, 5, 200)
    kernels = filters.weight.squeeze(1)
    filtered = torch.nn.functional.conv1d(x.flatten(0, 1).unsqueeze(1), kernels.unsqueeze(1), padding=16)
    expected = torch.einsum("wc,bcwt->bwt", mix.weight.squeeze(2), filtered.unflatten(0, (2, 5)))
    torch.testing.assert_close(filters(mix(x)), expected, atol=1e-5, rtol=1e-4)


def test_positions_are_sines_and_cosines_of_falling_frequency():
    codes = positions(50, 8).numpy()
    step, pair = np.mgrid[:50, :4]
    angle = step / 10_000 ** (2 * pair / 8)
    np.testing.assert_allclose(codes[:, 0::2], np.sin(angle), atol=1e-4)
    np.testing.assert_allclose(codes[:, 1::2], np.cos(angle), atol=1e-4)


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


@pytest.mark.parametrize("name", sorted(HEIGHTS))
def test_channels_that_are_no_whole_pictures_are_refused(name):
    with pytest.raises(ValueError, match="65 channels are no multiple of this net's 64 rows"):
        models.create(name, 65, 5, 68)
    with pytest.raises(ValueError, match=r"takes 128 channels \(2 x 64 rows\), not \(64, 68\)"):
        build(name, channels=2, samples=68)(torch.randn(2, 64, 68))


@pytest.mark.parametrize(
    "name, shortest", [("pulse-cnn", 4), ("convmixer-1d", 2), ("convmixer-2d", 4), ("cvt-convmixer", 8)]
)
def test_what_pools_or_patches_would_swallow_is_refused(name, shortest):
    net = build(name, channels=1, samples=shortest)
    assert net(*inputs(name, 2, 1, shortest)).isfinite().all()
    with pytest.raises(ValueError, match=f"{shortest} samples"):
        build(name, channels=1, samples=shortest - 1)


@pytest.mark.parametrize(
    "name, channels, low, high",
    [("pulse-cnn", 1, 30e3, 50e3), ("convmixer-1d", 64, 5e5, 7e5), ("convmixer-1d-small", 64, 2e4, 5e4),
     ("convmixer-2d", 64, 5e5, 7e5), ("convmixer-2d-small", 64, 2e4, 5e4), ("cvt-convmixer", 64 * 12, 5e5, 1e6)],
)  # fmt: skip
def test_nets_for_scalograms_and_pulses_keep_to_their_size(name, channels, low, high):
    assert low < models.parameter_count(create_without_memory(name, channels, 5, 68)) < high


def test_a_convmixer_block_mixes_places_then_channels():
    torch.manual_seed(0)
    block, x = Block(torch.nn.Conv1d, torch.nn.BatchNorm1d, width=6, kernel=5).eval(), torch.randn(1, 6, 40)
    changed = x.clone()
    changed[0, 2, 20] += 1
    moved = block.places(x) != block.places(changed)
    assert moved[0, 2, 18:23].all() and moved.sum() == 5
    moved = block(x) != block(changed)
    assert moved[0, :, 18:23].all() and moved.sum() == 6 * 5


def test_attention_by_convolutions_is_attention_over_all_places():
    torch.manual_seed(0)
    layer, x = ConvolutionalAttention(8, heads=2).eval(), torch.randn(1, 8, 6, 4)
    queries, keys, values = (
        project(x)[0].flatten(1).T.reshape(-1, 2, 4) for project in (layer.queries, layer.keys, layer.values)
    )
    weights = (torch.einsum("qhd,khd->hqk", queries, keys) / 4**0.5).softmax(-1)
    assert weights.shape == (2, 24, 6)
    expected = layer.mix(torch.einsum("hqk,khd->qhd", weights, values).reshape(24, 8))
    torch.testing.assert_close(layer(x)[0], expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["pulse-cnn", "convmixer-1d-small", "convmixer-2d-small", "cvt-convmixer"])
def test_nets_for_scalograms_and_pulses_run_elsewhere(name, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime", reason="exporting needs onnx, onnxscript and onnxruntime")
    pytest.importorskip("onnxscript", reason="exporting needs onnx, onnxscript and onnxruntime")
    net, (x,) = build(name, channels=1, samples=40), inputs(name, 3, 1, 40)
    net.train()(x)  # statistics of batch norm other than those it starts with
    net.eval()
    path = str(tmp_path / "net.onnx")
    batch = {"x": {0: torch.export.Dim("batch")}}
    torch.onnx.export(net, (x,), path, dynamo=True, dynamic_shapes=batch, verbose=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: x[:2].numpy()})
    np.testing.assert_allclose(found, net(x[:2]).detach().numpy(), atol=1e-4)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match="resnet1d-wang"):
        models.create("resnet", 12, 5)
