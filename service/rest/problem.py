"""Errors as RFC 9457 problem+json: one table of statuses, and no text of an unknown error."""

import math
from collections.abc import Sequence
from http import HTTPStatus
from typing import cast

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from service import errors
from service.errors import shorten
from service.inference.documents import Json
from service.serving.admission import delay_refusal
from service.telemetry.request_log import RequestRecord, choose_request_id

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 1
CHALLENGE = 'Bearer realm="blitzmask"'
UNKNOWN_ERROR = "the service failed on this request; its log has the reason under this request's id"
NO_MEMORY = "the service is out of memory for this request; come back in a moment, or send a smaller image"
PROTOCOL = "/v2/"
TIMEOUT = "x-request-timeout"
KEY = "blitzmask.record"  # of a request's record, in its scope
DETAIL = 1000  # characters of a detail, at most
FAULTS = 4  # that one detail lists, at most

STATUS: dict[type[errors.BlitzError], HTTPStatus] = {
    errors.InvalidImage: HTTPStatus.BAD_REQUEST,
    errors.ImageTooLarge: HTTPStatus(413),
    errors.UnsupportedMedia: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.InvalidOption: HTTPStatus.BAD_REQUEST,
    errors.ModelNotFound: HTTPStatus.NOT_FOUND,
    errors.ModelRefused: HTTPStatus.CONFLICT,
    errors.Unauthorized: HTTPStatus.UNAUTHORIZED,
    errors.Forbidden: HTTPStatus.FORBIDDEN,
    errors.RateLimited: HTTPStatus.TOO_MANY_REQUESTS,
    errors.Overloaded: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.ComputeFailed: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.OutOfMemory: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.DeadlineExceeded: HTTPStatus.GATEWAY_TIMEOUT,
    errors.NotReady: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.InvalidCard: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.BackendUnavailable: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.InvalidSetting: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.SelfTestFailed: HTTPStatus.INTERNAL_SERVER_ERROR,
}


def record_of(request: HTTPConnection) -> RequestRecord:
    """The record of this request."""
    record: RequestRecord = request.scope[KEY]
    return record


def problem_type(kind: type[errors.BlitzError]) -> str:
    """The URI by which a program tells one problem from another.

    >>> problem_type(errors.Overloaded)
    'urn:blitzmask:problem:Overloaded'
    """
    return f"urn:blitzmask:problem:{kind.__name__}"


def error_to_problem(error: Exception, request_id: str) -> Json:
    """The problem of an error; the text of an error that is none of ours stays in the log."""
    if isinstance(error, HTTPException):
        status = HTTPStatus(error.status_code)
        return _describe(status, ("about:blank", status.phrase, error.detail), request_id)
    if isinstance(error, MemoryError):
        error = errors.OutOfMemory(NO_MEMORY)
    if not isinstance(error, errors.BlitzError):
        status = HTTPStatus.INTERNAL_SERVER_ERROR
        return _describe(status, ("about:blank", status.phrase, UNKNOWN_ERROR), request_id)
    kind = type(error)
    title = (kind.__doc__ or "").rstrip(".")
    return _describe(STATUS[kind], (problem_type(kind), title, str(error)), request_id)


async def answer_blitz_error(request: HTTPConnection, error: Exception) -> Response:
    """The response to one of our own errors."""
    assert isinstance(error, errors.BlitzError)
    record_of(request).outcome = type(error).__name__
    await delay_refusal(error)
    problem = error_to_problem(error, record_of(request).request_id)
    return _respond(request.scope["path"], problem, headers=_advise(error))


async def answer_http_error(request: Request, error: Exception) -> Response:
    """The problem of an unknown path, a wrong method, an impossible answer format, or a slow body."""
    assert isinstance(error, HTTPException)
    record_of(request).outcome = f"http_{error.status_code}"
    if error.detail == HTTPStatus(error.status_code).phrase:
        asked = shorten(f"{request.method} {request.url.path}")
        error.detail = f"nothing answers {asked} here; /docs lists all paths"
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(list_methods(request.app.state.routes, request.scope["path"]))
    problem = error_to_problem(error, record_of(request).request_id)
    return _respond(request.scope["path"], problem, headers=headers)


def answer_unknown_error(request: Request) -> Response:
    """The response to an error that should not have happened: only the log tells what it was."""
    record_of(request).outcome = "internal"
    problem = error_to_problem(Exception(), record_of(request).request_id)
    return _respond(request.scope["path"], problem, headers={})


def answer_early(error: errors.BlitzError | HTTPException) -> Response:
    """The response to a client whose request has not been read, under an id that no log has."""
    request_id = choose_request_id(None)
    advice = _advise(error) if isinstance(error, errors.BlitzError) else {}
    return _respond("", error_to_problem(error, request_id), headers={"x-request-id": request_id} | advice)


def list_methods(routes: Sequence[BaseRoute], path: str) -> list[str]:
    """The methods that a path answers; HEAD is there wherever GET is."""
    fitting = (route for route in routes if isinstance(route, Route) and route.path_regex.match(path))
    methods = {method for route in fitting for method in route.methods or ()}
    return sorted(methods | ({"HEAD"} if "GET" in methods else set()))


def describe_fault(kind: str, name: str, message: str) -> str:
    """The fault of an option, by pydantic's kind of error and its text."""
    if kind == "extra_forbidden":
        return f"{shorten(name, 40)} is not an option of this path; /docs lists them"
    return f"{shorten(name, 40)}: {message[0].lower()}{message[1:]}"


def join_faults(faults: list[str]) -> str:
    """The first faults, and how many more there are.

    >>> join_faults(["a", "b", "c", "d", "e"])
    'a; b; c; d; and 1 more'
    """
    more = [f"and {len(faults) - FAULTS} more"] if len(faults) > FAULTS else []
    return "; ".join(faults[:FAULTS] + more)


def _advise(error: errors.BlitzError) -> dict[str, str]:
    """The headers that say what to do about an error."""
    match error:
        case errors.RateLimited():
            return {"retry-after": str(math.ceil(error.retry_after_s))}
        case errors.Unauthorized():
            return {"www-authenticate": CHALLENGE}
        case _:
            unavailable = STATUS[type(error)] == HTTPStatus.SERVICE_UNAVAILABLE
            return {"retry-after": str(RETRY_AFTER_S)} if unavailable else {}


def _describe(status: HTTPStatus, what: tuple[str, str, str], request_id: str) -> Json:
    kind, title, detail = what
    return {
        "type": kind,
        "title": title,
        "status": status.value,
        "detail": shorten(detail, DETAIL),
        "instance": f"urn:request:{request_id}",
    }


def _respond(path: str, problem: Json, *, headers: dict[str, str]) -> Response:
    """The problem as a response; clients of the Open Inference Protocol read its text from `error`."""
    status = HTTPStatus(cast("int", problem["status"]))
    if f"{path}/".startswith(PROTOCOL):
        problem = {"error": problem["detail"]} | problem
    return Response(orjson.dumps(problem), status.value, headers=headers, media_type=MEDIA_TYPE)
