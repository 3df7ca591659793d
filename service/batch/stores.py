"""Places with files: this machine, and object stores through fsspec."""

import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from service.errors import InvalidOption

GLOB = frozenset("*?[")


class Store(Protocol):
    """A place with files; its methods may be called from any thread."""

    def is_folder(self, place: str) -> bool: ...

    def find(self, place: str) -> Iterator[str]:
        """The files below a folder, the files that a pattern fits, or the one file of that name.

        They come in a fixed order. Names that begin with a dot are left out of folders.
        """
        ...

    def root(self, folder: str) -> str:
        """The text with which the names of all files below the folder begin."""
        ...

    def open(self, file: str) -> IO[bytes]:
        """The file, opened to be read from its beginning to its end, or at any place."""
        ...

    @contextmanager
    def local(self, file: str) -> Iterator[Path]:
        """The file as one of this machine."""
        ...

    def has(self, file: str) -> bool: ...

    def write(self, content: Path, file: str) -> None:
        """Move a file of this machine to its place; nobody sees half of it there."""
        ...


class LocalStore:
    """The files of this machine."""

    def is_folder(self, place: str) -> bool:
        return Path(place).is_dir()

    def find(self, place: str) -> Iterator[str]:
        if self.is_folder(place):
            yield from _walk(place)
        elif Path(place).exists() or not has_pattern(place):
            yield place
        else:
            yield from sorted(filter(os.path.isfile, glob.iglob(place, recursive=True)))  # noqa: PTH207  # any root

    def root(self, folder: str) -> str:
        return os.path.join(folder, "")  # noqa: PTH118  # with a separator at its end

    def open(self, file: str) -> IO[bytes]:
        return Path(file).open("rb")

    @contextmanager
    def local(self, file: str) -> Iterator[Path]:
        yield Path(file)

    def has(self, file: str) -> bool:
        return Path(file).exists()

    def write(self, content: Path, file: str) -> None:
        content.replace(file)


def _walk(folder: str) -> Iterator[str]:
    """The files below a folder; remembers the names of one folder at a time."""
    with os.scandir(folder) as found:
        entries = sorted((each.name, each.is_dir()) for each in found if not each.name.startswith("."))
    for name, is_folder in entries:
        path = os.path.join(folder, name)  # noqa: PTH118  # as a Path it would cost more than reading the file
        if is_folder:
            yield from _walk(path)
        else:
            yield path


class ObjectStore:
    """The files of an object store; their names lack the store's protocol."""

    def __init__(self, url: str) -> None:
        """Raises InvalidOption for an unknown kind of store, or one whose package is missing."""
        try:
            from fsspec.core import url_to_fs

            self._files, _ = url_to_fs(url, use_listings_cache=False)
        except (ImportError, ValueError) as error:
            raise InvalidOption(f"{url}: {error}; the extra `batch` brings fsspec and S3") from error

    def is_folder(self, place: str) -> bool:
        with _raise_os_error(place):
            return bool(self._files.isdir(place))

    def find(self, place: str) -> Iterator[str]:
        if self.is_folder(place):
            root = self.root(place)
            with _raise_os_error(place):
                found = sorted(self._files.find(place))
            yield from (file for file in found if "/." not in f"/{file.removeprefix(root)}")
        elif has_pattern(place):
            with _raise_os_error(place):
                found = sorted(self._files.glob(place))
            yield from found
        else:
            yield str(self._files._strip_protocol(place))

    def root(self, folder: str) -> str:
        return str(self._files._strip_protocol(folder)).rstrip("/") + "/"

    def open(self, file: str) -> IO[bytes]:
        with _raise_os_error(file):
            opened: IO[bytes] = self._files.open(file, "rb")
            return opened

    @contextmanager
    def local(self, file: str) -> Iterator[Path]:
        with tempfile.NamedTemporaryFile(suffix=Path(file).suffix) as copy, self.open(file) as opened:
            shutil.copyfileobj(opened, copy)
            copy.flush()
            yield Path(copy.name)

    def has(self, file: str) -> bool:
        with _raise_os_error(file):
            return bool(self._files.exists(file))

    def write(self, content: Path, file: str) -> None:
        with _raise_os_error(file):
            self._files.put_file(str(content), self._files._strip_protocol(file))
        content.unlink()


@contextmanager
def _raise_os_error(place: str) -> Iterator[None]:
    """Raises OSError in place of the errors that each store has of its own, such as missing credentials."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"{place} cannot be used: {error}") from error


def open_store(place: str) -> Store:
    """The store of a path or URL; raises InvalidOption where it needs a package that is missing."""
    return ObjectStore(place) if "://" in place else LocalStore()


def has_pattern(place: str) -> bool:
    """Whether the place is a pattern of names, such as photos/*.jpg."""
    return bool(GLOB.intersection(place))
