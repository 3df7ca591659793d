"""The OpenAPI description: FastAPI's, completed by our problems, bodies of several kinds, and examples."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from service.inference.image_headers import ACCEPTED
from service.rest.formats import COCO_RESULTS, CUTOUT, JPEG, LABEL_MAP, PNG, ZIP
from service.rest.guard import needs_key
from service.rest.oip_schemas import IndexRequest, InferRequest, RepositoryRequest
from service.rest.problem import CHALLENGE, MEDIA_TYPE, STATUS, problem_type
from service.rest.schemas import CocoResult, Problem, SegmentAnswer

Responses = dict[int | str, dict[str, Any]]

TAGS = [
    {"name": "segmentation", "description": "An image in, instances out."},
    {"name": "models", "description": "The models that answer, and the hardware that computes them."},
    {
        "name": "open inference protocol",
        "description": "Version 2, for `tritonclient` and other clients: as JSON, or with binary tensors.",
    },
    {"name": "other programs", "description": "Endpoints of other servers, for their clients."},
    {"name": "operations", "description": "Probes and metrics."},
]

PROBLEMS = {
    400: "The image cannot be read, or an option is unknown or out of range.",
    401: "The key that this call needs is missing or wrong.",
    403: "The key is valid but does not allow this call.",
    404: "There is no such model or version.",
    406: "The service has none of the formats that Accept asks for.",
    408: "The body did not arrive in time.",
    409: "The model cannot be loaded or unloaded; if loading fails, the old version keeps serving.",
    413: "The body or the image is larger than the service accepts.",
    415: "The content type does not carry an image, or the Content-Encoding is neither gzip nor deflate.",
    429: "The key is used too often: come back after Retry-After seconds.",
    500: "The service failed; its log has the reason under the request's id.",
    503: "Not ready, out of memory, or slots and queue are full: come back after Retry-After seconds.",
    504: "The deadline passed before the work began.",
}
UPLOAD = (400, 408, 413, 415, 503, 504)  # the problems of every path that reads a body
CHANGES = (400, 401, 403, 404, 409, 429, 503)  # and of every path that loads or unloads models


def _header(text: str, example: str) -> dict[str, object]:
    return {"description": text, "schema": {"type": "string"}, "example": example}


HEADERS = {
    "X-Request-Id": _header("The caller's id or a new one; log lines carry it.", "cam-7.42"),
    "traceparent": _header(
        "W3C trace context: this request's place in the caller's trace, where there is one.",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-b7ad6b7169203331-01",
    ),
}
SERVER_TIMING = {
    "Server-Timing": _header(
        "Milliseconds by stage; `render` is the writing of the answer.",
        "queue;dur=0.05, decode;dur=1.6, infer;dur=9.7, render;dur=0.1, total;dur=11.4",
    )
}
MODEL_HEADERS = {
    "X-Model": _header("The model that answered, in answers other than `application/json`.", "mine"),
    "X-Model-Version": _header("Its version, in the same answers.", "1.0.0"),
    "X-Backend": _header(
        "The backend, in the same answers, as `application/json` has it in `backend`.",
        '{"runtime": "onnxruntime", "runtime_version": "1.31.1", "precision": "int8", "threads": 1, '
        '"asked": [], "in_effect": ["CPUExecutionProvider"]}',
    ),
}
RETRY = {"Retry-After": _header("Seconds after which to come back.", "1")}
PROBLEM_HEADERS = {
    401: {"WWW-Authenticate": _header("The way to send a key.", CHALLENGE)},
    429: RETRY,
    503: RETRY,
}
SECURITY_SCHEMES = {
    "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "Bearer": {"type": "http", "scheme": "bearer"},
}

# A grey square: an example has to be a body that the service takes.
TINY_WEBP = "UklGRiQAAABXRUJQVlA4IBgAAAAwAQCdASoIAAgAAsBMJaQAA3AA/vAnAAA="
BINARY = {"schema": {"type": "string", "format": "binary"}}


def _image_object(schema: dict[str, str]) -> dict[str, Any]:
    properties = {"image": {"type": "string", **schema}}
    content = {"type": "object", "required": ["image"], "properties": properties}
    return {"schema": content | {"additionalProperties": False}}


SEGMENT_BODY = {
    "required": True,
    "description": f"An encoded image ({ACCEPTED}) in one of three forms. A body that begins as an image "
    'does is taken under any Content-Type. Where BLITZ_FETCH lists hosts, the JSON `{"url": "..."}` names an '
    "image on one of them.",
    "content": {
        "image/jpeg": BINARY,
        "image/png": BINARY,
        "image/*": BINARY,
        "application/octet-stream": BINARY,
        "multipart/form-data": _image_object({"format": "binary"}),
        "application/json": _image_object(
            {"format": "byte", "description": "Base64, standard or URL-safe, also as a data URI."}
        )
        | {"example": {"image": TINY_WEBP}},
    },
}


def _reference(schema: type) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{schema.__name__}"}


def problems(*statuses: int) -> Responses:
    """The descriptions of problem responses, and of 500, which any path may give."""
    return {
        status: {
            "description": PROBLEMS[status],
            "headers": HEADERS | PROBLEM_HEADERS.get(status, {}),
            "content": {MEDIA_TYPE: {"schema": _reference(Problem), "example": _give_example(status)}},
        }
        for status in (*statuses, 500)
    }


def _give_example(status: int) -> dict[str, object]:
    """A problem of this status: the first of our errors that has it."""
    kind = next((kind for kind, code in STATUS.items() if code == status and status != 500), None)
    return {
        "type": problem_type(kind) if kind else "about:blank",
        "title": (kind.__doc__ or "").rstrip(".") if kind else HTTPStatus(status).phrase,
        "status": status,
        "detail": PROBLEMS[status],
        "instance": "urn:request:cam-7.42",
    }


def describe_body(schema: type[BaseModel], example: object, *, required: bool = True) -> dict[str, Any]:
    """A body of JSON that the endpoint reads itself, within limits; its schema has to be in SCHEMAS."""
    content = {"application/json": {"schema": _reference(schema), "example": example}}
    return {"required": required, "description": schema.__doc__, "content": content}


SEGMENT_RESPONSES: Responses = {
    200: {
        "model": SegmentAnswer,
        "description": "The instances, best score first.",
        "headers": HEADERS | SERVER_TIMING | MODEL_HEADERS,
        "content": {
            "application/json": {},  # FastAPI adds the schema; here for the order
            COCO_RESULTS: {"schema": {"type": "array", "items": _reference(CocoResult)}},
            PNG: BINARY,
            JPEG: BINARY,
            LABEL_MAP: BINARY,
            CUTOUT: BINARY,
            ZIP: BINARY,
        },
    },
    **problems(404, 406, *UPLOAD),
}

SCHEMAS = (Problem, CocoResult, InferRequest, IndexRequest, RepositoryRequest)


@dataclass(frozen=True, slots=True)
class Names:
    """A model, its version and one of its labels: examples that work."""

    model: str
    version: str
    label: str


def describe_app(app: FastAPI, names: Names | None) -> dict[str, Any]:
    """The OpenAPI description: FastAPI's, with our problems in the place of its 422s."""
    description = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        routes=app.routes,
        tags=TAGS,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    for path, verbs in description["paths"].items():
        for operation in verbs.values():
            operation["responses"].pop("422", None)
            _describe_keys(operation, needed=needs_key(path, app.state.rules))
            for parameter in operation.get("parameters", ()):
                _tidy_parameter(parameter, names)
    description["components"]["securitySchemes"] = SECURITY_SCHEMES
    schemas = description["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    _, ours = models_json_schema(
        [(schema, "serialization") for schema in SCHEMAS],
        ref_template="#/components/schemas/{model}",
    )
    schemas.update(ours["$defs"])
    return description


def _tidy_parameter(parameter: dict[str, Any], names: Names | None) -> None:
    """Take `null` out of a parameter, since no query or header holds it, and give it examples."""
    schema = parameter["schema"]
    for choice in schema.pop("anyOf", ()):
        schema |= choice if choice["type"] != "null" else {}
    examples = schema.pop("examples", [])
    if names is not None:
        known = {"name": names.model, "model": names.model, "version": names.version, "classes": names.label}
        examples = [known[parameter["name"]]] if parameter["name"] in known else examples
    if examples:
        parameter["examples"] = {str(place): {"value": value} for place, value in enumerate(examples, 1)}
    schema.pop("description", None)  # the parameter itself has it


def _describe_keys(operation: dict[str, Any], *, needed: bool) -> None:
    """Say that an operation takes keys, where it does; loading and unloading models always need one."""
    if needed:
        refusals = {str(status): content for status, content in problems(401, 429).items()}
        operation["responses"] = refusals | operation["responses"]
    if needed or "403" in operation["responses"]:
        operation["security"] = [{name: []} for name in SECURITY_SCHEMES]
