"""A server that computes nothing: its script says whether it answers at once, late, wrongly or never.

The tests run against it. `NullServer` runs it in another process, where it shows what the clients cost by
themselves: it answers every request with the bytes of one real answer.
"""

import asyncio
import json
import multiprocessing
import signal
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, MutableSequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection

import grpc
import grpc.aio

from loadtest.types import CannotRun, Target
from service.rpc.generated import grpc_predict_v2_pb2 as oip
from service.rpc.generated import segmentation_pb2 as messages

_STAGES = {"queue": 0.5, "decode": 1.5, "infer": 9.0, "total": 10.5}
_SEGMENT = "/blitzmask.v1.SegmentationService/Segment"
_STREAM = "/blitzmask.v1.SegmentationService/SegmentStream"
_STOP_S = 5.0
_INFER = "/inference.GRPCInferenceService/ModelInfer"

GOOD_MESSAGE = messages.SegmentResponse(
    image=messages.ImageSize(height=4, width=6),
    model="fake",
    version="1",
    backend=messages.Backend(runtime="onnx", precision="fp32"),
    timings_ms=messages.Timings(**_STAGES),
).SerializeToString()
GOOD_JSON = json.dumps(
    {
        "image": {"height": 4, "width": 6},
        "instances": [],
        "model": "fake",
        "version": "1",
        "backend": {"runtime": "onnx", "precision": "fp32"},
    }
).encode()
GOOD_REPLY = oip.ModelInferResponse(
    model_name="fake",
    model_version="1",
    outputs=[oip.ModelInferResponse.InferOutputTensor(name="boxes", datatype="FP32", shape=[0, 4])],
    raw_output_contents=[b""],
).SerializeToString()


@dataclass(frozen=True, slots=True)
class Reply:
    """The reaction to a request: wait, then answer with this status and body, or hang up for status 0."""

    status: int = 200
    body: bytes = b""
    delay: float = 0.0
    media_type: str = "application/json"
    code: grpc.StatusCode = grpc.StatusCode.OK


@dataclass(slots=True)
class FakeServer:
    """Answers request number n of either transport with `script(n)`, and keeps the requests.

    The script may look at the request, which is the last one in `heads` and `bodies`.
    message, reply: the good answers of `Segment` and of `ModelInfer`, serialised.
    """

    script: Callable[[int], Reply] = lambda _: Reply(body=GOOD_JSON)
    port: int = 0
    grpc_port: int = 0
    arrivals: list[float] = field(default_factory=list)
    heads: MutableSequence[bytes] = field(default_factory=list)
    bodies: MutableSequence[bytes] = field(default_factory=list)
    connections: set[asyncio.StreamWriter] = field(default_factory=set)
    message: bytes = GOOD_MESSAGE
    reply: bytes = GOOD_REPLY

    async def serve(self, ready: Callable[[], object], stop: asyncio.Event) -> None:
        """Serves until `stop` is set; calls `ready` when the ports are known; port 0 means a free one."""
        rest = await asyncio.start_server(self._answer_rest, "127.0.0.1", self.port)
        self.port = rest.sockets[0].getsockname()[1]
        rpc = grpc.aio.server(
            options=(("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", 64 << 20))
        )
        rpc.add_generic_rpc_handlers((_Handler(self),))
        self.grpc_port = rpc.add_insecure_port(f"127.0.0.1:{self.grpc_port}")
        await rpc.start()
        ready()
        await stop.wait()
        rest.close()
        for writer in self.connections:
            writer.transport.abort()
        await rpc.stop(None)

    async def next_reply(self, head: bytes, body: bytes) -> Reply:
        self.arrivals.append(time.perf_counter())
        self.heads.append(head)
        self.bodies.append(body)
        reply = self.script(len(self.arrivals) - 1)
        if reply.delay:
            await asyncio.sleep(reply.delay)
        return reply

    async def _answer_rest(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                reply = await self.next_reply(head, await reader.readexactly(_read_length(head)))
                if not reply.status:
                    break
                writer.write(_write_response(reply))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.connections.discard(writer)
            writer.transport.abort()


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, server: FakeServer) -> None:
        self._server = server

    def service(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes] | None":
        if details.method == _SEGMENT:
            return grpc.unary_unary_rpc_method_handler(self._answer)
        if details.method == _INFER:
            return grpc.unary_unary_rpc_method_handler(self._infer)
        if details.method == _STREAM:
            return grpc.stream_stream_rpc_method_handler(self._answer_frames)
        return None

    async def _answer(self, request: bytes, context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
        reply = await self._server.next_reply(b"", request)
        if reply.code != grpc.StatusCode.OK:
            await context.abort(reply.code, reply.body.decode())
        return self._server.message

    async def _infer(self, request: bytes, context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
        await self._answer(request, context)
        return self._server.reply

    async def _answer_frames(
        self, frames: AsyncIterator[bytes], context: "grpc.aio.ServicerContext[bytes, bytes]"
    ) -> AsyncIterator[bytes]:
        """Results of all frames in order; a code other than OK is the frame's error, status 0 breaks off."""
        async for content in frames:
            frame = messages.Frame.FromString(content)
            reply = await self._server.next_reply(frame.options.SerializeToString(), frame.image)
            if not reply.status:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "going away")
            result = messages.FrameResult(frame_id=frame.frame_id, capture_time_us=frame.capture_time_us)
            if reply.code == grpc.StatusCode.OK:
                result.response.MergeFromString(self._server.message)
            else:
                result.error.code, result.error.message = reply.code.value[0], reply.body.decode()
            yield result.SerializeToString()


@contextmanager
def running(server: FakeServer) -> Iterator[FakeServer]:
    """The server, in another thread while the block runs."""
    ready, stop, loop = threading.Event(), asyncio.Event(), asyncio.new_event_loop()

    def serve() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(server.serve(ready.set, stop))

    thread = threading.Thread(target=serve)
    thread.start()
    ready.wait()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


def _read_length(head: bytes) -> int:
    fields = (line.partition(b":") for line in head.lower().split(b"\r\n"))
    return next((int(value) for name, _, value in fields if name == b"content-length"), 0)


def _write_response(reply: Reply) -> bytes:
    timing = ", ".join(f"{name};dur={value}" for name, value in _STAGES.items())
    head = (
        f"HTTP/1.1 {reply.status} x\r\nContent-Type: {reply.media_type}\r\n"
        f"Content-Length: {len(reply.body)}\r\nServer-Timing: {timing}\r\n"
        "\r\n"
    )
    return head.encode() + reply.body


class NullServer:
    """A fake server in another process, which answers every request with the same bytes."""

    def __init__(self, answer: bytes) -> None:
        """Raises CannotRun when it does not start."""
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve_bytes, args=(theirs, answer), daemon=True)
        self._process.start()
        theirs.close()
        try:
            self._ports: tuple[int, int] = self._connection.recv()
        except EOFError as error:
            raise CannotRun("the server that computes nothing did not start") from error

    def redirect(self, target: Target) -> Target:
        """The same target with this server's address."""
        port = self._ports[target.transport == "grpc"]
        return replace(target, host="127.0.0.1", port=port)

    def close(self) -> None:
        self._connection.close()
        self._process.join(timeout=_STOP_S)
        self._process.kill()


def _serve_bytes(connection: Connection, answer: bytes) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the load generator handles Ctrl-C
    good = Reply(body=answer)
    last = (deque[bytes](maxlen=1), deque[bytes](maxlen=1))  # a long load does not fill the memory
    server = FakeServer(lambda _: good, heads=last[0], bodies=last[1], message=answer, reply=answer)
    asyncio.run(_serve_until_closed(server, connection))


async def _serve_until_closed(server: FakeServer, connection: Connection) -> None:
    """Serves until the other end of the pipe is closed, by its owner or by the owner's end."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_reader(connection.fileno(), stop.set)
    await server.serve(lambda: connection.send((server.port, server.grpc_port)), stop)
