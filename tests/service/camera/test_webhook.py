"""The webhook and a real HTTP server that refuses, redirects, and counts."""

import base64
import hashlib
import hmac
import json
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from service.camera.output import Notice, Snapshot
from service.camera.webhook import Hook, WebhookOutput, parse_hook
from service.errors import InvalidOption
from service.events.report import Event, Report
from tests.running import PATIENCE_S, free_port


@dataclass
class Receiver:
    """Answers each request with the next of `statuses`, 204 after the last; keeps body and headers."""

    statuses: list[int] = field(default_factory=list)
    received: queue.Queue[tuple[bytes, Message]] = field(default_factory=queue.Queue)
    open: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def next(self) -> tuple[bytes, Message]:
        return self.received.get(timeout=PATIENCE_S)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    receiver.open.set()

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.received.put((body, self.headers))
            receiver.open.wait(PATIENCE_S)
            self.send_response(receiver.statuses.pop(0) if receiver.statuses else 204)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_request(self, code: object = "-", size: object = "-") -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield receiver
    receiver.open.set()
    server.shutdown()
    thread.join()
    server.server_close()


def notice(*track_ids: int, snapshot: Snapshot | None = None) -> Notice:
    events = tuple(Event("gone", 2.0, number, "cat", 0.5, (1, 2, 3, 4), seconds=1.0) for number in track_ids)
    return Notice(Report(events, (), ()), {} if snapshot is None else dict.fromkeys(track_ids, snapshot))


def identify(body: bytes) -> int:
    number: int = json.loads(body)["track_id"]
    return number


def test_an_event_arrives_signed_with_its_pictures(receiver: Receiver) -> None:
    output = WebhookOutput(Hook(receiver.url, "secret"), "door", report=pytest.fail)
    output.tell(notice(7, snapshot=Snapshot(b"drawn", b"crop")))
    body, headers = receiver.next()
    output.close()
    content = json.loads(body)
    assert (content["camera"], content["event"], content["track_id"]) == ("door", "gone", 7)
    assert base64.b64decode(content["snapshot"]["crop"]) == b"crop"
    signed = f"{headers['X-BlitzMask-Timestamp']}.".encode() + body
    expected = hmac.new(b"secret", signed, hashlib.sha256).hexdigest()
    assert headers["X-BlitzMask-Signature"] == f"sha256={expected}"


def test_without_a_secret_nothing_is_signed(receiver: Receiver) -> None:
    output = WebhookOutput(Hook(receiver.url), "door", report=pytest.fail)
    output.tell(notice(7))
    assert receiver.next()[1]["X-BlitzMask-Signature"] is None
    output.close()


def test_an_event_is_sent_until_it_arrives_in_its_order_and_under_one_id(receiver: Receiver) -> None:
    told: list[str] = []
    receiver.statuses += [503, 429, 500]
    output = WebhookOutput(Hook(receiver.url), "door", report=told.append, first_wait_s=0.001)
    output.tell(notice(1, 2))
    tries = [receiver.next() for _ in range(5)]
    output.close()
    assert [identify(body) for body, _ in tries] == [1, 1, 1, 1, 2]
    assert [len({headers["X-BlitzMask-Delivery"] for _, headers in some}) for some in (tries[:4], tries)] == [
        1,
        2,
    ]
    assert told == [f"webhook 127.0.0.1:{receiver.port}/hook: it answers 503; trying again"]


@pytest.mark.parametrize("status", [302, 400, 410])
def test_a_refusal_drops_the_event_and_a_redirect_is_one(receiver: Receiver, status: int) -> None:
    told: list[str] = []
    receiver.statuses += [status]
    output = WebhookOutput(Hook(receiver.url), "door", report=told.append)
    output.tell(notice(1, 2))
    assert [identify(receiver.next()[0]) for _ in range(2)] == [1, 2]
    output.close()
    assert [line.partition("hook: ")[2] for line in told] == [
        f"it answers {status}; the event is dropped",
        "1 events were not delivered",
    ]


def test_a_full_queue_gives_up_the_oldest_events(receiver: Receiver) -> None:
    told: list[str] = []
    receiver.open.clear()
    output = WebhookOutput(Hook(receiver.url), "door", report=told.append, queue=2)
    output.tell(notice(1))
    arrived = [identify(receiver.next()[0])]
    output.tell(notice(2, 3, 4, 5))
    receiver.open.set()
    arrived += [identify(receiver.next()[0]) for _ in range(2)]
    output.close()
    assert arrived == [1, 4, 5]
    assert told[-1].endswith("2 events were not delivered")


def test_an_end_without_a_receiver_reports_the_loss() -> None:
    told: list[str] = []
    output = WebhookOutput(Hook(f"http://127.0.0.1:{free_port()}/hook"), "door", report=told.append)
    output.tell(notice(1, 2))
    output.close()
    assert told[-1].endswith("2 events were not delivered")


@pytest.mark.parametrize("url", ["http://", "https:///path", "http://me:hunter2@host/hook"])
def test_an_address_that_cannot_be_used_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(InvalidOption, match="--webhook-secret") as caught:
        parse_hook(url, None)
    assert "hunter" not in str(caught.value)
