"""Pictures in a folder, as they lie there."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from service.camera.source import Shot, SourceLost

SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif"))
PER_SECOND = 1.0  # in a video of them


@dataclass(frozen=True, slots=True)
class Folder:
    """Image files of one folder."""

    path: Path
    files: tuple[Path, ...]
    live: bool = False
    timed: bool = False

    @property
    def name(self) -> str:
        return self.path.resolve().name

    def title(self, frame_id: int) -> str:
        return str(self.files[frame_id])

    def open(self) -> "FolderCapture":
        return FolderCapture(self.files)


class FolderCapture:
    """Every file as it is: whether it holds an image the server will say."""

    fps = PER_SECOND

    def __init__(self, paths: tuple[Path, ...]) -> None:
        self._paths: Iterator[Path] = iter(paths)

    def read(self) -> Shot | None:
        path = next(self._paths, None)
        if path is None:
            return None
        try:
            return Shot(path.read_bytes())
        except OSError:  # gone, or not ours to read; the server answers that it is empty
            return Shot(b"")

    def close(self) -> None:
        pass


def list_images(folder: Path) -> tuple[Path, ...]:
    """The images of a folder by name; raises SourceLost when there are none, or it cannot be read."""
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    except OSError as error:
        raise SourceLost(f"{folder} cannot be read: {(error.strerror or str(error)).lower()}") from error
    if not paths:
        raise SourceLost(f"{folder} has no images: {', '.join(sorted(SUFFIXES))}")
    return tuple(paths)
