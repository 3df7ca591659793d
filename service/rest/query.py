"""What is asked in a request's query and headers, read in one step.

FastAPI reads parameter by parameter and looks at each one's type anew: it was the largest part of what a
request costs beside its image.
"""

from typing import Any

from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import Headers, QueryParams

from service.errors import InvalidOption
from service.rest.asked import RequestId, SegmentQuery, Timeout, Traceparent
from service.rest.problem import describe_fault
from service.telemetry.tracing import TRACEPARENT

TIMEOUT = "x-request-timeout"
LISTS = {"classes"}

_timeout: TypeAdapter[float] = TypeAdapter(Timeout)


def read_query(params: QueryParams) -> SegmentQuery:
    """The options of a query; raises InvalidOption where one is unknown, repeated, or cannot be used."""
    values: dict[str, object] = {}
    for name, value in params.items():
        given = params.getlist(name)
        if name not in LISTS and len(given) > 1:
            raise InvalidOption(f"{name:.40} is given {len(given)} times, expected once")
        values[name] = given if name in LISTS else value
    try:
        return SegmentQuery.model_validate(values)
    except ValidationError as error:
        faults = [describe_fault(item["type"], str(item["loc"][0]), item["msg"]) for item in error.errors()]
        raise InvalidOption("; ".join(faults)) from error


def read_timeout(headers: Headers) -> float | None:
    """Seconds the caller is willing to wait; raises InvalidOption where they cannot be waited for."""
    asked = headers.get(TIMEOUT)
    if asked is None:
        return None
    try:
        return _timeout.validate_python(asked)
    except ValidationError as error:
        (fault,) = error.errors()
        raise InvalidOption(describe_fault(fault["type"], TIMEOUT, fault["msg"])) from error


def describe_parameters() -> list[dict[str, Any]]:
    """The parameters of the OpenAPI description, each with examples."""
    options = SegmentQuery.model_json_schema()["properties"]
    return [
        _describe_parameter(name, "query", schema) for name, schema in options.items()
    ] + describe_headers()


def describe_headers() -> list[dict[str, Any]]:
    """Those headers among them that other paths read, too."""
    kinds = {TIMEOUT: Timeout, "x-request-id": RequestId, TRACEPARENT: Traceparent}
    return [
        _describe_parameter(name, "header", TypeAdapter(kind).json_schema()) for name, kind in kinds.items()
    ]


def _describe_parameter(name: str, place: str, schema: dict[str, Any]) -> dict[str, Any]:
    """One parameter; whoever wants a default leaves it out: nothing in a query or header is null."""
    schema = dict(schema)
    for choice in schema.pop("anyOf", ()):
        schema |= choice if choice["type"] != "null" else {}
    if schema.get("default", ...) in (None, []):
        del schema["default"]
    parts = {"name": name, "in": place, "required": False, "description": schema.pop("description")}
    if examples := schema.pop("examples", ()):
        parts["examples"] = {str(number): {"value": value} for number, value in enumerate(examples, 1)}
    return parts | {"schema": schema}
