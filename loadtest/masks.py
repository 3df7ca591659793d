"""What masks cost beside the straightforward way: `python -m loadtest.masks`.

The straightforward way is, for each instance: resize the field to the whole image, threshold, clear what is
outside the box, bring it to Fortran order, `pycocotools.mask.encode`. Both ways run on one thread and take
turns, so that whatever else the machine does meets both.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import median

import cv2
import numpy as np
from pycocotools import mask as coco
from rich.console import Console
from rich.progress import track
from rich.table import Table

from loadtest.blobs import draw_instances, fit_canvas
from service.inference.masks.grid import boxes_to_windows
from service.inference.masks.rle import encode_masks
from service.types import Instances, Placement, Size

SIZES = (Size(480, 640), Size(720, 1280), Size(1080, 1920), Size(3000, 4000))
COUNTS = (0, 10, 50, 100)


@dataclass(frozen=True, slots=True)
class MaskCost:
    """Median milliseconds for all masks of an image; `same` of the instances got the same string both ways.

    The others differ by some pixels at the border: `cv2.resize` interpolates in float32.
    """

    image: Size
    instances: int
    straightforward: float
    ours: float
    same: int

    @property
    def ratio(self) -> float:
        """How many times faster ours is."""
        return self.straightforward / self.ours


def measure_masks(drawn: Instances, placement: Placement, *, rounds: int = 5, repeats: int = 5) -> MaskCost:
    """Both ways in turns, ours `repeats` times a round as it is over so soon."""
    expected = encode_straightforwardly(drawn, placement)
    found = encode_masks(drawn, placement).rles
    slow, fast = [], []
    for _ in range(rounds):
        slow.append(_time(lambda: encode_straightforwardly(drawn, placement)))
        fast += [_time(lambda: encode_masks(drawn, placement)) for _ in range(repeats)]
    same = sum(rle.counts == text for rle, text in zip(found, expected, strict=True))
    return MaskCost(placement.image, len(expected), median(slow), median(fast), same)


def encode_straightforwardly(instances: Instances, placement: Placement) -> list[str]:
    """COCO's counts strings by way of full-size masks.

    The part of the fields under the image must end at a whole sample, which it does for the usual aspects.
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


def to_table(costs: Sequence[MaskCost]) -> Table:
    """A line per measurement."""
    table = Table("image", "instances", "straightforward ms", "ours ms", "ratio", "same strings")
    for cost in costs:
        table.add_row(
            f"{cost.image.width} x {cost.image.height}",
            str(cost.instances),
            f"{cost.straightforward:.2f}",
            f"{cost.ours:.2f}",
            f"{cost.ratio:.0f}" if cost.instances else "-",
            f"{cost.same} of {cost.instances}",
        )
    return table


def _time(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1e3


def main() -> None:
    """Measures every size with every count and prints the table."""
    cv2.setNumThreads(1)
    console = Console()
    costs = []
    for size, count in track([*product(SIZES, COUNTS)], "measuring", console=console, transient=True):
        placement = fit_canvas(size)
        costs.append(measure_masks(draw_instances(count, placement), placement))
    console.print(to_table(costs))


if __name__ == "__main__":
    main()
