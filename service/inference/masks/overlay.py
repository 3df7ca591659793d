"""The image with masks, boxes and labels drawn on it.

Labels stand near their boxes, inside the image, and never on each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from service.inference.masks.forms import form_to_runs
from service.inference.masks.runs import Runs
from service.types import Instance, Ints, Pixels, Segmentation, Size

Colour: TypeAlias = tuple[int, int, int]  # RGB
Corner: TypeAlias = tuple[int, int]  # x, y

# Bright, far apart in hue, and readable under dark text (RGB).
PALETTE: tuple[Colour, ...] = (
    (255, 196, 37),
    (64, 196, 255),
    (255, 122, 89),
    (120, 224, 112),
    (226, 140, 255),
    (0, 214, 193),
    (255, 143, 186),
    (168, 178, 255),
    (214, 226, 70),
    (255, 170, 92),
)
UNTRACKED: Colour = (178, 186, 194)
INK: Colour = (20, 22, 28)
FONT = cv2.FONT_HERSHEY_SIMPLEX
MASK_OPACITY = 0.45
CROWD = 8  # with more objects, a label larger than its object is left out


@dataclass(frozen=True, slots=True)
class Pen:
    """Widths in pixels and the font's scale, in proportion to the picture."""

    line: int
    font: float
    stroke: int
    pad: int


def draw_overlay(pixels: Pixels, segmentation: Segmentation) -> Pixels:
    """A copy of uint8 [H, W, 3] RGB with masks, boxes and labels, the best score on top.

    Raises ValueError when the picture is not the one that was segmented, or a mask is not of it.
    """
    size = segmentation.image
    if pixels.shape != (size.height, size.width, 3):
        raise ValueError(f"the picture has shape {pixels.shape}, the segmentation is of {size}")
    canvas = pixels.copy()
    pen = choose_pen(size)
    instances = segmentation.instances
    colours = _choose_colours(instances)
    coloured = list(zip(instances, colours, strict=True))[::-1]
    for instance, colour in coloured:
        if instance.segmentation is not None:
            _draw_mask(canvas, form_to_runs(instance.segmentation, size), colour, pen)
    for instance, colour in coloured:
        _draw_box(canvas, instance, colour, pen)
    _draw_labels(canvas, instances, colours, pen)
    return canvas


def _choose_colours(instances: Sequence[Instance]) -> list[Colour]:
    """A colour per instance: by its track_id where instances have one, else by its place in the answer."""
    identities = [instance.track_id for instance in instances]
    if all(identity is None for identity in identities):
        return [PALETTE[index % len(PALETTE)] for index in range(len(instances))]
    return [UNTRACKED if number is None else PALETTE[number % len(PALETTE)] for number in identities]


def choose_pen(size: Size) -> Pen:
    """Strokes in proportion to the image, so that a thumbnail and a poster look alike."""
    unit = max(min(size.height, size.width), 200) / 720
    return Pen(
        line=max(1, round(2 * unit)),
        font=max(0.35, 0.6 * unit),
        stroke=max(1, round(1.4 * unit)),
        pad=max(2, round(4 * unit)),
    )


def _draw_mask(canvas: Pixels, runs: Runs, colour: Colour, pen: Pen) -> None:
    """Tints and outlines one mask."""
    if len(runs.bounds) == 0:
        return
    (x, y), mask = _paint(runs)
    region = canvas[y : y + mask.shape[0], x : x + mask.shape[1]]
    cv2.copyTo(cv2.LUT(region, _tint(colour)), mask, region)
    contours, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE, offset=(x, y))
    cv2.drawContours(canvas, contours, -1, colour, pen.line, cv2.LINE_AA)


def _paint(runs: Runs) -> tuple[tuple[int, int], Pixels]:
    """Corner (x, y) of the smallest window around a mask, and the mask in it: uint8 [h, w] of 0 and 1."""
    height = runs.image.height
    first, last = int(runs.bounds[0, 0]) // height, int(runs.bounds[-1, 1] - 1) // height
    columns = np.zeros((last - first + 1, height), np.uint8)
    flat = columns.reshape(-1)
    for start, end in (runs.bounds - first * height).tolist():
        flat[start:end] = 1
    y, x, rows, width = cv2.boundingRect(columns)
    return (first + x, y), cv2.transpose(columns[x : x + width, y : y + rows]).astype(np.uint8, copy=False)


def _tint(colour: Colour) -> Pixels:
    """The tinted value of each value of each channel: uint8 [1, 256, 3]."""
    values = np.arange(256)[None, :, None] * (1 - MASK_OPACITY) + np.array(colour) * MASK_OPACITY
    return np.rint(values).astype(np.uint8)


def _draw_box(canvas: Pixels, instance: Instance, colour: Colour, pen: Pen) -> None:
    left, top, right, bottom = _box_corners(instance)
    cv2.rectangle(canvas, (left, top), (max(right - 1, left), max(bottom - 1, top)), colour, pen.line)


def _box_corners(instance: Instance) -> tuple[int, int, int, int]:
    """xyxy in whole pixels."""
    x, y, width, height = instance.bbox
    return round(x), round(y), round(x + width), round(y + height)


def _draw_labels(canvas: Pixels, instances: Sequence[Instance], colours: Sequence[Colour], pen: Pen) -> None:
    """Draws the labels; where there is no place for all, the best scores get one."""
    plates = np.array([_measure_plate(_name(one), pen) for one in instances], np.int64).reshape(-1, 2)
    boxes_xyxy = np.array([_box_corners(one) for one in instances], np.int64).reshape(-1, 4)
    named = np.arange(len(instances))
    if len(instances) > CROWD:
        extents = boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]
        named = np.flatnonzero(extents.prod(axis=1) > plates.prod(axis=1))
    corners = place_labels(boxes_xyxy[named], plates[named], Size(*canvas.shape[:2]))
    for at, corner in zip(named.tolist(), corners, strict=True):
        if corner is not None:
            _draw_label(canvas, _name(instances[at]), corner, colours[at], pen)


def _measure_plate(text: str, pen: Pen) -> tuple[int, int]:
    """Width and height of a label."""
    (width, height), baseline = cv2.getTextSize(text, FONT, pen.font, pen.stroke)
    return width + 2 * pen.pad, height + baseline + 2 * pen.pad


def _draw_label(canvas: Pixels, text: str, corner: Corner, colour: Colour, pen: Pen) -> None:
    (x, y), (width, height) = corner, _measure_plate(text, pen)
    cv2.rectangle(canvas, corner, (x + width - 1, y + height - 1), colour, cv2.FILLED)
    baseline = cv2.getTextSize(text, FONT, pen.font, pen.stroke)[1]
    origin = (x + pen.pad, y + height - pen.pad - baseline)
    cv2.putText(canvas, text, origin, FONT, pen.font, INK, pen.stroke, cv2.LINE_AA)


def _name(instance: Instance) -> str:
    identity = "" if instance.track_id is None else f"#{instance.track_id} "
    return f"{identity}{instance.label} {instance.score:.2f}"


def place_labels(boxes_xyxy: Ints, plates: Ints, image: Size) -> list[Corner | None]:
    """Upper left corner (x, y) of each label, None where no place is left; earlier labels choose first.

    boxes_xyxy: int64 [N, 4], image frame, the boxes of the objects.
    plates: int64 [N, 2], the width and height of each label in pixels.

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


def _list_places(box_xyxy: Ints, plate: Ints) -> Ints:
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


def _overlap(places: Ints, plate: Ints, taken_xyxy: Ints) -> npt.NDArray[np.bool_]:
    """True for each place where a label would cover one that is already there: bool [P]."""
    before = places[:, None] < taken_xyxy[None, :, 2:]  # [P, T, 2]
    behind = taken_xyxy[None, :, :2] < places[:, None] + plate
    return np.asarray(np.any(np.all(before & behind, axis=2), axis=1), bool)
