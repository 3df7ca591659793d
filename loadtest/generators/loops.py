"""Loads that drive clients: closed loops, open loops and cameras.

A closed loop's client sends its next photo when it has the answer to the last one. An open loop sends
requests when they are due, and counts latency from then: a server that stalls cannot hide behind the requests
that a closed loop would not have sent meanwhile.
"""

import asyncio
import contextlib
import itertools
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from loadtest.generators import open_client
from loadtest.generators.recorder import Recorder, Window
from loadtest.generators.rpc import StreamClient, StreamFigures
from loadtest.types import Answer, Client, Photo, Target
from service.rpc.generated import segmentation_pb2 as messages

Arrivals = Literal["poisson", "constant"]
Offsets: TypeAlias = npt.NDArray[np.float64]

# Seconds after a refusal or a broken connection. Without a pause, a client that a full server refuses would
# ask ten thousand times a second, which is a load of its own.
_PAUSE_S = 0.1
_REFUSED = (
    *("connection refused", "connection lost", "UNAVAILABLE"),
    *("http 429", "http 503", "RESOURCE_EXHAUSTED"),
)
_MAX_IN_FLIGHT = 2000  # connections; a server so far behind has failed already
_SEED = 20
_LAG_S = 0.0001  # requests that are due within this time are started together


@contextlib.asynccontextmanager
async def open_clients(target: Target, count: int) -> AsyncIterator[Sequence[Client]]:
    """`count` clients, each with its own connection."""
    clients = [open_client(target) for _ in range(count)]
    try:
        yield clients
    finally:
        await asyncio.gather(*(client.close() for client in clients))


@dataclass(frozen=True, slots=True)
class ClosedLoop:
    """Drives all clients at once; each starts with a different photo."""

    clients: Sequence[Client]
    photos: Sequence[Photo]

    async def __call__(self, window: Window, recorder: Recorder) -> None:
        """Sends until the window closes, then waits for the answers in flight."""
        sending = (
            self._send_in_turn(client, turn, window, recorder) for turn, client in enumerate(self.clients)
        )
        await asyncio.gather(*sending)

    async def _send_in_turn(self, client: Client, turn: int, window: Window, recorder: Recorder) -> None:
        for index in itertools.count(turn):
            if not window.take():
                return
            started = time.perf_counter()
            answer = await client.send(self.photos[index % len(self.photos)])
            recorder.add(answer, started=started, finished=time.perf_counter())
            if answer.kind in _REFUSED:
                await asyncio.sleep(_PAUSE_S)


class ClientPool:
    """Idle clients, the last used first, and new ones when all are busy."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._all: list[Client] = []
        self._idle: list[Client] = []

    def take(self) -> Client | None:
        """A client, or None when too many are busy."""
        if self._idle:
            return self._idle.pop()
        if len(self._all) >= _MAX_IN_FLIGHT:
            return None
        self._all.append(open_client(self._target))
        return self._all[-1]

    def give_back(self, client: Client) -> None:
        self._idle.append(client)

    async def close(self) -> None:
        await asyncio.gather(*(client.close() for client in self._all))


class OpenLoop:
    """Sends requests at a rate; each takes the next photo."""

    def __init__(self, pool: ClientPool, photos: Sequence[Photo], rate: float, arrivals: Arrivals) -> None:
        self._pool = pool
        self._photos = itertools.cycle(photos)
        self._rate = rate
        self._arrivals = arrivals

    async def __call__(self, window: Window, recorder: Recorder) -> None:
        """Returns when all requests of the window are answered."""
        in_flight: set[asyncio.Task[None]] = set()

        def launch(due: float) -> None:
            if window.take():
                task = asyncio.create_task(self._send(due, recorder))
                in_flight.add(task)
                task.add_done_callback(in_flight.discard)

        offsets = schedule_arrivals(self._arrivals, self._rate, seconds=window.seconds, seed=_SEED)
        pacer = Pacer((window.opened + offsets).tolist(), launch)
        pacer.start()
        try:
            await pacer.done.wait()
            await asyncio.gather(*in_flight)
        finally:
            pacer.stop()
            for task in in_flight:
                task.cancel()

    async def _send(self, due: float, recorder: Recorder) -> None:
        client = self._pool.take()
        if client is None:
            reason = f"{_MAX_IN_FLIGHT} requests were in flight".encode()
            recorder.add(Answer("not sent", reason), started=due, finished=time.perf_counter())
            return
        recorder.note_delay(time.perf_counter() - due)
        answer = await client.send(next(self._photos))
        recorder.add(answer, started=due, finished=time.perf_counter())
        self._pool.give_back(client)


class Pacer:
    """Calls an event loop back at the `due` times (perf_counter seconds), then sets `done`.

    Timers of an event loop have whole milliseconds; a thread that sleeps is woken ten times more exactly.
    """

    def __init__(self, due: Sequence[float], callback: Callable[[float], None]) -> None:
        self.done = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._due = due
        self._callback = callback
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._pace, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Makes no more calls; returns when the thread has ended."""
        self._stopped.set()
        self._thread.join()

    def _pace(self) -> None:
        for due in self._due:
            wait = due - time.perf_counter()
            if wait > _LAG_S and self._stopped.wait(wait):
                break
            if self._stopped.is_set():
                break
            self._loop.call_soon_threadsafe(self._callback, due)
        self._loop.call_soon_threadsafe(self.done.set)


def schedule_arrivals(arrivals: Arrivals, rate: float, *, seconds: float, seed: int) -> Offsets:
    """Seconds from the start at which requests are due, in order: float64 [about rate * seconds].

    "constant": evenly spaced. "poisson": independent of each other, as the requests of many users are; the
    gaps are exponential, and the server sees bursts. All are chosen before the run: no answer delays one.
    """
    if arrivals == "constant":
        return np.arange(int(rate * seconds)) / rate
    random = np.random.default_rng(seed)
    return np.sort(random.uniform(0, seconds, random.poisson(rate * seconds)))


@dataclass(frozen=True, slots=True)
class CameraSetup:
    """Options of every camera's stream; `fps` frames per second, or None for as many as the server reads."""

    options: messages.StreamOptions
    fps: float | None


class CameraLoop:
    """Drives cameras, each with a new stream in every window; `figures` adds up the windows that counted."""

    def __init__(self, target: Target, photos: Sequence[Photo], *, setup: CameraSetup, count: int) -> None:
        self.figures: tuple[StreamFigures, ...] = ()
        self._recorder: Recorder | None = None
        self._target = target
        self._photos = photos
        self._setup = setup
        self._count = count

    async def __call__(self, window: Window, recorder: Recorder) -> None:
        options, fps = self._setup.options, self._setup.fps
        cameras = [StreamClient(self._target, options, fps=fps) for _ in range(self._count)]
        try:
            streams = (camera.run(self._photos, window=window, recorder=recorder) for camera in cameras)
            figures = await asyncio.gather(*streams)
        finally:
            await asyncio.gather(*(camera.close() for camera in cameras))
        if recorder is not self._recorder:  # the figures so far belong to the warm-up
            self._recorder, self.figures = recorder, (StreamFigures(),) * self._count
        self.figures = tuple(one + more for one, more in zip(self.figures, figures, strict=True))
