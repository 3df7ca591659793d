"""The forms in which masks are answered: from runs, and back to them."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias, assert_never

import numpy as np

from service.inference.masks.crops import crop_to_runs, runs_to_crops
from service.inference.masks.grid import place_windows
from service.inference.masks.polygons import polygon_to_runs, runs_to_polygons
from service.inference.masks.rle import rles_to_runs, runs_to_rles
from service.inference.masks.runs import Runs, trace_runs
from service.types import Instances, Ints, Mask, MaskForm, MaskFormat, Placement, Polygon, Rle, RleCrop, Size

Masked: TypeAlias = tuple[MaskForm, int] | tuple[None, None]
Convert: TypeAlias = Callable[[Runs, Ints], Sequence[MaskForm]]


def describe_masks(instances: Instances, placement: Placement, masks: MaskFormat) -> Sequence[Masked]:
    """Mask and area in pixels of each instance, nothing of either where none are wanted."""
    if masks == "none":
        return [(None, None)] * len(instances)
    if len(instances) == 0:
        return []
    windows = place_windows(instances, placement)
    runs = trace_runs(instances, placement, windows)
    return list(zip(CONVERTERS[masks](runs, windows), runs.areas().tolist(), strict=True))


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


CONVERTERS: Mapping[MaskFormat, Convert] = {
    "rle": lambda runs, windows: runs_to_rles(runs),
    "rle_crop": runs_to_crops,
    "polygon": lambda runs, windows: _runs_to_polygons(runs),
}
