"""The models of the protocol: each has two names, one for images and one for tensors.

Here are their descriptions as plain data with the names of the protocol's messages, and their loading and
unloading. The protocol's repository is the models folder.
"""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from service import __version__
from service.errors import InvalidOption
from service.oip.tensors import BYTES, FREE, TensorSpec
from service.serving.changes import load_model, unload_model
from service.serving.engine import Engine, Model, Models

Kind: TypeAlias = Literal["image", "tensors"]
Json = dict[str, object]
SERVER = "blitzmask-server"
PLATFORM = "blitzmask"
EXTENSIONS = ("binary_tensor_data", "model_configuration", "model_repository", "statistics")

SUFFIX = ".tensors"
BATCH_LIMIT = 8  # images of one request: it keeps a worker slot busy for all of them
MASK_OUTPUTS = ("areas", "rles")
DEPENDENTS = "unload_dependents"  # no model has any
IMAGE = TensorSpec("image", BYTES, (1,))
INSTANCES = (
    TensorSpec("image_size", "INT64", (2,)),  # height, width
    TensorSpec("boxes", "FP32", (FREE, 4)),  # x, y, width, height; image frame, clipped
    TensorSpec("scores", "FP32", (FREE,)),
    TensorSpec("labels", BYTES, (FREE,)),
    TensorSpec("category_ids", "INT64", (FREE,)),
    TensorSpec("areas", "INT64", (FREE,)),
    TensorSpec("rles", BYTES, (FREE,)),  # COCO's counts; the size is image_size
)


@dataclass(frozen=True, slots=True)
class View:
    """A model under one of its names; `batch_limit` is 0 where there is no batch axis."""

    name: str
    kind: Kind
    model: Model
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    batch_limit: int

    @property
    def version(self) -> str:
        return self.model.card.version

    @property
    def key(self) -> tuple[str, str]:
        """Its name and version."""
        return self.name, self.version


def find_view(catalog: Models, name: str, version: str | None) -> View:
    """The model of a name, the default where it is empty; raises ModelNotFound."""
    base = name.removesuffix(SUFFIX)
    model = catalog.get(base or None, version or None)
    return show_image(model) if base == name else show_tensors(model)


def list_views(catalog: Models) -> tuple[View, ...]:
    """Every model under both names."""
    return tuple(show(model) for model in catalog.models() for show in (show_image, show_tensors))


def select_views(catalog: Models, name: str, version: str | None) -> tuple[View, ...]:
    """The one of a name, or all where it is empty; raises ModelNotFound."""
    return (find_view(catalog, name, version),) if name else list_views(catalog)


def show_image(model: Model) -> View:
    """One encoded image in, instances out; a model of boxes only gives no masks."""
    masked = model.card.decoder.has_masks
    outputs = tuple(spec for spec in INSTANCES if masked or spec.name not in MASK_OUTPUTS)
    return View(model.card.name, "image", model, (IMAGE,), outputs, 0)


def show_tensors(model: Model) -> View:
    """Pixels of the canvas in, raw heads out, in batches."""
    card = model.card
    as_is = card.input.fit == "as_is"
    extents = (FREE, FREE) if as_is else (card.canvas.height, card.canvas.width)
    pixels = TensorSpec("pixels", "UINT8", (FREE, *extents, 3))
    lists = any(None in shape for shape in card.outputs.values())  # of lengths that do not make one batch
    heads = tuple(
        TensorSpec(name, "FP32", (FREE, *(FREE if extent is None else extent for extent in shape)))
        for name, shape in card.outputs.items()
    )
    return View(card.name + SUFFIX, "tensors", model, (pixels,), heads, 1 if lists else BATCH_LIMIT)


def describe_server() -> Json:
    """ServerMetadataResponse."""
    return {"name": SERVER, "version": __version__, "extensions": list(EXTENSIONS)}


def describe_view(view: View, catalog: Models) -> Json:
    """ModelMetadataResponse."""
    cards = [model.card for model in catalog.models()]
    return {
        "name": view.name,
        "versions": [card.version for card in cards if card.name == view.model.card.name],
        "platform": PLATFORM,
        "inputs": [_describe_tensor(spec) for spec in view.inputs],
        "outputs": [_describe_tensor(spec) for spec in view.outputs],
    }


def configure_view(view: View) -> Json:
    """ModelConfig; shapes are without the batch axis."""
    labels = json.dumps([label.name for label in view.model.card.labels])
    return {
        "name": view.name,
        "platform": PLATFORM,
        "backend": PLATFORM,
        "max_batch_size": view.batch_limit,
        "input": _configure(view.inputs, batched=view.batch_limit > 0),
        "output": _configure(view.outputs, batched=view.batch_limit > 0),
        "parameters": {"labels": {"string_value": labels}},
    }


def index_models(catalog: Models, *, ready_only: bool) -> list[Json]:
    """The entries of RepositoryIndexResponse: models that answer, and the reasons why others do not."""
    serving = [_index(*view.key, state="READY", reason="") for view in list_views(catalog)]
    if ready_only:
        return serving
    idle = {**catalog.failures, **dict.fromkeys(catalog.unloaded, "unloaded")}
    for place, reason in idle.items():
        name, _, version = place.partition("/")
        serving += [
            _index(each, version, state="UNAVAILABLE", reason=reason) for each in (name, name + SUFFIX)
        ]
    return serving


def _index(name: str, version: str, *, state: str, reason: str) -> Json:
    return {"name": name, "version": version, "state": state, "reason": reason}


def _describe_tensor(spec: TensorSpec) -> Json:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}


def _configure(specs: Iterable[TensorSpec], *, batched: bool) -> list[Json]:
    return [
        {
            "name": spec.name,
            "data_type": "TYPE_STRING" if spec.datatype == BYTES else f"TYPE_{spec.datatype}",
            "dims": list(spec.shape[1:] if batched else spec.shape),
        }
        for spec in specs
    ]


async def load_view(engine: Engine, name: str, parameters: Collection[str]) -> None:
    """Load a model under both its names; raises the errors of `load_model`, and InvalidOption."""
    _check(parameters, known=())
    await load_model(engine, name.removesuffix(SUFFIX))


async def unload_view(engine: Engine, name: str, parameters: Collection[str]) -> None:
    """Unload all versions of a model under both its names; raises as `unload_model`, and InvalidOption."""
    _check(parameters, known=(DEPENDENTS,))
    await unload_model(engine, name.removesuffix(SUFFIX))


def _check(parameters: Collection[str], *, known: Collection[str]) -> None:
    if unknown := [name for name in parameters if name not in known]:
        raise InvalidOption(
            f"{min(unknown):.40} is no parameter here: configuration and files are those of the models folder"
        )
