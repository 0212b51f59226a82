"""Nets by name. Each family has a file of its own that reads from top to bottom like its paper's figure."""

from functools import partial

from torch import nn

from .cnn_family import SIZES, CnnFamily
from .cnn_lstm import CnnLstm
from .convmixer import SMALL as SMALL_CONVMIXER
from .convmixer import ConvMixer1d, ConvMixer2d
from .convnext import ConvNeXt
from .custom_cnn import CustomCnn
from .cvt_convmixer import CvtConvMixer
from .deit import DeiT
from .eeg_cnn import EegCnn, EegCnnLstm
from .eeg_small import EegSmall
from .efficientnetv2 import SMALL as EFFICIENTNETV2_SMALL
from .efficientnetv2 import EfficientNetV2
from .inception_cnn import InceptionCnn
from .mobilenet import MobileNet
from .plain_cnn import PlainCnn
from .pulse_cnn import PulseCnn
from .resnet1d import Resnet1dWang, XResnet1d
from .resnet34 import ResNet34
from .rhythm_resnet import Resnet1dRhythm, Resnet1dSmall
from .rr_transformer import RrTransformer
from .s4 import S4
from .shufflenet import ShuffleNet
from .simple_cnn import SimpleCnn
from .tcn import Tcn
from .vit import ViT

HEIGHT = 64  # rows of the pictures that nets for scalograms take

_CONSTRUCTORS = {
    "plain-cnn": PlainCnn,
    "inception-cnn": InceptionCnn,
    "resnet1d-wang": Resnet1dWang,
    "xresnet1d": XResnet1d,
    "s4": S4,
    **{name: partial(CnnFamily, widths=widths) for name, widths in SIZES.items()},
    "simple-cnn": SimpleCnn,
    "custom-cnn": CustomCnn,
    "cnn-lstm": CnnLstm,
    "cnn-bilstm": partial(CnnLstm, bidirectional=True),
    "tcn": Tcn,
    "resnet1d-small": Resnet1dSmall,
    "eeg-cnn": EegCnn,
    "eeg-cnn-lstm": EegCnnLstm,
    "eeg-cnn-bilstm": partial(EegCnnLstm, bidirectional=True),
    "eeg-tcn": partial(Tcn, stride=2),
    "eeg-small": EegSmall,
    "eeg-small-normalised": partial(EegSmall, normalise=True),
    "resnet34-1d": ResNet34,
    "mobilenet-v1": MobileNet,
    "shufflenet-v1": ShuffleNet,
    "pulse-cnn": PulseCnn,
    "convmixer-1d": ConvMixer1d,
    "convmixer-1d-small": partial(ConvMixer1d, **SMALL_CONVMIXER),
    # Pictures: the rows of each image stacked as channels; the small ones are sizes of our own, not the
    # literature's.
    "convmixer-2d": partial(ConvMixer2d, height=HEIGHT),
    "convmixer-2d-small": partial(ConvMixer2d, height=HEIGHT, **SMALL_CONVMIXER),
    "cvt-convmixer": partial(CvtConvMixer, height=HEIGHT),
    "vit": partial(ViT, height=182),
    "vit-small": partial(ViT, height=HEIGHT, width=96, depth=4, hidden=384),
    "deit": partial(DeiT, height=182),
    "deit-small": partial(DeiT, height=HEIGHT, patch=8, width=96, depth=4, hidden=384),
    "efficientnetv2-s": partial(EfficientNetV2, height=182, resize=224),
    "efficientnetv2-s-small": partial(EfficientNetV2, height=HEIGHT, stages=EFFICIENTNETV2_SMALL, last=256),
    "convnext-tiny": partial(ConvNeXt, height=182),
    "convnext-tiny-small": partial(ConvNeXt, height=HEIGHT, depths=(2, 2, 2), widths=(24, 48, 96)),
}
_WITH_SECOND_INPUT = {
    "rr-transformer": RrTransformer,
    "resnet1d-rhythm": Resnet1dRhythm,
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
    ValueError for an unknown name, for `features` that the net does not take or lacks, for `samples` too few
    for the net, and for rows that make no images.
    """
    if name not in names():
        raise ValueError(f"unknown net {name!r}; biosignals.models.names() lists: {', '.join(names())}")
    shape = {"channels": channels, "classes": classes, "samples": samples}
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
