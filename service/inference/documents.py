"""Answers, models and backends as JSON, with the names and numbers of proto/blitzmask/v1."""

import json
from dataclasses import fields
from typing import TYPE_CHECKING, assert_never

from service.types import (
    STAGES,
    Answer,
    BackendInfo,
    Instance,
    MaskForm,
    Polygon,
    Rle,
    RleCrop,
    Summary,
    Timings,
)

if TYPE_CHECKING:
    from service.serving.engine import Model  # cameras and `predict` use this module without an engine

Json = dict[str, object]
BACKEND = tuple(part.name for part in fields(BackendInfo))


def answer_to_json(answer: Answer) -> Json:
    """The native answer."""
    found = answer.segmentation
    return {
        "image": {"height": found.image.height, "width": found.image.width},
        "instances": [instance_to_json(instance) for instance in found.instances],
        "model": found.model,
        "version": found.version,
        "backend": backend_to_json(found.backend),
        "timings_ms": stages_ms(found.timings, answer.queue_ms),
    }


def answer_to_coco(answer: Answer, image_id: int) -> list[Json]:
    """COCO results: a list that `COCO.loadRes` takes as it is."""
    return [_instance_to_coco(instance, image_id) for instance in answer.segmentation.instances]


def stages_ms(timings: Timings, queue_ms: float) -> dict[str, float]:
    """Milliseconds by stage, in the order of the stages, and their total without the queue."""
    stages = {stage: getattr(timings, stage) for stage in STAGES}
    return {"queue": queue_ms, **stages, "total": timings.total}


def server_timing(timings: Timings, *, queue_ms: float, render_ms: float) -> str:
    """The Server-Timing header: the stages and the rendering, whose time the answer itself cannot hold."""
    stages = stages_ms(timings, queue_ms)
    total = stages.pop("total") + render_ms
    stages |= {"render": render_ms, "total": total}
    return ", ".join(f"{stage};dur={ms:.3f}" for stage, ms in stages.items())


def name_answerer(found: Summary) -> dict[str, str]:
    """Headers with the model and backend, for answers in formats that have no place for them."""
    return {
        "x-model": found.model,
        "x-model-version": found.version,
        "x-backend": json.dumps(backend_to_json(found.backend)),  # in ASCII, as headers are
    }


def backend_to_json(backend: BackendInfo) -> Json:
    """A backend as JSON."""
    return {part: getattr(backend, part) for part in BACKEND}


def model_to_json(model: "Model") -> Json:
    """A model's name, input, labels, defaults and backend."""
    card = model.card
    return {
        "name": card.name,
        "version": card.version,
        "description": card.description,
        "network": card.network,
        "input": {"height": card.canvas.height, "width": card.canvas.width},
        "labels": [label.name for label in card.labels],
        "categories": [{"id": label.category_id, "name": label.name} for label in card.labels],
        "score_threshold": card.decoder.score_threshold,
        "max_instances": card.decoder.max_instances,
        "parameters": card.parameters,
        "multiply_adds": card.multiply_adds,
        "backend": backend_to_json(model.backend.describe()),
    }


def instance_to_json(instance: Instance) -> Json:
    """One object; fields that it does not have are left out."""
    content: Json = {
        "label": instance.label,
        "category_id": instance.category_id,
        "score": instance.score,
        "bbox": instance.bbox,
    }
    if instance.area is not None:
        content["area"] = instance.area
    if instance.segmentation is not None:
        content["segmentation"] = form_to_json(instance.segmentation)
    if instance.track_id is not None:
        content["track_id"] = instance.track_id
    return content


def form_to_json(form: MaskForm) -> Json:
    """A mask in its own form."""
    match form:
        case Rle():
            return form.to_coco()
        case RleCrop(rle, x, y):
            return {**rle.to_coco(), "offset": [x, y]}
        case Polygon(rings):
            return {"rings": rings}
        case _:
            assert_never(form)


def _instance_to_coco(instance: Instance, image_id: int) -> Json:
    content = {"image_id": image_id, **instance_to_json(instance)}
    del content["label"]
    return content
