"""Picture files of a data set: where they are, how large they are, and their pixels as a viewer sees them.

A camera may store a picture turned and say so in EXIF. Training, evaluation and the service all use the
upright picture.
"""

import re
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from os.path import relpath
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import cv2
import numpy as np
from PIL import Image

from service.errors import InvalidImage
from service.inference.image_headers import has_signature
from service.inference.images import Limits, decode_image
from service.types import Pixels, Size

ORIENTATION = 0x0112  # the EXIF tag
SWAPPED = frozenset({5, 6, 7, 8})  # orientations whose upright picture is as wide as the stored one is high
UPLOADED = re.compile(r"[0-9a-f]{8}-(?=.)")  # Label Studio puts it before the name of an uploaded file


NO_LIMITS = Limits(max_bytes=2**62, max_pixels=2**62)


class PictureFailed(ValueError):
    """A picture cannot be prepared; the message names its file and the reason."""


@dataclass(frozen=True, slots=True)
class PictureHeader:
    """stored: the size of the pixels in the file. orientation: of EXIF, 1 to 8; 1 if there is none."""

    stored: Size
    orientation: int

    @property
    def upright(self) -> Size:
        turned = Size(self.stored.width, self.stored.height)
        return turned if self.orientation in SWAPPED else self.stored


def read_header(path: Path) -> PictureHeader:
    """The header of a picture file; raises PictureFailed if it is empty or is not an image."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                is_plain = image.format == "PNG" and "exif" not in image.info
                # Pillow decodes a whole PNG to look for EXIF data behind its pixels
                orientation: Any = 1 if is_plain else image.getexif().get(ORIENTATION)
                size = Size(image.height, image.width)
    except Exception as error:  # Pillow's readers raise many kinds for damaged files
        raise PictureFailed(f"{path} is missing or is not an image") from error
    is_known = isinstance(orientation, int) and 1 <= orientation <= 8
    return PictureHeader(size, orientation if is_known else 1)


def read_image(path: Path) -> Pixels:
    """An image file as RGB, uint8 [H, W, 3], upright by its EXIF orientation; raises PictureFailed.

    The service's own decoder reads it, if it knows the format: it also refuses pictures that are cut off.
    """
    try:
        data = path.read_bytes()
        if has_signature(data):
            return decode_image(data, NO_LIMITS)
    except (OSError, InvalidImage) as error:
        raise PictureFailed(f"{path} is missing or is not an image: {error}") from error
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if pixels is None:
        raise PictureFailed(f"{path} is missing or is not an image")
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def turn_upright(pixels: Pixels, orientation: int) -> Pixels:
    """Stored pixels, [H, W] or [H, W, C], as EXIF's orientation says that they are to be seen."""
    if orientation in SWAPPED:
        pixels = pixels.swapaxes(0, 1)
    rows = slice(None, None, -1 if orientation in (3, 4, 7, 8) else 1)
    columns = slice(None, None, -1 if orientation in (2, 3, 6, 7) else 1)
    return np.ascontiguousarray(pixels[rows, columns])


@dataclass(frozen=True)
class PictureFinder:
    """Finds the file of a name in an annotation file; folders: first that of the pictures."""

    folders: Sequence[Path]
    found: dict[str, str | None] = field(default_factory=dict)

    def find(self, name: str) -> str | None:
        """The file's path relative to the first folder; None if there is none, or several may be meant."""
        if name not in self.found:
            self.found[name] = self._find(name)
        return self.found[name]

    def _find(self, name: str) -> str | None:
        if _is_file(self.folders[0] / name):
            return name
        for candidate in _spell_names(name):
            for folder in self.folders:
                if _is_file(path := folder / candidate):
                    return relpath(path, self.folders[0])
        return self._find_bare(PurePosixPath(list(_spell_names(name))[-1]).name)

    def _find_bare(self, name: str) -> str | None:
        """The only file of this name below the folders, in any case, with or without an upload's prefix."""
        for spelling in (name, UPLOADED.sub("", name, count=1)):
            paths = self._files.get(spelling.casefold(), ())
            if len(paths) == 1:
                return relpath(paths[0], self.folders[0])
        return None

    @cached_property
    def _files(self) -> dict[str, list[Path]]:
        files: defaultdict[str, list[Path]] = defaultdict(list)
        for path in {path for folder in self.folders for path in folder.rglob("*") if path.is_file()}:
            files[path.name.casefold()].append(path)
        return files

    def describe(self) -> str:
        return " and ".join(dict.fromkeys(map(str, self.folders)))


def _spell_names(name: str) -> Iterator[str]:
    """The ways to read a name: with backslashes, as an address, and without its first folders.

    >>> list(_spell_names("images\\\\a.jpg"))
    ['images/a.jpg', 'a.jpg']
    >>> list(_spell_names("/data/local-files/?d=set/a%20b.jpg"))
    ['set/a b.jpg', 'a b.jpg']
    """
    path = name.replace("\\", "/")
    if "://" in path or "?" in path:
        address = urlsplit(path)
        path = unquote(parse_qs(address.query).get("d", [address.path])[0])
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    for start in range(len(parts)):
        yield "/".join(parts[start:])
    if not parts:
        yield path


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, or holds a zero
        return False
