"""Sources of pictures: their interface, folders of image files, and the reading of a source."""

import asyncio
import itertools
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from service.errors import InvalidOption
from service.serving.streaming import Frame, Policy, RawImage
from service.serving.streaming.frame import Clock, FrameSlot

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".png", ".webp", ".avif", ".heic", ".heif", ".tif", ".tiff", ".bmp", ".gif")
)
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
    """Gives every file without decoding it: the server reports the files that are no images."""

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


FIRST_S, LONGEST_S = 0.25, 5.0


class Retry:
    """Waits 0.25 s after the first failure and twice as long after each further one, up to 5 s.

    Each pause is shortened at random by up to a half, so that the cameras of a server that restarts do not
    all come back at the same moment. `report` receives one line before each pause.
    """

    def __init__(self, clock: Clock, report: Callable[[str], None]) -> None:
        self._clock = clock
        self.report = report
        self._delay = FIRST_S
        self.failing = False

    async def wait(self, reason: str) -> None:
        """Report the reason, then pause."""
        self.failing = True
        delay = self._delay * random.uniform(0.5, 1)
        self._delay = min(2 * self._delay, LONGEST_S)
        self.report(f"{reason}; trying again in {delay:.1f} s")
        await self._clock.wait_until(self._clock.now() + delay)

    def reset(self) -> None:
        """Note that the last attempt worked: the next pause is the shortest again."""
        self.failing = False
        self._delay = FIRST_S


class Reader:
    """Reads a file to its end, and a live source for ever: it is opened again whenever it breaks off.

    policy: "latest" lets a new frame replace the one that waits; "all" reads no faster than frames are taken.
    paced: the pictures of a recording come at their recorded times, not as fast as they can be taken.
    patient: a live source that opens but gives no picture at the start is tried again, and not refused.
    The ids of the frames are 0, 1, 2, ...
    """

    def __init__(
        self,
        source: Source,
        policy: Policy,
        *,
        clock: Clock,
        retry: Retry,
        paced: bool = False,
        patient: bool = False,
    ) -> None:
        self.slot = FrameSlot(policy)
        self._source = source
        self._clock = clock
        self._retry = retry
        self._paced = paced
        self._patient = patient and source.live
        self._ids = itertools.count()

    async def run(self, capture: Capture) -> None:
        """Returns when the source has ended; `capture` is the source, already open.

        Raises InvalidOption where the source gives no picture at all.
        """
        while True:
            try:
                await self._read_all(capture)
                break
            except SourceLost as lost:
                if not self._patient:
                    raise InvalidOption(str(lost)) from lost
                capture = await self._reopen(lost)
        self.slot.end()

    async def _read_all(self, capture: Capture) -> None:
        opened = self._clock.now()
        try:
            while (shot := await asyncio.to_thread(capture.read)) is not None:
                self._patient = self._source.live
                if self._paced and shot.time is not None:
                    await self._clock.wait_until(opened + shot.time)
                await self.slot.put(self._frame(shot))
                self._retry.reset()
        finally:
            capture.close()

    async def _reopen(self, lost: SourceLost) -> Capture:
        while True:
            await self._retry.wait(str(lost))
            try:
                return await asyncio.to_thread(self._source.open)
            except SourceLost as error:
                lost = error

    def _frame(self, shot: Shot) -> Frame:
        captured = time.time() if shot.time is None else shot.time
        return Frame(next(self._ids), round(captured * 1e6), shot.picture, self._clock.now())
