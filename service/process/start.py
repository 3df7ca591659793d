"""Starts the service: processes and models first, because the packages of the transports take time to import.

A compute process opens the models while this process imports FastAPI and gRPC, so the first answer is sooner.
"""

import asyncio
import importlib
import logging
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import structlog

from service.compute.child import Bounds
from service.compute.launch import Launched
from service.compute.processes import ProcessExecutor
from service.compute.template import ForkPlan
from service.compute.timing import FastestFiles
from service.process.limits import raise_file_limit, return_freed_memory
from service.process.signals import stop_signals
from service.serving.catalog import Catalog
from service.serving.repository import OpenModel
from service.settings import Settings
from service.telemetry.logs import configure_logs

if TYPE_CHECKING:
    from service.process.server import Load, Post, Server
    from service.serving.engine import Models

DONE, FORCED, NEVER_READY = 0, 1, 2

log = structlog.get_logger("service.process.start")


def run_server(settings: Settings, post: "Post | None" = None, launched: Launched | None = None) -> int:
    """Serve until SIGTERM or SIGINT, alone or as one of several workers.

    launched: a template of compute processes that has been started before. The exit status: 0 when all in
    flight was answered, 1 when forced. Raises InvalidSetting where a port cannot be had.
    """
    configure_logs(settings.log_level, settings.log_format)
    raise_file_limit()
    return_freed_memory()
    with asyncio.Runner(loop_factory=_choose_loop()) as runner:
        status = runner.run(serve(settings, post=post, launched=launched))
    if status == FORCED:  # a thread may hang in a runtime: nobody waits for it
        logging.shutdown()
        os._exit(status)
    return status


async def serve(
    settings: Settings,
    load: "Load | None" = None,
    post: "Post | None" = None,
    *,
    launched: Launched | None = None,
) -> int:
    """Serve what `load` gives until a signal, by default the models of the settings' folder.

    Raises InvalidSetting where a port cannot be had.
    """
    processes = _start_processes(settings, launched)
    load = load or partial(load_catalog, open_model=None if processes is None else processes.open_model)
    begun = asyncio.create_task(asyncio.to_thread(load, settings))
    begun.add_done_callback(lambda task: task.cancelled() or task.exception())  # a stop may come before
    try:
        with stop_signals(None if post is None else post.lifeline) as (stop, force):
            # On a thread, so that meanwhile the loop hands models to the compute processes.
            transports = await asyncio.to_thread(importlib.import_module, "service.process.server")
            server: Server = transports.Server(settings, post, processes)
            if post is not None and post.bell is None and not await server.load(load, begun):
                return NEVER_READY
            await server.start()
            loading = asyncio.create_task(server.keep_loading(load, begun))
            await stop.wait()
            loading.cancel()
            return await _stop(server, force)
    except BaseException:
        if processes is not None:
            processes.close()
        raise


async def _stop(server: "Server", force: asyncio.Event) -> int:
    """The exit status after a stop that is not waited for too long, nor once it is forced."""
    stopping = asyncio.create_task(server.stop())
    forced = asyncio.create_task(force.wait())
    await asyncio.wait((stopping, forced), timeout=server.patience_s, return_when=asyncio.FIRST_COMPLETED)
    forced.cancel()
    if not stopping.done():
        log.error("forced to stop", running=server.admission.running, waiting=server.admission.waiting)
        return FORCED
    stopping.result()
    return DONE


def load_catalog(settings: Settings, open_model: OpenModel | None = None) -> "Models":
    """The models of the settings' folder, opened in this process unless told otherwise.

    Raises ArtifactError's leaves when the default cannot serve.
    """
    opener = {} if open_model is None else {"open_model": open_model}
    return Catalog.load(
        settings.models_dir,
        default=settings.default_model,
        choice=settings.choice,
        limits=settings.limits,
        **opener,
    )


def _start_processes(settings: Settings, launched: Launched | None) -> ProcessExecutor | None:
    """The slots as processes, where they are processes; only their template is there yet."""
    if not settings.in_processes:
        if launched is not None:
            launched.close()
        return None
    plan = ForkPlan(settings.memory_mb, settings.log_level, settings.log_format)
    bounds = Bounds(settings.work_s, settings.load_s, settings.memory_mb)
    fastest = FastestFiles(settings.cache_dir if settings.tune else None)
    processes = ProcessExecutor(settings.slots, plan, bounds, fastest)
    processes.start(launched)
    return processes


def _choose_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop
