"""The service on a Ray cluster: replicas of the same engine, behind Ray Serve's HTTP and gRPC proxies.

`python -m service.cluster` starts them on the cluster of RAY_ADDRESS, or on this machine. Each replica admits
requests by itself, as the plain server does, so that both give the same answers and the same errors. Ray's
proxies have no TLS, and do not pass on the trailing metadata of an error: its status and text arrive. They
send the headers of a stream only with its first message, and clients wait for headers: so a stream begins
with an empty message.
"""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from types import ModuleType
from typing import Annotated, Any, cast

import grpc
import typer

import service.process.libraries  # noqa: F401  # sets how numpy, gRPC and ONNX Runtime behave
from service.errors import BlitzError, InvalidSetting
from service.process.server import make_drop_in, make_rules
from service.process.start import load_catalog
from service.rest.server import create_app
from service.rpc.boundary import CALLER, Context, answer_call, read_metadata
from service.rpc.generated import segmentation_pb2 as pb
from service.rpc.generated.segmentation_pb2_grpc import add_SegmentationServiceServicer_to_server
from service.rpc.segmentation import SegmentationService
from service.serving.admission import Admission
from service.serving.engine import Engine
from service.settings import Settings, read_settings
from service.telemetry.logs import configure_logs
from service.telemetry.metrics import Metrics

# Ray pickles messages by the name of the module that their descriptors carry; to import it, Python imports
# the packages around it, which do not exist.
for package in ("blitzmask", "blitzmask.v1"):
    sys.modules.setdefault(package, ModuleType(package))
sys.modules["blitzmask.v1.segmentation_pb2"] = pb

UNLIMITED = 1_000_000  # requests in a replica, as far as Ray is concerned: its own admission refuses earlier
add_segmentation = add_SegmentationServiceServicer_to_server  # the proxies import it, and with it this module


class Refused(Exception):
    """The call ends with the status that its context holds."""


class RayContext:
    """The context of one call as `SegmentationService` uses it, over Ray's."""

    def __init__(self, context: Any) -> None:
        self._context = context

    def invocation_metadata(self) -> list[tuple[str, str]]:
        pairs: list[tuple[str, str]] = self._context.invocation_metadata()
        return pairs

    def set_trailing_metadata(self, pairs: tuple[tuple[str, str], ...]) -> None:
        self._context.set_trailing_metadata(list(pairs))

    def time_remaining(self) -> None:
        """Ray does not pass the caller's deadline on: the service's own holds."""

    async def abort(self, code: grpc.StatusCode, text: str, trailers: tuple[tuple[str, str], ...]) -> None:
        self._context.set_code(code)
        self._context.set_details(text)
        raise Refused(text)


class RayStream(RayContext):
    """The context of one stream: the service reads and writes, and Ray iterates over what it has written."""

    def __init__(self, context: Any, frames: AsyncIterator[pb.Frame]) -> None:
        super().__init__(context)
        self._frames = frames
        self._answers: asyncio.Queue[bytes | None] = asyncio.Queue(1)  # None: there are no more

    async def send_initial_metadata(self, headers: object) -> None:
        """Let Ray send its own headers, with an empty message; it has no way to send ours."""
        await self._answers.put(b"")

    async def read(self) -> object:
        return await anext(self._frames, grpc.aio.EOF)

    async def write(self, content: bytes) -> None:
        await self._answers.put(content)

    async def iterate(self, service: SegmentationService) -> AsyncIterator[pb.FrameResult]:
        """The answers of the service; raises Refused where the stream ends with an error."""
        answering = asyncio.create_task(self._answer(service))
        try:
            while (content := await self._answers.get()) is not None:
                yield pb.FrameResult.FromString(content)
            await answering
        finally:
            answering.cancel()
            with suppress(asyncio.CancelledError, Refused):
                await answering

    async def _answer(self, service: SegmentationService) -> None:
        try:
            await service.SegmentStream(None, cast("Context", self))
        finally:
            await self._answers.put(None)


class Replica:
    """One engine, in the event loop of a Ray actor; its methods have the names of the .proto file."""

    def __init__(self, given: dict[str, Any]) -> None:
        """`given`: the settings that are not the defaults. Raises ArtifactError's leaves."""
        settings = read_settings(**given)
        configure_logs(settings.log_level, settings.log_format)
        self._settings = settings
        admission = Admission(settings.slots, settings.queue_limit, longest_wait=settings.queue_s)
        self._engine = Engine(
            admission,
            Metrics(),
            timeout_s=settings.timeout_s,
            max_streams=settings.streams,
            exact=settings.exact,
        )
        self._rules = make_rules(settings, None)
        self._rpc = SegmentationService(self._engine, self._rules, max_message=settings.max_body_bytes)
        self._engine.use(load_catalog(settings))

    def __serve_build_asgi_app__(self) -> Any:  # Ray's name
        settings = self._settings
        max_bodies = int(settings.bodies_mb * 1_000_000)
        return create_app(
            self._engine,
            max_body=settings.max_body_bytes,
            max_bodies=max_bodies,
            rules=self._rules,
            drop_in=make_drop_in(settings),
        )

    async def Segment(self, request: pb.SegmentRequest, grpc_context: Any) -> pb.SegmentResponse:  # noqa: N802
        context = await self._admit("Segment", grpc_context)
        return pb.SegmentResponse.FromString(await self._rpc.Segment(request, context))

    async def ListModels(self, request: pb.ListModelsRequest, grpc_context: Any) -> pb.ListModelsResponse:  # noqa: N802
        return await self._rpc.ListModels(request, await self._admit("ListModels", grpc_context))

    async def SegmentStream(self, frames: Any, grpc_context: Any) -> AsyncIterator[pb.FrameResult]:  # noqa: N802
        await self._admit("SegmentStream", grpc_context)
        async for answer in RayStream(grpc_context, frames).iterate(self._rpc):
            yield answer

    async def _admit(self, method: str, grpc_context: Any) -> Context:
        """The call's context; refuses a caller whose key is missing, wrong or used too often."""
        context = cast("Context", RayContext(grpc_context))
        callers = self._rules.callers
        if not callers.required:
            return context
        try:
            caller = callers.admit(read_metadata(context))
            CALLER.set(caller)
            caller.charge()
        except BlitzError as error:
            refusal = error

            async def refuse(record: object) -> None:
                raise refusal

            await answer_call(self._engine.metrics, context, method, refuse)
        return context


def make_deployment(settings: Settings, *, replicas: tuple[int, int]) -> Any:
    """The deployment of a Ray Serve application, with between so many replicas of one core for each slot.

    Ray adds replicas where each has more requests than twice its slots. Raises InvalidSetting where a setting
    has no place on a cluster.
    """
    from ray import serve

    if settings.tls is not None:
        raise InvalidSetting(
            "Ray's proxies have no TLS: leave BLITZ_TLS_CERT out, and put a balancer in front"
        )
    given = settings.model_dump(exclude_unset=True) | {"slots": settings.slots, "slots_in": "threads"}
    scaling = {
        "min_replicas": replicas[0],
        "max_replicas": replicas[1],
        "target_ongoing_requests": 2 * settings.slots,
    }
    deployment = serve.deployment(
        serve.ingress()(Replica),
        name="segmenter",
        autoscaling_config=scaling,
        max_ongoing_requests=UNLIMITED,
        ray_actor_options={"num_cpus": settings.slots},
        graceful_shutdown_timeout_s=settings.drain_s,
    )
    return deployment.bind(given)


def start(settings: Settings, *, replicas: tuple[int, int]) -> None:
    """Serve on the cluster of RAY_ADDRESS, or on this machine; returns when the first replicas are ready."""
    import ray
    from ray import serve

    ray.init(ignore_reinit_error=True, include_dashboard=False)
    serve.start(
        http_options={"host": settings.host, "port": settings.http_port},
        grpc_options={
            "port": settings.grpc_port,
            "grpc_servicer_functions": ["service.cluster.add_segmentation"],
        },
    )
    serve.run(make_deployment(settings, replicas=replicas), name="blitzmask", route_prefix="/")


def main(
    least: Annotated[int, typer.Option("--min", min=1, help="Replicas that always run.")] = 1,
    most: Annotated[int, typer.Option("--max", min=1, help="Replicas under load.")] = 4,
    slots: Annotated[int, typer.Option(min=1, help="Slots, and cores, of each replica.")] = 1,
) -> None:
    """Serve on a Ray cluster until SIGTERM or Ctrl-C. The settings are those of `blitzmask settings`."""
    try:
        start(read_settings(slots=slots), replicas=(least, max(least, most)))
    except ImportError as error:
        raise SystemExit(f"error: {error}; install the extra `ray`") from error
    except BlitzError as error:
        raise SystemExit(f"error: {error}") from error
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    signal.sigwait({signal.SIGINT, signal.SIGTERM})
    from ray import serve

    serve.shutdown()


if __name__ == "__main__":
    from service.cluster import main as start_main  # Ray imports this module by its name, not as __main__

    typer.run(start_main)
