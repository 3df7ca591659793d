"""One camera from its start to its end."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import ExitStack, aclosing, contextmanager
from functools import partial
from typing import TypeVar

from rich.console import Console

from service.camera.output import AnsweredFrame, Notice, Output
from service.camera.plan import STDOUT, CameraPlan, check_outputs, open_output
from service.camera.source import Capture, Reader, Retry, SourceLost
from service.camera.status import Statistics, StatusLine
from service.camera.stream_client import StreamClient
from service.camera.watcher import Watcher, sum_up
from service.client import AsyncRpcClient, Credentials
from service.client.credentials import NOTHING
from service.errors import BlitzError, InvalidOption, RequestError, Unavailable
from service.process.signals import stopping_signals
from service.serving.streaming.frame import Clock, LoopClock

CLOCK = LoopClock()
PATIENCE_S = 5.0
REFRESH_S = 0.25
SIGNS = frozenset("@?#")  # of a user, a query and a fragment, which a server's address does not have
STALE_S = 10.0  # without an answer, after which the outputs pause

T = TypeVar("T")


async def run_camera(plan: CameraPlan, console: Console, *, clock: Clock = CLOCK) -> None:
    """Returns when the source ends, or at SIGTERM, SIGHUP or Ctrl-C; all answers until then are written.

    Raises InvalidOption where the source, the server or an output cannot be used at the start, and BlitzError
    when an output fails later.
    """
    check_outputs(plan)
    camera = Camera(plan, console, clock=clock)
    with ExitStack() as stack:
        opening = asyncio.create_task(_open(plan, stack, Retry(clock, camera.status.report)))
        with _signals_cancel(opening):
            await asyncio.wait([opening])
        if not opening.cancelled():
            await camera.run(*opening.result())


async def _open(plan: CameraPlan, stack: ExitStack, retry: Retry) -> tuple[Capture, list[Output]]:
    """The open source and outputs, which `stack` closes; raises InvalidOption."""

    async def insist(attempt: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                opened = await attempt()
            except (SourceLost, Unavailable) as error:
                if not plan.wait:
                    raise InvalidOption(str(error)) from error
                await retry.wait(str(error))
            else:
                retry.reset()
                return opened

    await insist(lambda: check_server(plan.server, plan.credentials))
    capture = await insist(lambda: asyncio.to_thread(plan.source.open))
    stack.callback(capture.close)
    outputs: list[Output] = []
    for text in plan.outputs:
        opening = partial(open_output, text, plan, fps=capture.fps, report=retry.report)
        output = await insist(partial(asyncio.to_thread, opening))
        stack.callback(output.close)
        outputs.append(output)
    return capture, outputs


async def check_server(address: str, credentials: Credentials = NOTHING) -> None:
    """Raises Unavailable where no server answers, InvalidOption where address or credentials are unusable."""
    if not SIGNS.isdisjoint(address):
        raise InvalidOption(
            "--server: its address has no user, no password and no query; give the key by --key, "
            "and the address as HOST:PORT or grpcs://HOST:PORT"
        )
    try:
        async with (
            asyncio.timeout(PATIENCE_S),
            AsyncRpcClient(address, credentials=credentials) as client,
        ):
            await client.connect()
    except (Unavailable, TimeoutError) as error:
        raise Unavailable(
            f"--server {address}: no server answers there; give its host and gRPC port, as localhost:8001, "
            "or grpcs://HOST:PORT where it speaks TLS"
        ) from error


class Camera:
    """Reads one source, and writes the answers of the server."""

    def __init__(self, plan: CameraPlan, console: Console, *, clock: Clock) -> None:
        self._clock = clock
        self._statistics = Statistics()
        shown = STDOUT not in plan.outputs or not sys.stdout.isatty()
        self.status = StatusLine(plan.camera, self._statistics, clock=clock, console=console, shown=shown)
        self._retries = (Retry(clock, self.status.report), Retry(clock, self.status.report))
        options = plan.request.options
        self._reader = Reader(
            plan.source,
            options.policy,
            clock=clock,
            retry=self._retries[0],
            paced=plan.paced,
            patient=plan.wait,
        )
        self._client = StreamClient(
            lambda: AsyncRpcClient(plan.server, credentials=plan.credentials),
            plan.request,
            slot=self._reader.slot,
            clock=clock,
            retry=self._retries[1],
        )
        self._stale_s = max(STALE_S, 3 / options.max_fps if options.max_fps else 0.0)
        self._watcher = plan.start_watcher()
        self._totals: Mapping[str, str] = {}
        self._outputs: Sequence[Output] = ()
        self._writing = asyncio.Lock()
        self._answered = float("inf")  # the time of the last answer that the outputs show

    async def run(self, capture: Capture, outputs: Sequence[Output]) -> None:
        """Returns when the source has ended and all is answered, or when a signal asks to stop."""
        self._outputs = outputs
        begun = self._clock.now()
        work = asyncio.create_task(self._work(capture))
        with self.status, _signals_cancel(work):
            await asyncio.wait([work])
        fault = None if work.cancelled() else work.exception()
        if fault is None and self._watcher is not None:
            fault = await self._end_events(self._watcher)
        statistics = self._statistics
        if fault is None or statistics.begun:  # a refused command has nothing to sum up
            self.status.summarise(self._clock.now() - begun)
        for name, totals in self._totals.items():
            self.status.report(f"{name}: {totals}")
        _raise_fault(fault)
        if statistics.failed and not statistics.answered and not work.cancelled():
            raise BlitzError(f"no picture could be answered; the last reason: {statistics.last_error}")

    async def _work(self, capture: Capture) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._reader.run(capture))
            watching = group.create_task(self._watch())
            async with aclosing(self._client.results()) as results:
                async for answered in results:
                    now = self._clock.now()
                    self._statistics.count(answered, now)
                    fps = self._statistics.fps(now)
                    self._answered = now
                    await self._tell_outputs(partial(self._watch_answer, answered, fps))
            watching.cancel()

    def _watch_answer(self, answered: AnsweredFrame, fps: float) -> Callable[[Output], None]:
        """The call that gives an answer, and its events, to an output."""
        notice = None
        if self._watcher is not None:
            answered, notice = self._watcher.see(answered)
        return partial(_write, answered=answered, notice=notice, fps=fps)

    def _pause(self) -> Callable[[Output], None]:
        """The call that tells an output that no answers come, and that all objects are gone."""
        return partial(_pause, notice=None if self._watcher is None else self._watcher.end())

    async def _end_events(self, watcher: Watcher) -> BaseException | None:
        """Tell the outputs the last events, and keep the totals; the error of an output, if one fails."""
        notice = await asyncio.to_thread(watcher.end)
        try:
            await self._tell_outputs(lambda: lambda output: output.tell(notice))
        except OSError as error:
            return error
        self._totals = sum_up(notice.report)
        return None

    async def _watch(self) -> None:
        """Redraw the status line, and pause the outputs when no answers come."""
        while True:
            self.status.refresh()
            stale = self._clock.now() - self._answered > self._stale_s
            if self._answered != float("inf") and (stale or self._is_lost()):
                self._answered = float("inf")
                await self._tell_outputs(self._pause)
            await asyncio.sleep(REFRESH_S)

    def _is_lost(self) -> bool:
        """True if no answer can come. Frames of a lost camera may still be on their way."""
        reading, sending = self._retries
        return sending.failing or (reading.failing and self._client.idle)

    async def _tell_outputs(self, plan: Callable[[], Callable[[Output], None]]) -> None:
        """Plan a call on a thread, after all that were planned before, and call each output."""

        def tell() -> None:
            call = plan()
            for output in self._outputs:
                call(output)

        async with self._writing:
            await _finish(asyncio.to_thread(tell))


def _write(output: Output, *, answered: AnsweredFrame, notice: Notice | None, fps: float) -> None:
    if notice is not None:
        output.tell(notice)
    output.write(answered, fps=fps)


def _pause(output: Output, *, notice: Notice | None) -> None:
    if notice is not None:
        output.tell(notice)
    output.pause()


async def _finish(writing: Coroutine[object, object, None]) -> None:
    """Returns only when the thread is done, even when cancelled: outputs are closed after that."""
    task = asyncio.ensure_future(writing)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _raise_fault(fault: BaseException | None) -> None:
    """Raise the error that ended the run, with the names of the command's options."""
    while isinstance(fault, BaseExceptionGroup):
        fault = fault.exceptions[0]
    if isinstance(fault, BrokenPipeError):  # the reader of the answers has seen enough
        return
    if isinstance(fault, RequestError):
        raise InvalidOption(str(fault)) from fault
    if isinstance(fault, OSError):
        raise BlitzError(f"an output failed: {fault}") from fault
    if fault is not None:
        raise fault


@contextmanager
def _signals_cancel(task: asyncio.Task[object]) -> Iterator[None]:
    loop, numbers = asyncio.get_running_loop(), stopping_signals()
    for number in numbers:
        loop.add_signal_handler(number, task.cancel)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
