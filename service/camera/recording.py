"""Answers as a video: the frames with what was found drawn on them."""

from pathlib import Path

import cv2

from service.camera.answered import Answered
from service.errors import BlitzError
from service.inference.images import Limits, decode_image, letterbox
from service.inference.masks.overlay import draw_overlay
from service.serving.streaming import Frame, RawImage, raw_to_pixels
from service.types import Pixels, Segmentation, Size

CODEC = "mp4v"  # the one that every build of OpenCV can write
HOLD_S = 2.0  # for which a picture stands still when the next one is missing, at most
AHEAD = 1  # pictures that may come too early: a camera is not quite regular
LIMITS = Limits()


class Recording:
    """An MP4 of the first picture's size at a steady rate; without a picture there is none.

    every: each answered frame is one picture of the video; else they are placed by their capture times: one
        stays until the next comes, and those are left out that come faster than the video shows them.
    """

    def __init__(self, path: Path, fps: float, *, every: bool) -> None:
        self._path = path
        self._fps = fps
        self._every = every
        self._size: Size | None = None
        self._writer: cv2.VideoWriter | None = None
        self._first_us = 0
        self._written = 0
        self._last: Pixels | None = None

    def write(self, answered: Answered, *, fps: float) -> None:
        """Raises OSError when the file cannot be written."""
        try:
            pixels = frame_to_pixels(answered.frame)
        except BlitzError:  # the answer is that there is no picture
            return
        if isinstance(answered.result.outcome, Segmentation):
            pixels = draw_overlay(pixels, answered.result.outcome)
        self._place(pixels, answered.frame.captured_us or 0)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.release()

    def _place(self, pixels: Pixels, captured_us: int) -> None:
        writer = self._writer or self._open(pixels, captured_us)
        assert self._size is not None
        picture = cv2.cvtColor(letterbox(pixels, self._size)[0], cv2.COLOR_RGB2BGR).astype(
            "uint8", copy=False
        )
        missing = 0 if self._every else self._count_missing(captured_us)
        if missing < -AHEAD:
            return
        for _ in range(missing):
            writer.write(self._last if self._last is not None else picture)
        writer.write(picture)
        self._written += max(missing, 0) + 1
        self._last = picture

    def _count_missing(self, captured_us: int) -> int:
        """Pictures that the video lacks before this one is due; below 0, it has too many."""
        due = round((captured_us - self._first_us) / 1e6 * self._fps)
        missing, most = due - self._written, round(HOLD_S * self._fps)
        excess = 0
        if missing > most:  # the source was away: leave the gap out, for good
            excess = missing - most
        elif missing < -most:  # its clock was set back
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
