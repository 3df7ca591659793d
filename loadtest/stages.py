"""What each stage of an answer costs, without a server: one thread, median milliseconds.

The service's own `Segmenter` does the work, and its own stopwatch tells the stages. Only what the network
sees is drawn (`loadtest.blobs`, `loadtest.heads`), so that the number of objects can be chosen: it computes
all the same, and its heads are replaced. Beside them is what the same masks cost the straightforward way
(`loadtest.masks`).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import median

from loadtest.blobs import draw_instances, fit_canvas
from loadtest.heads import paint_heads
from loadtest.masks import MaskCost, measure_masks
from loadtest.outcome import Finding, Outcome, Sheet
from loadtest.reports.tables import show
from loadtest.samples import draw_sample
from service.inference.backends import Backend, BackendChoice, open_backend
from service.inference.card import Card, read_card
from service.inference.images import Limits
from service.inference.segmenter import Segmenter
from service.types import BackendInfo, Heads, Instances, Options, Pixels, Placement, Size

SIZES = (Size(480, 640), Size(720, 1280), Size(1080, 1920))
COUNTS = (0, 10, 50, 100)
_LARGE, _HUGE, _TYPICAL = Size(1080, 1920), Size(3000, 4000), Size(720, 1280)
_STAGES = ("decode", "prepare", "infer", "postprocess", "masks")
_ASKED = Options(score_threshold=0.3, max_instances=max(COUNTS))
_FEWEST = 3  # repetitions

Milliseconds = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class StageCosts:
    """Milliseconds by stage for an image of this size with so many instances; `masks` is them both ways."""

    image: Size
    instances: int
    stages: Milliseconds
    masks: MaskCost

    @property
    def beside_inference(self) -> float:
        return sum(cost for stage, cost in self.stages.items() if stage != "infer")


@dataclass(frozen=True, slots=True)
class Painted:
    """A backend that computes like another one, and gives heads of one's own."""

    backend: Backend
    heads: Heads

    def run(self, pixels: Pixels, *, crowded: bool = False) -> Heads:
        self.backend.run(pixels, crowded=crowded)
        return self.heads

    def describe(self, *, crowded: bool = False) -> BackendInfo:
        return self.backend.describe(crowded=crowded)

    def close(self) -> None:
        self.backend.close()


def run_stages(
    folder: Path, choice: BackendChoice, *, seconds: float, is_stopped: Callable[[], bool] = lambda: False
) -> Outcome:
    """A line for every size and number of instances, each repeated for about `seconds`; none when stopped."""
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
    return Outcome((), judge(costs, huge), sheets=(to_sheet(costs),))


def draw_crowd(card: Card, image: Size, count: int) -> tuple[Instances, Placement]:
    """So many instances on the model's canvas, and where the image lies there."""
    placement = fit_canvas(image, card.canvas)
    return draw_instances(count, placement, stride=card.decoder.stride), placement


def measure_stages(
    card: Card, backend: Backend, *, image: Size, instances: int, seconds: float
) -> StageCosts:
    """All stages of one photo, as a request has them done, again and again; then the masks both ways."""
    photo = draw_sample(image)
    drawn, placement = draw_crowd(card, image, instances)
    segmenter = Segmenter(card, Painted(backend, paint_heads(card, drawn)), Limits())
    segmenter.segment(photo, _ASKED)
    laps: list[Milliseconds] = []
    until = time.perf_counter() + seconds
    while len(laps) < _FEWEST or time.perf_counter() < until:
        timings = segmenter.segment(photo, _ASKED).timings
        laps.append({stage: getattr(timings, stage) for stage in _STAGES})
    stages = {stage: median(lap[stage] for lap in laps) for stage in _STAGES}
    return StageCosts(image, instances, stages, measure_masks(drawn, placement))


def judge(costs: Sequence[StageCosts], huge: MaskCost) -> tuple[Finding, ...]:
    """The figures that this service promises; `huge`: masks of 100 instances at 4000x3000."""
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


def to_sheet(costs: Sequence[StageCosts]) -> Sheet:
    """A line per image size and number of instances; the ratio is of both ways in turns, on one thread."""
    names = tuple(costs[0].stages)
    return Sheet(
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
