"""SIGTERM, SIGINT and SIGHUP: not ready, drain, exit 0, and nothing in flight is lost."""

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator

import grpc
import httpx
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from service.rpc.generated import segmentation_pb2 as pb
from service.rpc.generated import segmentation_pb2_grpc as pb_grpc
from tests.e2e.serving.conftest import Serve, Service
from tests.running import PATIENCE_S

PNG = {"content-type": "image/png"}


class Client(threading.Thread):
    """Asks in a closed loop until the service is gone; `lost` are the requests it never heard of again."""

    def __init__(self, service: Service, image: bytes) -> None:
        super().__init__()
        self.service = service
        self.image = image
        self.answered: set[str] = set()
        self.lost = list[str]()


class RestClient(Client):
    """Over one kept-alive connection, and a new one when it is told to close that."""

    def run(self) -> None:
        port = self.service.http_port
        with contextlib.suppress(ConnectionRefusedError):
            while True:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
                connection.connect()
                self._ask(connection)
                connection.close()

    def _ask(self, connection: http.client.HTTPConnection) -> None:
        closing = False
        while not closing:
            try:
                connection.request("POST", "/v1/segment", self.image, PNG)
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(repr(error))
                return
            self.answered.add(answer.headers["x-request-id"])
            closing = answer.headers["connection"] == "close"


class RpcClient(Client):
    """Over one channel; a call that is told UNAVAILABLE was not begun."""

    def run(self) -> None:
        with grpc.insecure_channel(self.service.target) as channel:
            stub = pb_grpc.SegmentationServiceStub(channel)  # type: ignore[no-untyped-call]  # protoc's
            request = pb.SegmentRequest(image=self.image)
            while True:
                try:
                    _, call = stub.Segment.with_call(request, timeout=PATIENCE_S)
                except grpc.RpcError as error:
                    if error.code() != grpc.StatusCode.UNAVAILABLE:
                        self.lost.append(repr(error))
                    return
                self.answered.add(dict(call.trailing_metadata())["x-request-id"])


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_under_load_every_request_that_was_begun_is_answered(
    serve: Serve, rose: bytes, number: signal.Signals
) -> None:
    service = serve()
    service.wait_for("ready")
    clients = [kind(service, rose) for kind in (RestClient, RpcClient) for _ in range(4)]
    for client in clients:
        client.start()
    wait_until(lambda: min(len(client.answered) for client in clients) >= 5)
    children = psutil.Process(service.process.pid).children(recursive=True)
    for pid in (*(child.pid for child in children), service.process.pid):
        os.kill(pid, number)  # as a terminal does, which signals the whole process group
    assert service.process.wait(PATIENCE_S) == 0
    for client in clients:
        client.join(PATIENCE_S)
    assert [client.lost for client in clients] == [[]] * 8
    done = {line["request_id"] for line in service.lines("request") if line["outcome"] == "ok"}
    assert done == set().union(*(client.answered for client in clients))
    assert {line["outcome"] for line in service.lines("request")} <= {"ok", "NotReady"}


def count_taken(service: Service) -> float:
    """Requests at work or in the queue."""
    found = re.findall(
        r"^blitzmask_(?:slots_busy|queue_length) ([\d.]+)$",
        httpx.get(f"{service.url}/metrics", timeout=PATIENCE_S).text,
        re.MULTILINE,
    )
    return sum(map(float, found))


def test_a_long_request_is_finished_while_readiness_is_gone(serve: Serve, large_photo: bytes) -> None:
    service = serve(STOP_DELAY_S=8, SLOTS=1, QUEUE_S=60)
    service.wait_for("ready")
    answers = list[httpx.Response]()
    stopping = threading.Event()

    def post() -> None:
        headers = {"content-type": "image/jpeg"}
        while not stopping.is_set():
            answers.append(
                httpx.post(
                    f"{service.url}/v1/segment?exact=true",
                    content=large_photo,
                    headers=headers,
                    timeout=PATIENCE_S,
                )
            )

    # They ask again and again: on a busy machine the first is answered before the last has asked.
    threads = [threading.Thread(target=post) for _ in range(6)]
    for thread in threads:
        thread.start()
    wait_until(lambda: count_taken(service) >= 2)
    service.process.terminate()
    service.wait_for("stopping")
    stopping.set()
    assert httpx.get(f"{service.url}/readyz", timeout=PATIENCE_S).status_code == 503
    assert httpx.get(f"{service.url}/healthz", timeout=PATIENCE_S).status_code == 200
    assert service.process.wait(PATIENCE_S) == 0
    for thread in threads:
        thread.join(PATIENCE_S)
    assert len(answers) >= 6
    assert {answer.status_code for answer in answers} == {200}


def test_a_second_signal_does_not_wait(serve: Serve) -> None:
    service = serve(TIMEOUT_S=600, DRAIN_S=600, HEAD_S=600)
    service.wait_for("ready")
    with socket.create_connection(("127.0.0.1", service.http_port)) as stalled:
        stalled.sendall(b"POST /v1/segment HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf")
        # Once this request is answered, the first one has been read.
        assert httpx.get(f"{service.url}/healthz", timeout=PATIENCE_S).status_code == 200
        service.process.terminate()
        service.wait_for("stopping")
        with pytest.raises(subprocess.TimeoutExpired):
            service.process.wait(2)
        service.process.terminate()
        assert service.process.wait(PATIENCE_S) == 1
    assert service.lines("forced to stop")


def test_a_stop_while_models_load_is_a_clean_one(serve: Serve) -> None:
    service = serve()
    service.wait_for("listening")
    assert service.stop() == 0


def test_an_idle_stream_and_a_watcher_do_not_hold_up_the_stop(serve: Serve, rose: bytes) -> None:
    service = serve(DRAIN_S=600)
    service.wait_for("ready")
    go_on = threading.Event()

    def frames() -> Iterator[pb.Frame]:
        yield pb.Frame(frame_id=1, image=rose)
        go_on.wait(PATIENCE_S)

    with grpc.insecure_channel(service.target) as channel:
        stub = pb_grpc.SegmentationServiceStub(channel)  # type: ignore[no-untyped-call]  # protoc's
        results = stub.SegmentStream(frames())
        assert next(results).frame_id == 1
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        assert service.stop() == 0
        with pytest.raises(grpc.RpcError):
            next(results)
        go_on.set()
