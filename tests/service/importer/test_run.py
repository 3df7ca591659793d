"""The command: a file in, a model folder out that the service loads, and answers with."""

import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from service.errors import InvalidOption
from service.importer.run import parse_size
from service.inference.backends import BackendChoice
from service.inference.card import read_card
from service.inference.segmenter import open_model
from service.types import Options, Pixels, Size
from tests.service.importer.exports import NAMED, UNNAMED, make_yolo, save
from tests.service.test_cli import Run

EXPORTS = {**NAMED, **UNNAMED}


@pytest.fixture
def picture() -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)


@pytest.fixture
def photo(tmp_path: Path, picture: Pixels) -> Path:
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), picture)
    return path


@pytest.fixture
def names(tmp_path: Path) -> Path:
    path = tmp_path / "names.txt"
    path.write_text("a\nb\nc\n")
    return path


@pytest.mark.parametrize("family", EXPORTS)
def test_every_family_becomes_a_folder_that_answers(
    family: str,
    tmp_path: Path,
    photo: Path,
    names: Path,
    picture: Pixels,
    run_command: Run,
) -> None:
    path = save(EXPORTS[family](), tmp_path / "my export.onnx")
    out = tmp_path / "models" / "mine"
    status, printed, complaint = run_command(
        "import", path, "--out", out, "--labels", names, "--photo", photo
    )
    assert (status, complaint.count("error")) == (0, 0), complaint
    assert f"BLITZ_MODELS_DIR={out.parent}" in printed
    assert {each.name for each in out.iterdir()} == {
        "card.json",
        "golden.json",
        "labels.txt",
        "model.fp32.onnx",
        "overlay.jpg",
        "README.md",
    }
    card = read_card(out)
    assert card.name == "mine"
    assert card.schema_version == 2
    assert (out / "labels.txt").read_text().split() == ["a", "b", "c"]
    assert "licence of the weights" in (out / "README.md").read_text()
    model = open_model(out, BackendChoice(slots=2))
    answer = model.segment_pixels(picture, Options(score_threshold=0.0))
    model.close()
    assert answer.image == Size(90, 120)
    assert 0 < len(answer.instances) <= card.decoder.max_instances
    assert {instance.label for instance in answer.instances} <= {"a", "b", "c"}


def test_the_name_comes_from_the_file_and_the_folder_from_the_settings(
    tmp_path: Path,
    photo: Path,
    run_command: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BLITZ_MODELS_DIR", str(tmp_path / "served"))
    path = save(make_yolo(), tmp_path / "best (2).onnx")
    status, _, complaint = run_command("import", path, "--photo", photo, "--score-threshold", "0.4")
    assert status == 0, complaint
    card = read_card(tmp_path / "served" / "best-2")
    assert card.name == "best-2"
    assert card.decoder.score_threshold == 0.4


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path, photo: Path, run_command: Run) -> None:
    path = save(make_yolo(), tmp_path / "a.onnx")
    out = tmp_path / "taken"
    out.mkdir()
    (out / "mine").write_text("keep")
    status, _, complaint = run_command("import", path, "--out", out, "--photo", photo)
    assert status == 2
    assert "exists already" in complaint
    assert [each.name for each in out.iterdir()] == ["mine"]


def test_a_refused_file_leaves_nothing_behind(tmp_path: Path, photo: Path, run_command: Run) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(b"no model")
    status, printed, complaint = run_command(
        "import", path, "--out", tmp_path / "models" / "a", "--photo", photo
    )
    assert (status, printed) == (2, "")
    assert complaint.count("\n") == 1 or "Traceback" not in complaint
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        (("--family", "nonsense"), "there are yolo"),
        (("--size", "640x"), "--size 640x"),
        (("--photo", "absent.png"), "--photo absent.png"),
        (("--name", "my model"), "name: String should match"),
        (("--labels", "absent.txt"), "--labels absent.txt: no such file"),
    ],
)
def test_options_that_cannot_be_used_are_refused(
    wish: tuple[str, str],
    reason: str,
    tmp_path: Path,
    photo: Path,
    run_command: Run,
) -> None:
    path = save(make_yolo(), tmp_path / "a.onnx")
    status, _, complaint = run_command("import", path, "--photo", photo, *wish)
    assert status == 2
    assert reason in complaint


def test_multiply_adds_and_parameters_are_counted(tmp_path: Path, photo: Path, run_command: Run) -> None:
    path = save(make_yolo(sides=("height", "width")), tmp_path / "a.onnx")
    status, _, complaint = run_command(
        "import", path, "--size", "64", "--out", tmp_path / "a", "--photo", photo
    )
    assert status == 0, complaint
    card = read_card(tmp_path / "a")
    products = 12 * (11 * 84 + 4 * 16 * 16)
    assert card.multiply_adds == products
    assert card.parameters == products + 11


@pytest.mark.parametrize("text", ["", "x", "640x", "0", "9999", "1x2x3"])
def test_sizes_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(InvalidOption, match="--size"):
        parse_size(text)


def test_golden_values_cover_every_head(tmp_path: Path, photo: Path, run_command: Run) -> None:
    path = save(make_yolo(), tmp_path / "a.onnx")
    out = tmp_path / "a"
    assert run_command("import", path, "--out", out, "--photo", photo)[0] == 0
    golden = json.loads((out / "golden.json").read_text())
    assert {sample["head"] for sample in golden["samples"]} == {"output0", "output1"}
    assert onnx.load(out / "model.fp32.onnx").metadata_props
