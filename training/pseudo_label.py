"""A COCO data set that a model labels, as a teacher for another one.

python -m training pseudo-label --model rfdetr-seg-large --images FOLDER
"""

import json
import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import track

from service.errors import ImageTooLarge, InvalidImage
from service.inference.backends import BackendChoice
from service.inference.card import Card
from service.inference.model import Model
from service.inference.segmenter import open_model
from service.settings import models_folder
from service.types import Instance, Options, Rle, Segmentation
from training.data.faults import DataRefused, Fault, describe_faults
from training.data.pictures import NO_LIMITS
from training.data.yolo import SUFFIXES

ANNOTATIONS = "annotations.json"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Scores in [0, 1]: from `kept` on, a detection is a label; from `doubtful` on, it may be an object."""

    kept: float
    doubtful: float


def pseudo_label(
    model: Annotated[
        str, typer.Option(help="The teacher: a model folder, or its name in the models folder.")
    ],
    images: Annotated[Path, typer.Option(help="A folder of pictures.", exists=True, file_okay=False)],
    out: Annotated[
        Path | None,
        typer.Option(help=f"The annotation file; {ANNOTATIONS} in the pictures' folder if unset."),
    ] = None,
    threshold: Annotated[float, typer.Option(help="Lowest score of a label.", min=0, max=1)] = 0.5,
    doubtful: Annotated[
        float, typer.Option(help="Lowest score of a detection that may be an object.", min=0, max=1)
    ] = 0.2,
) -> None:
    """Label pictures with a model: masks, boxes and scores, and the categories that are complete in each."""
    if doubtful > threshold:
        raise typer.BadParameter(f"--doubtful {doubtful} is above --threshold {threshold}")
    file = out or images / ANNOTATIONS
    if file.exists():
        raise DataRefused(f"{file} exists already: remove it, or name another file with --out")
    paths = list_pictures(images)
    segmenter = open_model(find_model(model), BackendChoice(threads=os.cpu_count() or 1), NO_LIMITS)
    content, faults = label_pictures(
        segmenter, images, track(paths, "labelling"), Thresholds(threshold, doubtful)
    )
    segmenter.close()
    file.write_text(json.dumps(content) + "\n")
    if faults:
        typer.echo(f"Pictures that are left out:\n{describe_faults(faults)}", err=True)
    typer.echo(f"{file}: {len(content['annotations'])} objects in {len(content['images'])} pictures")


def find_model(name: str) -> Path:
    """The folder of a model: its path, or its name in BLITZ_MODELS_DIR or among the embedded models.

    Raises FileNotFoundError that lists the places it looked at.
    """
    places = [Path(name), Path(os.environ.get("BLITZ_MODELS_DIR", models_folder())) / name]
    for place in places:
        if (place / "card.json").exists():
            return place
    raise FileNotFoundError(f"none of these is a model folder: {', '.join(map(str, places))}")


def list_pictures(folder: Path) -> list[Path]:
    """The pictures in a folder and its subfolders, by name; raises DataRefused where there are none."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.casefold() in SUFFIXES)
    if not paths:
        raise DataRefused(f"{folder} has no pictures: it needs files ending in {', '.join(sorted(SUFFIXES))}")
    return paths


def label_pictures(
    model: Model, folder: Path, paths: Iterable[Path], thresholds: Thresholds
) -> tuple[dict[str, Any], tuple[Fault, ...]]:
    """The content of a COCO file, whose annotations have a `score`, and the pictures that cannot be read."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    faults = []
    options = Options(score_threshold=thresholds.doubtful)
    for path in paths:
        try:
            found = model.segment(path.read_bytes(), options)
        except (OSError, InvalidImage, ImageTooLarge) as error:
            faults.append(Fault("the service cannot read it", f"{path} {error}"))
            continue
        number = len(images) + 1
        name = path.relative_to(folder).as_posix()
        images.append(_describe_picture(found, number, name, model.card, thresholds))
        for instance in found.instances:
            if instance.score >= thresholds.kept:
                annotations.append(_describe_object(instance, len(annotations) + 1, number))
    categories = [{"id": label.category_id, "name": label.name} for label in model.card.labels]
    info = {
        "description": f"labelled by {model.card.name} {model.card.version}, not by people",
        "score_threshold": thresholds.kept,
        "doubtful_threshold": thresholds.doubtful,
    }
    content = {"info": info, "images": images, "annotations": annotations, "categories": categories}
    return content, tuple(faults)


def _describe_picture(
    found: Segmentation, number: int, name: str, card: Card, thresholds: Thresholds
) -> dict[str, Any]:
    """A picture, with the categories that are complete in it and those that are very likely absent.

    A category is complete where all its detections are labels, and absent where it has none. With a detection
    between the two thresholds it is neither. Where the list of detections is full, it may lack some, and no
    category is either.
    """
    scores: dict[int, list[float]] = defaultdict(list)
    for instance in found.instances:
        scores[instance.category_id].append(instance.score)
    is_full = len(found.instances) >= card.decoder.max_instances
    complete = [key for key, values in sorted(scores.items()) if min(values) >= thresholds.kept]
    absent = [label.category_id for label in card.labels if label.category_id not in scores]
    return {
        "id": number,
        "file_name": name,
        "height": found.image.height,
        "width": found.image.width,
        "exhaustive_category_ids": [] if is_full else complete,
        "assumed_absent_category_ids": [] if is_full else absent,
    }


def _describe_object(instance: Instance, number: int, image: int) -> dict[str, Any]:
    described: dict[str, Any] = {
        "id": number,
        "image_id": image,
        "category_id": instance.category_id,
        "bbox": list(instance.bbox),
        "area": instance.area if instance.area is not None else instance.bbox[2] * instance.bbox[3],
        "iscrowd": 0,
        "score": instance.score,
    }
    if isinstance(instance.segmentation, Rle):
        return {**described, "segmentation": instance.segmentation.to_coco()}
    return {**described, "segmentation": [], "box_only": True}
