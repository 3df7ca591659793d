"""Cameras: gRPC streams of frames at a fixed rate, or as fast as the server reads."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from loadtest.clients import Photo
from loadtest.clients.stream import StreamClient, StreamFigures, read_policy
from loadtest.outcome import Outcome
from loadtest.recorder import Recorder
from loadtest.row import Cameras, Load, Row
from loadtest.session import Session
from loadtest.targets import Target, to_message
from loadtest.window import Window
from service.rpc.generated import segmentation_pb2 as messages


@dataclass(frozen=True, slots=True)
class Cast:
    """How many cameras at once, one row each; frames per second of each, None for as many as go."""

    streams: tuple[int, ...]
    fps: float | None
    policy: str

    def to_options(self, target: Target) -> messages.StreamOptions:
        """What a camera says first; raises CannotRun when the protocol does not know the policy."""
        return messages.StreamOptions(segment=to_message(target.ask), policy=read_policy(self.policy))


async def run_streams(session: Session, cast: Cast, *, seconds: float) -> Outcome:
    """A row for every number of cameras; its latencies are the ages of results, from when a frame was due."""
    rows = []
    for count in cast.streams:
        if session.stop.is_set():
            break
        rows.append(await _measure_cameras(session, cast, count, seconds=seconds))
    return Outcome(tuple(rows))


class CameraLoop:
    """Drives cameras; every window is a stream of its own, and the figures are those of all that counted."""

    def __init__(self, target: Target, photos: Sequence[Photo], *, cast: Cast, count: int) -> None:
        self.figures: tuple[StreamFigures, ...] = ()
        self._recorder: Recorder | None = None
        self._target = target
        self._options = cast.to_options(target)
        self._photos = photos
        self._fps = cast.fps
        self._count = count

    async def __call__(self, window: Window, recorder: Recorder) -> None:
        cameras = [StreamClient(self._target, self._options, fps=self._fps) for _ in range(self._count)]
        try:
            streams = (camera.run(self._photos, window=window, recorder=recorder) for camera in cameras)
            figures = await asyncio.gather(*streams)
        finally:
            await asyncio.gather(*(camera.close() for camera in cameras))
        if recorder is not self._recorder:  # what was there is the warm-up's
            self._recorder, self.figures = recorder, (StreamFigures(),) * self._count
        self.figures = tuple(one + more for one, more in zip(self.figures, figures, strict=True))


def sum_up_cameras(figures: Sequence[StreamFigures]) -> Cameras:
    """Of all cameras together; fairness is the slowest one's results over the fastest one's.

    >>> sum_up_cameras([StreamFigures(50, 0, 1), StreamFigures(40, 9, 2)])
    Cameras(count=2, dropped=9, skipped=3, fairness=0.8)
    """
    answered = [camera.answered for camera in figures]
    return Cameras(
        count=len(figures),
        dropped=sum(camera.dropped for camera in figures),
        skipped=sum(camera.skipped for camera in figures),
        fairness=min(answered) / max(answered) if any(answered) else 0.0,
    )


async def _measure_cameras(session: Session, cast: Cast, count: int, *, seconds: float) -> Row:
    loop = CameraLoop(session.setup.target, session.setup.photos, cast=cast, count=count)
    rate = "full speed" if cast.fps is None else f"{cast.fps:.3g}/s"
    load = Load(f"{count} x {rate}", clients=count, offered=cast.fps and cast.fps * count)
    row = await session.measure(load, loop, seconds=seconds, sliced=True)
    return replace(row, cameras=sum_up_cameras(loop.figures)) if loop.figures else row
