import grpc
from grpc.aio import AioRpcError, Metadata

from service import errors
from service.client.refusals import call_to_error


def ended(code: grpc.StatusCode, details: str) -> AioRpcError:
    return AioRpcError(code, Metadata(), Metadata(), details=details)


def test_a_call_that_ends_while_it_is_written_to_is_worth_another_try() -> None:
    error = call_to_error(ended(grpc.StatusCode.INTERNAL, "Internal error from Core"), "host:8001")
    assert type(error) is errors.Unavailable
    assert str(error) == "the server at host:8001 is not available: it ended the call"


def test_a_fault_of_the_server_is_no_outage() -> None:
    error = call_to_error(ended(grpc.StatusCode.INTERNAL, "the service failed on this request"), "host:8001")
    assert type(error) is errors.BlitzError


def test_a_message_that_is_too_large_is_not_an_overload() -> None:
    details = "SERVER: Received message larger than max (200 vs. 100)"
    error = call_to_error(ended(grpc.StatusCode.RESOURCE_EXHAUSTED, details), "host:8001")
    assert type(error) is errors.ImageTooLarge
    full = call_to_error(ended(grpc.StatusCode.RESOURCE_EXHAUSTED, "all 4 slots are taken"), "host:8001")
    assert type(full) is errors.Overloaded
