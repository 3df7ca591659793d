"""The HTTP server of REST: uvicorn on a socket of our own, which resets no connection when it closes.

This module and `connections` use classes of uvicorn that it does not document: pyproject.toml pins its
version, and tests cover both modules.
"""

import asyncio
import contextlib
import socket
from collections.abc import Generator
from functools import partial

import uvicorn

from service.process.listening import HANDSHAKE_S, Seat, accept_all, ignore_newcomers, listen
from service.rest.app import App, create_app
from service.rest.connections import Connection, ConnectionLimits, Sweeper
from service.rest.live_connection import LiveConnection
from service.security.tls import Tls
from service.serving.engine import Engine

__all__ = ["RestServer", "create_app"]

FRAME_MARGIN = 1_000_000  # bytes above the limit up to which a frame is answered that it is too large
# On every answer; the pages for browsers add to them.
HEADERS = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("content-security-policy", "frame-ancestors 'none'"),
    ("cross-origin-resource-policy", "same-origin"),
]
HSTS = "strict-transport-security"
LIMITS = ConnectionLimits()


class _Uvicorn(uvicorn.Server):
    """uvicorn with a limit for TLS handshakes; it has no setting for it."""

    handshake_s = LIMITS.head_s

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen on the sockets, if there are any, and give up a TLS handshake after `handshake_s`."""
        tls, loop = self.config.ssl, asyncio.get_running_loop()
        limit = None if tls is None else self.handshake_s
        self.servers = [
            await loop.create_server(self.make_connection, sock=each, ssl=tls, ssl_handshake_timeout=limit)
            for each in sockets or []
        ]
        self.started = True

    async def take_over(self, connection: socket.socket) -> None:
        """Serve a connection that has been accepted; one whose TLS handshake fails ends."""
        tls = self.config.ssl
        limit = None if tls is None else self.handshake_s
        with contextlib.suppress(OSError):  # an SSLError is one
            await asyncio.get_running_loop().connect_accepted_socket(
                self.make_connection, connection, ssl=tls, ssl_handshake_timeout=limit
            )

    def make_connection(self) -> asyncio.Protocol:
        config = self.config
        return config.http_protocol_class(  # type: ignore[call-arg]  # as uvicorn itself calls it
            config=config, server_state=self.server_state, app_state={}
        )

    # The process stops both of its servers by one signal handler of its own.
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class RestServer:
    """Serves one application."""

    def __init__(
        self,
        app: App,
        *,
        drain_s: float,
        limits: ConnectionLimits = LIMITS,
        tls: Tls | None = None,
    ) -> None:
        """Raises InvalidSetting where TLS lacks a file or cannot read it."""
        engine: Engine = app.state.engine
        self._count = engine.metrics.rejected
        config = uvicorn.Config(
            app,
            http=partial(Connection, limits.connections, self._count),  # type: ignore[arg-type]  # a factory
            ws=partial(LiveConnection, self._count),  # type: ignore[arg-type]  # a factory
            ws_max_size=app.state.bodies.most + FRAME_MARGIN,
            ws_per_message_deflate=False,  # costs more than the network it saves
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            headers=HEADERS + ([(HSTS, f"max-age={tls.hsts_s}")] if tls is not None and tls.hsts_s else []),
            proxy_headers=False,
            timeout_keep_alive=limits.keep_alive_s,  # type: ignore[arg-type]  # a fraction is as good
            timeout_graceful_shutdown=max(1, round(drain_s)),
        )
        config.load()
        config.ssl = None if tls is None else tls.open_context()
        self._head_s = limits.head_s
        self._server = _Uvicorn(config)
        self._server.handshake_s = limits.head_s
        self._serving: asyncio.Task[None] | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._listener: socket.socket | None = None
        self._seat: Seat | None = None
        self._arriving: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int, seat: Seat | None = None) -> int:
        """The port whose connections the server takes from now on; raises InvalidSetting.

        seat: gives the connections, where another process listens on the port and deals them.
        """
        self._seat = seat
        self._listener = listen(host, port) if seat is None else None
        listeners = [] if self._listener is None else [self._listener]
        self._serving = asyncio.create_task(self._server.serve(sockets=listeners))
        self._sweeping = asyncio.create_task(
            Sweeper(self._server.server_state, self._head_s, self._count).run()
        )
        if seat is not None:
            seat.join(self._take_over)
        return port if self._listener is None else int(self._listener.getsockname()[1])

    async def close_door(self) -> None:
        """Take no new connections; open ones are served on.

        Connections that the kernel has accepted are taken over first: a closed listener would reset them.
        """
        if self._seat is not None:
            await self._seat.leave()
        elif self._listener is not None:
            ignore_newcomers(self._listener)
            await asyncio.sleep(HANDSHAKE_S)
            waiting = list(accept_all(self._listener))
            for server in self._server.servers:
                server.close()
            self._listener.close()
            for connection in waiting:
                self._take_over(connection)
        await asyncio.gather(*self._arriving)

    async def stop(self) -> None:
        """Close idle connections; returns when all requests are answered, or the time for them is over."""
        self._server.should_exit = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        if self._serving is not None:
            await self._serving

    def _take_over(self, connection: socket.socket) -> None:
        task = asyncio.ensure_future(self._server.take_over(connection))
        self._arriving.add(task)
        task.add_done_callback(self._arriving.discard)
