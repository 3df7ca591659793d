"""Backbones against their published figures, and their layers."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from training.networks.backbones import mobilenet_v2
from training.networks.blitzmask import BACKBONES, Architecture, BlitzMask
from training.networks.layers import Convolution, initialise

# Parameters of the ImageNet classifiers: MobileNetV1 1.0 in Keras, the others in torchvision and timm.
PUBLISHED = {
    "mobilenet_v1": 4_231_976,
    "mobilenet_v2": 3_504_872,
    "efficientnet_lite_b0": 4_652_008,
    "efficientnet_lite_b1": 5_416_680,
    "efficientnet_lite_b2": 6_092_072,
    "efficientnet_lite_b3": 8_197_096,
    "efficientnet_lite_b4": 13_006_568,
    "resnet18_star": 11_689_512,
}
STRIDES = {"resnet18_star": (4, 8, 16), "resnet18_two_stars": (4, 8)}


def classifier_parameters(backbone: str, channels: int) -> int:
    """The parameters of the layers after the last feature map, which our backbones do not have."""
    if backbone in ("mobilenet_v1", "resnet18_star"):
        return channels * 1000 + 1000
    return channels * 1280 + 2 * 1280 + 1280 * 1000 + 1000


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_backbone_has_the_parameters_its_authors_published(name: str) -> None:
    with torch.device("meta"):
        backbone = BACKBONES[name](1.0)
    found = sum(parameter.numel() for parameter in backbone.parameters())
    assert found + classifier_parameters(name, backbone.channels[-1]) == PUBLISHED[name]


@pytest.mark.parametrize("name", BACKBONES)
def test_features_have_the_strides_and_channels_a_backbone_claims(name: str) -> None:
    backbone = BACKBONES[name](0.5).eval()
    with torch.no_grad():
        features = backbone(torch.zeros(1, 3, 64, 96))
    strides = STRIDES.get(name, (4, 8, 16, 32))
    assert [feature.shape[1:] for feature in features] == [
        (channels, 64 // stride, 96 // stride)
        for channels, stride in zip(backbone.channels, strides, strict=True)
    ]


@pytest.mark.parametrize("name", BACKBONES)
def test_gradients_reach_every_weight(name: str) -> None:
    # Not narrower: oneDNN of torch 2.13 corrupts memory in a stride-2 1x1 convolution of 8 channels.
    network = BlitzMask(Architecture(classes=2, backbone=name, width=0.5, neck_channels=8))
    pixels = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    sum(head.square().sum() for head in network(pixels).values()).backward()
    unlabelled = [name for name, weight in network.named_parameters() if weight.grad is None]
    assert unlabelled == []


def test_a_detector_without_masks_has_the_box_heads_only() -> None:
    network = BlitzMask(Architecture(classes=3, width=0.25, neck_channels=8, masks=False)).eval()
    heads = network(torch.zeros(1, 64, 64, 3, dtype=torch.uint8))
    assert {name: tuple(head.shape) for name, head in heads.items()} == {
        "heatmap": (1, 16, 16, 3),
        "size": (1, 16, 16, 4),
    }


def test_an_unknown_backbone_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no backbone 'vgg'.*mobilenet_v2"):
        Architecture(classes=3, backbone="vgg")


@pytest.mark.parametrize(("kernel", "leading", "trailing"), [(1, 0, 0), (3, 0, 1), (5, 1, 2), (7, 2, 3)])
def test_stride_two_pads_as_tensorflows_same(kernel: int, leading: int, trailing: int) -> None:
    layer = Convolution(1, 1, kernel=kernel, stride=2, activation=nn.Identity).eval()
    image = torch.rand(1, 1, 8, 8)
    padded = F.pad(image, (leading, trailing, leading, trailing))
    expected = F.conv2d(padded, layer.conv.weight, stride=2) / math.sqrt(1 + layer.norm.eps)
    torch.testing.assert_close(layer(image), expected)
    assert expected.shape == (1, 1, 4, 4)


def test_initial_weights_have_the_variance_of_two_over_their_own_fan_out() -> None:
    torch.manual_seed(0)
    dense, depthwise = Convolution(64, 96, kernel=3), Convolution(512, 512, kernel=3, groups=512)
    initialise(nn.Sequential(dense, depthwise))
    assert dense.conv.weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 96)), rel=0.03)
    assert depthwise.conv.weight.std().item() == pytest.approx(math.sqrt(2 / 9), rel=0.03)


def test_initial_features_neither_vanish_nor_explode() -> None:
    torch.manual_seed(0)
    backbone = mobilenet_v2()
    initialise(backbone)
    with torch.no_grad():
        *_, coarsest = backbone(torch.rand(4, 3, 128, 128) * 2 - 1)
    assert 0.3 < coarsest.std().item() < 3


@pytest.mark.parametrize(("stride", "groups"), [(1, 8), (2, 1), (2, 8)])
def test_in_bfloat16_a_convolution_learns_what_it_learns_in_float32(stride: int, groups: int) -> None:
    torch.manual_seed(0)
    layer = Convolution(8, 8, kernel=3, stride=stride, groups=groups).eval()
    features = torch.rand(2, 8, 6, 6)

    def learn(*, bfloat16: bool) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
            found = layer(features.bfloat16() if bfloat16 else features)
        assert found.dtype == (torch.bfloat16 if bfloat16 else torch.float32)
        (gradient,) = torch.autograd.grad(found.float().square().sum(), layer.conv.weight)
        return found.float(), gradient

    for rounded, exact in zip(learn(bfloat16=True), learn(bfloat16=False), strict=True):
        torch.testing.assert_close(rounded, exact, rtol=0.05, atol=0.05)
        assert exact.abs().max() > 0.1
