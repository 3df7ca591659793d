"""Keys and TLS as an operator sets them up: by commands, variables, and processes that share a rate."""

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from service.client import Credentials, RpcClient
from service.errors import RateLimited, Unauthorized
from tests.certificates import Authority, make_authority
from tests.e2e.serving.conftest import ROOT, Serve
from tests.running import PATIENCE_S

PNG = {"content-type": "image/png"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("certificates"))


def make_key(name: str, *options: str) -> tuple[str, str]:
    """A key and its entry, by the command."""
    command = [sys.executable, "-m", "service", "key", name, *options]
    lines = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    return lines[1], lines[3]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_key_and_a_certificate_are_all_it_takes(
    serve: Serve, made: Authority, rose: bytes, workers: int
) -> None:
    (key, entry), (boss, admin) = make_key("cam"), make_key("boss")
    pair = {"TLS_CERT": made.server.cert, "TLS_KEY": made.server.key}
    service = serve(API_KEYS=entry, ADMIN_KEYS=admin, WORKERS=workers, **pair)
    service.wait_for("ready", times=workers)
    trusting = Credentials(key, made.ca).open_context()
    with httpx.Client(
        base_url=service.url.replace("http:", "https:"), verify=trusting, timeout=PATIENCE_S
    ) as client:
        assert client.get("/readyz").status_code == 200
        assert client.post("/v1/segment", content=rose, headers=PNG).status_code == 401
        for shown in (key, boss):
            answer = client.post("/v1/segment", content=rose, headers=PNG | {"x-api-key": shown})
            assert answer.status_code == 200
            assert len(answer.json()["instances"]) == 1
        change = client.post("/v1/models/toy/load", headers={"x-api-key": boss})
        assert change.status_code == (200 if workers == 1 else 403)
    with RpcClient(f"grpcs://{service.target}", credentials=Credentials(key, made.ca)) as over_rpc:
        assert len(over_rpc.segment(rose).instances) == 1
    without = RpcClient(f"grpcs://{service.target}", credentials=Credentials(None, made.ca))
    with without as over_rpc, pytest.raises(Unauthorized):
        over_rpc.segment(rose)
    assert {line.get("key") for line in service.lines("request")} >= {"cam", "boss", None}
    assert key not in str(service.lines())
    assert service.stop() == 0


def test_workers_share_a_keys_rate(serve: Serve) -> None:
    key, entry = make_key("cam", "--rate", "0.01")
    service = serve(API_KEYS=entry, WORKERS=2)
    service.wait_for("ready")
    statuses = []
    for _ in range(12):  # each over a connection of its own, which either worker takes
        answer = httpx.get(f"{service.url}/v1/models", headers={"x-api-key": key}, timeout=PATIENCE_S)
        statuses.append(answer.status_code)
    assert statuses.count(429) == 11
    with RpcClient(service.target, credentials=Credentials(key)) as over_rpc, pytest.raises(RateLimited):
        over_rpc.models()


@pytest.mark.parametrize(
    ("variable", "value", "complaint"),
    [
        ("API_KEYS", "swordfish", "BLITZ_API_KEYS=...: entry 1 is not a key"),
        ("TLS_CERT", "/nowhere/cert.pem", "BLITZ_TLS_CERT=/nowhere/cert.pem: it needs its private key"),
        ("TLS_CLIENT_CA", "/nowhere/ca.pem", "it needs a certificate"),
    ],
)
def test_a_mistake_stops_the_start_with_a_line_that_says_which(
    tmp_path: Path, variable: str, value: str, complaint: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "service", "serve"],
        cwd=ROOT,
        env={f"BLITZ_{variable}": value, "BLITZ_HTTP_PORT": "0", "BLITZ_GRPC_PORT": "0"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 2
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
    assert "swordfish" not in done.stderr + done.stdout
