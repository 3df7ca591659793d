"""The precision of a model on a data set, through the service's own Segmenter, by COCO's rules."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask
from rich.progress import track
from rich.table import Table

from service.errors import ImageTooLarge, InvalidImage
from service.inference.card import Accuracy, ArtifactFile, Card, read_card
from service.inference.segmenter import Segmenter
from service.types import Instance, Options, Rle, Segmentation, Size, Tiles
from training.data.faults import BadData, DataRefused, Fault, name_reason
from training.data.pictures import PictureFailed
from training.evaluation.accuracy import ClassAccuracy, KindAccuracy, best_threshold, measure_accuracy
from training.evaluation.matching import Record, evaluated_pairs, is_crowd, keep_evaluated

MIN_SCORE = 0.01  # of the network
MAX_INSTANCES = 100


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The precision of a model on a set; threshold: the score with the best F1 of masks at IoU 0.5."""

    images: int
    masks: KindAccuracy
    boxes: KindAccuracy
    threshold: float
    f1: float

    def to_json(self) -> dict[str, Any]:
        means = {
            "mask_ap": self.masks.ap,
            "mask_ap50": self.masks.ap50,
            "mask_ap75": self.masks.ap75,
            "box_ap": self.boxes.ap,
            "box_ap50": self.boxes.ap50,
        }
        return asdict(self) | means


def evaluate_detections(
    content: Record, detections: Sequence[Record], categories: frozenset[int] | None = None
) -> Evaluation:
    """The evaluation of detections on a COCO file's images; categories: ids for the means, None for all."""
    masks, boxes = (
        measure_accuracy(content, detections, kind).keep_categories(categories) for kind in ("segm", "bbox")
    )
    threshold, f1 = best_threshold(content, detections)
    return Evaluation(len(content["images"]), masks, boxes, threshold, f1)


def detect(
    segmenter: Segmenter, content: Record, images: Path, *, tiles: Tiles | None = None
) -> Iterator[list[dict[str, Any]]]:
    """The service's detections, image by image, as in COCO's results file; `tiles` as in `Options`.

    Raises DataRefused if the model and the data have no category in common, PictureFailed if the service
    cannot read a picture.
    """
    options = Options(_least_score(segmenter.card), MAX_INSTANCES, tiles=tiles)
    renamed = match_categories(segmenter.card, content["categories"])
    for image in content["images"]:
        found = _answer(segmenter, images / image["file_name"], options)
        yield [
            _describe(instance, image["id"], renamed[instance.label], found.image)
            for instance in found.instances
            if instance.label in renamed
        ]


def _least_score(card: Card) -> float:
    """The network's score MIN_SCORE as the card reports it, so that a calibration does not change the AP."""
    calibration = card.calibration
    return MIN_SCORE if calibration is None else float(calibration.report(np.array([MIN_SCORE]))[0])


def _answer(segmenter: Segmenter, path: Path, options: Options) -> Segmentation:
    try:
        return segmenter.segment(path.read_bytes(), options)
    except (OSError, InvalidImage, ImageTooLarge) as error:
        raise PictureFailed(f"{path}: {error}") from error


@dataclass(frozen=True, slots=True)
class Answers:
    """content: of the pictures that the service can read. faults: of the others.

    seconds: for a picture, from its file to its detections.
    """

    content: Record
    detections: Sequence[Record]
    faults: tuple[Fault, ...]
    seconds: float


def collect_answers(
    segmenter: Segmenter, content: Record, images: Path, bad_data: BadData, *, tiles: Tiles | None = None
) -> Answers:
    """The detections in all pictures; raises as `detect`, but may skip pictures that cannot be read."""
    readable, detections, faults = [], [], []
    seconds = 0.0
    for image in track(content["images"], "evaluating"):
        begun = time.perf_counter()
        try:
            (found,) = detect(segmenter, {**content, "images": [image]}, images, tiles=tiles)
        except PictureFailed as error:
            if bad_data == "refuse":
                raise
            faults.append(Fault("the service cannot read it", f"image {image['id']} {error}"))
        else:
            seconds += time.perf_counter() - begun
            readable.append(image)
            detections += found
    ids = {image["id"] for image in readable}
    objects = [item for item in content["annotations"] if item["image_id"] in ids]
    described = {**content, "images": readable, "annotations": objects}
    return Answers(described, detections, tuple(faults), seconds / max(1, len(readable)))


def check_objects(content: Record, categories: frozenset[int] | None, faults: Sequence[Fault]) -> None:
    """Raises DataRefused, which lists the faults, if there is no object to evaluate detections on."""
    pairs = evaluated_pairs(content, "bbox")
    objects = (item for item in keep_evaluated(content["annotations"], pairs) if not is_crowd(item))
    if not any(categories is None or item["category_id"] in categories for item in objects):
        raise DataRefused(name_reason("the data have no object to evaluate detections on", faults))


def match_categories(card: Card, categories: Iterable[Record]) -> dict[str, int]:
    """The data set's category ids by the model's labels, for the names that both have.

    Raises DataRefused if they have no name in common.
    """
    ids = {category["name"]: category["id"] for category in categories}
    shared = {label.name: ids[label.name] for label in card.labels if label.name in ids}
    if not shared:
        raise DataRefused(
            f"{card.name} and the data share no category: "
            f"the model has {[label.name for label in card.labels]}, the data has {sorted(ids)}"
        )
    return shared


def _describe(instance: Instance, image_id: int, category_id: int, size: Size) -> dict[str, Any]:
    """A detection in COCO's format; a model without masks gives empty ones, which count as wrong."""
    mask = instance.segmentation or empty_mask(size)
    assert isinstance(mask, Rle)
    return {
        "image_id": image_id,
        "category_id": category_id,
        "score": instance.score,
        "bbox": list(instance.bbox),
        "segmentation": mask.to_coco(),
    }


COLUMNS = ("category", "masks", "mask AP", "AP50", "AP75", "boxes", "box AP", "AP50")


def draw_table(evaluation: Evaluation) -> Table:
    """A row for each category, for the means, and for each of COCO's object sizes."""
    table = Table(*COLUMNS)
    categories, mean, sizes = tabulate(evaluation)
    for rows in (categories, [mean], sizes):
        for row in rows:
            table.add_row(*row, end_section=row is rows[-1])
    return table


def tabulate(evaluation: Evaluation) -> tuple[list[list[str]], list[str], list[list[str]]]:
    """The cells below COLUMNS: for the categories, for the means, and for the sizes."""
    masks, boxes = evaluation.masks, evaluation.boxes
    categories = [
        _tabulate(mask.name, mask, box) for mask, box in zip(masks.classes, boxes.classes, strict=True)
    ]
    sizes = [
        [mask.name, str(mask.objects), _show(mask.ap), "", "", str(box.objects), _show(box.ap), ""]
        for mask, box in zip(masks.sizes, boxes.sizes, strict=True)
    ]
    return categories, _tabulate("mean", masks, boxes), sizes


def _tabulate(
    name: str, masks: ClassAccuracy | KindAccuracy, boxes: ClassAccuracy | KindAccuracy
) -> list[str]:
    cells = [str(masks.objects), *map(_show, (masks.ap, masks.ap50, masks.ap75))]
    return [name, *cells, str(boxes.objects), *map(_show, (boxes.ap, boxes.ap50))]


def _show(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"


def summarise(evaluation: Evaluation, data: str, command: str) -> Accuracy:
    """An evaluation's figures for a card, rounded."""
    return Accuracy(
        data=data,
        command=command,
        mask_ap=round(evaluation.masks.ap, 4),
        mask_ap50=round(evaluation.masks.ap50, 4),
        mask_ap75=round(evaluation.masks.ap75, 4),
        box_ap=round(evaluation.boxes.ap, 4),
        images=evaluation.images,
    )


def record_accuracy(folder: Path, file: ArtifactFile, accuracy: Accuracy) -> None:
    """Writes the accuracy of a model's file into the model's card."""
    card = read_card(folder)
    files = tuple(
        item.model_copy(update={"accuracy": accuracy}) if item.path == file.path else item
        for item in card.files
    )
    draft = folder / "card.json.draft"
    draft.write_text(card.model_copy(update={"files": files}).model_dump_json(indent=2) + "\n")
    draft.replace(folder / "card.json")


def parse_ids(text: str) -> frozenset[int] | None:
    """Category ids from ranges; None, which means all, from an empty text.

    >>> sorted(parse_ids("1-3,20") or ())
    [1, 2, 3, 20]
    """
    spans = [[int(end) for end in part.split("-")] for part in text.split(",") if part]
    return frozenset(number for span in spans for number in range(span[0], span[-1] + 1)) or None


def empty_mask(size: Size) -> Rle:
    """
    >>> empty_mask(Size(2, 3))
    Rle(size=Size(height=2, width=3), counts='6')
    """
    encoded = coco_mask.encode(np.zeros((size.height, size.width), np.uint8, order="F"))
    return Rle(size, encoded["counts"].decode())
