"""Models, probes, metrics."""

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.rest.schemas import Liveness, ModelAnswer, ModelsAnswer, Readiness
from service.rest.server import create_app
from service.serving.admission import Admission
from service.serving.engine import Engine
from service.telemetry.metrics import Metrics
from tests.fakes import encode_picture

PNG = {"content-type": "image/png"}


async def test_models_are_listed_with_the_default_first_and_the_refused_with_their_reason(
    client: httpx.AsyncClient,
) -> None:
    content = ModelsAnswer.model_validate_json((await client.get("/v1/models")).content)
    assert [(model.name, model.version) for model in content.models] == [("toy", "1"), ("other", "2")]
    assert content.models[0].labels == ["cat", "dog"]
    assert [(category.id, category.name) for category in content.models[0].categories] == [
        (3, "cat"),
        (8, "dog"),
    ]
    assert content.models[0].backend.in_effect == ["CPU"]
    assert content.refused == {"broken": "its hash is wrong"}


async def test_one_model_is_described_as_it_is_in_the_list(client: httpx.AsyncClient) -> None:
    listed = (await client.get("/v1/models")).json()["models"]
    answer = await client.get("/v1/models/other", params={"version": "2"})
    ModelAnswer.model_validate_json(answer.content)
    assert answer.json() == listed[1]


async def test_alive_is_alive(client: httpx.AsyncClient) -> None:
    Liveness.model_validate_json((await client.get("/healthz")).content)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"])
async def test_probes_may_be_asked_for_their_status_alone(
    client: httpx.AsyncClient, engine: Engine, path: str
) -> None:
    assert (await client.head(path)).status_code == 200
    engine.stop()
    assert (await client.head(path)).status_code == (await client.get(path)).status_code


async def test_ready_names_the_models_and_the_backends_in_effect(client: httpx.AsyncClient) -> None:
    content = Readiness.model_validate_json((await client.get("/readyz")).content)
    assert content.models
    assert [model.name for model in content.models] == ["toy", "other"]
    assert content.models[0].backend.runtime == "fake"
    assert content.refused == {"broken": "its hash is wrong"}


async def test_not_ready_says_why(engine: Engine, client: httpx.AsyncClient) -> None:
    engine.fail("toy: its golden values are off by 3")
    answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["detail"] == "toy: its golden values are off by 3"


def read_samples(exposition: str) -> dict[tuple[str, ...], float]:
    """Values by the sample's name and its labels' values, in the order of the labels' names."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
    }


async def test_metrics_count_requests_by_outcome_stages_instances_and_refusals(
    client: httpx.AsyncClient, engine: Engine
) -> None:
    post, model = "POST /v1/segment", "GET /v1/models/{name}"
    await client.post("/v1/segment", content=encode_picture(), headers=PNG)
    await client.post("/v1/segment", content=b"no image", headers=PNG)
    await client.get("/nowhere/at/all")
    await client.get("/v1/models/none")
    samples = read_samples((await client.get("/metrics")).text)
    assert samples["blitzmask_requests_total", post, "ok", "rest"] == 1
    assert samples["blitzmask_requests_total", post, "InvalidImage", "rest"] == 1
    assert samples["blitzmask_requests_total", "other", "http_404", "rest"] == 1
    assert samples["blitzmask_requests_total", model, "ModelNotFound", "rest"] == 1
    assert samples["blitzmask_request_seconds_count", post, "rest"] == 2
    assert samples["blitzmask_stage_seconds_sum", "toy", "infer"] == pytest.approx(0.01)
    assert samples["blitzmask_stage_seconds_count", "toy", "queue"] == 1
    assert samples["blitzmask_instances_total", "cat", "toy"] == 1
    assert samples["blitzmask_model_info", "CPU", "CPU", "toy", "fp32", "fake", "1.0", "1"] == 1
    assert samples["blitzmask_ready",] == 1
    assert samples["blitzmask_slots",] == 1
    assert samples["blitzmask_queue_limit",] == 1
    assert samples["blitzmask_slots_busy",] == samples["blitzmask_queue_length",] == 0
    engine.stop()
    await engine.admission.drain()
    await client.post("/v1/segment", content=encode_picture(), headers=PNG)
    samples = read_samples(engine.metrics.exposition().decode())
    assert samples["blitzmask_rejected_total", "NotReady"] == 1
    assert samples["blitzmask_ready",] == 0


async def test_two_servers_in_one_process_share_no_metrics() -> None:
    first, second = (Engine(Admission(1, 1), Metrics(), timeout_s=1) for _ in range(2))
    transport = httpx.ASGITransport(create_app(first, max_body=1))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        await client.get("/healthz")
    assert b'outcome="ok"' in first.metrics.exposition()
    assert b'outcome="ok"' not in second.metrics.exposition()
