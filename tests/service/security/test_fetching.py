"""Pictures by URL: only from listed hosts with allowed addresses, without redirects, within bounds."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from typing import Any

import pytest

from service.errors import DeadlineExceeded, ImageTooLarge, InvalidImage, InvalidOption
from service.security import fetching
from service.security.fetching import Fetcher, Host, parse_host

LOOPBACK = ip_network("127.0.0.0/8")


class Pictures(BaseHTTPRequestHandler):
    """Answers by the path.

    "/never" waits until the caller has gone; "/drip" sends a head, and "/endless" a body without a length,
    a byte now and then.
    """

    def do_GET(self) -> None:
        if self.path in ("/drip", "/endless"):
            if self.path == "/endless":
                self.send_response(200)
                self.end_headers()
            with contextlib.suppress(OSError):  # the caller has gone
                while True:
                    self.wfile.write(b"H")
                    time.sleep(0.02)
        if self.path == "/never":
            self.rfile.read(1)
            return
        moved = self.path == "/moved"
        self.send_response(302 if moved else 200)
        if moved:
            self.send_header("Location", "/cat.jpg")
        content = self.headers["Host"].encode() if self.path == "/host" else b"x" * 1000
        self.send_header("Content-Length", str(len(content) + (self.path == "/short")))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Nothing is logged."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Pictures) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture
def fetcher(port: int) -> Fetcher:
    return Fetcher((Host("127.0.0.1", port, LOOPBACK), Host("pictures.example")), 1000)


def test_a_picture_of_a_listed_host_is_fetched(fetcher: Fetcher, port: int) -> None:
    assert fetcher.fetch(f"http://127.0.0.1:{port}/cat.jpg?size=1") == b"x" * 1000
    assert fetcher.fetch(f"http://127.0.0.1:{port}/host") == f"127.0.0.1:{port}".encode()


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/cat.jpg",
        "http://other.example/cat.jpg",
        "https://pictures.example:8443/cat.jpg",
        "http://pictures.example.other.example/",
        "http://pictures.example@other.example/",
        "http://user:word@pictures.example/",
        "http://pictures.example\\@other.example/",
        "http://pictures.example/a b",
        "http://pictures.example/\r\nHost: other",
        "http://pictures.example:99999/",
        "file:///etc/passwd",
        "ftp://pictures.example/",
        "//pictures.example/",
        "",
    ],
)
def test_what_is_not_listed_is_refused_before_any_look_up(
    fetcher: Fetcher, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", None)
    with pytest.raises(InvalidOption):
        fetcher.fetch(url)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "fe80::1", "::ffff:10.0.0.1", "224.0.0.1"]
)
def test_a_public_name_with_a_private_address_is_refused(
    fetcher: Fetcher, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up = []

    def look_up(host: str, port: int, **_: object) -> list[Any]:
        looked_up.append(host)
        return [(0, 0, 0, "", ("93.184.215.14", port)), (0, 0, 0, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(socket, "create_connection", None)
    with pytest.raises(InvalidOption, match="not public"):
        fetcher.fetch("http://pictures.example/cat.jpg")
    assert looked_up == ["pictures.example"]


def test_the_connection_goes_to_the_address_that_was_checked(
    fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    connected = []

    def connect(place: tuple[str, int], timeout: float) -> socket.socket:
        connected.append(place)
        raise ConnectionRefusedError

    answers = [(0, 0, 0, "", ("93.184.215.14", 80))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)
    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(InvalidImage, match="cannot be reached"):
        fetcher.fetch("http://pictures.example/cat.jpg")
    assert connected == [("93.184.215.14", 80)]


@pytest.mark.parametrize(
    ("path", "reason"), [("/moved", "redirects are not followed"), ("/short", "cut off")]
)
def test_what_is_no_whole_picture_is_refused(fetcher: Fetcher, port: int, path: str, reason: str) -> None:
    with pytest.raises(InvalidImage, match=reason):
        fetcher.fetch(f"http://127.0.0.1:{port}{path}")


def test_one_that_is_too_large_is_refused(port: int) -> None:
    small = Fetcher((Host("127.0.0.1", port, LOOPBACK),), 999)
    with pytest.raises(ImageTooLarge, match="999"):
        small.fetch(f"http://127.0.0.1:{port}/cat.jpg")


@pytest.mark.parametrize("path", ["/never", "/drip", "/endless"])
def test_a_host_that_takes_too_long_is_given_up_at_the_deadline(
    fetcher: Fetcher, port: int, path: str
) -> None:
    with pytest.raises(DeadlineExceeded):
        fetcher.fetch(f"http://127.0.0.1:{port}{path}", deadline=time.monotonic() + 0.3)


def test_a_deadline_that_has_passed_fetches_nothing(fetcher: Fetcher, port: int) -> None:
    with pytest.raises((DeadlineExceeded, InvalidImage)):
        fetcher.fetch(f"http://127.0.0.1:{port}/cat.jpg", deadline=time.monotonic() - 1)


@pytest.mark.parametrize(
    "entry", ["a b", "host:0", "host:70000", "host=", "host=10.0.0.300", "https://host", "*"]
)
def test_an_entry_that_is_no_host_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match="expected HOST"):
        parse_host(entry)


def test_nothing_is_fetched_unless_hosts_are_listed() -> None:
    with pytest.raises(InvalidOption, match="fetches no pictures"):
        Fetcher().fetch("https://pictures.example/cat.jpg")
    assert fetching.parse_host("Pictures.Example") == Host("pictures.example")
