"""The models folder, looked at every now and then."""

import asyncio

import structlog

from service.errors import BlitzError
from service.serving.engine import Engine, Models

log = structlog.get_logger("service.serving.watch")


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
