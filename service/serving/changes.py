"""Loading and unloading models while others answer, for who has an admin's key."""

import asyncio
from collections.abc import Mapping

import structlog

from service.errors import BlitzError
from service.security.callers import Callers
from service.serving.engine import Engine, Models
from service.telemetry.request_log import Access


def admit_admin(callers: Callers, headers: Mapping[str, str], access: Access) -> None:
    """Write down whose key is in headers or metadata; raises Unauthorized, Forbidden, RateLimited."""
    caller = callers.admit_admin(headers)
    access.key = caller.name
    if not callers.required:  # else it is counted already
        caller.charge()


async def load_model(engine: Engine, name: str) -> Models:
    """What answers once the folders of a model have been opened anew.

    Raises NotReady, ModelNotFound, and ModelRefused where one of them does not serve.
    """
    before = engine.catalog
    after = await engine.change(lambda catalog: catalog.with_model(name))
    log_changes(before, after)
    after.check(name)
    return after


async def unload_model(engine: Engine, name: str, version: str | None = None) -> Models:
    """What answers without a model, or one version of it.

    Raises NotReady, ModelNotFound, and ModelRefused where the default model would be gone.
    """
    before = engine.catalog
    after = await engine.change(lambda catalog: catalog.without_model(name, version))
    log_changes(before, after)
    return after


log = structlog.get_logger("service.serving.changes")


async def watch_models(engine: Engine, every_s: float) -> None:
    """Answer with the models folder as it is, from at most `every_s` after a change; runs until cancelled.

    What cannot serve is logged once, not at every look.
    """
    trouble = ""
    while True:
        await asyncio.sleep(every_s)
        before = engine.catalog
        try:
            after = await engine.change(lambda catalog: catalog.refreshed())
        except (BlitzError, OSError) as error:
            if str(error) != trouble:
                log.error("models folder unusable", reason=str(error))
            trouble = str(error)
        else:
            trouble = ""
            if after is not before:
                log_changes(before, after)


def log_changes(before: Models, after: Models) -> None:
    """Say what serves now, what somebody has unloaded, and what has been refused since."""
    models = [f"{model.card.name} {model.card.version}" for model in after.models()]
    log.info("models changed", models=models, unloaded=after.unloaded)
    for folder, reason in after.failures.items():
        if before.failures.get(folder) != reason:
            log.warning("model refused", folder=folder, reason=reason)
