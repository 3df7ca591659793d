"""Made-up streams: things at known places, told as a segmenter would tell them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from service.serving.tracking import TrackPolicy, Tracks, follow_instances
from service.types import BackendInfo, Instance, Rle, Segmentation, Size

DEFAULT = TrackPolicy()
IMAGE = Size(480, 640)
BACKEND = BackendInfo("onnx", "1", "fp32", 1, (), ())


@dataclass(frozen=True)
class Thing:
    x: float
    y: float = 100
    width: float = 40
    height: float = 20
    label: str = "car"
    score: float = 0.9
    mask: Rle | None = None


Frame = Sequence[Thing]
Ids = list[tuple[int | None, ...]]


def segment(things: Frame, image: Size = IMAGE) -> Segmentation:
    instances = tuple(
        Instance(thing.label, 1, thing.score, (thing.x, thing.y, thing.width, thing.height), None, thing.mask)
        for thing in things
    )
    return Segmentation(image, instances, "blitzmask", "1", BACKEND)


def identify(
    frames: Iterable[Frame], policy: TrackPolicy = DEFAULT, *, times: Iterable[float] | None = None
) -> Ids:
    """The identities in each frame; the frames are 1/30 s apart unless `times` says otherwise."""
    frames = list(frames)
    tracks, seen = Tracks(policy), []
    for frame, time in zip(frames, times or np.arange(len(frames)) / 30, strict=True):
        tracks, answer = follow_instances(tracks, segment(frame), time=float(time))
        seen.append(tuple(instance.track_id for instance in answer.instances))
    return seen


def drive(frames: int, *, start: float = 0, speed: float = 5, y: float = 100) -> list[Thing]:
    return [Thing(start + speed * number, y) for number in range(frames)]
