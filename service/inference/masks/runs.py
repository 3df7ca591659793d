"""Masks as runs of pixels, column by column: every form of a mask is made from them."""

from dataclasses import dataclass

import numpy as np

from service.inference.masks.crossings import find_crossings, find_patches
from service.inference.masks.grid import place_grid, place_windows
from service.types import Instances, Ints, Placement, Size

_INT32_MAX = 2**31 - 1


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """The pixels of N masks over one image; arrays are read-only.

    bounds: int64 [R, 2], first pixel of each run and the one after its last, counted down the columns from
        the image's upper left; ascending in each mask, and no run touches the next.
    splits: int64 [N + 1], mask n has the runs from splits[n] up to splits[n + 1].
    """

    image: Size
    bounds: Ints
    splits: Ints

    def __post_init__(self) -> None:
        if self.bounds.ndim != 2 or self.bounds.shape[1] != 2 or self.splits[-1] != len(self.bounds):
            raise ValueError(f"bounds {self.bounds.shape} and splits up to {self.splits[-1]} do not fit")
        self.bounds.flags.writeable = False
        self.splits.flags.writeable = False

    def __len__(self) -> int:
        return len(self.splits) - 1

    @property
    def owners(self) -> Ints:
        """The mask of each run: int64 [R]."""
        return np.repeat(np.arange(len(self)), np.diff(self.splits))

    def keep(self, chosen: Ints) -> "Runs":
        """The chosen masks; `chosen` are int64 [M], indices in the order wanted."""
        lengths = np.diff(self.splits)[chosen]
        splits = np.concatenate([[0], lengths.cumsum()])
        places = np.arange(splits[-1]) + np.repeat(self.splits[chosen] - splits[:-1], lengths)
        return Runs(self.image, self.bounds[places], splits)

    def areas(self) -> Ints:
        """Pixels in each mask: int64 [N]."""
        covered = np.zeros(len(self.bounds) + 1, np.int64)
        np.subtract(self.bounds[:, 1], self.bounds[:, 0], out=covered[1:])
        covered = covered.cumsum()[self.splits]
        return covered[1:] - covered[:-1]


def find_runs(instances: Instances, placement: Placement) -> Runs:
    """The runs of every instance's mask, equal to those of the drawn mask, without drawing it."""
    return trace_runs(instances, placement, place_windows(instances, placement))


def trace_runs(instances: Instances, placement: Placement, windows: Ints) -> Runs:
    """The runs within known windows: int64 [N, 4] xyxy, image frame."""
    grid = place_grid(placement, Size(*instances.mask_fields.shape[1:]))
    patches = find_patches(instances, grid, windows)
    owners, x, y = find_crossings(patches, grid)
    return toggles_to_runs(owners, x * placement.image.height + y, len(instances), placement.image)


def toggles_to_runs(owners: Ints, toggles: Ints, count: int, image: Size) -> Runs:
    """The runs of `count` masks that start outside and change at these pixels.

    owners, toggles: int64 [T], in no order, an even number for each mask; toggles count down the columns.
    """
    stride = image.pixels + 1
    keys = owners * stride + toggles
    if count * stride <= _INT32_MAX:
        keys = keys.astype(np.int32)  # sorts twice as fast
    keys.sort()
    keys = cancel_pairs(keys).astype(np.int64)
    origins = np.arange(count + 1) * stride
    ends = keys.searchsorted(origins)
    keys -= origins[:-1].repeat(ends[1:] - ends[:-1])
    return Runs(image, keys.reshape(-1, 2), ends // 2)


def split_columns(runs: Runs) -> tuple[Ints, Ints, Ints, Ints]:
    """Runs cut at the ends of columns: mask, x, first row and the row after the last, int64 [P] each."""
    height = runs.image.height
    first, top = np.divmod(runs.bounds[:, 0], height)
    last, bottom = np.divmod(runs.bounds[:, 1] - 1, height)
    pieces = last - first + 1
    ends = np.cumsum(pieces)
    x = np.arange(len(first) and ends[-1]) + np.repeat(first - (ends - pieces), pieces)
    starts = np.where(x == np.repeat(first, pieces), np.repeat(top, pieces), 0)
    stops = np.where(x == np.repeat(last, pieces), np.repeat(bottom + 1, pieces), height)
    return np.repeat(runs.owners, pieces), x, starts, stops


def enlarge_runs(runs: Runs, image: Size) -> Runs:
    """The masks over an image of another size, without interpolation: each pixel takes that of its place.

    >>> enlarge_runs(Runs(Size(2, 1), np.array([[1, 2]]), np.array([0, 1])), Size(4, 2)).bounds.tolist()
    [[2, 4], [6, 8]]
    """
    owners, x, starts, stops = split_columns(runs)
    columns, rows = (
        -(-np.arange(old + 1) * new // old)  # the first new pixel of each old one
        for old, new in ((runs.image.width, image.width), (runs.image.height, image.height))
    )
    counts = columns[x + 1] - columns[x]
    ends = np.cumsum(counts)
    at = np.arange(counts.sum()) + np.repeat(columns[x] - (ends - counts), counts)
    toggles = [at * image.height + np.repeat(rows[side], counts) for side in (starts, stops)]
    owners = np.repeat(owners, counts)
    return toggles_to_runs(np.concatenate([owners, owners]), np.concatenate(toggles), len(runs), image)


def enclose_runs(runs: Runs) -> Ints:
    """The extent of each mask: int64 [N, 4] xyxy, half-open, image frame; (0, 0, 0, 0) for an empty mask.

    >>> enclose_runs(Runs(Size(4, 4), np.array([[5, 7], [8, 9]]), np.array([0, 2, 2]))).tolist()
    [[1, 0, 3, 3], [0, 0, 0, 0]]
    """
    owners, x, starts, stops = split_columns(runs)
    extents = np.zeros((len(runs), 4), np.int64)
    some, firsts = np.unique(owners, return_index=True)
    if len(some):
        low = [np.minimum.reduceat(values, firsts) for values in (x, starts)]
        high = [np.maximum.reduceat(values, firsts) for values in (x + 1, stops)]
        extents[some] = np.array([*low, *high]).T
    return extents


def cancel_pairs(keys: Ints) -> Ints:
    """Sorted numbers without those that occur an even number of times; the others once.

    >>> cancel_pairs(np.array([1, 2, 2, 5, 7, 7, 7])).tolist()
    [1, 5, 7]
    """
    new = np.ones(len(keys) + 1, bool)
    np.not_equal(keys[1:], keys[:-1], out=new[1:-1])
    starts = new.nonzero()[0]
    odd = (starts[1:] - starts[:-1]) & 1 > 0
    return keys[starts[:-1][odd]]


def fill_windows(windows: Ints, image: Size) -> Runs:
    """All pixels of windows as masks: int64 [N, 4] xyxy, half-open, image frame.

    >>> fill_windows(np.array([[0, 1, 2, 3]]), Size(4, 4)).bounds.tolist()
    [[1, 3], [5, 7]]
    """
    widths = np.maximum(windows[:, 2] - windows[:, 0], 0)
    owners = np.repeat(np.arange(len(windows)), widths)
    columns = np.arange(len(owners)) - np.repeat(np.cumsum(widths) - widths - windows[:, 0], widths)
    toggles = [columns * image.height + windows[owners, side] for side in (1, 3)]
    return toggles_to_runs(np.concatenate([owners, owners]), np.concatenate(toggles), len(windows), image)


def combine_runs(one: Ints, other: Ints, *, least: int) -> Ints:
    """The runs of two masks together, int64 [R, 2] each: of all pixels (least 1), of the common ones (2).

    >>> one, other = np.array([[0, 5], [8, 9]]), np.array([[3, 8]])
    >>> combine_runs(one, other, least=1).tolist(), combine_runs(one, other, least=2).tolist()
    ([[0, 9]], [[3, 5]])
    """
    places = np.concatenate([one[:, 0], other[:, 0], one[:, 1], other[:, 1]])
    steps = np.ones(len(places), np.int64)
    steps[len(places) // 2 :] = -1
    order = np.argsort(places, kind="stable")
    inside = np.concatenate([[False], steps[order].cumsum() >= least])
    changes = (inside[1:] != inside[:-1]).nonzero()[0]
    return cancel_pairs(places[order][changes]).reshape(-1, 2)


def count_pixels(bounds: Ints) -> int:
    """Pixels in the runs of one mask: int64 [R, 2]."""
    return int((bounds[:, 1] - bounds[:, 0]).sum())


def place_runs(runs: Runs, x: int, y: int, image: Size) -> Runs:
    """The masks of a window of an image, over all of it; the window's upper left pixel is (x, y).

    Raises ValueError where the window does not lie in the image.

    >>> place_runs(Runs(Size(2, 2), np.array([[1, 3]]), np.array([0, 1])), 1, 1, Size(4, 4)).bounds.tolist()
    [[6, 7], [9, 10]]
    """
    size = runs.image
    if min(x, y) < 0 or x + size.width > image.width or y + size.height > image.height:
        raise ValueError(f"the crop of {size} at x {x}, y {y} does not lie in {image}")
    owners, columns, starts, stops = split_columns(runs)
    origins = (columns + x) * image.height + y
    toggles = np.concatenate([origins + starts, origins + stops])
    return toggles_to_runs(np.concatenate([owners, owners]), toggles, len(runs), image)
