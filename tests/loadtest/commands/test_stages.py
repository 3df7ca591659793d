"""The two ways of making masks must do the same work, or their ratio means nothing."""

from pathlib import Path

import numpy as np
import pytest

from loadtest.commands.stages import (
    MaskCost,
    StageCosts,
    encode_straightforwardly,
    judge,
    measure_masks,
    measure_stages,
    run_stages,
    to_table,
)
from loadtest.generators.drawn import draw_instances, fit_canvas
from loadtest.generators.photos import draw_sample, sample_photos
from loadtest.reports.content import Outcome
from service.inference.backends import BackendChoice, open_backend
from service.inference.card import read_card
from service.inference.images import Limits, decode_image
from service.inference.masks.rle import decode_rle, encode_masks
from service.types import Rle, Size


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


def test_a_stop_gives_nothing(models: Path) -> None:
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
    sheet = to_table([cost(image, 0, masks=0.01), cost(image, 10, masks=0.5, straightforward=30)])
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


@pytest.mark.parametrize("image", [Size(480, 640), Size(360, 640), Size(640, 360)])
def test_both_ways_give_the_same_masks_but_for_rounding(image: Size) -> None:
    placement = fit_canvas(image)
    instances = draw_instances(20, placement, seed=3)
    ours = encode_masks(instances, placement).rles
    theirs = [Rle(image, counts) for counts in encode_straightforwardly(instances, placement)]
    differing = [(decode_rle(a) != decode_rle(b)).sum() for a, b in zip(ours, theirs, strict=True)]
    assert max(differing) <= 2
    assert differing.count(0) >= 15


def test_drawn_objects_have_the_sizes_of_real_ones() -> None:
    placement = fit_canvas(Size(3000, 4000))
    boxes = draw_instances(400, placement, seed=1).boxes_xyxy_canvas
    sides = (boxes[:, 2:] - boxes[:, :2]) / [placement.placed.width, placement.placed.height]
    assert np.median(sides, axis=0) == pytest.approx([0.09, 0.14], rel=0.2)
    assert sides.max() <= 1.0001


def test_drawn_objects_nearly_fill_their_boxes() -> None:
    placement = fit_canvas(Size(600, 800))
    instances = draw_instances(50, placement, seed=2)
    boxes = placement.boxes_to_image(instances.boxes_xyxy_canvas)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    assert 0.3 < np.median(encode_masks(instances, placement).areas / area) < 0.9


def test_masks_are_measured_both_ways() -> None:
    placement = fit_canvas(Size(48, 64))
    cost = measure_masks(draw_instances(3, placement), placement, rounds=1, repeats=1)
    assert (cost.image, cost.instances) == (Size(48, 64), 3)
    assert cost.straightforward > 0
    assert cost.ours > 0
    assert cost.same == 3
