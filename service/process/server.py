"""The composition root: both transports over one engine, built from the settings."""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from service.compute.processes import ProcessExecutor
from service.dialects.pictures import DropIn, PictureSource
from service.errors import ArtifactError, InvalidSetting
from service.process.greeting import greet
from service.process.limits import check_host, count_spare_files
from service.process.listening import Seat
from service.rest.connections import ConnectionLimits
from service.rest.server import RestServer, create_app
from service.rpc.server import RpcServer
from service.security.callers import Callers, Cells, Rules
from service.security.fetching import Fetcher
from service.serving.admission import Admission
from service.serving.changes import serve_fastest, watch_models
from service.serving.engine import Engine, Models
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.telemetry.shared_metrics import WorkerPlace
from service.telemetry.tracing import PROPAGATING, Tracer

Load = Callable[[Settings], Models]

LINGER_S = 0.5  # for requests that are on their way over open connections
LULL_S = 0.5  # between the readiness and the import of all endpoints
MARGIN_S = 5.0  # for the servers' own clean-up, after the drain
REFRESH_S = 0.25  # how old the numbers of another worker may be

log = structlog.get_logger("service.process.server")


@dataclass(frozen=True, slots=True)
class Post:
    """A worker's place among the processes that share the ports.

    lifeline: a file descriptor that is at its end when the worker has to stop, because its parent says so or
    is gone.
    metrics: the worker's place in the memory where all workers publish their numbers.
    meters: memory in which all workers count the rates of keys.
    bell: a file descriptor to close once the worker is ready, if it is the first; the others wait for that.
        They join workers that answer, so they open their ports only when they can, too.
    seat: the socket over which the parent deals connections of HTTP.
    """

    lifeline: int
    metrics: WorkerPlace
    meters: Cells
    bell: int | None
    seat: socket.socket


def _take_census(settings: Settings) -> object:
    """A value that changes when the models folder does; None where it is not watched."""
    if not settings.watch_s:
        return None
    from service.serving.repository import take_census

    with contextlib.suppress(OSError):  # it changes while it is looked at
        return take_census(settings.models_dir)
    return None


class Server:
    """Both transports over one engine."""

    def __init__(
        self, settings: Settings, post: Post | None = None, processes: ProcessExecutor | None = None
    ) -> None:
        """`processes`: the slots, where they are processes that have been started before."""
        self._settings = settings
        self._shared = post is not None
        self._seat = None if post is None else Seat(post.seat)
        self._bell = None if post is None else post.bell
        self._chores: list[asyncio.Task[None]] = []
        self._ports: tuple[int, int] | None = None  # until they are open
        metrics = Metrics(None if post is None else post.metrics)
        self._processes = processes
        self.admission = Admission(
            settings.slots,
            settings.queue_limit,
            longest_wait=settings.queue_s,
            executor=self._processes,
        )
        self.engine = Engine(
            self.admission,
            metrics,
            timeout_s=settings.timeout_s,
            max_streams=settings.streams,
            exact=settings.exact,
            tracer=open_tracer(recording=settings.otel),
        )
        if self._processes is not None:
            processes = self._processes
            text = "Compute processes that have ended before they were told to; each was replaced."
            metrics.watch("blitzmask_compute_deaths", text, lambda: processes.deaths)
        rules, tls, max_body = make_rules(settings, post), settings.tls, settings.max_body_bytes
        max_bodies = int(settings.bodies_mb * 1_000_000)
        self._app = create_app(
            self.engine,
            max_body=max_body,
            max_bodies=max_bodies,
            rules=rules,
            drop_in=make_drop_in(settings),
        )
        self._app.state.fetcher = Fetcher(settings.fetch, settings.max_body_bytes)
        most = int(min(settings.connections, count_spare_files()))
        limits = ConnectionLimits(settings.head_s, settings.keep_alive_s, most)
        self._rest = RestServer(self._app, drain_s=settings.drain_s, limits=limits, tls=tls)
        self._rpc = RpcServer(self.engine, max_body=max_body, shared=self._shared, rules=rules, tls=tls)

    @property
    def patience_s(self) -> float:
        """Seconds that `stop` may take."""
        settings = self._settings
        return settings.stop_delay_s + LINGER_S + settings.drain_s + MARGIN_S

    async def start(self) -> tuple[int, int]:
        """Open both ports, that of HTTP and that of gRPC, and give them; nothing is ready yet."""
        host = self._settings.host
        check_host(host)  # before a port is blamed for it
        grpc_port = await self._rpc.start(host, self._settings.grpc_port)
        try:
            http_port = await self._rest.start(host, self._settings.http_port, self._seat)
        except InvalidSetting:
            await self._rpc.stop(0)
            raise
        self._ports = (http_port, grpc_port)
        log.info("listening", host=host, http_port=http_port, grpc_port=grpc_port, pid=os.getpid())
        if self._shared:
            self._chores.append(asyncio.create_task(self._refresh()))
        return http_port, grpc_port

    async def keep_loading(self, load: Load, begun: Awaitable[Models] | None = None) -> None:
        """Load; where that fails and the models folder is watched, again whenever it has changed.

        begun: the result of the first time, which others have begun.
        """
        pause = self._settings.watch_s
        while not self.engine.ready:
            seen = await asyncio.to_thread(_take_census, self._settings)
            if await self.load(load, begun) or not pause:
                break
            begun = None
            while seen == await asyncio.to_thread(_take_census, self._settings):
                await asyncio.sleep(pause)

    async def load(self, load: Load, begun: Awaitable[Models] | None = None) -> bool:
        """Load the models in a thread and become ready, or say why not; whether it is ready."""
        try:
            catalog = await (begun or asyncio.to_thread(load, self._settings))
        except ArtifactError as error:
            log.error("not ready", reason=str(error))
            self.engine.fail(str(error))
        except Exception as error:
            log.exception("not ready")
            self.engine.fail(f"loading the models failed with {type(error).__name__}; the log says where")
        else:
            if self._processes is not None:
                await self._processes.begin()
            await self._begin(catalog)
        return self.engine.ready

    async def stop(self) -> None:
        """Be not ready, let balancers notice, close the ports, finish what is in flight."""
        log.info("stopping", running=self.admission.running, waiting=self.admission.waiting)
        self.engine.stop()
        await self._rpc.health.set_serving(now=False)
        await asyncio.sleep(self._settings.stop_delay_s)
        self.engine.leave()
        await self._rest.close_door()
        await asyncio.sleep(LINGER_S)
        await asyncio.gather(self._rest.stop(), self._rpc.stop(self._settings.drain_s))
        await self.admission.drain()
        self.admission.close()
        for chore in self._chores:
            chore.cancel()
        self.engine.metrics.refresh()  # the last that the other workers learn of this one
        await asyncio.to_thread(self.engine.tracer.close)
        log.info("stopped")

    async def _begin(self, catalog: Models) -> None:
        for folder, reason in catalog.failures.items():
            log.warning("model refused", folder=folder, reason=reason)
        self.engine.use(catalog)
        await self._rpc.health.set_serving(now=True)
        if self._bell is not None:
            os.close(self._bell)
        names = [f"{model.card.name} {model.card.version}" for model in catalog.models()]
        log.info("ready", models=names)
        if self._ports is not None:
            greet(self._settings, self._ports, names, sys.stdout)
        self._chores.append(asyncio.create_task(self._complete_app()))
        if self._settings.watch_s:
            self._chores.append(asyncio.create_task(watch_models(self.engine, self._settings.watch_s)))
        if self._settings.tune and self._processes is not None and not self._shared:
            faster = serve_fastest(self.engine, self._processes.find_faster)
            self._chores.append(asyncio.create_task(faster))

    async def _complete_app(self) -> None:
        """Import the endpoints that nobody has asked for so far; the first pictures do not wait for that."""
        await asyncio.sleep(LULL_S)
        await self._app.complete()

    async def _refresh(self) -> None:
        """Publish this worker's numbers, for scrapes that another worker answers."""
        while True:
            self.engine.metrics.refresh()
            await asyncio.sleep(REFRESH_S)


def open_tracer(*, recording: bool) -> Tracer:
    """The tracer that BLITZ_OTEL asks for; raises InvalidSetting where OpenTelemetry is not installed."""
    if not recording:
        return PROPAGATING
    from service.telemetry.spans import open_recording_tracer  # takes half a second

    return open_recording_tracer()


def make_rules(settings: Settings, post: Post | None) -> Rules:
    """The rules for callers, from the settings; several workers share the rate meters."""
    callers = Callers(
        settings.api_keys,
        settings.admin_keys,
        cells=None if post is None else post.meters,
        # An admin's call would reach one of several workers, and the others would not know.
        changing=post is None,
    )
    return Rules(callers, settings.origins, settings.open_metrics, settings.head_s, settings.stream_idle_s)


def make_drop_in(settings: Settings) -> DropIn:
    """The other servers whose clients are answered, from the settings."""
    source = None
    if settings.label_studio_url is not None:
        token = settings.label_studio_token
        source = PictureSource(
            settings.label_studio_url.rstrip("/"),
            "" if token is None else token.get_secret_value(),
            settings.max_body_bytes,
        )
    return DropIn("deepstack" in settings.drop_in, "cvat" in settings.drop_in, source)
