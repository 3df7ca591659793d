"""The HTTP server: uvicorn, on a socket of our own, without signal handlers of its own."""

import asyncio
import contextlib
import socket
from collections.abc import Generator
from functools import partial

import uvicorn
from fastapi import FastAPI

from service.rest.connections import Connection, ConnectionLimits, Sweeper
from service.rest.listener import accept_all, ignore_newcomers, listen
from service.rest.live_connection import LiveConnection
from service.security.tls import Tls
from service.serving.engine import Engine

FRAME_MARGIN = 1_000_000  # bytes by which a frame may be too large and still be answered that it is
# On every answer, and those that are not for people only in part: the page adds to them.
HEADERS = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("content-security-policy", "frame-ancestors 'none'"),
    ("cross-origin-resource-policy", "same-origin"),
]
HSTS = "strict-transport-security"
HANDSHAKE_S = 0.1  # for who is in the middle of connecting while the door closes
LIMITS = ConnectionLimits()


class _Uvicorn(uvicorn.Server):
    """uvicorn's only switches for these are its methods."""

    handshake_s = LIMITS.head_s

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, without an unlimited patience for the handshakes of TLS."""
        tls = self.config.ssl
        server = await asyncio.get_running_loop().create_server(
            self.make_connection,
            sock=(sockets or [])[0],
            ssl=tls,
            backlog=self.config.backlog,
            ssl_handshake_timeout=None if tls is None else self.handshake_s,
        )
        self.servers = [server]
        self.started = True

    def make_connection(self) -> asyncio.Protocol:
        config = self.config
        return config.http_protocol_class(  # type: ignore[call-arg]  # as uvicorn itself calls it
            config=config, server_state=self.server_state, app_state={}
        )

    # Two servers in one process stop by one signal.
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class RestServer:
    """Serves one application."""

    def __init__(
        self,
        app: FastAPI,
        *,
        drain_s: float,
        limits: ConnectionLimits = LIMITS,
        tls: Tls | None = None,
    ) -> None:
        """Raises InvalidSetting where TLS has not what it needs."""
        engine: Engine = app.state.engine
        self._count = engine.metrics.rejected
        config = uvicorn.Config(
            app,
            http=partial(Connection, limits.connections, self._count),  # type: ignore[arg-type]  # makes one, as a type does
            ws=LiveConnection,
            ws_max_size=app.state.max_body + FRAME_MARGIN,
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
        self._tls = config.ssl = None if tls is None else tls.open_context()
        self._head_s = limits.head_s
        self._server = _Uvicorn(config)
        self._server.handshake_s = limits.head_s
        self._serving: asyncio.Task[None] | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._listener: socket.socket | None = None

    async def start(self, host: str, port: int, *, shared: bool = False) -> int:
        """Listen, on a port shared with other processes or not, and give it.

        Raises InvalidSetting where that cannot be.
        """
        self._listener = listener = listen(host, port, shared=shared)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))
        self._sweeping = asyncio.create_task(
            Sweeper(self._server.server_state, self._head_s, self._count).run()
        )
        bound: int = listener.getsockname()[1]
        return bound

    async def close_door(self) -> None:
        """Take no new connections; those that are open go on.

        What the kernel has accepted but not handed over is taken in: a closed listener would reset it.
        """
        if self._listener is None:
            return
        ignore_newcomers(self._listener)
        await asyncio.sleep(HANDSHAKE_S)
        waiting = list(accept_all(self._listener))
        for server in self._server.servers:
            server.close()
        self._listener.close()
        for connection in waiting:
            await asyncio.get_running_loop().connect_accepted_socket(
                self._server.make_connection, connection, ssl=self._tls
            )

    async def stop(self) -> None:
        """Close idle connections; returns when what is in flight is answered, or its time is over."""
        self._server.should_exit = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        if self._serving is not None:
            await self._serving
