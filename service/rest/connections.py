"""HTTP connections that wait for nobody longer than they should: uvicorn's, with limits.

uvicorn waits without end for a request's headers, of whatever length, and for a client to take its answer.
"""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

MAX_HEAD = 65_536  # bytes of a request's line and headers; what comes in one piece may be more
CONTINUE = b"HTTP/1.1 100 "
HEADERS = b"content-length: 0\r\nconnection: close\r\n\r\n"


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
        self._head: bytes | None = None
        cycle.transport = self  # type: ignore[assignment]  # all of a transport that it uses
        cycle.on_response = self.end

    def write(self, data: bytes) -> None:
        if self._head is None and not data.startswith(CONTINUE):
            self._head = data
        else:
            self._transport.write((self._head or b"") + data)
            self._head = self._head and b""

    def end(self) -> None:
        """The response is complete, perhaps without a body."""
        if self._head:
            self.write(b"")
        self._finish()

    def close(self) -> None:
        if self._head:
            self.write(b"")
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()


class Connection(HttpToolsProtocol):
    """Refuses headers that have no end, and one connection too many."""

    def __init__(
        self,
        most: int,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """`most`: connections at a time. The others are uvicorn's."""
        super().__init__(config, server_state, app_state, _loop)
        self._most = most
        self._in_head = True
        self._head = 0
        self._refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as theirs
        super().connection_made(transport)
        if len(self.connections) > self._most:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE)
            transport.close()

    def data_received(self, data: bytes) -> None:
        if self._refused or self.transport.is_closing():
            return
        super().data_received(data)
        if not self._in_head:
            return
        self._head += len(data)
        if self._head > MAX_HEAD and not self.transport.is_closing():
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
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

    def _refuse(self, status: HTTPStatus) -> None:
        lines = (b"%s: %s\r\n" % header for header in self.server_state.default_headers)
        self.transport.write(b"".join((STATUS_LINE[status], *lines, HEADERS)))
        self._refused = True

    def _end(self) -> None:
        """Close, but read on until the client does too or is swept: else it would lose what it was told."""
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()


class Sweeper:
    """Closes the connections whose clients owe something for too long; costs a request nothing."""

    def __init__(self, state: ServerState, head_s: float) -> None:
        self._state = state
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
                connection.transport.abort()
            debts[connection] = (debt, since)
        self._debts = debts
