"""YOLACT and mobileYOLACT against published figures, and the shapes of their heads."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from service.types import Size
from training.networks.yolact import (
    HEADS,
    Yolact,
    YolactArchitecture,
    draw_priors,
    make_prototype_branch,
    mobile_yolact,
)

SMALL = YolactArchitecture(classes=3, width=0.125, neck_channels=16, prototypes=8)


def count_parameters(architecture: YolactArchitecture) -> int:
    with torch.device("meta"):
        network = Yolact(architecture)
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("architecture", "parameters"),
    [
        (YolactArchitecture(80), 31_164_943),
        (YolactArchitecture(80, p6_from="C5"), 35_293_711),
        (YolactArchitecture(80, backbone="resnet101"), 50_157_071),
    ],
    ids=["authors", "mmdetection", "resnet101"],
)
def test_yolact_has_the_published_parameters(architecture: YolactArchitecture, parameters: int) -> None:
    assert count_parameters(architecture) == parameters


@pytest.mark.parametrize(
    "architecture", [SMALL, replace(SMALL, p6_from="C5"), replace(SMALL, separable=True)]
)
def test_heads_have_one_row_per_anchor(architecture: YolactArchitecture) -> None:
    network = Yolact(architecture).eval()
    heads = network(torch.zeros(2, 64, 96, 3, dtype=torch.uint8))
    anchors = 3 * (8 * 12 + 4 * 6 + 2 * 3 + 1 * 2 + 1 * 1)
    assert tuple(heads) == HEADS
    assert {name: tuple(head.shape) for name, head in heads.items()} == {
        "loc": (2, anchors, 4),
        "conf": (2, anchors, 4),
        "mask": (2, anchors, 8),
        "priors": (2, anchors, 4),
        "proto": (2, 16, 24, 8),
    }
    torch.testing.assert_close(heads["conf"].sum(dim=2), torch.ones(2, anchors))
    assert heads["mask"].abs().max() <= 1
    assert heads["proto"].min() >= 0


def test_in_training_the_classes_are_logits_and_the_semantic_head_is_there() -> None:
    torch.manual_seed(0)
    network = Yolact(SMALL)
    heads = network(torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8))
    assert tuple(heads["semantic"].shape) == (2, 8, 8, 3)
    assert heads["conf"].min() < 0


def test_a_row_of_a_head_belongs_to_the_anchor_of_the_same_row() -> None:
    """A head that copies its features shows the anchor's place: level, row, column and ratio."""
    network = Yolact(replace(SMALL, neck_channels=12))
    network.heads["loc"] = nn.Identity()
    level = torch.arange(12.0)[None, :, None, None] + torch.tensor([[0.0, 100.0], [200.0, 300.0]])
    found = network._predict("loc", [level])
    assert found[0, :, 0].tolist() == [0, 4, 8, 100, 104, 108, 200, 204, 208, 300, 304, 308]
    priors = draw_priors([Size(2, 2)], Size(550, 550))
    assert priors[::3, :2].tolist() == [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]


def test_anchors_keep_their_area_for_every_ratio() -> None:
    priors = draw_priors([Size(1, 1)], Size(550, 550)) * 550
    areas = priors[:, 2] * priors[:, 3]
    torch.testing.assert_close(areas, torch.full((3,), 24.0**2))
    torch.testing.assert_close(priors[:, 2] / priors[:, 3], torch.tensor([1.0, 0.5, 2.0]))


def test_anchors_of_400_pixels_have_the_authors_sizes() -> None:
    priors = draw_priors([Size(1, 1)] * 5, Size(400, 400)) * 400
    assert priors[::3, 2].round().tolist() == [17, 34, 69, 139, 279]


def test_mobile_yolact_has_only_depthwise_and_1x1_convolutions_after_the_stem() -> None:
    with torch.device("meta"):
        network = Yolact(mobile_yolact(80))
    dense = [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d) and module.kernel_size != (1, 1) and module.groups == 1
    ]
    assert dense == ["backbone.blocks.0.conv"]


def test_the_prototype_branch_of_mobile_yolact_has_one_block_instead_of_four() -> None:
    with torch.device("meta"):
        simple, full = (make_prototype_branch(each) for each in (mobile_yolact(80), YolactArchitecture(80)))
    assert [len(simple), len(full)] == [4, 7]


def test_gradients_reach_every_weight() -> None:
    torch.manual_seed(0)
    network = Yolact(replace(SMALL, separable=True, backbone="mobilenet_v2", width=0.5))
    pixels = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    sum(head.square().sum() for head in network(pixels).values()).backward()
    assert [name for name, weight in network.named_parameters() if weight.grad is None] == []


def test_a_backbone_without_stride_32_is_refused_with_the_possible_ones() -> None:
    with pytest.raises(ValueError, match=r"no backbone 'resnet18_star'.*resnet50"):
        YolactArchitecture(3, backbone="resnet18_star")
