"""Matching of tracks with detections in the rounds of ByteTrack (Zhang et al. 2022, algorithm 1)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from service.serving.tracking.overlap import Doubles, Edges, box_ious, mask_iou, shift_edges
from service.serving.tracking.track import Sighting, Track, motions_to_boxes, stack_boxes, stack_motions
from service.types import Size

Flags: TypeAlias = npt.NDArray[np.bool_]
Indices: TypeAlias = npt.NDArray[np.intp]

# Least IoU of a pair, by round; from ByteTrack's published code.
KNOWN_IOU, DOUBTFUL_IOU, NEW_IOU = 0.2, 0.5, 0.3
# From this IoU on two detections are one object, whatever their labels; ByteTrack expects such duplicates to
# be suppressed before it.
SAME_IOU = 0.7


@dataclass(frozen=True, slots=True)
class Association:
    """Indices of tracks and sightings.

    tracks, sightings: the matches; the two have the same length.
    fresh: sightings of objects without a track.
    """

    tracks: tuple[int, ...]
    sightings: tuple[int, ...]
    fresh: tuple[int, ...]


def associate(
    tracks: Sequence[Track], sightings: Sequence[Sighting], image: Size, *, confident: float
) -> Association:
    """The matches of tracks, moved to the time of the frame, with sightings, sorted best first.

    Sightings that score below `confident` only continue tracks that were seen in the frame before.
    """
    sure = np.array([sighting.score >= confident for sighting in sightings], bool)
    matches = _match(tracks, sightings, image=image, sure=sure) if tracks and sightings else {}
    fresh = _find_fresh(sightings, sure, set(matches.values()))
    return Association(tuple(matches), tuple(matches.values()), tuple(fresh))


def _match(
    tracks: Sequence[Track], sightings: Sequence[Sighting], *, image: Size, sure: Flags
) -> dict[int, int]:
    """Index of a track -> index of its sighting; each round takes the largest sum of IoUs that is left."""
    ious = _track_ious(tracks, sightings, image)
    labels = np.array([track.kind[0] for track in tracks])[:, None]
    same = labels == np.array([sighting.kind[0] for sighting in sightings])
    states = np.array([track.state for track in tracks])[:, None]
    matches: dict[int, int] = {}
    for allowed, least in (
        (same & sure & (states != "new"), KNOWN_IOU),
        (same & ~sure & (states == "confirmed"), DOUBTFUL_IOU),
        (~same & sure & (states != "new"), SAME_IOU),
        (same & sure & (states == "new"), NEW_IOU),
    ):
        gains = np.where(allowed & (ious >= least), ious, 0)
        for row, column in assign_pairs(gains):
            matches[row] = column
            ious[row, :] = ious[:, column] = 0
    return matches


def _find_fresh(sightings: Sequence[Sighting], sure: Flags, taken: set[int]) -> list[int]:
    """Sightings that overlap no match: a network may report one object twice, as a cat and as a dog."""
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
    """The mask of the last sighting, moved along with the track's box."""
    seen = track.sighting
    if seen.edges is None:
        return None
    right, down = track.motion[0, :2] - (seen.box_xyxy[:2] + seen.box_xyxy[2:]) / 2
    return shift_edges(seen.edges, image, right=right, down=down)


def assign_pairs(gains: Doubles) -> list[tuple[int, int]]:
    """Pairs (row, column) of the largest sum of gains: float64 [N, M], none negative; 0 is no pair.

    Each row and each column is in at most one pair. `scipy.optimize.linear_sum_assignment` gives the same
    pairs, but SciPy takes 143 MB of disk, 48 MB of memory and 0.3 s to import.

    >>> assign_pairs(np.array([[0.9, 0.8], [0.7, 0.0]]))
    [(0, 1), (1, 0)]
    """
    possible = gains > 0
    alone = possible & (possible.sum(axis=1, keepdims=True) == 1) & (possible.sum(axis=0) == 1)
    contested = np.where(alone, 0, gains)
    rows, columns = np.flatnonzero(contested.any(axis=1)), np.flatnonzero(contested.any(axis=0))
    costs = -contested[np.ix_(rows, columns)]
    wide = costs.shape[0] <= costs.shape[1]
    chosen = np.zeros(costs.shape, bool)
    partners = _assign_rows(costs if wide else costs.T)
    (chosen if wide else chosen.T)[np.arange(len(partners)), partners] = True
    pairs = alone.copy()
    pairs[np.ix_(rows, columns)] |= chosen & (costs < 0)
    return [(int(row), int(column)) for row, column in np.argwhere(pairs)]


def _assign_rows(costs: Doubles) -> Indices:
    """The column of each row, with the smallest sum of costs: int [N]; costs are float64 [N, M], N <= M.

    Each row in turn takes the shortest augmenting path in reduced costs (Crouse 2016, the algorithm of
    SciPy).
    """
    count, width = costs.shape
    row_prices, column_prices = np.zeros(count), np.zeros(width)
    columns, owners = np.full(count, -1), np.full(width, -1)  # of each row, of each column
    for row in range(count):
        lengths, previous = np.full(width, np.inf), np.full(width, -1)
        open_columns, reached = np.ones(width, bool), []
        here, length = row, 0.0
        while True:
            reached.append(here)
            through = length + costs[here] - row_prices[here] - column_prices
            shorter = open_columns & (through < lengths)
            lengths[shorter], previous[shorter] = through[shorter], here
            column = int(np.argmin(np.where(open_columns, lengths, np.inf)))
            length, open_columns[column] = lengths[column], False
            if owners[column] < 0:
                break
            here = int(owners[column])
        others = reached[1:]
        row_prices[row] += length
        row_prices[others] += length - lengths[columns[others]]
        column_prices[~open_columns] -= length - lengths[~open_columns]
        here = -1
        while here != row:  # along the path each row takes the column it was reached from
            here = int(previous[column])
            owners[column] = here
            columns[here], column = column, int(columns[here])
    return columns
