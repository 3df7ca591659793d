"""The gRPC server: the segmentation service, the Open Inference Protocol, health and reflection."""

import grpc
from grpc_health.v1 import health as health_v1
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from service.errors import InvalidSetting
from service.rpc.generated import grpc_predict_v2_pb2 as oip_pb
from service.rpc.generated import grpc_predict_v2_pb2_grpc as oip_pb_grpc
from service.rpc.generated import segmentation_pb2 as pb
from service.rpc.generated import segmentation_pb2_grpc as pb_grpc
from service.rpc.guard import Guard
from service.rpc.health import Health
from service.rpc.oip import InferenceService
from service.rpc.registry import Registry
from service.rpc.segmentation import SegmentationService
from service.rpc.sizes import MESSAGE_MARGIN
from service.security.rules import ANYBODY, Rules
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
    ("grpc.max_concurrent_streams", 1024),  # of one connection
    ("grpc.keepalive_time_ms", 30_000),  # a peer that is gone without a word is noticed
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),  # clients may ask whether we are there
)


class RpcServer:
    """Serves one engine; not serving, to health checks, until it is told that it does."""

    def __init__(
        self,
        engine: Engine,
        *,
        max_body: int,
        shared: bool = False,
        rules: Rules = ANYBODY,
        tls: Tls | None = None,
    ) -> None:
        """`shared`: other processes may listen on the same port. `rules`: who has to show a key."""
        max_message = max_body + MESSAGE_MARGIN
        self._tls = tls
        self.health = Health(SERVICE, OIP)
        self._server = grpc.aio.server(
            interceptors=[Guard(rules.callers, engine.metrics, METHODS)] if rules.callers.required else [],
            options=[
                ("grpc.max_receive_message_length", max_message),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", int(shared)),  # by default two servers share it without a word
                ("grpc.server_handshake_timeout_ms", int(rules.first_s * 1000)),
                *CONNECTIONS,
            ],
        )
        registry = Registry(self._server, engine.metrics)
        pb_grpc.add_SegmentationServiceServicer_to_server(  # type: ignore[no-untyped-call]  # protoc's
            SegmentationService(engine, rules, max_message=max_message), registry
        )
        oip_pb_grpc.add_GRPCInferenceServiceServicer_to_server(  # type: ignore[no-untyped-call]  # protoc's
            InferenceService(engine, rules), registry
        )
        health_pb2_grpc.add_HealthServicer_to_server(self.health, registry)
        names = (SERVICE, OIP, health_v1.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)

    async def start(self, host: str, port: int) -> int:
        """Listen, and give the port; raises InvalidSetting where that cannot be."""
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
        """Take no new calls; give those in flight `grace` seconds."""
        await self.health.close()
        await self._server.stop(grace)
