"""The Open Inference Protocol, by itself and against the service."""

import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from loadtest.commands.accuracy import read_detections
from loadtest.generators import open_client
from loadtest.generators.oip import pack_document, pack_message, read_document
from loadtest.measurement.fake_server import FakeServer, Reply
from loadtest.measurement.server_info import probe
from loadtest.measurement.server_process import Serving, serving
from loadtest.types import OK, Ask, CannotRun, Form, Photo, Target, to_parameters
from service.client.credentials import Credentials
from service.security.callers import hash_key
from service.types import Options
from tests.certificates import make_authority
from tests.service.conftest import WriteToy, toy_files, write_toy

__all__ = ["toy_files", "write_toy"]  # fixtures

REPLY = json.dumps(
    {
        "model_name": "fake",
        "model_version": "1",
        "outputs": [
            {"name": name, "data": []} for name in ("image_size", "boxes", "scores", "labels", "rles")
        ],
    }
).encode()
FORMS: tuple[Form, ...] = (("native", "rest"), ("native", "grpc"), ("oip", "rest"), ("oip", "grpc"))
ASK = Ask("m", Options(score_threshold=0.25, max_instances=7, classes=("person", "cat"), masks="none"))


def target_of(server: Serving, form: Form, shown: Credentials | None = None) -> Target:
    """The target of one form; over TLS when there are credentials."""
    protocol, transport = form
    port = {"rest": server.http_port, "grpc": server.grpc_port}[transport]
    target = Target(
        transport, "localhost", port, Ask("toy", Options(score_threshold=0.01)), protocol=protocol
    )
    return target if shown is None else dataclasses.replace(target, secure=True, credentials=shown)


def test_what_is_asked_goes_along_as_parameters(photo: Photo) -> None:
    body, length = pack_document(ASK, photo)
    message = pack_message(ASK, photo)
    assert b'"score_threshold": 0.25' in body[:length]
    assert body[length + 4 :] == message.raw_input_contents[0][4:] == photo.data
    assert message.parameters["max_instances"].int64_param == 7
    assert message.parameters["score_threshold"].double_param == 0.25
    assert message.parameters["classes"].string_param == "person,cat"
    assert to_parameters(Ask("m")) == {}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"outputs": [{}]}', b'{"model_name": "m"}'])
def test_a_body_that_is_no_reply_is_named(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"reply|Expecting"):
        read_document(body)


async def test_a_server_of_that_protocol_is_known_by_its_boxes(fake: FakeServer, photo: Photo) -> None:
    fake.script = lambda _: Reply(body=REPLY)
    rest = Target("rest", "127.0.0.1", fake.port, Ask("fake"), protocol="oip")
    grpc = Target("grpc", "127.0.0.1", fake.grpc_port, Ask("fake"), protocol="oip")
    found, _ = await probe(rest, [photo])
    assert found == (await probe(grpc, [photo]))[0]
    assert (found.model, found.version, found.runtime) == ("fake", "1", None)
    assert fake.heads[0].startswith(b"POST /v2/models/fake/infer HTTP/1.1\r\n")
    fake.script = lambda _: Reply(body=b'{"model_name": "m", "model_version": "1", "outputs": []}')
    with pytest.raises(CannotRun, match="right server"):
        await probe(rest, [photo])


@pytest.fixture(scope="module")
def picture() -> Photo:
    noise = np.random.default_rng(1).integers(0, 255, (96, 128, 3), np.uint8)
    done, data = cv2.imencode(".png", noise)
    assert done
    return Photo("noise.png", "image/png", bytes(data))


async def test_all_ways_to_ask_find_the_same(picture: Photo, write_toy: WriteToy, tmp_path: Path) -> None:
    write_toy(tmp_path / "toy")
    found = []
    with serving(tmp_path) as server:
        for form in FORMS:
            client = open_client(target_of(server, form))
            answer = await client.send(picture)
            await client.close()
            assert answer.kind == OK, answer
            found.append(list(read_detections(form, answer.body)))
    assert len(found[0]) > 0
    for other in found[1:]:
        assert [one["segmentation"] for one in other] == [one["segmentation"] for one in found[0]]
        assert [one["label"] for one in other] == [one["label"] for one in found[0]]
        np.testing.assert_allclose(
            [one["bbox"] for one in other], [one["bbox"] for one in found[0]], rtol=1e-5
        )


async def test_keys_and_tls_are_spoken_in_all_ways(
    picture: Photo, write_toy: WriteToy, tmp_path: Path
) -> None:
    write_toy(tmp_path / "models" / "toy")
    authority = make_authority(tmp_path)
    settings = {
        "BLITZ_API_KEYS": hash_key("secret"),
        "BLITZ_TLS_CERT": str(authority.server.cert),
        "BLITZ_TLS_KEY": str(authority.server.key),
    }
    shown = Credentials("secret", ca=authority.ca)
    with serving(tmp_path / "models", settings=settings) as server:
        for form in FORMS:
            assert await kind_of(target_of(server, form, shown), picture) == OK
            refused = await kind_of(target_of(server, form, Credentials(ca=authority.ca)), picture)
            assert refused in ("http 401", "UNAUTHENTICATED")
            assert await kind_of(target_of(server, form, Credentials("secret")), picture) not in (OK, refused)


async def kind_of(target: Target, photo: Photo) -> str:
    client = open_client(target)
    try:
        return (await client.send(photo)).kind
    finally:
        await client.close()
