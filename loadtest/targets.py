"""What is measured: a server, how to reach it, and what to ask of it."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, TypeAlias
from urllib.parse import urlencode

from service.client.credentials import NOTHING, Credentials
from service.rpc.generated import segmentation_pb2 as messages
from service.types import Options

Transport = Literal["rest", "grpc"]
Protocol = Literal["native", "oip"]
Form: TypeAlias = tuple[Protocol, Transport]
SCHEMES: Mapping[tuple[Transport, bool], str] = MappingProxyType(
    {("rest", False): "http", ("rest", True): "https", ("grpc", False): "grpc", ("grpc", True): "grpcs"}
)
OIP_PREFIX = "oip+"


@dataclass(frozen=True, slots=True)
class Ask:
    """The options sent with every photo; None leaves the choice to the server."""

    model: str | None = None
    options: Options = field(default_factory=Options)


@dataclass(frozen=True, slots=True)
class Target:
    """A server's address and how it is spoken to.

    timeout: a client's patience, in seconds.
    protocol: the service's own, or the Open Inference Protocol, which names the model that it asks.
    secure: whether it speaks TLS; credentials: what is shown to it, and whom it is believed for.
    """

    transport: Transport
    host: str
    port: int
    ask: Ask = field(default_factory=Ask)
    timeout: float = 30.0
    protocol: Protocol = "native"
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
        """What its answers look like."""
        return self.protocol, self.transport

    @property
    def authority(self) -> str:
        """HOST:PORT."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_local(self) -> bool:
        return self.host == "localhost" or _is_loopback(self.host)


def to_query(ask: Ask) -> str:
    """Everything asked that differs from what a server does by itself, as a query."""
    options = ask.options
    query = {
        "model": ask.model,
        "score_threshold": options.score_threshold,
        "max_instances": options.max_instances,
        "classes": ",".join(options.classes) if options.classes else None,
        "masks": options.masks if options.masks != "rle" else None,
    }
    return urlencode({name: value for name, value in query.items() if value is not None})


def to_message(ask: Ask) -> messages.SegmentOptions:
    """The same for gRPC."""
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
