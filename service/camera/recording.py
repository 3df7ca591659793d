"""The output as a video: the frames with the found objects drawn on them."""

from pathlib import Path
from typing import Literal, TypeAlias

import cv2

from service.camera.output import AnsweredFrame
from service.errors import BlitzError
from service.inference.images import Limits, decode_image, letterbox
from service.inference.masks.overlay import draw_overlay
from service.serving.streaming import Frame, RawImage, raw_to_pixels
from service.types import Pixels, Segmentation, Size

CODEC = "mp4v"  # the only one that every build of OpenCV can write
LIVE_GAP_S, FILE_GAP_S = 2.0, 600.0  # the longest gap that a video shows as a picture that stands still
AHEAD = 1  # pictures that a camera may be early without losing one: no camera is quite regular
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

    def write(self, answered: AnsweredFrame, *, fps: float) -> None:
        """Raises OSError where the file cannot be written."""
        try:
            pixels = frame_to_pixels(answered.frame)
        except BlitzError:  # the answer says that this is no picture
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
