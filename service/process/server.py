"""The composition root: builds everything from the settings, and serves both ports until told to stop."""

import asyncio
import contextlib
import logging
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from service.compute.launch import Launched
from service.compute.processes import Bounds, ProcessExecutor
from service.compute.template import ForkPlan
from service.compute.timing import FastestFiles
from service.errors import ArtifactError, InvalidSetting
from service.process.greeting import greet
from service.process.limits import check_host, count_spare_files, raise_file_limit
from service.process.listening import Seat
from service.process.signals import stop_signals
from service.rest.connections import ConnectionLimits
from service.rest.server import RestServer, create_app
from service.rpc.server import RpcServer
from service.security.callers import Callers, Cells, Rules
from service.serving.admission import Admission
from service.serving.changes import serve_fastest, watch_models
from service.serving.engine import Engine, Models
from service.serving.repository import OpenModel
from service.settings import Settings
from service.telemetry.logs import configure_logs
from service.telemetry.metrics import Metrics
from service.telemetry.shared_metrics import WorkerPlace
from service.telemetry.tracing import PROPAGATING, Tracer

Load = Callable[[Settings], Models]

DONE, FORCED, NEVER_READY = 0, 1, 2
LINGER_S = 0.5  # for requests that are on their way over open connections
MARGIN_S = 5.0  # for the servers' own clean-up, after the drain
REFRESH_S = 0.25  # how old the numbers of another worker may be

log = structlog.get_logger("service.process.server")


@dataclass(frozen=True, slots=True)
class Post:
    """A worker's place among the processes that share the ports.

    lifeline: a file descriptor that ends when the worker has to stop: its parent says so, or is gone.
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


def run_server(settings: Settings, post: Post | None = None, launched: Launched | None = None) -> int:
    """Serve until SIGTERM or SIGINT, alone or as one of several workers.

    The exit status: 0 when all in flight was answered, 1 when forced. Raises InvalidSetting where a port
    cannot be had.
    """
    configure_logs(settings.log_level, settings.log_format)
    raise_file_limit()
    with asyncio.Runner(loop_factory=_choose_loop()) as runner:
        status = runner.run(serve(settings, post=post, launched=launched))
    if status == FORCED:  # a thread may hang in a runtime: nobody waits for it
        logging.shutdown()
        os._exit(status)
    return status


def load_catalog(settings: Settings, open_model: OpenModel | None = None) -> Models:
    """The models of the settings' folder, opened in this process unless told otherwise.

    Raises ArtifactError's leaves when the default cannot serve.
    """
    from service.serving.catalog import (
        Catalog,  # the runtimes take their time to import; the ports are open by then
    )

    opener = {} if open_model is None else {"open_model": open_model}
    return Catalog.load(
        settings.models_dir,
        default=settings.default_model,
        choice=settings.choice,
        limits=settings.limits,
        **opener,
    )


def _take_census(settings: Settings) -> object:
    """A value that changes when the models folder does; None where it is not watched."""
    if not settings.watch_s:
        return None
    from service.serving.repository import take_census

    with contextlib.suppress(OSError):  # it changes while it is looked at
        return take_census(settings.models_dir)
    return None


async def serve(
    settings: Settings,
    load: Load | None = None,
    post: Post | None = None,
    *,
    launched: Launched | None = None,
) -> int:
    """Serve what `load` gives until a signal, by default the models of the settings' folder.

    Raises InvalidSetting where a port cannot be had.
    """
    with stop_signals(None if post is None else post.lifeline) as (stop, force):
        server = Server(settings, post, launched)
        load = load or server.load_models
        if post is not None and post.bell is None and not await server.load(load):
            return NEVER_READY
        await server.start()
        loading = asyncio.create_task(server.keep_loading(load))
        await stop.wait()
        loading.cancel()
        stopping = asyncio.create_task(server.stop())
        forced = asyncio.create_task(force.wait())
        patience = settings.stop_delay_s + LINGER_S + settings.drain_s + MARGIN_S
        await asyncio.wait((stopping, forced), timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        forced.cancel()
        if not stopping.done():
            log.error("forced to stop", running=server.admission.running, waiting=server.admission.waiting)
            return FORCED
        stopping.result()
        return DONE


class Server:
    """Both transports over one engine."""

    def __init__(
        self, settings: Settings, post: Post | None = None, launched: Launched | None = None
    ) -> None:
        """`launched`: a template of compute processes that has been started before."""
        self._launched = launched
        self._settings = settings
        self._shared = post is not None
        self._seat = None if post is None else Seat(post.seat)
        self._bell = None if post is None else post.bell
        self._chores: list[asyncio.Task[None]] = []
        self._ports: tuple[int, int] | None = None  # until they are open
        metrics = Metrics(None if post is None else post.metrics)
        self._processes = make_processes(settings) if settings.in_processes else None
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
        app = create_app(self.engine, max_body=max_body, max_bodies=max_bodies, rules=rules)
        most = int(min(settings.connections, count_spare_files()))
        limits = ConnectionLimits(settings.head_s, settings.keep_alive_s, most)
        self._rest = RestServer(app, drain_s=settings.drain_s, limits=limits, tls=tls)
        self._rpc = RpcServer(self.engine, max_body=max_body, shared=self._shared, rules=rules, tls=tls)

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
        self._start_processes()
        log.info("listening", host=host, http_port=http_port, grpc_port=grpc_port, pid=os.getpid())
        if self._shared:
            self._chores.append(asyncio.create_task(self._refresh()))
        return http_port, grpc_port

    async def keep_loading(self, load: Load) -> None:
        """Load; where that fails and the models folder is watched, again whenever it has changed."""
        pause = self._settings.watch_s
        while not self.engine.ready:
            seen = await asyncio.to_thread(_take_census, self._settings)
            if await self.load(load) or not pause:
                break
            while seen == await asyncio.to_thread(_take_census, self._settings):
                await asyncio.sleep(pause)

    async def load(self, load: Load) -> bool:
        """Load the models in a thread and become ready, or say why not; whether it is ready."""
        self._start_processes()
        try:
            catalog = await asyncio.to_thread(load, self._settings)
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

    def _start_processes(self) -> None:
        if self._processes is not None:
            self._processes.start(self._launched)
        elif self._launched is not None:
            self._launched.close()
        self._launched = None

    def load_models(self, settings: Settings) -> Models:
        """The models of the settings' folder, opened where they will compute; called in a thread."""
        return load_catalog(settings, None if self._processes is None else self._processes.open_model)

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
        if self._settings.watch_s:
            self._chores.append(asyncio.create_task(watch_models(self.engine, self._settings.watch_s)))
        if self._settings.tune and self._processes is not None and not self._shared:
            faster = serve_fastest(self.engine, self._processes.find_faster)
            self._chores.append(asyncio.create_task(faster))

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


def make_processes(settings: Settings) -> ProcessExecutor:
    """The slots as processes, none of which is there yet."""
    plan = ForkPlan(settings.memory_mb, settings.log_level, settings.log_format)
    bounds = Bounds(settings.work_s, settings.load_s, settings.memory_mb)
    fastest = FastestFiles(settings.cache_dir if settings.tune else None)
    return ProcessExecutor(settings.slots, plan, bounds, fastest)


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


def _choose_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop
