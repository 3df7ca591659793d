"""A connection that breaks again and again."""

import asyncio
import gc
import io
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from rich.console import Console

from service.camera.output import AnsweredFrame, Notice
from service.camera.plan import CameraPlan
from service.camera.run import Camera
from service.camera.source import Shot
from service.camera.stream_client import StreamRequest
from service.serving.streaming import StreamOptions
from tests.fakes import encode_picture
from tests.service.camera.conftest import FakeClock, FakeSource, RestartableServer

CUTS, BETWEEN = 60, 10  # answers between two cuts; more than can be under way
LOOKS = 10  # cuts between two looks at what is open: each takes as long as a few cuts
EARLY = 2  # looks after which every file that is ever opened has been opened
POOL = 6  # threads that the loop may still add to its own


class Cable:
    """Relays connections until it is cut."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._ends: set[asyncio.StreamWriter] = set()

    def cut(self) -> None:
        for end in list(self._ends):
            end.transport.abort()

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        ends = {writer, far_writer}
        self._ends |= ends
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        self._ends -= ends


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def laid(cable: Cable) -> AsyncIterator[str]:
    """The address of the near end of a cable."""
    async with await asyncio.start_server(cable.relay, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        cable.cut()


class CuttingOutput:
    """Cuts the cable after every tenth answer; `held` counts open files and threads at some of the cuts."""

    def __init__(self, cable: Cable) -> None:
        self.ids: list[int] = []
        self.held: list[tuple[int, int]] = []
        self._cable = cable
        self._loop = asyncio.get_running_loop()

    def write(self, answered: AnsweredFrame, *, fps: float) -> None:
        self.ids.append(answered.frame.id)
        cuts, between = divmod(len(self.ids), BETWEEN)
        if between == 0 and cuts <= CUTS:
            if cuts % LOOKS == 0:
                gc.collect()
                self.held.append((len(list(Path("/dev/fd").iterdir())), threading.active_count()))
            self._loop.call_soon_threadsafe(self._cable.cut)

    def tell(self, notice: Notice) -> None:
        pass

    def pause(self) -> None:
        pass

    def close(self) -> None:
        pass


async def test_every_frame_is_answered_once_however_often_the_cable_is_cut_and_nothing_leaks(
    server: RestartableServer,
) -> None:
    frames = BETWEEN * (CUTS + 2)
    picture = encode_picture(60, 30)
    source = FakeSource([[Shot(picture, number / 10) for number in range(frames)]], live=False)
    cable = Cable(server.port)
    async with laid(cable) as address:
        output, text = CuttingOutput(cable), io.StringIO()
        plan = CameraPlan(source, address, (), StreamRequest(StreamOptions(policy="all")))
        await Camera(plan, Console(file=text, width=300), clock=FakeClock()).run(source.open(), [output])
    assert output.ids == list(range(frames))
    assert text.getvalue().count("again in") >= CUTS
    descriptors, threads = zip(*output.held[EARLY:], strict=True)
    assert max(descriptors) <= max(held for held, _ in output.held[:EARLY])
    assert max(threads) - min(threads) < POOL
