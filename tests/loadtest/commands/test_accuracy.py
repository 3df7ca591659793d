import dataclasses
import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from loadtest.commands.accuracy import LabelledSet, match_detections, read_detections, read_set, run_accuracy
from loadtest.measurement.fake_server import GOOD_JSON, FakeServer, Reply
from loadtest.measurement.harness import Setup, open_harness
from loadtest.reports.content import Outcome
from loadtest.types import CannotRun
from service.inference.images import Limits, decode_image
from service.rpc.generated import segmentation_pb2 as messages
from tests.loadtest.rows import make_stage

SIDE = 40


def rle_of(x: int, y: int) -> dict[str, object]:
    """A square of 10 pixels."""
    mask = np.zeros((SIDE, SIDE), np.uint8, order="F")
    mask[y : y + 10, x : x + 10] = 1
    encoded = coco_mask.encode(mask)
    return {"size": encoded["size"], "counts": encoded["counts"].decode()}


def instance(x: int, y: int, *, label: str = "box", score: float = 0.9) -> dict[str, object]:
    return {"label": label, "score": score, "bbox": [x, y, 10, 10], "segmentation": rle_of(x, y)}


@pytest.fixture
def labelled(tmp_path: Path) -> LabelledSet:
    """Four images with a square each, at 5, 10, 15 and 20 pixels from the left; category 7 is "box"."""
    (tmp_path / "images").mkdir()
    images, annotations = [], []
    for number in range(4):
        pixels = np.full((SIDE, SIDE, 3), number, np.uint8)  # so that the server can tell them apart
        assert cv2.imwrite(str(tmp_path / "images" / f"{number}.png"), pixels)
        images.append({"id": number + 1, "file_name": f"{number}.png", "height": SIDE, "width": SIDE})
        x = 5 * (number + 1)
        annotations.append(
            {"id": number + 1, "image_id": number + 1, "category_id": 7, "bbox": [x, 5, 10, 10],
             "area": 100, "iscrowd": 0, "segmentation": rle_of(x, 5)}
        )  # fmt: skip
    content = {"images": images, "annotations": annotations, "categories": [{"id": 7, "name": "box"}]}
    (tmp_path / "set.json").write_text(json.dumps(content))
    return read_set(tmp_path / "set.json", tmp_path / "images")


def answer_shifted(fake: FakeServer, pixels: int) -> Reply:
    """An answer with the square of the last image, moved to the right."""
    number = int(decode_image(fake.bodies[-1], Limits())[0, 0, 0])
    fields = json.loads(GOOD_JSON)
    fields["instances"] = [instance(5 * (number + 1) + pixels, 5)]
    return Reply(body=json.dumps(fields).encode())


async def measure(setup: Setup, labelled: LabelledSet, notes: list[str] | None = None) -> Outcome:
    async with open_harness(setup, make_stage()) as harness:
        outcome = await run_accuracy(harness, labelled, clients=2, seconds=60)
    if notes is not None:
        notes += harness.notes
    return outcome


def findings_of(outcome: Outcome) -> dict[str, float | None]:
    return {finding.name: finding.value for finding in outcome.findings}


async def test_answers_that_are_the_truth_have_an_ap_of_one_and_a_throughput(
    fake: FakeServer, setup: Setup, labelled: LabelledSet
) -> None:
    fake.script = lambda number: answer_shifted(fake, 0) if number else Reply(body=GOOD_JSON)
    outcome = await measure(setup, labelled)

    assert findings_of(outcome) == {
        "mask AP": pytest.approx(1), "mask AP50": pytest.approx(1),
        "box AP": pytest.approx(1), "box AP50": pytest.approx(1), "detections": 4,
    }  # fmt: skip
    (row,) = outcome.rows
    assert row.answered == 4
    assert row.throughput > 1
    assert len(fake.bodies) == 5  # every image once, after the probe


async def test_answers_that_are_off_have_less(fake: FakeServer, setup: Setup, labelled: LabelledSet) -> None:
    fake.script = lambda number: answer_shifted(fake, 3) if number else Reply(body=GOOD_JSON)
    found = findings_of(await measure(setup, labelled))
    assert found["mask AP50"] == pytest.approx(1)  # 7 of 13 columns overlap: IoU 0.54
    assert found["mask AP"] == pytest.approx(0.1)


async def test_means_are_over_the_categories_asked_for(
    fake: FakeServer, setup: Setup, labelled: LabelledSet
) -> None:
    fake.script = lambda number: answer_shifted(fake, 0) if number else Reply(body=GOOD_JSON)
    without = dataclasses.replace(labelled, categories=frozenset({8}))
    found = findings_of(await measure(setup, without))
    assert found["mask AP"] is not None
    assert math.isnan(found["mask AP"])


async def test_an_image_without_an_answer_counts_as_empty(
    fake: FakeServer, setup: Setup, labelled: LabelledSet
) -> None:
    fake.script = lambda number: (
        Reply(503) if number == 2 else answer_shifted(fake, 0) if number else Reply(body=GOOD_JSON)
    )
    notes: list[str] = []
    outcome = await measure(setup, labelled, notes)
    assert outcome.rows[0].errors == {"http 503": 1}
    assert findings_of(outcome)["mask AP"] == pytest.approx(0.75, abs=0.01)
    assert "only 3 of 4 images" in notes[0]


def test_labels_become_categories_by_name_and_unknown_ones_are_left_out(labelled: LabelledSet) -> None:
    body = json.dumps({"instances": [instance(5, 5), instance(5, 5, label="cup")]}).encode()
    (found,) = match_detections({3: body}, labelled.content, ("native", "rest"))
    assert (found["image_id"], found["category_id"], found["label"]) == (3, 7, "box")


def test_both_transports_give_the_same_detections() -> None:
    rle = messages.Rle(size=[40, 40], counts="abc")
    message = messages.SegmentResponse(
        instances=[messages.Instance(label="box", score=0.5, bbox=[1, 2, 3, 4], rle=rle)]
    )
    fields = {
        "label": "box", "score": 0.5, "bbox": [1, 2, 3, 4],
        "segmentation": {"size": [40, 40], "counts": "abc"},
    }  # fmt: skip
    assert list(read_detections(("native", "grpc"), message.SerializeToString())) == [fields]
    assert list(
        read_detections(("native", "rest"), json.dumps({"instances": [fields | {"area": 9}]}).encode())
    ) == [fields]


@pytest.mark.parametrize(
    "content",
    ["", "[]", "3", "{}", '{"images": []}', '{"images": [], "annotations": [], "categories": []}',
     '{"images": [{}], "annotations": [], "categories": [1]}',
     '{"images": [{"id": 1, "file_name": "absent.png"}], "annotations": [], "categories": [1]}'],
)  # fmt: skip
def test_what_is_no_labelled_set_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "set.json").write_text(content)
    with pytest.raises(CannotRun) as refusal:
        read_set(tmp_path / "set.json", tmp_path)
    assert "\n" not in str(refusal.value)
