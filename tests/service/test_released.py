"""A request that ends leaves nothing for the garbage collector that holds its picture.

Between two collections, hundreds of requests of 20 MB would stay in memory otherwise.
"""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from types import FrameType
from typing import Any

import grpc
import pytest
from starlette.requests import Request
from starlette.types import Message

from service.compute.task import Listener, Task
from service.errors import BlitzError, InvalidImage
from service.rest.boundary import unless_gone
from service.rpc.boundary import answer_call
from service.serving.admission import Admission
from service.serving.streaming.frame import unless_stopped
from service.telemetry.metrics import Metrics
from service.telemetry.request_log import RequestRecord


class FakeCall:
    """A call that keeps the error with which it was aborted, as grpcio does."""

    def __init__(self) -> None:
        self.aborted: Exception | None = None

    def invocation_metadata(self) -> None:
        return None

    def set_trailing_metadata(self, metadata: object) -> None:
        pass

    async def abort(self, *status: object) -> None:
        self.aborted = grpc.aio.AbortError("Locally aborted.")
        raise self.aborted


class FailingSlot:
    """A slot in which every work fails."""

    busy = 0
    ahead = 0, 0

    def listen(self, listener: Listener) -> None:
        pass

    def has_room(self, *, ahead: bool) -> bool:
        return True

    def take(self, task: Task[Any]) -> None:
        task.fail(InvalidImage("no image"))

    def close(self) -> None:
        pass


async def admit() -> None:
    """A work that fails in a slot."""
    await Admission(1, 1, executor=FailingSlot()).run(lambda turn: None)


async def read_late() -> None:
    """A stream whose first message does not come in time."""
    await unless_stopped(asyncio.Event().wait(), asyncio.Event(), within_s=0)


async def read_wrong() -> None:
    """A stream whose first message cannot be read."""

    async def read() -> None:
        raise InvalidImage("no image")

    await unless_stopped(read(), asyncio.Event())


async def answer_http() -> None:
    """A good request over HTTP, while its client stays."""

    async def stay() -> Message:
        await asyncio.Event().wait()
        raise AssertionError("nobody hangs up")

    await unless_gone(Request({"type": "http"}, stay), asyncio.sleep(0))


async def refuse_rpc() -> None:
    """A call over gRPC that is refused."""
    call = FakeCall()

    async def work(record: RequestRecord) -> None:
        raise InvalidImage("no image")

    with contextlib.suppress(asyncio.CancelledError):
        await answer_call(Metrics(), call, "Segment", work)  # type: ignore[arg-type]
    assert call.aborted is not None


@contextlib.asynccontextmanager
async def collecting() -> AsyncIterator[list[str]]:
    """A list of the functions whose frames only the garbage collector could free, after the block."""
    left: list[str] = []
    gc.collect()
    gc.disable()
    try:
        yield left
        await asyncio.sleep(0.01)  # tasks that were cancelled end
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        left += [found.f_code.co_qualname for found in gc.garbage if isinstance(found, FrameType)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


@pytest.mark.parametrize("ask", [admit, read_late, read_wrong, answer_http, refuse_rpc])
async def test_a_request_leaves_no_frame_in_a_cycle(ask: Callable[[], Awaitable[None]]) -> None:
    async with collecting() as left:
        with contextlib.suppress(BlitzError):
            await ask()
    assert left == []
