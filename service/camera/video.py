"""Webcams, network cameras and video files, read by OpenCV."""

import os
import socket
import threading
from dataclasses import dataclass
from pathlib import Path

import cv2

from service.camera.address import is_name_complete, name_address, split_address
from service.camera.source import Shot, SourceLost
from service.serving.streaming import RawImage
from service.types import Size

# The client reports a fault of a source in one line; FFmpeg would print pages. OpenCV reads this once.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

PATIENCE_MS = 5000
CORRUPT = 300  # pictures in a row that cannot be decoded, after which a file is given up
SAMPLE = 250  # pictures whose times give the rate, if the file names none
USUAL = 25.0  # pictures per second; the pictures of a slower file with a varying rate may come in bursts
SLOWEST, FASTEST = 1.0, 240.0  # a rate outside this range is ignored


@dataclass(frozen=True, slots=True)
class Webcam:
    """A camera of this machine: a number, or the path of its device, as /dev/v4l/by-id/usb-..."""

    device: int | str
    live: bool = True
    timed: bool = True
    distinct: bool = True
    files: tuple[Path, ...] = ()

    @property
    def name(self) -> str:
        """The host's name comes first, because every machine has a webcam 0."""
        called = f"webcam-{self.device}" if isinstance(self.device, int) else Path(self.device).name
        return f"{socket.gethostname()}/{called}"

    def title(self, frame_id: int) -> None:
        return None

    def open(self) -> "VideoCapture":
        opened = cv2.VideoCapture(self.device, cv2.CAP_ANY if isinstance(self.device, int) else cv2.CAP_V4L2)
        return VideoCapture(opened, f"webcam {self.device}", live=True)


@dataclass(frozen=True, slots=True)
class NetworkCamera:
    """A camera with an address: RTSP, or motion JPEG over HTTP."""

    url: str
    live: bool = True
    timed: bool = True
    files: tuple[Path, ...] = ()

    @property
    def name(self) -> str:
        """Host, port, path and query, without secrets."""
        return name_address(split_address(self.url))

    @property
    def distinct(self) -> bool:
        return is_name_complete(split_address(self.url))

    def title(self, frame_id: int) -> None:
        return None

    def open(self) -> "VideoCapture":
        _bypass_proxy_for_this_machine()
        patience = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, PATIENCE_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, PATIENCE_MS]
        return VideoCapture(cv2.VideoCapture(self.url, cv2.CAP_FFMPEG, patience), self.name, live=True)


def _bypass_proxy_for_this_machine() -> None:
    """Make FFmpeg connect to cameras of this machine directly, not through http_proxy."""
    known = os.environ.get("no_proxy", "").split(",")
    os.environ["no_proxy"] = ",".join(dict.fromkeys(filter(None, (*known, "localhost", "127.0.0.1", "::1"))))


@dataclass(frozen=True, slots=True)
class VideoFile:
    """A recording, with an end."""

    path: Path
    live: bool = False
    timed: bool = True
    distinct: bool = True

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.path,)

    def title(self, frame_id: int) -> None:
        return None

    def open(self) -> "VideoCapture":
        capture = VideoCapture(cv2.VideoCapture(str(self.path), cv2.CAP_FFMPEG), str(self.path), live=False)
        if capture.fps is None:
            capture.fps = measure_fps(self.path)
        return capture


class VideoCapture:
    """Pictures of OpenCV as raw BGR. `fps`: None if the source names no plausible rate."""

    def __init__(self, capture: cv2.VideoCapture, name: str, *, live: bool) -> None:
        """Raises SourceLost where the source is not open."""
        self._capture = capture
        self._name = name
        self._live = live
        self._lock = threading.Lock()
        self._time = -1.0
        if not capture.isOpened():
            raise SourceLost(f"{name} cannot be opened as a video")
        fps = capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if SLOWEST <= fps <= FASTEST else None

    def read(self) -> Shot | None:
        with self._lock:
            return self._read_live() if self._live else self._read_file()

    def close(self) -> None:
        with self._lock:
            self._capture.release()

    def _read_live(self) -> Shot:
        image = self._retrieve()
        if image is None:
            raise SourceLost(f"{self._name} gives no more pictures")
        return Shot(image)

    def _read_file(self) -> Shot | None:
        """The next picture that can be decoded; those that cannot are skipped."""
        for _ in range(CORRUPT):
            image = self._retrieve()
            if image is not None:
                return Shot(image, self._choose_time())
            if self._capture.get(cv2.CAP_PROP_POS_FRAMES) >= self._capture.get(cv2.CAP_PROP_FRAME_COUNT):
                break
        if self._time < 0:
            raise SourceLost(
                f"{self._name}: no picture of it can be decoded; this OpenCV has no decoder for its codec, "
                "or the file is damaged"
            )
        return None

    def _retrieve(self) -> RawImage | None:
        found, pixels = self._capture.read()
        if not found or pixels is None or pixels.size == 0:
            return None
        return RawImage("bgr", Size(pixels.shape[0], pixels.shape[1]), pixels.tobytes())

    def _choose_time(self) -> float:
        """The picture's position in seconds. Some files have no times, or times that go back."""
        time = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        self._time = time if time > self._time else self._time + 1 / (self.fps or 25)
        return self._time


def measure_fps(path: Path) -> float | None:
    """The mean rate of a file's first pictures, at least USUAL; None if the times do not increase."""
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    times: list[float] = []
    while len(times) < SAMPLE and capture.grab():
        times.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
    capture.release()
    if len(times) < 2 or times[-1] <= times[0]:
        return None
    return min(max((len(times) - 1) / (times[-1] - times[0]), USUAL), FASTEST)
