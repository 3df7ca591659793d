"""The picture with what was found drawn on it, for people."""

from dataclasses import dataclass

import cv2
import numpy as np

from service.masks.forms import form_to_runs
from service.masks.runs import Runs
from service.types import Instance, Pixels, Segmentation, Size

Colour = tuple[int, int, int]

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
INK: Colour = (20, 22, 28)
FONT = cv2.FONT_HERSHEY_SIMPLEX
MASK_OPACITY = 0.45


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
    coloured = [(each, _choose_colour(each, at)) for at, each in enumerate(segmentation.instances)][::-1]
    for instance, colour in coloured:
        if instance.segmentation is not None:
            _draw_mask(canvas, form_to_runs(instance.segmentation, size), colour, pen)
    for instance, colour in coloured:
        _draw_box(canvas, instance, colour, pen)
    for instance, colour in coloured:
        _draw_label(canvas, instance, colour, pen)
    return canvas


def _choose_colour(instance: Instance, index: int) -> Colour:
    """That of its identity, which stays through the frames of a stream, or of its place in the answer."""
    number = index if instance.track_id is None else instance.track_id
    return PALETTE[number % len(PALETTE)]


def choose_pen(size: Size) -> Pen:
    """Strokes that look alike on a thumbnail and on a poster."""
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
    """Upper left (x, y) of the smallest window around a mask, and the mask in it: uint8 [h, w], 0 or 1."""
    height = runs.image.height
    first, last = int(runs.bounds[0, 0]) // height, int(runs.bounds[-1, 1] - 1) // height
    columns = np.zeros((last - first + 1, height), np.uint8)
    flat = columns.reshape(-1)
    for start, end in (runs.bounds - first * height).tolist():
        flat[start:end] = 1
    y, x, rows, width = cv2.boundingRect(columns)
    return (first + x, y), cv2.transpose(columns[x : x + width, y : y + rows]).astype(np.uint8, copy=False)


def _tint(colour: Colour) -> Pixels:
    """What becomes of each value of each channel: uint8 [1, 256, 3]."""
    values = np.arange(256)[None, :, None] * (1 - MASK_OPACITY) + np.array(colour) * MASK_OPACITY
    return np.rint(values).astype(np.uint8)


def _draw_box(canvas: Pixels, instance: Instance, colour: Colour, pen: Pen) -> None:
    x, y, width, height = instance.bbox
    corner = (round(x), round(y))
    opposite = (max(round(x + width) - 1, corner[0]), max(round(y + height) - 1, corner[1]))
    cv2.rectangle(canvas, corner, opposite, colour, pen.line)


def _draw_label(canvas: Pixels, instance: Instance, colour: Colour, pen: Pen) -> None:
    text = _name(instance)
    (width, height), baseline = cv2.getTextSize(text, FONT, pen.font, pen.stroke)
    plate_width, plate_height = width + 2 * pen.pad, height + baseline + 2 * pen.pad
    left = min(round(instance.bbox[0]), canvas.shape[1] - plate_width)
    above = round(instance.bbox[1]) - plate_height
    left, top = max(left, 0), max(above, 0)
    cv2.rectangle(canvas, (left, top), (left + plate_width, top + plate_height), colour, cv2.FILLED)
    origin = (left + pen.pad, top + pen.pad + height)
    cv2.putText(canvas, text, origin, FONT, pen.font, INK, pen.stroke, cv2.LINE_AA)


def _name(instance: Instance) -> str:
    identity = "" if instance.track_id is None else f"#{instance.track_id} "
    return f"{identity}{instance.label} {instance.score:.2f}"
