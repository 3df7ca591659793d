"""Models side by side: who takes part, the table, and the contact sheet."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from service.doctor.comparison import Contender, list_photos, parse_contenders
from service.errors import InvalidOption
from tests.service.test_cli import Run


@pytest.fixture
def run(toy_folder: Path, monkeypatch: pytest.MonkeyPatch, run_command: Run) -> Run:
    """Runs a command with the toy model."""
    monkeypatch.setenv("BLITZ_MODELS_DIR", str(toy_folder.parent))
    return run_command


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A picture in which the toy finds a rose."""
    picture = np.zeros((128, 192, 3), np.uint8)
    picture[40:88, 60:132] = (255, 0, 255)
    path = tmp_path / "photo.png"
    assert cv2.imwrite(str(path), picture)
    return path


def test_contenders_are_names_or_folders_with_runtime_and_precision(toy_folder: Path) -> None:
    models = {"toy": toy_folder}
    asked = f"toy, toy:int8,toy:tflite:fp16,{toy_folder}:onnx"
    assert parse_contenders(asked, models) == [
        Contender(toy_folder),
        Contender(toy_folder, precision="int8"),
        Contender(toy_folder, "tflite", "fp16"),
        Contender(toy_folder, "onnx"),
    ]


@pytest.mark.parametrize("asked", ["nobody", "toy:fp8", "toy:int8:int8", "toy:onnx:fp32:fast"])
def test_contenders_that_do_not_exist_are_refused(asked: str, toy_folder: Path) -> None:
    with pytest.raises(InvalidOption, match="toy"):
        parse_contenders(asked, {"toy": toy_folder})


def test_photos_are_files_and_those_in_folders(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.PNG", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in list_photos([tmp_path])] == ["a.PNG", "b.jpg"]
    assert list_photos([tmp_path / "notes.txt"]) == [tmp_path / "notes.txt"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidOption, match="no photos"):
        list_photos([tmp_path / "empty"])


def test_the_command_prints_a_row_and_draws_a_column_for_each(
    photo: Path,
    tmp_path: Path,
    run: Run,
) -> None:
    sheet = tmp_path / "new" / "sheet.png"
    status, printed, complaint = run("compare", photo, photo, "--models", "toy:fp32,toy:int8", "--out", sheet)
    assert status == 0, complaint
    rows = [line.split() for line in printed.splitlines() if line.startswith("toy")]
    assert [row[2] for row in rows] == ["fp32", "int8"]
    assert [row[-1] for row in rows] == ["2", "2"]  # the rose, in each photo
    drawn = cv2.imread(str(sheet))
    assert drawn is not None
    assert drawn.shape == (28 + 2 * 360, 2 * 480, 3)
    left, right = np.split(drawn[28:], 2, axis=1)
    np.testing.assert_array_equal(left[:360], left[360:])
    assert len(np.unique(right.reshape(-1, 3), axis=0)) > 3


@pytest.mark.parametrize(
    ("wish", "reason"),
    [(("--out", "sheet.txt"), "--out sheet.txt"), (("--models", "nobody"), "no model nobody")],
)
def test_wishes_that_cannot_be_met_are_refused(
    wish: tuple[str, str],
    reason: str,
    photo: Path,
    run: Run,
) -> None:
    status, _, complaint = run("compare", photo, *wish)
    assert status == 2
    assert reason in complaint


def test_a_photo_that_is_missing_is_named(tmp_path: Path, run: Run) -> None:
    status, _, complaint = run("compare", tmp_path / "absent.jpg")
    assert status == 2
    assert "absent.jpg: no such file" in complaint
