"""Ground truth in the network's own terms (BlitzMask, sec. 3.2 and 4.3).

Cell (i, j) of the heatmap stands for the canvas point (x, y) = (4j, 4i), as in the paper's eq. 1; sizes are
measured from that point, so a decoded box is exact wherever in its cell the true centre lies.
"""

import math

import numpy as np
import numpy.typing as npt

from service.types import Size

STRIDE = 4
MIN_OVERLAP = 0.7

Array = npt.NDArray[np.float64]


def gaussian_radius(height: float, width: float, min_overlap: float = MIN_OVERLAP) -> float:
    """How far both corners of a box may move and still leave an IoU of `min_overlap` (CornerNet, sec. 3.3).

    The least of three cases: the box shifts, shrinks, or grows. (CenterNet's code has the roots of the last
    two wrong; these solve the quadratics.)

    >>> round(gaussian_radius(10, 10), 3)
    0.817
    """
    perimeter, area = height + width, height * width
    shifts = _smaller_root(1, perimeter, area * (1 - min_overlap) / (1 + min_overlap))
    shrinks = _smaller_root(4, 2 * perimeter, area * (1 - min_overlap))
    grows = (-2 * perimeter + math.sqrt(4 * perimeter**2 + 16 * area * (1 / min_overlap - 1))) / 8
    return min(shifts, shrinks, grows)


def _smaller_root(a: float, b: float, c: float) -> float:
    """The smaller root of a r^2 - b r + c."""
    return (b - math.sqrt(b * b - 4 * a * c)) / (2 * a)


def draw_gaussian(heat: npt.NDArray[np.float32], cell: tuple[int, int], radius: int) -> None:
    """Raises `heat` (float32 [h, w]) to a Gaussian with peak 1 at cell (i, j), sigma (2 radius + 1) / 6."""
    height, width = heat.shape
    i, j = cell
    rows = np.arange(max(0, i - radius), min(height, i + radius + 1))
    columns = np.arange(max(0, j - radius), min(width, j + radius + 1))
    sigma = (2 * radius + 1) / 6
    bell = np.exp(-((rows[:, None] - i) ** 2 + (columns - j) ** 2) / (2 * sigma * sigma))
    window = heat[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    np.maximum(window, bell, out=window)


def mass_centre(mask: npt.NDArray[np.uint8]) -> Array:
    """Mean (x, y) of the mask's pixel centres: float64 [2], in the mask's own frame; NaN of an empty mask."""
    columns, rows = mask.sum(axis=0, dtype=np.float64), mask.sum(axis=1, dtype=np.float64)
    area = columns.sum()
    if area == 0:
        return np.full(2, np.nan)
    x = columns @ (np.arange(len(columns)) + 0.5)
    y = rows @ (np.arange(len(rows)) + 0.5)
    return np.array([x / area, y / area])


def centre_cell(centre_xy_canvas: Array, canvas: Size) -> tuple[int, int]:
    """The cell (i, j) that holds a point of the canvas."""
    j, i = (int(value // STRIDE) for value in centre_xy_canvas)
    return min(max(i, 0), canvas.height // STRIDE - 1), min(max(j, 0), canvas.width // STRIDE - 1)
