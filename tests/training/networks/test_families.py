"""Networks by their names."""

from dataclasses import asdict

import pytest
import torch

from training.networks.blitzmask import Architecture
from training.networks.csr import CsrArchitecture
from training.networks.families import AnyArchitecture, build_network, name_architecture, read_architecture
from training.networks.yolact import YolactArchitecture, mobile_yolact
from training.recipe import Recipe, read_recipe, set_fields

SMALL: list[AnyArchitecture] = [
    Architecture(2, width=0.25, neck_channels=8),
    YolactArchitecture(2, width=0.125, neck_channels=8, p6_from="C5", separable=True),
    CsrArchitecture(2, width=0.125, csr_channels=8, channels=32),
]


@pytest.mark.parametrize("architecture", SMALL, ids=lambda each: each.network)
def test_a_checkpoint_gives_its_architecture_back(architecture: AnyArchitecture) -> None:
    assert read_architecture(asdict(architecture)) == architecture
    assert build_network(architecture).architecture == architecture


def test_a_checkpoint_of_a_blitzmask_names_no_network() -> None:
    assert "network" not in asdict(Architecture(2))
    assert read_architecture({"classes": 2, "backbone": "mobilenet_v1"}) == Architecture(2, "mobilenet_v1")


def test_a_checkpoint_of_an_unknown_network_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no network 'vgg'.*yolact, csr"):
        read_architecture({"network": "vgg"})


def test_a_recipe_builds_the_network_that_it_names() -> None:
    recipe = Recipe(backbone="mobilenet_v2", neck_channels=256)
    assert set_fields(recipe, ["network=mobile_yolact"]).architecture(80) == mobile_yolact(80)
    published = set_fields(recipe, ["network=yolact_c5", "backbone=resnet50"]).architecture(80)
    assert published == YolactArchitecture(80, p6_from="C5")
    assert set_fields(recipe, ["network=csr", "backbone=resnet50"]).architecture(80) == CsrArchitecture(80)


def test_a_network_without_a_form_of_boxes_only_is_refused() -> None:
    with pytest.raises(ValueError, match=r"yolact has no form without masks"):
        name_architecture("yolact", 2, backbone="resnet50", width=1.0, channels=8, masks=False)


@pytest.mark.parametrize(
    ("name", "millions"), [("yolact_r50", 31.164943), ("mobile_yolact", None), ("csr_d2s", 32.123)]
)
def test_a_recipe_gives_the_network_of_its_paper(name: str, millions: float | None) -> None:
    with torch.device("meta"):
        network = build_network(read_recipe(name).architecture(80))
    found = sum(parameter.numel() for parameter in network.parameters()) / 1e6
    if millions is None:  # the paper gives none
        assert network.architecture == mobile_yolact(80)
    else:
        assert found == pytest.approx(millions, abs=0.0005)
