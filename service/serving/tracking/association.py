"""Which track is which detection: ByteTrack's rounds (Zhang et al. 2022, algorithm 1), and one for labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from service.serving.tracking.motion import Doubles, motions_to_boxes
from service.serving.tracking.overlap import Edges, box_ious, mask_iou, shift_edges
from service.serving.tracking.track import Sighting, Track, stack_boxes, stack_motions
from service.types import Size

Flags: TypeAlias = npt.NDArray[np.bool_]
Indices: TypeAlias = npt.NDArray[np.intp]

# Least IoU of a pair, by round; from ByteTrack's published code.
KNOWN_IOU, DOUBTFUL_IOU, NEW_IOU = 0.2, 0.5, 0.3
# From here on two detections are one thing, whatever they are called; ByteTrack suppresses others beforehand.
SAME_IOU = 0.7


@dataclass(frozen=True, slots=True)
class Association:
    """Indices of tracks and sightings.

    tracks, sightings: those that belong together, in pairs.
    fresh: sightings of things that nobody follows yet.
    """

    tracks: tuple[int, ...]
    sightings: tuple[int, ...]
    fresh: tuple[int, ...]


class Solver(Protocol):
    """Rows and columns of the largest sum, as `scipy.optimize.linear_sum_assignment` gives them."""

    def __call__(self, gains: Doubles, *, maximize: bool) -> tuple[Indices, Indices]: ...


def load_solver() -> Solver:
    """SciPy's solver; the first time it takes a second and 40 MB, which only tracking shall cost."""
    from scipy.optimize import linear_sum_assignment

    return linear_sum_assignment  # type: ignore[no-any-return]  # SciPy has no annotations


def associate(
    tracks: Sequence[Track], sightings: Sequence[Sighting], image: Size, *, confident: float
) -> Association:
    """Who is who, the tracks being where they should be by now; sightings come best first.

    Scores below `confident` are doubtful: they continue tracks that were seen in the frame before, no more.
    """
    sure = np.array([sighting.score >= confident for sighting in sightings], bool)
    matches = _match(tracks, sightings, image=image, sure=sure) if tracks and sightings else {}
    fresh = _find_fresh(sightings, sure, set(matches.values()))
    return Association(tuple(matches), tuple(matches.values()), tuple(fresh))


def _match(
    tracks: Sequence[Track], sightings: Sequence[Sighting], *, image: Size, sure: Flags
) -> dict[int, int]:
    """Index of a track -> index of its sighting; each round takes the largest sum of IoUs that is left."""
    solve = load_solver()
    ious = _track_ious(tracks, sightings, image)
    labels = np.array([track.sighting.label for track in tracks])[:, None]
    same = labels == np.array([sighting.label for sighting in sightings])
    states = np.array([track.state for track in tracks])[:, None]
    matches: dict[int, int] = {}
    for allowed, least in (
        (same & sure & (states != "new"), KNOWN_IOU),
        (same & ~sure & (states == "confirmed"), DOUBTFUL_IOU),
        (~same & sure & (states != "new"), SAME_IOU),
        (same & sure & (states == "new"), NEW_IOU),
    ):
        gains = np.where(allowed & (ious >= least), ious, 0)
        for row, column in zip(*solve(gains, maximize=True), strict=True):
            if gains[row, column]:
                matches[int(row)] = int(column)
                ious[row, :] = ious[:, column] = 0
    return matches


def _find_fresh(sightings: Sequence[Sighting], sure: Flags, taken: set[int]) -> list[int]:
    """Those in nobody's place: a network may see one thing twice, or once as a cat and once as a dog."""
    if len(taken) == len(sightings):
        return []
    ious = _measure(sightings, [sighting.edges for sighting in sightings], stack_boxes(sightings))
    fresh: list[int] = []
    for column in np.flatnonzero(sure).tolist():
        if column not in taken and not (ious[[*taken, *fresh], column] >= SAME_IOU).any():
            fresh.append(column)
    return fresh


def _track_ious(tracks: Sequence[Track], sightings: Sequence[Sighting], image: Size) -> Doubles:
    """IoU of every track with every sighting: float64 [N, M]; a track's mask moves along with its box."""
    edges = [_move_mask(track, image) for track in tracks]
    return _measure(sightings, edges, motions_to_boxes(stack_motions(tracks)))


def _measure(sightings: Sequence[Sighting], edges: Sequence[Edges | None], boxes_xyxy: Doubles) -> Doubles:
    """IoU of N things with every sighting, of their masks where both have one: float64 [N, M]."""
    ious = box_ious(boxes_xyxy, stack_boxes(sightings))
    for row, column in np.argwhere(ious):
        first, second = edges[row], sightings[column].edges
        if first is not None and second is not None:
            ious[row, column] = mask_iou(first, second)
    return ious


def _move_mask(track: Track, image: Size) -> Edges | None:
    """The mask of the last sighting where the track is by now."""
    seen = track.sighting
    if seen.edges is None:
        return None
    right, down = track.motion[0, :2] - (seen.box_xyxy[:2] + seen.box_xyxy[2:]) / 2
    return shift_edges(seen.edges, image, right=right, down=down)
