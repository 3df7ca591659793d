"""A whole run without the command line."""

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from training.commands import app
from training.data.datasets import read_datasets
from training.lr_schedule import LrFinderSchedule
from training.lrfinder import LrFinder
from training.recipe import Recipe, Stage
from training.recipes import paper_b0
from training.run_log import read_log
from training.session import Run, export_and_report, run_training
from training.validation import Validation

TINY = Recipe(
    neck_channels=8,
    width=0.25,
    epochs=2,
    stages=(Stage(until=1.0, side=64),),
    batch_size=1,
    bfloat16=False,
    workers=0,
    validation=Validation(patience=3),
)


def make_run(data: Path, folder: Path, recipe: Recipe = TINY) -> Run:
    folder.mkdir()
    return Run("tiny", recipe, read_datasets(data, "skip"), folder, (), "a test")


def test_without_runtimes_there_is_a_report_and_no_model(tiny_set: Path, tmp_path: Path) -> None:
    run = make_run(tiny_set, tmp_path / "run")
    run_training(run)
    report = export_and_report(run, Console(quiet=True)).read_text()
    assert "one of 5 pictures, held out" in report
    assert "The model is" not in report
    assert not (run.folder / "models").exists()
    assert sum("mask_ap" in line for line in read_log(run.folder / "log.jsonl")) == 2


def test_every_epoch_is_a_line_where_there_is_no_terminal(
    tiny_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = replace(TINY, validation=Validation(every=2), epochs=3)
    run_training(make_run(tiny_set, tmp_path / "run", recipe))
    lines = [line for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert [line.split(" loss ")[0] for line in lines] == ["epoch 1", "epoch 2", "epoch 3"]
    assert ["mask AP" in line for line in lines] == [False, True, False]
    assert lines[-1].endswith("(100% done)")


def test_what_was_left_out_of_the_data_is_in_the_report(tiny_set: Path, tmp_path: Path) -> None:
    file = tiny_set / "instances_train.json"
    file.write_text(file.read_text().replace('"category_id": 3', '"category_id": 99', 1))
    run = make_run(tiny_set, tmp_path / "run")
    run_training(run)
    assert (
        "1 x its category is unknown: annotation" in export_and_report(run, Console(quiet=True)).read_text()
    )


def test_the_papers_recipe_trains_on_a_folder_laid_out_as_coco(tiny_set: Path, tmp_path: Path) -> None:
    """The paper's recipe at a small size: LRfinder, SGD, the x3 stage, workers and augmentation."""
    data = tmp_path / "coco"
    (data / "annotations").mkdir(parents=True)
    for split in ("train2017", "val2017"):
        (data / split).mkdir()
        for picture in (tiny_set / "images").iterdir():
            (data / split / picture.name).write_bytes(picture.read_bytes())
        annotations = (tiny_set / "instances_train.json").read_text()
        (data / "annotations" / f"instances_{split}.json").write_text(annotations)
    finder = LrFinder(halvings=0, patience=1, momenta=(0.9,), descents=(0.1,), tune_epochs=1)
    recipe = replace(
        paper_b0.RECIPE,
        backbone="mobilenet_v2",
        width=0.25,
        neck_channels=8,
        schedule=LrFinderSchedule(finder),
        stages=tuple(replace(stage, side=64) for stage in paper_b0.RECIPE.stages),
        batch_size=2,
        workers=1,
        bfloat16=False,
        validation=Validation(every=1),
    )
    run = make_run(data, tmp_path / "run", recipe)
    run_training(run)
    last = read_log(run.folder / "log.jsonl")[-1]
    assert last["rate"] == finder.tune_rate
    assert "mask_ap" in last
    assert run.datasets.evaluation.origin == "val split"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--bad-data", "refuse"], "1 x its category is unknown"),
        (["--runtimes", "coreml"], "no runtime coreml"),
        (["--set", "nothing=1"], "no field 'nothing'"),
        (["--recipe", "nowhere"], "no recipe nowhere"),
    ],
)
def test_errors_of_the_user_are_explained_in_a_line(
    tiny_set: Path, tmp_path: Path, arguments: list[str], reason: str
) -> None:
    file = tiny_set / "instances_train.json"
    file.write_text(file.read_text().replace('"category_id": 3', '"category_id": 99', 1))
    found = CliRunner().invoke(
        app, ["train", "--data", str(tiny_set), "--out", str(tmp_path / "run"), *arguments]
    )
    assert found.exit_code == 2
    assert reason in " ".join(found.output.replace("│", " ").split())
    assert "Traceback" not in found.output
