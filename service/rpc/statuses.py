"""Errors as gRPC statuses, and as the errors of single frames.

Several errors share a status, so an error's name goes beside it: in the trailing metadata `x-error` of a
call, and in `FrameError.type` of a frame. Over REST the same name ends the `type` of a problem.
"""

from math import ceil

import grpc

from service import errors
from service.rpc.generated import segmentation_pb2 as pb
from service.rpc.metadata import ERROR, RETRY_AFTER

STATUS: dict[type[errors.BlitzError], grpc.StatusCode] = {
    errors.InvalidImage: grpc.StatusCode.INVALID_ARGUMENT,
    errors.ImageTooLarge: grpc.StatusCode.INVALID_ARGUMENT,
    errors.UnsupportedMedia: grpc.StatusCode.INVALID_ARGUMENT,
    errors.InvalidOption: grpc.StatusCode.INVALID_ARGUMENT,
    errors.ModelNotFound: grpc.StatusCode.NOT_FOUND,
    errors.ModelRefused: grpc.StatusCode.FAILED_PRECONDITION,
    errors.Unauthorized: grpc.StatusCode.UNAUTHENTICATED,
    errors.Forbidden: grpc.StatusCode.PERMISSION_DENIED,
    errors.RateLimited: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.Overloaded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.ComputeFailed: grpc.StatusCode.UNAVAILABLE,
    errors.OutOfMemory: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.NotReady: grpc.StatusCode.UNAVAILABLE,
    errors.InvalidCard: grpc.StatusCode.INTERNAL,
    errors.BackendUnavailable: grpc.StatusCode.INTERNAL,
    errors.InvalidSetting: grpc.StatusCode.INTERNAL,
    errors.SelfTestFailed: grpc.StatusCode.INTERNAL,
}
UNKNOWN_ERROR = "the service failed on this request; its log has the reason under this request's id"
LONGEST_TEXT = 1300  # bytes: gRPC writes one of them in up to three, and may refuse metadata of 8,192


def error_to_status(error: Exception) -> tuple[grpc.StatusCode, str]:
    """The status of an error and a text for the caller; an unknown error keeps its own text to itself."""
    if isinstance(error, errors.BlitzError):
        return STATUS[type(error)], _shorten(str(error))
    return grpc.StatusCode.INTERNAL, UNKNOWN_ERROR


def error_to_metadata(error: Exception) -> tuple[tuple[str, str], ...]:
    """The trailing metadata that tells a client which error a status stands for.

    >>> error_to_metadata(errors.RateLimited("too fast", retry_after_s=1.2))
    (('x-error', 'RateLimited'), ('retry-after', '2'))
    """
    if not isinstance(error, errors.BlitzError):
        return ()
    name = (ERROR, type(error).__name__)
    if isinstance(error, errors.RateLimited):
        return name, (RETRY_AFTER, str(ceil(error.retry_after_s)))
    return (name,)


def error_to_frame(error: Exception) -> pb.FrameError:
    """The error of one frame of a stream."""
    status, message = error_to_status(error)
    code: int = status.value[0]
    name = type(error).__name__ if isinstance(error, errors.BlitzError) else ""
    return pb.FrameError(code=code, message=message, type=name)


def _shorten(text: str) -> str:
    data = text.encode(errors="replace")
    return text if len(data) <= LONGEST_TEXT else data[:LONGEST_TEXT].decode(errors="ignore") + "..."
