"""Open loop: requests come when they are due, whether or not the earlier ones are answered.

Latency counts from when a request was due, so that a server which stalls cannot hide behind the requests
that a closed loop would not have sent meanwhile.
"""

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from loadtest.clients import Answer, Client, Photo
from loadtest.outcome import Outcome
from loadtest.pacer import Pacer
from loadtest.recorder import Recorder
from loadtest.row import Load, Row
from loadtest.schedule import Arrivals, schedule_arrivals
from loadtest.session import Session
from loadtest.window import Window

_MOST_UNDER_WAY = 2000  # connections; a server so far behind has failed already
_SEED = 20


@dataclass(frozen=True, slots=True)
class Traffic:
    """How requests arrive: at these rates, one row each."""

    rates: tuple[float, ...]
    arrivals: Arrivals


async def run_open(session: Session, traffic: Traffic, *, seconds: float) -> Outcome:
    """A row for every rate; fewer when stopped."""
    rows = []
    for rate in traffic.rates:
        if session.stop.is_set():
            break
        rows.append(await measure_rate(session, rate, arrivals=traffic.arrivals, seconds=seconds))
    return Outcome(tuple(rows))


async def measure_rate(session: Session, rate: float, *, arrivals: Arrivals, seconds: float) -> Row:
    """The row of one rate."""
    pool = Pool(session.open_client)
    try:
        loop = OpenLoop(pool, session.setup.photos, rate, arrivals)
        return await session.measure(Load(f"{rate:.4g}/s", offered=rate), loop, seconds=seconds)
    finally:
        await pool.close()


class Pool:
    """Clients that are not busy, the last used first, and new ones when all are."""

    def __init__(self, open_client: Callable[[], Client]) -> None:
        self._open_client = open_client
        self._all: list[Client] = []
        self._idle: list[Client] = []

    def take(self) -> Client | None:
        """A client, or None when too many are busy."""
        if self._idle:
            return self._idle.pop()
        if len(self._all) >= _MOST_UNDER_WAY:
            return None
        self._all.append(self._open_client())
        return self._all[-1]

    def give_back(self, client: Client) -> None:
        self._idle.append(client)

    async def close(self) -> None:
        await asyncio.gather(*(client.close() for client in self._all))


class OpenLoop:
    """Drives requests at a rate; each takes the next photo of the mix."""

    def __init__(self, pool: Pool, photos: Sequence[Photo], rate: float, arrivals: Arrivals) -> None:
        self._pool = pool
        self._photos = itertools.cycle(photos)
        self._rate = rate
        self._arrivals = arrivals

    async def __call__(self, window: Window, recorder: Recorder) -> None:
        """Until all requests of the window are answered."""
        under_way: set[asyncio.Task[None]] = set()

        def launch(due: float) -> None:
            if window.take():
                task = asyncio.create_task(self._send(due, recorder))
                under_way.add(task)
                task.add_done_callback(under_way.discard)

        offsets = schedule_arrivals(self._arrivals, self._rate, seconds=window.seconds, seed=_SEED)
        pacer = Pacer((window.opened + offsets).tolist(), launch)
        pacer.start()
        try:
            await pacer.done.wait()
            await asyncio.gather(*under_way)
        finally:
            pacer.stop()
            for task in under_way:
                task.cancel()

    async def _send(self, due: float, recorder: Recorder) -> None:
        client = self._pool.take()
        if client is None:
            reason = f"{_MOST_UNDER_WAY} requests were under way".encode()
            recorder.add(Answer("not sent", reason), started=due, finished=time.perf_counter())
            return
        recorder.note_delay(time.perf_counter() - due)
        answer = await client.send(next(self._photos))
        recorder.add(answer, started=due, finished=time.perf_counter())
        self._pool.give_back(client)
