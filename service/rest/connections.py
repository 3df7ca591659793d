"""HTTP connections with limits: uvicorn's protocol, and a sweeper that closes those that make no progress.

uvicorn alone waits without end for a request's headers, of whatever length, and for a client that does not
read its answer. It also answers requests with no or several Host headers, and HTTP/0.9.
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from starlette.exceptions import HTTPException
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from service.errors import BlitzError, Overloaded
from service.rest.bodies import TOO_SLOW
from service.rest.problem import answer_early

MAX_HEAD = 65_536  # bytes of a request's line and headers; more in a single read are taken
MAX_HEADERS = 500
MAX_PIPELINE = 100  # requests that a connection may send ahead of their answers
FIRST_S = 5.0  # for the request of a new connection, where the server stops meanwhile
CONTINUE = b"HTTP/1.1 100 "
VERSIONS = ("1.0", "1.1")
HOST = re.compile(rb"[\w.~!$&'()*+,;=:%\[\]-]*")  # RFC 3986, sections 3.2.2 and 3.2.3
TOO_MANY, TOO_LONG, NOT_HTTP = "TooManyConnections", "HeadersTooLong", "NotHttp"  # in blitzmask_rejected

Count: TypeAlias = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """head_s: seconds for a request's headers, and without progress for a client that reads its answer.

    keep_alive_s: seconds between two requests. connections: open ones at one time.
    """

    head_s: float = 10.0
    keep_alive_s: float = 75.0
    connections: int = 10_000


class Together:
    """Sends the head of a response with the first of its body.

    uvicorn sends the two one after the other and wakes the client twice: a quarter of what answering costs.
    """

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._transport = cycle.transport
        self._finish = cycle.on_response
        self._begun = False
        self._held = b""  # the head, until it is sent
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
    """Refuses bytes that are no HTTP, headers that have no end, and one connection too many.

    A refusal follows the answers to the requests before it. Refusals are counted and not logged: such
    clients would fill the log at no cost of their own.
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
        """`most`: connections at a time; `count` gets the reason of a refusal. The others are uvicorn's."""
        super().__init__(config, server_state, app_state, _loop)
        self._most = most
        self._count = count
        self._in_head = True
        self._head = 0  # bytes of a head, or of reads in which no body came where one is expected
        self._advanced = False  # by the present read
        self._pieces: list[bytes] = []  # of a body, of one read
        self._fault: HTTPException | None = None
        self._refused = False
        self._owed: BlitzError | HTTPException | None = None  # the refusal, until it may be sent
        self._running: RequestResponseCycle | None = None
        self._made_at = self.loop.time()
        self._last = False  # the next request is the last one: the server stops

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as theirs
        super().connection_made(transport)
        if len(self.connections) > self._most:
            self._count(TOO_MANY)
            self._send(Overloaded(f"all {self._most} connections are taken; come back when one is closed"))
            transport.close()

    def data_received(self, data: bytes) -> None:
        if self._refused or self.transport.is_closing():
            return
        earlier, self._advanced = self.headers, False
        super().data_received(data)
        if self._refused:
            return
        self._pass_body()
        if self._in_head and self.headers is not earlier:
            self._head = self._measure_head()  # the rest of the read may belong to an earlier request
        else:
            self._head = 0 if self._advanced and not self._in_head else self._head + len(data)
        if self._head > MAX_HEAD and not self.transport.is_closing():
            self._count(TOO_LONG)
            part = "headers" if self._in_head else "trailers or chunk extensions"
            self._refuse(HTTPException(431, f"the {part} are longer than {MAX_HEAD} bytes"))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head = True, 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; trailers, which follow a body of chunks, are no part of the request here."""
        if self._in_head:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """Keep a piece until the read ends: uvicorn copies the whole body for each of thousands of chunks."""
        self._pieces.append(body)

    def on_message_complete(self) -> None:
        self._advanced = True
        self._pass_body()
        super().on_message_complete()

    def on_headers_complete(self) -> None:
        self._fault = self._find_fault()
        if self._fault is not None:
            raise self._fault  # ends the parsing; uvicorn then calls send_400_response
        before = self.cycle
        super().on_headers_complete()
        self._in_head, self._advanced = False, True
        if self.cycle is not before:
            Together(self.cycle)
            self.cycle.keep_alive = self.cycle.keep_alive and not self._last

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser cannot read; uvicorn's own text would be no problem+json."""
        fault, self._fault = self._fault or HTTPException(400, "this is not a valid HTTP request"), None
        self._count(NOT_HTTP if fault.status_code == 400 else TOO_LONG)
        self._refuse(fault)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._owed is not None and not self._is_answering() and not self.transport.is_closing():
            self._send(self._owed)
            self._end()

    def shutdown(self) -> None:
        """Close, after the answer where there is a request. One whose head is still on its way is awaited.

        A client on a busy machine may need seconds between connecting and sending its first request.
        """
        left = self._made_at + FIRST_S - self.loop.time()
        if self._in_head and not self._refused and left > 0:
            self._last = True
            self.loop.call_later(left, self._stop_waiting)
        else:
            super().shutdown()

    def debt(self) -> tuple[object, ...] | None:
        """The client's overdue part, equal for as long as nothing comes; None where nothing is due."""
        if unsent := self.transport.get_write_buffer_size():
            return "reading", unsent
        cycle = self.cycle
        waiting = self.timeout_keep_alive_task is None and (cycle is None or cycle.response_complete)
        left = self._refused and self._owed is None
        return ("headers", cycle) if waiting or left else None

    def _stop_waiting(self) -> None:
        if self._in_head:
            self.transport.close()

    def _pass_body(self) -> None:
        if self._pieces:
            self._advanced = True
            body = b"".join(self._pieces)
            self._pieces.clear()
            super().on_body(body)

    def _measure_head(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _find_fault(self) -> HTTPException | None:
        """The refusal of a head that the parser accepts and RFC 9112 or our limits do not."""
        version = self.parser.get_http_version()
        if version not in VERSIONS:
            return HTTPException(400, f"HTTP/{version} is not spoken here, use HTTP/1.1")
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (hosts == 0 and version == "1.1"):
            return HTTPException(400, f"the request has {hosts} Host headers, expected one")
        if any(name == b"host" and HOST.fullmatch(value) is None for name, value in self.headers):
            return HTTPException(400, "the Host header is no name or address of a host")
        if len(self.headers) > MAX_HEADERS:
            return HTTPException(431, f"the request has more than {MAX_HEADERS} headers")
        if len(self.pipeline) >= MAX_PIPELINE:
            return HTTPException(400, f"more than {MAX_PIPELINE} requests are sent ahead of their answers")
        return None

    def _refuse(self, error: BlitzError | HTTPException) -> None:
        """Read nothing more; send the refusal after the answers to complete requests, and close."""
        self._refused = True
        if self.pipeline and self.pipeline[0][0].more_body:
            self.pipeline.popleft()  # the newest, of which the rest cannot be read
        if self._is_answering():
            self._owed = error
            return
        self._send(error)
        self._end()

    def _is_answering(self) -> bool:
        """Whether a complete request has no answer yet."""
        running = self._running
        unanswered = running is not None and not running.response_complete and not running.more_body
        return bool(self.pipeline) or unanswered

    def _send(self, error: BlitzError | HTTPException) -> None:
        answer = answer_early(error)
        headers = (*self.server_state.default_headers, *answer.raw_headers, (b"connection", b"close"))
        lines = (b"%s: %s\r\n" % header for header in headers)
        status = STATUS_LINE[answer.status_code]
        self.transport.write(b"".join((status, *lines, b"\r\n", answer.body)))
        self._refused = True
        self._owed = None

    def _end(self) -> None:
        """Close for writing only, until the client closes or is swept: a reset could destroy the refusal."""
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True  # the application waits for the rest of a body
            self._running.message_event.set()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()


class Sweeper:
    """Closes connections that make no progress for too long; it costs a request nothing."""

    def __init__(self, state: ServerState, head_s: float, count: Count) -> None:
        self._state = state
        self._count = count
        self._head_s = head_s
        self._debts: dict[Connection, tuple[tuple[object, ...], float]] = {}

    async def run(self) -> None:
        """Sweep until the task is cancelled."""
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
