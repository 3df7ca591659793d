"""gRPC: single images and streams, waiting or with asyncio."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

import grpc

from service.client.answers import ModelList
from service.client.asking import (
    Image,
    check_name,
    check_options,
    check_stream_options,
    load_image,
    read_image,
)
from service.client.credentials import NOTHING, Credentials, is_local, parse_address
from service.client.failures import call_to_error, name_fault
from service.client.many import CONCURRENCY, Answers, AsyncAnswers
from service.client.proto_convert import (
    models_from_proto,
    options_to_proto,
    result_from_proto,
    segmentation_from_proto,
    stream_options_to_proto,
)
from service.client.rpc_stream import AnyFrame, Writer
from service.frames import FrameResult, StreamOptions
from service.rpc.generated import segmentation_pb2 as pb
from service.rpc.generated import segmentation_pb2_grpc as pb_grpc
from service.types import Options, Segmentation

OPTIONS = Options()
STREAM = StreamOptions()
CHANNEL = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),  # the server has the limit
    # A connection that is cut silently, or a server that hangs, is noticed after 15 seconds.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # Each client has a connection of its own, so that a new client does not wait for the retries of others.
    ("grpc.use_local_subchannel_pool", 1),
)


@dataclass(frozen=True, slots=True)
class _Calls:
    """The part that the two clients share: connecting, making requests, converting errors."""

    address: str
    timeout: float
    credentials: Credentials

    def open(self, transport: Any) -> Any:
        """A channel of `grpc` or `grpc.aio`; raises InvalidOption."""
        place, secure = parse_address(self.address, self.credentials)
        options = (*CHANNEL, ("grpc.enable_http_proxy", int(not is_local(place))))
        if secure:
            return transport.secure_channel(place, self.credentials.open_channel(), options=options)
        return transport.insecure_channel(place, options=options)

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return tuple(self.credentials.headers().items())

    @contextmanager
    def naming(self) -> Iterator[None]:
        """Raises a subclass of BlitzError instead of gRPC's error."""
        try:
            yield
        except grpc.RpcError as error:
            raise call_to_error(error, self.address) from error


def _ask_segment(
    image: Image, options: Options, *, model: str | None, version: str | None
) -> pb.SegmentRequest:
    model, version = check_name("model", model), check_name("version", version)
    asked = options_to_proto(check_options(options), model=model, version=version)
    return pb.SegmentRequest(image=read_image(image), options=asked)


def _begin_stream(options: StreamOptions, *, model: str | None, version: str | None) -> Writer:
    model, version = check_name("model", model), check_name("version", version)
    asked = stream_options_to_proto(check_stream_options(options), model=model, version=version)
    return Writer(pb.Frame(options=asked))


class RpcClient:
    """Waits for its answers; may be used from several threads.

    address: "host:port" of the server's gRPC port; with TLS, "grpcs://host:port".
    timeout: seconds that a single image may take. Streams have no limit.
    credentials: where the server asks for a key, or its certificate is not of a public authority.
    """

    def __init__(self, address: str, *, timeout: float = 30.0, credentials: Credentials = NOTHING) -> None:
        """Raises InvalidOption when the address or the credentials cannot be used."""
        self._calls = _Calls(address, timeout, credentials)
        self._metadata = self._calls.metadata
        self._channel = self._calls.open(grpc)
        self._stub = pb_grpc.SegmentationServiceStub(self._channel)  # type: ignore[no-untyped-call]  # protoc's

    def segment(
        self,
        image: Image,
        options: Options = OPTIONS,
        *,
        model: str | None = None,
        version: str | None = None,
    ) -> Segmentation:
        """The instances in an image: encoded bytes, a path or an array of pixels; raises BlitzError."""
        request = _ask_segment(image, options, model=model, version=version)
        with self._calls.naming():
            answer = self._stub.Segment(request, timeout=self._calls.timeout, metadata=self._metadata)
        return replace(segmentation_from_proto(answer), picture=request.image)

    def segment_many(
        self,
        images: Iterable[Image],
        options: Options = OPTIONS,
        *,
        model: str | None = None,
        version: str | None = None,
        concurrency: int = CONCURRENCY,
    ) -> Answers:
        """The outcome for each image, in their order: a Segmentation, or the error that came instead.

        concurrency: calls under way at a time. Raises InvalidOption.
        """
        ask = partial(self.segment, options=check_options(options), model=model, version=version)
        return Answers(ask, images, concurrency=concurrency)

    def stream(
        self,
        frames: Iterable[AnyFrame],
        options: StreamOptions = STREAM,
        *,
        model: str | None = None,
        version: str | None = None,
    ) -> Iterator[FrameResult]:
        """The answers to frames, as they come.

        Another thread reads `frames`, at most one ahead.

        A frame that fails is answered with its error; so is one that is larger than the server takes. The
        error that ends the stream is raised: a BlitzError, or what `frames` raises.
        """
        writer = _begin_stream(options, model=model, version=version)
        call = self._stub.SegmentStream(writer.write(frames), metadata=self._metadata)
        writer.calls.put(call)
        try:
            for message in call:
                if message.ByteSize():  # Ray sends headers only after a message, so an empty one comes first
                    yield writer.withheld.explain(result_from_proto(message))
        except grpc.RpcError as error:
            raise (writer.faults or [call_to_error(error, self._calls.address)])[0] from error
        finally:
            call.cancel()

    def models(self) -> ModelList:
        """Every model that answers; raises Unavailable."""
        with self._calls.naming():
            answer = self._stub.ListModels(
                pb.ListModelsRequest(), timeout=self._calls.timeout, metadata=self._metadata
            )
        return models_from_proto(answer)

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncRpcClient:
    """The same as `RpcClient`, in an event loop."""

    def __init__(self, address: str, *, timeout: float = 30.0, credentials: Credentials = NOTHING) -> None:
        """Raises InvalidOption when the address or the credentials cannot be used."""
        self._calls = _Calls(address, timeout, credentials)
        self._metadata = self._calls.metadata
        self._channel = self._calls.open(grpc.aio)
        self._stub = pb_grpc.SegmentationServiceStub(self._channel)  # type: ignore[no-untyped-call]  # protoc's

    async def connect(self) -> None:
        """Returns once the server is connected; raises Unavailable as soon as that fails."""
        state = self._channel.get_state(try_to_connect=True)
        while state is not grpc.ChannelConnectivity.READY:
            if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                raise name_fault("nothing answers there", self._calls.address)
            await self._channel.wait_for_state_change(state)
            state = self._channel.get_state(try_to_connect=True)

    async def segment(
        self,
        image: Image,
        options: Options = OPTIONS,
        *,
        model: str | None = None,
        version: str | None = None,
    ) -> Segmentation:
        """The instances in an image: encoded bytes, a path or an array of pixels; raises BlitzError."""
        request = _ask_segment(await load_image(image), options, model=model, version=version)
        with self._calls.naming():
            answer = await self._stub.Segment(request, timeout=self._calls.timeout, metadata=self._metadata)
        return replace(segmentation_from_proto(answer), picture=request.image)

    def segment_many(
        self,
        images: Iterable[Image],
        options: Options = OPTIONS,
        *,
        model: str | None = None,
        version: str | None = None,
        concurrency: int = CONCURRENCY,
    ) -> AsyncAnswers:
        """The outcome for each image, in their order: a Segmentation, or the error that came instead.

        concurrency: calls under way at a time. Raises InvalidOption.
        """
        ask = partial(self.segment, options=check_options(options), model=model, version=version)
        return AsyncAnswers(ask, images, concurrency=concurrency)

    async def stream(
        self,
        frames: AsyncIterable[AnyFrame],
        options: StreamOptions = STREAM,
        *,
        model: str | None = None,
        version: str | None = None,
    ) -> AsyncGenerator[FrameResult, None]:
        """The answers to frames, as they come.

        A frame that fails is answered with its error; so is one that is larger than the server takes. The
        error that ends the stream is raised: a BlitzError, or what `frames` raises.
        """
        writer = _begin_stream(options, model=model, version=version)
        call = self._stub.SegmentStream(metadata=self._metadata)
        # gRPC would do the writing, but it goes on reading `frames` after a call has failed.
        writing = asyncio.create_task(writer.write_async(call, frames))
        try:
            async for message in call:
                if message.ByteSize():  # Ray sends headers only after a message, so an empty one comes first
                    yield writer.withheld.explain(result_from_proto(message))
        except grpc.RpcError as error:
            raise call_to_error(error, self._calls.address) from error
        except asyncio.CancelledError:
            if writer.faults:  # then the writer has cancelled the call
                raise writer.faults[0] from None
            raise
        finally:
            call.cancel()
            writing.cancel()
            await asyncio.wait([writing])

    async def models(self) -> ModelList:
        """Every model that answers; raises Unavailable."""
        with self._calls.naming():
            answer = await self._stub.ListModels(
                pb.ListModelsRequest(), timeout=self._calls.timeout, metadata=self._metadata
            )
        return models_from_proto(answer)

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close(None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
