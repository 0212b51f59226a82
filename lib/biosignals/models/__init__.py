"""Nets by name. Each family has a file of its own that reads from top to bottom like its paper's figure.

A net of your own is a file beside these and a line below.
"""

from collections.abc import Callable
from difflib import get_close_matches
from importlib import import_module
from numbers import Integral
from typing import Any

from torch import nn

from .cnn_family import SIZES
from .convmixer import SMALL as SMALL_CONVMIXER
from .efficientnetv2 import SMALL as EFFICIENTNETV2_SMALL

HEIGHT = 64  # rows of the pictures that nets for scalograms take


def _net(place: str, **settings: Any) -> Callable[..., nn.Module]:
    """What builds the net at `place`, as "gru.Gru": the class Gru of gru.py, loaded when it is built."""
    file, _, name = place.partition(".")

    def build(**shape: int) -> nn.Module:
        return getattr(import_module(f"{__name__}.{file}"), name)(**settings, **shape)

    return build


_CONSTRUCTORS = {
    "plain-cnn": _net("plain_cnn.PlainCnn"),
    "inception-cnn": _net("inception_cnn.InceptionCnn"),
    "resnet1d-wang": _net("resnet1d.Resnet1dWang"),
    "resnet1d-wang-normalised": _net("resnet1d.NormalisedResnet1dWang"),
    "xresnet1d": _net("resnet1d.XResnet1d"),
    "s4": _net("s4.S4"),
    **{name: _net("cnn_family.CnnFamily", widths=widths) for name, widths in SIZES.items()},
    "simple-cnn": _net("simple_cnn.SimpleCnn"),
    "custom-cnn": _net("custom_cnn.CustomCnn"),
    "cnn-lstm": _net("cnn_lstm.CnnLstm"),
    "cnn-bilstm": _net("cnn_lstm.CnnLstm", bidirectional=True),
    "tcn": _net("tcn.Tcn"),
    "ecg-transformer": _net("transformer.Transformer1d"),
    "ecg-transformer-mean": _net("transformer.Transformer1d", attention=False),
    "resnet1d-gru": _net("resnet1d_gru.Resnet1dGru"),
    "signal-vit": _net("signal_vit.SignalViT"),
    # Intervals between beats in the place of samples:
    "interval-transformer": _net("transformer.Transformer1d", stride=1, depth=2, hidden=128),
    "resnet1d-small": _net("rhythm_resnet.Resnet1dSmall"),
    "eeg-cnn": _net("eeg_cnn.EegCnn"),
    "eeg-cnn-regularised": _net("eeg_cnn.EegCnn", dropout=0.5),
    "eeg-cnn-lstm": _net("eeg_cnn.EegCnnLstm"),
    "eeg-cnn-bilstm": _net("eeg_cnn.EegCnnLstm", bidirectional=True),
    "eeg-lstm": _net("eeg_recurrent.EegRecurrent"),
    "eeg-gru": _net("eeg_recurrent.EegRecurrent", gru=True),
    "eeg-transformer": _net("transformer.Transformer1d", depth=2, hidden=128),
    "eeg-tcn": _net("tcn.Tcn", stride=2),
    "eeg-small": _net("eeg_small.EegSmall"),
    "eeg-small-normalised": _net("eeg_small.EegSmall", normalise=True),
    "resnet34-1d": _net("resnet34.ResNet34"),
    "mobilenet-v1": _net("mobilenet.MobileNet"),
    "shufflenet-v1": _net("shufflenet.ShuffleNet"),
    "pulse-cnn": _net("pulse_cnn.PulseCnn"),
    "convmixer-1d": _net("convmixer.ConvMixer1d"),
    "convmixer-1d-narrow": _net("convmixer.ConvMixer1d", **{**SMALL_CONVMIXER, "dropout": 0.0}),
    "convmixer-1d-small": _net("convmixer.ConvMixer1d", **SMALL_CONVMIXER),
    # Pictures: the rows of each image stacked as channels; the small ones are sizes of our own, not the
    # literature's.
    "convmixer-2d": _net("convmixer.ConvMixer2d", height=HEIGHT),
    "convmixer-2d-small": _net("convmixer.ConvMixer2d", height=HEIGHT, **SMALL_CONVMIXER),
    "cvt-convmixer": _net("cvt_convmixer.CvtConvMixer", height=HEIGHT),
    "resnet2d-small": _net("resnet2d.ResNet2d", height=HEIGHT),
    "vit": _net("vit.ViT", height=182),
    "vit-small": _net("vit.ViT", height=HEIGHT, width=96, depth=4, hidden=384),
    "deit": _net("deit.DeiT", height=182),
    "deit-small": _net("deit.DeiT", height=HEIGHT, patch=8, width=96, depth=4, hidden=384),
    "efficientnetv2-s": _net("efficientnetv2.EfficientNetV2", height=182, resize=224),
    "efficientnetv2-s-small": _net(
        "efficientnetv2.EfficientNetV2", height=HEIGHT, stages=EFFICIENTNETV2_SMALL, last=256
    ),
    "swin-small": _net("swin.Swin", height=HEIGHT, width=32, depths=(2, 2, 2), heads=(2, 4, 8), window=4),
    "inception-v3-small": _net("inception_v3.InceptionV3", height=HEIGHT),
    "convnext-tiny": _net("convnext.ConvNeXt", height=182),
    "convnext-tiny-small": _net("convnext.ConvNeXt", height=HEIGHT, depths=(2, 2, 2), widths=(24, 48, 96)),
}
_WITH_SECOND_INPUT = {
    "rr-transformer": _net("transformer.Transformer1d"),
    "resnet1d-rhythm": _net("rhythm_resnet.Resnet1dRhythm"),
}


def names() -> list[str]:
    """Names of all nets that `create` can build."""
    return [*_CONSTRUCTORS, *_WITH_SECOND_INPUT]


def create(name: str, channels: int, classes: int, samples: int = 1000, features: int = 0) -> nn.Module:
    """Build a net with fresh weights.

    Input float32 (batch, channels, samples), output logits (batch, classes). Nets that end in a global pool,
    an LSTM or an encoder take other lengths too; the others take `samples` only. Nets for pictures, 182 rows
    (the small ones 64) by `samples`, take the rows of each image stacked as channels: 3 * 182 for three
    images. `rr-transformer` and `resnet1d-rhythm` have a second input, float32 (batch, features). Raises
    ValueError for an unknown name, for counts that are none, for `features` that the net does not take or
    lacks, for `samples` too few for the net, and for rows that make no images.
    """
    if name not in names():
        meant = get_close_matches(str(name).lower().replace("_", "-"), names(), 1)
        hint = f", did you mean {meant[0]!r}" if meant else ""
        raise ValueError(f"unknown net {name!r}{hint}? biosignals.models.names() lists: {', '.join(names())}")
    shape = {"channels": channels, "classes": classes, "samples": samples}
    for what, count in shape.items():
        if not isinstance(count, Integral) or count < 1:
            raise ValueError(f"{what} must be a whole number above 0, not {count!r}")
    if name not in _WITH_SECOND_INPUT:
        if features:
            raise ValueError(f"{name} has no second input for {features} features")
        return _CONSTRUCTORS[name](**shape)
    if not features:
        raise ValueError(f"{name} has a second input: say how many features it gets")
    return _WITH_SECOND_INPUT[name](**shape, features=features)


def parameter_count(net: nn.Module, statistics: bool = False) -> int:
    """Number of trainable parameters; with `statistics`, batch norm's running means and variances too."""
    count = sum(parameter.numel() for parameter in net.parameters() if parameter.requires_grad)
    if statistics:
        count += sum(
            b.numel() for name, b in net.named_buffers() if name.endswith(("running_mean", "running_var"))
        )
    return count
