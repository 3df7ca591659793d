"""The release command."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from service.inference.backends import BackendChoice
from service.inference.card import read_card
from service.inference.segmenter import open_model
from training.export.precisions import WRITERS
from training.export.release import choose_writers

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
def test_a_release_is_evaluated_timed_and_takes_the_place_of_the_last(trained: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(trained / "model", tmp_path / "tiny")
    card = read_card(folder)
    old = card.files[0].model_copy(update={"path": "model.old.onnx"})
    renamed = card.model_copy(update={"files": (old, *card.files[1:]), "description": "Shapes."})
    (folder / "model.fp32.onnx").rename(folder / old.path)
    (folder / "card.json").write_text(renamed.model_dump_json())
    (folder / "README.md").write_text("<!-- files --><!-- /files -->")
    for split in ("train", "val"):
        shutil.copy(trained / "data" / "instances_train.json", tmp_path / f"instances_{split}.json")
    shutil.copytree(trained / "data" / "images", tmp_path / "images")

    arguments = [
        "release",
        trained / "run" / "checkpoint.pt",
        folder,
        "--data",
        tmp_path,
        "--version",
        "2.0.0",
    ]
    arguments += ["--side", 192, "--files", "tflite fp16,onnx int8"]
    # It runs in its own process, because the TFLite exporter starts threads and later tests fork workers.
    command = [sys.executable, "-m", "training", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert "| onnx | int8 |" in done.stdout
    card = read_card(folder)
    kinds = [("onnx", "fp32"), ("tflite", "fp32"), ("tflite", "fp16"), ("onnx", "int8")]
    assert (card.version, card.description) == ("2.0.0", "Shapes.")
    assert [(file.runtime, file.precision) for file in card.files] == kinds
    assert all(file.accuracy and file.accuracy.mask_ap > 0.85 and file.latency for file in card.files)
    files = {path.name for path in folder.iterdir()} - {"card.json", "golden.json", "labels.txt", "README.md"}
    assert files == {file.path for file in card.files}
    assert "| tflite | fp16 |" in (folder / "README.md").read_text()
    for file in card.files:
        open_model(folder, BackendChoice(runtime=file.runtime, precision=file.precision)).close()


def test_files_are_asked_for_by_runtime_and_precision() -> None:
    assert list(choose_writers("tflite int8")) == [("tflite", "int8")]
    assert set(choose_writers(",".join(" ".join(kind) for kind in WRITERS))) == set(WRITERS)
    assert not choose_writers("")


@pytest.mark.parametrize("text", ["onnx fp32", "openvino int8", "int8"])
def test_files_that_cannot_be_made_are_refused_with_those_that_can(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=f"no {text}; there are onnx fp16"):
        choose_writers(text)
