"""One object over time.

new --seen in the next frame too--> confirmed <--seen again / missed--> lost --too long--> forgotten
 `--missed--> forgotten
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from service.errors import InvalidOption
from service.frames import Overlap
from service.serving.tracking.motion import Doubles, Motions, correct_motions, predict_motions, start_motions
from service.serving.tracking.overlap import Edges, mask_to_edges
from service.types import Instance, Size

TrackState: TypeAlias = Literal["new", "confirmed", "lost"]


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """One detection: the frame's instance number `index`.

    box_xyxy: float64 [4], image frame.
    edges: its mask, where masks are compared.
    """

    index: int
    label: str
    score: float
    box_xyxy: Doubles
    edges: Edges | None


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """What is believed of one object.

    id: given when it is confirmed, kept for good.
    motion: float64 [5, 4], one of `Motions`.
    sighting: the last one, `unseen` seconds ago.
    """

    id: int | None
    state: TrackState
    motion: Doubles
    sighting: Sighting
    unseen: float = 0.0


def sight_instance(instance: Instance, image: Size, *, index: int, overlap: Overlap) -> Sighting:
    """A detection to match; raises InvalidOption when masks are to be compared and it has none."""
    x, y, width, height = instance.bbox
    box_xyxy = np.array([x, y, x + width, y + height])
    if overlap == "box":
        return Sighting(index, instance.label, instance.score, box_xyxy, None)
    if instance.segmentation is None:
        raise InvalidOption('to track by masks, ask for masks "rle"; without them, track by boxes')
    edges = mask_to_edges(instance.segmentation, image)
    return Sighting(index, instance.label, instance.score, box_xyxy, edges)


def start_tracks(sightings: Sequence[Sighting]) -> list[Track]:
    """Objects seen for the first time."""
    motions = start_motions(stack_boxes(sightings))
    return [Track(None, "new", motion, sighting) for motion, sighting in zip(motions, sightings, strict=True)]


def move_tracks(tracks: Sequence[Track], seconds: float) -> list[Track]:
    """The tracks where they should be `seconds` later."""
    seen = np.array([track.state != "lost" for track in tracks], bool)
    motions = predict_motions(stack_motions(tracks), seconds, seen=seen)
    return [
        replace(track, motion=motion, unseen=track.unseen + seconds)
        for track, motion in zip(tracks, motions, strict=True)
    ]


def continue_tracks(
    tracks: Sequence[Track], sightings: Sequence[Sighting], identities: Iterator[int]
) -> list[Track]:
    """The tracks, each seen again by now; those that were new take an identity."""
    motions = correct_motions(stack_motions(tracks), stack_boxes(sightings))
    return [
        Track(next(identities) if track.id is None else track.id, "confirmed", motion, sighting)
        for track, motion, sighting in zip(tracks, motions, sightings, strict=True)
    ]


def lose_tracks(tracks: Sequence[Track]) -> list[Track]:
    """The tracks, out of sight."""
    return [replace(track, state="lost") for track in tracks]


def stack_motions(tracks: Sequence[Track]) -> Motions:
    return np.array([track.motion for track in tracks], np.float64).reshape(-1, 5, 4)


def stack_boxes(sightings: Sequence[Sighting]) -> Doubles:
    return np.array([sighting.box_xyxy for sighting in sightings], np.float64).reshape(-1, 4)
