"""Clients that leave in the middle of an answer are no fault of the service."""

import asyncio

import grpc
import pytest
from structlog.testing import capture_logs

from service.errors import InvalidOption
from service.rpc.boundary import answer_call
from service.telemetry.metrics import Metrics
from service.telemetry.request_log import RequestRecord


class FakeContext:
    """A call without metadata that has ended already."""

    def invocation_metadata(self) -> None:
        return None

    def set_trailing_metadata(self, metadata: object) -> None:
        pass

    async def abort(self, *status: object) -> None:
        """As in grpcio where gRPC itself has ended the call."""
        raise grpc.aio.InternalError('Failed "execute_batch": SendStatusFromServerOperation')


async def fail_to_write(record: RequestRecord) -> None:
    """As grpcio does where the client has left."""
    raise grpc.aio.InternalError('Failed "execute_batch": SendMessageOperation')


async def test_whoever_leaves_while_a_frame_is_written_is_gone() -> None:
    with capture_logs() as lines, pytest.raises(asyncio.CancelledError):
        await answer_call(Metrics(), FakeContext(), "SegmentStream", fail_to_write)  # type: ignore[arg-type]
    (line,) = lines
    assert (line["event"], line["outcome"]) == ("request", "gone")


async def refuse(record: RequestRecord) -> None:
    """As a call whose message unpacks to more than gRPC takes: gRPC gives it to nobody, and ends the call."""
    raise InvalidOption("the call ended without a message")


async def test_a_refusal_that_cannot_be_sent_any_more_is_no_fault() -> None:
    """grpcio would write a traceback, and anybody could fill the log."""
    with capture_logs() as lines, pytest.raises(asyncio.CancelledError):
        await answer_call(Metrics(), FakeContext(), "Segment", refuse)  # type: ignore[arg-type]
    (line,) = lines
    assert (line["event"], line["outcome"]) == ("request", "InvalidOption")
