"""The vocabulary of the load test: a server's address, what to ask of it, photos, answers and clients."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, Protocol, TypeAlias
from urllib.parse import urlencode

from service.client.credentials import NOTHING, Credentials
from service.rpc.generated import segmentation_pb2 as messages
from service.types import Options

Transport = Literal["rest", "grpc"]
ProtocolName = Literal["native", "oip"]
Form: TypeAlias = tuple[ProtocolName, Transport]
SCHEMES: Mapping[tuple[Transport, bool], str] = MappingProxyType(
    {("rest", False): "http", ("rest", True): "https", ("grpc", False): "grpc", ("grpc", True): "grpcs"}
)
OIP_PREFIX = "oip+"
OK = "ok"


class CannotRun(Exception):
    """The load test cannot start: a wrong argument, or no server; one line for the person who typed it.

    Faults during a run are counted, never raised.
    """


@dataclass(frozen=True, slots=True)
class Ask:
    """The options that go with every photo; None leaves the choice to the server."""

    model: str | None = None
    options: Options = field(default_factory=Options)


@dataclass(frozen=True, slots=True)
class Target:
    """A server's address and its protocol.

    timeout: seconds that a client waits for an answer.
    protocol: the service's own, or the Open Inference Protocol, which always names the model.
    secure: True for TLS; credentials: the API key, the certificates and the trusted authorities.
    """

    transport: Transport
    host: str
    port: int
    ask: Ask = field(default_factory=Ask)
    timeout: float = 30.0
    protocol: ProtocolName = "native"
    secure: bool = False
    credentials: Credentials = NOTHING

    def __str__(self) -> str:
        query = to_query(self.ask)
        prefix = OIP_PREFIX if self.protocol == "oip" else ""
        return f"{prefix}{self.scheme}://{self.authority}" + (f"?{query}" if query else "")

    @property
    def scheme(self) -> str:
        return SCHEMES[self.transport, self.secure]

    @property
    def form(self) -> Form:
        """Protocol and transport, which decide the format of its answers."""
        return self.protocol, self.transport

    @property
    def authority(self) -> str:
        """HOST:PORT."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_local(self) -> bool:
        return self.host == "localhost" or _is_loopback(self.host)


@dataclass(frozen=True, slots=True)
class Photo:
    """An encoded image, as the clients send it."""

    name: str
    media_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """The server's answer to one photo.

    kind: "ok", or the fault in a few words without details, so that faults of one kind can be counted.
    body: the bytes of the answer, JSON or proto; the server's or the network's explanation of a fault.
    stages: milliseconds by stage, as the server reports them; empty when it reports none.
    """

    kind: str
    body: bytes = b""
    stages: Mapping[str, float] = field(default_factory=dict)


class Client(Protocol):
    """One connection, with one request at a time."""

    async def send(self, photo: Photo) -> Answer:
        """The answer to one photo, within the client's timeout; raises nothing that a server can cause."""
        ...

    async def close(self) -> None:
        """Close the connection."""
        ...


def to_parameters(ask: Ask) -> dict[str, str | int | float]:
    """The options that differ from the server's defaults, by name."""
    options = ask.options
    asked = {
        "score_threshold": options.score_threshold,
        "max_instances": options.max_instances,
        "classes": ",".join(options.classes) if options.classes else None,
        "masks": options.masks if options.masks != "rle" else None,
    }
    return {name: value for name, value in asked.items() if value is not None}


def to_query(ask: Ask) -> str:
    """The model and the options as the query of a URL."""
    model = {"model": ask.model} if ask.model is not None else {}
    return urlencode(model | to_parameters(ask))


def to_message(ask: Ask) -> messages.SegmentOptions:
    """The model and the options as a gRPC message."""
    options = ask.options
    masks = {"rle": messages.MASK_FORMAT_RLE, "none": messages.MASK_FORMAT_NONE}
    return messages.SegmentOptions(
        model=ask.model or "",
        score_threshold=options.score_threshold,
        max_instances=options.max_instances,
        classes=options.classes or (),
        masks=masks[options.masks],
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
