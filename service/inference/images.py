"""Bytes to pixels, and pixels onto the canvas."""

from dataclasses import dataclass

import cv2
import numpy as np

from service.errors import ImageTooLarge, InvalidImage
from service.inference.image_headers import is_jpeg, is_png, read_size, strip_png
from service.types import Pixels, Placement, Size

PADDING = 127  # mid grey, what the networks see around an image in training

# Of OpenCV's flags for a reduction, those named after grey say nothing of colours, so that RGB can be added.
_FLAGS = {
    1: cv2.IMREAD_COLOR_RGB,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2 | cv2.IMREAD_COLOR_RGB,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4 | cv2.IMREAD_COLOR_RGB,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8 | cv2.IMREAD_COLOR_RGB,
}

# Images are worked on side by side, each on its own core.
cv2.setNumThreads(1)
# Whatever OpenCV has to say reaches the caller as InvalidImage. What libjpeg and libpng have to say of an
# image that is damaged they print on stderr, a line or two, and cannot be kept from it.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


@dataclass(frozen=True, slots=True)
class Limits:
    """How large an image may be; its pixels are counted from its header, before decoding."""

    max_bytes: int = 20_000_000
    max_pixels: int = 50_000_000

    def check_bytes(self, count: int) -> None:
        """Raises ImageTooLarge."""
        if count > self.max_bytes:
            raise ImageTooLarge(f"the image has {count} bytes, at most {self.max_bytes} are accepted")

    def check_pixels(self, size: Size) -> None:
        """Raises ImageTooLarge."""
        if size.pixels > self.max_pixels:
            raise ImageTooLarge(
                f"the image has {size.width} x {size.height} pixels, at most {self.max_pixels} are accepted"
            )


def decode_image(data: bytes, limits: Limits) -> Pixels:
    """The picture as it is meant to be seen: uint8 [H, W, 3] RGB, EXIF orientation applied.

    Grey, palette, CMYK and 16-bit images become 8-bit RGB; alpha is dropped, the colours stay as they are
    stored; of an animation the first frame is taken, of a PNG the picture for those who show no animations.

    Raises InvalidImage, ImageTooLarge.
    """
    _read_size(data, limits)
    return _decode(data, reduction=1)


def decode_for_canvas(data: bytes, limits: Limits, canvas: Size) -> tuple[Pixels, Size]:
    """The picture in a size that `letterbox` will only shrink, uint8 [h, w, 3], and its full size.

    A JPEG is decoded straight to a half, a quarter or an eighth, whichever still covers the canvas, in a part
    of the time (1280 x 720 to a quarter: 60 %); only where that divides its sides, so that no pixel is
    misplaced. Anything else is decoded as by `decode_image`, which also names what is raised.
    """
    stored = _read_size(data, limits)
    reduction = choose_reduction(stored, canvas) if is_jpeg(data) else 1
    pixels = _decode(data, reduction=reduction)
    return pixels, Size(pixels.shape[0] * reduction, pixels.shape[1] * reduction)


def choose_reduction(stored: Size, canvas: Size) -> int:
    """By how much a JPEG may be reduced for a canvas: 1, 2, 4 or 8, however it is turned by EXIF.

    >>> choose_reduction(Size(1080, 1920), Size(320, 320)), choose_reduction(Size(479, 641), Size(320, 320))
    (4, 1)
    """
    turned = Size(stored.width, stored.height)
    scale = max(_fit(stored, canvas), _fit(turned, canvas))
    for reduction in (8, 4, 2):
        divides = stored.height % reduction == stored.width % reduction == 0
        if divides and reduction * scale <= 1:
            return reduction
    return 1


def letterbox(pixels: Pixels, canvas: Size, image: Size | None = None) -> tuple[Pixels, Placement]:
    """The image shrunk or grown to fit the canvas: uint8 [H, W, 3], and where it lies there.

    Its aspect is kept to the rounding of a pixel; right of it and below is padding. `image` is its full size,
    where the pixels are those of a reduced one.

    >>> canvas, placement = letterbox(np.zeros((480, 640, 3), np.uint8), Size(320, 320))
    >>> canvas.shape, placement.placed
    ((320, 320, 3), Size(height=240, width=320))
    """
    image = image or Size(*pixels.shape[:2])
    scale = _fit(image, canvas)
    placed = Size(max(1, round(image.height * scale)), max(1, round(image.width * scale)))
    resized = cv2.resize(
        pixels,
        (placed.width, placed.height),
        interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR,
    )
    padded = cv2.copyMakeBorder(
        resized,
        top=0,
        bottom=canvas.height - placed.height,
        left=0,
        right=canvas.width - placed.width,
        borderType=cv2.BORDER_CONSTANT,
        value=(PADDING, PADDING, PADDING),
    )
    return padded, Placement(image, canvas, placed)  # type: ignore[return-value]  # uint8, as it came


def _read_size(data: bytes, limits: Limits) -> Size:
    """The stored size; raises InvalidImage, ImageTooLarge."""
    limits.check_bytes(len(data))
    size = read_size(data)
    limits.check_pixels(size)
    return size


def _decode(data: bytes, *, reduction: int) -> Pixels:
    if is_png(data):
        data = strip_png(data)
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), _FLAGS[reduction])
    except cv2.error as error:
        raise InvalidImage("the image cannot be decoded: it is corrupt") from error
    if pixels is None:
        raise InvalidImage("the image cannot be decoded: it is corrupt or of a rare kind")
    return pixels  # type: ignore[return-value]  # OpenCV's stubs leave the dtype open; IMREAD_COLOR is uint8


def _fit(image: Size, canvas: Size) -> float:
    """Canvas pixels per image pixel."""
    return min(canvas.height / image.height, canvas.width / image.width)
