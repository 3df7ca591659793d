"""One outline for each object, as labelling tools expect it: a polygon without holes and in one piece."""

from collections.abc import Sequence

import numpy as np

from service.inference.interchange import form_to_polygon
from service.inference.masks.polygons import measure_ring
from service.types import Instance, Ints, Size


def outline_instance(instance: Instance, image: Size, tolerance: float) -> Ints:
    """The outline of an object: int64 [V, 2], (x, y), image frame; the corners of its box without a mask.

    tolerance: the farthest, in pixels, that the outline may leave the edge of the mask.
    """
    if instance.segmentation is None:
        return _outline_box(instance)
    rings = form_to_polygon(instance.segmentation, image, tolerance).rings
    return join_rings(rings) if rings else _outline_box(instance)


def join_rings(rings: Sequence[tuple[int, ...]]) -> Ints:
    """One ring that fills the same pixels by the even-odd rule: int64 [V, 2]; at least one ring is needed.

    The largest ring goes to the nearest corner of the next one, around that, and back the same way. So the
    connections have no area, and holes stay open.

    >>> join_rings([(0, 0, 0, 9, 9, 9), (2, 6, 3, 8, 2, 8)]).tolist()
    [[0, 0], [0, 9], [2, 8], [2, 6], [3, 8], [2, 8], [0, 9], [9, 9]]
    """
    ordered = sorted(rings, key=measure_ring, reverse=True)
    joined, *others = (np.array(ring, np.int64).reshape(-1, 2) for ring in ordered)
    for ring in others:
        distances = ((joined[:, None] - ring[None]) ** 2).sum(axis=2)  # [V, W]
        here, there = divmod(int(distances.argmin()), len(ring))
        around = np.concatenate([ring[there:], ring[: there + 1]])
        joined = np.concatenate([joined[: here + 1], around, joined[here:]])
    return joined


def _outline_box(instance: Instance) -> Ints:
    x, y, width, height = instance.bbox
    corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
    return np.array([(round(x), round(y)) for x, y in corners], np.int64)
