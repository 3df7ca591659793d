"""Pictures that a model labels: what is a label, and which categories are complete or absent in a picture."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pycocotools import mask as coco_mask

from service.types import Instance, Options, Rle, Segmentation, Size
from tests.fakes import FakeModel, encode_picture
from tests.training.test_main import invoke
from training.data.annotations import read_collection
from training.pseudo_label import Thresholds, find_model, label_pictures, list_pictures

CAT, DOG = ("cat", 3), ("dog", 8)
THRESHOLDS = Thresholds(kept=0.5, doubtful=0.2)


class Scripted(FakeModel):
    """Finds the objects that it is told, with masks of four pixels."""

    def __init__(self, *objects: tuple[tuple[str, int], float]) -> None:
        super().__init__()
        self.objects = objects

    def segment(self, data: bytes, options: Options, *, crowded: bool = False) -> Segmentation:
        found = super().segment(data, options, crowded=crowded)
        least = options.score_threshold or 0
        instances = [_make_instance(*each, found.image) for each in self.objects if each[1] >= least]
        return replace(found, instances=tuple(instances))


def _make_instance(label: tuple[str, int], score: float, image: Size) -> Instance:
    empty = coco_mask.frPyObjects([[4.0, 4, 6, 4, 6, 6, 4, 6]], image.height, image.width)[0]
    rle = Rle(image, empty["counts"].decode())
    return Instance(label[0], label[1], score, (4.0, 4.0, 2.0, 2.0), 4, rle)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    (folder / "a.png").write_bytes(encode_picture())
    (folder / "more" / "b.JPG").write_bytes(encode_picture(suffix=".jpg"))
    (folder / "notes.txt").write_text("no picture")
    return folder


def label(model: FakeModel, folder: Path) -> dict[str, Any]:
    content, faults = label_pictures(model, folder, list_pictures(folder), THRESHOLDS)
    assert not faults
    return content


def test_only_scores_from_the_threshold_on_are_labels(pictures: Path) -> None:
    content = label(Scripted((CAT, 0.5), (CAT, 0.49), (DOG, 0.9)), pictures)
    assert [each["file_name"] for each in content["images"]] == ["a.png", "more/b.JPG"]
    first = [each for each in content["annotations"] if each["image_id"] == 1]
    assert [(each["category_id"], each["score"]) for each in first] == [(3, 0.5), (8, 0.9)]
    assert coco_mask.area(first[0]["segmentation"]) == first[0]["area"] == 4
    assert content["categories"] == [{"id": 3, "name": "cat"}, {"id": 8, "name": "dog"}]


@pytest.mark.parametrize(
    ("objects", "complete", "absent"),
    [
        ([(CAT, 0.9), (CAT, 0.6)], [3], [8]),
        ([(CAT, 0.9), (CAT, 0.3)], [], [8]),
        ([(CAT, 0.9), (CAT, 0.1), (DOG, 0.1)], [3], [8]),
        ([(DOG, 0.3)], [], [3]),
        ([], [], [3, 8]),
    ],
    ids=["complete", "doubtful", "below", "only doubtful", "nothing"],
)
def test_a_category_is_complete_without_doubtful_detections(
    objects: list[Any], complete: list[int], absent: list[int], pictures: Path
) -> None:
    (image, _) = label(Scripted(*objects), pictures)["images"]
    assert image["exhaustive_category_ids"] == complete
    assert image["assumed_absent_category_ids"] == absent


def test_a_full_list_says_nothing_about_completeness(pictures: Path) -> None:
    model = Scripted((CAT, 0.9))
    model.card = model.card.model_copy(
        update={"decoder": model.card.decoder.model_copy(update={"max_instances": 1})}
    )
    (image, _) = label(model, pictures)["images"]
    assert image["exhaustive_category_ids"] == image["assumed_absent_category_ids"] == []


def test_a_picture_that_cannot_be_read_is_left_out_and_named(pictures: Path) -> None:
    (pictures / "a.png").write_bytes(b"broken")
    content, faults = label_pictures(FakeModel(), pictures, list_pictures(pictures), THRESHOLDS)
    assert [each["file_name"] for each in content["images"]] == ["more/b.JPG"]
    assert [fault.where for fault in faults] == [f"{pictures / 'a.png'} {faults[0].where.split(' ', 1)[1]}"]


def test_the_command_writes_a_set_that_training_reads(pictures: Path) -> None:
    arguments = ("pseudo-label", "--model", "blitzmask-mobilenetv2-192", "--images", pictures)
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    collection = read_collection(pictures / "annotations.json", pictures)
    assert [picture.path.name for picture in collection.pictures] == ["a.png", "b.JPG"]
    assert len(collection.labels) == 23
    again = invoke(*arguments)
    assert again.exit_code == 2
    assert "exists already" in again.output


def test_mistakes_are_refused(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    command = ("pseudo-label", "--model", "blitzmask-mobilenetv2-192", "--images")
    assert "no pictures" in invoke(*command, tmp_path / "none").output
    assert invoke(*command, pictures, "--threshold", "0.1", "--doubtful", "0.5").exit_code == 2
    with pytest.raises(FileNotFoundError, match="nonsense"):
        find_model("nonsense")
