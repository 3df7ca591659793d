"""Pictures that a caller names by a URL, fetched from the hosts that BLITZ_FETCH lists and nowhere else.

A server that fetches what strangers name can be made to reach machines that only it sees. So a host must be
on the list, its addresses are looked up once, all of them are checked, and the connection goes to one of the
checked addresses: a name that changes between the look-up and the connection gains nothing. No redirect is
followed, and no proxy is used.
"""

import http.client
import ipaddress
import math
import re
import socket
import ssl
import time
from dataclasses import dataclass
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
            connection = _connect(parts, host, end)
        except OSError as error:
            raise InvalidImage(f"{shorten(url, 80)} cannot be reached: {error}") from error
        try:
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("GET", path, headers={"Accept": "image/*", "Accept-Encoding": "identity"})
            return self._read(connection, url, end)
        except TimeoutError as error:
            raise DeadlineExceeded(f"{shorten(url, 80)} was not read in time") from error
        except (OSError, http.client.HTTPException) as error:
            raise InvalidImage(f"{shorten(url, 80)} cannot be read: {error!r}") from error
        finally:
            connection.close()

    def _read(self, connection: http.client.HTTPConnection, url: str, end: float) -> bytes:
        response = connection.getresponse()
        if response.status != http.client.OK:
            raise InvalidImage(
                f"{shorten(url, 80)} answers {response.status}; only 200 gives a picture, and redirects are "
                "not followed"
            )
        content = bytearray()
        while chunk := response.read1(CHUNK):
            content += chunk
            if len(content) > self.most:
                raise ImageTooLarge(f"{shorten(url, 80)} has more than the {self.most} bytes accepted here")
            _limit(connection.sock, end)
        if response.length:
            raise InvalidImage(f"{shorten(url, 80)} is cut off: {response.length} bytes are missing")
        return bytes(content)


def _connect(parts: SplitResult, host: Host, end: float) -> http.client.HTTPConnection:
    """A connection to a checked address of the host; raises OSError, and InvalidOption where none may be."""
    port = parts.port or PORTS[parts.scheme]
    found = socket.getaddrinfo(host.name, port, type=socket.SOCK_STREAM)
    addresses = [str(each[4][0]) for each in found]
    if not all(host.allows(ipaddress.ip_address(address.partition("%")[0])) for address in addresses):
        raise InvalidOption(
            f"{host.name} has an address that is not public: the operator can allow its network, as in "
            f"BLITZ_FETCH={host.name}=NETWORK"
        )
    # Its host is the name, for the Host header; its socket is made here, for a checked address.
    connection = http.client.HTTPConnection(host.name, port)
    connection.default_port = PORTS[parts.scheme]  # which the Host header leaves out
    plain = socket.create_connection((addresses[0], port), _remaining(end))
    connection.sock = plain
    if parts.scheme == "https":
        try:
            connection.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=host.name)
        except BaseException:
            plain.close()
            raise
    return connection


def _limit(connected: socket.socket | None, end: float) -> None:
    """Let the next read of a socket wait no longer than to the end."""
    remaining = _remaining(end)
    if connected is not None:  # http.client lets go of it with the last byte
        connected.settimeout(remaining)


def _remaining(end: float) -> float:
    """Seconds to the end; raises TimeoutError where it has passed."""
    remaining = end - time.monotonic()
    if remaining <= 0:
        raise TimeoutError("the time for the picture is over")
    return remaining


def _is_odd(url: str) -> bool:
    """Whether a URL holds spaces, line breaks or backslashes, which programs read in different ways."""
    return "\\" in url or any(character <= " " or character == "\x7f" for character in url)
