"""The forms of masks in answers: made from runs, and read back to runs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, assert_never

import numpy as np
import numpy.typing as npt

from service.inference.masks.enlarged import trace_enlarged
from service.inference.masks.grid import place_windows
from service.inference.masks.polygons import polygon_to_runs, runs_to_polygons, simplify_polygon
from service.inference.masks.regions import place_regions, trace_regions
from service.inference.masks.rle import encode_bounds, rles_to_runs, runs_to_rles
from service.inference.masks.runs import (
    Runs,
    cancel_pairs,
    enclose_runs,
    enlarge_runs,
    find_runs,
    place_runs,
    trace_runs,
)
from service.types import (
    TOLERANCE,
    Instances,
    Ints,
    Mask,
    MaskForm,
    MaskFormat,
    Placement,
    Polygon,
    Rle,
    RleCrop,
    Size,
)

Masked: TypeAlias = tuple[MaskForm, int] | tuple[None, None]
Convert: TypeAlias = Callable[[Runs, Ints], Sequence[MaskForm]]


def describe_masks(
    instances: Instances, placement: Placement, masks: MaskFormat, *, tolerance: float = TOLERANCE
) -> Sequence[Masked]:
    """Mask and area in pixels of each instance; (None, None) for each where no masks are wanted.

    tolerance: of contours, in pixels.
    """
    if masks == "none":
        return [(None, None)] * len(instances)
    if len(instances) == 0:
        return []
    return describe_traced(trace_masks(instances, placement), masks, tolerance=tolerance)


def describe_traced(traced: "Traced", masks: MaskFormat, *, tolerance: float = TOLERANCE) -> Sequence[Masked]:
    """Mask and area in pixels of each traced mask; (None, None) for each where no masks are wanted.

    The area is that of the exact mask, whatever the tolerance.
    """
    if masks == "none":
        return [(None, None)] * len(traced.runs)
    forms = runs_to_forms(traced.runs, traced.windows, masks, tolerance=tolerance)
    return list(zip(forms, traced.runs.areas().tolist(), strict=True))


def runs_to_forms(
    runs: Runs, windows: Ints, masks: MaskFormat, *, tolerance: float = TOLERANCE
) -> Sequence[MaskForm]:
    """Each mask in the form asked for, which is not "none"; windows hold the masks: int64 [N, 4] xyxy."""
    if masks == "contour":
        return [simplify_polygon(polygon, tolerance) for polygon in _runs_to_polygons(runs)]
    return CONVERTERS[masks](runs, windows)


@dataclass(frozen=True, slots=True, eq=False)
class Traced:
    """The runs of masks, and windows that hold them: int64 [N, 4] xyxy, half-open, image frame."""

    runs: Runs
    windows: Ints

    def keep(self, chosen: Ints) -> "Traced":
        """The chosen masks; `chosen` are int64 [M], indices in the order wanted."""
        return Traced(self.runs.keep(chosen), self.windows[chosen])


def trace_masks(instances: Instances, placement: Placement) -> Traced:
    """All masks as runs."""
    if instances.is_enlarged:
        windows = place_windows(instances, placement)
        return Traced(trace_enlarged(instances, placement, windows), windows)
    if instances.extent != "canvas":
        runs = trace_regions(instances, place_regions(instances, placement), placement.image)
        return Traced(runs, enclose_runs(runs))
    if instances.raster is not None:
        raster = Size(instances.raster, instances.raster)
        runs = enlarge_runs(
            find_runs(instances, replace(placement, image=raster, covered=None)), placement.image
        )
        return Traced(runs, enclose_runs(runs))
    windows = place_windows(instances, placement)
    runs = trace_runs(instances, placement, windows)
    return Traced(runs, enclose_runs(runs) if instances.window == "none" else windows)


def forms_to_runs(forms: Sequence[MaskForm], image: Size) -> Runs:
    """The masks as runs; raises ValueError where one is not of this image."""
    each = [form_to_runs(form, image) for form in forms]
    bounds = np.concatenate([np.zeros((0, 2), np.int64), *(runs.bounds for runs in each)])
    return Runs(image, bounds, np.cumsum([0, *(len(runs.bounds) for runs in each)]))


def form_to_runs(form: MaskForm, image: Size) -> Runs:
    """One mask as runs; raises ValueError where it is not of this image."""
    match form:
        case Rle():
            return rles_to_runs([form], image)
        case RleCrop():
            return crop_to_runs(form, image)
        case Polygon():
            return polygon_to_runs(form, image)
        case _:
            assert_never(form)


def form_to_mask(form: MaskForm, image: Size) -> Mask:
    """One mask as pixels: bool [H, W]; raises ValueError where it is not of this image."""
    mask = np.zeros(image.pixels, bool)
    for start, end in form_to_runs(form, image).bounds.tolist():
        mask[start:end] = True
    return mask.reshape(image.width, image.height).T


def _runs_to_polygons(runs: Runs) -> Sequence[Polygon]:
    return [
        Polygon(tuple(tuple(ring.reshape(-1).tolist()) for ring in rings)) for rings in runs_to_polygons(runs)
    ]


def runs_to_crops(runs: Runs, windows: Ints) -> tuple[RleCrop, ...]:
    """Each mask cropped to its window; windows are int64 [N, 4] xyxy, image frame, and hold the whole mask.

    An empty window gives one empty pixel at its corner, as an RLE needs at least one pixel.
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
    """The runs of one crop over the whole image; raises ValueError where its window is not in the image."""
    return place_runs(rles_to_runs([crop.rle], crop.rle.size), crop.x, crop.y, image)


def _move(places: Ints, height: int, corners: Ints, heights: Ints) -> Ints:
    """Positions counted down the columns of windows, from positions counted down the image's columns."""
    columns, rows = np.divmod(places, height)
    return (columns - corners[:, 0]) * heights + rows - corners[:, 1]


def _join(bounds: Ints, owners: Ints, pixels: Ints) -> tuple[Ints, Ints]:
    """The runs with touching ones joined, and the new splits: a window's columns follow on each other."""
    origins = np.concatenate([[0], np.cumsum(pixels + 1)])
    keys = cancel_pairs((bounds + origins[owners, None]).reshape(-1))
    ends = np.searchsorted(keys, origins)
    keys = keys - np.repeat(origins[:-1], np.diff(ends))
    return keys.reshape(-1, 2), ends // 2


LabelMap = npt.NDArray[np.uint16]


def draw_labelmap(runs: Runs) -> LabelMap:
    """uint16 [H, W]: n + 1 where mask n is on top, 0 without a mask; earlier masks cover later ones.

    Raises ValueError when there are more masks than numbers.

    >>> from service.types import Size
    >>> draw_labelmap(Runs(Size(2, 2), np.array([[0, 1], [0, 3]]), np.array([0, 1, 2])))
    array([[1, 2],
           [2, 0]], dtype=uint16)
    """
    if len(runs) > np.iinfo(np.uint16).max:
        raise ValueError(f"{len(runs)} masks do not fit 16 bits; ask for at most {np.iinfo(np.uint16).max}")
    pixels = np.zeros(runs.image.pixels, np.uint16)
    numbers = (runs.owners + 1).tolist()
    for (start, end), number in zip(reversed(runs.bounds.tolist()), reversed(numbers), strict=True):
        pixels[start:end] = number
    return np.ascontiguousarray(pixels.reshape(runs.image.width, runs.image.height).T)


CONVERTERS: Mapping[MaskFormat, Convert] = {  # to the forms that hold every pixel
    "rle": lambda runs, windows: runs_to_rles(runs),
    "rle_crop": runs_to_crops,
    "polygon": lambda runs, windows: _runs_to_polygons(runs),
}
