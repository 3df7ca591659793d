"""A network that starts from another keeps what fits, class by class."""

from pathlib import Path

import pytest
import torch

from service.inference.backends import BackendChoice, open_backend
from service.inference.card import Label, read_card
from service.inference.golden import draw_picture
from service.types import Size
from training.checkpoint import write_checkpoint
from training.init_weights import (
    WeightsRefused,
    initialise_network,
    load_checkpoint_weights,
    load_model_weights,
)
from training.networks.blitzmask import Architecture, BlitzMask
from training.recipes import own

pytestmark = pytest.mark.timeout(900)  # an export takes a minute, on a busy machine several


def make_network(classes: int, neck: int = 8) -> BlitzMask:
    return BlitzMask(Architecture(classes=classes, width=0.25, neck_channels=neck))


def make_labels(*names: str) -> tuple[Label, ...]:
    return tuple(Label(category_id=number, name=name) for number, name in enumerate(names, 1))


def write(network: BlitzMask, labels: tuple[Label, ...], folder: Path) -> Path:
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


SIDE = 192  # of the workshop's model


def draw_pixels() -> torch.Tensor:
    return torch.stack([torch.from_numpy(draw_picture(Size(SIDE, SIDE), seed)) for seed in range(4)])


def test_a_served_model_is_taken_over_whole(workshop: Path) -> None:
    """Its normalisations are folded, yet the network computes the same, and in training mode nearly so."""
    card = read_card(workshop / "model")
    network = BlitzMask(Architecture(classes=2, width=0.35, neck_channels=24))
    initialise_network(network, card.labels, origin=workshop / "model", pixels=draw_pixels())
    pixels = draw_pixels().numpy()
    backend = open_backend(workshop / "model", card, BackendChoice(runtime="onnx"))
    assert network.training
    with torch.no_grad():
        found = network.eval()(draw_pixels())
        trained = network.train()(draw_pixels())
    for name, values in backend.run(pixels).items():
        assert abs(found[name].numpy() - values).max() < 2e-3 * (1 + abs(values).max()), name
        assert (trained[name] - found[name]).abs().mean() < 0.1 * (1 + found[name].abs().mean()), name


def test_a_served_models_labels_are_matched_by_name(workshop: Path) -> None:
    networks = [BlitzMask(Architecture(classes=classes, width=0.35, neck_channels=24)) for classes in (2, 3)]
    for network, labels in zip(networks, (("disc", "square"), ("square", "egg", "disc")), strict=True):
        load_model_weights(network, make_labels(*labels), folder=workshop / "model", pixels=draw_pixels())
    same, mixed = (network.state_dict()["heads.heatmap.1.weight"] for network in networks)
    assert mixed[[2, 0]].equal(same)


def test_a_model_of_another_network_is_refused(workshop: Path) -> None:
    with pytest.raises(WeightsRefused, match=r"blitzmask mobilenet_v2 neck 24.*neck_channels"):
        load_model_weights(
            make_network(2), make_labels("disc", "square"), folder=workshop / "model", pixels=draw_pixels()
        )


def test_the_recipe_for_ones_own_pictures_fits_the_shipped_model() -> None:
    card = read_card(own.SHIPPED)
    network = BlitzMask(own.RECIPE.architecture(len(card.labels)))
    load_model_weights(network, card.labels, folder=own.SHIPPED, pixels=draw_pixels()[:1])
