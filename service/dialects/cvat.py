"""CVAT: models as functions of nuclio, which CVAT lists and calls, and answers as CVAT reads them.

The form is that of CVAT's lambda manager and of the functions in its repository.
"""

import json
from typing import TYPE_CHECKING, TypeAlias

import orjson

from service.dialects.outlines import outline_instance
from service.inference.masks.forms import form_to_mask, form_to_runs
from service.inference.masks.runs import enclose_runs
from service.types import TOLERANCE, Answer, Instance, Size

if TYPE_CHECKING:
    from service.inference.card import Card

Json: TypeAlias = dict[str, object]


def describe_function(card: "Card", port: int) -> Json:
    """A model as nuclio describes a function: a detector that finds masks, or boxes.

    port: of the service, for a CVAT that calls functions directly.
    """
    kind = "mask" if card.decoder.has_masks else "rectangle"
    labels = [
        {"id": number, "name": label.name, "type": kind, "attributes": []}
        for number, label in enumerate(card.labels, 1)
    ]
    annotations = {
        "name": f"{card.name} {card.version}",
        "type": "detector",
        "spec": json.dumps(labels),
        "framework": "blitzmask",
    }
    return {
        "metadata": {"name": card.name, "annotations": annotations},
        "spec": {"description": card.description},
        "status": {"state": "ready", "httpPort": port},
    }


def render_shapes(answer: Answer) -> bytes:
    """The objects of a picture as a function of CVAT answers them: a list."""
    found = answer.segmentation
    return orjson.dumps([_write_shape(instance, found.image) for instance in found.instances])


def _write_shape(instance: Instance, image: Size) -> Json:
    shape: Json = {"confidence": f"{instance.score:.4f}", "label": instance.label, "attributes": []}
    x, y, width, height = instance.bbox
    if instance.segmentation is None:
        return {**shape, "type": "rectangle", "points": [x, y, x + width, y + height]}
    outline = outline_instance(instance, image, TOLERANCE)
    return {
        **shape,
        "type": "mask",
        "points": outline.reshape(-1).tolist(),
        "mask": _write_mask(instance, image),
    }


def _write_mask(instance: Instance, image: Size) -> list[int]:
    """The pixels, 0 or 1, row by row, of the window around the mask; then the window's first and last pixel.

    An empty mask gives one pixel of 0.
    """
    assert instance.segmentation is not None
    ((left, top, right, bottom),) = enclose_runs(form_to_runs(instance.segmentation, image)).tolist()
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    window = form_to_mask(instance.segmentation, image)[top:bottom, left:right]
    return [*window.astype(int).reshape(-1).tolist(), left, top, right - 1, bottom - 1]
