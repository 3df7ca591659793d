"""The stages command: the time of each stage of an answer, without a server, on one thread.

The service's own `Segmenter` does the work, and its own stopwatch gives the stages. The network computes as
usual, but drawn objects replace its output, so that their number can be chosen. The same masks are also made
the straightforward way: for each instance, resize the field to the whole image, apply the threshold, clear
the outside of the box, and encode with pycocotools.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import median

import cv2
import numpy as np
from pycocotools import mask as coco
from pydantic import Field

from loadtest.commands.arguments import Arguments, Found, find_folder
from loadtest.generators.drawn import draw_instances, fit_canvas, paint_heads, read_decoder
from loadtest.generators.photos import draw_sample
from loadtest.measurement.harness import Stage
from loadtest.reports.content import Finding, Outcome, TextTable
from loadtest.reports.tables import show
from service.inference.backends import Backend, BackendChoice, open_backend
from service.inference.card import Card, read_card
from service.inference.images import Limits
from service.inference.masks.grid import boxes_to_windows
from service.inference.masks.rle import encode_masks
from service.inference.segmenter import Segmenter
from service.settings import models_folder
from service.types import BackendInfo, Heads, Instances, Options, Pixels, Placement, Size

SIZES = (Size(480, 640), Size(720, 1280), Size(1080, 1920))
COUNTS = (0, 10, 50, 100)
_LARGE, _HUGE, _TYPICAL = Size(1080, 1920), Size(3000, 4000), Size(720, 1280)
_STAGES = ("decode", "prepare", "infer", "postprocess", "masks")
_ASKED = Options(score_threshold=0.3, max_instances=max(COUNTS))
_FEWEST = 3  # repetitions

Milliseconds = Mapping[str, float]


class Stages(Arguments):
    """Each stage by itself, without a server."""

    models: Path = Field(default_factory=models_folder, description="folder of models")
    model: str | None = Field(default=None, description="name of the model's folder; unset: the first")
    duration: float = Field(default=1.0, ge=0.001, le=60, description="seconds of each line")

    async def run(self, stage: Stage) -> Found:
        """Measures in fp32, the precision of the goals; raises CannotRun when the model is absent."""
        folder = find_folder(self.models, self.model)
        return Found(await measure_in_thread(folder, stage, seconds=self.duration))


@dataclass(frozen=True, slots=True)
class MaskCost:
    """Median milliseconds for all masks of an image; `same` instances got the same string both ways.

    The others differ by a few pixels at the border: `cv2.resize` interpolates in float32.
    """

    image: Size
    instances: int
    straightforward: float
    ours: float
    same: int

    @property
    def ratio(self) -> float:
        """The straightforward way's time over ours."""
        return self.straightforward / self.ours


@dataclass(frozen=True, slots=True)
class StageCosts:
    """Milliseconds by stage for an image of this size and number of instances; `masks`: made both ways."""

    image: Size
    instances: int
    stages: Milliseconds
    masks: MaskCost

    @property
    def beside_inference(self) -> float:
        return sum(cost for stage, cost in self.stages.items() if stage != "infer")


@dataclass(frozen=True, slots=True)
class PaintedBackend:
    """A backend that runs another one and returns given heads instead of its own."""

    backend: Backend
    heads: Heads

    def run(self, pixels: Pixels, *, crowded: bool = False) -> Heads:
        self.backend.run(pixels, crowded=crowded)
        return self.heads

    def describe(self, *, crowded: bool = False) -> BackendInfo:
        return self.backend.describe(crowded=crowded)

    def close(self) -> None:
        self.backend.close()


async def measure_in_thread(folder: Path, stage: Stage, *, seconds: float) -> Outcome:
    """The outcome of `run_stages` in fp32, in another thread."""
    choice, is_stopped = BackendChoice(precision="fp32"), stage.stop.is_set
    return await asyncio.to_thread(run_stages, folder, choice, seconds=seconds, is_stopped=is_stopped)


def run_stages(
    folder: Path, choice: BackendChoice, *, seconds: float, is_stopped: Callable[[], bool] = lambda: False
) -> Outcome:
    """A line for every size and number of instances, each repeated for `seconds`; nothing after a stop."""
    card = read_card(folder)
    backend = open_backend(folder, card, choice)
    costs = []
    try:
        for size, count in product(SIZES, COUNTS):
            if is_stopped():
                return Outcome(())
            costs.append(measure_stages(card, backend, image=size, instances=count, seconds=seconds))
    finally:
        backend.close()
    huge = measure_masks(*draw_crowd(card, _HUGE, 100))
    return Outcome((), judge(costs, huge), tables=(to_table(costs),))


def draw_crowd(card: Card, image: Size, count: int) -> tuple[Instances, Placement]:
    """`count` instances on the model's canvas, and the placement of the image there."""
    placement = fit_canvas(image, card.canvas)
    return draw_instances(count, placement, stride=read_decoder(card).stride), placement


def measure_stages(
    card: Card, backend: Backend, *, image: Size, instances: int, seconds: float
) -> StageCosts:
    """The stages of one photo as for a request, many times; then the masks both ways."""
    photo = draw_sample(image)
    drawn, placement = draw_crowd(card, image, instances)
    plain = card.model_copy(update={"calibration": None})  # the drawn heads have scores of their own
    segmenter = Segmenter(plain, PaintedBackend(backend, paint_heads(card, drawn)), Limits())
    segmenter.segment(photo, _ASKED)
    laps: list[Milliseconds] = []
    until = time.perf_counter() + seconds
    while len(laps) < _FEWEST or time.perf_counter() < until:
        timings = segmenter.segment(photo, _ASKED).timings
        laps.append({stage: getattr(timings, stage) for stage in _STAGES})
    stages = {stage: median(lap[stage] for lap in laps) for stage in _STAGES}
    return StageCosts(image, instances, stages, measure_masks(drawn, placement))


def judge(costs: Sequence[StageCosts], huge: MaskCost) -> tuple[Finding, ...]:
    """The goals of this service; `huge`: masks of 100 instances at 4000x3000."""
    cases = {(cost.image, cost.instances): cost for cost in costs}
    typical, large = cases[_TYPICAL, 10], cases[_LARGE, 100].masks
    overhead = typical.beside_inference / typical.stages["infer"]
    growth = huge.ours / large.ours
    return (
        Finding("all stages but inference over fp32 inference, 1280x720, 10 instances", overhead, "times",
                target="at most 0.25", met=overhead <= 0.25),
        Finding("masks of 100 instances, the straightforward way over ours, 1920x1080", large.ratio, "times",
                target="at least 40", met=large.ratio >= 40),
        Finding("masks of 100 instances, 4000x3000 over 1920x1080", growth, "times",
                target="at most 2", met=growth <= 2),
    )  # fmt: skip


def to_table(costs: Sequence[StageCosts]) -> TextTable:
    """A line per image size and number of instances; both ways take turns on one thread."""
    names = tuple(costs[0].stages)
    return TextTable(
        "stages, one thread, median ms",
        ("image", "instances", *names, "all but infer", "straightforward masks", "over ours"),
        tuple(
            (
                f"{cost.image.width} x {cost.image.height}",
                str(cost.instances),
                *(show(cost.stages[name], digits=2) for name in names),
                show(cost.beside_inference, digits=2),
                show(cost.masks.straightforward, digits=2),
                show(cost.masks.ratio if cost.instances else None, digits=0),
            )
            for cost in costs
        ),
    )


def measure_masks(drawn: Instances, placement: Placement, *, rounds: int = 5, repeats: int = 5) -> MaskCost:
    """Both ways in turns; ours runs `repeats` times in a round, as it is so short."""
    expected = encode_straightforwardly(drawn, placement)
    found = encode_masks(drawn, placement).rles
    slow, fast = [], []
    for _ in range(rounds):
        slow.append(_time(lambda: encode_straightforwardly(drawn, placement)))
        fast += [_time(lambda: encode_masks(drawn, placement)) for _ in range(repeats)]
    same = sum(rle.counts == text for rle, text in zip(found, expected, strict=True))
    return MaskCost(placement.image, len(expected), median(slow), median(fast), same)


def encode_straightforwardly(instances: Instances, placement: Placement) -> list[str]:
    """COCO's counts strings, made from masks of the image's full size.

    The fields must cover the image in whole samples, as they do for the usual aspect ratios.
    """
    image, placed, canvas = placement.image, placement.placed, placement.canvas
    height, width = instances.mask_fields.shape[1:]
    fields = instances.mask_fields[
        :, : placed.height * height // canvas.height, : placed.width * width // canvas.width
    ]
    windows = boxes_to_windows(placement.boxes_to_image(instances.boxes_xyxy_canvas), image)
    texts = []
    for field, (x1, y1, x2, y2) in zip(fields, windows, strict=True):
        values = cv2.resize(field, (image.width, image.height), interpolation=cv2.INTER_LINEAR)
        mask = (values > instances.mask_level).view(np.uint8)
        mask[:y1] = mask[y2:] = mask[:, :x1] = mask[:, x2:] = 0
        texts.append(coco.encode(np.asfortranarray(mask))["counts"].decode())
    return texts


def _time(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1e3
