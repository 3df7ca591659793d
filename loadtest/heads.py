"""Heads as a network would give them for objects that are drawn: the way back from instances."""

from collections.abc import Iterator

import numpy as np

from loadtest.blobs import Doubles
from service.inference.card import Card
from service.types import Heads, Instances

_PEAK, _NOISE = 0.9, 0.2  # scores of the objects, and the highest one elsewhere


def paint_heads(card: Card, drawn: Instances) -> Heads:
    """Heads of a canvas on which the drawn objects are seen: float32 [1, h, w, C] each.

    No two centres are neighbours. Where there are more objects than coefficients, some share a field, each
    within its own box.
    """
    random = np.random.default_rng(len(drawn))
    heads = {name: np.zeros((1, *shape), np.float32) for name, shape in card.outputs.items()}
    rows, columns, classes = heads["heatmap"].shape[1:]
    heads["heatmap"][:] = random.uniform(0, _NOISE, heads["heatmap"].shape)
    centres = choose_centres(drawn.boxes_xyxy_canvas / card.decoder.stride, rows, columns)
    for number, (row, column) in enumerate(centres):
        x1, y1, x2, y2 = drawn.boxes_xyxy_canvas[number]
        x, y = column * card.decoder.stride, row * card.decoder.stride
        heads["heatmap"][0, row, column, number % classes] = _PEAK
        heads["size"][0, row, column] = x - x1, y - y1, x2 - x, y2 - y
        if card.decoder.coefficients:
            heads["coefficients"][0, row, column, number % card.decoder.coefficients] = 1
    for channel in range(min(card.decoder.coefficients, len(drawn))):
        fields = drawn.mask_fields[channel :: card.decoder.coefficients]
        heads["spanning_set"][0, :, :, channel] = fields.max(axis=0)
    return heads


def choose_centres(boxes_xyxy_cells: Doubles, rows: int, columns: int) -> Iterator[tuple[int, int]]:
    """Row and column of a cell for each box, the free one of every second that is next to its middle.

    >>> list(choose_centres(np.array([[0.0, 0, 4, 4], [0, 0, 4, 5]]), 8, 8))
    [(2, 2), (4, 2)]
    """
    free = np.mgrid[0 : rows - 1 : 2, 0 : columns - 1 : 2].reshape(2, -1).T.astype(float)
    for x1, y1, x2, y2 in boxes_xyxy_cells:
        nearest = np.hypot(free[:, 0] - (y1 + y2) / 2, free[:, 1] - (x1 + x2) / 2).argmin()
        row, column = free[nearest]
        free[nearest] = np.inf
        yield int(row), int(column)
