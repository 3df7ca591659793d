"""Request ids and log lines."""

import io
import json

import httpx
import pytest

from tests.fakes import FakeModel, encode_picture

PNG = {"content-type": "image/png"}


def read_lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


async def test_a_request_is_one_line_that_says_how_it_went(
    client: httpx.AsyncClient, lines: io.StringIO
) -> None:
    headers = {**PNG, "x-request-id": "cam-7/42"}
    answer = await client.post("/v1/segment", content=encode_picture(), headers=headers)
    assert answer.headers["x-request-id"] == "cam-7/42"
    (line,) = read_lines(lines)
    assert line.pop("timestamp")
    milliseconds = line.pop("ms")
    assert isinstance(milliseconds, float)
    assert milliseconds > 0
    assert line == {
        "event": "request",
        "level": "info",
        "transport": "rest",
        "request_id": "cam-7/42",
        "outcome": "ok",
        "method": "POST",
        "path": "/v1/segment",
        "status": 200,
        "model": "toy",
        "instances": 1,
    }


async def test_a_refused_request_is_logged_with_its_error_and_its_id(
    client: httpx.AsyncClient, lines: io.StringIO
) -> None:
    answer = await client.post("/v1/segment", content=b"", headers=PNG)
    (line,) = read_lines(lines)
    assert (line["outcome"], line["status"]) == ("InvalidImage", 400)
    assert line["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_probes_do_not_fill_the_log(client: httpx.AsyncClient, lines: io.StringIO, path: str) -> None:
    await client.get(path)
    assert read_lines(lines) == []


@pytest.mark.parametrize("offered", ['forged" , "level": "error', "x" * 129, "", "naïve"])
async def test_an_id_that_is_no_plain_token_is_replaced(client: httpx.AsyncClient, offered: str) -> None:
    answer = await client.get("/healthz", headers=[(b"x-request-id", offered.encode())])
    assert answer.headers["x-request-id"] not in ("", offered)
    assert len(answer.headers["x-request-id"]) == 32


async def test_two_requests_get_two_ids(client: httpx.AsyncClient) -> None:
    answers = [await client.get("/healthz") for _ in range(2)]
    assert len({answer.headers["x-request-id"] for answer in answers}) == 2


class TestUnknownErrors:
    @pytest.fixture
    def model(self) -> FakeModel:
        def fail() -> None:
            raise RuntimeError("swordfish")

        return FakeModel(before=fail)

    async def test_their_traceback_is_in_the_log_under_the_requests_id(
        self, client: httpx.AsyncClient, lines: io.StringIO
    ) -> None:
        answer = await client.post("/v1/segment", content=encode_picture(), headers=PNG)
        trace, line = read_lines(lines)
        assert "swordfish" in str(trace["exception"])
        assert trace["request_id"] == line["request_id"] == answer.headers["x-request-id"]
        assert (line["outcome"], line["status"]) == ("internal", 500)
