"""A camera from beginning to end."""

import asyncio
import signal
import sys
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import ExitStack, aclosing, contextmanager

from rich.console import Console

from service.camera.answered import Answered
from service.camera.figures import Figures
from service.camera.link import Link
from service.camera.output import Output
from service.camera.plan import CameraPlan
from service.camera.reel import Reel
from service.camera.source import Capture, SourceLost
from service.camera.status import StatusLine
from service.camera.targets import STDOUT, check_outputs, open_output
from service.client import AsyncRpcClient, Credentials
from service.client.credentials import NOTHING
from service.errors import BlitzError, InvalidOption, RequestError, Unavailable
from service.serving.streaming.frame_slot import Clock, LoopClock

CLOCK = LoopClock()
PATIENCE_S = 5.0
REFRESH_S = 0.25


async def run_camera(plan: CameraPlan, console: Console, *, clock: Clock = CLOCK) -> None:
    """Until the source ends, or SIGTERM or Ctrl-C; what was answered by then is written.

    Raises InvalidOption where the source, the server or an output cannot be used to begin with, and
    BlitzError when an output fails later on.
    """
    check_outputs(plan)
    await check_server(plan.server, plan.credentials)
    try:
        capture = await asyncio.to_thread(plan.source.open)
    except SourceLost as lost:
        raise InvalidOption(str(lost)) from lost
    with ExitStack() as stack:
        stack.callback(capture.close)
        outputs: list[Output] = []
        for text in plan.outputs:
            outputs.append(await asyncio.to_thread(open_output, text, plan, fps=capture.fps))
            stack.callback(outputs[-1].close)
        await Camera(plan, outputs, console, clock=clock).run(capture)


async def check_server(address: str, credentials: Credentials = NOTHING) -> None:
    """Raises InvalidOption where no server of ours answers, or the credentials cannot be used."""
    try:
        async with (
            asyncio.timeout(PATIENCE_S),
            AsyncRpcClient(address, credentials=credentials) as client,
        ):
            await client.connect()
    except (Unavailable, TimeoutError) as error:
        raise InvalidOption(
            f"--server {address}: no server answers there; give its host and gRPC port, as localhost:8001, "
            "or grpcs://HOST:PORT where it speaks TLS"
        ) from error


class Camera:
    """Reads one source, and writes what the server answers."""

    def __init__(
        self, plan: CameraPlan, outputs: Sequence[Output], console: Console, *, clock: Clock
    ) -> None:
        self._outputs = outputs
        self._clock = clock
        self._figures = Figures()
        shown = STDOUT not in plan.outputs or not sys.stdout.isatty()
        self._status = StatusLine(plan.camera, self._figures, clock=clock, console=console, shown=shown)
        self._reel = Reel(plan.source, plan.asked.options.policy, clock=clock, status=self._status)
        self._link = Link(
            lambda: AsyncRpcClient(plan.server, credentials=plan.credentials),
            plan.asked,
            inbox=self._reel.inbox,
            clock=clock,
            status=self._status,
        )

    async def run(self, capture: Capture) -> None:
        """Until the source has ended and all is answered, or a signal asks to stop."""
        begun = self._clock.now()
        work = asyncio.create_task(self._work(capture))
        with self._status, _signals_cancel(work):
            await asyncio.wait([work])
        fault = None if work.cancelled() else work.exception()
        if fault is None or self._figures.begun:  # who was refused has nothing to sum up
            self._status.summarise(self._clock.now() - begun)
        _raise_fault(fault)

    async def _work(self, capture: Capture) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._reel.run(capture))
            showing = group.create_task(self._show())
            async with aclosing(self._link.results()) as results:
                async for answered in results:
                    now = self._clock.now()
                    self._figures.count(answered, now)
                    await _finish(asyncio.to_thread(self._write, answered, self._figures.fps(now)))
            showing.cancel()

    async def _show(self) -> None:
        while True:
            self._status.refresh()
            await asyncio.sleep(REFRESH_S)

    def _write(self, answered: Answered, fps: float) -> None:
        for output in self._outputs:
            output.write(answered, fps=fps)


async def _finish(writing: Coroutine[object, object, None]) -> None:
    """Whatever happens, return only when the thread is done: outputs are closed after that."""
    task = asyncio.ensure_future(writing)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _raise_fault(fault: BaseException | None) -> None:
    """What ended the work, as the command line knows it."""
    while isinstance(fault, BaseExceptionGroup):
        fault = fault.exceptions[0]
    if isinstance(fault, BrokenPipeError):  # whoever read our answers has seen enough
        return
    if isinstance(fault, RequestError):
        raise InvalidOption(str(fault)) from fault
    if isinstance(fault, OSError):
        raise BlitzError(f"an output failed: {fault}") from fault
    if fault is not None:
        raise fault


@contextmanager
def _signals_cancel(task: asyncio.Task[None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)
    for number in signals:
        loop.add_signal_handler(number, task.cancel)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
