"""A picture in tiles over the slots: shares where slots are free, one work where none is."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from service.errors import InvalidImage, Overloaded
from service.serving.admission import Admission
from service.serving.tiles import MOST_SHARES, segment_tiles
from service.serving.work import SegmentWork
from service.types import Answer, Options
from tests.fakes import SCORE, FakeModel, Gate, encode_picture


def read_scores(answer: Answer) -> list[float]:
    return [instance.score for instance in answer.segmentation.instances]


def ask(model: FakeModel, image: bytes = encode_picture()) -> SegmentWork[list[float]]:
    return SegmentWork(model, image, Options(tiles="auto"), read_scores)


@pytest.fixture
async def admission() -> AsyncIterator[Admission]:
    """Three slots, one place in the queue."""
    admission = Admission(3, 1)
    yield admission
    admission.close()


async def test_every_free_slot_computes_a_share(admission: Admission) -> None:
    model = FakeModel()
    summary, scores = await segment_tiles(admission, ask(model), deadline=None)
    assert scores == [SCORE]
    assert summary.instances == 1
    assert len(model.seen) == 3
    assert summary.timings.infer == 12  # that of the longest share


async def test_where_other_slots_are_busy_one_work_computes_all(admission: Admission) -> None:
    gate, model = Gate(), FakeModel()
    held = [asyncio.create_task(admission.run(lambda turn: gate())) for _ in range(2)]
    await gate.reached()
    _, scores = await segment_tiles(admission, ask(model), deadline=None)
    assert scores == [SCORE]
    assert len(model.seen) == 1
    gate.open()
    await asyncio.gather(*held)


async def test_shares_are_bounded_on_a_large_machine() -> None:
    admission, model = Admission(3 * MOST_SHARES, 1), FakeModel()
    await segment_tiles(admission, ask(model), deadline=None)
    assert len(model.seen) == MOST_SHARES
    admission.close()


async def test_an_error_of_a_share_is_that_of_the_request(admission: Admission) -> None:
    with pytest.raises(InvalidImage):
        await segment_tiles(admission, ask(FakeModel(), b"no picture"), deadline=None)


async def test_a_full_service_refuses_it_as_any_request(admission: Admission) -> None:
    gate = Gate()
    held = [asyncio.create_task(admission.run(lambda turn: gate())) for _ in range(4)]
    await gate.reached()
    while admission.waiting < 1:
        await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await segment_tiles(admission, ask(FakeModel()), deadline=None)
    gate.open()
    await asyncio.gather(*held)
