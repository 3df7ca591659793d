"""The two forms of a model in the protocol: an image in, or tensors in."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from service.oip.tensors import BYTES, FREE, TensorSpec
from service.serving.engine import Model, Models

Kind: TypeAlias = Literal["image", "tensors"]

SUFFIX = ".tensors"
BATCH_LIMIT = 8  # images of one request: it keeps a worker slot busy for all of them
MASK_OUTPUTS = ("areas", "rles")
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
