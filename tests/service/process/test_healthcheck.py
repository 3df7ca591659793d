"""The health check that a container runs every few seconds."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from service.process.healthcheck import is_ready
from service.process.server import Server
from service.settings import Settings
from tests.certificates import Authority, make_authority
from tests.fakes import FakeCatalog
from tests.running import ROOT, free_port


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("certificates"))


async def ask(port: int) -> bool:
    return await asyncio.to_thread(is_ready, port)


@pytest.mark.parametrize("tls", ["none", "tls", "mutual"])
async def test_it_knows_whether_the_service_is_ready_however_it_is_spoken_to(
    made: Authority, tls: str
) -> None:
    files: dict[str, Path] = {}
    if tls != "none":
        files = {"tls_cert": made.server.cert, "tls_key": made.server.key}
    if tls == "mutual":
        files["tls_client_ca"] = made.ca
    settings = Settings(http_port=0, grpc_port=0, slots=1, stop_delay_s=0, drain_s=1)
    server = Server(settings.model_copy(update=files))
    port, _ = await server.start()
    assert await ask(port) == (tls == "mutual")  # which cannot be told more
    await server.load(lambda _: FakeCatalog())
    assert await ask(port)
    await server.stop()
    assert not await ask(port)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "0.0.0.0"])
async def test_it_asks_the_address_that_the_service_listens_on(host: str) -> None:
    server = Server(Settings(host=host, http_port=0, grpc_port=0, slots=1, stop_delay_s=0, drain_s=1))
    port, _ = await server.start()
    await server.load(lambda _: FakeCatalog())
    assert await asyncio.to_thread(is_ready, port, host)
    await server.stop()


async def test_where_nobody_listens_nobody_is_ready() -> None:
    assert not await ask(free_port())


async def test_the_command_reads_the_port_that_the_service_reads() -> None:
    server = Server(Settings(http_port=0, grpc_port=0, slots=1, stop_delay_s=0, drain_s=1))
    port, _ = await server.start()
    await server.load(lambda _: FakeCatalog())
    environment = {**os.environ, "BLITZ_HTTP_PORT": str(port), "BLITZ_HOST": ""}
    command = (sys.executable, "-m", "service.process.healthcheck")
    asked = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environment)
    assert await asked.wait() == 0
    await server.stop()
