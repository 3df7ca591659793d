import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.errors import InvalidCard
from service.inference.card import read_artifact, read_card
from service.inference.families import CentersDecoder
from service.inference.golden import read_golden
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
    shapes = CentersDecoder(stride=8, coefficients=5).output_shapes(Size(64, 96), channels=3)
    assert shapes == {
        "heatmap": (8, 12, 3),
        "size": (8, 12, 4),
        "coefficients": (8, 12, 5),
        "spanning_set": (8, 12, 5),
    }


def test_a_decoder_without_coefficients_has_the_box_heads_only() -> None:
    shapes = CentersDecoder(coefficients=0).output_shapes(Size(64, 96), channels=3)
    assert shapes == {"heatmap": (16, 24, 3), "size": (16, 24, 4)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda card: card.pop("name"), "name: Field required"),
        (lambda card: card.update(surprise=1), "surprise: Extra inputs"),
        (lambda card: card.update(schema_version=3), "schema_version"),
        (lambda card: card.update(name="../evil"), "name: String should match"),
        (lambda card: card.update(version=""), "version: String should match"),
        (lambda card: card["input"].update(height=0), "input.height: Input should be greater"),
        (lambda card: card["input"].update(height=96), "outputs .* do not fit"),
        (lambda card: card.update(labels=[]), "labels"),
        (lambda card: card.update(labels=[{"name": "a", "category_id": 1}] * 10_001), "at most 10000"),
        (lambda card: card["labels"].pop(), "outputs .* do not fit"),
        (lambda card: card["labels"][0].update(name="leaf"), "a label name stands twice"),
        (lambda card: card["labels"][0].update(category_id=9), "a category_id stands twice"),
        (lambda card: card["outputs"].pop("size"), "outputs .* do not fit"),
        (lambda card: card["outputs"].update(heatmap=[16, 24, 3]), "outputs .* do not fit"),
        (lambda card: card["decoder"].update(score_threshold=1.5), "decoder.centers.score_threshold"),
        (lambda card: card["decoder"].update(max_instances=0), "decoder.centers.max_instances"),
        (lambda card: card.update(files=[]), "files"),
        (lambda card: card["files"][0].update(path="../../etc/passwd"), "files.0.path: String should match"),
        (lambda card: card["files"][0].update(path=".hidden"), "files.0.path"),
        (lambda card: card["files"][0].update(sha256="abc"), "files.0.sha256"),
        (lambda card: card["files"][1].update(path="fp32.onnx"), "a file stands twice"),
        (lambda card: card["files"][2].update(precision="fp32"), "a runtime and precision stands twice"),
        (lambda card: card.update(version="1" * 5000), "version: String should have at most 200"),
        (lambda card: card.update(parameters=2**70), "parameters: Input should be less than"),
        (lambda card: card.update(multiply_adds=-1), "multiply_adds: Input should be greater"),
        (lambda card: card["labels"][0].update(category_id=2**63), "labels.0.category_id: Input should be"),
        (lambda card: card["labels"][0].update(name="cup, mug"), "labels.0.name: .*'cup, mug' holds a comma"),
        (lambda card: card["labels"][0].update(name="cup\nmug"), "holds a comma, a line break"),
        (lambda card: card["labels"][0].update(name="cup\u2028mug"), "a line break or another control"),
        (lambda card: card["labels"][0].update(name=" cup"), "begins or ends with a space"),
        (lambda card: card["input"].update(height=2**40), "input.height: Input should be less than"),
        (
            lambda card: card["decoder"].update(max_instances=2**40),
            "decoder.centers.max_instances: Input should be",
        ),
        (lambda card: card["decoder"].update(overlap=float("nan")), "decoder.centers.overlap: "),
        (lambda card: card["labels"].extend([{}] * 50), "and 90 more"),
    ],
)
def test_a_card_that_contradicts_itself_is_refused(
    folder: Path, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    rewrite(folder, change)
    with pytest.raises(InvalidCard, match=message):
        read_card(folder)


def write_yolo(folder: Path, **changes: Any) -> None:
    """Make the card one of a YOLO with two classes and 8 prototypes, at 64 x 96."""

    def change(card: dict[str, Any]) -> None:
        card.update(
            schema_version=2,
            input={"height": 64, "width": 96, "fit": "letterbox", "anchor": "centre", "padding": 114},
            decoder={"family": "yolo", "coefficients": 8},
            outputs={"output0": [14, 126], "output1": [8, 16, 24]},
        )
        card.update(changes)

    rewrite(folder, change)


def test_a_card_of_another_family_tells_how_its_network_is_used(folder: Path) -> None:
    write_yolo(folder)
    card = read_card(folder)
    assert (card.decoder.family, card.decoder.has_masks, card.decoder.comparison) == ("yolo", True, ">")
    assert (card.input.anchor, card.input.padding, card.input.interpolation) == ("centre", 114, "area")
    assert [label.name for label in card.labels_by_channel().values()] == ["rose", "leaf"]
    assert not card.has_unlabelled


LABELS = [{"category_id": 1, "name": "a", "channel": 3}, {"category_id": 2, "name": "b", "channel": 1}]


def test_labels_may_name_their_channels_and_leave_holes(folder: Path) -> None:
    write_yolo(folder, labels=LABELS, outputs={"output0": [16, None], "output1": [8, None, None]})
    card = read_card(folder)
    names = {channel: label.name for channel, label in card.labels_by_channel().items()}
    assert names == {3: "a", 1: "b"}
    assert card.has_unlabelled


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 1}, "only schema_version 2 has other families"),
        ({"decoder": {"family": "unheard"}}, "decoder: Input tag 'unheard' found"),
        ({"decoder": {"family": "yolo", "coefficients": 8, "stride": 4}}, "decoder.yolo.stride: Extra"),
        ({"outputs": {"output0": [14, 126]}}, "outputs .* do not fit"),
        ({"outputs": {"output0": [126, 14], "output1": [8, 16, 24]}}, "outputs .* do not fit"),
        ({"outputs": {"output0": [14, 126], "output1": [16, 24, 8]}}, "outputs .* do not fit"),
        ({"labels": [LABELS[0], {**LABELS[1], "channel": 3}]}, "a label's channel stands twice"),
        ({"labels": [{**LABELS[0], "channel": -1}]}, "labels.0.channel"),
        ({"input": {"height": 64, "width": 96, "fit": "cover"}}, "input.fit"),
        ({"input": {"height": 64, "width": 96, "padding": 256}}, "input.padding"),
    ],
)
def test_a_card_of_version_2_that_contradicts_itself_is_refused(
    folder: Path, changes: dict[str, Any], message: str
) -> None:
    write_yolo(folder, **changes)
    with pytest.raises(InvalidCard, match=message):
        read_card(folder)


@pytest.mark.parametrize(
    ("runtime", "content", "message"),
    [
        ("onnx", {}, "an ONNX graph takes uint8"),
        ("tflite", {"std": [1, 0, 1]}, "files.1.input.std"),
        ("tflite", {"order": "GBR"}, "files.1.input.order"),
    ],
)
def test_a_file_takes_numbers_that_can_be_computed(
    folder: Path, runtime: str, content: dict[str, Any], message: str
) -> None:
    def change(card: dict[str, Any]) -> None:
        card["schema_version"] = 2
        next(file for file in card["files"] if file["runtime"] == runtime)["input"] = content

    rewrite(folder, change)
    with pytest.raises(InvalidCard, match=message):
        read_card(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe\x00", b"{" * 5000])
def test_a_card_that_is_no_json_object_is_refused(folder: Path, content: bytes) -> None:
    (folder / "card.json").write_bytes(content)
    with pytest.raises(InvalidCard, match=r"card\.json"):
        read_card(folder)


def test_a_card_may_begin_with_a_byte_order_mark(folder: Path) -> None:
    path, plain = folder / "card.json", read_card(folder)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_card(folder) == plain


@pytest.mark.parametrize("name", ["card.json", "golden.json", "fp32.onnx"])
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to(path)])
def test_a_pipe_a_folder_or_a_loop_is_refused_and_not_waited_for(
    folder: Path, name: str, make: Callable[[Path], None]
) -> None:
    file = read_card(folder).files[0]
    (folder / name).unlink()
    make(folder / name)
    with pytest.raises(InvalidCard, match=f"cannot read .*{name}: "):
        read_card(folder), read_golden(folder), read_artifact(folder, file)


def test_a_card_of_gigabytes_is_not_read(folder: Path) -> None:
    os.truncate(folder / "card.json", 5_000_000_000)
    with pytest.raises(InvalidCard, match="5000000000 bytes, at most 20000000 are read"):
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
    with pytest.raises(InvalidCard, match=r"cannot read .*fp32\.onnx: No such file"):
        read_artifact(folder, file)
