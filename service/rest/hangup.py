"""Work for a client that may hang up meanwhile."""

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

from starlette.requests import Request

from service.rest.boundary import ClientGone

T = TypeVar("T")


async def unless_gone(request: Request, work: Coroutine[None, None, T]) -> T:
    """The result of `work`, which is cancelled when the client hangs up; raises ClientGone then.

    The request's body must have been read. The work begins at once, and who waits for it is woken directly:
    in a task of its own it would take two more rounds of the loop.
    """
    watch = _Watch(request)
    try:
        return await work
    except asyncio.CancelledError as error:
        if watch.has_cancelled():
            raise ClientGone from error
        raise
    finally:
        watch.end()


class _Watch:
    """Cancels the task that begins it when the client hangs up, until it is ended."""

    def __init__(self, request: Request) -> None:
        self._task = asyncio.current_task()
        self._cancelled = False
        self._watching = asyncio.ensure_future(self._wait(request))

    def has_cancelled(self) -> bool:
        """Whether a cancellation was ours, and nobody else's too."""
        return self._cancelled and self._task is not None and self._task.uncancel() == 0

    def end(self) -> None:
        self._watching.cancel()

    async def _wait(self, request: Request) -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        if self._task is not None:
            self._cancelled = self._task.cancel()
