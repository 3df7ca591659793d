"""The arguments that commands share, and server addresses in them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import SplitResult, parse_qsl, urlsplit

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from loadtest.generators.photos import choose_photos
from loadtest.measurement.baseline import BaselineKind
from loadtest.measurement.harness import Harness, Setup, Stage, open_harness
from loadtest.reports.content import Outcome
from loadtest.types import OIP_PREFIX, SCHEMES, Ask, CannotRun, Photo, ProtocolName, Target, Transport
from service.client.credentials import NOTHING, Credentials
from service.errors import InvalidOption
from service.settings import models_folder
from service.types import Options

Clients = Annotated[int, Field(ge=1, le=1024)]
Masks = Literal["rle", "none"]
DAY_S = 86_400.0

_FORMS: dict[str, tuple[Transport, bool]] = {scheme: form for form, scheme in SCHEMES.items()}
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Found:
    """The outcome of a command, and the servers that it measured."""

    outcome: Outcome
    harnesses: tuple[Harness, ...] = ()


class Arguments(BaseModel):
    """Arguments of every command; unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    json_file: Path | None = Field(
        default=None, alias="json", description="write all results to this file as JSON"
    )
    report: Path | None = Field(
        default=None, description="write report.html, .md, .png and .json to this folder"
    )

    async def run(self, stage: Stage) -> Found:
        """Measures; raises CannotRun."""
        raise NotImplementedError


class RunArguments(Arguments):
    """Arguments of the commands that load a running server."""

    key: str | None = Field(default=None, description="API key, or @FILE that holds it")
    ca: Path | None = Field(default=None, description="file of the trusted authorities, for https and grpcs")
    cert: Path | None = Field(default=None, description="file of the client's own certificate")
    cert_key: Path | None = Field(
        default=None, description="file of that certificate's key, if it is another file"
    )
    allow_remote: bool = Field(default=False, description="put load on another machine")
    duration: float = Field(default=10.0, ge=0.1, le=7 * DAY_S, description="seconds of each row")
    warmup: float = Field(default=1.0, ge=0, le=DAY_S, description="seconds before each row")
    max_requests: int = Field(default=10**7, ge=1, le=10**9, description="most requests of each row")
    timeout: float = Field(default=30.0, ge=0.01, le=3600, description="seconds that a client waits")
    baseline: BaselineKind = Field(
        default="processes",
        validation_alias=AliasChoices("baseline", "floor"),
        description="the in-process baseline: a process or a thread per core, or all cores for one image",
    )
    models: Path = Field(default_factory=models_folder, description="the server's model folder")

    @property
    def credentials(self) -> Credentials:
        return Credentials(self.key, self.ca, self.cert, self.cert_key)

    def parse(self, address: str, *, ask: Ask | None = None) -> Target:
        """The server of an address, if this command may load it; raises CannotRun."""
        target = parse_target(address, timeout=self.timeout, credentials=self.credentials, ask=ask)
        if not target.is_local and not self.allow_remote:
            raise CannotRun(
                f"{target.host} is not this machine; give --allow-remote if you may put load on it"
            )
        return target


class ServerArguments(RunArguments):
    """Arguments of the commands that load one server."""

    url: str = Field(default="http://127.0.0.1:8000", description="REST server, http or https")
    grpc: str | None = Field(
        default=None, description="gRPC server HOST:PORT or grpcs://HOST:PORT, instead of --url"
    )
    model: str | None = Field(default=None, description="model to ask for; unset: the server's default")
    masks: Masks = Field(default="rle", description="format of the masks")
    score_threshold: float | None = Field(default=None, ge=0, le=1, description="unset: the model's")
    max_instances: int | None = Field(default=None, ge=1, le=100_000, description="unset: the model's")
    protocol: ProtocolName = Field(
        default="native",
        description="the service's own, or the Open Inference Protocol v2, which needs --model",
    )
    metrics: str | None = Field(
        default=None, description="the server's Prometheus page; unset: /metrics of --url"
    )
    server_pid: int | None = Field(
        default=None,
        ge=1,
        description="the server is this process and all that it started; unset: the one on the port",
    )

    def target(self) -> Target:
        """The server; raises CannotRun when its address is wrong or it may not be loaded."""
        options = Options(
            score_threshold=self.score_threshold, max_instances=self.max_instances, masks=self.masks
        )
        wanted: Transport = "grpc" if self.grpc else "rest"
        address = self.grpc or self.url
        if self.grpc and "://" not in self.grpc:
            address = f"grpc://{self.grpc}"
        prefix = OIP_PREFIX if self.protocol == "oip" else ""
        target = self.parse(prefix + address, ask=Ask(self.model, options))
        if target.transport != wanted:
            raise CannotRun(f"{target} is a {target.transport} address: give it as --url or --grpc")
        if self.credentials.for_tls and not target.secure:
            raise CannotRun(f"certificates need TLS, which {target} does not speak: write https or grpcs")
        return target

    def setup(self, photos: tuple[Photo, ...], *, baseline: BaselineKind | None = None) -> Setup:
        """The choices for a run on this server; raises CannotRun."""
        target = self.target()
        page = f"{target.scheme}://{target.authority}/metrics" if target.transport == "rest" else None
        return Setup(
            target=target,
            photos=photos,
            models_dir=self.models,
            baseline=baseline or self.baseline,
            warmup=self.warmup,
            requests=self.max_requests,
            metrics=self.metrics or page,
            server_pid=self.server_pid,
        )


class LoadArguments(ServerArguments):
    """Arguments of the commands that send photos to one server."""

    image: Path | None = Field(
        default=None, description="a photo, or a folder of photos as a mix; unset: three samples of 1280x720"
    )

    async def measure(self, stage: Stage, run: Callable[[Harness], Awaitable[Outcome]]) -> Found:
        """The outcome of `run` on the server."""
        async with open_harness(self.setup(choose_photos(self.image)), stage) as harness:
            return Found(await run(harness), (harness,))


def find_folder(models: Path, name: str | None) -> Path:
    """The folder of this name in a folder of models; None: the first. Raises CannotRun when there is none."""
    folders = sorted(card.parent for card in models.glob("*/card.json"))
    for folder in folders:
        if name in (None, folder.name):
            return folder
    raise CannotRun(f"there is no model {name or ''} in {models}: give --models its folder")


def parse_target(
    address: str, *, timeout: float, credentials: Credentials = NOTHING, ask: Ask | None = None
) -> Target:
    """The server of an address, and its query as options unless `ask` gives them; raises CannotRun.

    Certificates are left out where the server does not speak TLS.

    >>> str(parse_target("oip+grpc://localhost:8001?model=m&masks=none", timeout=5))
    'oip+grpc://localhost:8001?model=m&masks=none'
    """
    parts = urlsplit(address)
    form = _FORMS.get(parts.scheme.removeprefix(OIP_PREFIX))
    port = _read_port(parts) or _PORTS.get(parts.scheme.removeprefix(OIP_PREFIX))
    complete = parts.hostname and port and parts.path in ("", "/") and not (ask and parts.query)
    if form is None or port is None or parts.hostname is None or not complete:
        raise CannotRun(
            f"expected an address such as http://127.0.0.1:8000 or grpc://127.0.0.1:8001, not {address!r}"
        )
    transport, secure = form
    target = Target(
        transport,
        parts.hostname,
        port,
        ask or _read_ask(parts.query),
        timeout,
        protocol="oip" if parts.scheme.startswith(OIP_PREFIX) else "native",
        secure=secure,
        credentials=credentials if secure else Credentials(credentials.key),
    )
    return _check(target)


def _check(target: Target) -> Target:
    if target.protocol == "oip" and not target.ask.model:
        raise CannotRun("the Open Inference Protocol always names the model: give --model, or ?model=")
    try:
        target.credentials.headers()
        if target.secure:
            target.credentials.open_context()
    except InvalidOption as error:
        raise CannotRun(str(error)) from error
    return target


def _read_port(parts: SplitResult) -> int | None:
    try:
        return parts.port
    except ValueError as error:
        raise CannotRun(f"{parts.netloc!r} has no valid port: {error}") from error


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid")

    model: str | None = None
    masks: Masks = "rle"
    score_threshold: float | None = None
    max_instances: int | None = None


def _read_ask(query: str) -> Ask:
    try:
        asked = TypeAdapter(_Query).validate_python(dict(parse_qsl(query, keep_blank_values=True)))
    except ValidationError as error:
        first = error.errors()[0]
        raise CannotRun(f"option {first['loc'][0]!r} in {query!r}: {first['msg']}") from error
    options = Options(
        score_threshold=asked.score_threshold, max_instances=asked.max_instances, masks=asked.masks
    )
    return Ask(asked.model, options)
