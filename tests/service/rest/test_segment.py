"""The answers of `POST /v1/segment`."""

import base64
import io
import json
import math
import pickle
import zipfile
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from pycocotools import mask as coco
from pycocotools.coco import COCO

from service.inference.masks.rle import decode_rle
from service.rest import schemas
from service.rest.formats import CUTOUT, FORMATS, MASKED, ZIP, Picture, choose_renderer
from service.rest.schemas import CocoResult, SegmentAnswer
from service.rest.server import create_app
from service.security.fetching import Fetcher, Host
from service.serving.engine import Engine
from service.types import Answer, Options, Pixels, Rle, Size
from tests.fakes import SCORE, FakeModel, encode_picture
from tests.service.rest.conftest import MAX_BODY

PICTURE = encode_picture(60, 30)
PNG = {"content-type": "image/png"}


async def post(client: httpx.AsyncClient, **query: str | int | float | list[str]) -> httpx.Response:
    return await client.post("/v1/segment", content=PICTURE, headers=PNG, params=query)


async def test_an_image_gives_its_instances_as_the_description_says(client: httpx.AsyncClient) -> None:
    answer = await post(client)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    content = SegmentAnswer.model_validate_json(answer.content)
    (instance,) = content.instances
    assert (content.image.height, content.image.width) == (30, 60)
    assert (content.model, content.version) == ("toy", "1")
    assert (instance.label, instance.category_id, instance.score) == ("cat", 3, SCORE)
    assert instance.bbox == (20, 10, 20, 10)
    assert isinstance(instance.segmentation, schemas.Rle)
    assert isinstance(instance.segmentation.counts, str)
    mask = decode_rle(Rle(Size(*instance.segmentation.size), instance.segmentation.counts))
    assert mask.shape == (30, 60)
    assert mask.sum() == instance.area == 200


async def test_stages_are_in_the_answer_and_in_the_server_timing_header(client: httpx.AsyncClient) -> None:
    answer = await post(client)
    timings = answer.json()["timings_ms"]
    header = dict(part.split(";dur=") for part in answer.headers["server-timing"].split(", "))
    assert list(header) == [*list(timings)[:-1], "render", "total"]
    assert header["infer"] == "10.000"
    assert float(header["render"]) > 0
    assert float(header["total"]) == pytest.approx(timings["total"] + float(header["render"]), abs=2e-3)
    assert timings["infer"] == 10
    assert timings["total"] == 12.917
    assert timings["queue"] >= 0


@pytest.mark.parametrize(
    "kind", ["image/jpeg", "image/png", "image/whatever", "application/octet-stream", "IMAGE/PNG; a=b", None]
)
async def test_the_image_may_be_the_body(
    client: httpx.AsyncClient, model: FakeModel, kind: str | None
) -> None:
    headers = {"content-type": kind} if kind else {}
    answer = await client.post("/v1/segment", content=PICTURE, headers=headers)
    assert answer.status_code == 200
    assert model.seen == [PICTURE]


async def test_the_image_may_be_a_multipart_field(client: httpx.AsyncClient, model: FakeModel) -> None:
    answer = await client.post("/v1/segment", files={"image": ("photo.png", PICTURE, "image/png")})
    assert answer.status_code == 200
    assert model.seen == [PICTURE]


@pytest.mark.parametrize("encode", [base64.b64encode, base64.encodebytes])
async def test_the_image_may_be_base64_in_json(
    client: httpx.AsyncClient, model: FakeModel, encode: object
) -> None:
    assert callable(encode)
    answer = await client.post("/v1/segment", json={"image": encode(PICTURE).decode()})
    assert answer.status_code == 200
    assert model.seen == [PICTURE]


async def test_options_reach_the_model(client: httpx.AsyncClient) -> None:
    assert (await post(client, score_threshold=0.99)).json()["instances"] == []
    assert (await post(client, classes="dog")).json()["instances"] == []
    assert len((await post(client, classes="dog, cat")).json()["instances"]) == 1
    assert len((await post(client, classes=["dog", "cat"])).json()["instances"]) == 1
    (boxed,) = (await post(client, masks="none")).json()["instances"]
    assert set(boxed) == {"label", "category_id", "score", "bbox"}


async def test_model_and_version_choose_who_answers(client: httpx.AsyncClient) -> None:
    assert (await post(client, model="other")).json()["version"] == "2"
    assert (await post(client, model="", version="")).json()["model"] == "toy"


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools and numpy 2
async def test_coco_results_load_as_they_are(client: httpx.AsyncClient) -> None:
    accept = {**PNG, "accept": "application/x-coco-results+json"}
    answer = await client.post("/v1/segment", content=PICTURE, headers=accept, params={"image_id": 42})
    assert answer.headers["content-type"] == "application/x-coco-results+json"
    results = answer.json()
    for result in results:
        CocoResult.model_validate(result)
    truth = COCO()
    truth.dataset = {
        "images": [{"id": 42, "height": 30, "width": 60}],
        "categories": [{"id": 3, "name": "cat"}],
        "annotations": [],
    }
    truth.createIndex()
    loaded = truth.loadRes(results)
    (annotation,) = loaded.loadAnns(loaded.getAnnIds(imgIds=[42]))
    assert annotation["category_id"] == 3
    assert loaded.annToMask(annotation).sum() == 200


@pytest.mark.parametrize("masks", ["rle", "rle_crop", "polygon", "contour", "none"])
async def test_every_form_of_masks_is_as_described(client: httpx.AsyncClient, masks: str) -> None:
    answer = await post(client, masks=masks)
    content = SegmentAnswer.model_validate_json(answer.content)
    assert content.model_dump(mode="json", exclude_none=True) == answer.json()


async def test_a_crop_is_the_middle_and_where_it_lies(client: httpx.AsyncClient) -> None:
    (instance,) = (await post(client, masks="rle_crop")).json()["instances"]
    # pycocotools: a window of ones
    assert instance["segmentation"] == {"size": [10, 20], "counts": "0X6", "offset": [20, 10]}


async def test_a_polygon_is_the_ring_around_the_middle(client: httpx.AsyncClient) -> None:
    (instance,) = (await post(client, masks="polygon")).json()["instances"]
    assert instance["segmentation"] == {"rings": [[20, 20, 20, 10, 40, 10, 40, 20]]}


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools and numpy 2
@pytest.mark.parametrize(("masks", "size"), [("rle", [30, 60]), ("rle_crop", [10, 20])])
async def test_run_lengths_can_be_lists_of_numbers(
    client: httpx.AsyncClient, masks: str, size: list[int]
) -> None:
    answer = await post(client, masks=masks, format="uncompressed")
    content = SegmentAnswer.model_validate_json(answer.content)
    assert content.model_dump(mode="json", exclude_none=True) == answer.json()
    (instance,) = answer.json()["instances"]
    form = {"size": size, "counts": instance["segmentation"]["counts"]}
    mask = coco.decode(coco.frPyObjects(form, *size))
    assert mask.sum() == instance["area"] == 200


@pytest.mark.parametrize(("media", "masks"), [("application/json", "polygon"), (ZIP, "rle")])
async def test_lists_of_numbers_are_refused_where_there_are_no_run_lengths(
    client: httpx.AsyncClient, media: str, masks: str
) -> None:
    query = {"masks": masks, "format": "uncompressed"}
    answer = await client.post("/v1/segment", content=PICTURE, headers={**PNG, "accept": media}, params=query)
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("format=uncompressed is for application/json")


@pytest.mark.parametrize("tolerance", ["-1", "101", "nan", "wide"])
async def test_a_tolerance_that_is_none_is_refused(client: httpx.AsyncClient, tolerance: str) -> None:
    answer = await post(client, masks="contour", tolerance=tolerance)
    assert answer.status_code == 400
    assert "tolerance" in answer.json()["detail"]


async def test_a_cut_out_is_the_picture_where_an_instance_is(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/segment", content=PICTURE, headers={**PNG, "accept": CUTOUT})
    assert answer.headers["content-type"] == CUTOUT
    cutout, plain = read_pixels(answer.content), read_pixels(PICTURE)
    inside = np.zeros((30, 60), bool)
    inside[10:20, 20:40] = True
    assert np.array_equal(cutout[..., 3], np.where(inside, 255, 0))
    assert np.array_equal(cutout[inside][:, :3], plain[inside])


async def test_a_zip_holds_each_instance_and_the_answer(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/segment", content=PICTURE, headers={**PNG, "accept": ZIP})
    assert answer.headers["content-type"] == ZIP
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.namelist() == ["001-cat.png", "answer.json"]
    cutout = read_pixels(archive.read("001-cat.png"))
    assert np.array_equal(cutout[..., :3], read_pixels(PICTURE)[10:20, 20:40])
    assert (cutout[..., 3] == 255).all()
    native = (await post(client)).json()
    assert without_times(json.loads(archive.read("answer.json"))) == without_times(native)


def read_pixels(data: bytes) -> Pixels:
    """BGR or BGRA."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert pixels is not None
    return pixels.astype(np.uint8)


@pytest.mark.parametrize("masks", ["rle", "rle_crop", "polygon"])
async def test_a_label_map_has_the_number_of_an_instance_at_its_pixels(
    client: httpx.AsyncClient, masks: str
) -> None:
    headers = {**PNG, "accept": "image/png;type=labelmap"}
    answer = await client.post("/v1/segment", content=PICTURE, headers=headers, params={"masks": masks})
    assert answer.headers["content-type"] == "image/png;type=labelmap"
    labels = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_UNCHANGED)
    expected = np.zeros((30, 60), np.uint16)
    expected[10:20, 20:40] = 1
    assert labels is not None
    assert labels.dtype == np.uint16
    assert np.array_equal(labels, expected)


@pytest.mark.parametrize("masks", ["rle", "rle_crop", "polygon"])
async def test_coco_results_have_whole_rles_whatever_is_asked(client: httpx.AsyncClient, masks: str) -> None:
    headers = {**PNG, "accept": "application/x-coco-results+json"}
    answer = await client.post("/v1/segment", content=PICTURE, headers=headers, params={"masks": masks})
    (result,) = answer.json()
    assert result["segmentation"]["size"] == [30, 60]
    assert set(result["segmentation"]) == {"size", "counts"}


@pytest.mark.parametrize("media", MASKED)
async def test_what_is_made_of_masks_cannot_be_given_without(
    client: httpx.AsyncClient, model: FakeModel, media: str
) -> None:
    headers = {**PNG, "accept": media}
    answer = await client.post("/v1/segment", content=PICTURE, headers=headers, params={"masks": "none"})
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith(f"masks is none, and {media} is made of them")
    assert not model.seen


async def test_a_form_of_masks_that_nobody_knows_is_refused(client: httpx.AsyncClient) -> None:
    answer = await post(client, masks="polygons")
    assert answer.status_code == 400
    for known in ("rle", "rle_crop", "polygon", "contour", "none"):
        assert f"'{known}'" in answer.json()["detail"]


@pytest.mark.parametrize("media", ["image/png", "image/jpeg"])
async def test_an_accepted_picture_is_the_image_with_the_masks_on_it(
    client: httpx.AsyncClient, media: str
) -> None:
    answer = await client.post("/v1/segment", content=PICTURE, headers={**PNG, "accept": media})
    assert answer.headers["content-type"] == media
    drawn = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)
    plain = cv2.imdecode(np.frombuffer(PICTURE, np.uint8), cv2.IMREAD_COLOR)
    assert drawn is not None
    assert plain is not None
    assert drawn.shape == plain.shape
    difference = np.abs(drawn.astype(int) - plain.astype(int)).mean(axis=2)
    assert difference[12:18, 25:35].mean() > 20
    if media == "image/png":
        assert difference[25:, 45:].max() == 0


@pytest.mark.parametrize("media", [media for media in FORMATS if media != "application/json"])
async def test_what_an_answer_cannot_say_of_who_computed_it_its_headers_do(
    client: httpx.AsyncClient, media: str
) -> None:
    native = (await post(client, model="other")).json()
    headers = {**PNG, "accept": media}
    answer = await client.post("/v1/segment", content=PICTURE, headers=headers, params={"model": "other"})
    assert answer.headers["x-model"] == native["model"] == "other"
    assert answer.headers["x-model-version"] == native["version"] == "2"
    assert json.loads(answer.headers["x-backend"]) == native["backend"]


async def test_accept_may_stand_on_several_lines(client: httpx.AsyncClient) -> None:
    headers = [*PNG.items(), ("accept", "text/html"), ("accept", "image/jpeg;q=0.5")]
    answer = await client.post("/v1/segment", content=PICTURE, headers=headers)
    assert answer.headers["content-type"] == "image/jpeg"


async def test_an_answer_format_nobody_has_is_not_acceptable(
    client: httpx.AsyncClient, model: FakeModel
) -> None:
    answer = await client.post("/v1/segment", content=PICTURE, headers={**PNG, "accept": "text/csv"})
    assert answer.status_code == 406
    assert "application/x-coco-results+json" in answer.json()["detail"]
    assert not model.seen


@pytest.mark.parametrize("wish", ["0", "-1", "nan", "inf", "soon"])
async def test_a_timeout_that_is_none_is_refused(client: httpx.AsyncClient, wish: str) -> None:
    answer = await client.post("/v1/segment", content=PICTURE, headers={**PNG, "x-request-timeout": wish})
    assert answer.status_code == 400
    assert "x-request-timeout" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("", {}),
        ("score_threshold=0.1&masks=none&classes=cat&classes=dog&max_instances=5&nms=all&exact=true", {}),
        ("image_id=7", {"accept": "application/x-coco-results+json"}),
        ("score_threshold=2", {}),
        ("colour=red", {}),
        ("model=none", {}),
        ("", {"accept": "text/html"}),
        ("", {"x-request-timeout": "0"}),
        ("", {"x-request-timeout": "5"}),
        ("classes=", {}),
    ],
)
async def test_the_fast_path_answers_as_the_declared_endpoint(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, query: str, headers: dict[str, str]
) -> None:
    """The OpenAPI description comes from the endpoint, and the fast path does not call it."""
    asked = PNG | {"x-request-id": "same"} | headers
    fast = await client.post(f"/v1/segment?{query}", content=encode_picture(), headers=asked)
    monkeypatch.setattr("service.rest.app.asks_segment", lambda scope: False)
    declared = await client.post(f"/v1/segment?{query}", content=encode_picture(), headers=asked)
    assert (fast.status_code, without_times(fast.json())) == (
        declared.status_code,
        without_times(declared.json()),
    )
    assert set(fast.headers) == set(declared.headers)


def without_times(content: Any) -> Any:
    """An answer without the parts that differ between two runs."""
    return (
        {name: value for name, value in content.items() if name != "timings_ms"}
        if isinstance(content, dict)
        else content
    )


@pytest.mark.parametrize("media", FORMATS)
def test_every_renderer_can_be_sent_to_another_process(media: str) -> None:
    picture = Picture(encode_picture(), "image/png", FakeModel.limits)
    render = pickle.loads(pickle.dumps(choose_renderer(media, picture, image_id=3)))
    answer = Answer(FakeModel().segment(picture.body, Options()), queue_ms=0.5)
    assert render(answer) == choose_renderer(media, picture, image_id=3)(answer)


@pytest.mark.parametrize("tiles", ["auto", "1", "32"])
async def test_a_picture_may_be_cut_into_tiles(client: httpx.AsyncClient, tiles: str) -> None:
    answer = await client.post("/v1/segment", params={"tiles": tiles}, content=encode_picture(), headers=PNG)
    assert answer.status_code == 200
    assert len(answer.json()["instances"]) == 1


@pytest.mark.parametrize("tiles", ["0", "-3", "33", "many", "1.5", ""])
async def test_tiles_that_the_service_does_not_make_are_refused(
    client: httpx.AsyncClient, tiles: str
) -> None:
    answer = await client.post("/v1/segment", params={"tiles": tiles}, content=encode_picture(), headers=PNG)
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:blitzmask:problem:InvalidOption")
    assert "tiles" in answer.json()["detail"]


async def test_a_url_is_refused_unless_hosts_are_listed(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/segment", json={"url": "http://pictures.example/cat.jpg"})
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:blitzmask:problem:InvalidOption")
    assert "fetches no pictures" in answer.json()["detail"]


class Pictures(Fetcher):
    """Fetches a drawn picture, from the hosts that it lists."""

    def fetch(self, url: str, deadline: float = math.inf) -> bytes:
        assert deadline < math.inf
        return encode_picture()


async def test_a_picture_is_fetched_from_a_listed_host(engine: Engine) -> None:
    app = create_app(engine, max_body=MAX_BODY)
    app.state.fetcher = Pictures((Host("pictures.example"),), MAX_BODY)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        answer = await client.post("/v1/segment", json={"url": "https://pictures.example/cat.jpg"})
        refused = await client.post("/v1/segment", json={"url": "https://other.example/cat.jpg"})
    assert answer.json()["instances"][0]["label"] == "cat"
    assert (refused.status_code, app.state.bodies.held) == (400, 0)
