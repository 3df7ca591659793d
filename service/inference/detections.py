"""The findings of the network in views of an image, and their way from one process to another."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from service.inference.masks.runs import Runs
from service.types import BackendInfo, Floats, Ints, Size, Timings


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """N instances that were found in views of an image.

    classes: int64 [N], the network's channels. scores: float32 [N]. boxes_xyxy: float32 [N, 4], image frame.
    views_xyxy: int64 [N, 4], the windows in which they were found, image frame.
    runs: their masks over the whole image; the pixels of the boxes for a model of boxes only.
    """

    classes: Ints
    scores: Floats
    boxes_xyxy: Floats
    views_xyxy: Ints
    runs: Runs

    def __len__(self) -> int:
        return len(self.scores)

    def keep(self, chosen: Ints) -> "Detections":
        """The chosen ones; `chosen` are int64 [M], indices in the order wanted."""
        return Detections(
            self.classes[chosen],
            self.scores[chosen],
            self.boxes_xyxy[chosen],
            self.views_xyxy[chosen],
            self.runs.keep(chosen),
        )


@dataclass(frozen=True, slots=True)
class Findings:
    """The detections of a share of an image's views, and what computed them in which times."""

    detections: Detections
    backend: BackendInfo
    timings: Timings


def pack_detections(found: Detections) -> bytes:
    """The detections as bytes for another process, which are no pickle: what is packed may be hostile."""
    packed, runs = io.BytesIO(), found.runs
    np.savez(
        packed,
        classes=found.classes,
        scores=found.scores,
        boxes=found.boxes_xyxy,
        views=found.views_xyxy,
        bounds=runs.bounds,
        splits=runs.splits,
        image=np.array([runs.image.height, runs.image.width]),
    )
    return packed.getvalue()


def unpack_detections(packed: bytes) -> Detections:
    """The detections in the bytes of `pack_detections`; raises ValueError for any others."""
    with np.load(io.BytesIO(packed), allow_pickle=False) as content:
        runs = Runs(Size(*content["image"].tolist()), content["bounds"], content["splits"])
        names = ("classes", "scores", "boxes", "views")
        classes, scores, boxes, views = (content[name] for name in names)
        return Detections(classes, scores, boxes, views, runs)


def no_detections(image: Size) -> Detections:
    """Detections of an image without an instance."""
    boxes, none = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
    runs = Runs(image, np.zeros((0, 2), np.int64), np.zeros(1, np.int64))
    return Detections(none, boxes[:, 0], boxes, np.zeros((0, 4), np.int64), runs)


def join_detections(parts: Sequence[Detections]) -> Detections:
    """All detections of some parts, at least one, of one image."""
    runs = [part.runs for part in parts]
    lengths = np.concatenate([np.diff(each.splits) for each in runs])
    return Detections(
        np.concatenate([part.classes for part in parts]),
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.boxes_xyxy for part in parts]),
        np.concatenate([part.views_xyxy for part in parts]),
        Runs(
            runs[0].image,
            np.concatenate([each.bounds for each in runs]),
            np.concatenate([[0], np.cumsum(lengths)]),
        ),
    )
