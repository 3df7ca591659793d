"""Answers as JSON, one to a line, in the shape of `WS /v1/live`."""

from collections.abc import Callable
from typing import BinaryIO

import orjson

from service.camera.answered import Answered
from service.engine import Answer
from service.rest.convert import Json, answer_to_json
from service.types import Segmentation

Title = Callable[[int], str | None]


class JsonLines:
    """Writes each answer as it comes; the file is closed at the end."""

    def __init__(self, file: BinaryIO, title: Title) -> None:
        self._file = file
        self._title = title

    def write(self, answered: Answered, *, fps: float) -> None:
        self._file.write(orjson.dumps(answered_to_json(answered, self._title)) + b"\n")
        self._file.flush()

    def close(self) -> None:
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
