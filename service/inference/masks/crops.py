"""Masks cut to their boxes: shorter to send, and the picture's size does not matter."""

import numpy as np

from service.inference.masks.counts import encode_bounds
from service.inference.masks.rle import rles_to_runs
from service.inference.masks.runs import Runs, cancel_pairs, split_columns, toggles_to_runs
from service.types import Ints, Rle, RleCrop, Size


def runs_to_crops(runs: Runs, windows: Ints) -> tuple[RleCrop, ...]:
    """Each mask in its window; windows are int64 [N, 4] xyxy, image frame, and hold the whole mask.

    An empty window gives one empty pixel at its corner, as an RLE cannot be of nothing.
    """
    corners = windows[:, :2]
    sizes = np.maximum(windows[:, 2:] - corners, 1)  # [N, 2], width and height
    pixels = sizes.prod(axis=1)
    owners = runs.owners
    bounds = np.stack(
        [
            _move(runs.bounds[:, 0], runs.image.height, corners[owners], sizes[owners, 1]),
            _move(runs.bounds[:, 1] - 1, runs.image.height, corners[owners], sizes[owners, 1]) + 1,
        ],
        axis=1,
    )
    bounds, splits = _join(bounds, owners, pixels)
    return tuple(
        RleCrop(Rle(Size(height, width), text), x, y)
        for text, (width, height), (x, y) in zip(
            encode_bounds(bounds, splits, pixels), sizes.tolist(), corners.tolist(), strict=True
        )
    )


def crop_to_runs(crop: RleCrop, image: Size) -> Runs:
    """The one mask over the whole image; raises ValueError where its window does not lie in it."""
    size = crop.rle.size
    if min(crop.x, crop.y) < 0 or crop.x + size.width > image.width or crop.y + size.height > image.height:
        raise ValueError(f"the crop of {size} at x {crop.x}, y {crop.y} does not lie in {image}")
    _, x, starts, stops = split_columns(rles_to_runs([crop.rle], size))
    columns = (x + crop.x) * image.height + crop.y
    toggles = np.concatenate([columns + starts, columns + stops])
    return toggles_to_runs(np.zeros_like(toggles), toggles, 1, image)


def _move(places: Ints, height: int, corners: Ints, heights: Ints) -> Ints:
    """Pixels counted down the columns of the image as pixels counted down the columns of windows."""
    columns, rows = np.divmod(places, height)
    return (columns - corners[:, 0]) * heights + rows - corners[:, 1]


def _join(bounds: Ints, owners: Ints, pixels: Ints) -> tuple[Ints, Ints]:
    """Runs that now touch as one, and the new splits: a column's end is the next one's start in a window."""
    origins = np.concatenate([[0], np.cumsum(pixels + 1)])
    keys = cancel_pairs((bounds + origins[owners, None]).reshape(-1))
    ends = np.searchsorted(keys, origins)
    keys = keys - np.repeat(origins[:-1], np.diff(ends))
    return keys.reshape(-1, 2), ends // 2
