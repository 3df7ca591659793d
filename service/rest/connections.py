"""HTTP connections that wait for nobody longer than they should: uvicorn's, with limits.

uvicorn waits without end for a request's headers, of whatever length, and for a client to take its answer.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from starlette.exceptions import HTTPException
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from service.errors import BlitzError, Overloaded
from service.rest.problem import answer_early

MAX_HEAD = 65_536  # bytes of a request's line and headers; what comes in one piece may be more
CONTINUE = b"HTTP/1.1 100 "
TOO_MANY, TOO_LONG, TOO_SLOW = "TooManyConnections", "HeadersTooLong", "TooSlow"  # in blitzmask_rejected

Count: TypeAlias = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """head_s: seconds for a request's headers, and without progress for a client that takes its answer.

    keep_alive_s: seconds between two requests. connections: how many may be open.
    """

    head_s: float = 10.0
    keep_alive_s: float = 75.0
    connections: int = 10_000


class Together:
    """What a response is written to: its head leaves with the first of its body.

    uvicorn sends the two one after the other and wakes the client twice: a quarter of what answering costs.
    """

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._transport = cycle.transport
        self._finish = cycle.on_response
        self._begun = False
        self._held = b""  # the head, until it leaves
        cycle.transport = self  # type: ignore[assignment]  # all of a transport that it uses
        cycle.on_response = self.end

    def write(self, data: bytes) -> None:
        if self._begun or data.startswith(CONTINUE):
            self._transport.write(self._held + data)
            self._held = b""
        else:
            self._begun, self._held = True, data

    def end(self) -> None:
        """The response is complete, perhaps without a body."""
        self._release()
        self._finish()

    def close(self) -> None:
        self._release()
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def _release(self) -> None:
        if self._held:
            self.write(b"")


class Connection(HttpToolsProtocol):
    """Refuses headers that have no end, and one connection too many.

    Such clients are counted and not logged: they would fill the log at no cost of their own.
    """

    def __init__(
        self,
        most: int,
        count: Count,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """`most`: connections at a time; `count` is told why one is refused. The others are uvicorn's."""
        super().__init__(config, server_state, app_state, _loop)
        self._most = most
        self._count = count
        self._in_head = True
        self._head = 0
        self._refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as theirs
        super().connection_made(transport)
        if len(self.connections) > self._most:
            self._count(TOO_MANY)
            self._refuse(Overloaded(f"all {self._most} connections are taken; come back when one is closed"))
            transport.close()

    def data_received(self, data: bytes) -> None:
        if self._refused or self.transport.is_closing():
            return
        super().data_received(data)
        if not self._in_head:
            return
        self._head += len(data)
        if self._head > MAX_HEAD and not self.transport.is_closing():
            self._count(TOO_LONG)
            self._refuse(HTTPException(431, f"the headers are longer than {MAX_HEAD} bytes"))
            self._end()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head = True, 0

    def on_headers_complete(self) -> None:
        before = self.cycle
        super().on_headers_complete()
        self._in_head = False
        if self.cycle is not before:
            Together(self.cycle)

    def debt(self) -> tuple[object, ...] | None:
        """What its client owes, the same for as long as nothing comes; None where it owes nothing."""
        if unsent := self.transport.get_write_buffer_size():
            return "reading", unsent
        cycle = self.cycle
        waiting = self.timeout_keep_alive_task is None and (cycle is None or cycle.response_complete)
        return ("headers", cycle) if waiting else None

    def _refuse(self, error: BlitzError | HTTPException) -> None:
        answer = answer_early(error)
        headers = (*self.server_state.default_headers, *answer.raw_headers, (b"connection", b"close"))
        lines = (b"%s: %s\r\n" % header for header in headers)
        status = STATUS_LINE[answer.status_code]
        self.transport.write(b"".join((status, *lines, b"\r\n", answer.body)))
        self._refused = True

    def _end(self) -> None:
        """Close, but read on until the client does too or is swept: else it would lose what it was told."""
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()


class Sweeper:
    """Closes the connections whose clients owe something for too long; costs a request nothing."""

    def __init__(self, state: ServerState, head_s: float, count: Count) -> None:
        self._state = state
        self._count = count
        self._head_s = head_s
        self._debts: dict[Connection, tuple[tuple[object, ...], float]] = {}

    async def run(self) -> None:
        """Until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(min(1.0, self._head_s / 4))
            self.sweep(loop.time())

    def sweep(self, now: float) -> None:
        """Look at every connection."""
        debts: dict[Connection, tuple[tuple[object, ...], float]] = {}
        for connection in list(self._state.connections):
            if not isinstance(connection, Connection):  # a WebSocket has pings
                continue
            debt = connection.debt()
            if debt is None:
                continue
            known, since = self._debts.get(connection, (None, now))
            since = since if known == debt else now
            if now - since >= self._head_s:
                self._count(TOO_SLOW)
                connection.transport.abort()
            debts[connection] = (debt, since)
        self._debts = debts
