"""Where the columns of masks change: solved for, not looked for.

In a patch the field along a column of pixels is one blend of the values on the patch's upper and lower side,
and those are blends of the corners. A blend whose ends lie on both sides of the level crosses it once. So a
side's corners say at which pixel column the side changes sign, both sides together say in which columns the
patch holds a crossing, and each of these is solved for its row. A solution too close to a pixel's centre for
rounding to be trusted is settled by computing the pixel exactly: in float64, horizontally first.
The tests compare all of it with masks that are drawn that way.
"""

import numpy as np

from service.inference.masks.grid import Axis, Doubles, Grid
from service.inference.masks.patches import Patches
from service.types import Ints

# Pixels; far above the rounding error of a solution (1e-9 in the largest images), far below what matters.
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
    """The values on one side of stretches of columns, float64 [C]; ends are its corners, float64 [2, S].

    Just `left * (1 - weights) + right * weights`, in place: fresh memory costs more than the arithmetic.
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
    solution += 0.5
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
