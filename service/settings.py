"""The settings: the operator's choices, each an environment variable. Only this module reads them."""

import contextlib
import difflib
import math
import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from service.errors import InvalidSetting
from service.inference.backends.base import BackendChoice, Fallback, PrecisionChoice, RuntimeChoice
from service.inference.images import Limits
from service.process.limits import usable_cores
from service.security.callers import Key, parse_keys
from service.security.fetching import Host, parse_host
from service.security.tls import Tls, read_tls
from service.telemetry.logs import LogFormat, LogLevel

PREFIX = "BLITZ_"
CORES_OF_A_WORKER = 8
SECRETS = Path("/run/secrets")  # containers find files here that are named after settings: blitz_api_keys
SECRET = (
    "api_keys",
    "admin_keys",
    "label_studio_token",
)  # a key may be there by mistake, so errors do not repeat the value


def models_folder() -> Path:
    """The models that came with the service: inside the installed package, else the repository's."""
    packaged = Path(__file__).parent / "models"
    return packaged if packaged.is_dir() else Path(__file__).parent.parent / "models"


def cache_folder() -> Path | None:
    """The folder `blitzmask` in the user's cache folder; None for a user without a home."""
    named = os.environ.get("XDG_CACHE_HOME")
    with contextlib.suppress(RuntimeError):
        return Path(named) / "blitzmask" if named else Path.home() / ".cache" / "blitzmask"
    return None


def choose_workers() -> int:
    """One process for every eight cores of Linux; one elsewhere, and where an admin may change models."""
    keys = variable("admin_keys")
    if os.environ.get(keys) or (SECRETS / keys.lower()).exists() or sys.platform != "linux":
        return 1
    return math.ceil(usable_cores() / CORES_OF_A_WORKER)


def _split_commas(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _read_keys(value: object) -> object:
    if not isinstance(value, str):
        return value
    return parse_keys([part for part in value.split(",") if part.strip()])


def _read_hosts(value: object) -> object:
    parts = _split_commas(value)
    return (
        [parse_host(part) if isinstance(part, str) else part for part in parts]
        if isinstance(parts, list)
        else parts
    )


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_commas)]
KeyEntries = Annotated[tuple[Key, ...], NoDecode, BeforeValidator(_read_keys)]
FetchHosts = Annotated[tuple[Host, ...], NoDecode, BeforeValidator(_read_hosts)]
DropInName = Literal["deepstack", "cvat"]
DropIns = Annotated[tuple[DropInName, ...], NoDecode, BeforeValidator(_split_commas)]
Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]


class Settings(BaseSettings):
    """Every setting is an environment variable: BLITZ_ and the name in capitals; or a file in SECRETS."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        frozen=True,
        secrets_dir=SECRETS if SECRETS.is_dir() else None,
    )

    host: str = Field(
        default="127.0.0.1", description="address that both ports listen on; 0.0.0.0: all addresses"
    )
    http_port: Port = Field(
        default=8000, description="port of REST and the page; 0: a free port, which the log names"
    )
    grpc_port: Port = Field(default=8001, description="port of gRPC; 0: a free port, which the log names")

    models_dir: Path = Field(
        default_factory=models_folder,
        description="folder that holds the model folders; unset: the one that comes with the service",
    )
    default_model: str | None = Field(
        default=None,
        description="model that answers requests that name none; unset: the model that the file DEFAULT "
        "in the models folder names, else the first by name",
    )
    runtime: RuntimeChoice = Field(
        default="auto",
        description="runtime of the models: onnx, tflite, openvino or ncnn (these two need the extra of that "
        "name), or auto: that of one of the model's files",
    )
    precision: PrecisionChoice = Field(
        default="auto",
        description="precision of the models: fp32, fp16, int8, bf16 (only with openvino), or auto: on a CPU "
        "the fastest whose AP on the card is at most 0.009 below that of fp32, elsewhere fp32",
    )
    tune: bool = Field(
        default=True,
        description="when a model first runs on this machine, time those of its files that runtime and "
        "precision leave open, for a second each beside the first answers, and take the fastest from then "
        "on; no: the figures on the card decide",
    )
    cache_dir: Path | None = Field(
        default_factory=cache_folder,
        description="folder that keeps those times; one that cannot be written is as good as none; unset: "
        "blitzmask in the user's cache folder",
    )
    providers: Names = Field(
        default=(),
        description="ONNX Runtime providers, best first, separated by commas, such as cuda,cpu; with the "
        "runtime openvino its device, such as GPU; unset: the CPU",
    )
    delegates: Names = Field(
        default=(),
        description="TFLite delegates, separated by commas, each as path;option=value;...; unset: none",
    )
    fallback: Fallback = Field(
        default="strict",
        description="strict: not ready while a provider or delegate that is asked for is not in effect; "
        "prefer: serve without it, and log a warning",
    )
    workers: int = Field(
        default_factory=choose_workers,
        ge=1,
        le=1024,
        description="processes that share both ports and divide the cores; more than 1 helps only where one "
        "process cannot read and write fast enough, because one image uses the cores of one worker; unset: "
        "one for every eight cores, and one where an admin key is set",
    )
    slots: int = Field(
        default_factory=lambda earlier: max(1, usable_cores() // earlier.get("workers", 1)),
        ge=1,
        le=1024,
        description="images that are segmented at the same time, in each worker; unset: one per core that "
        "this process may use, divided by the workers",
    )
    threads: int = Field(
        default=1, ge=1, le=1024, description="threads of one inference while the slots are full"
    )
    threads_alone: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        description="threads of one inference while most slots are free; unset: the threads of all slots",
    )

    slots_in: Literal["auto", "processes", "threads"] = Field(
        default="auto",
        description="processes: each slot is a process of its own, which is replaced when it ends, hangs or "
        "grows too large; threads: all slots are in one process, which has to own a device; auto: threads "
        "where providers or delegates are asked for, else processes",
    )
    work_s: Seconds = Field(
        default=10.0,
        gt=0,
        description="longest work on one image, in seconds; a compute process that takes longer is replaced",
    )
    load_s: Seconds = Field(
        default=60.0, gt=0, description="longest loading and testing of a model, in seconds"
    )
    memory_mb: int = Field(
        default=1500,
        ge=0,
        description="memory of a compute process, in millions of bytes; one that takes more is replaced; 0: "
        "all there is",
    )

    exact: bool = Field(
        default=False,
        description="decode large JPEGs in full before they are shrunk, unless a request says otherwise; "
        "no: decode them at a half, a quarter or an eighth of their size, which is faster",
    )
    watch_s: Seconds = Field(
        default=0.0,
        description="seconds between looks at the models folder: new and changed models are tested and then "
        "answer, deleted models are unloaded; 0: models are loaded only at the start",
    )
    api_keys: KeyEntries = Field(
        default=(),
        description="keys of those who may call, separated by commas: name:hash or name:hash:rate, the "
        "rate in requests and frames per second; `blitzmask key` makes them; unset: everybody may call",
    )
    admin_keys: KeyEntries = Field(
        default=(),
        description="keys of those who may also load and unload models over REST; unset: nobody may",
    )
    open_metrics: bool = Field(
        default=False, description="let everybody read /metrics, even where calls need a key"
    )
    origins: Names = Field(
        default=(),
        description="other sites whose pages may call /v1 and /v2 and open live streams, separated by "
        "commas, each as https://host; *: all; this service's own page always may; unset: none",
    )
    tls_cert: Path | None = Field(
        default=None,
        description="certificate of both ports with its chain, as a PEM file; unset: plain HTTP and gRPC",
    )
    tls_key: Path | None = Field(
        default=None,
        description="private key of that certificate, a PEM file without a password; unset: no TLS",
    )
    tls_client_ca: Path | None = Field(
        default=None,
        description="PEM file of authorities; clients have to show a certificate of one of them; unset: none",
    )

    fetch: FetchHosts = Field(
        default=(),
        description="hosts from which POST /v1/segment fetches a picture whose URL it gets, separated by "
        "commas, each as host or host:port; one with private addresses as host=network "
        "(nas.lan=192.168.1.0/24); unset: it fetches nothing",
    )
    drop_in: DropIns = Field(
        default=(),
        description="other servers whose clients are answered too, separated by commas: deepstack "
        "(/v1/vision/detection, for Blue Iris and others), cvat (its functions); unset: none",
    )
    label_studio_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^/?#@]+/?$",
        description="address of a Label Studio, such as http://studio:8080: the service is its ML backend at "
        "/label-studio, and fetches the pictures of tasks from this address only; unset: it is none",
    )
    label_studio_token: SecretStr | None = Field(
        default=None,
        description="legacy access token of a user of that Label Studio, with which pictures are fetched; "
        "unset: none",
    )

    batch: int = Field(
        default=1,
        ge=1,
        le=256,
        description="most images that a GPU computes together; it needs as many slots; a CPU ignores "
        "it, because there an image of a batch takes longer than one alone",
    )
    batch_wait_ms: float = Field(
        default=2.0,
        ge=0,
        le=1000,
        description="milliseconds that the first image of a batch waits for others; an image that is alone "
        "in the service does not wait",
    )

    queue: int | None = Field(
        default=None,
        ge=0,
        le=100_000,
        description="images that may wait for a slot, in each worker; unset: 32 per slot",
    )
    streams: int = Field(
        default=64,
        ge=0,
        le=100_000,
        description="camera streams that may be open in each worker, over both transports",
    )
    queue_s: Seconds = Field(
        default=0.7,
        gt=0,
        description="longest expected wait in the queue, in seconds; beyond it a request is refused at once",
    )
    timeout_s: Seconds = Field(
        default=10.0, gt=0, description="longest wait for a slot, and for a request's body, in seconds"
    )
    max_body_mb: float = Field(
        default=20.0, gt=0, le=2000, description="largest request body or gRPC message, in millions of bytes"
    )
    bodies_mb: float = Field(
        default=256.0,
        gt=0,
        le=1_000_000,
        description="most bytes of HTTP request bodies that each worker holds at one time, in millions; "
        "beyond that it refuses the largest body that still arrives",
    )
    max_pixels: int = Field(
        default=Limits().max_pixels, ge=1, description="largest image in pixels, read from its header"
    )
    tiles: int = Field(
        default=Limits().max_tiles,
        ge=0,
        le=1024,
        description="most tiles into which a request may have one image cut; work_s holds for those that one "
        "process computes; 0: none",
    )

    hsts_s: int = Field(
        default=86_400,
        ge=0,
        description="seconds for which browsers that came by TLS return by TLS only, on every port of this "
        "host (Strict-Transport-Security); 0: the header is not sent",
    )

    head_s: Seconds = Field(
        default=10.0,
        gt=0,
        description="longest wait for a request's headers, for a stream's first message, and for a client "
        "to read its answer, in seconds",
    )
    keep_alive_s: Seconds = Field(
        default=75.0, gt=0, description="seconds that a connection may be idle between two requests"
    )
    stream_idle_s: Seconds = Field(
        default=300.0, gt=0, description="longest wait for the next frame of an open stream, in seconds"
    )
    connections: int = Field(
        default=10_000, ge=1, description="HTTP connections that may be open, in each worker"
    )

    stop_delay_s: Seconds = Field(
        default=0.5,
        description="seconds at a stop between 'not ready' and closed ports; behind a balancer choose the "
        "pause between its probes times the failures it waits for, plus one second; 0.5 is for no balancer",
    )
    drain_s: Seconds = Field(
        default=30.0, description="longest wait for requests in flight at a stop, in seconds"
    )

    log_level: Annotated[LogLevel, BeforeValidator(_lower)] = Field(
        default="info", description="lowest level that is logged: debug, info, warning or error"
    )
    log_format: LogFormat = Field(
        default="auto",
        description="log lines as json, or as console for people; auto: console on a terminal, else json",
    )
    otel: bool = Field(
        default=False,
        description="record a span of every request for OpenTelemetry; its own variables configure it "
        "(OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_SAMPLER, ...); it needs the extra otel",
    )

    @property
    def max_body_bytes(self) -> int:
        return int(self.max_body_mb * 1_000_000)

    @property
    def queue_limit(self) -> int:
        return 32 * self.slots if self.queue is None else self.queue

    @property
    def in_processes(self) -> bool:
        """Whether the slots are processes; those need Linux."""
        if self.slots_in == "auto":
            return sys.platform == "linux" and not (self.providers or self.delegates or self.batch > 1)
        return self.slots_in == "processes"

    @property
    def limits(self) -> Limits:
        return Limits(self.max_body_bytes, self.max_pixels, self.tiles)

    @property
    def tls(self) -> Tls | None:
        """The certificate files, None without TLS; raises InvalidSetting where they cannot be used."""
        return read_tls(self.tls_cert, self.tls_key, self.tls_client_ca, hsts_s=self.hsts_s)

    @property
    def choice(self) -> BackendChoice:
        return BackendChoice(
            runtime=self.runtime,
            precision=self.precision,
            providers=self.providers,
            delegates=self.delegates,
            fallback=self.fallback,
            threads=self.threads,
            threads_alone=self.threads_alone or self.threads * self.slots,
            slots=self.slots,
            batch=self.batch,
            batch_wait_ms=self.batch_wait_ms,
        )


def variable(field: str) -> str:
    """The environment variable of a field.

    >>> variable("http_port")
    'BLITZ_HTTP_PORT'
    """
    return PREFIX + field.upper()


def read_settings(**given: Any) -> Settings:
    """The settings of this process's environment; those that are `given`, and not None, come first.

    Raises InvalidSetting, one line per fault, for an unknown BLITZ_ variable, an unusable value, or a file in
    SECRETS that cannot be read.
    """
    _refuse_unknown()
    try:
        settings = Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        faults = [
            _describe_fault(str(item["loc"][0]), item["input"], item["msg"])
            for item in error.errors()
            if item["type"] != "default_factory_not_called"  # only a consequence of another fault
        ]
        raise InvalidSetting("\n".join(faults)) from error
    except SettingsError as error:  # a file in SECRETS that this user may not read
        raise InvalidSetting(f"{error.__cause__}: let the service's user read it") from error
    _ = settings.choice, settings.tls  # they raise where one setting contradicts another
    return settings


def describe_settings(settings: Settings) -> list[tuple[str, str, str]]:
    """The variable, the value in effect and the meaning of every setting."""
    return [
        (variable(field), _show(getattr(settings, field)), str(info.description))
        for field, info in Settings.model_fields.items()
    ]


def _refuse_unknown() -> None:
    known = [variable(field) for field in Settings.model_fields]
    for name in sorted(os.environ):
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            near = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.8)
            hint = f"did you mean {near[0]}?" if near else "`blitzmask settings` lists all of them"
            raise InvalidSetting(f"{name} is not a setting; {hint}")


def _describe_fault(field: str, value: object, reason: str) -> str:
    reason = reason.removeprefix("Value error, ")
    reason = reason[0].lower() + reason[1:]
    shown = "..." if field in SECRET else _show(value)
    return f"{variable(field)}={shown}: {reason} ({Settings.model_fields[field].description})"


def _show(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return "" if value is None else str(value)
