"""Failed calls as the errors that the server itself raises: the same for REST and gRPC.

A server sends the name of its error. A failure without a name comes from the network, from a proxy, or from
another server in between.
"""

from collections.abc import Mapping

import grpc

from service import errors
from service.client.credentials import name_proxy
from service.rpc import ERROR, RETRY_AFTER

KINDS: Mapping[int, type[errors.BlitzError]] = {
    grpc.StatusCode.INVALID_ARGUMENT.value[0]: errors.RequestError,
    grpc.StatusCode.NOT_FOUND.value[0]: errors.ModelNotFound,
    grpc.StatusCode.FAILED_PRECONDITION.value[0]: errors.ModelRefused,
    grpc.StatusCode.UNAUTHENTICATED.value[0]: errors.Unauthorized,
    grpc.StatusCode.PERMISSION_DENIED.value[0]: errors.Forbidden,
    grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]: errors.Overloaded,
    grpc.StatusCode.DEADLINE_EXCEEDED.value[0]: errors.DeadlineExceeded,
    grpc.StatusCode.UNAVAILABLE.value[0]: errors.Unavailable,
    grpc.StatusCode.CANCELLED.value[0]: errors.Unavailable,  # from a server that stops during its calls
}
NAMED: Mapping[str, type[errors.BlitzError]] = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.BlitzError)
}
PROBLEM = "urn:blitzmask:problem:"
REQUEST_ID = "x-request-id"  # in the trailing metadata of every status that a BlitzMask server sends
AWAY = (502, 503, 504)
BROKEN = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.CANCELLED)
TOO_LARGE = "Received message larger than max"  # gRPC itself refuses the message, before the service sees it
UNREADABLE = "deserializing response"
NO_HTTP = ("illegal status line", "illegal request line")  # of h11, in the response
NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")  # of OpenSSL and BoringSSL


def make_error(
    name: object, message: str, otherwise: type[errors.BlitzError], *, retry_after: object = None
) -> errors.BlitzError:
    """The error of a name, or `otherwise` when the name is unknown.

    >>> make_error("InvalidImage", "it is empty", errors.RequestError)
    InvalidImage('it is empty')
    """
    kind = NAMED.get(str(name), otherwise)
    if issubclass(kind, errors.RateLimited) and str(retry_after).isdecimal():
        return kind(message, retry_after_s=float(str(retry_after)))
    return kind(message)


def frame_to_error(code: int, message: str, name: str) -> errors.BlitzError:
    """The error of one frame of a stream, by its name, or by its gRPC status when it has none."""
    return make_error(name, message, KINDS.get(code, errors.BlitzError))


def problem_to_error(
    status: int, problem: Mapping[str, object], *, retry_after: str | None = None
) -> errors.BlitzError:
    """The error of a response that is not 200, by its RFC 9457 problem, or by its status when it has none.

    >>> problem_to_error(400, {"type": "urn:blitzmask:problem:InvalidImage", "detail": "it is empty"})
    InvalidImage('it is empty')
    """
    otherwise = errors.Unavailable if status in AWAY else errors.BlitzError
    otherwise = errors.RequestError if 400 <= status < 500 else otherwise
    detail = str(problem.get("detail") or f"the server answered with HTTP status {status}")
    name = str(problem.get("type", "")).removeprefix(PROBLEM)
    return make_error(name, detail, otherwise, retry_after=retry_after)


def call_to_error(error: grpc.RpcError, address: str) -> errors.BlitzError:
    """The error of a gRPC call that ended without an answer."""
    assert isinstance(error, grpc.Call | grpc.aio.AioRpcError)
    code, details = error.code(), error.details() or "it gave no reason"
    trailers = dict(error.trailing_metadata() or ())
    if REQUEST_ID not in trailers:
        return _break_to_error(code, details, address)
    kind = KINDS.get(code.value[0], errors.BlitzError)
    return make_error(trailers.get(ERROR), details, kind, retry_after=trailers.get(RETRY_AFTER))


def name_fault(error: str, address: str) -> errors.BlitzError:
    """The error of a server that cannot be reached, by the text of the network's error."""
    if any(clue in error for clue in NO_TLS):
        scheme = "http://" if address.startswith("https") else "grpc://"
        return errors.InvalidOption(f"{address}: the server speaks no TLS there; write {scheme} instead")
    if "http1.x server" in error:
        return errors.InvalidOption(
            f"{address}: the server speaks HTTP/1 there, not gRPC; gRPC has another port, 8001 by default"
        )
    if any(clue in error for clue in NO_HTTP):
        return errors.InvalidOption(
            f"{address}: the server speaks no HTTP/1 there; REST has another port, 8000 by default"
        )
    if error.startswith("failed to connect to all addresses"):
        error = error.rpartition(": ")[2].lower()  # of a long list of places and reasons
    return errors.Unavailable(f"the server at {address} is not available: {error}{name_proxy(address)}")


def _break_to_error(code: grpc.StatusCode, details: str, address: str) -> errors.BlitzError:
    """The error of a call to which no BlitzMask server gave a status.

    gRPC says INTERNAL or UNKNOWN where a connection breaks in the middle of a call: the server behind a proxy
    was killed, or it refused a stream while the client was sending.
    """
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and TOO_LARGE in details:
        return errors.ImageTooLarge(f"the image is too large for the server: {details}")
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return errors.DeadlineExceeded(f"{address} did not answer in time")
    if code is grpc.StatusCode.UNIMPLEMENTED or UNREADABLE in details:
        return errors.BlitzError(f"{address} is not a BlitzMask server: {details}")
    if code in BROKEN:
        return errors.Unavailable(f"the server at {address} is not available: it ended the call: {details}")
    if code is grpc.StatusCode.UNAVAILABLE:
        return name_fault(details, address)
    return KINDS.get(code.value[0], errors.BlitzError)(details)
