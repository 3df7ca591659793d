"""Answered frames, the interface of all outputs, and two outputs: JSON lines, and a video."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, Protocol, TypeAlias

import cv2
import orjson

from service.errors import BlitzError
from service.events.report import Report, report_to_json
from service.inference.canvas import letterbox
from service.inference.documents import Json, answer_to_json
from service.inference.images import Limits, decode_image
from service.inference.masks.overlay import draw_overlay
from service.serving.streaming import Frame, FrameResult, RawImage, raw_to_pixels
from service.types import Answer, Pixels, Segmentation, Size

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


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The best frame of an object as JPEG: all of it with the object drawn, and the crop without drawing."""

    drawn: bytes
    crop: bytes


@dataclass(frozen=True, slots=True)
class Notice:
    """The events and counts of one answer, and the snapshots of the objects that are gone, by `track_id`."""

    report: Report
    snapshots: Mapping[int, Snapshot]


class Output(Protocol):
    """Takes answers. Its methods block, and are called one at a time."""

    def tell(self, notice: Notice) -> None:
        """Take the events of an answer, before `write` gets the answer itself. Raises OSError."""
        ...

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

    def tell(self, notice: Notice) -> None:
        pass  # the answer holds its events

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
        **({} if result.report is None else report_to_json(result.report)),
    }
    if isinstance(result.outcome, Segmentation):
        return content | answer_to_json(Answer(result.outcome, result.queue_ms))
    return content | {"error": str(result.outcome)}


CODEC = "mp4v"  # the only one that every build of OpenCV can write
LIVE_GAP_S, FILE_GAP_S = 2.0, 600.0  # the longest gap that a still picture fills
AHEAD = 1  # pictures that a camera may be early without losing one: cameras are not exactly regular
LIMITS = Limits()

Timing: TypeAlias = Literal["live", "recorded", "none"]


class Recording:
    """An MP4 of the first picture's size at a steady rate. Without an answer there is no file.

    timing: "live" places the pictures by their capture times, leaves out those that come faster than the
        video shows them, and cuts gaps short. "recorded" places them by their times in a file and keeps all
        of them. "none": each picture follows the one before.
    """

    def __init__(self, path: Path, fps: float, timing: Timing) -> None:
        self._path = path
        self._fps = fps
        self._timing = timing
        self._longest_gap = round((LIVE_GAP_S if timing == "live" else FILE_GAP_S) * fps)
        self._size: Size | None = None
        self._writer: cv2.VideoWriter | None = None
        self._first_us = 0
        self._written = 0
        self._last: Pixels | None = None

    def tell(self, notice: Notice) -> None:
        pass

    def write(self, answered: AnsweredFrame, *, fps: float) -> None:
        """Raises OSError where the file cannot be written."""
        try:
            pixels = frame_to_pixels(answered.frame)
        except BlitzError:  # the answer reports this error
            return
        if isinstance(answered.result.outcome, Segmentation):
            pixels = draw_overlay(pixels, answered.result.outcome)
        self._place(pixels, answered.frame.captured_us or 0)

    def pause(self) -> None:
        pass

    def close(self) -> None:
        if self._writer is not None:
            self._writer.release()

    def _place(self, pixels: Pixels, captured_us: int) -> None:
        writer = self._writer or self._open(pixels, captured_us)
        assert self._size is not None
        picture = cv2.cvtColor(letterbox(pixels, self._size)[0], cv2.COLOR_RGB2BGR).astype(
            "uint8", copy=False
        )
        missing = 0 if self._timing == "none" else self._count_missing(captured_us)
        if missing < -AHEAD and self._timing == "live":
            return
        for _ in range(missing):
            writer.write(self._last if self._last is not None else picture)
        writer.write(picture)
        self._written += max(missing, 0) + 1
        self._last = picture

    def _count_missing(self, captured_us: int) -> int:
        """The number of pictures that the video lacks before this one; below 0, it has too many."""
        due = round((captured_us - self._first_us) / 1e6 * self._fps)
        missing, excess = due - self._written, 0
        if missing > self._longest_gap:  # the source was away: cut the gap out of all later times
            excess = missing - self._longest_gap
        elif missing < -self._longest_gap:  # the clock was set back
            excess = missing
        self._first_us += round(excess / self._fps * 1e6)
        return missing - excess

    def _open(self, pixels: Pixels, captured_us: int) -> cv2.VideoWriter:
        self._size = Size(pixels.shape[0], pixels.shape[1])
        fourcc = cv2.VideoWriter.fourcc(*CODEC)
        extent = (self._size.width, self._size.height)
        writer = cv2.VideoWriter(str(self._path), cv2.CAP_FFMPEG, fourcc, self._fps, extent)
        if not writer.isOpened():
            raise OSError(
                f"{self._path}: a video of {extent[0]} x {extent[1]} pixels cannot be written there"
            )
        self._writer, self._first_us = writer, captured_us
        return writer


def frame_to_pixels(frame: Frame) -> Pixels:
    """The picture of a frame: uint8 [H, W, 3] RGB, image frame; raises BlitzError where there is none."""
    if isinstance(frame.picture, BlitzError):
        raise frame.picture
    if isinstance(frame.picture, RawImage):
        return raw_to_pixels(frame.picture, LIMITS)
    return decode_image(frame.picture, LIMITS)
