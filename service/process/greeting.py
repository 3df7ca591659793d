"""The readable start on a terminal: the addresses of the page, REST and gRPC, and the models."""

from collections.abc import Sequence
from typing import TextIO

from service import __version__
from service.settings import Settings

EVERY = ("", "0.0.0.0", "::")  # addresses that stand for all of this machine


def greet(settings: Settings, ports: tuple[int, int], models: Sequence[str], stream: TextIO) -> None:
    """Write where the page, REST and gRPC are, if a person reads the stream; `models`: the default first.

    `ports` are those that are open, of HTTP and of gRPC.
    """
    if settings.log_format == "json" or not stream.isatty():
        return
    stream.write(describe_start(settings, ports, models))
    stream.flush()


def describe_start(settings: Settings, ports: tuple[int, int], models: Sequence[str]) -> str:
    """The lines, and an empty one."""
    host = "localhost" if settings.host in (*EVERY, "127.0.0.1", "::1") else settings.host
    host = f"[{host}]" if ":" in host else host
    secure = settings.tls_cert is not None
    page = f"http{'s' * secure}://{host}:{ports[0]}"
    local = settings.host in ("127.0.0.1", "::1")
    reach = ", for this machine alone (--host 0.0.0.0 opens it to the network)" if local else ""
    lines = (
        f"BlitzMask Server {__version__} is ready{reach}.",
        f"  page    {page}",
        f"  REST    {page}/v1/segment, described in {page}/docs",
        f"  gRPC    {'grpcs://' * secure}{host}:{ports[1]}",
        f"  models  {', '.join(models)}",
        "Ctrl-C stops it. Log lines follow; with BLITZ_LOG_FORMAT=json, or in a pipe, they are JSON.",
    )
    return "\n".join(lines) + "\n\n"
