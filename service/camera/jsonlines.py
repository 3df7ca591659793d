"""Answers as JSON, one to a line, in the shape of `WS /v1/live`."""

from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO

import orjson

from service.camera.answered import Answered
from service.inference.documents import Json, answer_to_json
from service.types import Answer, Segmentation

Title = Callable[[int], str | None]


class JsonLines:
    """Writes each answer as it comes, to a file that is opened for the first and closed at the end."""

    def __init__(self, open_file: Callable[[], BinaryIO], title: Title) -> None:
        self._open_file = open_file
        self._title = title
        self._file: BinaryIO | None = None

    def write(self, answered: Answered, *, fps: float) -> None:
        if self._file is None:
            self._file = self._open_file()
        self._file.write(orjson.dumps(answered_to_json(answered, self._title)) + b"\n")
        self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            with suppress(OSError):  # which the last write has told
                self._file.close()


def answered_to_json(answered: Answered, title: Title) -> Json:
    """The result of one frame: of the picture it says what it is called, if it is called anything."""
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
