"""Clients that leave in the middle of an answer are no fault of the service."""

import asyncio

import grpc
import pytest
from structlog.testing import capture_logs

from service.rpc.boundary import answer_call
from service.telemetry.metrics import Metrics
from service.telemetry.request_log import RequestRecord


class FakeContext:
    """A call without metadata, which cannot be aborted: nobody is there."""

    def invocation_metadata(self) -> None:
        return None

    def set_trailing_metadata(self, metadata: object) -> None:
        pass


async def fail_to_write(record: RequestRecord) -> None:
    """As grpcio does where the client has left."""
    raise grpc.aio.InternalError('Failed "execute_batch": SendMessageOperation')


async def test_whoever_leaves_while_a_frame_is_written_is_gone() -> None:
    with capture_logs() as lines, pytest.raises(asyncio.CancelledError):
        await answer_call(Metrics(), FakeContext(), "SegmentStream", fail_to_write)  # type: ignore[arg-type]
    (line,) = lines
    assert (line["event"], line["outcome"]) == ("request", "gone")
