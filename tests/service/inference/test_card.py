import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.errors import InvalidCard
from service.inference.card import CentersDecoder, read_artifact, read_card
from service.types import Size


@pytest.fixture
def folder(toy_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(toy_folder, tmp_path / "toy"))


def rewrite(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = folder / "card.json"
    card = json.loads(path.read_text())
    change(card)
    path.write_text(json.dumps(card))


def test_a_card_tells_what_the_service_needs(folder: Path) -> None:
    card = read_card(folder)
    assert (card.name, card.version, card.canvas) == ("toy", "1", Size(64, 96))
    assert [(label.name, label.category_id) for label in card.labels] == [("rose", 7), ("leaf", 9)]
    assert [(file.runtime, file.precision) for file in card.files] == [
        ("onnx", "fp32"),
        ("tflite", "fp32"),
        ("tflite", "int8"),
    ]


def test_a_decoder_knows_the_shapes_of_its_heads() -> None:
    shapes = CentersDecoder(stride=8, coefficients=5).output_shapes(Size(64, 96), classes=3)
    assert shapes == {
        "heatmap": (8, 12, 3),
        "size": (8, 12, 4),
        "coefficients": (8, 12, 5),
        "spanning_set": (8, 12, 5),
    }


def test_a_decoder_without_coefficients_has_the_box_heads_only() -> None:
    shapes = CentersDecoder(coefficients=0).output_shapes(Size(64, 96), classes=3)
    assert shapes == {"heatmap": (16, 24, 3), "size": (16, 24, 4)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda card: card.pop("name"), "name: Field required"),
        (lambda card: card.update(surprise=1), "surprise: Extra inputs"),
        (lambda card: card.update(schema_version=2), "schema_version"),
        (lambda card: card.update(name="../evil"), "name: String should match"),
        (lambda card: card.update(version=""), "version: String should match"),
        (lambda card: card["input"].update(height=65), "input.height: Input should be a multiple of 32"),
        (lambda card: card["input"].update(height=96), "outputs .* do not fit"),
        (lambda card: card.update(labels=[]), "labels"),
        (lambda card: card["labels"].pop(), "outputs .* do not fit"),
        (lambda card: card["labels"][0].update(name="leaf"), "a label name stands twice"),
        (lambda card: card["labels"][0].update(category_id=9), "a category_id stands twice"),
        (lambda card: card["outputs"].pop("size"), "outputs .* do not fit"),
        (lambda card: card["outputs"].update(heatmap=[16, 24, 3]), "outputs .* do not fit"),
        (lambda card: card["decoder"].update(score_threshold=1.5), "decoder.score_threshold"),
        (lambda card: card["decoder"].update(max_instances=0), "decoder.max_instances"),
        (lambda card: card.update(files=[]), "files"),
        (lambda card: card["files"][0].update(path="../../etc/passwd"), "files.0.path: String should match"),
        (lambda card: card["files"][0].update(path=".hidden"), "files.0.path"),
        (lambda card: card["files"][0].update(sha256="abc"), "files.0.sha256"),
        (lambda card: card["files"][1].update(path="fp32.onnx"), "a file stands twice"),
        (lambda card: card["files"][2].update(precision="fp32"), "a runtime and precision stands twice"),
    ],
)
def test_a_card_that_contradicts_itself_is_refused(
    folder: Path, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    rewrite(folder, change)
    with pytest.raises(InvalidCard, match=message):
        read_card(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe\x00", b"{" * 5000])
def test_a_card_that_is_no_json_object_is_refused(folder: Path, content: bytes) -> None:
    (folder / "card.json").write_bytes(content)
    with pytest.raises(InvalidCard, match=r"card\.json"):
        read_card(folder)


def test_a_missing_card_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidCard, match=r"cannot read .*card\.json: No such file"):
        read_card(tmp_path)


def test_the_bytes_of_an_artifact_are_those_of_its_hash(folder: Path) -> None:
    file = read_card(folder).files[0]
    assert read_artifact(folder, file) == (folder / file.path).read_bytes()


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda content: content[:-1], id="truncated"),
        pytest.param(lambda content: content + b"\0", id="longer"),
        pytest.param(
            lambda content: content[:50] + bytes([content[50] ^ 1]) + content[51:], id="a flipped bit"
        ),
        pytest.param(lambda content: b"", id="empty"),
    ],
)
def test_a_damaged_artifact_is_refused(folder: Path, damage: Callable[[bytes], bytes]) -> None:
    file = read_card(folder).files[0]
    path = folder / file.path
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InvalidCard, match="is not the file its card describes"):
        read_artifact(folder, file)


def test_a_missing_artifact_is_refused(folder: Path) -> None:
    file = read_card(folder).files[0]
    (folder / file.path).unlink()
    with pytest.raises(InvalidCard, match=r"cannot read .*fp32\.onnx, which the card lists"):
        read_artifact(folder, file)
