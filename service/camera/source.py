"""Where pictures come from: the seam that every source fills."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from service.serving.streaming import RawImage


class SourceLost(Exception):
    """The source cannot be opened, or gives no more pictures though it should; its text is one line."""


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture; `time` is seconds into a recording, None where the picture is of now."""

    picture: bytes | RawImage
    time: float | None = None


class Capture(Protocol):
    """An open source; its methods block, and may be called from any thread."""

    @property
    def fps(self) -> float | None:
        """Pictures in a second, where the source says so."""
        ...

    def read(self) -> Shot | None:
        """The next picture, None at the end; raises SourceLost."""
        ...

    def close(self) -> None:
        """Let go of the source."""
        ...


class Source(Protocol):
    """What can be opened, and opened again after it was lost.

    name: for people and topics, without secrets.
    files: what is read, which no output may overwrite.
    live: has no end: a source that breaks off is opened again.
    timed: its pictures come at times of their own, and the newest matters; else every one of them does.
    """

    @property
    def name(self) -> str: ...
    @property
    def files(self) -> tuple[Path, ...]: ...
    @property
    def live(self) -> bool: ...
    @property
    def timed(self) -> bool: ...
    def title(self, frame_id: int) -> str | None:
        """What a picture is called, where each has a name of its own."""
        ...

    def open(self) -> Capture:
        """Raises SourceLost."""
        ...
