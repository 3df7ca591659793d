"""The server process: loading of models, and failures of it."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from service.errors import InvalidCard, InvalidSetting, SelfTestFailed
from service.process.server import Server
from service.process.start import DONE, serve
from service.process.workers import run_workers
from service.serving.engine import Models
from service.settings import Settings
from tests.fakes import FakeCatalog, FakeModel, encode_picture
from tests.running import PATIENCE_S

QUICK = Settings(http_port=0, grpc_port=0, slots=1, stop_delay_s=0, drain_s=5, slots_in="threads")


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server(QUICK)
    yield server
    await server.stop()


def raise_(error: Exception) -> Callable[[Settings], Models]:
    def load(settings: Settings) -> Models:
        raise error

    return load


async def test_it_is_ready_once_the_models_are_loaded(server: Server) -> None:
    assert server.engine.reasons == ("models are loading",)
    await server.load(lambda settings: FakeCatalog(FakeModel("mine")))
    assert server.engine.ready
    assert server.engine.catalog.get().card.name == "mine"


async def test_a_model_that_fails_its_test_is_the_reason_it_is_not_ready(server: Server) -> None:
    await server.load(raise_(SelfTestFailed("head size is off by 3")))
    assert server.engine.reasons == ("head size is off by 3",)


async def test_an_unknown_failure_to_load_leaks_no_text(server: Server) -> None:
    await server.load(raise_(RuntimeError("swordfish")))
    (reason,) = server.engine.reasons
    assert "RuntimeError" in reason
    assert "swordfish" not in reason


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "two..dots"])
async def test_a_host_that_is_not_here_is_refused_before_any_port(
    host: str, capfd: pytest.CaptureFixture[str]
) -> None:
    server = Server(Settings(host=host, http_port=0, grpc_port=0))
    with pytest.raises(InvalidSetting, match=f"^BLITZ_HOST={host}: this machine has no such address"):
        await server.start()
    with pytest.raises(InvalidSetting, match="BLITZ_HOST"):
        run_workers(Settings(workers=2, host=host))
    assert capfd.readouterr().err == ""


async def test_both_transports_answer_from_one_engine(server: Server) -> None:
    http_port, grpc_port = await server.start()
    await server.load(lambda settings: FakeCatalog())
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{http_port}", timeout=PATIENCE_S) as client:
        answer = await client.post("/v1/segment", content=encode_picture())
    assert answer.status_code == 200
    async with grpc.aio.insecure_channel(f"127.0.0.1:{grpc_port}") as channel:
        health = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
    assert health.status == health_pb2.HealthCheckResponse.SERVING


async def test_a_signal_while_it_loads_ends_it_cleanly() -> None:
    loading = asyncio.Event()
    loop = asyncio.get_running_loop()

    def load(settings: Settings) -> Models:
        loop.call_soon_threadsafe(loading.set)
        return FakeCatalog()

    serving = asyncio.create_task(serve(QUICK, load))
    await loading.wait()
    os.kill(os.getpid(), signal.SIGTERM)
    assert await serving == DONE


async def test_a_changed_models_folder_is_followed_where_that_is_set() -> None:
    class Changing(FakeCatalog):
        def refreshed(self) -> FakeCatalog:
            return FakeCatalog(FakeModel("new"))

    server = Server(QUICK.model_copy(update={"watch_s": 0.01}))
    await server.load(lambda settings: Changing(FakeModel("old")))
    async with asyncio.timeout(PATIENCE_S):
        while server.engine.catalog.get().card.name != "new":
            await asyncio.sleep(0.01)
    await server.stop()


async def test_a_folder_that_is_mended_is_loaded_after_all_where_it_is_watched(tmp_path: Path) -> None:
    loads = list[int]()

    def load(settings: Settings) -> Models:
        loads.append(1)
        if not (tmp_path / "toy" / "card.json").exists():
            raise InvalidCard("no model serves")
        return FakeCatalog()

    server = Server(QUICK.model_copy(update={"watch_s": 0.01, "models_dir": tmp_path}))
    keeping = asyncio.create_task(server.keep_loading(load))
    while server.engine.reasons != ("no model serves",):
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    assert len(loads) == 1  # not again while nothing has changed
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "card.json").touch()
    async with asyncio.timeout(PATIENCE_S):
        await keeping
    assert server.engine.ready
    await server.stop()


async def test_without_a_watch_it_is_tried_once(server: Server) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await server.keep_loading(raise_(InvalidCard("no model serves")))
    assert server.engine.reasons == ("no model serves",)
