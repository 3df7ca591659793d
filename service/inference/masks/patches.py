"""The squares between four neighbouring samples in which a mask's border can run.

A mask's border runs only through patches whose corners lie on both sides of the level. They are few (a ring
around each object), and finding them is the only step that looks at whole fields. Rows of samples outside an
instance's window count as outside the mask, so the window's upper and lower edges are borders, too.
"""

from dataclasses import dataclass

import numpy as np

from service.inference.masks.grid import Axis, Doubles, Grid
from service.types import Floats, Instances, Ints, Mask

_LARGEST = np.finfo(np.float32).max


@dataclass(frozen=True, slots=True, eq=False)
class Patches:
    """P patches, ordered by instance; everything is int64 [P] but the corners.

    owners: the instance. rows, columns: the sample at the upper left; row -1 lies above the field.
    corners: float64 [4, P], by how much the samples exceed the level: upper left, upper right, lower left,
        lower right; -1 for the samples above and below the window.
    x1, x2, y1, y2: the pixels between the samples that lie in the window, half-open, image frame.
    """

    owners: Ints
    rows: Ints
    columns: Ints
    corners: Doubles
    x1: Ints
    x2: Ints
    y1: Ints
    y2: Ints


def find_patches(instances: Instances, grid: Grid, windows: Ints) -> Patches:
    """The patches that hold a border of some instance; windows are int64 [N, 4] xyxy, image frame."""
    first_rows, last_rows = _window_rows(grid.rows, windows)
    owners, rows, columns = _mixed_patches(instances, grid.rows, first_rows, last_rows)
    starts = grid.columns.first_pixels
    x1 = np.maximum(starts[columns], windows[owners, 0])
    x2 = np.minimum(starts[columns + 1], windows[owners, 2])
    kept = (x1 < x2) & (rows >= first_rows[owners] - 1) & (rows <= last_rows[owners])
    owners, rows, columns, x1, x2 = owners[kept], rows[kept], columns[kept], x1[kept], x2[kept]
    above, below = rows < first_rows[owners], rows >= last_rows[owners]
    y1, y2 = _patch_pixels(rows, grid.rows.first_pixels, windows[owners])
    corners = _corners(instances, owners, rows, columns)
    corners[:2, above] = -1
    corners[2:, below] = -1
    return Patches(owners, rows, columns, corners, x1, x2, np.where(below, y2, y1), y2)


def _window_rows(axis: Axis, windows: Ints) -> tuple[Ints, Ints]:
    """The first and the last row of samples that the pixels of each window need: int64 [N] each."""
    last_pixels = np.maximum(windows[:, 3] - 1, 0)
    return axis.below[windows[:, 1]], np.minimum(axis.below[last_pixels] + 1, axis.samples - 1)


def _mixed_patches(instances: Instances, axis: Axis, first: Ints, last: Ints) -> tuple[Ints, Ints, Ints]:
    """Owner, row and column of every patch whose corners differ, with the rows before first and after last
    outside; int64 [P] each.

    A patch on the right border takes the next row's first sample for its right corners, so there may be some
    more, even in rows where the window has none.
    """
    inside, (height, width) = _inside(instances, axis, first, last)
    across, down = inside[1:] != inside[:-1], inside[width:] != inside[:-width]
    # A square whose left, upper and lower side do not change does not change on the right.
    mixed = across[:-width] | across[width:]
    mixed |= down[:-1]
    owners, rows, columns = np.unravel_index(mixed.nonzero()[0], (len(first), height, width))
    return owners, rows - 1, columns


def _inside(instances: Instances, axis: Axis, first: Ints, last: Ints) -> tuple[Mask, tuple[int, int]]:
    """Which samples exceed the level: bool, flat, and how many rows and columns there are of each instance.

    The first of an instance's rows is empty, and so is a row and a sample after the last instance; rows that
    no pixel needs are left out.
    """
    needed = min(int(axis.below[-1]) + 2, axis.samples)
    rows = np.arange(needed)
    wanted = (rows >= first[:, None]) & (rows <= last[:, None])
    levels = np.where(wanted, np.float32(instances.mask_level), np.float32(np.inf))  # [N, rows]
    fields = instances.mask_fields[:, :needed]
    count, height, width = len(fields), needed + 1, fields.shape[2]
    flat = np.zeros((count * height + 1) * width + 1, bool)
    inside = flat[: count * height * width].reshape(count, height, width)
    np.greater(fields, levels[..., None], out=inside[:, 1:])
    return flat, (height, width)


def _patch_pixels(rows: Ints, starts: Ints, windows: Ints) -> tuple[Ints, Ints]:
    """The first pixel of each patch, and the one after its last, in the window: int64 [P] each."""
    top, bottom = windows[:, 1], windows[:, 3]
    first = np.minimum(np.maximum(starts[np.maximum(rows, 0)], top), bottom)
    return first, np.minimum(np.maximum(starts[rows + 1], top), bottom)


def _corners(instances: Instances, owners: Ints, rows: Ints, columns: Ints) -> Doubles:
    """By how much the samples at the corners exceed the level: float64 [4, P]."""
    height, width = instances.mask_fields.shape[1:]
    samples: Floats = instances.mask_fields.reshape(-1)
    upper = (owners * height + np.maximum(rows, 0)) * width + columns
    lower = (owners * height + np.minimum(rows + 1, height - 1)) * width + columns
    right = columns < width - 1
    return excess(samples[np.array([upper, upper + right, lower, lower + right])], instances.mask_level)


def excess(values: Floats, level: float) -> Doubles:
    """By how much values exceed the level: float64, finite; NaN counts as the least, infinity as the most."""
    finite = np.fmin(np.fmax(values, -_LARGEST), _LARGEST)  # NaN gives way in both
    return finite.astype(np.float64) - np.float64(np.float32(level))
