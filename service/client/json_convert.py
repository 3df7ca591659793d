"""Options to the query of a REST call, and answers from its JSON."""

from typing import Any

from service.client.answers import ModelInfo, ModelList
from service.types import (
    BackendInfo,
    Instance,
    MaskForm,
    Options,
    Polygon,
    Rle,
    RleCrop,
    Segmentation,
    Size,
    Timings,
)

Json = dict[str, Any]


def options_to_query(options: Options, *, model: str | None, version: str | None) -> dict[str, str]:
    """The options of one image, as the query of `POST /v1/segment`.

    >>> options_to_query(Options(max_instances=5, classes=("cat", "dog")), model=None, version=None)
    {'max_instances': '5', 'classes': 'cat,dog', 'masks': 'rle', 'nms': 'class'}
    """
    asked = {
        "model": model,
        "version": version,
        "score_threshold": options.score_threshold,
        "max_instances": options.max_instances,
        "classes": None if options.classes is None else ",".join(options.classes),
        "masks": options.masks,
        "exact": options.exact,
        "nms": options.nms,
        "tolerance": options.tolerance if options.masks == "contour" else None,
        "tiles": options.tiles,
    }
    return {name: str(value) for name, value in asked.items() if value is not None}


def segmentation_from_json(content: Json) -> Segmentation:
    """The answer for one image."""
    spent = content["timings_ms"]
    return Segmentation(
        image=_size_from_json(content["image"]),
        instances=tuple(_instance_from_json(instance) for instance in content["instances"]),
        model=content["model"],
        version=content["version"],
        backend=_backend_from_json(content["backend"]),
        timings=Timings(
            decode=spent["decode"],
            prepare=spent["prepare"],
            infer=spent["infer"],
            postprocess=spent["postprocess"],
            masks=spent["masks"],
        ),
    )


def models_from_json(content: Json) -> ModelList:
    """Every model that answers."""
    models = tuple(_model_from_json(model) for model in content["models"])
    return ModelList(models, content["refused"], tuple(content["unloaded"]))


def _model_from_json(content: Json) -> ModelInfo:
    return ModelInfo(
        name=content["name"],
        version=content["version"],
        description=content["description"],
        network=content["network"],
        input=_size_from_json(content["input"]),
        categories={category["name"]: category["id"] for category in content["categories"]},
        score_threshold=content["score_threshold"],
        max_instances=content["max_instances"],
        parameters=content["parameters"],
        multiply_adds=content["multiply_adds"],
        backend=_backend_from_json(content["backend"]),
    )


def _instance_from_json(content: Json) -> Instance:
    x, y, width, height = content["bbox"]
    return Instance(
        label=content["label"],
        category_id=content["category_id"],
        score=content["score"],
        bbox=(x, y, width, height),
        area=content.get("area"),
        segmentation=_form_from_json(content["segmentation"]) if "segmentation" in content else None,
        track_id=content.get("track_id"),
    )


def _form_from_json(content: Json) -> MaskForm:
    if "rings" in content:
        return Polygon(tuple(map(tuple, content["rings"])))
    rle = Rle(Size(*content["size"]), content["counts"])
    return RleCrop(rle, *content["offset"]) if "offset" in content else rle


def _size_from_json(content: Json) -> Size:
    return Size(content["height"], content["width"])


def _backend_from_json(content: Json) -> BackendInfo:
    return BackendInfo(
        runtime=content["runtime"],
        runtime_version=content["runtime_version"],
        precision=content["precision"],
        threads=content["threads"],
        asked=tuple(content["asked"]),
        in_effect=tuple(content["in_effect"]),
    )
