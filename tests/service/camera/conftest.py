"""Sources that break where a test wants it, a clock that does not wait, and a server that can be killed."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest

from service.camera.source import Retry, Shot, SourceLost
from service.rpc.server import RpcServer
from service.serving.admission import Admission
from service.serving.engine import Engine
from service.serving.streaming import Frame, FrameResult, RawImage
from service.telemetry.metrics import Metrics
from service.types import BackendInfo, Instance, Segmentation, Size
from tests.fakes import FakeCatalog, FakeModel
from tests.running import free_port

BACKEND = BackendInfo("fake", "1.0", "fp32", 1, ("CPU",), ("CPU",))
RAW = RawImage("bgr", Size(4, 6), bytes(72))


def frame(number: int, *, captured: float = 0.0, picture: bytes | RawImage = RAW) -> Frame:
    return Frame(number, round(captured * 1e6), picture)


def segmentation(*tracks: int | None, size: Size = RAW.size) -> Segmentation:
    """One cat per identity."""
    cats = (Instance("cat", 3, 0.9, (1, 1, 2, 2), None, None, track_id=track) for track in tracks)
    return Segmentation(size, tuple(cats), "toy", "1", BACKEND)


def result(number: int, *tracks: int | None, error: Exception | None = None) -> FrameResult:
    outcome = segmentation(*tracks) if error is None else error
    return FrameResult(number, number, outcome, age_ms=5.0, queue_ms=1.0, dropped=0)


class FakeClock:
    """A clock that goes forward only when somebody waits, and then at once."""

    def __init__(self) -> None:
        self.time = 0.0
        self.waits: list[float] = []

    def now(self) -> float:
        return self.time

    async def wait_until(self, time: float) -> None:
        self.waits.append(time - self.time)
        self.time = max(self.time, time)
        await asyncio.sleep(0)


@dataclass
class FakeSource:
    """A source whose openings give these shots in turn; an error among them breaks the source off."""

    openings: list[Iterable[Shot | SourceLost] | SourceLost]
    live: bool = True
    timed: bool = True
    distinct: bool = True
    files: tuple[Path, ...] = ()
    name: str = "fake"
    fps: float | None = 10.0
    opened: int = 0
    closed: int = 0
    _shots: list[Shot | SourceLost] = field(default_factory=list)

    def title(self, frame_id: int) -> str | None:
        return None

    def open(self) -> "FakeSource":
        now = self.openings.pop(0)
        if isinstance(now, SourceLost):
            raise now
        self._shots = list(now)
        self.opened += 1
        return self

    def read(self) -> Shot | None:
        shot = self._shots.pop(0) if self._shots else None
        if isinstance(shot, SourceLost):
            raise shot
        return shot

    def close(self) -> None:
        self.closed += 1


class RestartableServer:
    """A server of one model that is always on the same port; a kill breaks every stream off."""

    def __init__(self, model: FakeModel) -> None:
        self.model = model
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._server: RpcServer | None = None
        self._engine: Engine | None = None

    async def start(self) -> None:
        self._engine = Engine(Admission(1, 4), Metrics(), timeout_s=10)
        self._engine.use(FakeCatalog(self.model))
        self._server = RpcServer(self._engine, max_body=1_000_000)
        await self._server.start("127.0.0.1", self.port)

    async def kill(self) -> None:
        if self._server is not None and self._engine is not None:
            await self._server.stop(0)
            self._engine.admission.close()
            self._server = None


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def reported() -> list[str]:
    """The lines that `retry` has reported."""
    return []


@pytest.fixture
def retry(clock: FakeClock, reported: list[str]) -> Retry:
    return Retry(clock, reported.append)


@pytest.fixture
def model() -> FakeModel:
    return FakeModel()


@pytest.fixture
async def server(model: FakeModel) -> AsyncIterator[RestartableServer]:
    server = RestartableServer(model)
    await server.start()
    yield server
    await server.kill()


@pytest.fixture
def write_video(tmp_path: "pytest.TempPathFactory") -> Callable[..., str]:
    """Writes an MP4 whose frames get brighter one by one; returns its path."""

    def write(name: str = "clip.mp4", *, frames: int = 6, fps: float = 20.0) -> str:
        path = f"{tmp_path}/{name}"
        writer = cv2.VideoWriter(path, cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), fps, (64, 48))
        noise = np.random.default_rng(0).integers(0, 40, (48, 64, 3), np.uint8)
        for number in range(frames):
            writer.write(np.roll(noise, number, axis=1) + np.uint8(10 * (number % 20)))
        writer.release()
        return path

    return write
