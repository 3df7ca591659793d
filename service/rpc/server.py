"""The gRPC server: the segmentation service, the Open Inference Protocol, health and reflection."""

import asyncio
from typing import Any

import grpc
from grpc_health.v1 import health as health_v1
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from service.errors import InvalidSetting
from service.rpc.boundary import Context, Guard
from service.rpc.generated import grpc_predict_v2_pb2 as oip_pb
from service.rpc.generated import grpc_predict_v2_pb2_grpc as oip_pb_grpc
from service.rpc.generated import segmentation_pb2 as pb
from service.rpc.generated import segmentation_pb2_grpc as pb_grpc
from service.rpc.oip import InferenceService
from service.rpc.registry import MESSAGE_MARGIN, Registry
from service.rpc.segmentation import SegmentationService
from service.security.callers import ANYBODY, Rules
from service.security.tls import Tls
from service.serving.engine import Engine

_SERVICES = (
    pb.DESCRIPTOR.services_by_name["SegmentationService"],
    oip_pb.DESCRIPTOR.services_by_name["GRPCInferenceService"],
)
SERVICE, OIP = (service.full_name for service in _SERVICES)
METHODS = {
    f"/{service.full_name}/{method.name}": method.name for service in _SERVICES for method in service.methods
}
CONNECTIONS = (
    ("grpc.max_connection_idle_ms", 300_000),
    ("grpc.max_concurrent_streams", 256),  # of one connection: 900 calls at once took the loop 0.7 s
    ("grpc.keepalive_time_ms", 30_000),  # notices a peer that disappeared silently
    ("grpc.keepalive_timeout_ms", 10_000),
    (
        "grpc.http2.min_recv_ping_interval_without_data_ms",
        5_000,
    ),  # clients may ping
)


class RpcServer:
    """Serves one engine. Health checks say "not serving" until `health` is told otherwise."""

    def __init__(
        self,
        engine: Engine,
        *,
        max_body: int,
        shared: bool = False,
        rules: Rules = ANYBODY,
        tls: Tls | None = None,
    ) -> None:
        """`shared`: other processes may listen on the same port. `rules`: which callers need a key."""
        max_message = max_body + MESSAGE_MARGIN
        self._tls = tls
        self.health = Health(SERVICE, OIP)
        self._server = grpc.aio.server(
            interceptors=[Guard(rules.callers, engine.metrics, METHODS)] if rules.callers.required else [],
            options=[
                ("grpc.max_receive_message_length", max_message),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", int(shared)),  # gRPC's default lets two servers share a port silently
                ("grpc.server_handshake_timeout_ms", int(rules.first_s * 1000)),
                *CONNECTIONS,
            ],
        )
        registry = Registry(self._server, engine.metrics, patience_s=engine.timeout_s)
        pb_grpc.add_SegmentationServiceServicer_to_server(  # type: ignore[no-untyped-call]  # protoc's
            SegmentationService(engine, rules, max_message=max_message), registry
        )
        oip_pb_grpc.add_GRPCInferenceServiceServicer_to_server(  # type: ignore[no-untyped-call]  # protoc's
            InferenceService(engine, rules), registry
        )
        health_pb2_grpc.add_HealthServicer_to_server(self.health, registry)
        names = (SERVICE, OIP, health_v1.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(
            reflection.aio.ReflectionServicer(names), registry
        )

    async def start(self, host: str, port: int) -> int:
        """The port on which it listens from now on; raises InvalidSetting when it cannot."""
        await self.health.set_serving(now=False)
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            bound = self._bind(address)
        except RuntimeError as error:
            raise InvalidSetting(
                f"BLITZ_GRPC_PORT={port}: cannot listen on {host} port {port}; is something else on it?"
            ) from error
        await self._server.start()
        return bound

    def _bind(self, address: str) -> int:
        if self._tls is None:
            return self._server.add_insecure_port(address)
        return self._server.add_secure_port(address, self._tls.open_credentials())

    async def stop(self, grace: float) -> None:
        """Take no new calls, and end those in flight after `grace` seconds."""
        await self.health.close()
        await self._server.stop(grace)


class Health:
    """grpc.health.v1 for the whole server and for each service: all become ready together.

    It begins as not serving. `close` ends all watches, because a watch would hold up a stop.
    """

    def __init__(self, *services: str) -> None:
        self._names = (health_v1.OVERALL_HEALTH, *services)
        self._serving = False
        self._closed = False
        self._changed = asyncio.Condition()

    async def set_serving(self, *, now: bool) -> None:
        """Change the status, and tell the watchers."""
        self._serving = now
        await self._notify()

    async def close(self) -> None:
        """Stop serving, and end all watches."""
        self._serving, self._closed = False, True
        await self._notify()

    async def Check(self, request: Any, context: Context) -> Any:  # noqa: N802
        if request.service not in self._names:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no service {request.service:.100}")
        return self._describe(request.service)

    async def List(self, request: Any, context: Context) -> Any:  # noqa: N802
        return health_pb2.HealthListResponse(statuses={name: self._describe(name) for name in self._names})

    async def Watch(self, request: Any, context: Context) -> None:  # noqa: N802
        name = request.service
        while not self._closed:
            status = self._describe(name)
            await context.write(status)
            async with self._changed:  # not held while writing: a watcher that does not read blocks no other
                while not self._closed and self._describe(name) == status:
                    await self._changed.wait()
        await context.abort(grpc.StatusCode.UNAVAILABLE, "the service is stopping")

    def _describe(self, name: str) -> Any:
        answer = health_pb2.HealthCheckResponse
        if name not in self._names:
            return answer(status=answer.SERVICE_UNKNOWN)
        return answer(status=answer.SERVING if self._serving else answer.NOT_SERVING)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()
