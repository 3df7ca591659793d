"""Every error has one face, and a status."""

import httpx
import pytest

from service import errors
from service.rest.problem import STATUS
from service.rest.schemas import Problem
from service.rest.server import create_app
from service.serving.admission import Admission
from service.serving.engine import Engine
from service.telemetry.metrics import Metrics
from tests.fakes import FakeCatalog, FakeModel, encode_picture

PNG = {"content-type": "image/png"}


def leaves(kind: type[errors.BlitzError]) -> list[type[errors.BlitzError]]:
    below = kind.__subclasses__()
    return [leaf for child in below for leaf in leaves(child)] if below else [kind]


def test_every_error_of_the_tree_has_a_status() -> None:
    assert set(STATUS) == set(leaves(errors.BlitzError))


def test_what_the_caller_can_mend_is_a_4xx_and_what_it_can_wait_for_a_5xx_or_429() -> None:
    for kind, status in STATUS.items():
        waits = status in (429, 503, 504)
        assert waits == issubclass(kind, errors.Unavailable), kind
        assert (status < 500 and not waits) == issubclass(kind, errors.RequestError), kind


def read_problem(answer: httpx.Response) -> Problem:
    assert answer.headers["content-type"] == "application/problem+json"
    problem = Problem.model_validate_json(answer.content)
    assert problem.status == answer.status_code
    assert problem.instance == f"urn:request:{answer.headers['x-request-id']}"
    return problem


@pytest.mark.parametrize("kind", leaves(errors.BlitzError))
async def test_each_error_is_answered_with_its_text(kind: type[errors.BlitzError]) -> None:
    def fail() -> None:
        raise kind("what to do")

    async with service(FakeModel(before=fail)) as client:
        answer = await client.post("/v1/segment", content=encode_picture(), headers=PNG)
    problem = read_problem(answer)
    assert answer.status_code == STATUS[kind]
    assert problem.type == f"urn:blitzmask:problem:{kind.__name__}"
    assert problem.detail == "what to do"
    assert problem.title
    assert ("retry-after" in answer.headers) == (answer.status_code in (429, 503))


async def test_an_unknown_error_leaks_nothing() -> None:
    def fail() -> None:
        raise RuntimeError("the password is swordfish")

    async with service(FakeModel(before=fail)) as client:
        answer = await client.post("/v1/segment", content=encode_picture(), headers=PNG)
        assert (await client.get("/healthz")).status_code == 200
    assert read_problem(answer).status == 500
    assert b"swordfish" not in answer.content
    assert b"RuntimeError" not in answer.content


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/v1/segment/", 404),
        ("GET", "/v1/segment", 405),
        ("DELETE", "/healthz", 405),
        ("POST", "/v1/models", 405),
        ("GET", "/v1/models/none", 404),
        ("GET", "/v1/models/toy?version=9", 404),
        ("GET", "/v1/models?x=1", 400),
        ("GET", "/v1/models/toy?x=1", 400),
    ],
)
async def test_wrong_paths_and_methods_are_problems_too(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    answer = await client.request(method, path)
    assert read_problem(answer).status == status
    assert ("allow" in answer.headers) == (status == 405)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/segment", "POST"),
        ("/healthz", "GET, HEAD"),
        ("/v2/models/toy/ready", "GET, HEAD"),
        ("/v2/models/toy/infer", "POST"),
        ("/docs", "GET, HEAD"),
        ("/", "GET, HEAD"),
    ],
)
async def test_a_wrong_method_is_told_the_right_ones(
    client: httpx.AsyncClient, path: str, allowed: str
) -> None:
    assert (await client.request("DELETE", path)).headers["allow"] == allowed


@pytest.mark.parametrize("path", ["/healthz", "/v1/models", "/v2/models/toy", "/openapi.json", "/docs", "/"])
async def test_head_is_answered_wherever_get_is(client: httpx.AsyncClient, engine: Engine, path: str) -> None:
    head, get = await client.head(path), await client.get(path)
    assert head.status_code == get.status_code == 200
    assert head.headers["content-length"] == get.headers["content-length"]
    counted = path.replace("/toy", "/{name}")
    assert f'method="HEAD {counted}"'.encode() in engine.metrics.exposition()


async def test_no_memory_is_a_503(engine: Engine) -> None:
    def fail() -> None:
        raise MemoryError

    async with service(FakeModel(before=fail)) as client:
        answer = await client.post("/v1/segment", content=encode_picture(), headers=PNG)
    problem = read_problem(answer)
    assert (problem.status, problem.type) == (503, "urn:blitzmask:problem:OutOfMemory")
    assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("score_treshold=0.5", "score_treshold is not an option of this path; /docs lists them"),
        ("score_threshold=2", "score_threshold: input should be less than or equal to 1"),
        ("score_threshold=-0.1", "score_threshold"),
        ("score_threshold=nan", "score_threshold"),
        ("score_threshold=high", "score_threshold: input should be a valid number"),
        ("max_instances=0", "max_instances"),
        ("max_instances=1.5", "max_instances"),
        ("max_instances=101", "max_instances is 101, expected 1 to 100"),
        ("classes=unicorn", "unknown classes 'unicorn'; toy knows cat, dog"),
        ("classes=", "classes is empty"),
        ("classes=,", "classes is empty"),
        ("masks=polygons", "masks: input should be 'rle', 'rle_crop', 'polygon', 'contour' or 'none'"),
        ("image_id=first", "image_id"),
        ("image_id=9223372036854775808", "image_id"),
        ("a=1&b=2", "a is not an option of this path; /docs lists them; b is not"),
    ],
)
async def test_options_that_are_none_are_refused_by_name(
    client: httpx.AsyncClient, query: str, text: str
) -> None:
    answer = await client.post(f"/v1/segment?{query}", content=encode_picture(), headers=PNG)
    problem = read_problem(answer)
    assert problem.status == 400
    assert problem.type == "urn:blitzmask:problem:InvalidOption"
    assert text in problem.detail


async def test_before_models_are_loaded_everything_but_life_is_not_ready() -> None:
    engine = Engine(Admission(1, 1), Metrics(), timeout_s=1)
    async with asked(engine) as client:
        for path in ("/readyz", "/v1/models", "/v1/models/toy"):
            answer = await client.get(path)
            assert read_problem(answer).detail == "models are loading"
            assert answer.status_code == 503
        assert (await client.post("/v1/segment", content=b"x", headers=PNG)).status_code == 503
        assert (await client.get("/healthz")).status_code == 200


def asked(engine: Engine) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(create_app(engine, max_body=100_000))
    return httpx.AsyncClient(transport=transport, base_url="http://service")


def service(model: FakeModel) -> httpx.AsyncClient:
    engine = Engine(Admission(1, 1), Metrics(), timeout_s=1)
    engine.use(FakeCatalog(model))
    return asked(engine)
