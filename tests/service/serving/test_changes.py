"""The models folder is looked at while the service answers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import structlog
from structlog.testing import capture_logs

from service.errors import BackendUnavailable, InvalidCard
from service.inference.model import Model
from service.serving.admission import Admission
from service.serving.changes import serve_fastest, watch_models
from service.serving.engine import Engine
from service.telemetry.metrics import Metrics
from tests.fakes import FakeCatalog, FakeModel
from tests.running import PATIENCE_S

EVERY_S = 0.002


class Changing(FakeCatalog):
    """Gives one step after the other when it is looked at: a catalog, an error, or itself in the end."""

    def __init__(self, *steps: FakeCatalog | Exception) -> None:
        super().__init__(FakeModel("old"))
        self.steps: Iterator[FakeCatalog | Exception] = iter(steps)
        self.looks = 0

    def refreshed(self) -> FakeCatalog:
        self.looks += 1
        step = next(self.steps, self)
        if isinstance(step, Exception):
            raise step
        return step


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    engine = Engine(Admission(1, 0), Metrics(), timeout_s=10)
    yield engine
    engine.admission.close()


@contextlib.asynccontextmanager
async def watching(engine: Engine, until: Callable[[int], bool]) -> AsyncIterator[list[str]]:
    """The lines that were logged until `until`, given their number, holds."""
    structlog.reset_defaults()
    with capture_logs() as lines:
        task = asyncio.create_task(watch_models(engine, EVERY_S))
        async with asyncio.timeout(PATIENCE_S):
            while not until(len(lines)):
                await asyncio.sleep(EVERY_S)
        assert not task.done()
        task.cancel()
    yield [f"{line['event']}: {line.get('reason', line.get('models'))}" for line in lines]


async def test_what_is_new_answers_and_what_is_refused_is_told(engine: Engine) -> None:
    engine.use(Changing(FakeCatalog(FakeModel("new"), failures={"b": "its hash is wrong"})))
    async with watching(engine, lambda told: told > 1) as lines:
        assert engine.catalog.get().card.name == "new"
        assert lines == ["models changed: ['new 1']", "model refused: its hash is wrong"]


async def test_a_trouble_is_told_once_and_ends_nothing(engine: Engine) -> None:
    trouble = InvalidCard("the default model oak does not serve")
    odd = UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")
    catalog = Changing(trouble, trouble, OSError("gone"), OSError("gone"), odd, trouble)
    engine.use(catalog)
    async with watching(engine, lambda told: catalog.looks > 6) as lines:
        assert lines == [
            "models folder unusable: the default model oak does not serve",
            "models folder unusable: OSError('gone')",
            f"models folder unusable: {odd!r}",
            "models folder unusable: the default model oak does not serve",
        ]
    assert engine.catalog is catalog


class Reopening(FakeCatalog):
    """Notes which models are opened again."""

    def __init__(self, *models: FakeModel) -> None:
        super().__init__(*models)
        self.opened = list[str]()

    def with_model(self, name: str) -> FakeCatalog:
        self.opened.append(name)
        return self


async def test_models_are_opened_again_only_where_another_file_is_faster(engine: Engine) -> None:
    catalog = Reopening(FakeModel("slow"), FakeModel("odd"), FakeModel("quick"))
    engine.use(catalog)

    async def find_faster(model: Model) -> bool:
        if model.card.name == "odd":
            raise BackendUnavailable("not timed within 60 s")
        return model.card.name == "slow"

    await serve_fastest(engine, find_faster)
    assert catalog.opened == ["slow"]
