"""The accuracy command: a COCO-format set sent to a server at full speed, and the AP of its answers."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from pydantic import Field

from loadtest.commands.arguments import DAY_S, Clients, Found, ServerArguments
from loadtest.generators.loops import open_clients
from loadtest.generators.oip import Reply, read_document, read_message
from loadtest.generators.photos import load_photo
from loadtest.generators.recorder import Recorder, Window
from loadtest.measurement.harness import Harness, Stage, open_harness
from loadtest.measurement.row import Load
from loadtest.reports.content import Finding, Outcome
from loadtest.types import OK, CannotRun, Client, Form
from service.rpc.generated import segmentation_pb2 as messages
from training.evaluation.accuracy import measure_accuracy

Detection: TypeAlias = dict[str, Any]
Record: TypeAlias = Mapping[str, Any]
Bodies: TypeAlias = dict[int, bytes]  # good answers by image id

_PROBED = 16  # images of the set that are sent before the run, and that the baseline takes


class Accuracy(ServerArguments):
    """A labelled set: AP together with speed."""

    data: Path = Field(description="a COCO file")
    images: Path | None = Field(
        default=None, description="folder of its images; unset: `images` beside the file"
    )
    categories: str | None = Field(
        default=None,
        pattern=r"^\d+(-\d+)?(,\d+(-\d+)?)*$",
        description="ids of the means, as 1-16,20; unset: all",
    )
    concurrency: Clients = Field(default=4, description="clients")
    duration: float = Field(default=DAY_S, ge=0.1, le=7 * DAY_S, description="seconds at most")
    warmup: float = Field(default=0.0, ge=0, le=DAY_S, description="seconds before the run")
    score_threshold: float | None = Field(default=0.01, ge=0, le=1, description="lowest score")
    max_instances: int | None = Field(default=100, ge=1, le=100_000, description="most instances of an image")

    async def run(self, stage: Stage) -> Found:
        wanted = read_ids(self.categories) if self.categories else None
        labelled = read_set(self.data, self.images or self.data.parent / "images", categories=wanted)
        first = labelled.content["images"][:_PROBED]
        photos = tuple(load_photo(labelled.locate(image)) for image in first)
        async with open_harness(self.setup(photos), stage) as harness:
            outcome = await run_accuracy(harness, labelled, clients=self.concurrency, seconds=self.duration)
            return Found(outcome, (harness,))


@dataclass(frozen=True, slots=True)
class LabelledSet:
    """A COCO file's content, the folder of its images, and the categories of the means (None: all)."""

    content: Record
    folder: Path
    categories: frozenset[int] | None = None

    def locate(self, image: Record) -> Path:
        return self.folder / str(image["file_name"])


def read_ids(text: str) -> frozenset[int]:
    """Category ids, and ranges of them.

    >>> sorted(read_ids("1-3,20"))
    [1, 2, 3, 20]
    """
    ranges = [[int(end) for end in part.split("-")] for part in text.split(",")]
    return frozenset(number for first, *rest in ranges for number in range(first, (rest or [first])[-1] + 1))


def read_set(file: Path, folder: Path, *, categories: frozenset[int] | None = None) -> LabelledSet:
    """The set of a COCO file; raises CannotRun when the file is none, or an image is not in the folder."""
    try:
        content = json.loads(file.read_bytes())
        labelled = LabelledSet(content, folder, categories)
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


async def run_accuracy(harness: Harness, labelled: LabelledSet, *, clients: int, seconds: float) -> Outcome:
    """One row for the whole set, and AP of the answers' masks and boxes."""
    bodies: Bodies = {}
    async with open_clients(harness.setup.target, clients) as opened:
        loop = SetLoop(opened, labelled, bodies)
        row = await harness.measure(Load(f"{clients} clients", clients=clients), loop, seconds=seconds)
    images = labelled.content["images"]
    if len(bodies) < len(images):
        harness.notes.append(
            f"only {len(bodies)} of {len(images)} images were answered; AP counts the others as empty"
        )
    detections = list(match_detections(bodies, labelled.content, harness.setup.target.form))
    return Outcome((row,), await asyncio.to_thread(judge, labelled, detections))


class SetLoop:
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
    """The answers as COCO results; names become the set's category ids, and unknown names are left out."""
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


def read_detections(form: Form, body: bytes) -> Iterator[Detection]:
    """The label, score, bbox [x, y, width, height] and segmentation of every instance in a good answer."""
    return _READERS[form](body)


def _read_json(body: bytes) -> Iterator[Detection]:
    for instance in json.loads(body)["instances"]:
        yield {name: instance[name] for name in ("label", "score", "bbox", "segmentation")}


def _read_message(body: bytes) -> Iterator[Detection]:
    for instance in messages.SegmentResponse.FromString(body).instances:
        rle = instance.rle
        yield {
            "label": instance.label,
            "score": instance.score,
            "bbox": list(instance.bbox),
            "segmentation": {"size": list(rle.size), "counts": rle.counts},
        }


def _read_tensors(reply: Reply) -> Iterator[Detection]:
    tensors = reply.tensors
    boxes = np.array(tensors["boxes"], np.float64).reshape(-1, 4).tolist()
    columns = zip(tensors["labels"], tensors["scores"], boxes, tensors["rles"], strict=True)
    for label, score, bbox, counts in columns:
        rle = {"size": list(tensors["image_size"]), "counts": counts}
        yield {"label": label, "score": score, "bbox": bbox, "segmentation": rle}


_READERS: Mapping[Form, Callable[[bytes], Iterator[Detection]]] = MappingProxyType(
    {
        ("native", "rest"): _read_json,
        ("native", "grpc"): _read_message,
        ("oip", "rest"): lambda body: _read_tensors(read_document(body)),
        ("oip", "grpc"): lambda body: _read_tensors(read_message(body)),
    }
)
