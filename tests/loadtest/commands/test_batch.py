"""A small job beside the baseline, and the figures that come from it."""

from pathlib import Path

import pytest

from loadtest.commands.batch import Batch, Job, judge_memory, judge_share, write_pictures
from loadtest.generators.photos import sample_photos
from loadtest.types import CannotRun
from tests.loadtest.rows import make_stage


async def test_a_job_is_measured_alone_and_beside_the_baseline(models: Path) -> None:
    command = Batch(models=models, model="fake", pictures=20, rounds=2, duration=0.1)
    outcome = (await command.run(make_stage())).outcome
    memory, share = outcome.findings
    assert memory.value is not None
    assert memory.value > -100
    assert share.value is not None
    assert share.low is not None
    assert 0 < share.low <= share.value
    alone, rounds = outcome.tables
    assert alone.lines[0][0] == "20"
    assert len(rounds.lines) == 2
    assert all(float(cell) > 0 for line in (*alone.lines, *rounds.lines) for cell in line)


async def test_an_absent_model_is_named(models: Path) -> None:
    with pytest.raises(CannotRun, match="there is no model none"):
        await Batch(models=models, model="none").run(make_stage())


def test_every_picture_has_a_name_and_no_photo_is_written_twice(tmp_path: Path) -> None:
    photos = sample_photos()
    write_pictures(tmp_path / "many", photos, 10)
    files = sorted((tmp_path / "many").iterdir())
    assert [file.read_bytes() for file in files] == [photos[number % 3].data for number in range(10)]
    assert len({file.stat().st_ino for file in files}) == 3


@pytest.mark.parametrize(("late_mb", "met"), [(104.0, True), (106.0, False)])
def test_memory_may_grow_by_a_twentieth(late_mb: float, met: bool) -> None:
    finding = judge_memory(Job(10, {0.1: 100.0, 1.0: late_mb}))
    assert finding.value == pytest.approx(late_mb - 100)
    assert finding.met is met


def test_the_share_is_that_of_all_rounds() -> None:
    finding = judge_share([(100.0, 90.0), (100.0, 100.0)])
    assert (finding.value, finding.met) == (0.95, True)
    finding = judge_share([(100.0, 90.0)] * 2)
    assert not finding.met
