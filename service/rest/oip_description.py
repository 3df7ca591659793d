"""What the OpenAPI description says of an inference by the Open Inference Protocol."""

from typing import Any

from service.oip.views import BATCH_LIMIT
from service.rest.description import (
    BINARY,
    HEADERS,
    SERVER_TIMING,
    TINY_WEBP,
    Responses,
    describe_body,
    problems,
)
from service.rest.oip_body import HEADER_LENGTH
from service.rest.oip_schemas import InferAnswer, InferRequest
from service.rest.query import describe_headers

INFER = f"""Model `NAME` takes `image`, one encoded image, and gives its instances, best score first:
`boxes` (x, y, width, height), `scores`, `labels`, `category_ids`, `areas`, and `rles`, COCO's counts over
`image_size` (height, width). Where neither `areas` nor `rles` are among the outputs asked for, masks are
not computed. Model `NAME.tensors` takes `pixels`, RGB in the size of the network's input, at most
{BATCH_LIMIT} pictures in a batch, and gives the network's heads. `/v2/models/NAME` has the tensors of both
with their datatypes and shapes.

An `image` takes the options of `/v1/segment`: `score_threshold`, `max_instances`, `classes` (one text with
commas between the labels), `masks` (`rle` or `none`), `exact`, `nms` (`class` or `all`). Both models take
`timeout`: microseconds until the work has to begin. `/v2/models/NAME/versions/VERSION/infer` asks one
version; the other paths of a model have such a form, too."""

INFER_HEADERS: list[dict[str, Any]] = [
    *describe_headers(),
    {
        "name": HEADER_LENGTH,
        "in": "header",
        "required": False,
        "description": "Bytes of the JSON, where binary elements of inputs follow it.",
        "schema": {"type": "integer", "minimum": 0},
        "examples": {"1": {"value": 162}},
    },
]

EXAMPLE = {
    "inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": [TINY_WEBP]}],
    "outputs": [{"name": "boxes"}, {"name": "labels"}, {"name": "scores"}],
    "parameters": {"score_threshold": 0.5},
}
INFER_BODY = describe_body(InferRequest, EXAMPLE)
INFER_BODY["content"]["application/octet-stream"] = BINARY

INFER_RESPONSES: Responses = {
    200: {
        "model": InferAnswer,
        "description": "The outputs; with binary ones after the JSON where they are asked for.",
        "headers": HEADERS | SERVER_TIMING,
        "content": {"application/json": {}, "application/octet-stream": BINARY},
    },
    **problems(400, 404, 413, 415, 503, 504),
}
