"""Loading and unloading models while others answer, for who has an admin's key."""

from collections.abc import Mapping

from service.security.callers import Callers
from service.serving.engine import Engine, Models
from service.serving.watch import log_changes
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
