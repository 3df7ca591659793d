"""Where labels go: near their boxes, inside the picture, never on each other."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from service.types import Size

Corner: TypeAlias = tuple[int, int]
Whole: TypeAlias = npt.NDArray[np.int64]


def place_labels(boxes_xyxy: Whole, plates: Whole, image: Size) -> list[Corner | None]:
    """Upper left corner (x, y) of each label, None where no place is left; earlier labels choose first.

    boxes_xyxy: int64 [N, 4], image frame, of what the labels name.
    plates: int64 [N, 2], their widths and heights in pixels.

    >>> twice = np.array([[20, 30, 60, 90]] * 2)
    >>> place_labels(twice, np.array([[50, 15]] * 2), Size(100, 100))
    [(20, 15), (20, 30)]
    """
    taken_xyxy = np.empty((0, 4), np.int64)
    corners: list[Corner | None] = []
    for box_xyxy, plate in zip(boxes_xyxy, plates, strict=True):
        room = np.maximum(np.array([image.width, image.height]) - plate, 0)
        places = np.clip(_list_places(box_xyxy, plate), 0, room)
        free = places[~_overlap(places, plate, taken_xyxy)]
        corners.append((int(free[0, 0]), int(free[0, 1])) if len(free) else None)
        taken_xyxy = np.concatenate([taken_xyxy, np.concatenate([free, free + plate], axis=1)[:1]])
    return corners


def _list_places(box_xyxy: Whole, plate: Whole) -> Whole:
    """Corners of a label around and in its box, best first: int64 [6, 2]."""
    left, top, right, bottom = box_xyxy.tolist()
    width, height = plate.tolist()
    return np.array(
        [
            (left, top - height),
            (left, top),
            (right - width, top - height),
            (left, bottom),
            (left, bottom - height),
            (right - width, bottom),
        ]
    )


def _overlap(places: Whole, plate: Whole, taken_xyxy: Whole) -> npt.NDArray[np.bool_]:
    """Whether a label at each place would cover one that is there: bool [P]."""
    before = places[:, None] < taken_xyxy[None, :, 2:]  # [P, T, 2]
    behind = taken_xyxy[None, :, :2] < places[:, None] + plate
    return np.asarray(np.any(np.all(before & behind, axis=2), axis=1), bool)
