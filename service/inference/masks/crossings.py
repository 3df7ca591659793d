"""The places where the columns of masks change, solved for without drawing a pixel.

A patch is the square between four neighbouring samples of a field. A mask's border runs only through patches
whose corners lie on both sides of the level. They are few, a ring around each object, and only the search for
them looks at whole fields. Samples above and below an instance's window count as outside the mask, so the
window's upper and lower edges are borders, too.

Along a column of pixels in a patch, the field is a blend of the values on the patch's upper and lower side,
and these are blends of the corners. A blend whose ends lie on both sides of the level crosses it once. So the
corners of a side give the pixel column where the side changes sign. Both sides together give the columns with
a crossing, and each of these is solved for its row. A solution too close to a pixel's centre to trust its
rounding is settled by an exact computation of that pixel: in float64, horizontally first.
The tests compare all of this with masks that are drawn pixel by pixel in that way.
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
    corners: float64 [4, P], sample minus level: upper left, upper right, lower left, lower right; -1 for
        the samples above and below the window.
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
    """Owner, row and column of every patch whose corners differ: int64 [P] each.

    Rows before `first` and after `last` count as outside. A patch on the right border takes the next row's
    first sample for its right corners, so some patches too many may be found, even in rows without any.
    """
    inside, (height, width) = _inside(instances, axis, first, last)
    across, down = inside[1:] != inside[:-1], inside[width:] != inside[:-width]
    # If a square does not change on its left, upper and lower side, it does not change on the right.
    mixed = across[:-width] | across[width:]
    mixed |= down[:-1]
    owners, rows, columns = np.unravel_index(mixed.nonzero()[0], (len(first), height, width))
    return owners, rows - 1, columns


def _inside(instances: Instances, axis: Axis, first: Ints, last: Ints) -> tuple[Mask, tuple[int, int]]:
    """The samples that exceed the level, flat bool, and the number of rows and columns of each instance.

    An empty row comes before each instance, and an empty row and sample after the last one. Rows that no
    pixel needs are left out.
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
    """Sample minus level at the corners: float64 [4, P]."""
    height, width = instances.mask_fields.shape[1:]
    samples: Floats = instances.mask_fields.reshape(-1)
    upper = (owners * height + np.maximum(rows, 0)) * width + columns
    lower = (owners * height + np.minimum(rows + 1, height - 1)) * width + columns
    right = columns < width - 1
    return excess(samples[np.array([upper, upper + right, lower, lower + right])], instances.mask_level)


def excess(values: Floats, level: float) -> Doubles:
    """Value minus level: float64, finite; NaN counts as the lowest value, infinity as the highest."""
    finite = np.fmin(np.fmax(values, -_LARGEST), _LARGEST)  # NaN gives way in both
    return finite.astype(np.float64) - np.float64(np.float32(level))


# Pixels: far above the rounding error of a solution (1e-9 in the largest images), far below a visible shift.
DOUBT = 1e-6


def find_crossings(patches: Patches, grid: Grid) -> tuple[Ints, Ints, Ints]:
    """Owner, x and y of the first pixel (or the end of the window) after each change along a column.

    int64 [C] each, image frame, in no order; several may fall on one pixel.
    """
    which, x1, lengths = _changing_columns(patches, grid.columns)
    offsets: Ints = x1 + lengths - lengths.cumsum()
    x = offsets.repeat(lengths)
    x += np.arange(len(x))
    corners, weights = patches.corners[:, which], grid.columns.weights[x]
    upper = _blend_side(corners[:2], lengths, weights)
    lower = _blend_side(corners[2:], lengths, weights)
    y = _first_past(grid.rows, patches.rows[which].repeat(lengths), upper, lower)
    np.maximum(y, patches.y1[which].repeat(lengths), out=y)
    np.minimum(y, patches.y2[which].repeat(lengths), out=y)
    return patches.owners[which].repeat(lengths), x, y


def _changing_columns(patches: Patches, axis: Axis) -> tuple[Ints, Ints, Ints]:
    """Stretches of pixel columns whose upper and lower values lie on both sides of the level.

    int64 [S] each: the patch, the first column, how many columns.
    """
    inside = patches.corners > 0  # [4, P]
    upper = _side_change(patches, axis, 0)
    lower = _side_change(patches, axis, 2)
    first, second = np.minimum(upper, lower), np.maximum(upper, lower)
    between = np.where(upper < lower, inside[1] != inside[2], inside[0] != inside[3])
    edges = np.array([patches.x1, first, second, patches.x2])
    lengths = edges[1:] - edges[:-1]
    lengths *= np.array([inside[0] != inside[2], between, inside[1] != inside[3]])
    stretch, which = lengths.nonzero()
    return which, edges[stretch, which], lengths[stretch, which]


def _side_change(patches: Patches, axis: Axis, left: int) -> Ints:
    """The first pixel column where a side has its right corner's sign, x2 without a change: int64 [P]."""
    ends = patches.corners[left : left + 2]
    changing = ((ends[0] > 0) != (ends[1] > 0)).nonzero()[0]
    at = patches.x2.copy()
    at[changing] = _first_past(axis, patches.columns[changing], *ends[:, changing])
    return np.minimum(np.maximum(at, patches.x1), patches.x2)


def _blend_side(ends: Doubles, lengths: Ints, weights: Doubles) -> Doubles:
    """The values on one side of stretches of columns, float64 [C]; `ends` are its corners, float64 [2, S].

    It is `left * (1 - weights) + right * weights`, in place, as new memory costs more than the arithmetic.
    """
    blended: Doubles = ends[0].repeat(lengths)
    right: Doubles = ends[1].repeat(lengths)
    right *= weights
    blended *= 1 - weights
    blended += right
    return blended


def _first_past(axis: Axis, below: Ints, near: Doubles, far: Doubles) -> Ints:
    """The first pixel after the samples `below` whose blend of near and far has the sign of far.

    near and far are float64 [C] on both sides of the level, at the samples below and below + 1; int64 [C].
    """
    solution = near / (near - far)
    solution += below
    solution += 0.5 - axis.origin
    solution /= axis.pitch
    solution -= 0.5
    pixels = np.floor(solution)
    pixels += 1
    doubtful = (np.abs(solution - np.rint(solution)) < DOUBT).nonzero()[0]
    if len(doubtful):
        candidates = np.rint(solution[doubtful])
        passed = _is_past(axis.locate(candidates) - below[doubtful], near[doubtful], far[doubtful])
        pixels[doubtful] = candidates + ~passed
    return pixels.astype(np.int64)


def _is_past(weights: Doubles, near: Doubles, far: Doubles) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    weights = np.minimum(np.maximum(weights, 0), 1)
    passed: np.ndarray[tuple[int], np.dtype[np.bool_]] = (near * (1 - weights) + far * weights > 0) == (
        far > 0
    )
    return passed
