"""The pictures of a job, always in the same order: files, folders, patterns, archives, videos."""

import itertools
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import cv2
import orjson

from service.batch.stores import Store, has_pattern, open_store
from service.camera.source import SUFFIXES, SourceLost
from service.camera.video import VideoFile
from service.errors import InvalidImage, InvalidOption
from service.frames import RawImage
from service.serving.repository import make_printable

TAR = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
VIDEO = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts")

Load: TypeAlias = Callable[[], bytes | RawImage]


@dataclass(frozen=True, slots=True)
class Item:
    """One picture: its name and number in the output, and the function that reads it, in any thread.

    `load` raises InvalidImage where this picture cannot be read, and OSError where the store has a fault.
    """

    name: str
    image_id: int
    load: Load


@dataclass(frozen=True, slots=True)
class Source:
    """The pictures of `place`, a path or URL.

    most_bytes: the largest picture that is accepted; of a larger one, one byte more is read.
    ids: the pictures that are wanted, with their numbers; None: all, which are numbered from 1.
    """

    place: str
    most_bytes: int
    ids: Mapping[str, int] | None = None

    def items(self) -> Iterator[Item]:
        """Every picture, in the same order each time.

        The names are relative to `place` where that is a folder. In the names of archives and videos that a
        pattern has found, the name of the file comes first. Raises InvalidOption where a file is no picture
        and holds none, or where an archive or video is damaged.
        """
        for number, (found, load) in enumerate(self._list(), 1):
            name = make_printable(found)
            if self.ids is None:
                yield Item(name, number, load)
            elif name in self.ids:
                yield Item(name, self.ids[name], load)

    def count(self) -> int | None:
        """The number of pictures; None where only reading everything would tell."""
        if self.ids is not None:
            return len(self.ids)
        store = open_store(self.place)
        if store.is_folder(self.place):
            return sum(1 for _ in self._list_folder(store))
        kinds = [_find_kind(file) for file in store.find(self.place)]
        if kinds == ["video"] and "://" not in self.place:
            return int(cv2.VideoCapture(self.place).get(cv2.CAP_PROP_FRAME_COUNT)) or None
        return len(kinds) if set(kinds) <= {"picture"} else None

    def _list(self) -> Iterator[tuple[str, Load]]:
        store = open_store(self.place)
        if store.is_folder(self.place):
            yield from self._list_folder(store)
            return
        several = has_pattern(self.place)
        for file in store.find(self.place):
            yield from self._expand(store, file, several=several)

    def _list_folder(self, store: Store) -> Iterator[tuple[str, Load]]:
        root = store.root(self.place)
        for file in store.find(self.place):
            if _find_kind(file) == "picture":
                yield file.removeprefix(root), partial(self._read, store, file)

    def _expand(self, store: Store, file: str, *, several: bool) -> Iterator[tuple[str, Load]]:
        """The pictures of one file."""
        prefix = f"{file}/" if several else ""
        match _find_kind(file):
            case "picture":
                yield file, partial(self._read, store, file)
            case "tar":
                yield from self._read_tar(store, file, prefix)
            case "zip":
                yield from self._read_zip(store, file, prefix)
            case "video":
                yield from _read_video(store, file, prefix)
            case _ if not several:
                raise InvalidOption(f"{file} is no picture, archive, video or folder")

    def _read(self, store: Store, file: str) -> bytes:
        try:
            with store.open(file) as opened:
                return opened.read(self.most_bytes + 1)
        except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
            raise InvalidImage(f"cannot be read: {(error.strerror or str(error)).lower()}") from error

    def _read_tar(self, store: Store, file: str, prefix: str) -> Iterator[tuple[str, Load]]:
        with (
            _raise_damage(file),
            store.open(file) as opened,
            tarfile.open(fileobj=opened, mode="r|*") as archive,
        ):
            for member in archive:
                archive.members.clear()  # type: ignore[attr-defined]  # it would remember them all
                if member.isfile() and _find_kind(member.name) == "picture":
                    content = archive.extractfile(member)
                    assert content is not None  # it is a file
                    yield prefix + member.name, partial(bytes, content.read(self.most_bytes + 1))

    def _read_zip(self, store: Store, file: str, prefix: str) -> Iterator[tuple[str, Load]]:
        with _raise_damage(file), store.open(file) as opened, zipfile.ZipFile(opened) as archive:
            for member in archive.infolist():
                if _find_kind(member.filename) == "picture":
                    yield prefix + member.filename, self._read_member(archive, member)

    def _read_member(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Load:
        """Gives what it has read, because the archive is closed after its last picture."""
        try:
            with archive.open(member) as content:
                return partial(bytes, content.read(self.most_bytes + 1))
        except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError) as error:  # or encrypted
            return partial(_refuse, f"cannot be read from the archive: {error}")


def read_ids(path: Path) -> dict[str, int]:
    """The numbers of the pictures of a COCO data set, by their file names; raises InvalidOption."""
    try:
        content = orjson.loads(path.read_bytes())
        return {str(image["file_name"]): int(image["id"]) for image in content["images"]}
    except OSError as error:
        raise InvalidOption(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from error
    except (ValueError, TypeError, KeyError) as error:
        raise InvalidOption(
            f"{path} is no COCO data set: `images` with `file_name` and `id` is expected ({error})"
        ) from error


def _find_kind(file: str) -> str:
    """The kind of a file by the end of its name: picture, tar, zip, video or other.

    >>> _find_kind("photos.TAR.GZ"), _find_kind("__MACOSX/._a.jpg")
    ('tar', 'other')
    """
    name = file.lower()
    if Path(name).name.startswith("."):
        return "other"
    if name.endswith(TAR):
        return "tar"
    if name.endswith(VIDEO):
        return "video"
    suffix = Path(name).suffix
    return "picture" if suffix in SUFFIXES else suffix.removeprefix(".") if suffix == ".zip" else "other"


def _refuse(reason: str) -> bytes:
    raise InvalidImage(reason)


def _read_video(store: Store, file: str, prefix: str) -> Iterator[tuple[str, Load]]:
    """The frames of a video, named by their numbers from 0."""
    try:
        with store.local(file) as path:
            capture = VideoFile(path).open()
            for number in itertools.count():
                shot = capture.read()
                if shot is None:
                    return
                yield f"{prefix}frame-{number:06d}", partial(_give, shot.picture)
    except SourceLost as error:
        raise InvalidOption(str(error)) from error


def _give(picture: bytes | RawImage) -> bytes | RawImage:
    return picture


@contextmanager
def _raise_damage(file: str) -> Iterator[None]:
    """Raises InvalidOption in place of what the archive's reader raises."""
    try:
        yield
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise InvalidOption(f"{file} is damaged, and cannot be read to its end: {error}") from error
    except OSError as error:
        raise InvalidOption(f"{file} cannot be read: {(error.strerror or str(error)).lower()}") from error
