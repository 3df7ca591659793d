"""The instances cut out of their picture, as pixels with transparency."""

from collections.abc import Iterator

import cv2
import numpy as np

from service.inference.masks.forms import form_to_mask, forms_to_runs
from service.inference.masks.runs import enclose_runs
from service.types import Mask, Pixels, Segmentation


def cut_out(pixels: Pixels, found: Segmentation) -> Iterator[Pixels]:
    """Each instance on a transparent ground, in the smallest window around its mask: uint8 [h, w, 4] RGBA.

    pixels: the picture that was segmented, uint8 [H, W, 3] RGB. An instance of an empty mask gives one
    transparent pixel. Raises ValueError where the picture is another one, or an instance has no mask.
    """
    _check_size(pixels, found)
    masks = [instance.segmentation for instance in found.instances if instance.segmentation is not None]
    if len(masks) < len(found.instances):
        raise ValueError("an instance has no mask, and cut-outs are made of masks: ask for masks")
    windows = enclose_runs(forms_to_runs(masks, found.image)).tolist()
    for mask, (left, top, right, bottom) in zip(masks, windows, strict=True):
        window = slice(top, max(bottom, top + 1)), slice(left, max(right, left + 1))
        yield _add_alpha(pixels[window], form_to_mask(mask, found.image)[window])


def remove_background(pixels: Pixels, found: Segmentation) -> Pixels:
    """The picture, transparent where no instance is: uint8 [H, W, 4] RGBA.

    pixels: as for `cut_out`. Raises ValueError where the picture is another one.
    """
    _check_size(pixels, found)
    inside = np.zeros((found.image.height, found.image.width), bool)
    for instance in found.instances:
        if instance.segmentation is not None:
            inside |= form_to_mask(instance.segmentation, found.image)
    return _add_alpha(pixels, inside)


def encode_rgba(pixels: Pixels) -> bytes:
    """A PNG of uint8 [H, W, 4] RGBA."""
    order = cv2.cvtColor(pixels, cv2.COLOR_RGBA2BGRA)
    _, encoded = cv2.imencode(".png", order, (cv2.IMWRITE_PNG_COMPRESSION, 3))
    return encoded.tobytes()


def _add_alpha(pixels: Pixels, mask: Mask) -> Pixels:
    """RGBA; what is transparent is black, so that a viewer without transparency does not show it."""
    return np.dstack([pixels * mask[..., None], np.where(mask, 255, 0)]).astype(np.uint8)


def _check_size(pixels: Pixels, found: Segmentation) -> None:
    if pixels.shape != (found.image.height, found.image.width, 3):
        raise ValueError(f"the picture has shape {pixels.shape}, the segmentation is of {found.image}")
