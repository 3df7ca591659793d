"""Photos for whoever brings none: public-domain ones that ship inside scikit-image."""

import cv2
import skimage.data

from loadtest.clients import Photo
from service.types import Size

_NAMES = ("astronaut", "chelsea", "coffee")
_USUAL = Size(720, 1280)
_QUALITY = 90


def sample_photos() -> tuple[Photo, ...]:
    """A person, a cat and a cup at 1280 x 720, as JPEG."""
    return tuple(Photo(f"{name}.jpg", "image/jpeg", draw_sample(_USUAL, name)) for name in _NAMES)


def draw_sample(size: Size, name: str = "coffee") -> bytes:
    """One of them at any size, as JPEG."""
    pixels = cv2.cvtColor(getattr(skimage.data, name)(), cv2.COLOR_RGB2BGR)
    resized = cv2.resize(pixels, (size.width, size.height), interpolation=cv2.INTER_CUBIC)
    done, data = cv2.imencode(".jpg", resized, (cv2.IMWRITE_JPEG_QUALITY, _QUALITY))
    assert done, "OpenCV writes JPEG"
    return bytes(data)
