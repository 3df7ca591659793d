from pathlib import Path

import pytest

from loadtest.masks import MaskCost
from loadtest.outcome import Outcome
from loadtest.samples import draw_sample, sample_photos
from loadtest.stages import StageCosts, judge, measure_stages, run_stages, to_sheet
from service.inference.backends import BackendChoice, open_backend
from service.inference.card import read_card
from service.inference.images import Limits, decode_image
from service.types import Size


def cost(image: Size, instances: int, *, masks: float, straightforward: float = 0.0) -> StageCosts:
    stages = {"decode": 2.0, "infer": 12.0, "masks": masks}
    return StageCosts(image, instances, stages, MaskCost(image, instances, straightforward, masks, instances))


def test_every_stage_is_timed(models: Path) -> None:
    card = read_card(models / "fake")
    backend = open_backend(models / "fake", card, BackendChoice())
    costs = measure_stages(card, backend, image=Size(96, 128), instances=5, seconds=0.001)
    backend.close()
    assert list(costs.stages) == ["decode", "prepare", "infer", "postprocess", "masks"]
    assert all(cost > 0 for cost in costs.stages.values())
    assert (costs.masks.image, costs.masks.instances) == (Size(96, 128), 5)
    assert costs.masks.straightforward > 0
    assert costs.beside_inference == pytest.approx(sum(costs.stages.values()) - costs.stages["infer"])


def test_who_stops_it_gets_no_promise(models: Path) -> None:
    outcome = run_stages(models / "fake", BackendChoice(), seconds=60, is_stopped=lambda: True)
    assert outcome == Outcome(())


def test_the_promises_are_judged_by_their_figures() -> None:
    kept = judge(
        [
            cost(Size(720, 1280), 0, masks=9.0),
            cost(Size(720, 1280), 10, masks=0.9),
            cost(Size(1080, 1920), 100, masks=2.5, straightforward=100),
        ],
        MaskCost(Size(3000, 4000), 100, 900, 5.0, 100),
    )
    assert [finding.value for finding in kept] == pytest.approx([2.9 / 12, 40, 2])
    assert [finding.met for finding in kept] == [True, True, True]

    missed = judge(
        [cost(Size(720, 1280), 10, masks=2.0), cost(Size(1080, 1920), 100, masks=2.6, straightforward=100)],
        MaskCost(Size(3000, 4000), 100, 900, 5.3, 100),
    )
    assert [finding.met for finding in missed] == [False, False, False]


def test_the_table_has_a_line_per_measurement() -> None:
    image = Size(720, 1280)
    sheet = to_sheet([cost(image, 0, masks=0.01), cost(image, 10, masks=0.5, straightforward=30)])
    columns = ("decode", "infer", "masks", "all but infer", "straightforward masks", "over ours")
    assert sheet.columns == ("image", "instances", *columns)
    assert sheet.lines == (
        ("1280 x 720", "0", "2.00", "12.00", "0.01", "2.01", "0.00", "-"),
        ("1280 x 720", "10", "2.00", "12.00", "0.50", "2.50", "30.00", "60"),
    )


def test_samples_are_photos_of_the_size_asked_for() -> None:
    assert decode_image(draw_sample(Size(48, 64)), Limits()).shape == (48, 64, 3)
    photos = sample_photos()
    assert [photo.name for photo in photos] == ["astronaut.jpg", "chelsea.jpg", "coffee.jpg"]
    assert all(decode_image(photo.data, Limits()).shape == (720, 1280, 3) for photo in photos)
    assert all(decode_image(photo.data, Limits()).std() > 20 for photo in photos)
