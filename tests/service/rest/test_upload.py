"""Bodies that cannot be taken, and when they are refused."""

import base64
import gzip
from collections.abc import AsyncIterator

import httpx
import pytest

from service.serving.engine import Engine
from tests.fakes import FakeModel, encode_picture

PICTURE = encode_picture()
MAX_BODY = 100_000


async def post(client: httpx.AsyncClient, content: bytes, kind: str = "image/png") -> httpx.Response:
    return await client.post("/v1/segment", content=content, headers={"content-type": kind})


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "video/mp4", "application/xml", "nonsense"]
)
async def test_other_content_types_are_told_what_would_do(client: httpx.AsyncClient, kind: str) -> None:
    answer = await post(client, PICTURE, kind)
    assert answer.status_code == 415
    assert (
        f"Content-Type {kind} does not carry an image; send the image as the body" in answer.json()["detail"]
    )


@pytest.mark.parametrize("kind", ["image/jpeg", "application/json", "multipart/form-data; boundary=b"])
async def test_an_empty_body_is_told_what_would_do(client: httpx.AsyncClient, kind: str) -> None:
    answer = await post(client, b"", kind)
    assert answer.status_code == 400
    assert "the body is empty; send the image" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"{", "not JSON"),
        (b'["image"]', 'not {"image": "<base64>"}'),
        (b"{}", 'not {"image": "<base64>"}'),
        (b'{"image": 5}', 'not {"image": "<base64>"}'),
        (b'{"image": null}', 'not {"image": "<base64>"}'),
        (b'{"image": ""}', "0 bytes"),
        (b'{"image": "not base64!"}', "not base64"),
        (b'{"image": "AAA"}', "not base64"),
        ('{"image": "äöü"}'.encode(), "not base64"),
        (b'{"image": "data:image/png;base64,AAAA"}', "not base64"),
        (b'{"image": "AAAA", "model": "toy"}', "unknown JSON fields model: options go into the query"),
        (b'{"image": "AAAA", "image_url": "http://x"}', "unknown JSON fields image_url"),
    ],
)
async def test_json_of_another_shape_is_refused(client: httpx.AsyncClient, body: bytes, text: str) -> None:
    answer = await post(client, body, "application/json")
    assert answer.status_code == 400
    assert text in answer.json()["detail"]


def multipart(*parts: tuple[str, bytes]) -> bytes:
    """Parts as (header's parameters, content), with the boundary `b`."""
    sections = (
        b"--b\r\nContent-Disposition: form-data" + head.encode() + b"\r\n\r\n" + content
        for head, content in parts
    )
    return b"\r\n".join((*sections, b"--b--\r\n"))


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (multipart(('; name="image"', PICTURE)), "it has no file name"),
        (multipart(('; name="photo"; filename="a.png"', PICTURE)), "unknown form fields photo"),
        (
            multipart(('; name="image"; filename="a"', PICTURE), ('; name="model"', b"toy")),
            "form fields model",
        ),
        (multipart(*[('; name="image"; filename="a"', PICTURE)] * 2), 'has 2 fields "image", not one'),
        (multipart(), "has 0 fields"),
        (multipart(('; filename="a"', PICTURE)), "unknown form fields "),
        (multipart(('; name="image"; filename="a"', b"")), "0 bytes"),
        (multipart(('; name="image"; filename="a"', PICTURE))[:-30], "cut off"),
        (b"--other\r\n", "malformed"),
        (b"\x00" * 50, "malformed"),
    ],
)
async def test_forms_of_another_shape_are_refused(client: httpx.AsyncClient, body: bytes, text: str) -> None:
    answer = await post(client, body, "multipart/form-data; boundary=b")
    assert answer.status_code == 400
    assert text in answer.json()["detail"]


async def test_a_form_without_a_boundary_is_refused(client: httpx.AsyncClient) -> None:
    answer = await post(client, PICTURE, "multipart/form-data")
    assert answer.status_code == 400
    assert "boundary" in answer.json()["detail"]


@pytest.mark.parametrize("encoding", ["gzip", "br", "identity, gzip"])
async def test_a_compressed_body_is_refused_as_such(client: httpx.AsyncClient, encoding: str) -> None:
    headers = {"content-type": "image/png", "content-encoding": encoding}
    answer = await client.post("/v1/segment", content=gzip.compress(PICTURE), headers=headers)
    assert answer.status_code == 415
    assert f"Content-Encoding {encoding} is not read here" in answer.json()["detail"]


async def test_a_body_that_is_said_to_be_as_it_is_is_taken(client: httpx.AsyncClient) -> None:
    headers = {"content-type": "image/png", "content-encoding": "Identity"}
    assert (await client.post("/v1/segment", content=PICTURE, headers=headers)).status_code == 200


async def test_a_declared_length_beyond_the_limit_is_refused_before_anything_is_read(
    client: httpx.AsyncClient,
) -> None:
    async def never_read() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    headers = {"content-type": "image/png", "content-length": str(MAX_BODY + 1)}
    answer = await client.post("/v1/segment", content=never_read(), headers=headers)
    assert answer.status_code == 413
    assert f"larger than the {MAX_BODY} bytes" in answer.json()["detail"]


async def test_a_body_that_grows_beyond_the_limit_is_refused_while_it_arrives(
    client: httpx.AsyncClient,
) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 10_000
            yield bytes(10_000)

    answer = await client.post("/v1/segment", content=endless(), headers={"content-type": "image/png"})
    assert answer.status_code == 413
    assert sent <= MAX_BODY + 10_000


async def test_a_body_of_exactly_the_limit_is_read(client: httpx.AsyncClient, model: FakeModel) -> None:
    await post(client, PICTURE + bytes(MAX_BODY - len(PICTURE)))
    assert [len(seen) for seen in model.seen] == [MAX_BODY]


async def test_base64_counts_as_it_is_sent(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "/v1/segment", json={"image": base64.b64encode(bytes(MAX_BODY - 1000)).decode()}
    )
    assert answer.status_code == 413


async def test_a_body_that_does_not_arrive_in_time_is_given_up(
    client: httpx.AsyncClient, engine: Engine
) -> None:
    async def stalled() -> AsyncIterator[bytes]:
        yield PICTURE[:10]
        await engine.stopping.wait()  # for ever

    headers = {"content-type": "image/png", "x-request-timeout": "0.02"}
    answer = await client.post("/v1/segment", content=stalled(), headers=headers)
    assert answer.status_code == 504
    assert "before the body had arrived" in answer.json()["detail"]
