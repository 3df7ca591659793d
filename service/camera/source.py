"""Sources of pictures: the interface of all of them, and folders of image files."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from service.serving.streaming import RawImage

SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif"))
FOLDER_FPS = 1.0  # of a video that is made of a folder's pictures


class SourceLost(Exception):
    """The source cannot be opened, or it stops before its end; the text is one line."""


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture; `time` is its position in a recording in seconds, None for a picture of now."""

    picture: bytes | RawImage
    time: float | None = None


class Capture(Protocol):
    """An open source. Its methods block, and any thread may call them."""

    @property
    def fps(self) -> float | None:
        """Pictures per second; None where the source does not say."""
        ...

    def read(self) -> Shot | None:
        """The next picture, None at the end; raises SourceLost."""
        ...

    def close(self) -> None:
        """Release the source."""
        ...


class Source(Protocol):
    """Something that can be opened, and opened again after it was lost.

    name: for people and topics, without secrets.
    distinct: the name differs from that of every other source.
    files: the files that are read. No output may overwrite them.
    live: it has no end, so it is opened again when it breaks off, and its newest picture matters most.
    timed: its pictures have times of their own; those of a folder have none.
    """

    @property
    def name(self) -> str: ...
    @property
    def distinct(self) -> bool: ...
    @property
    def files(self) -> tuple[Path, ...]: ...
    @property
    def live(self) -> bool: ...
    @property
    def timed(self) -> bool: ...
    def title(self, frame_id: int) -> str | None:
        """The name of one picture, None where pictures have no names."""
        ...

    def open(self) -> Capture:
        """Raises SourceLost."""
        ...


@dataclass(frozen=True, slots=True)
class Folder:
    """The image files of one folder, in the order of their names."""

    path: Path
    files: tuple[Path, ...]
    live: bool = False
    timed: bool = False
    distinct: bool = True

    @property
    def name(self) -> str:
        return self.path.resolve().name

    def title(self, frame_id: int) -> str:
        return str(self.files[frame_id])

    def open(self) -> "FolderCapture":
        return FolderCapture(self.files)


class FolderCapture:
    """Gives every file undecoded: the server says which of them is no image."""

    fps = FOLDER_FPS

    def __init__(self, paths: tuple[Path, ...]) -> None:
        self._paths: Iterator[Path] = iter(paths)

    def read(self) -> Shot | None:
        path = next(self._paths, None)
        if path is None:
            return None
        try:
            return Shot(path.read_bytes())
        except OSError:  # deleted or unreadable: the server answers that the image is empty
            return Shot(b"")

    def close(self) -> None:
        pass


def list_images(folder: Path) -> tuple[Path, ...]:
    """The image files of a folder by name; raises SourceLost where there are none or it cannot be read."""
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    except OSError as error:
        raise SourceLost(f"{folder} cannot be read: {(error.strerror or str(error)).lower()}") from error
    if not paths:
        raise SourceLost(f"{folder} has no images: {', '.join(sorted(SUFFIXES))}")
    return tuple(paths)
