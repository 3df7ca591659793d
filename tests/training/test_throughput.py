"""The speed of loader and network."""

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from training.data.annotations import read_collection
from training.recipe import Recipe, Stage
from training.throughput import Speed, draw_speed, measure_speed

TINY = Recipe(
    neck_channels=8, width=0.25, stages=(Stage(until=1.0, side=64),), batch_size=1, bfloat16=False, workers=0
)


def test_both_speeds_are_measured(tiny_set: Path) -> None:
    training_set = read_collection(tiny_set / "instances_train.json", tiny_set / "images")
    speed = measure_speed(TINY, training_set, [0, 1], seconds=0.1)
    assert set(speed.loader) == {0, 1}
    assert min(speed.network, *speed.loader.values()) > 0


def test_a_set_of_one_batch_is_measured_over_its_epochs(tiny_set: Path) -> None:
    training_set = read_collection(tiny_set / "instances_train.json", tiny_set / "images")
    assert measure_speed(replace(TINY, batch_size=2), training_set, [0], seconds=0.05).loader[0] > 0


@pytest.mark.parametrize(
    ("network", "enough", "text"), [(30, 2, "2 workers are enough"), (90, None, "the network waits")]
)
def test_the_fewest_workers_that_keep_up_are_named(network: float, enough: int | None, text: str) -> None:
    speed = Speed(network, {4: 70.0, 1: 20.0, 2: 35.0}, "cpu")
    assert speed.enough_workers() == enough
    console = Console(width=100)
    with console.capture() as capture:
        console.print(draw_speed(speed))
    assert text in capture.get()
