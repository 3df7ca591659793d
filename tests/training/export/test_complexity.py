"""Complexity against values worked out by hand."""

import pytest
import torch
import typer
from torch import Tensor, nn
from typer.testing import CliRunner

from service.types import Size
from training.export.complexity import (
    PAPER_NAMES,
    Complexity,
    complexity,
    count_architecture,
    count_network,
    write_table,
)
from training.networks.blitzmask import BACKBONES, Architecture
from training.networks.layers import Convolution, separable


class OnPixels(nn.Module):
    """A layer with three input channels, with the input of a network."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, pixels: Tensor) -> Tensor:
        output: Tensor = self.layer(pixels.permute(0, 3, 1, 2).float())
        return output


def test_a_convolution_costs_what_it_does_by_hand() -> None:
    cost = count_network(OnPixels(Convolution(3, 8, kernel=3, stride=2)), Size(32, 64))
    assert cost == Complexity(parameters=3 * 8 * 9 + 2 * 8, multiply_adds=16 * 32 * 8 * 3 * 9)


def test_a_separable_convolution_costs_what_it_does_by_hand() -> None:
    cost = count_network(OnPixels(separable(3, 16)), Size(32, 32))
    assert cost.multiply_adds == 32 * 32 * (3 * 9 + 3 * 16)
    assert cost.parameters == 3 * 9 + 2 * 3 + 3 * 16 + 2 * 16


def test_mobilenet_v2_costs_the_papers_multiply_adds() -> None:
    """300 M at 224x224 with the head's 1x1 convolution and the classifier, which are left out here."""
    with torch.device("meta"):
        backbone = OnPixels(BACKBONES["mobilenet_v2"](1.0))
    behind = 7 * 7 * 320 * 1280 + 1280 * 1000
    assert count_network(backbone, Size(224, 224)).multiply_adds + behind == pytest.approx(300.8e6, rel=1e-3)


def test_masks_cost_their_two_heads() -> None:
    whole, boxes = (
        count_architecture(Architecture(classes=5, neck_channels=16, masks=masks), Size(64, 64))
        for masks in (True, False)
    )
    head = 16 * 9 + 2 * 16 + 16 * 16 + 2 * 16 + 16 * 32 + 32
    assert whole.parameters - boxes.parameters == 2 * head
    assert whole.multiply_adds - boxes.multiply_adds == 2 * 16 * 16 * (16 * 9 + 16 * 16 + 16 * 32)


def test_counting_leaves_a_network_in_the_mode_it_was_in() -> None:
    network = OnPixels(Convolution(3, 8))
    count_network(network, Size(32, 32))
    assert network.training


def test_the_table_has_a_row_for_every_backbone_and_neck() -> None:
    backbones = ["mobilenet_v1", "resnet18_star"]
    rows = write_table(backbones, [8, 16], Size(64, 64)).splitlines()[2:]
    assert [row.split(" | ")[:2] for row in rows] == [
        ["| MobileNetV1", "8"],
        ["| MobileNetV1", "16"],
        ["| ResNet-18\\*", "8"],
        ["| ResNet-18\\*", "16"],
    ]
    assert all(row.count("|") == 7 for row in rows)


def test_every_backbone_has_a_name_in_print() -> None:
    assert list(PAPER_NAMES) == list(BACKBONES)


def test_the_command_prints_the_table_it_describes(monkeypatch: pytest.MonkeyPatch) -> None:
    backbones = {name: BACKBONES[name] for name in ("mobilenet_v1", "resnet18_star")}
    monkeypatch.setattr("training.export.complexity.BACKBONES", backbones)
    app = typer.Typer()
    app.command()(complexity)
    result = CliRunner().invoke(app, ["--side", "64", "--necks", "8"])
    assert result.exit_code == 0
    assert "complexity --side 64 --necks 8" in result.output
    assert "| ResNet-18\\* | 8 |" in result.output
