"""The mean of networks."""

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from service.inference.card import Label
from training.__main__ import app
from training.checkpoint import write_checkpoint
from training.networks.blitzmask import Architecture, BlitzMask
from training.networks.pretrained import convolutions
from training.shapes import shapes
from training.soup import average_networks, read_alike
from training.train import load_network

LABELS = (Label(category_id=1, name="disc"), Label(category_id=2, name="square"))


def make_network(seed: int, *, neck: int = 8) -> BlitzMask:
    """With statistics that differ, as after training."""
    torch.manual_seed(seed)
    network = BlitzMask(Architecture(classes=2, width=0.25, neck_channels=neck)).eval()
    for layer in convolutions(network).values():
        layer.norm.running_mean.uniform_(-0.1, 0.1)  # type: ignore[union-attr]
        layer.norm.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    return network


def write(network: BlitzMask, path: Path, labels: tuple[Label, ...] = LABELS) -> Path:
    architecture = {"classes": 2, "width": 0.25, "neck_channels": network.architecture.neck_channels}
    told = [label.model_dump() for label in labels]
    write_checkpoint({"architecture": architecture, "labels": told, "average": network.state_dict()}, path)
    return path


@pytest.fixture
def pixels() -> torch.Tensor:
    return torch.randint(0, 256, (4, 64, 64, 3), dtype=torch.uint8)


def test_the_mean_of_a_network_and_itself_is_that_network(pixels: torch.Tensor) -> None:
    network = make_network(1)
    expected, found = network(pixels), average_networks([network, network], pixels)(pixels)
    for name, head in expected.items():
        torch.testing.assert_close(found[name], head, rtol=1e-3, atol=1e-3)


def test_a_network_as_another_scale_of_the_same_function_changes_nothing(pixels: torch.Tensor) -> None:
    """What is averaged is what layers compute, not how they come to it."""
    network, scaled = make_network(1), make_network(1)
    for layer in convolutions(scaled).values():
        layer.conv.weight.data *= 3
        layer.norm.running_mean.mul_(3)  # type: ignore[union-attr]
        layer.norm.running_var.add_(layer.norm.eps).mul_(9).sub_(layer.norm.eps)  # type: ignore[union-attr]
    found = average_networks([network, scaled], pixels)(pixels)
    for name, head in network(pixels).items():
        torch.testing.assert_close(found[name], head, rtol=1e-3, atol=1e-3)


def test_where_they_differ_it_is_the_mean(pixels: torch.Tensor) -> None:
    one, other = make_network(1), make_network(1)
    with torch.no_grad():
        other.heads["size"][-1].weight += 1  # type: ignore[index]
        other.heads["size"][-1].bias -= 2  # type: ignore[index]
    expected = (one(pixels)["size"] + other(pixels)["size"]) / 2
    found = average_networks([one, other], pixels)(pixels)["size"]
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-2)
    assert (one(pixels)["size"] - expected).abs().max() > 0.1


def test_networks_of_other_labels_or_shapes_have_none(tmp_path: Path, pixels: torch.Tensor) -> None:
    network = make_network(1)
    turned = write(make_network(2), tmp_path / "turned.pt", LABELS[::-1])
    with pytest.raises(ValueError, match=r"turned\.pt has other labels"):
        read_alike(network, LABELS, origin=turned, pixels=pixels)
    wider = write(make_network(2, neck=16), tmp_path / "wider.pt")
    with pytest.raises(ValueError, match=r"wider\.pt is a network of another shape"):
        read_alike(network, LABELS, origin=wider, pixels=pixels)


def test_the_command_writes_a_checkpoint_that_can_be_exported(tmp_path: Path) -> None:
    shapes(tmp_path / "shapes", pictures=5)
    one, other = (write(make_network(seed), tmp_path / f"{seed}.pt") for seed in (1, 2))
    told = [
        "soup",
        f"{one}",
        f"{other}",
        "--data",
        f"{tmp_path / 'shapes'}",
        "--out",
        f"{tmp_path / 'mean.pt'}",
    ]
    result = CliRunner().invoke(app, told)
    assert result.exit_code == 0, result.output
    network, labels = load_network(tmp_path / "mean.pt")
    assert labels == LABELS
    name = "heads.size.1.weight"
    parts = [make_network(seed).state_dict()[name] for seed in (1, 2)]
    torch.testing.assert_close(network.state_dict()[name], (parts[0] + parts[1]) / 2)
    refused = CliRunner().invoke(app, [*told[:2], f"{write(make_network(3, neck=16), other)}", *told[3:]])
    assert refused.exit_code == 2
    assert "of another shape" in refused.output
