"""Addresses as they are typed: where a server is, and whether it may be loaded."""

from urllib.parse import SplitResult, parse_qsl, urlsplit

from loadtest.errors import CannotRun
from loadtest.targets import OIP_PREFIX, SCHEMES, Ask, Target
from service.client.credentials import NOTHING, Credentials
from service.errors import InvalidOption
from service.types import Options

_SCHEMES = {scheme: form for form, scheme in SCHEMES.items()}
_HTTP_PORTS = {"http": 80, "https": 443}
_OPTIONS = ("model", "masks", "score_threshold", "max_instances")


def parse_url(url: str) -> tuple[str, int, bool]:
    """Host and port of an `http://` or `https://` address, and whether it speaks TLS; raises CannotRun.

    >>> parse_url("http://127.0.0.1:8000")
    ('127.0.0.1', 8000, False)
    """
    parts = urlsplit(url)
    if parts.scheme not in _HTTP_PORTS or not parts.hostname or parts.path not in ("", "/") or parts.query:
        raise CannotRun(f"--url takes an address such as http://127.0.0.1:8000, not {url!r}")
    return parts.hostname, _read_port(parts) or _HTTP_PORTS[parts.scheme], parts.scheme == "https"


def parse_address(address: str) -> tuple[str, int, bool]:
    """Host and port of a gRPC address, and whether it speaks TLS; raises CannotRun when it is none.

    >>> parse_address("localhost:8001"), parse_address("grpcs://localhost:8001")
    (('localhost', 8001, False), ('localhost', 8001, True))
    """
    scheme, place = address.split("://", 1) if "://" in address else ("grpc", address)
    parts = urlsplit(f"//{place}")
    port = _read_port(parts)
    if scheme not in ("grpc", "grpcs") or not parts.hostname or not port or parts.netloc != place:
        raise CannotRun(f"--grpc takes HOST:PORT such as 127.0.0.1:8001, not {address!r}")
    return parts.hostname, port, scheme == "grpcs"


def parse_target(address: str, *, timeout: float, credentials: Credentials = NOTHING) -> Target:
    """A server of any transport and protocol, and what to ask of it; raises CannotRun.

    >>> str(parse_target("oip+grpc://localhost:8001?model=m&masks=none", timeout=5))
    'oip+grpc://localhost:8001?model=m&masks=none'
    """
    parts = urlsplit(address)
    oip = parts.scheme.startswith(OIP_PREFIX)
    form, port = _SCHEMES.get(parts.scheme.removeprefix(OIP_PREFIX)), _read_port(parts)
    if form is None or not parts.hostname or not port or parts.path not in ("", "/"):
        raise CannotRun(f"expected http://HOST:PORT or grpc://HOST:PORT, not {address!r}")
    return check_target(
        Target(
            transport=form[0],
            host=parts.hostname,
            port=port,
            ask=_read_ask(parts.query),
            timeout=timeout,
            protocol="oip" if oip else "native",
            secure=form[1],
            credentials=credentials if form[1] else Credentials(credentials.key),  # one of two may do without
        )
    )


def check_target(target: Target) -> Target:
    """The target, if it can be spoken to so; raises CannotRun."""
    if target.protocol == "oip" and not target.ask.model:
        raise CannotRun("the Open Inference Protocol asks a model by its name: give --model, or ?model=")
    if target.credentials.for_tls and not target.secure:
        raise CannotRun(f"certificates are for TLS, which {target} does not speak: write https or grpcs")
    try:
        target.credentials.headers()
        if target.secure:
            target.credentials.open_context()
    except InvalidOption as error:
        raise CannotRun(str(error)) from error
    return target


def check_allowed(target: Target, *, allow_remote: bool) -> None:
    """Raises CannotRun for another machine unless the operator said that it may be loaded."""
    if not target.is_local and not allow_remote:
        raise CannotRun(f"{target.host} is not this machine; give --allow-remote if you may put load on it")


def _read_port(parts: SplitResult) -> int | None:
    try:
        return parts.port
    except ValueError as error:
        raise CannotRun(f"{parts.netloc!r} has no valid port: {error}") from error


def _read_ask(query: str) -> Ask:
    fields = dict(parse_qsl(query, keep_blank_values=True))
    unknown = next((name for name in fields if name not in _OPTIONS), None)
    if unknown is not None:
        raise CannotRun(f"there is no option {unknown!r}, only {', '.join(_OPTIONS)}")
    masks = fields.get("masks", "rle")
    if masks not in ("rle", "none"):
        raise CannotRun(f"masks is rle or none, not {masks!r}")
    try:
        threshold, limit = fields.get("score_threshold"), fields.get("max_instances")
        return Ask(
            fields.get("model"),
            Options(
                score_threshold=None if threshold is None else float(threshold),
                max_instances=None if limit is None else int(limit),
                masks="none" if masks == "none" else "rle",
            ),
        )
    except ValueError as error:
        raise CannotRun(f"{query!r} is no query: {error}") from error
