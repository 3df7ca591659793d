"""Work goes on for as long as somebody waits for it."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from starlette.requests import Request
from starlette.types import Message

from service.rest.boundary import ClientGone, unless_gone


def make_request(receive: Callable[[], Awaitable[Message]]) -> Request:
    return Request({"type": "http"}, receive)


async def stay() -> Message:
    await asyncio.Event().wait()
    raise AssertionError("nobody hangs up")


async def test_work_is_done_for_a_client_that_stays() -> None:
    assert await unless_gone(make_request(stay), asyncio.sleep(0.01, "done")) == "done"
    assert len(asyncio.all_tasks()) == 2  # this one, and the watch that is being cancelled
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == 1


async def test_what_goes_wrong_is_told() -> None:
    async def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await unless_gone(make_request(stay), fail())


async def test_work_is_cancelled_when_the_client_hangs_up() -> None:
    async def leave() -> Message:
        return {"type": "http.disconnect"}

    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(ClientGone):
        await unless_gone(make_request(leave), work())
    assert ended.is_set()
    await asyncio.sleep(0)  # and nothing of it is left to cancel what comes next


async def test_a_client_that_is_gone_when_the_work_is_done_cancels_nothing_else() -> None:
    async def leave_late() -> Message:
        await asyncio.sleep(0.01)
        return {"type": "http.disconnect"}

    assert await unless_gone(make_request(leave_late), asyncio.sleep(0, "done")) == "done"
    await asyncio.sleep(0.03)


async def test_who_cancels_the_request_is_not_told_that_the_client_is_gone() -> None:
    task = asyncio.create_task(unless_gone(make_request(stay), asyncio.sleep(9)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
