"""Drawn objects in place of a network's output, so that a benchmark can choose their number.

`draw_instances` gives decoded instances; `paint_heads` gives the network outputs that decode to them.
"""

from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from service.errors import InvalidCard
from service.inference.card import Card
from service.inference.families import CentersDecoder
from service.types import Heads, Instances, Placement, Size

Doubles = npt.NDArray[np.float64]

CANVAS = Size(320, 320)

# Sides of the objects as fractions of the picture's sides: log-normal, medians of 9 % and 14 %, a factor of 3
# for one standard deviation, width and height correlated, no side above the picture's. Fitted to the 19,583
# annotated objects of our training data (5th to 95th percentile: 1.5 to 63 % of the width, 2.6 to 84 % of the
# height).
_MEDIAN_SIDES = (0.09, 0.14)
_SPREAD = 1.1
_CORRELATION = 0.8
_PEAK, _NOISE = 0.9, 0.2  # score of an object; highest score elsewhere


def fit_canvas(image: Size, canvas: Size = CANVAS) -> Placement:
    """The placement of an image on the canvas with its aspect ratio kept."""
    scale = min(canvas.height / image.height, canvas.width / image.width)
    return Placement(image, canvas, Size(round(image.height * scale), round(image.width * scale)))


def draw_instances(count: int, placement: Placement, *, stride: int = 4, seed: int = 0) -> Instances:
    """Objects with smooth, irregular outlines and some texture in their logits, anywhere in the image."""
    random = np.random.default_rng(seed)
    boxes = _draw_boxes(random, count, placement.placed)
    cells = Size(placement.canvas.height // stride, placement.canvas.width // stride)
    fields = [_draw_field(random, box, cells, stride) for box in boxes]
    return Instances(
        classes=np.zeros(count, np.int64),
        scores=np.linspace(1, 0.3, count, dtype=np.float32),
        boxes_xyxy_canvas=boxes.astype(np.float32),
        mask_fields=np.array(fields, np.float32).reshape(count, cells.height, cells.width),
    )


def _draw_boxes(random: np.random.Generator, count: int, placed: Size) -> Doubles:
    """float64 [count, 4] xyxy, canvas frame."""
    extent = np.array([placed.width, placed.height], np.float64)
    normal = random.normal(size=(count, 2))
    normal[:, 1] = _CORRELATION * normal[:, 0] + np.sqrt(1 - _CORRELATION**2) * normal[:, 1]
    sides = np.minimum(np.exp(_SPREAD * normal) * _MEDIAN_SIDES, 1) * extent
    corners = random.uniform(0, 1, (count, 2)) * (extent - sides)
    return np.concatenate([corners, corners + sides], axis=1)


def _draw_field(random: np.random.Generator, box: Doubles, cells: Size, stride: int) -> Doubles:
    """Logits, positive inside an outline of five harmonics that nearly fills the box: float64 [h, w]."""
    rows, columns = np.mgrid[: cells.height, : cells.width]
    across = ((columns + 0.5) * stride - (box[0] + box[2]) / 2) / max((box[2] - box[0]) / 2, 1e-3)
    down = ((rows + 0.5) * stride - (box[1] + box[3]) / 2) / max((box[3] - box[1]) / 2, 1e-3)
    angle, radius = np.arctan2(down, across), np.hypot(across, down)
    outline = np.full_like(angle, 0.85)
    for harmonic in range(1, 6):
        outline += random.normal(0, 0.12 / harmonic) * np.cos(harmonic * angle + random.uniform(0, 2 * np.pi))
    texture = cv2.GaussianBlur(random.normal(0, 1.8, (cells.height, cells.width)), (0, 0), 2)
    field: Doubles = np.clip(8 * (outline - radius), -12, 8) + texture
    return field


def read_decoder(card: Card) -> CentersDecoder:
    """The decoder of one of our own models; raises InvalidCard for others, whose heads cannot be drawn."""
    if not isinstance(card.decoder, CentersDecoder):
        raise InvalidCard(f"{card.name} is of the family {card.decoder.family}: only centers can be drawn")
    return card.decoder


def paint_heads(card: Card, drawn: Instances) -> Heads:
    """Network outputs that decode to the drawn objects: float32 [1, h, w, C] each.

    No two centres are neighbours. When there are more objects than coefficients, several share a field, each
    inside its own box.
    """
    random = np.random.default_rng(len(drawn))
    decoder = read_decoder(card)
    shapes = decoder.output_shapes(card.canvas, len(card.labels))
    heads = {name: np.zeros((1, *shape), np.float32) for name, shape in shapes.items()}
    rows, columns, classes = heads["heatmap"].shape[1:]
    heads["heatmap"][:] = random.uniform(0, _NOISE, heads["heatmap"].shape)
    centres = choose_centres(drawn.boxes_xyxy_canvas / decoder.stride, rows, columns)
    for number, (row, column) in enumerate(centres):
        x1, y1, x2, y2 = drawn.boxes_xyxy_canvas[number]
        x, y = column * decoder.stride, row * decoder.stride
        heads["heatmap"][0, row, column, number % classes] = _PEAK
        heads["size"][0, row, column] = x - x1, y - y1, x2 - x, y2 - y
        if decoder.coefficients:
            heads["coefficients"][0, row, column, number % decoder.coefficients] = 1
    for channel in range(min(decoder.coefficients, len(drawn))):
        fields = drawn.mask_fields[channel :: decoder.coefficients]
        heads["spanning_set"][0, :, :, channel] = fields.max(axis=0)
    return heads


def choose_centres(boxes_xyxy_cells: Doubles, rows: int, columns: int) -> Iterator[tuple[int, int]]:
    """Row and column of a cell for each box: of every second cell, the free one nearest to the box's middle.

    >>> list(choose_centres(np.array([[0.0, 0, 4, 4], [0, 0, 4, 5]]), 8, 8))
    [(2, 2), (4, 2)]
    """
    free = np.mgrid[0 : rows - 1 : 2, 0 : columns - 1 : 2].reshape(2, -1).T.astype(float)
    for x1, y1, x2, y2 in boxes_xyxy_cells:
        nearest = np.hypot(free[:, 0] - (y1 + y2) / 2, free[:, 1] - (x1 + x2) / 2).argmin()
        row, column = free[nearest]
        free[nearest] = np.inf
        yield int(row), int(column)
