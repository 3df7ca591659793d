"""The image in a body: every form in which it may come, and the refusals of others."""

import base64

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.rest import upload
from service.rest.upload import decode_base64
from tests.fakes import FakeModel, encode_picture

PICTURE = encode_picture()


async def post(client: httpx.AsyncClient, content: bytes, kind: str = "image/png") -> httpx.Response:
    return await client.post("/v1/segment", content=content, headers={"content-type": kind})


KINDS = ["text/plain", "application/x-www-form-urlencoded", "video/mp4", "application/xml", "nonsense"]


@pytest.mark.parametrize("kind", KINDS)
async def test_other_content_types_are_told_the_right_ones(client: httpx.AsyncClient, kind: str) -> None:
    answer = await post(client, b"no image", kind)
    assert answer.status_code == 415
    assert (
        f"Content-Type {kind} does not carry an image; send the image as the body (curl"
        in answer.json()["detail"]
    )


@pytest.mark.parametrize("kind", [*KINDS, "application/json", "multipart/form-data", "", "image/webp"])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp"])
async def test_an_image_is_taken_under_any_content_type(
    client: httpx.AsyncClient, kind: str, suffix: str
) -> None:
    """curl says application/x-www-form-urlencoded of --data-binary unless it is told otherwise."""
    assert (await post(client, encode_picture(suffix=suffix), kind)).status_code == 200


@pytest.mark.parametrize("start", [b" ", b"\r\n", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("kind", ["", "application/x-www-form-urlencoded", "text/plain"])
async def test_so_is_json(client: httpx.AsyncClient, kind: str, start: bytes) -> None:
    body = start + b'{"image": "%s"}' % base64.b64encode(PICTURE)
    assert (await post(client, body, kind)).status_code == 200


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
        (b'{"image": "AAAAA"}', "not base64"),
        (b'{"image": "AA==AA=="}', "not base64"),
        (b'{"image": "AA="}', "not an image"),
        (b'{"image": "data:image/png,AAAA"}', "not base64"),
        ('{"image": "äöü"}'.encode(), "not base64"),
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
        (multipart(('; name="photo"', b"no image")), "unknown form fields photo"),
        (
            multipart(('; name="image"; filename="a"', PICTURE), ('; name="model"', b"toy")),
            "form fields model",
        ),
        (multipart(*[('; name="image"; filename="a"', PICTURE)] * 2), "has 2 files, and one is expected"),
        (multipart(), "has 0 files"),
        (multipart(("", b"no image")), "unknown form fields "),
        (multipart(('; name="a"', PICTURE), ('; name="b"', PICTURE)), "has 2 files"),
        (b"--b\r\nContent-Disposition: form-data\r\n--b--", "malformed"),
        (b"--b\r\n" + b"X: y\r\n" * 1000 + b"\r\n--b--", "malformed"),
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
    answer = await post(client, multipart(), "multipart/form-data")
    assert answer.status_code == 400
    assert "boundary" in answer.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        multipart(('; name="file"; filename="cat.jpg"', PICTURE)),
        multipart(('; filename="cat.jpg"', PICTURE)),
        multipart(('; name="image"', PICTURE)),
        multipart(('; name="photo"', PICTURE)),
        multipart(("; name=\"photo\"; filename*=UTF-8''%e2%82%ac.png", PICTURE)),
        multipart(('; name="one"; filename="a"', PICTURE), ('; name="two"; filename=""', b"")),
        b"a preamble\r\n" + multipart(('; name="image"; filename="x"', PICTURE)) + b"an epilogue",
        multipart(('; name="image"; filename="x"', PICTURE)).replace(
            b"Content-Disposition", b"CONTENT-disposition"
        ),
    ],
)
async def test_the_only_file_of_a_form_is_the_image(
    client: httpx.AsyncClient, model: FakeModel, body: bytes
) -> None:
    assert (await post(client, body, 'multipart/form-data; boundary="b"')).status_code == 200
    assert model.seen == [PICTURE]


@pytest.mark.parametrize(
    "text",
    [
        "data:image/png;base64," + base64.b64encode(PICTURE).decode(),
        "DATA:;base64," + base64.b64encode(PICTURE).decode(),
        base64.b64encode(PICTURE).decode().rstrip("="),
        base64.urlsafe_b64encode(PICTURE).decode(),
        base64.encodebytes(PICTURE).decode(),
        base64.urlsafe_b64encode(PICTURE).decode().rstrip("="),
    ],
)
async def test_every_usual_form_of_base64_is_read(
    client: httpx.AsyncClient, model: FakeModel, text: str
) -> None:
    answer = await client.post("/v1/segment", json={"image": text})
    assert answer.status_code == 200, answer.text
    assert model.seen == [PICTURE]


@given(st.binary(max_size=50))
def test_base64_comes_back_as_it_was(content: bytes) -> None:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        text = encode(content).decode()
        assert decode_base64(text) == decode_base64(text.rstrip("=")) == content


def test_long_base64_is_decoded_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "BASE64_CHUNK", 8)
    assert decode_base64(base64.b64encode(PICTURE).decode()) == PICTURE


async def test_an_image_that_curl_has_cut_is_told_the_right_option(client: httpx.AsyncClient) -> None:
    for suffix, status in ((".jpg", 400), (".png", 415)):
        body = encode_picture(suffix=suffix).replace(b"\n", b"").replace(b"\r", b"")[:-2]
        answer = await post(client, body, "application/x-www-form-urlencoded")
        assert answer.status_code == status
        assert "--data-binary" in answer.json()["detail"]
