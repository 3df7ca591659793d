import multiprocessing
from pathlib import Path

import pytest

from loadtest.clients import Photo
from loadtest.errors import CannotRun
from loadtest.floor import Floor, FloorPlan
from service.inference.backends import BackendChoice
from service.types import Options


@pytest.fixture
def plan(models: Path, photo: Photo) -> FloorPlan:
    return FloorPlan(models / "fake", BackendChoice(slots=2), Options(), (photo.data,), processes=2)


async def test_the_floor_is_what_all_workers_do_together(plan: FloorPlan) -> None:
    floor = Floor(plan)
    try:
        first, second = await floor.measure(0.3), await floor.measure(0.3)
    finally:
        floor.close()
    assert first is not None
    assert second is not None
    assert first.rate > 10
    assert 0 < first.p50_ms < 1000
    assert first.rate <= 1.5 * 4 / (first.p50_ms / 1e3)  # four threads at most were at work


async def test_a_floor_whose_process_was_killed_says_so_and_raises_nothing(plan: FloorPlan) -> None:
    floor = Floor(plan)
    for child in multiprocessing.active_children():
        child.kill()
    try:
        assert await floor.measure(0.1) is None
    finally:
        floor.close()


def test_closing_leaves_no_process(plan: FloorPlan) -> None:
    floor = Floor(plan)
    assert len(multiprocessing.active_children()) == 2
    floor.close()
    assert multiprocessing.active_children() == []


def test_a_model_that_does_not_open_is_told_in_one_line(plan: FloorPlan, tmp_path: Path) -> None:
    absent = FloorPlan(tmp_path / "absent", plan.choice, plan.options, plan.photos)
    with pytest.raises(CannotRun, match=r"card\.json") as refusal:
        Floor(absent)
    assert "\n" not in str(refusal.value)
