"""ResNets against torchvision's names, shapes and arithmetic."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from training.networks.backbones import Backbone
from training.networks.resnet import (
    CHANNELS,
    EXPANSION,
    REPEATS,
    RESNETS,
    convert_torchvision_state,
    normalise_imagenet,
)

# torchvision's parameters without the classifier of 2048 x 1000 weights and 1000 biases.
PUBLISHED = {"resnet50": 25_557_032 - 2_049_000, "resnet101": 44_549_160 - 2_049_000}


def torchvision_state(name: str, base: int = 64) -> dict[str, Tensor]:
    """Random weights with the names and shapes of torchvision's checkpoint of a ResNet."""
    state = convolution("conv1", "bn1", (base, 3, 7, 7))
    entering = base
    for layer, (factor, count) in enumerate(zip(CHANNELS, REPEATS[name], strict=True), 1):
        own = factor * base // 64
        for number in range(count):
            block = f"layer{layer}.{number}"
            state |= convolution(f"{block}.conv1", f"{block}.bn1", (own, entering, 1, 1))
            state |= convolution(f"{block}.conv2", f"{block}.bn2", (own, own, 3, 3))
            state |= convolution(f"{block}.conv3", f"{block}.bn3", (own * EXPANSION, own, 1, 1))
            if number == 0:
                shape = (own * EXPANSION, entering, 1, 1)
                state |= convolution(f"{block}.downsample.0", f"{block}.downsample.1", shape)
            entering = own * EXPANSION
    return state | {"fc.weight": torch.zeros(1000, entering), "fc.bias": torch.zeros(1000)}


def convolution(name: str, norm: str, shape: tuple[int, int, int, int]) -> dict[str, Tensor]:
    count = shape[0]
    return {
        f"{name}.weight": torch.randn(shape) / (shape[1] * shape[2] * shape[3]) ** 0.5,
        f"{norm}.weight": torch.rand(count) + 0.5,
        f"{norm}.bias": torch.rand(count),
        f"{norm}.running_mean": torch.rand(count),
        f"{norm}.running_var": torch.rand(count) + 0.5,
        f"{norm}.num_batches_tracked": torch.tensor(0),
    }


@pytest.mark.parametrize("name", RESNETS)
def test_a_resnet_has_the_parameters_of_torchvisions(name: str) -> None:
    with torch.device("meta"):
        backbone = RESNETS[name](1.0)
    assert sum(parameter.numel() for parameter in backbone.parameters()) == PUBLISHED[name]


@pytest.mark.parametrize("name", RESNETS)
def test_every_weight_of_torchvision_has_one_place_of_its_shape(name: str) -> None:
    with torch.device("meta"):
        own = {key: value.shape for key, value in RESNETS[name](1.0).state_dict().items()}
        theirs = torchvision_state(name)
    assert {key: value.shape for key, value in convert_torchvision_state(theirs).items()} == own


def test_converted_weights_compute_what_torchvision_computes() -> None:
    torch.manual_seed(0)
    theirs = torchvision_state("resnet50", base=8)
    backbone = RESNETS["resnet50"](1 / 8).eval()
    backbone.load_state_dict(convert_torchvision_state(theirs))
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        found, expected = backbone(image), run_torchvision(theirs, image)
    assert [tuple(level.shape[2:]) for level in found] == [(16, 24), (8, 12), (4, 6), (2, 3)]
    for own, other in zip(found, expected, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-4)


def run_torchvision(state: dict[str, Tensor], image: Tensor) -> list[Tensor]:
    """C2 to C5, as torchvision's `resnet50` computes them from its own names."""

    def apply(features: Tensor, name: str, norm: str, stride: int = 1) -> Tensor:
        weight = state[f"{name}.weight"]
        features = F.conv2d(features, weight, stride=stride, padding=weight.shape[2] // 2)
        statistics = state[f"{norm}.running_mean"], state[f"{norm}.running_var"]
        return F.batch_norm(features, *statistics, state[f"{norm}.weight"], state[f"{norm}.bias"])

    features = F.max_pool2d(apply(image, "conv1", "bn1", 2).relu(), 3, 2, 1)
    levels = []
    for layer, count in enumerate(REPEATS["resnet50"], 1):
        for number in range(count):
            block = f"layer{layer}.{number}"
            stride = 2 if layer > 1 and number == 0 else 1
            output = apply(features, f"{block}.conv1", f"{block}.bn1").relu()
            output = apply(output, f"{block}.conv2", f"{block}.bn2", stride).relu()
            output = apply(output, f"{block}.conv3", f"{block}.bn3")
            if number == 0:
                features = apply(features, f"{block}.downsample.0", f"{block}.downsample.1", stride)
            features = (output + features).relu()
        levels.append(features)
    return levels


def test_a_name_that_torchvision_does_not_have_is_refused() -> None:
    with pytest.raises(KeyError, match="conv4"):
        convert_torchvision_state({"layer1.0.conv4.weight": torch.zeros(1)})


def test_the_mean_pixel_becomes_zero() -> None:
    pixels = torch.tensor([124, 116, 104], dtype=torch.uint8).reshape(1, 1, 1, 3)
    expected = [(124 - 123.675) / 58.395, (116 - 116.28) / 57.12, (104 - 103.53) / 57.375]
    assert normalise_imagenet(pixels).flatten().tolist() == pytest.approx(expected, abs=1e-6)


def test_a_resnet_is_a_backbone_of_four_features() -> None:
    backbone = RESNETS["resnet101"](0.125)
    assert isinstance(backbone, Backbone)
    assert backbone.channels == (32, 64, 128, 256)
