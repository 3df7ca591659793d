"""What a request costs the side that makes the load: python -m loadtest.generators.

CPU milliseconds per request over one connection, for the clients of this load test and for libraries in their
place, against a server that computes nothing, in a process of its own.
"""

import argparse
import contextlib
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from statistics import median
from types import MappingProxyType
from typing import TypeAlias

import grpc
import httpx
import uvloop

from loadtest.clients import OK, Client, Photo, open_client
from loadtest.targets import Target
from service.rpc.generated import segmentation_pb2 as messages
from service.rpc.generated import segmentation_pb2_grpc as stubs

Send: TypeAlias = Callable[[bytes], Awaitable[object]]
Open: TypeAlias = Callable[[tuple[int, int]], contextlib.AbstractAsyncContextManager[Send]]

_HOST = "127.0.0.1"
_SIZES = (1_000, 150_000)  # bytes of a photo
_WARM, _COUNT, _ROUNDS = 50, 300, 5


@contextlib.asynccontextmanager
async def open_rest(ports: tuple[int, int]) -> AsyncIterator[Send]:
    """The load test's own."""
    async with _opened(open_client(Target("rest", _HOST, ports[0]))) as send:
        yield send


@contextlib.asynccontextmanager
async def open_httpx(ports: tuple[int, int]) -> AsyncIterator[Send]:
    async with httpx.AsyncClient() as client:
        url = f"http://{_HOST}:{ports[0]}/v1/segment"
        yield lambda data: client.post(url, content=data)


@contextlib.asynccontextmanager
async def open_rpc(ports: tuple[int, int]) -> AsyncIterator[Send]:
    """The load test's own, which is grpcio's for asyncio."""
    async with _opened(open_client(Target("grpc", _HOST, ports[1]))) as send:
        yield send


@contextlib.asynccontextmanager
async def open_grpc(ports: tuple[int, int]) -> AsyncIterator[Send]:
    """The waiting calls, of one thread."""
    with grpc.insecure_channel(f"{_HOST}:{ports[1]}") as channel:
        stub = stubs.SegmentationServiceStub(channel)  # type: ignore[no-untyped-call]  # protoc's

        async def send(data: bytes) -> object:
            return stub.Segment(messages.SegmentRequest(image=data), timeout=30)

        yield send


CLIENTS: Mapping[str, Open] = MappingProxyType(
    {
        "REST, this load test": open_rest,
        f"REST, httpx {httpx.__version__}": open_httpx,
        "gRPC, this load test": open_rpc,
        f"gRPC, grpcio {grpc.__version__}, threads": open_grpc,
    }
)


async def measure(send: Send, data: bytes) -> float:
    """CPU milliseconds of this process per request; the median of a few rounds."""
    for _ in range(_WARM):
        await send(data)
    spent = []
    for _ in range(_ROUNDS):
        before = time.process_time()
        for _ in range(_COUNT):
            await send(data)
        spent.append((time.process_time() - before) / _COUNT * 1e3)
    return median(spent)


@contextlib.contextmanager
def serving() -> Iterator[tuple[int, int]]:
    """The ports of the server that computes nothing: HTTP's and gRPC's."""
    command = (sys.executable, "-m", "loadtest.fake", "0", "0")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            http_port, grpc_port = map(int, server.stdout.readline().split())
            yield http_port, grpc_port
        finally:
            server.kill()


async def main() -> None:
    """Print the table, as Markdown."""
    print("| client |", *(f"{size / 1000:g} kB photo |" for size in _SIZES))
    print("|---|" + "---|" * len(_SIZES))
    with serving() as ports:
        for name, open_one in CLIENTS.items():
            async with open_one(ports) as send:
                costs = [await measure(send, bytes(size)) for size in _SIZES]
            print(f"| {name} |", *(f"{cost:.2f} ms |" for cost in costs), flush=True)


@contextlib.asynccontextmanager
async def _opened(client: Client) -> AsyncIterator[Send]:
    async def send(data: bytes) -> object:
        answer = await client.send(Photo("", "image/jpeg", data))
        if answer.kind != OK:
            raise ConnectionError(f"{answer.kind}: {answer.body!r}")
        return answer

    try:
        yield send
    finally:
        await client.close()


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m loadtest.generators", description=__doc__).parse_args()
    uvloop.run(main())
