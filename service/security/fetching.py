"""Pictures that a caller names by a URL, fetched from the hosts that BLITZ_FETCH lists and nowhere else.

A server that fetches what strangers name can be made to reach machines that only it sees. So a host must be
on the list, its addresses are looked up once, all of them are checked, and the connection goes to one of the
checked addresses: a name that changes between the look-up and the connection gains nothing. No redirect is
followed, and no proxy is used.
"""

import ipaddress
import math
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import TypeAlias
from urllib.parse import SplitResult, urlsplit

from service.errors import DeadlineExceeded, ImageTooLarge, InvalidImage, InvalidOption, shorten

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

PATIENCE_S = 10.0  # for one picture, from the look-up of its host to its last byte
CHUNK = 65_536
PORTS = {"http": 80, "https": 443}
ENTRY = re.compile(
    r"(?P<host>[A-Za-z0-9._-]+|\[[0-9a-fA-F:.]+\])(:(?P<port>[0-9]{1,5}))?(=(?P<network>\S+))?", re.ASCII
)
ADVICE = "expected HOST, HOST:PORT, or with private addresses HOST=NETWORK, as nas.lan=192.168.1.0/24"


@dataclass(frozen=True, slots=True)
class Host:
    """A host from which pictures may come.

    port: the only one; None: that of the scheme. network: the private network its addresses are in; None:
    they have to be public.
    """

    name: str
    port: int | None = None
    network: Network | None = None

    def allows(self, address: Address) -> bool:
        """Whether the host may have this address."""
        if self.network is not None:
            return address in self.network
        return address.is_global and not address.is_multicast


def parse_host(text: str) -> Host:
    """The host of an entry of BLITZ_FETCH; raises ValueError, which says what is expected.

    >>> parse_host("nas.lan:8080=10.0.0.0/8")
    Host(name='nas.lan', port=8080, network=IPv4Network('10.0.0.0/8'))
    """
    found = ENTRY.fullmatch(text)
    if found is None or int(found["port"] or 1) not in range(1, 65_536):
        raise ValueError(f"{text!r} is no host: {ADVICE}")
    try:
        network = None if found["network"] is None else ipaddress.ip_network(found["network"])
    except ValueError as error:
        raise ValueError(f"{text!r} names no network: {ADVICE}") from error
    return Host(found["host"].lower().strip("[]"), int(found["port"]) if found["port"] else None, network)


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Fetches pictures of at most `most` bytes from `hosts`."""

    hosts: tuple[Host, ...] = ()
    most: int = 0

    def check(self, url: str) -> tuple[SplitResult, Host]:
        """The parts of a URL, and its host; raises InvalidOption for one that is not fetched here."""
        if not self.hosts:
            raise InvalidOption("this service fetches no pictures: send the picture itself")
        try:
            parts = urlsplit(url)
            name, port = (parts.hostname or "").rstrip("."), parts.port
        except ValueError as error:
            raise InvalidOption(f"{shorten(url, 80)} is no URL: {error}") from error
        if parts.scheme not in PORTS or parts.username is not None or not url.isascii() or _is_odd(url):
            raise InvalidOption(f"{shorten(url, 80)} is no plain URL: expected https://HOST/PATH")
        for host in self.hosts:
            if host.name == name and (port or PORTS[parts.scheme]) == (host.port or PORTS[parts.scheme]):
                return parts, host
        raise InvalidOption(
            f"this service fetches no pictures from {shorten(parts.netloc, 80)}: send the picture itself, or "
            "ask the operator to add the host to BLITZ_FETCH"
        )

    def fetch(self, url: str, deadline: float = math.inf) -> bytes:
        """The bytes behind a URL; blocks up to the deadline, a time of the monotonic clock, or PATIENCE_S.

        Raises InvalidOption, InvalidImage, ImageTooLarge, DeadlineExceeded.
        """
        end = min(deadline, time.monotonic() + PATIENCE_S)
        parts, host = self.check(url)
        try:
            connected = _connect(parts, host, end)
        except OSError as error:
            raise InvalidImage(f"{shorten(url, 80)} cannot be reached: {error}") from error
        try:
            with connected, _cutting_off(connected, end), closing(_open_http(connected, parts, host)) as http:
                content = self._read(http, url, parts)
                _remaining(end)  # a connection that was cut off may look like the end of the picture
                return content
        except (OSError, HTTPException) as error:
            if time.monotonic() >= end:
                raise DeadlineExceeded(f"{shorten(url, 80)} was not read in time") from error
            raise InvalidImage(f"{shorten(url, 80)} cannot be read: {error!r}") from error

    def _read(self, connection: HTTPConnection, url: str, parts: SplitResult) -> bytes:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", path, headers={"Accept": "image/*", "Accept-Encoding": "identity"})
        response = connection.getresponse()
        if response.status != HTTPStatus.OK:
            raise InvalidImage(
                f"{shorten(url, 80)} answers {response.status}; only 200 gives a picture, and redirects are "
                "not followed"
            )
        content = bytearray()
        while chunk := response.read1(CHUNK):
            content += chunk
            if len(content) > self.most:
                raise ImageTooLarge(f"{shorten(url, 80)} has more than the {self.most} bytes accepted here")
        if response.length:
            raise HTTPException(f"it is cut off: {response.length} bytes are missing")
        return bytes(content)


def _connect(parts: SplitResult, host: Host, end: float) -> socket.socket:
    """A connection to a checked address of the host; raises OSError, and InvalidOption where none may be."""
    port = parts.port or PORTS[parts.scheme]
    found = socket.getaddrinfo(host.name, port, type=socket.SOCK_STREAM)
    addresses = [str(each[4][0]) for each in found]
    if not all(host.allows(ipaddress.ip_address(address.partition("%")[0])) for address in addresses):
        raise InvalidOption(
            f"{host.name} has an address that is not public: the operator can allow its network, as in "
            f"BLITZ_FETCH={host.name}=NETWORK"
        )
    return socket.create_connection((addresses[0], port), _remaining(end))


def _open_http(connected: socket.socket, parts: SplitResult, host: Host) -> HTTPConnection:
    """HTTP, or HTTPS by the URL, over a connection; the name of the host is for the Host header alone."""
    connection = HTTPConnection(host.name, parts.port or PORTS[parts.scheme])
    connection.default_port = PORTS[parts.scheme]  # which the Host header leaves out
    connection.sock = connected
    if parts.scheme == "https":
        connection.sock = ssl.create_default_context().wrap_socket(connected, server_hostname=host.name)
    return connection


@contextmanager
def _cutting_off(connected: socket.socket, end: float) -> Iterator[None]:
    """Shut the connection down at the end: a peer that sends a byte now and then outlives every time-out."""
    with connected.dup() as other:  # TLS takes the first one over
        timer = threading.Timer(_remaining(end), _shut_down, (other,))
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()


def _shut_down(connected: socket.socket) -> None:
    with suppress(OSError):  # the peer has closed it
        connected.shutdown(socket.SHUT_RDWR)


def _remaining(end: float) -> float:
    """Seconds to the end; raises TimeoutError where it has passed."""
    remaining = end - time.monotonic()
    if remaining <= 0:
        raise TimeoutError("the time for the picture is over")
    return remaining


def _is_odd(url: str) -> bool:
    """Whether a URL holds spaces, line breaks or backslashes, which programs read in different ways."""
    return "\\" in url or any(character <= " " or character == "\x7f" for character in url)
