"""gRPC over one HTTP/2 connection of its own."""

import asyncio
from collections.abc import Sequence

import grpc
import grpc.aio

from loadtest.clients.base import OK, Answer, Photo
from loadtest.clients.oip import METHOD, pack_message, read_message
from loadtest.targets import Target, to_message
from service.rpc.generated import segmentation_pb2 as messages

_METHODS = {"native": "/blitzmask.v1.SegmentationService/Segment", "oip": METHOD}
CHANNEL: Sequence[tuple[str, int]] = (
    # Channels to one address share a connection unless told otherwise, and a server of several processes
    # would then see all its clients in one of them.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.max_send_message_length", 64 << 20),
)


def open_channel(target: Target) -> grpc.aio.Channel:
    """A connection of one's own."""
    if target.secure:
        credentials = target.credentials.open_channel()
        return grpc.aio.secure_channel(target.authority, credentials, options=CHANNEL)
    return grpc.aio.insecure_channel(target.authority, options=CHANNEL)


def read_metadata(target: Target) -> tuple[tuple[str, str], ...]:
    """What is shown with every call."""
    return tuple(target.credentials.headers().items())


class RpcClient:
    """Calls `Segment` or `ModelInfer`; the answer's body is the serialised response."""

    def __init__(self, target: Target) -> None:
        self._channel = open_channel(target)
        self._call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(
            _METHODS[target.protocol]
        )
        self._target = target
        self._metadata = read_metadata(target)

    async def send(self, photo: Photo) -> Answer:
        try:
            body = await self._call(self._pack(photo), timeout=self._target.timeout, metadata=self._metadata)
            stages = self._read_stages(body)
        except grpc.aio.AioRpcError as error:
            return Answer(error.code().name, (error.details() or "").encode())
        except asyncio.CancelledError:
            raise
        except Exception as error:  # protobuf has one exception type per implementation
            return Answer("not a response", str(error).encode())
        return Answer(OK, body, stages)

    async def close(self) -> None:
        await self._channel.close(None)

    def _pack(self, photo: Photo) -> bytes:
        if self._target.protocol == "oip":
            return pack_message(self._target.ask, photo).SerializeToString()
        options = to_message(self._target.ask)
        return messages.SegmentRequest(image=photo.data, options=options).SerializeToString()

    def _read_stages(self, body: bytes) -> dict[str, float]:
        """Raises where the body is no response at all."""
        if self._target.protocol == "oip":
            read_message(body)
            return {}
        return read_timings(messages.SegmentResponse.FromString(body))


def read_timings(response: messages.SegmentResponse) -> dict[str, float]:
    """Milliseconds by stage; empty when the server sent none."""
    if not response.HasField("timings_ms"):
        return {}
    timings = response.timings_ms
    return {field.name: getattr(timings, field.name) for field in timings.DESCRIPTOR.fields}
