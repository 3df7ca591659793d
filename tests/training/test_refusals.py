"""Every command explains errors of the user in one line, with exit status 2."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from training.checkpoint import write_checkpoint
from training.commands import app
from training.recipes.own import SHIPPED


def invoke(arguments: str, files: Path) -> Result:
    """Runs the command with the words in capitals replaced by the fixture's paths."""
    places = {
        "MODEL": SHIPPED,
        "SET": files,
        "EMPTY": files / "empty",
        "TEXT": files / "text.pt",
        "PART": files / "part.pt",
        "BROKEN": files / "broken",
        "FOREIGN": files / "foreign.npz",
        "NEW": files / "new",
    }
    return CliRunner().invoke(app, [str(places.get(word, word)) for word in arguments.split()])


@pytest.fixture
def files(tiny_set: Path) -> Path:
    """The tiny set, and beside it files that are no model, no checkpoint and no data set."""
    (tiny_set / "empty").mkdir()
    (tiny_set / "text.pt").write_text("these are no weights\n")
    write_checkpoint({"step": 1}, tiny_set / "part.pt")
    (tiny_set / "broken").mkdir()
    (tiny_set / "broken" / "images").mkdir()
    (tiny_set / "broken" / "instances_train.json").write_text("{")
    np.savez(tiny_set / "foreign.npz", stem=np.zeros(3))
    return tiny_set


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("evaluate MODEL --data SET", "none of these exists"),
        ("evaluate MODEL --data SET --split train", "share no category"),
        ("evaluate EMPTY --data SET --split train", "cannot read"),
        ("evaluate MODEL --data BROKEN --split train", "instances_train.json is not JSON"),
        ("parity MODEL --data SET", "none of these exists"),
        ("parity EMPTY --data SET --split train", "cannot read"),
        ("quantize MODEL --data EMPTY", "none of these exists"),
        ("quantize EMPTY --data SET", "cannot read"),
        ("export TEXT NEW", "text.pt is not the checkpoint.pt of a run"),
        ("export PART NEW", "it has no architecture, labels, average"),
        ("export EMPTY NEW", "empty is not the checkpoint.pt of a run"),
        ("release TEXT NEW --data SET --version 1", "none of these exists"),
        ("train --data EMPTY --out NEW", "none of these exists"),
        ("train --data SET --out NEW --init TEXT", "text.pt is not the checkpoint.pt of a run"),
        ("train --data SET --out NEW --init EMPTY", "cannot read"),
        ("train --data SET --out NEW --init FOREIGN", "foreign.npz has no stem.weight of [32, 3, 3, 3]"),
        ("train --data SET --out NEW --set width=0.5", "does not fit this network: set the"),
        ("train --data SET --out NEW --init imagenet", "not for mobilenet_v2"),
        ("throughput --data BROKEN", "instances_train.json is not JSON"),
        ("shrink --data EMPTY NEW", "none of these exists"),
    ],
)
def test_what_is_missing_or_wrong_is_said_in_a_line(files: Path, command: str, reason: str) -> None:
    found = invoke(command, files)
    assert found.exit_code == 2, found.exception
    (line,) = found.stderr.splitlines()
    assert reason in line


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("evaluate MODEL --data SET --categories x", "write ids as 1-16,20"),
        ("parity MODEL --data SET --categories 9-1", "write ids as 1-16,20"),
        ("release TEXT NEW --data SET --version 1 --categories 1-", "write ids as 1-16,20"),
        ("complexity --necks wide", "write numbers as 1,2,4"),
        ("throughput --data SET --workers 1,,2", "write numbers as 1,2,4"),
        ("export TEXT NEW --side 100", "100 is not a multiple of 32"),
        ("train --data SET --init NEW", "does not exist, and is not imagenet"),
    ],
)
def test_an_option_that_means_nothing_is_a_usage_error(files: Path, command: str, reason: str) -> None:
    found = invoke(command, files)
    assert found.exit_code == 2, found.exception
    assert reason in " ".join(found.stderr.replace("│", " ").split())


def test_pictures_that_are_not_there_are_named(files: Path) -> None:
    content = json.loads((files / "instances_train.json").read_text())
    content["categories"][0]["name"] = "person"
    (files / "instances_train.json").write_text(json.dumps(content))
    for path in (files / "images").iterdir():
        path.unlink()
    found = invoke("evaluate MODEL --data SET --split train", files)
    assert found.exit_code == 2, found.exception
    assert "1.png" in found.stderr.splitlines()[-1]


def test_a_set_without_objects_to_evaluate_on_is_refused(files: Path) -> None:
    content = json.loads((files / "instances_train.json").read_text())
    for item in content["annotations"]:
        item["iscrowd"] = 1
    (files / "instances_train.json").write_text(json.dumps(content))
    found = invoke("evaluate MODEL --data SET --split train", files)
    assert found.exit_code == 2, found.exception
    assert "no object to evaluate" in found.stderr


def test_evaluation_lists_the_faults_or_refuses_them(files: Path) -> None:
    content = json.loads((files / "instances_train.json").read_text())
    content["categories"][0]["name"] = "person"
    content["annotations"][0]["segmentation"] = [1, 2, 3]
    (files / "instances_train.json").write_text(json.dumps(content))
    listed = "instances_train.json: 1 x its mask is neither polygons nor RLE: annotation 1 of image 1"
    found = invoke("evaluate MODEL --data SET --split train", files)
    assert found.exit_code == 0, found.exception
    assert listed in found.stderr
    refused = invoke("evaluate MODEL --data SET --split train --bad-data refuse", files)
    assert refused.exit_code == 2, refused.exception
    assert listed in refused.stderr


def test_a_damaged_picture_is_named_and_left_out_of_the_evaluation(files: Path) -> None:
    content = json.loads((files / "instances_train.json").read_text())
    content["categories"][0]["name"] = "person"
    (files / "instances_train.json").write_text(json.dumps(content))
    picture = files / "images" / "1.png"
    picture.write_bytes(picture.read_bytes()[:500])
    found = invoke("evaluate MODEL --data SET --split train", files)
    assert found.exit_code == 0, found.exception
    assert "the service cannot read it: image 1" in found.stderr
    refused = invoke("evaluate MODEL --data SET --split train --bad-data refuse", files)
    assert refused.exit_code == 2, refused.exception
    assert "1.png" in refused.stderr
