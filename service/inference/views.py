"""The views of a large picture: the whole of it, and tiles that overlap and show small objects larger."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from service.inference.card import Input
from service.types import Floats, Ints, Mask, Size

OVERLAP = 0.2  # of a tile's side that it shares with the next one, at least
_WORTH = 1.25  # a picture that is shrunk by less shows its small objects well enough
_FINER = 2**0.125  # between two sizes of tiles that are tried


@dataclass(frozen=True, slots=True)
class View:
    """A window of the image that the network sees at once: pixels, half-open, image frame."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def size(self) -> Size:
        return Size(self.bottom - self.top, self.right - self.left)

    @property
    def xyxy(self) -> tuple[int, int, int, int]:
        return self.left, self.top, self.right, self.bottom


@dataclass(frozen=True, slots=True)
class Share:
    """The views that one process computes: every `count`-th one, from number `index` on."""

    index: int = 0
    count: int = 1

    def choose(self, views: tuple[View, ...]) -> tuple[View, ...]:
        """
        >>> Share(1, 2).choose(plan_views(Size(90, 90), Input(height=64, width=64), most=4))
        (View(left=0, top=0, right=64, bottom=64), View(left=0, top=26, right=64, bottom=90))
        """
        return views[self.index :: self.count]


ALONE = Share()


def plan_views(image: Size, rule: Input, most: int) -> tuple[View, ...]:
    """The whole image, and after it at most `most` tiles; no tiles where the image fits the canvas nearly.

    A tile has the canvas's aspect. It is as large as the canvas, so that nothing is shrunk, or as much larger
    as it takes for `most` tiles to cover the image. Neighbours share OVERLAP of their side.

    >>> canvas = Input(height=320, width=320)
    >>> [len(plan_views(Size(side, side), canvas, most=32)) for side in (320, 400, 512, 4000)]
    [1, 1, 5, 26]
    """
    whole = View(0, 0, image.width, image.height)
    if rule.fit == "as_is" or max(image.height / rule.height, image.width / rule.width) <= _WORTH:
        return (whole,)
    canvas, scale = Size(rule.height, rule.width), 1.0
    while _count(image, _scale(canvas, scale)) > most:
        scale *= _FINER
    tiles = tuple(_place_tiles(image, _scale(canvas, scale)))
    return (whole, *tiles) if len(tiles) > 1 else (whole,)


def find_cut(boxes_xyxy: Floats, views_xyxy: Ints, image: Size) -> Mask:
    """True where a box reaches the edge of its view inside the image, so that the object may go on there.

    boxes_xyxy: float32 [N, 4], views_xyxy: int64 [N, 4], image frame. A box within a fortieth of the view's
        side reaches the edge: the network does not place boxes to the pixel.
    """
    sides = views_xyxy[:, 2:] - views_xyxy[:, :2]
    rim = np.maximum(1, sides // 40)
    starts = (boxes_xyxy[:, :2] < views_xyxy[:, :2] + rim) & (views_xyxy[:, :2] > 0)
    ends = (boxes_xyxy[:, 2:] > views_xyxy[:, 2:] - rim) & (views_xyxy[:, 2:] < [image.width, image.height])
    cut: Mask = (starts | ends).any(axis=1)
    return cut


def _scale(canvas: Size, scale: float) -> Size:
    return Size(round(canvas.height * scale), round(canvas.width * scale))


def _count(image: Size, tile: Size) -> int:
    return _count_along(image.height, tile.height) * _count_along(image.width, tile.width)


def _count_along(length: int, tile: int) -> int:
    """Tiles that cover a length, each of which shares OVERLAP with the next one.

    >>> [_count_along(length, 100) for length in (80, 100, 101, 180, 181)]
    [1, 1, 2, 2, 3]
    """
    return max(1, math.ceil((length - tile) / (tile * (1 - OVERLAP)) - 1e-9) + 1)


def _place_tiles(image: Size, tile: Size) -> Iterator[View]:
    for top in _place_along(image.height, tile.height):
        for left in _place_along(image.width, tile.width):
            yield View(left, top, min(left + tile.width, image.width), min(top + tile.height, image.height))


def _place_along(length: int, tile: int) -> list[int]:
    """The starts of the tiles, spread evenly from end to end.

    >>> _place_along(180, 100), _place_along(250, 100)
    ([0, 80], [0, 75, 150])
    """
    count = _count_along(length, tile)
    last = max(0, length - tile)
    return [round(last * number / max(1, count - 1)) for number in range(count)]
