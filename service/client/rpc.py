"""gRPC: single images and streams."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Iterator
from queue import SimpleQueue
from typing import Any, Self

import grpc

from service.client.credentials import NOTHING, Credentials, parse_address
from service.client.messages import (
    frame_to_proto,
    models_from_proto,
    options_to_proto,
    result_from_proto,
    segmentation_from_proto,
    stream_options_to_proto,
)
from service.client.models import ModelList
from service.client.refusals import call_to_error
from service.client.withheld import Withheld
from service.errors import Unavailable
from service.rpc.generated import segmentation_pb2 as pb
from service.rpc.generated import segmentation_pb2_grpc as pb_grpc
from service.rpc.metadata import MAX_MESSAGE
from service.serving.streaming import Frame, FrameResult, StreamOptions
from service.types import Options, Segmentation

OPTIONS = Options()
STREAM = StreamOptions()
CHANNEL = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),  # the server says what it takes
    # A connection that is cut without a word, or a server that hangs, is noticed after 15 seconds.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # Each client has a connection of its own: a fresh one knows nothing of how long others have failed.
    ("grpc.use_local_subchannel_pool", 1),
)


class RpcClient:
    """Waits for its answers; may be used from several threads.

    address: "host:port" of the server's gRPC port; with TLS, "grpcs://host:port".
    timeout: seconds that a single image may take. Streams have no limit.
    credentials: where the server asks for a key, or its certificate is not of a public authority.
    """

    def __init__(self, address: str, *, timeout: float = 30.0, credentials: Credentials = NOTHING) -> None:
        """Raises InvalidOption where the credentials cannot be used."""
        self._address = address
        self._timeout = timeout
        self._metadata = tuple(credentials.headers().items())
        place, secure = parse_address(address, credentials)
        if secure:
            self._channel = grpc.secure_channel(place, credentials.open_channel(), options=CHANNEL)
        else:
            self._channel = grpc.insecure_channel(place, options=CHANNEL)
        self._stub = pb_grpc.SegmentationServiceStub(self._channel)  # type: ignore[no-untyped-call]  # protoc's

    def segment(
        self,
        image: bytes,
        options: Options = OPTIONS,
        *,
        model: str | None = None,
        version: str | None = None,
    ) -> Segmentation:
        """The instances in an encoded image; raises BlitzError's descendants."""
        request = pb.SegmentRequest(
            image=image, options=options_to_proto(options, model=model, version=version)
        )
        try:
            return segmentation_from_proto(
                self._stub.Segment(request, timeout=self._timeout, metadata=self._metadata)
            )
        except grpc.RpcError as error:
            raise call_to_error(error, self._address) from error

    def stream(
        self,
        frames: Iterable[Frame],
        options: StreamOptions = STREAM,
        *,
        model: str | None = None,
        version: str | None = None,
    ) -> Iterator[FrameResult]:
        """The answers to frames, as they come; another thread reads `frames`, one too many where it breaks.

        A frame that fails is answered with its error, as is one that is larger than the server takes. What
        ends the stream is raised, as a rule BlitzError's descendants, and what `frames` raises.
        """
        asked = pb.Frame(options=stream_options_to_proto(options, model=model, version=version))
        faults: list[Exception] = []
        withheld = Withheld()
        calls: SimpleQueue[grpc.Call] = SimpleQueue()
        call = self._stub.SegmentStream(
            _write(asked, frames, calls=calls, withheld=withheld, faults=faults), metadata=self._metadata
        )
        calls.put(call)
        try:
            for message in call:
                yield withheld.explain(result_from_proto(message))
        except grpc.RpcError as error:
            raise (faults or [call_to_error(error, self._address)])[0] from error
        finally:
            call.cancel()

    def models(self) -> ModelList:
        """Every model that answers; raises Unavailable."""
        try:
            return models_from_proto(
                self._stub.ListModels(pb.ListModelsRequest(), timeout=self._timeout, metadata=self._metadata)
            )
        except grpc.RpcError as error:
            raise call_to_error(error, self._address) from error

    def close(self) -> None:
        """Hang up."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncRpcClient:
    """As `RpcClient`, in an event loop."""

    def __init__(self, address: str, *, timeout: float = 30.0, credentials: Credentials = NOTHING) -> None:
        """Raises InvalidOption where the credentials cannot be used."""
        self._address = address
        self._timeout = timeout
        self._metadata = tuple(credentials.headers().items())
        place, secure = parse_address(address, credentials)
        if secure:
            self._channel = grpc.aio.secure_channel(place, credentials.open_channel(), options=CHANNEL)
        else:
            self._channel = grpc.aio.insecure_channel(place, options=CHANNEL)
        self._stub = pb_grpc.SegmentationServiceStub(self._channel)  # type: ignore[no-untyped-call]  # protoc's

    async def connect(self) -> None:
        """Returns once the server is connected; raises Unavailable as soon as that fails."""
        state = self._channel.get_state(try_to_connect=True)
        while state is not grpc.ChannelConnectivity.READY:
            if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                raise Unavailable(f"no server answers at {self._address}")
            await self._channel.wait_for_state_change(state)
            state = self._channel.get_state(try_to_connect=True)

    async def segment(
        self,
        image: bytes,
        options: Options = OPTIONS,
        *,
        model: str | None = None,
        version: str | None = None,
    ) -> Segmentation:
        """The instances in an encoded image; raises BlitzError's descendants."""
        request = pb.SegmentRequest(
            image=image, options=options_to_proto(options, model=model, version=version)
        )
        try:
            return segmentation_from_proto(
                await self._stub.Segment(request, timeout=self._timeout, metadata=self._metadata)
            )
        except grpc.RpcError as error:
            raise call_to_error(error, self._address) from error

    async def stream(
        self,
        frames: AsyncIterable[Frame],
        options: StreamOptions = STREAM,
        *,
        model: str | None = None,
        version: str | None = None,
    ) -> AsyncGenerator[FrameResult, None]:
        """The answers to frames, as they come.

        A frame that fails is answered with its error, as is one that is larger than the server takes. What
        ends the stream is raised, as a rule BlitzError's descendants, and what `frames` raises.
        """
        asked = pb.Frame(options=stream_options_to_proto(options, model=model, version=version))
        withheld = Withheld()
        call = self._stub.SegmentStream(metadata=self._metadata)
        # gRPC would do the writing, but goes on reading `frames` after a call has failed.
        writing = asyncio.create_task(_write_async(call, asked, frames, withheld=withheld))
        try:
            async for message in call:
                yield withheld.explain(result_from_proto(message))
        except grpc.RpcError as error:
            raise call_to_error(error, self._address) from error
        except asyncio.CancelledError:
            if writing.done() and not writing.cancelled() and (fault := writing.exception()) is not None:
                raise fault from None  # then the writer has cancelled the call
            raise
        finally:
            call.cancel()
            writing.cancel()
            await asyncio.wait([writing])

    async def models(self) -> ModelList:
        """Every model that answers; raises Unavailable."""
        try:
            return models_from_proto(
                await self._stub.ListModels(
                    pb.ListModelsRequest(), timeout=self._timeout, metadata=self._metadata
                )
            )
        except grpc.RpcError as error:
            raise call_to_error(error, self._address) from error

    async def close(self) -> None:
        """Hang up."""
        await self._channel.close(None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _write(
    first: pb.Frame,
    frames: Iterable[Frame],
    *,
    calls: "SimpleQueue[grpc.Call]",
    withheld: Withheld,
    faults: list[Exception],
) -> Iterator[pb.Frame]:
    """The messages of the stream whose call `calls` has; gRPC would keep to itself what goes wrong here."""
    yield first
    try:
        most = _read_limit(calls.get().initial_metadata())
        for frame in frames:
            yield withheld.check(frame_to_proto(frame), most=most)
    except Exception as error:
        faults.append(error)
        raise


async def _write_async(
    call: Any, first: pb.Frame, frames: AsyncIterable[Frame], *, withheld: Withheld
) -> None:
    """Until there are no more frames, or the call has ended, of which its reader hears."""
    try:
        await call.write(first)
        most = _read_limit(await call.initial_metadata())
        async for frame in frames:
            await call.write(withheld.check(frame_to_proto(frame), most=most))
        await call.done_writing()
    except (grpc.RpcError, asyncio.InvalidStateError):
        pass
    except Exception:
        call.cancel()
        raise


def _read_limit(headers: Iterable[tuple[str, str | bytes]]) -> int | None:
    """Bytes of the largest message that a server takes, where it says so."""
    most = dict(headers).get(MAX_MESSAGE)
    return None if most is None else int(most)
