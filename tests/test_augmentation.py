"""Augmentations: what each changes, what it leaves alone, and that a seed repeats it."""

import numpy as np
import pytest
import torch

from biosignals.training.augmentation import (
    ChannelDrop,
    Compose,
    FrequencyMask,
    Noise,
    Offset,
    Polarity,
    Scale,
    Shift,
    TimeMask,
    TimeStretch,
    Wander,
)

STEPS = [
    Scale(0.5, 2),
    Noise(0.1),
    Wander(0.5),
    Offset(0.5),
    Polarity(),
    Shift(),
    TimeMask(0.3),
    FrequencyMask(0.7, 3),
    ChannelDrop(0.5),
    TimeStretch(0.9, 1.1),
    Compose((Scale(0.8, 1.2), Shift())),
]


@pytest.fixture
def x():
    torch.manual_seed(0)
    return torch.randn(64, 3, 200)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)
def test_every_augmentation_keeps_shape_and_input_and_follows_the_seed(step, x):
    before = x.clone()
    torch.manual_seed(1)
    first = step(x)
    torch.manual_seed(1)
    again = step(x)
    other = step(x)

    assert first.shape == x.shape and first.dtype == torch.float32 and first.isfinite().all()
    assert torch.equal(x, before)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert eval(repr(step)) == step  # the repr says all there is to know


def test_polarity_turns_half_of_the_records_upside_down(x):
    turned = Polarity()(x)
    upside_down = (turned == -x).all(dim=(1, 2))
    assert torch.equal(turned[~upside_down], x[~upside_down])
    assert 20 < upside_down.sum() < 44  # of 64


def test_scale_multiplies_each_record_by_a_factor_of_its_own(x):
    factors = Scale(0.5, 2)(x) / x
    np.testing.assert_allclose(factors, factors[:, :1, :1].expand_as(x), rtol=1e-5)
    assert 0.5 <= factors.min() < 0.7 and 1.8 < factors.max() <= 2.001


def test_an_offset_is_a_constant_of_each_channel(x):
    added = Offset(0.5)(x) - x
    np.testing.assert_allclose(added, added[..., :1].expand_as(x), atol=1e-5)
    assert -0.5 <= added.min() < -0.4 and 0.4 < added.max() <= 0.5
    assert added[..., 0].unique().numel() == x.shape[0] * x.shape[1]


def test_noise_is_white_and_relative_to_the_channels_deviation(x):
    x = x * torch.tensor([1.0, 100.0, 0.0])[:, None]
    added = Noise(0.1)(x) - x
    relative = added.std(-1) / x.std(-1)
    assert relative[:, :2].max() < 0.13
    assert relative[:, :2].mean() == pytest.approx(0.05, abs=0.01)
    assert not added[:, 2].any()  # a flat channel stays flat
    spectrum = torch.fft.rfft(added[:, 0]).abs().square().mean(0)
    assert spectrum[1:50].mean() == pytest.approx(float(spectrum[50:100].mean()), rel=0.2)


def test_wander_is_slow_and_bounded(x):
    added = Wander(0.5)(x) - x
    assert (added.abs().amax(-1) <= 0.5 * x.std(-1, correction=0) + 1e-5).all()
    spectrum = torch.fft.rfft(added * torch.hann_window(200)).abs().square().sum((0, 1))
    assert spectrum[:6].sum() > 0.999 * spectrum.sum()


def test_shift_turns_all_channels_of_a_record_together(x):
    shifted = Shift()(x)
    starts = [
        next(start for start in range(200) if torch.equal(record.roll(-start, -1), moved))
        for record, moved in zip(x, shifted, strict=True)
    ]
    assert len(set(starts)) > 30


def test_time_mask_hides_one_stretch_of_every_channel(x):
    masked = TimeMask(0.3)(x)
    changed = masked != x
    assert torch.equal(changed, changed[:, :1].expand_as(changed))
    assert 50 < changed[:, 0].sum(-1).max() <= 60
    edges = changed[:, 0].int().diff(prepend=torch.zeros(64, 1)).clamp(min=0).sum(-1)
    assert edges.max() == 1
    np.testing.assert_allclose(
        masked[changed], x.mean(-1, keepdim=True).expand_as(x)[changed], rtol=1e-5, atol=1e-6
    )
    assert torch.equal(TimeMask(0)(x), x)


def test_frequency_mask_hides_the_same_neighbouring_scales_of_every_signal():
    torch.manual_seed(0)
    x = torch.randn(64, 2 * 20, 50)
    masked = FrequencyMask(0.3, 20)(x)
    changed = (masked != x).all(-1).unflatten(1, (2, 20))
    assert torch.equal(changed[:, 0], changed[:, 1])
    assert 5 <= changed[:, 0].sum(-1).max() <= 6
    edges = changed[:, 0].int().diff(prepend=torch.zeros(64, 1)).clamp(min=0).sum(-1)
    assert edges.max() == 1
    np.testing.assert_allclose(masked.mean(-1), x.mean(-1), atol=1e-6)
    with pytest.raises(ValueError, match="40 channels"):
        FrequencyMask(0.3, 64)(x)


def test_channel_drop_never_takes_all_channels(x):
    dropped = ChannelDrop(0.5)(x) == 0
    assert torch.equal(dropped, dropped[..., :1].expand_as(x))
    assert dropped[..., 0].sum(1).max() == 2
    assert torch.equal(ChannelDrop(1)(x[:, :1]), x[:, :1])


def test_time_stretch_changes_the_frequency_of_a_sine():
    sine = torch.sin(2 * torch.pi * 20 * torch.arange(400) / 400).expand(8, 1, 400)
    for factor, cycles in ((2, 10), (0.5, 40)):
        spectrum = torch.fft.rfft(TimeStretch(factor, factor)(sine)).abs()
        assert (spectrum.argmax(-1) == cycles).all()
    np.testing.assert_allclose(TimeStretch(1, 1)(sine), sine, atol=1e-6)


def test_compose_applies_its_steps_in_turn(x):
    assert torch.equal(Compose([Scale(2, 2), Scale(3, 3)])(x), 6 * x)
    assert torch.equal(Compose(())(x), x)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Scale(0, 1),
        lambda: Scale(2, 1),
        lambda: TimeStretch(-1, 1),
        lambda: Noise(-0.1),
        lambda: Wander(float("nan")),
        lambda: TimeMask(2),
        lambda: ChannelDrop(-1),
    ],
)
def test_impossible_settings_are_refused(make):
    with pytest.raises(ValueError, match="needs|must"):
        make()
