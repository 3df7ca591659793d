"""An image's pixels onto the network's canvas, by the rules on the model's card."""

import cv2

from service.inference.card import Input
from service.inference.images import Picture, fit_scale
from service.types import Pixels, Placement, Size


def letterbox(
    pixels: Pixels, canvas: Size, image: Size | None = None, *, reduction: int = 1
) -> tuple[Pixels, Placement]:
    """The image as our own networks take it, uint8 [H, W, 3], and its placement on the canvas.

    The aspect is kept to the rounding of a pixel; the padding is on the right and below. `image` and
    `reduction` are those of a `Picture` that is not full size.

    >>> import numpy as np
    >>> canvas, placement = letterbox(np.zeros((480, 640, 3), np.uint8), Size(320, 320))
    >>> canvas.shape, placement.placed
    ((320, 320, 3), Size(height=240, width=320))
    """
    covered = Size(pixels.shape[0] * reduction, pixels.shape[1] * reduction)
    rule = Input(height=canvas.height, width=canvas.width)
    return place_picture(Picture(pixels, image or covered, reduction), rule)


def place_picture(picture: Picture, rule: Input) -> tuple[Pixels, Placement]:
    """The picture as the card's network takes it, uint8 [H, W, 3], and its placement on the canvas.

    With `as_is` the canvas is the picture itself.
    """
    if rule.fit == "as_is":
        return picture.pixels, Placement(picture.image, picture.image, picture.image)
    canvas = Size(rule.height, rule.width)
    height, width = picture.pixels.shape[:2]
    covered = Size(height * picture.reduction, width * picture.reduction)
    placed = canvas if rule.fit == "stretch" else _keep_aspect(covered, canvas)
    placement = Placement(
        picture.image,
        canvas,
        placed,
        covered,
        left=_lead(canvas.width - placed.width, rule),
        top=_lead(canvas.height - placed.height, rule),
    )
    shrinks = placed.height < covered.height or placed.width < covered.width
    resized = cv2.resize(
        picture.pixels,
        (placed.width, placed.height),
        interpolation=cv2.INTER_AREA if rule.interpolation == "area" and shrinks else cv2.INTER_LINEAR,
    )
    return _pad(resized, placement, rule.padding), placement  # type: ignore[arg-type]  # uint8, as it came


def _keep_aspect(covered: Size, canvas: Size) -> Size:
    """The size of the whole image on the canvas, rounded half to even."""
    scale = fit_scale(covered, canvas)
    return Size(max(1, round(covered.height * scale)), max(1, round(covered.width * scale)))


def _lead(rest: int, rule: Input) -> int:
    """The padding before the image, of `rest` pixels before and after it.

    >>> [_lead(rest, Input(height=32, width=32, anchor="centre")) for rest in (0, 1, 2, 3)]
    [0, 0, 1, 1]
    """
    return rest // 2 if rule.anchor == "centre" else 0


def _pad(resized: Pixels, placement: Placement, padding: int) -> Pixels:
    canvas, placed = placement.canvas, placement.placed
    return cv2.copyMakeBorder(  # type: ignore[return-value]  # uint8, as it came
        resized,
        top=placement.top,
        bottom=canvas.height - placed.height - placement.top,
        left=placement.left,
        right=canvas.width - placed.width - placement.left,
        borderType=cv2.BORDER_CONSTANT,
        value=(padding, padding, padding),
    )
