"""The options and turns that the engine hands to its models."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from service.errors import Overloaded
from service.serving.admission import Admission
from service.serving.engine import Call, Engine
from service.telemetry.metrics import Metrics
from service.types import Options, Segmentation, Summary
from tests.fakes import FakeCatalog, FakeModel, Gate, encode_picture


class Watched(FakeModel):
    """Notes whether it was crowded."""

    def __init__(self, gate: Gate) -> None:
        super().__init__(before=gate)
        self.crowded: list[bool] = []

    def segment(self, data: bytes, options: Options, *, crowded: bool = False) -> Segmentation:
        self.crowded.append(crowded)
        return super().segment(data, options)


class Noting(FakeModel):
    """Notes whether it had to be exact."""

    def __init__(self) -> None:
        super().__init__()
        self.exact: list[bool | None] = []

    def segment(self, data: bytes, options: Options, *, crowded: bool = False) -> Segmentation:
        self.exact.append(options.exact)
        return super().segment(data, options)


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    """Two slots, no models yet."""
    engine = Engine(Admission(2, 0), Metrics(), timeout_s=10)
    yield engine
    engine.admission.close()


async def ask(engine: Engine) -> Summary:
    answer, _ = await engine.segment(Call(encode_picture()), lambda answer: None)
    return answer


async def test_a_model_is_told_whether_it_has_the_machine_for_itself(engine: Engine) -> None:
    gate = Gate()
    model = Watched(gate)
    engine.use(FakeCatalog(model))
    first = asyncio.create_task(ask(engine))
    await gate.reached()
    second = asyncio.create_task(ask(engine))
    while len(model.crowded) < 2:
        await asyncio.sleep(0.001)
    gate.open()
    await asyncio.gather(first, second)
    await ask(engine)
    assert model.crowded == [False, True, False]


@pytest.mark.parametrize("ours", [True, False])
async def test_who_does_not_say_whether_to_be_exact_gets_the_services_setting(ours: bool) -> None:
    engine, model = Engine(Admission(1, 0), Metrics(), timeout_s=10, exact=ours), Noting()
    engine.use(FakeCatalog(model))
    for asked in (None, True, False):
        await engine.segment(Call(encode_picture(), Options(exact=asked)), lambda answer: None)
    assert model.exact == [ours, True, False]
    engine.admission.close()


async def test_only_what_the_queue_refused_counts_as_refused_by_it(engine: Engine) -> None:
    gate = Gate()
    engine.use(FakeCatalog(FakeModel(before=gate)))
    engine.max_streams = 0
    with pytest.raises(Overloaded, match="streams"), engine.count_stream():
        pass
    assert b"\nblitzmask_queue_refused 0.0\n" in engine.metrics.exposition()
    busy = [asyncio.create_task(ask(engine)) for _ in range(2)]
    await gate.reached()
    while engine.admission.running < 2:
        await asyncio.sleep(0.001)
    with pytest.raises(Overloaded, match="slots are busy"):
        await ask(engine)
    assert b"\nblitzmask_queue_refused 1.0\n" in engine.metrics.exposition()
    gate.open()
    await asyncio.gather(*busy)
