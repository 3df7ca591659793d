"""What a server or the network refuses, as the errors that the server itself would raise."""

from collections.abc import Mapping

import grpc

from service import errors

KINDS: Mapping[grpc.StatusCode, type[errors.BlitzError]] = {
    # Several errors share a status; their text says which it is.
    grpc.StatusCode.INVALID_ARGUMENT: errors.RequestError,
    grpc.StatusCode.NOT_FOUND: errors.ModelNotFound,
    grpc.StatusCode.UNAUTHENTICATED: errors.Unauthorized,
    grpc.StatusCode.PERMISSION_DENIED: errors.Forbidden,
    grpc.StatusCode.RESOURCE_EXHAUSTED: errors.Overloaded,
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.DeadlineExceeded,
    grpc.StatusCode.UNAVAILABLE: errors.Unavailable,
    grpc.StatusCode.CANCELLED: errors.Unavailable,  # a server that does not wait for its calls
}
NAMED: Mapping[str, type[errors.BlitzError]] = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.BlitzError)
}
PROBLEM = "urn:blitzmask:problem:"
AWAY = (502, 503, 504)
BROKEN = "Internal error from Core"  # of grpc.aio, where a message met a call that had just ended
TOO_LARGE = "Received message larger than max"  # by gRPC itself, before the server sees anything


def code_to_error(code: int, message: str) -> errors.BlitzError:
    """The error of one frame, by its gRPC status code.

    >>> code_to_error(5, "there is no model x")
    ModelNotFound('there is no model x')
    """
    for status, kind in KINDS.items():
        if status.value[0] == code:
            return kind(message)
    return errors.BlitzError(message)


def call_to_error(error: grpc.RpcError, address: str) -> errors.BlitzError:
    """The error of a call that ended without an answer."""
    assert isinstance(error, grpc.Call | grpc.aio.AioRpcError)
    code, details = error.code(), error.details() or "it gave no reason"
    kind = KINDS.get(code, errors.BlitzError)
    if details == BROKEN:
        return errors.Unavailable(f"the server at {address} is not available: it ended the call")
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and TOO_LARGE in details:
        return errors.ImageTooLarge(f"the image is too large for the server: {details}")
    if details.startswith("failed to connect to all addresses"):
        details = details.rpartition(": ")[2].lower()  # of a long list of where and how
    if kind is errors.Unavailable:
        return kind(f"the server at {address} is not available: {details}")
    return kind(details)


def problem_to_error(status: int, problem: Mapping[str, object]) -> errors.BlitzError:
    """The error of a response that is not 200, by its RFC 9457 problem, or its status where it has none.

    >>> problem_to_error(400, {"type": "urn:blitzmask:problem:InvalidImage", "detail": "it is empty"})
    InvalidImage('it is empty')
    """
    kind = NAMED.get(str(problem.get("type", "")).removeprefix(PROBLEM))
    if kind is None:
        kind = errors.Unavailable if status in AWAY else errors.BlitzError
        kind = errors.RequestError if 400 <= status < 500 else kind
    return kind(str(problem.get("detail") or f"the server answered with HTTP status {status}"))
