"""The gRPC server over a fake model, asked over a socket."""

from collections.abc import AsyncIterator

import grpc
import pytest

from service.rpc.generated import segmentation_pb2_grpc as pb_grpc
from service.rpc.server import RpcServer
from service.serving.admission import Admission
from service.serving.engine import Engine
from service.telemetry.metrics import Metrics
from tests.fakes import FakeCatalog, FakeModel

MAX_BODY = 100_000


@pytest.fixture
def model() -> FakeModel:
    return FakeModel()


@pytest.fixture
async def engine(model: FakeModel) -> Engine:
    """One slot and one place in the queue; ready."""
    engine = Engine(Admission(1, 1), Metrics(), timeout_s=10)
    engine.use(FakeCatalog(model, FakeModel("other", "2"), failures={"broken": "its hash is wrong"}))
    return engine


@pytest.fixture
async def server(engine: Engine) -> RpcServer:
    return RpcServer(engine, max_body=MAX_BODY)


@pytest.fixture
async def channel(server: RpcServer, engine: Engine) -> AsyncIterator[grpc.aio.Channel]:
    port = await server.start("127.0.0.1", 0)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    await server.stop(0)
    engine.admission.close()


@pytest.fixture
def stub(channel: grpc.aio.Channel) -> pb_grpc.SegmentationServiceStub:
    return pb_grpc.SegmentationServiceStub(channel)  # type: ignore[no-untyped-call]  # protoc's
