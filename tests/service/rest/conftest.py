"""The REST application over a fake model, asked without a network."""

from collections.abc import AsyncIterator

import httpx
import pytest

import service.rest.application  # noqa: F401  # so that every application is complete at once
from service.rest.server import create_app
from service.serving.admission import Admission
from service.serving.engine import Engine
from service.telemetry.metrics import Metrics
from tests.fakes import FakeCatalog, FakeModel

MAX_BODY = 100_000


@pytest.fixture
def model() -> FakeModel:
    return FakeModel()


@pytest.fixture
def engine(model: FakeModel) -> Engine:
    """One slot and one place in the queue; ready."""
    engine = Engine(Admission(1, 1), Metrics(), timeout_s=10)
    engine.use(FakeCatalog(model, FakeModel("other", "2"), failures={"broken": "its hash is wrong"}))
    return engine


@pytest.fixture
async def client(engine: Engine) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(engine, max_body=MAX_BODY))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        yield client
    engine.admission.close()
