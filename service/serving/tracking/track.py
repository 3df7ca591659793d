"""One object over time: its identity, its label, and where its box will be.

new --seen in the next frame too--> confirmed <--seen again / missed--> lost --too long--> forgotten
 `--missed--> forgotten

Boxes move by a constant-velocity Kalman filter. Its state is the box's centre and size with their speeds
(SORT, Bewley et al. 2016, sec. 3.2; width and height instead of area and aspect as in BoT-SORT, Aharon et al.
2022, sec. 3.1). Its noise is proportional to the object's size, with the constants of ByteTrack's published
code. All matrices of that filter are block-diagonal over the four coordinates, so it is four filters of two
states each.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from service.errors import InvalidOption
from service.frames import Overlap
from service.serving.tracking.overlap import Doubles, Edges, mask_to_edges
from service.types import Instance, Size

Motions: TypeAlias = Doubles
"""The estimated motions of N boxes: float64 [N, 5, 4], read-only.

The last axis is centre x, centre y, width and height, in the image frame. The axis before it is their place
in pixels, their speed in pixels per FRAME, the variance of the place, the covariance of place and speed, and
the variance of the speed.
"""

FRAME = 1 / 30  # seconds; the noise below is per frame of the 30 fps videos it was tuned on
POSITION_NOISE = 1 / 20  # standard deviations, in sizes of the object
SPEED_NOISE = 1 / 160

TrackState: TypeAlias = Literal["new", "confirmed", "lost"]
Kind: TypeAlias = tuple[str, int]
"""A class: its label and its category id."""
Votes: TypeAlias = Mapping[Kind, float]

FADING = 0.95  # of the votes with every sighting: about the last 20 of them decide


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """One detection: the instance number `index` of its frame.

    box_xyxy: float64 [4], image frame.
    edges: its mask, where masks are compared.
    """

    index: int
    kind: Kind
    score: float
    box_xyxy: Doubles
    edges: Edges | None


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One object.

    id: given when the track is confirmed; it never changes.
    motion: float64 [5, 4], one of `Motions`.
    sighting: the last one, `unseen` seconds ago.
    votes: the weight of each class so far; the heaviest is the object's.
    """

    id: int | None
    state: TrackState
    motion: Doubles
    sighting: Sighting
    votes: Votes
    unseen: float = 0.0

    @property
    def kind(self) -> Kind:
        """The class that most sightings voted for."""
        return max(self.votes, key=self.votes.__getitem__)


def sight_instance(instance: Instance, image: Size, *, index: int, overlap: Overlap) -> Sighting:
    """A detection to match; raises InvalidOption when masks are to be compared and it has none."""
    kind = instance.label, instance.category_id
    x, y, width, height = instance.bbox
    box_xyxy = np.array([x, y, x + width, y + height])
    if overlap == "box":
        return Sighting(index, kind, instance.score, box_xyxy, None)
    if instance.segmentation is None:
        raise InvalidOption('to track by masks, ask for masks "rle"; without them, track by boxes')
    edges = mask_to_edges(instance.segmentation, image)
    return Sighting(index, kind, instance.score, box_xyxy, edges)


def start_tracks(sightings: Sequence[Sighting]) -> list[Track]:
    """Tracks of objects that are seen for the first time."""
    motions = start_motions(stack_boxes(sightings))
    return [
        Track(None, "new", motion, sighting, {sighting.kind: sighting.score})
        for motion, sighting in zip(motions, sightings, strict=True)
    ]


def move_tracks(tracks: Sequence[Track], seconds: float) -> list[Track]:
    """The tracks with their boxes predicted `seconds` ahead."""
    seen = np.array([track.state != "lost" for track in tracks], bool)
    motions = predict_motions(stack_motions(tracks), seconds, seen=seen)
    return [
        replace(track, motion=motion, unseen=track.unseen + seconds)
        for track, motion in zip(tracks, motions, strict=True)
    ]


def continue_tracks(
    tracks: Sequence[Track], sightings: Sequence[Sighting], identities: Iterator[int]
) -> list[Track]:
    """The tracks after a sighting of each; those that were new take the next identity."""
    motions = correct_motions(stack_motions(tracks), stack_boxes(sightings))
    return [
        Track(
            next(identities) if track.id is None else track.id,
            "confirmed",
            motion,
            sighting,
            _add_vote(track.votes, sighting),
        )
        for track, motion, sighting in zip(tracks, motions, sightings, strict=True)
    ]


def lose_tracks(tracks: Sequence[Track]) -> list[Track]:
    """The tracks, now out of sight."""
    return [replace(track, state="lost") for track in tracks]


def stack_motions(tracks: Sequence[Track]) -> Motions:
    return np.array([track.motion for track in tracks], np.float64).reshape(-1, 5, 4)


def stack_boxes(sightings: Sequence[Sighting]) -> Doubles:
    return np.array([sighting.box_xyxy for sighting in sightings], np.float64).reshape(-1, 4)


def _add_vote(votes: Votes, sighting: Sighting) -> Votes:
    """The votes after one more, which weighs as much as its score."""
    faded = {kind: weight * FADING for kind, weight in votes.items()}
    return faded | {sighting.kind: faded.get(sighting.kind, 0.0) + sighting.score}


def start_motions(boxes_xyxy: Doubles) -> Motions:
    """Motions of boxes seen for the first time (float64 [N, 4]): at rest, the speed's variance large."""
    places = _xyxy_to_cxcywh(boxes_xyxy)
    extents = _extents(places)
    still = np.zeros_like(places)
    place_variance = (2 * POSITION_NOISE * extents) ** 2
    speed_variance = (10 * SPEED_NOISE * extents) ** 2
    return _stack_rows(places, still, place_variance, still, speed_variance)


def predict_motions(motions: Motions, seconds: float, *, seen: npt.NDArray[np.bool_]) -> Motions:
    """The motions `seconds` later; boxes out of sight (where `seen`, bool [N], is false) keep their size."""
    frames = seconds / FRAME
    places, speeds, place_variance, covariance, speed_variance = np.moveaxis(motions, 1, 0)
    extents = _extents(places)
    speeds = np.where(seen[:, None] | [True, True, False, False], speeds, 0)
    moved = places + frames * speeds
    moved[:, 2:] = np.maximum(moved[:, 2:], 1)
    return _stack_rows(
        moved,
        speeds,
        place_variance
        + frames * (2 * covariance + frames * speed_variance + (POSITION_NOISE * extents) ** 2),
        covariance + frames * speed_variance,
        speed_variance + frames * (SPEED_NOISE * extents) ** 2,
    )


def correct_motions(motions: Motions, boxes_xyxy: Doubles) -> Motions:
    """The motions corrected by the boxes that were seen (float64 [N, 4]) at the time of the prediction."""
    places, speeds, place_variance, covariance, speed_variance = np.moveaxis(motions, 1, 0)
    residual = _xyxy_to_cxcywh(boxes_xyxy) - places
    total = place_variance + (POSITION_NOISE * _extents(places)) ** 2
    place_gain, speed_gain = place_variance / total, covariance / total
    return _stack_rows(
        places + place_gain * residual,
        speeds + speed_gain * residual,
        (1 - place_gain) * place_variance,
        (1 - place_gain) * covariance,
        speed_variance - speed_gain * covariance,
    )


def motions_to_boxes(motions: Motions) -> Doubles:
    """The estimated boxes: xyxy, float64 [N, 4], image frame, not clipped."""
    centres, halves = motions[:, 0, :2], motions[:, 0, 2:] / 2
    return np.concatenate([centres - halves, centres + halves], axis=1)


def _stack_rows(*rows: Doubles) -> Motions:
    motions = np.stack(rows, axis=1)
    motions.flags.writeable = False
    return motions


def _xyxy_to_cxcywh(boxes_xyxy: Doubles) -> Doubles:
    low, high = boxes_xyxy[:, :2], boxes_xyxy[:, 2:]
    return np.concatenate([(low + high) / 2, high - low], axis=1)


def _extents(places: Doubles) -> Doubles:
    """(width, height, width, height), at least a pixel: the noise is proportional to them."""
    return np.maximum(places[:, [2, 3, 2, 3]], 1)
