"""The photos to send: one file, or a folder as a mix."""

from pathlib import Path

from loadtest.clients.base import Photo
from loadtest.errors import CannotRun

_MEDIA_TYPES = {
    "image/jpeg": b"\xff\xd8\xff",
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/bmp": b"BM",
    "image/gif": b"GIF8",
}


def load_photos(path: Path) -> tuple[Photo, ...]:
    """The photo at `path`, or every one in that folder by name; clients send them in turn.

    Raises CannotRun when there is none.
    """
    if not path.is_dir():
        return (load_photo(path),)
    files = sorted(file for file in path.iterdir() if file.is_file())
    photos = tuple(load_photo(file) for file in files if _sniff_file(file))
    if not photos:
        raise CannotRun(f"{path} holds no JPEG, PNG, WebP, BMP or GIF image")
    return photos


def sniff_media_type(data: bytes) -> str | None:
    """The media type that an image's first bytes tell, or None.

    >>> sniff_media_type(b"RIFF\\0\\0\\0\\0WEBPVP8 ")
    'image/webp'
    """
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((name for name, magic in _MEDIA_TYPES.items() if data.startswith(magic)), None)


def load_photo(path: Path) -> Photo:
    """The photo in a file; raises CannotRun when it is none."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CannotRun(f"cannot read {path}: {error.strerror}") from error
    media_type = sniff_media_type(data)
    if media_type is None:
        raise CannotRun(f"{path} is not a JPEG, PNG, WebP, BMP or GIF image")
    return Photo(path.name, media_type, data)


def _sniff_file(path: Path) -> str | None:
    with path.open("rb") as stream:
        return sniff_media_type(stream.read(16))
