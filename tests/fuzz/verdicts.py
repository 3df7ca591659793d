"""The verdict on an answer: the server may accept or refuse any request, and must never fail."""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import grpc
from websockets.exceptions import ConnectionClosed, InvalidMessage
from websockets.sync.client import connect

from tests.fuzz.calls import Call
from tests.fuzz.requests import Case
from tests.fuzz.wire import PATIENCE_S, Reply, Wire

FAULTS = {
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.DATA_LOSS,
    grpc.StatusCode.UNAVAILABLE,
}
CLOSED_WELL = {1000, 1003, 1007, 1008, 1009, 1013}  # ended, or what the client can mend


@dataclass
class Prober:
    """Sends requests to one server, and counts its answers."""

    http_port: int
    grpc_port: int
    said: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._wire = Wire(self.http_port)
        channel = grpc.insecure_channel(f"127.0.0.1:{self.grpc_port}")
        self._channel: Any = channel  # whose types do not know calls of bytes

    def close(self) -> None:
        self._wire.close()
        self._channel.close()

    def ask(self, case: Case) -> None:
        """A sound request is answered, and its refusal is a problem that can be read."""
        reply = self._wire.ask(case.encode())
        self.said[f"http {reply.status}"] += 1
        assert reply.status, "no answer to a sound request"
        check_status(reply.status, hurried=case.hurried)
        assert reply.headers.get("x-request-id"), "an answer without a request's id"
        if reply.status >= 400 and case.method != "HEAD":
            check_problem(reply)

    def shout(self, noise: bytes) -> None:
        """Noise is refused, or the connection closed; never a fault, and never silence."""
        reply = self._wire.ask(noise, ends=True)
        self.said[f"noise {reply.status}"] += 1
        check_status(reply.status, hurried=b"x-request-timeout" in noise.lower())

    def call(self, call: Call) -> None:
        """A call ends with a status that tells the caller what to do."""
        code = self._end_of(call)
        self.said[f"grpc {code.name}"] += 1
        assert code not in FAULTS, code
        if code == grpc.StatusCode.DEADLINE_EXCEEDED:
            assert call.hurried is not None

    def stream(self, session: tuple[str | bytes, ...]) -> None:
        """A live stream is closed with a code that says why."""
        code = self._play(session)
        self.said[f"live {code}"] += 1
        assert code in CLOSED_WELL, code

    def _end_of(self, call: Call) -> grpc.StatusCode:
        timeout = call.hurried or PATIENCE_S
        try:
            if call.streams:
                stream = self._channel.stream_stream(call.method)
                for _ in stream(iter(call.messages), timeout=timeout, metadata=call.metadata):
                    pass
            else:
                self._channel.unary_unary(call.method)(
                    call.messages[0], timeout=timeout, metadata=call.metadata
                )
        except grpc.RpcError as error:
            code: grpc.StatusCode = error.code()
            return code
        return grpc.StatusCode.OK

    def _play(self, session: tuple[str | bytes, ...]) -> int:
        try:
            with connect(f"ws://127.0.0.1:{self.http_port}/v1/live", compression=None) as live:
                try:
                    for message in session:
                        live.send(message)
                    while True:
                        live.recv(PATIENCE_S)
                except ConnectionClosed as end:
                    return end.rcvd.code if end.rcvd else 1006
        except InvalidMessage:
            return 1006


def check_status(status: int, *, hurried: bool) -> None:
    """Raises AssertionError for a fault of the server: 5xx but "not now", and 504 to who set no deadline."""
    assert status < 500 or status == 503 or (status == 504 and hurried), f"status {status}"


def check_problem(reply: Reply) -> None:
    assert reply.headers["content-type"] == "application/problem+json", reply
    problem = json.loads(reply.body)
    assert problem["status"] == reply.status
    assert "Traceback" not in problem["detail"]
