"""Closed loop: every client sends its next photo as soon as it has the answer to the last."""

import asyncio
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass

from loadtest.clients import Client, Photo
from loadtest.outcome import Outcome
from loadtest.recorder import Recorder
from loadtest.row import Load
from loadtest.session import Session
from loadtest.window import Window

# Seconds after a refusal or a broken connection: nobody who is told to come later asks again at once, and it
# would be a load of its own, ten thousand times a second.
_PAUSE = 0.1
_REFUSED = (
    *("connection refused", "connection lost", "UNAVAILABLE"),
    *("http 429", "http 503", "RESOURCE_EXHAUSTED"),
)


async def run_closed(session: Session, concurrency: Sequence[int], *, seconds: float) -> Outcome:
    """A row for every number of clients; fewer when stopped."""
    rows = []
    for count in concurrency:
        if session.stop.is_set():
            break
        async with session.clients(count) as clients:
            load = Load(f"{count} client{'s' if count > 1 else ''}", clients=count)
            loop = ClosedLoop(clients, session.setup.photos)
            rows.append(await session.measure(load, loop, seconds=seconds, sliced=True))
    return Outcome(tuple(rows))


@dataclass(frozen=True, slots=True)
class ClosedLoop:
    """Drives all clients at once; each begins with another photo of the mix."""

    clients: Sequence[Client]
    photos: Sequence[Photo]

    async def __call__(self, window: Window, recorder: Recorder) -> None:
        """Until the window closes, and then for the answers under way."""
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
                await asyncio.sleep(_PAUSE)
