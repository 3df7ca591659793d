"""Answered frames, the interface of everything that takes them, and the output as JSON lines."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO, Protocol

import orjson

from service.inference.documents import Json, answer_to_json
from service.serving.streaming import Frame, FrameResult
from service.types import Answer, Segmentation

Title = Callable[[int], str | None]


@dataclass(frozen=True, slots=True)
class AnsweredFrame:
    """A frame as it was read, and its result.

    The result's `age_ms` counts from the reading of the frame to the arrival of the answer, and its `dropped`
    all frames that were read and not answered. Its identities differ from all identities given before a
    server was lost.
    """

    frame: Frame
    result: FrameResult


class Output(Protocol):
    """Takes answers. Its methods block, and are called one at a time."""

    def write(self, answered: AnsweredFrame, *, fps: float) -> None:
        """Take one answer; `fps` is the present rate of answers per second. Raises OSError."""
        ...

    def pause(self) -> None:
        """Take note that no answers come for now, because the camera or the server is lost."""
        ...

    def close(self) -> None:
        """Finish: no call follows."""
        ...


class JsonLines:
    """Writes one JSON object per line; `open_file` is called at the first answer."""

    def __init__(self, open_file: Callable[[], BinaryIO], title: Title) -> None:
        self._open_file = open_file
        self._title = title
        self._file: BinaryIO | None = None

    def write(self, answered: AnsweredFrame, *, fps: float) -> None:
        if self._file is None:
            self._file = self._open_file()
        self._file.write(orjson.dumps(answered_to_json(answered, self._title)) + b"\n")
        self._file.flush()

    def pause(self) -> None:
        pass

    def close(self) -> None:
        if self._file is not None:
            with suppress(OSError):  # the last write has already reported it
                self._file.close()


def answered_to_json(answered: AnsweredFrame, title: Title) -> Json:
    """The result of one frame in the shape of `WS /v1/live`, with `path` where its picture has a name."""
    result = answered.result
    content: Json = {} if (path := title(result.id)) is None else {"path": path}
    content |= {
        "frame_id": result.id,
        "capture_time_us": result.captured_us,
        "age_ms": result.age_ms,
        "dropped": result.dropped,
    }
    if isinstance(result.outcome, Segmentation):
        return content | answer_to_json(Answer(result.outcome, result.queue_ms))
    return content | {"error": str(result.outcome)}
