"""The listener closes: it serves clients that have connected, and refuses later ones without a reset."""

import asyncio
import errno
import inspect
import socket
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.process.listening import accept_all
from service.rest import connections
from service.rest import server as rest
from service.rest.server import RestServer, create_app
from service.serving.engine import Engine
from tests.running import PATIENCE_S

HEALTHZ = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
KEPT = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
REPEAT_S = 1.0  # how long Linux waits before it asks again to be let in
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="only Linux can ignore newcomers")


def begin_to_connect(port: int) -> socket.socket:
    client = socket.socket()
    client.setblocking(False)
    assert client.connect_ex(("127.0.0.1", port)) == errno.EINPROGRESS
    return client


@linux_only
async def test_who_comes_in_the_moment_before_the_listener_closes_is_refused(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = RestServer(create_app(engine, max_body=100_000), drain_s=5)
    port = await server.start("127.0.0.1", 0)
    late = list[socket.socket]()

    def accept_all_but_one(listener: socket.socket) -> Iterator[socket.socket]:
        yield from accept_all(listener)
        late.append(begin_to_connect(port))

    monkeypatch.setattr(rest, "accept_all", accept_all_but_one)
    await server.close_door()
    with late[0] as client:
        await asyncio.sleep(2 * REPEAT_S)
        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED
    await server.stop()
    engine.admission.close()


async def test_who_was_in_before_is_answered(engine: Engine) -> None:
    server = RestServer(create_app(engine, max_body=100_000), drain_s=5)
    port = await server.start("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await server.close_door()
    writer.write(HEALTHZ)
    assert (await reader.read()).startswith(b"HTTP/1.1 200 OK\r\n")
    writer.close()
    await server.stop()
    engine.admission.close()


@pytest.mark.parametrize("early", [0, 10], ids=["nothing", "part of a head"])
async def test_a_new_client_that_is_slow_is_answered_though_the_server_stops(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, early: int
) -> None:
    monkeypatch.setattr(connections, "FIRST_S", PATIENCE_S)
    server = RestServer(create_app(engine, max_body=100_000), drain_s=PATIENCE_S)
    reader, writer = await asyncio.open_connection("127.0.0.1", await server.start("127.0.0.1", 0))
    writer.write(KEPT[:early])
    await server.close_door()
    stopping = asyncio.create_task(server.stop())
    await asyncio.sleep(0.3)  # idle connections are closed by now
    writer.write(KEPT[early:])
    assert (await reader.read()).startswith(b"HTTP/1.1 200 OK\r\n")  # and then the server closes
    await stopping
    writer.close()
    engine.admission.close()


async def test_a_new_client_that_stays_silent_does_not_hold_the_stop_up(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "FIRST_S", 0.5)
    server = RestServer(create_app(engine, max_body=100_000), drain_s=3600)
    reader, writer = await asyncio.open_connection("127.0.0.1", await server.start("127.0.0.1", 0))
    await server.close_door()
    async with asyncio.timeout(PATIENCE_S):
        await server.stop()
        assert await reader.read() == b""
    writer.close()
    engine.admission.close()


def test_uvicorn_is_the_version_that_these_tests_cover() -> None:
    """`connections` and `server` override methods that uvicorn may change in any release."""
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    (pinned,) = (each.partition("==")[2] for each in project["dependencies"] if each.startswith("uvicorn"))
    assert version("uvicorn").startswith(pinned.removesuffix("*"))


@pytest.mark.parametrize(
    ("owner", "name", "parameters"),
    [
        (HttpToolsProtocol, "__init__", ["self", "config", "server_state", "app_state", "_loop"]),
        (HttpToolsProtocol, "_start_asgi_task", ["self", "cycle", "app"]),
        (HttpToolsProtocol, "shutdown", ["self"]),
        (HttpToolsProtocol, "send_400_response", ["self", "msg"]),
        (HttpToolsProtocol, "on_response_complete", ["self"]),
        (uvicorn.Server, "startup", ["self", "sockets"]),
        (uvicorn.Server, "capture_signals", ["self"]),
    ],
)
def test_the_methods_of_uvicorn_that_are_overridden_exist(
    owner: type, name: str, parameters: list[str]
) -> None:
    assert list(inspect.signature(getattr(owner, name)).parameters) == parameters
