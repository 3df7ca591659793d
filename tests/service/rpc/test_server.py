"""Health, reflection, ports."""

import asyncio

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from service.errors import InvalidSetting
from service.rpc.server import OIP, SERVICE, RpcServer
from service.serving.engine import Engine
from tests.running import PATIENCE_S

STATUS = health_pb2.HealthCheckResponse


@pytest.fixture
def health(channel: grpc.aio.Channel) -> health_pb2_grpc.HealthStub:
    return health_pb2_grpc.HealthStub(channel)


@pytest.mark.parametrize("name", ["", "blitzmask.v1.SegmentationService", "inference.GRPCInferenceService"])
async def test_health_follows_readiness(
    health: health_pb2_grpc.HealthStub, server: RpcServer, name: str
) -> None:
    asked = health_pb2.HealthCheckRequest(service=name)
    assert (await health.Check(asked)).status == STATUS.NOT_SERVING
    await server.health.set_serving(now=True)
    assert (await health.Check(asked)).status == STATUS.SERVING
    await server.health.set_serving(now=False)
    assert (await health.Check(asked)).status == STATUS.NOT_SERVING


async def test_health_of_a_service_nobody_knows_is_not_found(health: health_pb2_grpc.HealthStub) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await health.Check(health_pb2.HealthCheckRequest(service="other"))
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("name", ["x" * 20_000, "\N{SNOWMAN}" * 20_000], ids=["ascii", "snowmen"])
async def test_a_service_name_that_would_break_the_status_is_cut(
    health: health_pb2_grpc.HealthStub, name: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await health.Check(health_pb2.HealthCheckRequest(service=name))
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND
    assert len(str(caught.value.details())) < 200


async def test_health_lists_the_whole_server_and_its_services(health: health_pb2_grpc.HealthStub) -> None:
    statuses = (await health.List(health_pb2.HealthListRequest())).statuses
    assert {name: answer.status for name, answer in statuses.items()} == dict.fromkeys(("", SERVICE, OIP), 2)


async def test_a_watcher_of_a_service_nobody_knows_is_told_so(health: health_pb2_grpc.HealthStub) -> None:
    watching = health.Watch(health_pb2.HealthCheckRequest(service="other"))
    assert (await watching.read()).status == STATUS.SERVICE_UNKNOWN


async def test_a_watcher_hears_of_changes_and_does_not_hold_up_a_stop(
    health: health_pb2_grpc.HealthStub, server: RpcServer
) -> None:
    watching = health.Watch(health_pb2.HealthCheckRequest(service=SERVICE))
    assert (await watching.read()).status == STATUS.NOT_SERVING
    await server.health.set_serving(now=True)
    assert (await watching.read()).status == STATUS.SERVING
    async with asyncio.timeout(PATIENCE_S):
        await server.stop(60)


async def test_a_connection_has_256_calls_at_a_time(health: health_pb2_grpc.HealthStub) -> None:
    asked = health_pb2.HealthCheckRequest(service=SERVICE)
    watching = [health.Watch(asked) for _ in range(256)]
    await asyncio.gather(*(watch.read() for watch in watching))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await health.Check(asked, timeout=0.5)
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    watching[0].cancel()
    assert (await health.Check(asked)).status == STATUS.NOT_SERVING
    for watch in watching:
        watch.cancel()


async def test_reflection_lists_the_services(channel: grpc.aio.Channel) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
    names = {service.name for service in (await call.read()).list_services_response.service}
    assert {SERVICE, OIP, "grpc.health.v1.Health"} <= names


async def test_a_port_that_is_taken_is_refused_by_its_setting(
    engine: Engine, server: RpcServer, capfd: pytest.CaptureFixture[str]
) -> None:
    port = await server.start("127.0.0.1", 0)
    other = RpcServer(engine, max_body=1000)
    with pytest.raises(InvalidSetting, match=f"BLITZ_GRPC_PORT={port}: cannot listen on 127.0.0.1"):
        await other.start("127.0.0.1", port)
    await server.stop(0)
