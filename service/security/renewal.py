"""What is made of files, and anew when they have changed: certificates are renewed while they serve."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from service.errors import InvalidSetting

T = TypeVar("T")
Stamp = tuple[tuple[int, int], ...]

log = structlog.get_logger("service.security.renewal")


class Renewal(Generic[T]):
    """What `make` makes of the files as they are; of files that cannot be used, what it made before.

    May be asked from several threads: at worst it is made twice.
    """

    def __init__(self, files: Sequence[Path], make: Callable[[], T]) -> None:
        """Raises InvalidSetting where it cannot be made to begin with."""
        self._files = files
        self._make = make
        self._stamp = _read_stamp(files)
        self._made = make()

    def get(self) -> T:
        """What is to be used now."""
        if (stamp := _read_stamp(self._files)) != self._stamp:
            self._stamp = stamp
            try:
                self._made = self._make()
                log.info("renewed", files=[str(file) for file in self._files])
            except InvalidSetting as error:  # perhaps only half of them are written
                log.error("not renewed", reason=str(error))
        return self._made


def _read_stamp(files: Sequence[Path]) -> Stamp:
    """What is another as soon as a file is."""
    return tuple(_read_one(file) for file in files)


def _read_one(file: Path) -> tuple[int, int]:
    try:
        status = file.stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_ino
