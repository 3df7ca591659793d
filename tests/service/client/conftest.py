"""A server in this process on both its ports, and one way to call all four clients."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import pytest

import service.rest.application  # noqa: F401  # so that every application is complete at once
from service.client import AsyncRestClient, AsyncRpcClient, RestClient, RpcClient
from service.rest.server import RestServer, create_app
from service.rpc.server import RpcServer
from service.serving.admission import Admission
from service.serving.engine import Engine
from service.telemetry.metrics import Metrics
from tests.fakes import FakeCatalog, FakeModel
from tests.running import PATIENCE_S

MAX_BODY = 100_000

Ask: TypeAlias = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Addresses:
    url: str
    rpc: str


@pytest.fixture
def model() -> FakeModel:
    return FakeModel()


@pytest.fixture
async def engine(model: FakeModel) -> AsyncIterator[Engine]:
    """One slot and one place in the queue; ready."""
    engine = Engine(Admission(1, 1), Metrics(), timeout_s=10)
    failures = {"broken": "its hash is wrong"}
    engine.use(FakeCatalog(model, FakeModel("other", "2"), failures=failures, unloaded=("birch",)))
    yield engine
    engine.admission.close()


@pytest.fixture
async def server(engine: Engine) -> AsyncIterator[Addresses]:
    async with serving(engine) as addresses:
        yield addresses


@asynccontextmanager
async def serving(engine: Engine) -> AsyncIterator[Addresses]:
    """An engine on both its ports."""
    rest = RestServer(create_app(engine, max_body=MAX_BODY), drain_s=1)
    rpc = RpcServer(engine, max_body=MAX_BODY)
    ports = await rest.start("127.0.0.1", 0), await rpc.start("127.0.0.1", 0)
    yield Addresses(f"http://127.0.0.1:{ports[0]}", f"127.0.0.1:{ports[1]}")
    await rpc.stop(0)
    await rest.close_door()
    await rest.stop()


@pytest.fixture(params=[RestClient, AsyncRestClient, RpcClient, AsyncRpcClient])
def connect(request: pytest.FixtureRequest) -> Callable[[Addresses], Any]:
    """Makes a client of one of the four kinds."""
    kind = request.param
    rest = kind in (RestClient, AsyncRestClient)
    return lambda addresses: kind(addresses.url if rest else addresses.rpc, timeout=PATIENCE_S)


@pytest.fixture
async def client(connect: Callable[[Addresses], Any], server: Addresses) -> AsyncIterator[Any]:
    client = connect(server)
    yield client
    await call(client.close)


@pytest.fixture
def ask(client: Any) -> Ask:
    """The method `segment` of any of the clients."""

    async def ask(*arguments: Any, **options: Any) -> Any:
        return await call(client.segment, *arguments, **options)

    return ask


async def call(method: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """The answer of a method that waits, or that is awaited."""
    if inspect.iscoroutinefunction(method):
        return await method(*arguments, **options)
    return await asyncio.to_thread(method, *arguments, **options)
