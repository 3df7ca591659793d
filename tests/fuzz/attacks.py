"""The ways to send a hostile input as a client would; the answers are in the words of the service's counters.

"rest InvalidImage" is the outcome of a request, "rejected NotHttp" the reason of a refusal without one.
"""

import http.client
import json
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import grpc
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.fuzz.wire import PATIENCE_S

Build: TypeAlias = Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Door:
    """The ports of a service on this machine."""

    http_port: int
    grpc_port: int


Attack: TypeAlias = Callable[[Door], Counter[str]]


def post(path: str, media: bytes, build: Build, coding: str | None = None) -> Attack:
    """A POST with this body; `coding`: its Content-Encoding."""
    headers = {"Content-Type": media.decode()} | ({} if coding is None else {"Content-Encoding": coding})
    body = lru_cache(1)(build)

    def send(door: Door) -> Counter[str]:
        connection = http.client.HTTPConnection("127.0.0.1", door.http_port, timeout=PATIENCE_S)
        try:
            connection.request("POST", path, body(), headers)
            answer = connection.getresponse()
            return Counter([f"rest {name_outcome(answer.status, answer.read())}"])
        except ConnectionError:  # the service hung up on the rest of the body, and its answer is lost
            return Counter(["lost"])
        finally:
            connection.close()

    return send


def write(build: Build, *expected: str) -> Attack:
    """Bytes on a connection of their own; the attack is over when the service has closed it."""
    data = lru_cache(1)(build)

    def send(door: Door) -> Counter[str]:
        with socket.create_connection(("127.0.0.1", door.http_port), timeout=PATIENCE_S) as connection:
            try:
                connection.sendall(data())
                while connection.recv(65_536):
                    pass
            except ConnectionError:
                pass
        return Counter(expected)

    return send


def hold(count: int, data: bytes, *expected: str) -> Attack:
    """So many connections that begin a request, wait for a second, and hang up."""

    def send(door: Door) -> Counter[str]:
        held = [socket.create_connection(("127.0.0.1", door.http_port)) for _ in range(count)]
        for connection in held:
            connection.sendall(data)
        time.sleep(1)
        for connection in held:
            connection.close()
        return Counter(list(expected) * count)

    return send


def call(method: str, build: Build, packed: grpc.Compression = grpc.Compression.NoCompression) -> Attack:
    """A unary call with this message."""
    message = lru_cache(1)(build)

    def send(door: Door) -> Counter[str]:
        with _open_channel(door) as channel:
            try:
                channel.unary_unary(method)(message(), timeout=PATIENCE_S, compression=packed)
            except grpc.RpcError as error:
                return Counter([f"grpc {name_error(error)}"])
        return Counter(["grpc ok"])

    return send


def open_streams(count: int, method: str) -> Attack:
    """So many streams that send nothing, until the service ends them."""

    def send(door: Door) -> Counter[str]:
        with _open_channel(door) as channel:
            streams = [channel.stream_stream(method)(_wait()) for _ in range(count)]
            return Counter(f"grpc {name_error(stream.exception())}" for stream in streams)

    return send


def say(build: Callable[[], Iterable[str | bytes]], *expected: str) -> Attack:
    """Messages on a live stream, until the service closes it."""

    def send(door: Door) -> Counter[str]:
        with connect(f"ws://127.0.0.1:{door.http_port}/v1/live", compression=None) as live:
            try:
                for message in build():
                    live.send(message)
                while True:
                    live.recv(PATIENCE_S)
            except ConnectionClosed:
                return Counter(expected)

    return send


def name_outcome(status: int, body: bytes) -> str:
    """The outcome that the service counts for a REST answer."""
    if status == 200:
        return "ok"
    kind: str = json.loads(body)["type"]
    return f"http_{status}" if kind == "about:blank" else kind.rpartition(":")[2]


def name_error(error: grpc.RpcError) -> str:
    """The outcome that the service counts for a call.

    What unpacks to too much, gRPC itself refuses; the service counts a call without a message.
    """
    failed: Any = error
    name = dict(failed.trailing_metadata() or ()).get("x-error")
    if name is None and failed.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return "InvalidOption"
    return str(name or f"status {failed.code().name}")


def _open_channel(door: Door) -> Any:
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)]
    return grpc.insecure_channel(f"127.0.0.1:{door.grpc_port}", options=options)


def _wait() -> Iterable[bytes]:
    """Messages that do not come within the patience of anybody."""
    time.sleep(PATIENCE_S)
    yield b""
