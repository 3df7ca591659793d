"""uvicorn's WebSocket, which also notices the end of a client whose messages nobody reads."""

import asyncio
import select
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.websockets.auto import AutoWebSocketsProtocol
from uvicorn.server import ServerState

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
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Takes what uvicorn passes."""
        super().__init__(config, server_state, {**app_state, HUNG_UP: self.hung_up}, _loop)

    async def hung_up(self) -> None:
        """Return when the client has closed the connection, or uvicorn has."""
        while not (self.transport.is_closing() or _is_closed_by_peer(self.transport)):
            await asyncio.sleep(INTERVAL_S)


def _is_closed_by_peer(transport: asyncio.Transport) -> bool:
    """Whether the peer has sent its end, even behind data that nobody has read."""
    descriptor = transport.get_extra_info("socket").fileno()
    if descriptor < 0:
        return True
    poll = select.poll()
    poll.register(descriptor, CLOSED_BY_PEER)
    return bool(poll.poll(0))
