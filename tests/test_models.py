"""Every net by the same tests, and what is special about some.

A net of your own passes the first without a change here, unless it takes pictures, a second input or one length
only: then it is named in HEIGHTS, TWO_INPUTS or FIXED_LENGTH.
"""

import inspect
import re

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from biosignals import models, onnx_files
from biosignals.compression.export import export
from biosignals.models import swin
from biosignals.models.cnn_lstm import last_step
from biosignals.models.convmixer import Block
from biosignals.models.convnext import Block as ConvNeXtBlock
from biosignals.models.convnext import ConvNeXt
from biosignals.models.cvt_convmixer import ConvolutionalAttention
from biosignals.models.deit import DeiT
from biosignals.models.eeg_small import EegSmall
from biosignals.models.efficientnetv2 import SMALL, EfficientNetV2
from biosignals.models.layers.centred import Centred
from biosignals.models.layers.conv1d_as_conv2d import Conv1dAsConv2d
from biosignals.models.layers.image_blocks import EncoderBlock, PatchEmbedding, StochasticDepth
from biosignals.models.layers.onnx_s4 import as_convolutions
from biosignals.models.layers.standardised import Standardised
from biosignals.models.resnet1d import normalised
from biosignals.models.s4 import DiagonalKernel, long_convolution
from biosignals.models.scalogram_net import ScalogramNet
from biosignals.models.swin import Swin
from biosignals.models.tcn import CausalBlock, Tcn
from biosignals.models.transformer import positions
from biosignals.models.wave_to_wave import WaveToWave
from biosignals.signals import scalogram
from biosignals.signals.windows import prepare

every_net = pytest.mark.parametrize("name", models.names())
# Rows of each image that nets for pictures take: with them, `channels` here are images.
HEIGHTS = {
    **dict.fromkeys(["convmixer-2d", "convmixer-2d-small", "cvt-convmixer", "resnet2d-small"], models.HEIGHT),
    "vit": 182, "deit": 182, "efficientnetv2-s": 182, "convnext-tiny": 182,
    "vit-small": 64, "deit-small": 64, "efficientnetv2-s-small": 64, "convnext-tiny-small": 64,
    "swin-small": 64, "inception-v3-small": 64,
}  # fmt: skip
FIXED_LENGTH = {
    "inception-cnn",
    "simple-cnn",
    "custom-cnn",
    "eeg-cnn",
    "eeg-cnn-regularised",
    "vit",
    "vit-small",
    "deit",
    "deit-small",
    "signal-vit",
}
TWO_INPUTS = {"rr-transformer", "resnet1d-rhythm"}
SHORT = {
    "custom-cnn": 512,
    "simple-cnn": 100,
    "convmixer-1d": 100,
    "convmixer-1d-dropout": 100,
    **dict.fromkeys(HEIGHTS, 40),
}
OTHER = dict.fromkeys(HEIGHTS, 73)


def build(name, channels=12, classes=5, samples=1000):
    torch.manual_seed(0)
    return models.create(name, channels * HEIGHTS.get(name, 1), classes, samples, features_of(name)).eval()


def file_of(net):
    """The file that a net is written in, for the message of a test that fails for it."""
    return f"lib/biosignals/models/{inspect.getfile(type(net)).rpartition('models/')[2]}"


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
     ("student-260k", 260e3), ("student-124k", 124e3), ("student-57k", 57e3), ("student-23k", 23e3),
     ("student-4k", 4e3)],
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
    assert together.shape == (4, 3), f"{file_of(net)}: logits must be (batch, classes)"
    message = f"{file_of(net)}: in evaluation mode a record's logits depend on the others of its batch"
    torch.testing.assert_close(alone, together[:1], atol=1e-4, rtol=1e-4, msg=message)
    net.train()(*x).square().sum().backward()
    still = [key for key, p in net.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert not still, f"{file_of(net)}: these have no finite gradient"


@every_net
def test_other_lengths_work_or_are_refused_clearly(name):
    samples, other = SHORT.get(name, 400), OTHER.get(name, 731)
    net, x = build(name, samples=samples), inputs(name, 2, 12, other)
    try:
        found = net(*x)
    except ValueError as error:
        assert re.search(f"takes .*{samples} samples, not .*{other}", str(error)), file_of(net)
        assert name in FIXED_LENGTH, f"{error}: if that is meant, say so in FIXED_LENGTH, {__file__}"
    except RuntimeError as error:
        pytest.fail(
            f"{file_of(net)}: say what lengths it takes, by a ValueError, not in PyTorch's words: {error}"
        )
    else:
        assert found.isfinite().all() and name not in FIXED_LENGTH, file_of(net)


@every_net
def test_a_net_of_convolutions_has_a_one_by_k_form_and_another_says_that_it_has_none(name):
    samples = SHORT.get(name, 400)
    net, (x, *others) = build(name, samples=samples), inputs(name, 4, 12, samples)
    weighted = [layer for layer in net.modules() if list(layer.parameters(recurse=False))]
    if others or not all(isinstance(layer, nn.Conv1d | nn.BatchNorm1d | nn.Linear) for layer in weighted):
        with pytest.raises(ValueError, match=r"no 1 x k form|takes \d+ channels|takes two inputs"):
            Conv1dAsConv2d(net, x)
    else:
        check_one_by_k_form(net, x)


def check_one_by_k_form(net, x):
    """It computes the same, and gives its weights back."""
    form = Conv1dAsConv2d(net, x)
    assert any(isinstance(layer, torch.nn.Conv2d) for layer in form.modules())
    assert not any(isinstance(layer, torch.nn.Conv1d) for layer in form.modules())
    torch.testing.assert_close(form(x), net(x), atol=1e-4, rtol=1e-3)
    optimizer = torch.optim.SGD(form.train().parameters(), lr=0.01)
    form(x).square().mean().backward()
    optimizer.step()
    form.copy_weights_to(net)
    torch.testing.assert_close(form.eval()(x), net.eval()(x), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("name", sorted(TWO_INPUTS))
def test_a_second_input_is_asked_for_and_counts(name):
    net, (x, features) = build(name, samples=400), inputs(name, 2, 12, 400)
    with pytest.raises(ValueError, match="second input"):
        models.create(name, 12, 5, 400)
    with pytest.raises(ValueError, match="two inputs"):
        net(x)
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


def test_the_custom_cnn_is_the_original_layer_by_layer():
    net = create_without_memory("custom-cnn", channels=1, classes=1, samples=5000)
    assert models.parameter_count(net) == 2_688_673
    found = " ".join(type(layer).__name__ for layer in net.features)
    first = "Conv1d BatchNorm1d ReLU MaxPool1d"
    block, dropped = "Conv1d ReLU MaxPool1d", "Conv1d ReLU MaxPool1d Dropout"
    assert found == " ".join([first, *[block] * 4, dropped, block, dropped, dropped, "Conv1d"])
    dense = "Linear BatchNorm1d ReLU Dropout Linear BatchNorm1d ReLU Linear"
    assert " ".join(type(layer).__name__ for layer in net.head) == dense


def test_the_custom_cnn_refuses_what_nine_pools_would_swallow():
    with pytest.raises(ValueError, match="at least 512 samples, not 511"):
        models.create("custom-cnn", 1, 2, 511)


def test_a_recorders_gain_changes_nothing_for_the_recurrent_residual_net():
    net = build("resnet1d-gru", channels=1, classes=4, samples=2048)
    x = torch.randn(2, 1, 2048)
    torch.testing.assert_close(net(5 * x), net(x), atol=1e-4, rtol=1e-4)
    assert net(torch.zeros(2, 1, 2048)).isfinite().all()


def test_a_transformer_can_do_without_the_intervals_that_it_may_see():
    x, intervals = torch.randn(2, 1, 400), torch.rand(2, 10)
    told = build("rr-transformer", channels=1, classes=1, samples=400)
    assert not torch.allclose(told(x, intervals), told(x, 2 * intervals))
    with pytest.raises(ValueError, match="takes two inputs"):
        told(x)
    assert build("ecg-transformer", channels=1, classes=1, samples=400)(x).shape == (2, 1)


@pytest.mark.parametrize("name", ["eeg-cnn", "eeg-cnn-regularised", "eeg-cnn-lstm", "eeg-cnn-bilstm"])
def test_eeg_convolutions_keep_channels_and_quarter_time(name):
    net = create_without_memory(name, channels=23, classes=2, samples=2560)
    assert net.features(torch.empty(1, 1, 23, 2560, device="meta")).shape == (1, 32, 23, 640)
    if name.endswith("lstm"):
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


BLIND_TO_GAIN = ["resnet1d-small", "resnet1d-rhythm", "resnet1d-wang-normalised", "eeg-small-normalised"]


@pytest.mark.parametrize("name", BLIND_TO_GAIN)
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


def test_nets_for_pictures_have_their_papers_parameters():
    with torch.device("meta"):
        nets = [
            EfficientNetV2(3 * 224, 1000, 224, height=224),
            ConvNeXt(3 * 224, 1000, 224, height=224),
            DeiT(3 * 224, 1000, 224, height=224),
        ]
    assert [models.parameter_count(net) for net in nets] == [21_458_488, 28_589_128, 5_910_800]


def test_the_vit_has_the_parameters_of_its_formula():
    patches, width, hidden, depth = 23 * 32, 256, 1024, 6
    block = 4 * width**2 + 4 * width + 2 * width * hidden + hidden + width + 4 * width
    expected = (3 * 64 + 1) * width + patches * width + depth * block + 2 * width + (width + 1) * 5
    assert models.parameter_count(create_without_memory("vit", 3 * 182, 5, 256)) == expected


def test_the_small_efficientnet_is_small():
    assert models.parameter_count(build("efficientnetv2-s-small")) < 300_000


def test_the_swin_has_the_parameters_of_swin_tiny():
    with torch.device("meta"):
        net = Swin(3 * 224, 1000, 224, height=224)
    assert models.parameter_count(net) == 28_288_354


def test_windows_are_cut_and_joined_without_loss_and_moved_ones_mix_neighbours_only():
    x = torch.randn(2, 8, 12, 3)
    assert torch.equal(swin._join(swin._cut(x, 4), 4, 8, 12), x)
    torch.manual_seed(0)
    block = swin.Block(8, heads=2, window=4, shift=2, share=0.0).eval()
    x = torch.randn(1, 8, 8, 8)
    changed = x.clone()
    changed[0, 0, 0, 0] += 1
    moved = (block(x) != block(changed)).any(3)[0]
    # The first place shares its moved window with its corner's neighbours, not with the last rows and columns.
    assert moved[:2, :2].all() and moved.sum() == 4


def test_a_signal_vit_sees_pieces_of_time():
    net = build("signal-vit", channels=3, samples=50)
    x = torch.randn(1, 3, 50)
    pieces = net.patches(x)
    assert pieces.shape == (1, 3, 60)
    torch.testing.assert_close(pieces[0, 1], x[0, :, 20:40].flatten())


@pytest.mark.parametrize(
    "name, samples, grid",
    [
        ("vit", 256, (23, 32)),
        ("deit", 256, (12, 16)),
        ("vit-small", 128, (8, 16)),
        ("deit-small", 128, (8, 16)),
    ],
)
def test_pictures_are_filled_up_to_whole_patches(name, samples, grid):
    net = create_without_memory(name, HEIGHTS[name], 2, samples)
    assert net.patches.grid == grid
    picture = torch.empty(1, HEIGHTS[name], samples, device="meta")
    assert net.patches(picture).shape[:2] == (1, grid[0] * grid[1])


def test_a_patch_is_a_square_of_each_image():
    patches, x = PatchEmbedding(2 * 6, 6, 10, patch=4, width=3), torch.randn(1, 12, 10)
    images = torch.zeros(2, 8, 12)
    images[:, :6, :10] = x.view(2, 6, 10)
    # The second row of patches, its last: rows 4 to 7 and columns 8 to 11.
    expected = (
        torch.einsum("wihc,ihc->w", patches.projection.weight, images[:, 4:8, 8:12]) + patches.projection.bias
    )
    torch.testing.assert_close(patches(x)[0, 5], expected)


def test_an_encoder_block_is_torchs_own():
    torch.manual_seed(0)
    ours, x = EncoderBlock(32, 4, 64, dropout=0.1).eval(), torch.randn(2, 9, 32)
    theirs = torch.nn.TransformerEncoderLayer(
        32, 4, 64, activation="gelu", batch_first=True, norm_first=True
    ).eval()
    with torch.no_grad():
        attention, dense = ours.attention, ours.dense
        pairs = [
            (theirs.norm1, attention[0]), (theirs.self_attn.out_proj, attention[1].projection),
            (theirs.norm2, dense[0]), (theirs.linear1, dense[1]), (theirs.linear2, dense[4]),
        ]  # fmt: skip
        for into, source in pairs:
            into.load_state_dict(source.state_dict())
        theirs.self_attn.in_proj_weight.copy_(attention[1].queries_keys_values.weight)
        theirs.self_attn.in_proj_bias.copy_(attention[1].queries_keys_values.bias)
        torch.testing.assert_close(ours(x), theirs(x), atol=1e-4, rtol=1e-4)


def test_a_deit_predicts_the_mean_of_its_two_heads():
    net, (x,) = build("deit-small", channels=1, samples=40), inputs("deit-small", 2, 1, 40)
    with torch.no_grad():
        net.head.weight.mul_(100)
        by_labels, by_teacher = net.both_logits(x)
        assert (by_labels - by_teacher).abs().max() > 0.1
        torch.testing.assert_close(net(x), (by_labels + by_teacher) / 2)


@pytest.mark.parametrize("name", sorted(HEIGHTS))
def test_rows_that_make_no_whole_images_are_refused(name):
    with pytest.raises(ValueError, match=f"100 channels are no multiple of this net's {HEIGHTS[name]} rows"):
        models.create(name, channels=100, classes=2, samples=128)
    with pytest.raises(ValueError, match="takes .* channels .*, not"):
        build(name, channels=2, samples=40)(*inputs(name, 2, 1, 40))


def test_a_convnext_refuses_pictures_that_its_strides_would_swallow():
    with pytest.raises(ValueError, match="at least 32 x 32, not 182 x 31"):
        models.create("convnext-tiny", 182, 2, 31)
    with pytest.raises(ValueError, match="at least 16 x 16, not 64 x 15"):
        build("convnext-tiny-small", samples=40)(*inputs("convnext-tiny-small", 1, 12, 15))


def with_blocks_that_count(net):
    """The net, with the blocks of a ConvNeXt, which start at a millionth of their size, at full size."""
    for part in net.modules():
        if isinstance(part, ConvNeXtBlock):
            torch.nn.init.ones_(part.scale)
    return net


@pytest.mark.parametrize(
    "name", sorted(set(HEIGHTS) - {"convmixer-2d", "resnet2d-small"})
)  # as published, without dropout
def test_chance_has_a_part_in_training_only(name):
    net, (x,) = with_blocks_that_count(build(name, channels=1, samples=40)), inputs(name, 4, 1, 40)
    with torch.no_grad():
        assert torch.equal(net(x), net(x))
        net.train()
        assert not torch.allclose(net(x), net(x))


def test_stochastic_depth_drops_whole_records_and_keeps_the_mean():
    torch.manual_seed(0)
    dropped = StochasticDepth(0.25).train()(torch.ones(4000, 2, 3))
    assert torch.equal(dropped, dropped[:, :1, :1].expand_as(dropped))
    assert dropped.unique().tolist() == pytest.approx([0, 4 / 3])
    assert float(dropped.mean()) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(
    "name, shares",
    [
        ("efficientnetv2-s", [0.2 * i / 40 for i in range(40)]),
        ("convnext-tiny", [0.1 * i / 17 for i in range(18)]),
    ],
)
def test_deeper_blocks_are_left_out_more_often(name, shares):
    net = create_without_memory(name, HEIGHTS[name], 2, 256)
    assert [part.share for part in net.modules() if isinstance(part, StochasticDepth)] == pytest.approx(
        shares
    )


def test_the_efficientnet_starts_as_he_et_al_say():
    net = build("efficientnetv2-s-small", channels=1)
    for conv in [
        part for part in net.modules() if isinstance(part, torch.nn.Conv2d) and part.weight.numel() > 5000
    ]:
        fan_out = conv.out_channels * conv.kernel_size[0] ** 2 // conv.groups
        assert float(conv.weight.detach().std()) == pytest.approx((2 / fan_out) ** 0.5, rel=0.05)


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
     ("convmixer-2d", 64, 5e5, 7e5), ("convmixer-2d-small", 64, 2e4, 5e4),
     ("cvt-convmixer", 64 * 12, 5e5, 1e6)],
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


# The students are one net in many widths, the recurrent nets for EEG those for ECG in other sizes; the large nets
# for pictures, the small ones.
ALIKE = {name for name in models.names() if name.startswith(("student-", "eeg-cnn-"))}
ALIKE |= {"teacher", "vit", "deit", "efficientnetv2-s", "convnext-tiny", "convmixer-2d"}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*models.names()} - ALIKE - TWO_INPUTS))
def test_nets_run_elsewhere(name, tmp_path):
    size = (1, 40) if name in HEIGHTS else (12, SHORT.get(name, 400))
    check_onnx_file(build(name, size[0], samples=size[1]), *inputs(name, 3, *size), tmp_path / "net.onnx")


@pytest.mark.slow
def test_pictures_made_larger_run_elsewhere(tmp_path):
    net = EfficientNetV2(182, 5, 40, height=182, resize=224, stages=SMALL, last=256)
    check_onnx_file(net, torch.randn(3, 182, 40), tmp_path / "net.onnx")


def check_onnx_file(net, x, path):
    """ONNX Runtime computes what the net does, whose batch norm has seen other than what it starts with."""
    with_blocks_that_count(net).train()(x)
    export(Standardised(net.eval(), 0.0, 1.0), x, path)
    with torch.no_grad():
        expected = net(x[:2]).sigmoid().numpy()
    found = onnx_files.run(onnx_files.open_session(path), x[:2].numpy())
    np.testing.assert_allclose(found, expected, atol=1e-5, err_msg=file_of(net))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(TWO_INPUTS))
def test_nets_of_two_inputs_run_elsewhere(name, tmp_path):
    net, x = build(name, samples=400), inputs(name, 3, 12, 400)
    net.train()(*x)
    net.eval()
    path, batch = str(tmp_path / "net.onnx"), tuple({0: torch.export.Dim("batch")} for _ in x)
    torch.onnx.export(net, x, path, dynamo=True, dynamic_shapes=batch, verbose=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    two = [values[:2] for values in x]
    named = {taken.name: values.numpy() for taken, values in zip(session.get_inputs(), two, strict=True)}
    np.testing.assert_allclose(session.run(None, named)[0], net(*two).detach().numpy(), atol=1e-4)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_recurrent_layers_become_one_operator_that_computes_the_same(kind, bidirectional, tmp_path):
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = kind(2, 5, batch_first=True, bidirectional=bidirectional)

        def forward(self, x):
            steps, last = self.layer(x.transpose(1, 2))
            last = last if isinstance(last, torch.Tensor) else torch.cat(last)
            return torch.cat([steps.mean(1), last.mean(0)], dim=1)

    torch.manual_seed(0)
    check_onnx_file(Recurrent(), torch.randn(3, 2, 30), tmp_path / "net.onnx")
    operators = [node.op_type for node in onnx.load(tmp_path / "net.onnx").graph.node]
    assert operators.count(kind.__name__) == 1


@pytest.mark.parametrize("samples", [100, 101])
def test_s4_as_convolutions_computes_the_same(samples):
    net, (x,) = build("s4", 2, samples=samples), inputs("s4", 3, 2, samples)
    fixed = as_convolutions(net, samples)
    torch.testing.assert_close(fixed(x), net(x), atol=1e-5, rtol=1e-4)
    with pytest.raises(ValueError, match="made for"):
        fixed(x[..., :-10])


def test_a_centred_net_takes_windows_as_recorded():
    net = build("student-4k", channels=2, classes=3, samples=200)
    x = np.random.default_rng(0).normal(40, 5, (3, 2, 200)).astype(np.float32)
    with torch.no_grad():
        as_recorded = Centred(net)(torch.from_numpy(x))
        as_learnt = net(torch.from_numpy(prepare(x, 100, 100)))
    np.testing.assert_allclose(as_recorded, as_learnt, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("resnet1d_wang", "resnet1d-wang"), ("CNN-LSTM", "cnn-lstm"), ("zzz", None), (12, None)],
)
def test_an_unknown_name_gets_the_one_that_was_meant_and_lists_all(name, meant):
    hint = f", did you mean '{meant}'" if meant else ""
    with pytest.raises(ValueError, match=rf"unknown net {name!r}{hint}\?.*plain-cnn, .*, resnet1d-rhythm"):
        models.create(name, 12, 5)


@pytest.mark.parametrize(
    "shape",
    [{"channels": "I"}, {"channels": 0}, {"classes": ["a", "b"]}, {"classes": 1.5}, {"samples": None}],
    ids=str,
)
def test_counts_that_are_none_are_refused(shape):
    with pytest.raises(ValueError, match=f"{next(iter(shape))} must be a whole number above 0"):
        models.create("plain-cnn", **{"channels": 12, "classes": 5} | shape)


def test_a_net_that_draws_its_scalogram_sees_what_a_drawn_one_sees():
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(4, 2, 300)).astype(np.float32))
    frequencies = np.geomspace(2, 40, 64)
    mixer = build("convmixer-2d-small", channels=2, samples=100)
    net = ScalogramNet(mixer, frequencies, 100, bins=100)
    scales = scalogram.scales_for(frequencies, "cmor1.5-1.0", 100)
    drawn = scalogram.scalogram(x - x.mean(-1, keepdim=True), scales, "cmor1.5-1.0", 100).flatten(1, 2)
    net.train()
    mixer.eval()
    normed = (drawn - drawn.mean()) / drawn.std()
    torch.testing.assert_close(net(x), mixer(normed), rtol=1e-3, atol=1e-3)
    x[1, 0] = 3  # a lead that fell off
    assert net.eval()(x).isfinite().all()


def test_wave_to_wave_gives_a_sample_for_each_sample():
    net = WaveToWave(2, 301, 301)
    assert net(torch.zeros(3, 2, 301)).shape == (3, 301)
    with pytest.raises(ValueError, match="as many out, not 5"):
        WaveToWave(2, 5, 301)
