"""Loading and unloading over the protocol; its repository is the models folder."""

from collections.abc import Collection

from service.errors import InvalidOption
from service.oip.views import SUFFIX
from service.serving.changes import load_model, unload_model
from service.serving.engine import Engine

DEPENDENTS = "unload_dependents"  # no model has any


async def load(engine: Engine, name: str, parameters: Collection[str]) -> None:
    """Load a model under both its names; raises the errors of `load_model`, and InvalidOption."""
    _check(parameters, known=())
    await load_model(engine, name.removesuffix(SUFFIX))


async def unload(engine: Engine, name: str, parameters: Collection[str]) -> None:
    """Unload all versions of a model under both its names; raises as `unload_model`, and InvalidOption."""
    _check(parameters, known=(DEPENDENTS,))
    await unload_model(engine, name.removesuffix(SUFFIX))


def _check(parameters: Collection[str], *, known: Collection[str]) -> None:
    if unknown := [name for name in parameters if name not in known]:
        raise InvalidOption(
            f"{min(unknown):.40} is no parameter here: configuration and files are those of the models folder"
        )
