"""The output of events to a webhook: one signed POST for each event, tried again until it arrives."""

import base64
import hashlib
import hmac
import threading
import time
import urllib.request
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import Message
from http.client import HTTPException
from typing import IO
from urllib.error import HTTPError
from uuid import uuid4

import orjson

from service.camera.address import name_address, split_address
from service.camera.output import AnsweredFrame, Notice, Snapshot
from service.errors import InvalidOption
from service.events.report import Event, event_to_json

SCHEMES = ("http", "https")
QUEUE = 1000  # events that wait for a webhook that does not answer; the oldest are given up first
TIMEOUT_S = 10.0
FAREWELL_S = 10.0  # for the events that still wait at the end
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
AGAIN = (408, 425, 429)  # statuses below 500 that ask to come back


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event as it is sent; all tries have the same `id`, by which a receiver can tell them apart."""

    body: bytes
    id: str = field(default_factory=lambda: str(uuid4()))


@dataclass(frozen=True, slots=True)
class Hook:
    """A webhook's address, and the secret that signs what is sent; None: no signature."""

    url: str
    secret: str | None = None

    @property
    def name(self) -> str:
        """Host and path, without secrets."""
        return name_address(split_address(self.url))


def parse_hook(url: str, secret: str | None) -> Hook:
    """A webhook by "http[s]://host[:port]/path"; raises InvalidOption."""
    try:
        parts = split_address(url)
    except InvalidOption as error:
        raise InvalidOption(f"--out {error}") from error
    if not parts.hostname or parts.username is not None:
        raise InvalidOption(
            f"--out {parts.scheme}://...: expected {parts.scheme}://host[:port]/path without user and "
            "password; sign the events by --webhook-secret"
        )
    return Hook(url, secret)


def sign(body: bytes, secret: str, *, timestamp: str) -> str:
    """The signature of a body: HMAC-SHA256 of "timestamp.body", in hexadecimal digits.

    >>> sign(b"{}", "secret", timestamp="1")[:16]
    '1122767b193110cf'
    """
    return hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


class WebhookOutput:
    """Sends events in their order from a thread of its own, so that a slow receiver delays no camera.

    A receiver that cannot be reached, or answers 408, 425, 429 or 5xx, is tried again after 1, 2, 4, ... up
    to 60 seconds. Any other refusal drops the event. `report` is told of events that are lost.
    """

    def __init__(
        self,
        hook: Hook,
        camera: str,
        *,
        report: Callable[[str], None],
        first_wait_s: float = FIRST_WAIT_S,
        queue: int = QUEUE,
    ) -> None:
        self._hook, self._camera, self._report = hook, camera, report
        self._first_wait_s = first_wait_s
        self._most = queue
        self._waiting: deque[Delivery] = deque()
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._lost = 0
        self._opener = urllib.request.build_opener(_RefuseRedirects)
        self._thread = threading.Thread(target=self._send_all, name="webhook", daemon=True)
        self._thread.start()

    def tell(self, notice: Notice) -> None:
        for event in notice.report.events:
            snapshot = notice.snapshots.get(event.track_id) if event.kind == "gone" else None
            self._enqueue(Delivery(_write_body(self._camera, event, snapshot)))

    def write(self, answered: AnsweredFrame, *, fps: float) -> None:
        pass

    def pause(self) -> None:
        pass

    def close(self) -> None:
        """Send what still waits, for a few seconds; report what is lost."""
        self._closing.set()
        with self._changed:
            self._changed.notify()
        self._thread.join(FAREWELL_S)
        lost = self._lost + len(self._waiting)
        if lost:
            self._report(f"webhook {self._hook.name}: {lost} events were not delivered")

    def _enqueue(self, delivery: Delivery) -> None:
        with self._changed:
            if len(self._waiting) >= self._most:
                self._waiting.popleft()
                self._lost += 1
            self._waiting.append(delivery)
            self._changed.notify()

    def _send_all(self) -> None:
        wait_s = self._first_wait_s
        while (delivery := self._next()) is not None:
            fault, again = self._send(delivery)
            if fault and again and not self._closing.is_set():
                if wait_s == self._first_wait_s:
                    self._report(f"webhook {self._hook.name}: {fault}; trying again")
                self._closing.wait(wait_s)
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)
                continue
            wait_s = self._first_wait_s
            if fault and not again:
                self._report(f"webhook {self._hook.name}: {fault}; the event is dropped")
            self._remove(delivery, lost=fault is not None)

    def _next(self) -> Delivery | None:
        """The oldest event, which stays in the queue until it is sent; None at the end."""
        with self._changed:
            while not self._waiting and not self._closing.is_set():
                self._changed.wait()
            return self._waiting[0] if self._waiting else None

    def _remove(self, delivery: Delivery, *, lost: bool) -> None:
        with self._changed:
            if self._waiting and self._waiting[0] is delivery:
                self._waiting.popleft()
                self._lost += lost
            elif not lost:  # the full queue gave it up while it was on its way
                self._lost -= 1

    def _send(self, delivery: Delivery) -> tuple[str | None, bool]:
        """The reason why the event did not arrive, None if it did, and whether another try may help."""
        request = urllib.request.Request(self._hook.url, delivery.body, sign_headers(self._hook, delivery))
        try:
            self._opener.open(request, timeout=TIMEOUT_S).close()
        except HTTPError as error:
            error.close()
            return f"it answers {error.code}", error.code >= 500 or error.code in AGAIN
        except (OSError, HTTPException) as error:
            return f"it does not answer ({getattr(error, 'reason', error)})", True
        return None, False


class _RefuseRedirects(urllib.request.HTTPRedirectHandler):
    """Sends a signed event to nobody but the address that was given."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Message,
        newurl: str,
    ) -> None:
        return None


def _write_body(camera: str, event: Event, snapshot: Snapshot | None) -> bytes:
    content = {"camera": camera, **event_to_json(event)}
    if snapshot is not None:
        pictures = {"drawn": snapshot.drawn, "crop": snapshot.crop}
        content["snapshot"] = {name: base64.b64encode(jpeg).decode() for name, jpeg in pictures.items()}
    return orjson.dumps(content)


def sign_headers(hook: Hook, delivery: Delivery) -> dict[str, str]:
    """The headers of one try: its time, and the signature where the webhook has a secret."""
    timestamp = str(int(time.time()))
    headers = {
        "Content-Type": "application/json",
        "X-BlitzMask-Delivery": delivery.id,
        "X-BlitzMask-Timestamp": timestamp,
    }
    if hook.secret is not None:
        headers["X-BlitzMask-Signature"] = "sha256=" + sign(delivery.body, hook.secret, timestamp=timestamp)
    return headers
