"""Cases that only REST has: another server that answers HTTP, and no httpx."""

import subprocess
import sys

import httpx
import pytest

from service import errors
from service.client import RestClient
from service.client.failures import problem_to_error


def client_of(status: int, body: bytes) -> RestClient:
    """A client whose server always answers the same."""
    client = RestClient("http://service")
    transport = httpx.MockTransport(lambda request: httpx.Response(status, content=body))
    client._http = httpx.Client(transport=transport, base_url="http://service")
    return client


@pytest.mark.parametrize("body", [b"<html>log in first</html>", b"{}", b"[]", b"null", b'{"image": 7}', b""])
def test_an_answer_of_something_else_is_told(body: bytes) -> None:
    with client_of(200, body) as client, pytest.raises(errors.BlitzError, match="something else"):
        client.segment(b"image")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (404, errors.RequestError),
        (500, errors.BlitzError),
        (502, errors.Unavailable),
        (503, errors.Unavailable),
    ],
)
@pytest.mark.parametrize("body", [b"<html>bad gateway</html>", b"[1]", b"{}"])
def test_without_a_problem_the_status_decides(status: int, kind: type[Exception], body: bytes) -> None:
    with client_of(status, body) as client, pytest.raises(kind, match=str(status)) as caught:
        client.segment(b"image")
    assert type(caught.value) is kind


def test_a_problem_that_is_no_name_of_ours_cannot_pick_a_class() -> None:
    problem = {"type": "urn:blitzmask:problem:annotations", "detail": "hm"}
    assert type(problem_to_error(500, problem)) is errors.BlitzError


@pytest.mark.parametrize("url", ["localhost:8000", "", "grpc://localhost:8001", "http://"])
def test_what_is_no_url_is_told_at_once(url: str) -> None:
    with pytest.raises(errors.InvalidOption, match="expected http://host:port"):
        RestClient(url)


def test_a_server_that_takes_too_long_is_told() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("slow", request=request)

    client = RestClient("http://service")
    client._http = httpx.Client(transport=httpx.MockTransport(answer), base_url="http://service")
    with client, pytest.raises(errors.DeadlineExceeded, match="http://service did not answer in time"):
        client.segment(b"image")


def test_without_httpx_grpc_works_and_rest_says_what_to_install() -> None:
    program = """
import sys
sys.modules["httpx"] = None
from service.client import RestClient, RpcClient
RpcClient("localhost:1").close()
try:
    RestClient("http://localhost:1")
except ImportError as error:
    print(error)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "REST needs httpx: pip install httpx, or use RpcClient\n"


def test_the_client_loads_no_runtime_and_no_server() -> None:
    program = "import sys, service.client; print(*{name.partition('.')[0] for name in sys.modules})"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"onnxruntime", "ai_edge_litert", "fastapi", "httpx", "uvicorn", "scipy"} & set(
        ran.stdout.split()
    )
