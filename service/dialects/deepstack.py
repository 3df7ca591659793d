"""DeepStack and CodeProject.AI: answers as the clients of these servers read them."""

from typing import TypeAlias

import orjson

from service.inference.documents import form_to_json
from service.types import Answer, Instance, Size

Json: TypeAlias = dict[str, object]


def render_detections(answer: Answer) -> bytes:
    """The objects with boxes in whole pixels, and their masks as the extra field `mask`."""
    found = answer.segmentation
    predictions = [_write_prediction(instance, found.image) for instance in found.instances]
    labels = ", ".join(instance.label for instance in found.instances)
    return orjson.dumps(
        {
            "success": True,
            "code": 200,
            "message": f"Found {labels}" if labels else "No objects found",
            "count": len(predictions),
            "predictions": predictions,
            "inferenceMs": round(found.timings.infer),
            "processMs": round(found.timings.total),
            "moduleName": "BlitzMask",
            "model": found.model,
        }
    )


def _write_prediction(instance: Instance, image: Size) -> Json:
    x, y, width, height = instance.bbox
    prediction: Json = {
        "label": instance.label,
        "confidence": instance.score,
        "x_min": round(x),
        "y_min": round(y),
        "x_max": min(round(x + width), image.width),
        "y_max": min(round(y + height), image.height),
    }
    if instance.segmentation is not None:
        prediction["mask"] = form_to_json(instance.segmentation)
    return prediction


def render_failure(detail: str, status: int) -> bytes:
    """A refusal, with its reason as these servers give it."""
    return orjson.dumps({"success": False, "code": status, "error": detail, "predictions": []})
