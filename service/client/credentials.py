"""The address of a server, and the credentials that a client shows it."""

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

import grpc

from service.errors import InvalidOption

HEADER = "x-api-key"
SCHEMES = {"grpc": False, "grpcs": True}
PROXIES: Mapping[str, tuple[str, ...]] = {  # the environment variables that httpx and gRPC follow
    "http": ("http_proxy", "all_proxy"),
    "https": ("https_proxy", "all_proxy"),
    "grpc": ("grpc_proxy", "https_proxy", "http_proxy"),
}


@dataclass(frozen=True, slots=True)
class Credentials:
    """For servers that ask for a key, or use TLS with certificates that the system does not know.

    key: sent with every call; `@FILE` reads it from a file.
    ca: PEM file of the authorities to trust, instead of the system's.
    cert, cert_key: PEM files of the client's own certificate, for servers that ask for one.
    """

    key: str | None = field(default=None, repr=False)
    ca: Path | None = None
    cert: Path | None = None
    cert_key: Path | None = None

    def headers(self) -> dict[str, str]:
        """Headers of every call, for REST and as gRPC's metadata; raises InvalidOption."""
        key = self.key
        if key is not None and key.startswith("@"):
            key = _read("key", Path(key[1:])).decode(errors="replace").strip()
        if key is None:
            return {}
        if not key.isascii() or not key.isprintable():
            raise InvalidOption("the key has characters that no header can carry")
        return {HEADER: key}

    def open_context(self) -> ssl.SSLContext:
        """TLS for Python; raises InvalidOption when a file cannot be used."""
        if self.ca is not None:
            _read("ca", self.ca)
        try:
            context = ssl.create_default_context(cafile=self.ca)
        except ssl.SSLError as error:
            raise InvalidOption(f"ca {self.ca}: it is no certificate in PEM form") from error
        if self.cert is not None:
            for name, file in (("cert", self.cert), ("cert-key", self.cert_key or self.cert)):
                _read(name, file)
            try:
                context.load_cert_chain(self.cert, self.cert_key, lambda: "")
            except ssl.SSLError as error:
                raise InvalidOption(f"cert {self.cert}: it is no certificate with its key") from error
        return context

    def open_channel(self) -> grpc.ChannelCredentials:
        """TLS for gRPC; raises InvalidOption when a file cannot be used, which gRPC itself ignores."""
        self.open_context()
        authorities = None if self.ca is None else self.ca.read_bytes()
        if self.cert is None:
            return grpc.ssl_channel_credentials(authorities)
        key = (self.cert_key or self.cert).read_bytes()
        return grpc.ssl_channel_credentials(authorities, key, self.cert.read_bytes())

    @property
    def for_tls(self) -> bool:
        """Whether they hold certificates, which only TLS uses."""
        return self.ca is not None or self.cert is not None


NOTHING = Credentials()


def parse_address(address: str, credentials: Credentials = NOTHING) -> tuple[str, bool]:
    """The "host:port" of a gRPC address, and whether to use TLS; raises InvalidOption.

    >>> parse_address("localhost:8001"), parse_address("grpcs://cam.example:8001")
    (('localhost:8001', False), ('cam.example:8001', True))
    """
    scheme, separator, place = address.partition("://")
    if not separator:
        scheme, place = "grpc", address
    if scheme not in SCHEMES or not place:
        raise InvalidOption(
            f"{address or 'no address'}: expected host:port, grpc://host:port or grpcs://host:port"
        )
    secure = SCHEMES[scheme]
    if credentials.for_tls and not secure:
        raise InvalidOption(f"{address}: certificates are for TLS; write grpcs://{place}")
    return place, secure


def is_local(place: str) -> bool:
    """Whether a "host:port" is this machine itself, for which no proxy is used.

    >>> is_local("localhost:8001"), is_local("[::1]:8001"), is_local("cam.example:8001")
    (True, True, False)
    """
    host = place.rpartition(":")[0].strip("[]") or place
    try:
        address = ip_address(host)
    except ValueError:
        return host.lower() == "localhost" or place.startswith("unix:")
    return address.is_loopback or address.is_unspecified


def name_proxy(address: str) -> str:
    """The end of an error text: the environment variable that sends calls for an address through a proxy."""
    scheme, _, place = address.rpartition("://")
    host = place.rpartition(":")[0] or place
    names = [name for name in PROXIES[scheme.lower().removeprefix("grpcs") or "grpc"] if os.environ.get(name)]
    exempt = os.environ.get("no_proxy", "").split(",")
    if not names or is_local(place) or host in (one.strip() for one in exempt):
        return ""
    return f" (the environment variable {names[0]} sends this call through a proxy)"


def _read(name: str, file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InvalidOption(f"{name} {file}: {(error.strerror or str(error)).lower()}") from error
