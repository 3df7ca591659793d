"""Where a session's frames come from."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TypeVar

from service.errors import DeadlineExceeded
from service.serving.streaming.frame import Frame

T = TypeVar("T")


async def unless_stopped(
    reading: Awaitable[T], stop: asyncio.Event, *, within_s: float | None = None
) -> T | None:
    """What is read, None where `stop` is set before it is there; raises DeadlineExceeded after `within_s`."""
    tasks = asyncio.ensure_future(reading), asyncio.ensure_future(stop.wait())
    try:
        done, _ = await asyncio.wait(tasks, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            raise DeadlineExceeded(f"nothing came over this stream for {within_s:g} seconds")
        return tasks[0].result() if tasks[0].done() else None
    finally:
        for task in tasks:
            task.cancel()


async def read_frames(
    read: Callable[[], Awaitable[Frame | None]], stop: asyncio.Event, *, within_s: float | None = None
) -> AsyncGenerator[Frame, None]:
    """What `read` gives, until that is None or `stop` is set; raises DeadlineExceeded after `within_s`."""
    while not stop.is_set():
        frame = await unless_stopped(read(), stop, within_s=within_s)
        if frame is None:
            break
        yield frame
