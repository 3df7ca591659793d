"""The positions of an image's pixels between the samples of a low-resolution field.

A field covers the canvas; its sample (i, j) stands at the centre of the canvas cell (i, j). A pixel's value
is the bilinear interpolation at the pixel's centre, clamped at the field's border (as `cv2.resize` does, and
torch with `align_corners=False`).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from service.types import Floats, Instances, Ints, Placement, Size

Doubles = npt.NDArray[np.float64]

_COMMON = 20_000  # height plus width up to which a grid is cached: 320 kB


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """The pixels of the image along one axis, located between the samples of a field.

    pixels: how many pixels the image has along this axis, samples: how many samples the field has.
    pitch: samples per pixel. origin: samples before the image's edge.
    below: int64 [pixels], the last sample at or before each pixel's centre, never decreasing.
    weights: float64 [pixels], in [0, 1): the weight of the sample after that one.
    first_pixels: int64 [samples + 1], the first pixel at or after each sample, and the number of pixels.
    """

    pixels: int
    samples: int
    pitch: float
    origin: float
    below: Ints
    weights: Doubles
    first_pixels: Ints

    def locate(self, pixels: Doubles) -> Doubles:
        """The centres of pixels (float64, whole numbers) in sample coordinates, clamped to the field."""
        return _locate(pixels, self.pitch, self.origin, self.samples)


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Both axes of an image against a field."""

    rows: Axis
    columns: Axis


def place_grid(placement: Placement, field: Size) -> Grid:
    """The grid of a placed image against a field of `field` samples over the whole canvas.

    >>> grid = place_grid(Placement(Size(4, 8), Size(8, 8), Size(4, 8)), Size(2, 2))
    >>> grid.columns.below.tolist(), grid.columns.weights[:4].tolist()
    ([0, 0, 0, 0, 0, 0, 1, 1], [0.0, 0.0, 0.125, 0.375])
    """
    common = placement.image.height + placement.image.width <= _COMMON
    return (_remember_grid if common else _compute_grid)(placement, field)


def _compute_grid(placement: Placement, field: Size) -> Grid:
    image, canvas = placement.image, placement.canvas
    down, across = field.height / canvas.height, field.width / canvas.width  # samples per canvas pixel
    top, left = placement.top * down, placement.left * across
    return Grid(
        rows=place_axis(image.height, placement.scale_y * field.height / canvas.height, top, field.height),
        columns=place_axis(image.width, placement.scale_x * field.width / canvas.width, left, field.width),
    )


# The frames of a camera, and most collections of images, have few sizes.
_remember_grid = lru_cache(16)(_compute_grid)


def place_axis(pixels: int, pitch: float, origin: float, samples: int) -> Axis:
    at = _locate(np.arange(pixels, dtype=np.float64), pitch, origin, samples)
    below = at.astype(np.int64)
    weights, first_pixels = at - below, below.searchsorted(np.arange(samples + 1))
    for array in (below, weights, first_pixels):
        array.flags.writeable = False
    return Axis(pixels, samples, pitch, origin, below, weights, first_pixels)


def _locate(pixels: Doubles, pitch: float, origin: float, samples: int) -> Doubles:
    centres: Doubles = (pixels + 0.5) * pitch + (origin - 0.5)
    return np.minimum(np.maximum(centres, 0), samples - 1)


def place_windows(instances: Instances, placement: Placement) -> Ints:
    """The pixels that each instance's mask may have, by its window rule: int64 [N, 4] xyxy, image frame."""
    if instances.window == "none":
        whole = [0, 0, placement.image.width, placement.image.height]
        return np.tile(np.array(whole, np.int64), (len(instances), 1))
    point = 0.5 if instances.window == "centres" else 0.0
    boxes = placement.boxes_to_image(instances.boxes_xyxy_canvas)
    return boxes_to_windows(boxes, placement.image, point=point)


def boxes_to_windows(boxes_xyxy_image: Floats | Doubles, image: Size, *, point: float = 0.5) -> Ints:
    """The pixels whose centres lie in half-open boxes: int64 [N, 4], half-open (x1, y1, x2, y2) in the image.

    point: the place in a pixel that decides, each way: 0.5 is its centre, 0 its upper left corner.
    Boxes that hold no such place, or a NaN, give (0, 0, 0, 0).

    >>> boxes_to_windows(np.array([[0.5, -9, 2.5, 0.6], [7, 7, 7, 9]], np.float32), Size(10, 10)).tolist()
    [[0, 0, 2, 1], [0, 0, 0, 0]]
    """
    limits = np.array([image.width, image.height] * 2, np.float64)
    places = np.maximum(boxes_xyxy_image.astype(np.float64) - point, 0)
    windows = np.ceil(np.minimum(places, limits))  # [N, 4]
    windows[~(windows[:, :2] < windows[:, 2:]).all(axis=1)] = 0  # NaN is not less than anything
    return windows.astype(np.int64)
