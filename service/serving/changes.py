"""Changes of the catalog while it serves: by an admin, by a watch on its folder, for a faster file."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog

from service.errors import BlitzError
from service.inference.model import Model
from service.security.callers import Callers
from service.serving.engine import Engine, Models
from service.telemetry.request_log import RequestRecord

log = structlog.get_logger("service.serving.changes")


def admit_admin(callers: Callers, headers: Mapping[str, str], record: RequestRecord) -> None:
    """Notes in the request log whose key this is; raises Unauthorized, Forbidden, RateLimited."""
    caller = callers.admit_admin(headers)
    record.key = caller.name
    if not callers.required:  # else it is counted already
        caller.charge()


async def load_model(engine: Engine, name: str) -> Models:
    """The catalog after the folders of a model were opened again.

    Raises NotReady, ModelNotFound, and ModelRefused where one of the folders cannot serve.
    """
    before = engine.catalog
    after = await engine.change(lambda catalog: catalog.with_model(name))
    log_changes(before, after)
    after.check(name)
    return after


async def unload_model(engine: Engine, name: str, version: str | None = None) -> Models:
    """The catalog without a model, or without one version of it.

    Raises NotReady, ModelNotFound, and ModelRefused where the default model would be gone.
    """
    before = engine.catalog
    after = await engine.change(lambda catalog: catalog.without_model(name, version))
    log_changes(before, after)
    return after


async def serve_fastest(engine: Engine, find_faster: Callable[[Model], Awaitable[bool]]) -> None:
    """Opens every model again of which another file is faster here than the one that serves.

    find_faster: says whether there is such a file, which is then opened instead.
    """
    for model in engine.catalog.models():
        try:
            if await find_faster(model):
                await load_model(engine, model.card.name)
        except BlitzError as error:
            log.warning("files of a model not timed", model=model.card.name, reason=str(error))


async def watch_models(engine: Engine, every_s: float) -> None:
    """Refreshes the catalog every `every_s` seconds until it is cancelled.

    The same trouble is logged once, not at every look, and no trouble ends the watch.
    """
    trouble = ""
    while True:
        await asyncio.sleep(every_s)
        before = engine.catalog
        try:
            after = await engine.change(lambda catalog: catalog.refreshed())
        except Exception as error:
            reason = str(error) if isinstance(error, BlitzError) else ascii(error)
            if reason != trouble:
                log.error("models folder unusable", reason=reason)
            trouble = reason
        else:
            trouble = ""
            if after is not before:
                log_changes(before, after)


def log_changes(before: Models, after: Models) -> None:
    """Logs the models that serve, those that are unloaded, and those that are newly refused."""
    models = [f"{model.card.name} {model.card.version}" for model in after.models()]
    log.info("models changed", models=models, unloaded=after.unloaded)
    for folder, reason in after.failures.items():
        if before.failures.get(folder) != reason:
            log.warning("model refused", folder=folder, reason=reason)
