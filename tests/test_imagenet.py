from functools import partial

import pytest
import torch
from torch.nn.functional import interpolate

from biosignals import models
from biosignals.models.convnext import ConvNeXt
from biosignals.models.deit import DeiT
from biosignals.models.efficientnetv2 import SMALL, EfficientNetV2
from biosignals.models.imagenet import load_imagenet

SMALL_NETS = {
    "deit": partial(DeiT, width=24, depth=2, hidden=48),
    "efficientnet": partial(EfficientNetV2, stages=SMALL, last=32),
    "convnext": partial(ConvNeXt, depths=(1, 2), widths=(8, 16)),
}
every_small_net = pytest.mark.parametrize("name", SMALL_NETS)


def small_net(name, images, classes, height=64, samples=64, seed=0):
    torch.manual_seed(seed)
    return SMALL_NETS[name](images * height, classes, samples, height).eval()


def publish(net, path, rename=True):
    """A file as others would publish the net: the same tensors in the same order, under other names."""
    state = {
        f"theirs.{i}" if rename else name: value for i, (name, value) in enumerate(net.state_dict().items())
    }
    torch.save(state, path)
    return path


@every_small_net
def test_equal_nets_compute_the_same_afterwards(name, tmp_path):
    theirs, ours = small_net(name, 3, 10), small_net(name, 3, 10, seed=1)
    load_imagenet(ours, publish(theirs, tmp_path / "published.pth"))
    x = torch.randn(2, 3 * 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x))


@every_small_net
@pytest.mark.parametrize("images", [1, 2, 12])
def test_equal_images_give_the_same_whatever_their_number(name, images, tmp_path):
    theirs, ours = small_net(name, 3, 10), small_net(name, images, 10, seed=1)
    load_imagenet(ours, publish(theirs, tmp_path / "published.pth"))
    image = torch.randn(2, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(
            ours(image.repeat(1, images, 1)), theirs(image.repeat(1, 3, 1)), atol=1e-4, rtol=1e-4
        )


@every_small_net
def test_heads_for_other_classes_stay_fresh(name, tmp_path):
    theirs, ours = small_net(name, 3, 10), small_net(name, 3, 4, seed=1)
    fresh = {key: value.clone() for key, value in ours.state_dict().items()}
    load_imagenet(ours, publish(theirs, tmp_path / "published.pth"))
    for key, value in ours.state_dict().items():
        expected = fresh[key] if "head" in key else theirs.state_dict()[key]
        torch.testing.assert_close(value, expected)


def test_positions_are_spread_over_another_grid(tmp_path):
    theirs, ours = small_net("deit", 3, 10), small_net("deit", 3, 10, height=182, samples=256)
    load_imagenet(ours, publish(theirs, tmp_path / "published.pth"))
    published, found = theirs.positions[0].detach(), ours.positions[0].detach()
    assert ours.patches.grid == (12, 16)
    torch.testing.assert_close(found[:2], published[:2])
    plane = interpolate(published[2:, 0].reshape(1, 1, 4, 4), (12, 16), mode="bilinear")
    torch.testing.assert_close(found[2:, 0], plane.flatten())


def test_the_authors_file_of_deit_holds_its_state_one_level_down(tmp_path):
    theirs, ours = small_net("deit", 3, 10), small_net("deit", 3, 10, seed=1)
    torch.save({"model": theirs.state_dict(), "epoch": 300}, tmp_path / "deit.pth")
    load_imagenet(ours, tmp_path / "deit.pth")
    torch.testing.assert_close(ours.positions, theirs.positions)


# The first and the last shapes in the order of torchvision (the first two) and of DeiT's authors.
@pytest.mark.parametrize(
    "name, first, last, count",
    [
        ("efficientnetv2-s",
         [(24, 3, 3, 3), (24,), (24,), (24,), (24,), (), (24, 24, 3, 3)],
         [(1280, 256, 1, 1), (1280,), (1280,), (1280,), (1280,), (), (1000, 1280), (1000,)], 782),
        ("convnext-tiny",
         [(96, 3, 4, 4), (96,), (96,), (96,), (96,), (96, 1, 7, 7), (96,), (96,), (96,), (384, 96)],
         [(768, 3072), (768,), (768,), (768,), (1000, 768), (1000,)], 182),
        ("deit",
         [(1, 1, 192), (1, 194, 192), (1, 1, 192), (192, 3, 16, 16), (192,), (192,), (192,), (576, 192),
          (576,)],
         [(192, 768), (192,), (192,), (192,), (1000, 192), (1000,), (1000, 192), (1000,)], 155),
    ],
)  # fmt: skip
def test_our_tensors_are_in_the_published_order(name, first, last, count):
    with torch.device("meta"):
        state = models.create(name, 3 * 182, 1000, 256).state_dict()
    shapes = [tuple(value.shape) for value in state.values()]
    assert (shapes[: len(first)], shapes[-len(last) :], len(shapes)) == (first, last, count)


def test_another_net_is_refused_and_ours_stays_as_it_was(tmp_path):
    ours = small_net("deit", 3, 10)
    before = ours.head.weight.clone()
    other = publish(small_net("convnext", 3, 10), tmp_path / "convnext.pth")
    with pytest.raises(
        ValueError, match=r"convnext.pth holds \d+ tensors, this DeiT has \d+: .*there are files for"
    ):
        load_imagenet(ours, other)
    torch.manual_seed(0)
    wider = publish(DeiT(3 * 64, 10, 64, 64, width=48, depth=2, hidden=48), tmp_path / "w.pth", rename=False)
    with pytest.raises(
        ValueError, match=r"w.pth does not fit this DeiT: class_token \(1, 1, 48\) .* and \d+ more"
    ):
        load_imagenet(ours, wider)
    assert torch.equal(ours.head.weight, before)


def test_files_that_hold_no_weights_are_refused_by_name(tmp_path):
    net = small_net("convnext", 1, 2)
    (tmp_path / "notes.pth").write_text("not a state dict")
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save(net, tmp_path / "net.pth")
    for name, why in {"notes": "cannot be read", "list": "no state dict", "net": "cannot be read"}.items():
        with pytest.raises(ValueError, match=f"{name}.pth .*{why}"):
            load_imagenet(net, tmp_path / f"{name}.pth")
