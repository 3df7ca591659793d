"""Speed and correctness in one run: a COCO-format set through the wire, judged as training judges it."""

import asyncio
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from loadtest.clients import OK, Client
from loadtest.errors import CannotRun
from loadtest.outcome import Finding, Outcome
from loadtest.photos import load_photo
from loadtest.recorder import Recorder
from loadtest.results import Detection, read_detections
from loadtest.row import Load
from loadtest.session import Session
from loadtest.targets import Form
from loadtest.window import Window
from training.evaluation.accuracy import measure_accuracy

Record: TypeAlias = Mapping[str, Any]
Bodies: TypeAlias = dict[int, bytes]  # good answers by image id


@dataclass(frozen=True, slots=True)
class LabelledSet:
    """A COCO file's content, the folder its images are in, and what the means are over (None: all)."""

    content: Record
    folder: Path
    categories: frozenset[int] | None = None

    def locate(self, image: Record) -> Path:
        return self.folder / str(image["file_name"])


def read_set(file: Path, folder: Path) -> LabelledSet:
    """The set of a COCO file; raises CannotRun when it is none, or an image is not in the folder."""
    try:
        content = json.loads(file.read_bytes())
        labelled = LabelledSet(content, folder)
        paths = [labelled.locate(image) for image in content["images"]]
        complete = bool(paths and content["categories"]) and "annotations" in content
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CannotRun(f"{file} is not a COCO file: {error!r}") from error
    if not complete:
        raise CannotRun(f"{file} is not a COCO file with images, annotations and categories")
    absent = next((path for path in paths if not path.is_file()), None)
    if absent:
        raise CannotRun(f"{absent} does not exist; give --images the folder of the set's images")
    return labelled


async def run_accuracy(session: Session, labelled: LabelledSet, *, clients: int, seconds: float) -> Outcome:
    """One row for the whole set, and AP of the answers' masks and boxes."""
    bodies: Bodies = {}
    async with session.clients(clients) as opened:
        survey = Survey(opened, labelled, bodies)
        row = await session.measure(Load(f"{clients} clients", clients=clients), survey, seconds=seconds)
    images = labelled.content["images"]
    if len(bodies) < len(images):
        session.notes.append(
            f"only {len(bodies)} of {len(images)} images were answered, the others are missed"
        )
    detections = list(match_detections(bodies, labelled.content, session.setup.target.form))
    return Outcome((row,), await asyncio.to_thread(judge, labelled, detections))


class Survey:
    """Drives clients through a set; every image is sent once."""

    def __init__(self, clients: Sequence[Client], labelled: LabelledSet, bodies: Bodies) -> None:
        self._clients = clients
        self._labelled = labelled
        self._bodies = bodies

    async def __call__(self, window: Window, recorder: Recorder) -> None:
        images = iter(self._labelled.content["images"])
        await asyncio.gather(*(self._send(client, images, window, recorder) for client in self._clients))

    async def _send(
        self, client: Client, images: Iterator[Record], window: Window, recorder: Recorder
    ) -> None:
        for image in images:
            if not window.take():
                return
            photo = load_photo(self._labelled.locate(image))
            started = time.perf_counter()
            answer = await client.send(photo)
            recorder.add(answer, started=started, finished=time.perf_counter())
            if answer.kind == OK:
                self._bodies[image["id"]] = answer.body


def match_detections(bodies: Bodies, content: Record, form: Form) -> Iterator[Detection]:
    """The answers as COCO results; labels become the set's category ids by name, others are left out."""
    ids = {category["name"]: category["id"] for category in content["categories"]}
    for image_id, body in bodies.items():
        for detection in read_detections(form, body):
            if detection["label"] in ids:
                yield {**detection, "image_id": image_id, "category_id": ids[detection["label"]]}


def judge(labelled: LabelledSet, detections: Sequence[Detection]) -> tuple[Finding, ...]:
    """AP and AP50 of masks and boxes, in [0, 1]; means over the categories that have objects."""
    masks, boxes = (
        measure_accuracy(labelled.content, detections, kind).keep_categories(labelled.categories)
        for kind in ("segm", "bbox")
    )
    return (
        Finding("mask AP", masks.ap, ""),
        Finding("mask AP50", masks.ap50, ""),
        Finding("box AP", boxes.ap, ""),
        Finding("box AP50", boxes.ap50, ""),
        Finding("detections", len(detections), ""),
    )
