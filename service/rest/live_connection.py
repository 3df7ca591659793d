"""uvicorn's WebSocket, which also notices that a client is gone while its messages are not read.

It answers a bad handshake with a counted problem; uvicorn alone sends a text that repeats the header.
"""

import asyncio
import select
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from uvicorn.config import Config
from uvicorn.protocols.websockets.auto import AutoWebSocketsProtocol
from uvicorn.server import ServerState
from websockets.datastructures import Headers
from websockets.http11 import Response

from service.errors import shorten
from service.rest.connections import NOT_HTTP, Count
from service.rest.problem import answer_early

HUNG_UP = "hung_up"  # in the state of a connection's scope
INTERVAL_S = 1.0
CLOSED_BY_PEER = getattr(select, "POLLRDHUP", 0)  # only Linux has it

assert AutoWebSocketsProtocol is not None  # `websockets` is one of our dependencies


class LiveConnection(AutoWebSocketsProtocol):  # type: ignore[misc, valid-type]  # one of uvicorn's, by what is installed
    """A WebSocket whose scope has `hung_up` in its state.

    uvicorn reads nothing more while a message waits for the application, so it misses the end behind it.
    """

    def __init__(
        self,
        count: Count,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """`count` gets the reason of a refusal. The others are uvicorn's."""
        super().__init__(config, server_state, {**app_state, HUNG_UP: self.hung_up}, _loop)
        self._count = count
        self.conn.reject = self._reject  # websockets calls it for a handshake that it cannot accept

    async def hung_up(self) -> None:
        """Return when the client has closed the connection, or uvicorn has."""
        while not (self.transport.is_closing() or _is_closed_by_peer(self.transport)):
            await asyncio.sleep(INTERVAL_S)

    def _reject(self, status: int, text: str) -> Response:
        self._count(NOT_HTTP)
        answer = answer_early(HTTPException(status, shorten(text.strip())))
        headers = Headers([("Connection", "close")])
        for name, value in (*self.default_headers, *answer.raw_headers):
            headers[name.decode("latin-1")] = value.decode("latin-1")
        return Response(answer.status_code, HTTPStatus(status).phrase, headers, bytes(answer.body))


def _is_closed_by_peer(transport: asyncio.Transport) -> bool:
    """True if the peer has closed the connection, even behind data that is not read yet."""
    descriptor = transport.get_extra_info("socket").fileno()
    if descriptor < 0:
        return True
    poll = select.poll()
    poll.register(descriptor, CLOSED_BY_PEER)
    return bool(poll.poll(0))
