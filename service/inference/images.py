"""Encoded images to pixels."""

from dataclasses import dataclass

import cv2
import numpy as np

from service.errors import ImageTooLarge, InvalidImage, InvalidOption, OutOfMemory
from service.inference import jpeg
from service.inference.heif import decode_heic, turn
from service.inference.image_headers import ImageHeader, keep_picture, read_header
from service.types import Pixels, Size, Tiles

# Of OpenCV's reduction flags those of grey leave the colours open, so that RGB can be added to them.
_FLAGS = {
    1: cv2.IMREAD_COLOR_RGB,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2 | cv2.IMREAD_COLOR_RGB,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4 | cv2.IMREAD_COLOR_RGB,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8 | cv2.IMREAD_COLOR_RGB,
}
_MEMORY_PER_PIXEL = 12  # bytes, the most that a decoder here needs at a time
_NOISE = bytes(254 - value * 151 % 255 for value in range(4096))  # without a marker; begins with seven ones


def _configure_opencv() -> None:
    """One thread for each image, and no messages: what OpenCV says reaches the caller as InvalidImage.

    libjpeg and libpng print a line or two about a damaged image on stderr, and nothing can keep them from it.
    """
    cv2.setNumThreads(1)
    levels = getattr(cv2.utils, "logging", None)  # OpenCV 4.11 has none, OpenCV 5 has no `setLogLevel`
    if levels is None:
        cv2.setLogLevel(0)  # type: ignore[attr-defined]  # the stubs are those of OpenCV 5
    else:
        levels.setLogLevel(levels.LOG_LEVEL_SILENT)


_configure_opencv()


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest image that is accepted; pixels are counted from its header, before decoding.

    max_tiles: tiles into which one image may be cut; 0: none.
    """

    max_bytes: int = 20_000_000
    max_pixels: int = 50_000_000
    max_tiles: int = 32

    def check_bytes(self, count: int) -> None:
        """Raises ImageTooLarge."""
        if count > self.max_bytes:
            raise ImageTooLarge(f"the image has {count} bytes, at most {self.max_bytes} are accepted")

    def count_tiles(self, asked: Tiles) -> int:
        """The most tiles of an image; raises InvalidOption where more are asked for, or none may be."""
        if asked == "auto" and self.max_tiles:
            return self.max_tiles
        if asked == "auto" or not 1 <= asked <= self.max_tiles:
            expected = f'"auto" or 1 to {self.max_tiles}' if self.max_tiles else "no tiles on this service"
            raise InvalidOption(f"tiles is {asked}, expected {expected}")
        return asked

    def check_pixels(self, size: Size) -> None:
        """Raises ImageTooLarge."""
        if size.pixels > self.max_pixels:
            raise ImageTooLarge(
                f"the image has {size.width} x {size.height} pixels, at most {self.max_pixels} are accepted"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A decoded image, possibly reduced.

    pixels: uint8 [h, w, 3] RGB, EXIF orientation applied.
    image: the size of the full image, EXIF orientation applied.
    reduction: image pixels per pixel, each way; the last row and column may reach over the image's edge.
    """

    pixels: Pixels
    image: Size
    reduction: int = 1


def decode_image(data: bytes, limits: Limits) -> Pixels:
    """The full image with its EXIF orientation applied: uint8 [H, W, 3] RGB.

    Grey, palette, CMYK and 16-bit images become 8-bit RGB. Alpha is dropped, and the stored colours stay. Of
    an animation the first frame is taken, of an animated PNG the picture for programs that show no animation.
    A JPEG may lack its end marker, as some cameras' do, where all of its rows are there.

    Raises InvalidImage, ImageTooLarge, OutOfMemory.
    """
    return _decode(data, _read_header(data, limits), reduction=1)


def decode_for_canvas(data: bytes, limits: Limits, canvas: Size) -> Picture:
    """The image in a size that a letterbox will only shrink; raises as `decode_image`.

    A JPEG is decoded straight to a half, a quarter or an eighth of its size where that still covers the
    canvas, which is faster (1280 x 720 to a quarter: 60 % of the time). Other formats are decoded in full.
    """
    header = _read_header(data, limits)
    is_jpeg = header.format == "JPEG"
    reduction = choose_reduction(header.size, canvas, upright=header.upright) if is_jpeg else 1
    pixels = _decode(data, header, reduction=reduction)
    if reduction > 1 and header.upright:
        return Picture(pixels, header.size, reduction)
    return Picture(pixels, Size(pixels.shape[0] * reduction, pixels.shape[1] * reduction), reduction)


def choose_reduction(stored: Size, canvas: Size, *, upright: bool) -> int:
    """The largest reduction of a JPEG that still covers the canvas: 1, 2, 4 or 8.

    A JPEG that EXIF turns is only reduced where that divides its sides. Otherwise the partial pixel at its
    right or lower edge would end up at the left or upper one, and shift the picture.

    >>> canvas = Size(320, 320)
    >>> [choose_reduction(Size(3001, 4001), canvas, upright=upright) for upright in (True, False)]
    [8, 1]
    """
    turned = Size(stored.width, stored.height)
    scale = max(fit_scale(stored, canvas), fit_scale(turned, canvas))
    for reduction in (8, 4, 2):
        divides = stored.height % reduction == stored.width % reduction == 0
        if (upright or divides) and reduction * scale <= 1:
            return reduction
    return 1


def fit_scale(image: Size, canvas: Size) -> float:
    """Canvas pixels per image pixel, where the whole image just fits the canvas."""
    return min(canvas.height / image.height, canvas.width / image.width)


def _read_header(data: bytes, limits: Limits) -> ImageHeader:
    """Raises InvalidImage, ImageTooLarge."""
    limits.check_bytes(len(data))
    header = read_header(data)
    limits.check_pixels(header.size)
    return header


def _decode(data: bytes, header: ImageHeader, *, reduction: int) -> Pixels:
    if header.format == "HEIC":
        pixels = decode_heic(data)
    else:
        data = keep_picture(data, header) if header.ended else _end_jpeg(data, header.size)
        pixels = _decode_bytes(data, _FLAGS[reduction], header.size)
    if pixels is None:
        raise InvalidImage("the image cannot be decoded: it is corrupt, or OpenCV cannot read its kind here")
    return pixels if header.format != "AVIF" or header.container is None else turn(pixels, header.container)


def _end_jpeg(data: bytes, size: Size) -> bytes:
    """A JPEG with the end marker that it lacks; raises InvalidImage where pixels are missing, too.

    libjpeg takes zeros for data that are missing. Noise behind the data changes the pixels that need them.
    """
    data = data.rstrip(b"\xff")  # with what follows it would make a marker
    decoded = [_decode_bytes(data + more + jpeg.END, _FLAGS[1], size) for more in (b"", _NOISE)]
    if decoded[0] is None or decoded[1] is None or not np.array_equal(decoded[0], decoded[1]):
        raise jpeg.truncated()
    return data + jpeg.END


def _decode_bytes(data: bytes, flags: int, size: Size) -> Pixels | None:
    """The pixels, or None where OpenCV cannot decode them; raises OutOfMemory."""
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except (cv2.error, MemoryError):
        pixels = None
    if pixels is None:
        _check_memory(size)
    return pixels  # type: ignore[return-value]  # OpenCV's stubs leave the dtype open; IMREAD_COLOR is uint8


def _check_memory(size: Size) -> None:
    """Raises OutOfMemory where there is less than a decoder may need: it does not tell why it fails."""
    try:
        np.empty(size.pixels * _MEMORY_PER_PIXEL, np.uint8)
    except MemoryError as error:
        raise OutOfMemory(
            f"the service has too little memory left for an image of {size.width} x {size.height} pixels"
        ) from error
