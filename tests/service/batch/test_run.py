"""Whole jobs: every picture exactly once, whatever happens, and results that others can read."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from pycocotools.coco import COCO

from service.batch.journal import Journal
from service.errors import InvalidOption
from service.inference.backends import BackendChoice
from service.inference.documents import instance_to_json
from service.inference.segmenter import open_model
from service.types import Options
from tests.service.batch.conftest import COUNT, Run

PLAN: dict[str, object] = {"input": "photos"}


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_every_picture_is_answered_once_in_order_and_a_bad_one_is_listed(
    run: Run, photos: Path, tmp_path: Path, toy_folder: Path
) -> None:
    assert await run(photos, tmp_path / "out.jsonl") == 1
    rows = read_lines(tmp_path / "out.jsonl")
    assert [row["file"] for row in rows] == [f"{number:02d}.png" for number in range(COUNT) if number != 7]
    assert [row["image_id"] for row in rows] == [number + 1 for number in range(COUNT) if number != 7]
    (bad,) = read_lines(tmp_path / "out.failed.jsonl")
    assert bad["file"] == "07.png"
    assert "not an image" in bad["error"] or "image" in bad["error"]
    assert not list(tmp_path.glob("*.journal*"))
    model = open_model(toy_folder, BackendChoice(runtime="onnx"))
    found = model.segment((photos / "03.png").read_bytes(), Options(score_threshold=0.1))
    assert rows[3]["instances"] == json.loads(json.dumps([instance_to_json(one) for one in found.instances]))


async def test_coco_results_are_loaded_with_the_list_of_their_pictures(
    run: Run, photos: Path, tmp_path: Path
) -> None:
    await run(photos, tmp_path / "out.json")
    data = COCO(str(tmp_path / "out.images.json"))
    results = data.loadRes(str(tmp_path / "out.json"))
    assert len(data.imgs) == COUNT - 1
    listed = json.loads((tmp_path / "out.json").read_text())
    assert {one["image_id"] for one in listed} <= set(data.imgs)
    assert len(results.anns) == len(listed) > 0
    assert results.annToRLE(results.anns[1]) == listed[0]["segmentation"]


async def test_coco_results_without_any_instance_are_an_empty_list(
    run: Run, photos: Path, tmp_path: Path
) -> None:
    await run(photos, tmp_path / "out.json", score_threshold=1.0)
    assert json.loads((tmp_path / "out.json").read_text()) == []


async def test_coco_results_refuse_masks_that_coco_does_not_have(
    run: Run, photos: Path, tmp_path: Path
) -> None:
    with pytest.raises(InvalidOption, match="have no masks of the form polygon"):
        await run(photos, tmp_path / "out.json", masks="polygon")


async def test_pictures_of_a_data_set_that_are_not_there_are_counted(
    run: Run, photos: Path, tmp_path: Path, lines: io.StringIO
) -> None:
    await run(photos, tmp_path / "out.jsonl", ids={"03.png": 30, "gone.png": 40})
    assert [row["image_id"] for row in read_lines(tmp_path / "out.jsonl")] == [30]
    (warning,) = [json.loads(line) for line in lines.getvalue().splitlines() if "lacks" in line]
    assert (warning["found"], warning["listed"]) == (1, 2)


async def test_parquet_has_a_row_for_each_picture(run: Run, photos: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra batch is not installed")
    await run(photos, tmp_path / "out.jsonl")
    await run(photos, tmp_path / "out.parquet", masks="rle")
    rows = parquet.read_table(tmp_path / "out.parquet").to_pylist()
    for row, line in zip(rows, read_lines(tmp_path / "out.jsonl"), strict=True):
        assert {"height": row.pop("height"), "width": row.pop("width")} == line.pop("image")
        for instance in row["instances"]:
            mask = instance["segmentation"]
            assert mask.pop("offset") is mask.pop("rings") is None
        assert row == line


@pytest.mark.parametrize("cut", [0.0, 0.2, 0.5, 0.9, 1.0])
async def test_a_job_that_was_killed_anywhere_ends_with_the_same_output(
    cut: float, run: Run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, resumed = tmp_path / "whole.json", tmp_path / "resumed.json"
    await run(photos, whole)
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "remove", lambda journal: None)
        await run(photos, resumed)
    journal = tmp_path / "resumed.json.journal"
    content = journal.read_bytes()
    journal.write_bytes(content[: round(cut * len(content))])
    assert await run(photos, resumed) == 1
    assert resumed.read_bytes() == whole.read_bytes()
    assert (tmp_path / "resumed.failed.jsonl").read_bytes() == (tmp_path / "whole.failed.jsonl").read_bytes()


async def test_an_unknown_class_is_refused_before_any_picture_is_computed(
    run: Run, photos: Path, tmp_path: Path
) -> None:
    with pytest.raises(InvalidOption, match="unicorn"):
        await run(photos, tmp_path / "out.json", classes=("unicorn",))
    assert not (tmp_path / "out.json.journal").exists()


async def test_an_input_without_pictures_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidOption, match="holds no picture"):
        await run(tmp_path / "empty", tmp_path / "out.json")


async def test_a_job_with_other_options_does_not_continue(
    run: Run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Journal, "remove", lambda journal: None)
    await run(photos, tmp_path / "out.json")
    with pytest.raises(InvalidOption, match="belongs to a job with other options"):
        await run(photos, tmp_path / "out.json", masks="none")


async def test_an_input_that_has_changed_is_not_continued(
    run: Run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Journal, "remove", lambda journal: None)
    await run(photos, tmp_path / "out.json")
    (photos / "02.png").unlink()
    with pytest.raises(InvalidOption, match=r"02\.png was next, it is 03\.png now"):
        await run(photos, tmp_path / "out.json")


def test_one_journal_is_written_by_one_job(tmp_path: Path) -> None:
    with (
        Journal(tmp_path / "one.journal", PLAN),
        pytest.raises(InvalidOption, match="another job is writing"),
    ):
        Journal(tmp_path / "one.journal", PLAN)
