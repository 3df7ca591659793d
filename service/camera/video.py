"""Webcams, network cameras and video files, through OpenCV."""

import os
import re
import socket
import threading
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import cv2

from service.camera.source import Shot, SourceLost
from service.serving.streaming import RawImage
from service.types import Size

# What is wrong with a source is told in one line of ours; FFmpeg would print pages. OpenCV reads this once.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

PATIENCE_MS = 5000
# Some cameras take a user and a password in the query, or even in the path.
SECRET = re.compile(r"(user|usr|login|pass|pwd|psw|token|auth|key|secret|session)[^/?&]*=", re.IGNORECASE)
CORRUPT = 300  # pictures in a row that a file may lose and go on


@dataclass(frozen=True, slots=True)
class Webcam:
    """A camera of this machine, by its number."""

    index: int
    live: bool = True
    timed: bool = True
    files: tuple[Path, ...] = ()

    @property
    def name(self) -> str:
        """With the host's name: every machine has a webcam 0."""
        return f"{socket.gethostname()}/webcam-{self.index}"

    def title(self, frame_id: int) -> None:
        return None

    def open(self) -> "VideoCapture":
        return VideoCapture(cv2.VideoCapture(self.index), f"webcam {self.index}", live=True)


@dataclass(frozen=True, slots=True)
class NetworkCamera:
    """A camera with an address: RTSP, or motion JPEG over HTTP."""

    url: str
    live: bool = True
    timed: bool = True
    files: tuple[Path, ...] = ()

    @property
    def name(self) -> str:
        """Host, port, path and query, which one camera may differ in from its neighbour, without secrets.

        >>> NetworkCamera("rtsp://me:secret@nvr:554/cam?channel=1&password=secret").name
        'nvr:554/cam?channel=1'
        """
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        path = "/".join(step for step in parts.path.split("/") if not SECRET.search(step))
        query = urlencode(
            [(key, value) for key, value in parse_qsl(parts.query) if not SECRET.search(f"{key}=")]
        )
        return f"{host}{path}".rstrip("/") + f"?{query}" * bool(query)

    def title(self, frame_id: int) -> None:
        return None

    def open(self) -> "VideoCapture":
        patience = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, PATIENCE_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, PATIENCE_MS]
        return VideoCapture(cv2.VideoCapture(self.url, cv2.CAP_FFMPEG, patience), self.name, live=True)


@dataclass(frozen=True, slots=True)
class VideoFile:
    """A recording, with an end."""

    path: Path
    live: bool = False
    timed: bool = True

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.path,)

    def title(self, frame_id: int) -> None:
        return None

    def open(self) -> "VideoCapture":
        return VideoCapture(cv2.VideoCapture(str(self.path), cv2.CAP_FFMPEG), str(self.path), live=False)


class VideoCapture:
    """Pictures as OpenCV gives them: raw BGR."""

    def __init__(self, capture: cv2.VideoCapture, name: str, *, live: bool) -> None:
        """Raises SourceLost when it is not open."""
        self._capture = capture
        self._name = name
        self._live = live
        self._lock = threading.Lock()
        self._time = -1.0
        if not capture.isOpened():
            raise SourceLost(f"{name} cannot be opened as a video")

    @property
    def fps(self) -> float | None:
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        return fps if 1 <= fps <= 240 else None

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
        """The next picture that can be decoded: what cannot is passed over."""
        for _ in range(CORRUPT):
            image = self._retrieve()
            if image is not None:
                return Shot(image, self._choose_time())
            if self._capture.get(cv2.CAP_PROP_POS_FRAMES) >= self._capture.get(cv2.CAP_PROP_FRAME_COUNT):
                break
        return None

    def _retrieve(self) -> RawImage | None:
        found, pixels = self._capture.read()
        if not found or pixels is None or pixels.size == 0:
            return None
        return RawImage("bgr", Size(pixels.shape[0], pixels.shape[1]), pixels.tobytes())

    def _choose_time(self) -> float:
        """When the picture is due; some files have no times, or such that go back."""
        time = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        self._time = time if time > self._time else self._time + 1 / (self.fps or 25)
        return self._time
