"""A server that computes nothing: answers at once, late, wrongly or never, as its script says.

The tests run against it, and so does whoever wants to know what the load test itself can do at most:
`python -m loadtest.fake 8000 8001`, then a closed loop with `--floor none`. It prints its ports once it
listens; 0 means a free one.
"""

import argparse
import asyncio
import json
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, MutableSequence, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc
import grpc.aio

from service.rpc.generated import grpc_predict_v2_pb2 as oip
from service.rpc.generated import segmentation_pb2 as messages

_STAGES = {"queue": 0.5, "decode": 1.5, "infer": 9.0, "total": 10.5}
_SEGMENT = "/blitzmask.v1.SegmentationService/Segment"
_STREAM = "/blitzmask.v1.SegmentationService/SegmentStream"
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
    """What to do with a request: wait, then answer with this status and body; status 0 hangs up."""

    status: int = 200
    body: bytes = b""
    delay: float = 0.0
    media_type: str = "application/json"
    code: grpc.StatusCode = grpc.StatusCode.OK


@dataclass(slots=True)
class FakeServer:
    """Answers request number n over either transport as `script(n)` says, and keeps what it was sent.

    The script may look at the request, which is the last one kept.
    """

    script: Callable[[int], Reply] = lambda _: Reply(body=GOOD_JSON)
    port: int = 0
    grpc_port: int = 0
    arrivals: list[float] = field(default_factory=list)
    heads: MutableSequence[bytes] = field(default_factory=list)
    bodies: MutableSequence[bytes] = field(default_factory=list)
    connections: set[asyncio.StreamWriter] = field(default_factory=set)

    async def serve(self, ready: Callable[[], object], stop: asyncio.Event) -> None:
        """Until `stop` is set; the ports are known when `ready` is called, and 0 means a free one."""
        rest = await asyncio.start_server(self._answer_rest, "127.0.0.1", self.port)
        self.port = rest.sockets[0].getsockname()[1]
        rpc = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
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
        return GOOD_MESSAGE

    async def _infer(self, request: bytes, context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
        await self._answer(request, context)
        return GOOD_REPLY

    async def _answer_frames(
        self, frames: AsyncIterator[bytes], context: "grpc.aio.ServicerContext[bytes, bytes]"
    ) -> AsyncIterator[bytes]:
        """Every frame in order, a status other than OK as the frame's error; status 0 ends the stream."""
        async for content in frames:
            frame = messages.Frame.FromString(content)
            reply = await self._server.next_reply(frame.options.SerializeToString(), frame.image)
            if not reply.status:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "going away")
            result = messages.FrameResult(frame_id=frame.frame_id, capture_time_us=frame.capture_time_us)
            if reply.code == grpc.StatusCode.OK:
                result.response.MergeFromString(GOOD_MESSAGE)
            else:
                result.error.code, result.error.message = reply.code.value[0], reply.body.decode()
            yield result.SerializeToString()


@contextmanager
def running(server: FakeServer) -> Iterator[FakeServer]:
    """The server, in a thread of its own while the block runs."""
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
        "Connection: keep-alive\r\n\r\n"  # which goes without saying, but not to ab, of HTTP/1.0
    )
    return head.encode() + reply.body


def read_ports(words: Sequence[str] | None = None) -> tuple[int, int]:
    """HTTP's and gRPC's, of the command line."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.fake", description=__doc__)
    parser.add_argument("http_port", type=int, nargs="?", default=0, help="(default: a free one)")
    parser.add_argument("grpc_port", type=int, nargs="?", default=0, help="(default: a free one)")
    asked = parser.parse_args(words)
    return asked.http_port, asked.grpc_port


async def _serve_forever(http_port: int, grpc_port: int) -> None:
    last = (deque[bytes](maxlen=1), deque[bytes](maxlen=1))  # a load is more than a memory holds
    server = FakeServer(port=http_port, grpc_port=grpc_port, heads=last[0], bodies=last[1])
    await server.serve(lambda: print(server.port, server.grpc_port, flush=True), asyncio.Event())


if __name__ == "__main__":
    asyncio.run(_serve_forever(*read_ports()))
