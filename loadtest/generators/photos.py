"""Photos to send: a file, a folder as a mix, or samples that ship inside scikit-image."""

from pathlib import Path

import cv2
import skimage.data

from loadtest.types import CannotRun, Photo
from service.types import Size

_MAGIC = {
    "image/jpeg": b"\xff\xd8\xff",
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/bmp": b"BM",
    "image/gif": b"GIF8",
}
_SAMPLES = ("astronaut", "chelsea", "coffee")  # public domain
_SAMPLE_SIZE = Size(720, 1280)
_MIXED_SIZES = (Size(120, 160), Size(300, 200), Size(480, 640), Size(720, 1280), Size(1080, 1920))
_QUALITY = 90


def choose_photos(path: Path | None) -> tuple[Photo, ...]:
    """The photo at `path`, every image of that folder by name, or the samples when there is no path.

    Raises CannotRun when the path holds no image.
    """
    if path is None:
        return sample_photos()
    if not path.is_dir():
        return (load_photo(path),)
    files = sorted(file for file in path.iterdir() if file.is_file())
    photos = tuple(load_photo(file) for file in files if _sniff_file(file))
    if not photos:
        raise CannotRun(f"{path} holds no JPEG, PNG, WebP, BMP or GIF image")
    return photos


def load_photo(path: Path) -> Photo:
    """The photo in a file; raises CannotRun when the file is no image."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CannotRun(f"cannot read {path}: {error.strerror}") from error
    media_type = sniff_media_type(data)
    if media_type is None:
        raise CannotRun(f"{path} is not a JPEG, PNG, WebP, BMP or GIF image")
    return Photo(path.name, media_type, data)


def sniff_media_type(data: bytes) -> str | None:
    """The media type of an image by its first bytes, or None.

    >>> sniff_media_type(b"RIFF\\0\\0\\0\\0WEBPVP8 ")
    'image/webp'
    """
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((name for name, magic in _MAGIC.items() if data.startswith(magic)), None)


def sample_photos() -> tuple[Photo, ...]:
    """A person, a cat and a cup at 1280 x 720, as JPEG."""
    return tuple(Photo(f"{name}.jpg", "image/jpeg", draw_sample(_SAMPLE_SIZE, name)) for name in _SAMPLES)


def draw_sample(size: Size, name: str = "coffee") -> bytes:
    """One of the samples at any size, as JPEG."""
    pixels = cv2.cvtColor(getattr(skimage.data, name)(), cv2.COLOR_RGB2BGR)
    resized = cv2.resize(pixels, (size.width, size.height), interpolation=cv2.INTER_CUBIC)
    done, data = cv2.imencode(".jpg", resized, (cv2.IMWRITE_JPEG_QUALITY, _QUALITY))
    assert done, "OpenCV writes JPEG"
    return bytes(data)


def mixed_photos() -> tuple[Photo, ...]:
    """Photos of many sizes."""
    return tuple(Photo(f"{size.width}.jpg", "image/jpeg", draw_sample(size)) for size in _MIXED_SIZES)


def with_broken(photos: tuple[Photo, ...]) -> tuple[Photo, ...]:
    """The photos twice, then three files that no server can decode: truncated, empty, not an image.

    >>> photo = Photo("a.jpg", "image/jpeg", b"whole")
    >>> [each.name for each in with_broken((photo,))]
    ['a.jpg', 'a.jpg', 'cut.jpg', 'empty.png', 'words.txt']
    """
    whole = photos[0].data
    broken = (
        Photo("cut.jpg", "image/jpeg", whole[: len(whole) // 2]),
        Photo("empty.png", "image/png", b""),
        Photo("words.txt", "text/plain", b"no picture"),
    )
    return (*photos, *photos, *broken)


def _sniff_file(path: Path) -> str | None:
    with path.open("rb") as stream:
        return sniff_media_type(stream.read(16))
